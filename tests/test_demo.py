"""The demonstration, shortened; and the models that come with the package."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import babyhubert
from babyhubert import demo
from babyhubert.annotation.reading import read_annotations
from babyhubert.encoder.loading import load_checkpoint
from babyhubert.evaluation.detection import compare
from babyhubert.shipped import SMALL_MODEL, shipped_models
from babyhubert.simulation.writer import write_scenes
from babyhubert.training.finetuning import FinetuningResult
from commands import command


@pytest.fixture
def short(monkeypatch):
    """Seconds instead of minutes; everything else as it is."""
    full = demo.demo_training

    def training(train, validation, seed):
        config = full(train, validation, seed)
        fewer = config.train.model_copy(update={"steps": 2, "validate_every": 1})
        smaller = config.voice_type.model_copy(update={"batch_size": 2, "window_s": 1.0})
        return config.model_copy(update={"train": fewer, "voice_type": smaller})

    monkeypatch.setattr(demo, "demo_training", training)
    for name, value in {"TRAINING_SCENES": 1, "_TRAINING_MINUTES": 1.0, "_TEST_MINUTES": 0.25}.items():
        monkeypatch.setattr(demo, name, value)


def test_the_demonstration_leaves_what_it_says(short, tmp_path):
    first = command("demo", "-o", tmp_path / "demo")
    assert first.code == 0, first.err
    for path in ("model/task.json", "segments/rttm.csv", "evaluation/evaluation.json", "embeddings/run.json"):
        assert (tmp_path / "demo" / path).is_file()
        assert path.split("/")[0] in first.out
    scores = json.loads((tmp_path / "demo/evaluation/evaluation.json").read_text(encoding="utf-8"))
    assert scores["recordings"] == demo.TEST_SCENES
    weights = (tmp_path / "demo/model/model.safetensors").read_bytes()
    again = command("demo", "-o", tmp_path / "demo")
    assert again.code == 0, again.err
    assert "earlier run" in again.out
    assert (tmp_path / "demo/model/model.safetensors").read_bytes() == weights


def test_one_model_is_shipped_with_a_head_for_every_command():
    assert shipped_models() == (SMALL_MODEL.name,)
    assert sum(path.stat().st_size for path in SMALL_MODEL.iterdir()) < 20_000_000
    heads = load_checkpoint(SMALL_MODEL.name).heads
    assert {name: head.kind for name, head in heads.items()} == {
        "voice_type": "frames",
        "addressee": "classification",
        "phonemes": "ctc",
        "vocalisation": "classification",
    }


def test_the_shipped_model_says_what_it_is():
    card = babyhubert.load_model().card
    assert "no substitute" in card["description"].lower()
    assert "CC BY 4.0" in card["licence"]
    assert any("random weights" in origin for origin in card["lineage"])
    assert "/tmp" not in json.dumps(card)
    trainings = [card["training"], *(part["training"] for part in card["joined"])]
    for material in (each["config"]["voice_type"]["data"] for each in trainings):
        train, validation = (
            {source if isinstance(source, str) else source["path"] for source in material[side]}
            for side in ("train", "validation")
        )
        assert train
        assert validation
        assert not train & validation
        assert not any(path.startswith("/") for path in train | validation)


def test_the_shipped_thresholds_are_in_the_order_of_their_names():
    sets = babyhubert.load_model().card["thresholds"]
    for label in ("KCHI", "OCH", "MAL", "FEM"):
        assert sets["high-recall"][label] < sets["f1"][label] < sets["high-precision"][label]


def test_the_shipped_model_hears_a_voice_it_never_heard(tmp_path):
    """Synthetic voices are new to it; it must still find speech far better than marking everything does."""
    write_scenes(tmp_path, recordings=1, minutes=1.0, seed=5, prefix="scene")
    scores = babyhubert.load_model(device="cpu").scores(tmp_path / "audio/scene_000.wav").astype(np.float32)
    truth = read_annotations(tmp_path / "rttm")["scene_000"]
    spoken = np.zeros(len(scores), dtype=bool)
    for start, end, _ in truth:
        spoken[start // 320 : end // 320] = True
    anybody = scores.max(axis=1)
    ranks = anybody.argsort().argsort()[spoken]
    area = (ranks.sum() - spoken.sum() * (spoken.sum() - 1) / 2) / (spoken.sum() * (~spoken).sum())
    assert area > 0.8


@pytest.mark.parametrize("task", ["addressee", "phonemes", "vocalisation"])
def test_utterances_can_be_judged_without_naming_a_model(task, tmp_path):
    verb = "classify" if task == "vocalisation" else task
    write_scenes(tmp_path / "scenes", recordings=1, minutes=1.0, seed=5)
    given = ("--segments", tmp_path / "scenes/rttm")
    done = command(verb, tmp_path / "scenes/audio", "-o", tmp_path / "out", *given)
    assert done.code == 0, done.err
    assert "using playroom," in done.err
    named = command(verb, tmp_path / "scenes/audio", "-o", tmp_path / "named", *given, "--model", "playroom")
    assert named.code == 0, named.err
    (table,) = (tmp_path / "out" / task).glob("*.csv")
    with table.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) > 3
    assert table.read_bytes() == (tmp_path / "named" / task / table.name).read_bytes()
    model = babyhubert.load_model(task=task, device="cpu")
    truth = read_annotations(tmp_path / "scenes/rttm")["scene_000"]
    assert len(model(tmp_path / "scenes/audio/scene_000.wav", truth)) > 3


def test_segment_without_a_model_says_that_this_is_a_demonstration(tmp_path):
    write_scenes(tmp_path / "scenes", recordings=1, minutes=0.2, seed=1)
    done = command("segment", tmp_path / "scenes/audio", "-o", tmp_path / "out", "--overlap", "0")
    assert done.code == 0, done.err
    assert "playroom" in done.err
    assert "coml/VTC-2" in done.err
    reference, found = read_annotations(tmp_path / "scenes/rttm"), read_annotations(tmp_path / "out/rttm")
    assert set(compare(reference, found).recordings) == set(reference)


def test_high_recall_of_the_shipped_model_finds_more(tmp_path):
    write_scenes(tmp_path / "scenes", recordings=1, minutes=1.0, seed=5)
    spoken, out = {}, tmp_path / "out"
    for name in ("f1", "high-recall"):
        command("segment", tmp_path / "scenes/audio", "-o", out, "--overlap", "0", "--thresholds", name)
        spoken[name] = sum(end - start for found in read_annotations(out / "rttm").values() for start, end, _ in found)
    assert spoken["high-recall"] > spoken["f1"] > 0


def test_a_demo_whose_training_is_stopped_stops(tmp_path, monkeypatch):
    def stopped(settings, tasks, model, group, say):
        return FinetuningResult(1, False, 0, 0.0, {})

    monkeypatch.setattr(demo, "_simulate", lambda *_: None)
    monkeypatch.setattr(demo, "finetune", stopped)
    said = []
    with pytest.raises(KeyboardInterrupt):
        demo.run_demo(tmp_path, say=said.append)
    assert not any(line.startswith("3/5") for line in said)
