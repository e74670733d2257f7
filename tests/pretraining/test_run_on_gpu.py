"""Pre-training on a CUDA device: convolutions as matrix products, compiled blocks. Skipped where there is none."""

import numpy as np
import pytest
import torch
from material import make_labels, make_pack

from babyhubert.pretraining.run import pretrain
from babyhubert.pretraining.settings import TrainingSettings
from babyhubert.training.curves import read_log
from babyhubert.training.group import Group

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def test_the_curve_is_that_of_the_cpu(tmp_path):
    labels = make_labels(tmp_path / "labels", make_pack(tmp_path / "pack", [32_000 + 640 * n for n in range(24)]))
    losses = {}
    for name, machine in {
        "float32 on a CPU": {"device": "cpu"},
        "float32": {"device": "cuda", "precision": "float32", "compile": "no"},
        "float32, each step asked for": {"device": "cuda", "precision": "float32", "compile": "no", "replay": "no"},
        "bf16, compiled": {"device": "cuda", "precision": "bf16", "compile": "yes"},
    }.items():
        content = {
            "encoder": {"size": "nano", "settings": dict.fromkeys(("hidden_dropout", "attention_dropout"), 0.0)},
            "batches": {"seconds": 8.0, "lengths": 2},  # so that passes are replayed
            "optimiser": {"steps": 60, "warmup_steps": 10, "learning_rate": 1e-3},
            "machine": {"workers": 0, "log_every": 10, "tensorboard": False, **machine},
            "health": {"stop_at_chance": False},
        }
        output = tmp_path / name
        with Group.join(machine["device"]) as group:
            assert pretrain(labels, TrainingSettings.model_validate(content), output, group, print).finished
        losses[name] = [entry["train/loss"] for entry in read_log(output / "log.jsonl") if "train/loss" in entry]
    expected = np.array(losses.pop("float32 on a CPU"))
    assert expected[-1] < expected[0] - 0.2
    for name, values in losses.items():
        np.testing.assert_allclose(values, expected, rtol=0.1, err_msg=name)
