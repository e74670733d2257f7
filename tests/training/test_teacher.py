"""Targets from another model: their arithmetic, what they keep, and what is refused."""

import json

import numpy as np
import pytest
import torch
from test_finetuning import run
from tones import settings, voice_type_table

from babyhubert.encoder.loading import load_checkpoint
from babyhubert.encoder.multitask import TaskModel
from babyhubert.errors import CheckpointError, ConfigError
from babyhubert.tasks.voice_type.teacher import Teacher, TeacherSettings

LABELS = ("KCHI", "FEM")


@pytest.fixture(scope="module")
def voices(scenes, encoder, tmp_path_factory):
    """A model that tells the tones apart; do not write to it."""
    folder = tmp_path_factory.mktemp("voices") / "model"
    config = settings(
        encoder, {"voice_type": voice_type_table(scenes)}, steps=60, learning_rate=3e-3, validate_every=60
    )
    run(config, folder)
    return folder


def probabilities(folder, audio, lengths=None):
    network = TaskModel.from_checkpoint(load_checkpoint(folder))
    with torch.no_grad():
        return torch.sigmoid(network.head("voice_type")(network.features(audio, lengths=lengths)["voice_type"]))


def test_targets_are_weighted_means_and_the_annotation_alone_without_voices(voices):
    teacher = Teacher(TeacherSettings(model=str(voices), share=0.25), "voice_type", LABELS)
    audio = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0)) * 0.1
    own = probabilities(voices, audio)
    labels = torch.zeros_like(own)
    labels[:, 3] = 1
    found = teacher.targets(audio, None, labels, torch.tensor([1.0, 0.0]).reshape(2, 1, 1))
    torch.testing.assert_close(found[0], 0.75 * labels[0] + 0.25 * own[0])
    assert torch.equal(found[1], labels[1])
    assert not found.requires_grad
    nobody = teacher.targets(audio, None, labels, torch.zeros(2, 1, 1))
    assert torch.equal(nobody, labels)


def test_windows_of_different_lengths_keep_theirs_where_some_are_not_taught(voices):
    teacher = Teacher(TeacherSettings(model=str(voices), share=1.0), "voice_type", LABELS)
    audio = torch.randn(3, 8000, generator=torch.Generator().manual_seed(0)) * 0.1
    audio[2, 5000:] = 0
    lengths = torch.tensor([8000, 8000, 5000])
    own = probabilities(voices, audio, lengths)
    labels = torch.zeros(3, 24, 2)
    taught = torch.tensor([0.0, 1.0, 1.0]).reshape(3, 1, 1)
    found = teacher.targets(audio, lengths, labels, taught)
    torch.testing.assert_close(found[1:], own[1:], atol=1e-5, rtol=0)


def test_a_teacher_keeps_what_wrong_annotation_would_undo(scenes, voices, tmp_path):
    """Trained on swapped labels a model swaps its classes; with its former self as the only teacher it does not."""
    swapped = {"label_map": {"KCHI": "FEM", "FEM": "KCHI"}}
    scores = {}
    for name, teacher in (("alone", {}), ("taught", {"teacher": {"model": str(voices), "share": 1.0}})):
        table = {"voice_type": voice_type_table(scenes, **swapped, **teacher)}
        config = settings(voices, table, {"heads": "keep"}, steps=40, learning_rate=3e-3, validate_every=40)
        run(config, tmp_path / name)
        audio = torch.from_numpy(tone(3000)).unsqueeze(0)
        scores[name] = probabilities(tmp_path / name, audio)[0, 10:-10].mean(dim=0)
    assert scores["taught"][0] > scores["taught"][1]
    assert scores["alone"][0] < scores["alone"][1]


def tone(pitch: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    seconds = np.arange(32_000) / 16_000
    return (0.2 * np.sin(2 * np.pi * pitch * seconds) + 0.01 * rng.standard_normal(32_000)).astype(np.float32)


def test_the_card_names_the_teacher(scenes, voices, encoder, tmp_path):
    table = {"voice_type": voice_type_table(scenes, teacher={"model": str(voices)})}
    run(settings(encoder, table, steps=1), tmp_path / "model")
    card = json.loads((tmp_path / "model" / "task.json").read_text())
    assert card["voice_type"]["teacher"].startswith(f"{voices}, SHA-256 ")


def test_windows_without_voices_are_not_taught(scenes, voices, encoder, tmp_path):
    """A teacher that knows no silence: in windows without voices the student still learns it."""
    non_speech = {"probability": 1.0, "silent_share": 0.0, "tones_share": 0.0, "level_dbfs": (-20.0, -20.0)}
    table = {"voice_type": voice_type_table(scenes, nobody=non_speech, teacher={"model": str(voices), "share": 1.0})}
    config = settings(voices, table, {"heads": "keep"}, steps=20, learning_rate=3e-3, validate_every=20)
    run(config, tmp_path / "model")
    audio = torch.from_numpy(tone(3000)).unsqueeze(0)
    assert probabilities(tmp_path / "model", audio).max() < probabilities(voices, audio).max()


def test_a_teacher_of_other_classes_or_without_the_head_is_refused(scenes, voices, encoder, tmp_path):
    with pytest.raises(ConfigError, match=r"teacher\.model: .* knows KCHI, FEM, the configuration KCHI, MAL"):
        Teacher(TeacherSettings(model=str(voices)), "voice_type", ("KCHI", "MAL"))
    with pytest.raises(CheckpointError, match="no voice type head"):
        Teacher(TeacherSettings(model=str(encoder)), "voice_type", LABELS)
