"""Fine-tuning on a CUDA device, in every precision. Skipped where there is none."""

import numpy as np
import pytest
import torch
from tones import phoneme_table, settings, voice_type_table

from babyhubert.compute.group import ProcessGroup
from babyhubert.training import task_objective
from babyhubert.training.curves import read_log
from babyhubert.training.finetuning import finetune

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_voice_type_learns(precision, scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes, batch_size=8)}
    machine = {"device": "cuda", "precision": precision, "workers": 2}
    chosen = settings(encoder, table, machine=machine, steps=120, learning_rate=3e-3, validate_every=60)
    with ProcessGroup.join("cuda") as group:
        assert finetune(chosen, ["voice_type"], tmp_path / "model", group, print).score > 0.8


def test_several_tasks_learn_together(scenes, utterances, encoder, tmp_path):
    tables = {"voice_type": voice_type_table(scenes), "phonemes": phoneme_table(utterances)}
    chosen = settings(encoder, tables, machine={"device": "cuda", "precision": "auto"}, steps=6)
    with ProcessGroup.join("cuda") as group:
        assert finetune(chosen, list(tables), tmp_path / "model", group, print).finished


def test_replayed_passes_learn_what_plain_ones_learn(scenes, utterances, encoder, tmp_path, monkeypatch):
    recorded = []

    class Noted(task_objective.RecordedPasses):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            recorded.append(self)

    monkeypatch.setattr(task_objective, "RecordedPasses", Noted)
    tables = {"voice_type": voice_type_table(scenes), "phonemes": phoneme_table(utterances)}
    losses = {}
    for replay in ("no", "auto"):
        machine = {"device": "cuda", "precision": "float32", "workers": 2, "replay": replay, "log_every": 5}
        chosen = settings(encoder, tables, machine=machine, steps=30)
        with ProcessGroup.join("cuda") as group:
            finetune(chosen, list(tables), tmp_path / replay, group, print)
        log = read_log(tmp_path / f"{replay}.work" / "log.jsonl")
        losses[replay] = [[entry[f"train/{name}/loss"] for name in tables] for entry in log if "train/hours" in entry]
    assert [passes.graphs for passes in recorded] == [1]  # windows of one length; utterances are never replayed
    np.testing.assert_allclose(losses["auto"], losses["no"], rtol=0.02)
    assert losses["auto"][-1][0] < losses["auto"][0][0]
