"""Pre-training on a CUDA device: products of rows, compiled blocks, replayed passes. Skipped where there is none."""

import numpy as np
import pytest
import torch
from material import make_labels, make_pack

from babyhubert.compute.group import ProcessGroup
from babyhubert.pretraining import objective, run
from babyhubert.pretraining.settings import TrainingSettings
from babyhubert.training.curves import read_log

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_the_curve_is_that_of_the_cpu(tmp_path, monkeypatch):
    labels = make_labels(tmp_path / "labels", make_pack(tmp_path / "pack", [32_000 + 640 * n for n in range(24)]))
    recorded = []

    class Noted(objective.RecordedGradients):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            recorded.append(self)

    monkeypatch.setattr(objective, "RecordedGradients", Noted)
    plain = {"device": "cuda", "precision": "float32", "compile": "no"}
    losses = {}
    for name, machine, graphs in (
        ("float32 on a CPU", {"device": "cpu"}, False),
        ("float32", {**plain, "replay": "no"}, False),
        ("float32, replayed", {**plain, "workers": 2}, True),  # whose pages are locked while graphs are recorded
        ("bf16, compiled, replayed", {"device": "cuda", "precision": "bf16", "compile": "yes"}, True),
    ):
        content = {
            "encoder": {"size": "nano", "settings": dict.fromkeys(("hidden_dropout", "attention_dropout"), 0.0)},
            "batches": {"seconds": 8.0, "lengths": 2},
            "optimiser": {"steps": 60, "warmup_steps": 10, "learning_rate": 1e-3},
            "machine": {"workers": 0, "log_every": 10, "tensorboard": False, **machine},
            "health": {"stop_at_chance": False},
        }
        output = tmp_path / name
        recorded.clear()
        with ProcessGroup.join(machine["device"]) as group:
            assert run.pretrain(labels, TrainingSettings.model_validate(content), output, group, print).finished
        assert any(one.graphs for one in recorded) == graphs, name
        losses[name] = [entry["train/loss"] for entry in read_log(output / "log.jsonl") if "train/loss" in entry]
    expected = np.array(losses["float32 on a CPU"])
    assert expected[-1] < expected[0] - 0.2
    for name, values in losses.items():
        np.testing.assert_allclose(values, expected, rtol=0.1, err_msg=name)
    np.testing.assert_allclose(losses["float32, replayed"], losses["float32"], rtol=0.02)
