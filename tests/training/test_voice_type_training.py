"""Fine-tuning a voice-type model, on a corpus small enough to learn by heart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from small_encoders import fresh
from typer.testing import CliRunner

from babyhubert import load_model
from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.cli.app import app
from babyhubert.config import build_config
from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.loading import load_checkpoint
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.errors import AnnotationError, BabyHubertError, ConfigError
from babyhubert.training.voice_type import VoiceTypeTraining, train_voice_type

RATE = 16_000
SHAPE = HubertConfig(
    conv_dim=(8,) * 7, hidden_size=32, layers=2, heads=2, feed_forward=48, position_kernel=16, position_groups=4
)
PITCHES = {"KCHI": 3000, "FEM": 700}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Tones in noise: a high one is the key child, a low one a woman; they overlap now and then."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        sound = 0.01 * rng.standard_normal(20 * RATE)
        rows = []
        for label, pitch in PITCHES.items():
            for begin in range(0, 20, 4):
                start = int((begin + rng.uniform(0, 2)) * RATE)
                stop = start + int(rng.uniform(0.8, 1.8) * RATE)
                sound[start:stop] += 0.2 * np.sin(2 * np.pi * pitch * np.arange(stop - start) / RATE)
                rows.append((start, stop, label))
        (folder / "wav").mkdir(exist_ok=True)
        soundfile.write(folder / "wav" / f"{name}.wav", sound, RATE)
        write_rttm(folder / "rttm" / f"{name}.rttm", name, Segments.from_rows(rows))
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    weights = dict(fresh(SHAPE, 0).state_dict())
    save_model_folder(folder, Checkpoint("transformers", SHAPE, weights, {}, {}, {}), {"licence": "for tests only"})
    return folder


def settings(corpus: Path, encoder: Path, **changes: object) -> VoiceTypeTraining:
    train = {"steps": 6, "batch_size": 4, "window_s": 2.0, "warmup_steps": 2, "validate_every": 3, "device": "cpu"}
    content = {
        "data": {"train": str(corpus), "validation": str(corpus)},
        "model": {"encoder": str(encoder), "dropout": 0.0, "encoder_settings": {"layer_drop": 0.0}},
        "train": train | changes,
    }
    return build_config(content, VoiceTypeTraining, "test")


def quiet(_: str) -> None:
    """Say nothing."""


def test_it_learns_and_segments_what_it_learnt(corpus, encoder, tmp_path):
    first = train_voice_type(settings(corpus, encoder, steps=1, learning_rate=1e-9), tmp_path / "untrained", quiet)
    config = settings(corpus, encoder, steps=120, learning_rate=3e-3, validate_every=30, batch_size=8)
    best = train_voice_type(config, tmp_path / "model", quiet)
    assert best.loss < first.loss / 2
    assert min(best.f1[label] for label in PITCHES) > 0.8
    segments = load_model(tmp_path / "model", device="cpu")(corpus / "wav/a.wav")
    assert set(PITCHES) <= set(segments.labels)


def test_the_same_seed_gives_the_same_weights(corpus, encoder, tmp_path):
    for name in ("first", "second"):
        train_voice_type(settings(corpus, encoder), tmp_path / name, quiet)
    train_voice_type(settings(corpus, encoder, seed=1), tmp_path / "other", quiet)
    weights = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "second", "other")}
    assert weights["first"] == weights["second"]
    assert weights["first"] != weights["other"]


def test_the_card_says_where_the_model_comes_from(corpus, encoder, tmp_path):
    train_voice_type(settings(corpus, encoder), tmp_path / "model", quiet)
    card = json.loads((tmp_path / "model/task.json").read_text(encoding="utf-8"))
    assert str(encoder) in card["lineage"][-1]
    assert "for tests only" in card["lineage"][-1]
    assert set(card["thresholds"]["f1"]) == {"KCHI", "OCH", "MAL", "FEM"}
    assert card["training"]["config"]["train"]["steps"] == 6
    assert [entry["step"] for entry in card["training"]["log"]] == [3, 6]


def test_the_best_weights_so_far_outlive_a_killed_run(corpus, encoder, tmp_path):
    def stop(line: str) -> None:
        if line.startswith("step 6"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_voice_type(settings(corpus, encoder, steps=60), tmp_path / "model", stop)
    assert not (tmp_path / "model").exists()
    assert load_model(tmp_path / "model.work/best", device="cpu").labels == ("KCHI", "OCH", "MAL", "FEM")


def test_frozen_convolutions_stay_as_they_were(corpus, encoder, tmp_path):
    config = settings(corpus, encoder).model_copy()
    frozen = config.model_copy(update={"model": config.model.model_copy(update={"freeze_convolutions": True})})
    train_voice_type(frozen, tmp_path / "model", quiet)
    before, after = load_checkpoint(str(encoder)).encoder, load_checkpoint(str(tmp_path / "model")).encoder
    unchanged = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if "conv" in name and "position" not in name} & unchanged
    assert {name for name in before if "feed_forward" in name or "attention" in name} - unchanged


def test_settings_that_change_shapes_are_refused(corpus, encoder, tmp_path):
    content = settings(corpus, encoder).model_dump()
    content["model"]["encoder_settings"] = {"layers": 3}
    with pytest.raises(ConfigError, match=r"encoder_settings|shape"):
        train_voice_type(build_config(content, VoiceTypeTraining, "test"), tmp_path / "model", quiet)


def test_an_annotation_without_its_recording_is_named(corpus, encoder, tmp_path):
    (tmp_path / "data/rttm").mkdir(parents=True)
    write_rttm(tmp_path / "data/rttm/gone.rttm", "gone", Segments.from_rows([(0, 100, "KCHI")]))
    (tmp_path / "data/other.wav").write_bytes((corpus / "wav/a.wav").read_bytes())
    with pytest.raises(AnnotationError, match="gone"):
        train_voice_type(settings(tmp_path / "data", encoder), tmp_path / "model", quiet)


def test_a_misspelt_key_is_named_by_the_command(tmp_path):
    (tmp_path / "c.toml").write_text('[data]\ntrain = "x"\nvalidation = "x"\n[train]\nstepz = 3\n', encoding="utf-8")
    result = CliRunner().invoke(app, ["finetune", "voice-type", str(tmp_path / "c.toml"), "-o", str(tmp_path / "m")])
    assert isinstance(result.exception, BabyHubertError)
    assert "stepz" in str(result.exception)
