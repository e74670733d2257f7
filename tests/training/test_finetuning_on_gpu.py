"""Fine-tuning on a CUDA device, in every precision. Skipped where there is none."""

import pytest
import torch
from tones import phoneme_table, settings, voice_type_table

from babyhubert.training.finetuning import finetune
from babyhubert.training.group import Group

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_voice_type_learns(precision, scenes, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes, batch_size=8)}
    machine = {"device": "cuda", "precision": precision, "workers": 2}
    chosen = settings(encoder, table, machine=machine, steps=120, learning_rate=3e-3, validate_every=60)
    with Group.join("cuda") as group:
        assert finetune(chosen, ["voice_type"], tmp_path / "model", group, print).score > 0.8


def test_several_tasks_learn_together(scenes, utterances, encoder, tmp_path):
    tables = {"voice_type": voice_type_table(scenes), "phonemes": phoneme_table(utterances)}
    chosen = settings(encoder, tables, machine={"device": "cuda", "precision": "auto"}, steps=6)
    with Group.join("cuda") as group:
        assert finetune(chosen, list(tables), tmp_path / "model", group, print).finished
