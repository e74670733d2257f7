"""Mutated settings, threshold, calibration and recipe files: accepted as they say, or refused in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated, mutation_settings, survives

from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.config import Config, read_config
from babyhubert.inference.calibration import read_calibration
from babyhubert.inference.thresholds import read_threshold_sets, select_thresholds
from babyhubert.inference.windows import WindowPlan
from babyhubert.pretraining.recipe import Recipe
from babyhubert.pretraining.settings import PretrainingRun
from babyhubert.training.settings import FinetuningSettings

PRETRAINING = b"""seed = 3
[data]
pack = "pack"
labels = "labels"
[encoder]
size = "nano"
settings = { layer_drop = 0.1, hidden_dropout = 0.0 }
[batches]
seconds = 60.0
buckets = 10
[mask]
span = 10
[optimiser]
steps = 100
learning_rate = 5e-4
warmup_steps = 10
[machine]
precision = "float32"
save_every = 50
[health]
most_dead_units = 0.5
"""
FINETUNING = b"""[model]
size = "nano"
freeze_encoder = false
[train]
seed = 1
epochs = 2.5
learning_rate = 1e-4
schedule = { kind = "constant" }
[voice_type]
batch_size = 4
[voice_type.data]
train = "scenes/train"
validation = "scenes/dev"
[phonemes]
frames_per_phone = 3.0
[phonemes.data]
train = "a.csv"
validation = "b.csv"
"""
THRESHOLDS = "\n".join(f"[{label}]\nlower_bound = 0.4\nupper_bound = 1.0" for label in VOICE_TYPES).encode()
CALIBRATION = "\n".join(f"[{label}]\ntemperature = 1.2\nbias = -0.5" for label in VOICE_TYPES).encode()


@pytest.mark.parametrize(
    ("original", "kind"), [(PRETRAINING, PretrainingRun), (FINETUNING, FinetuningSettings), (PRETRAINING, Recipe)]
)
@settings(mutation_settings, max_examples=200)
@given(data=st.data())
def test_settings(original, kind, data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "settings.toml"
    path.write_bytes(data.draw(mutated(original, text=True)))
    override = data.draw(st.sampled_from([(), ("seed=-1",), ("machine.save_every=1e400",), ("a.b=[[[",), ("=",)]))
    survives(lambda: read_config(path, kind, override).model_dump_json())


@pytest.mark.parametrize("suffix", [".toml", ".yml"])
@settings(mutation_settings, max_examples=200)
@given(data=st.data())
def test_thresholds(suffix, data, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / f"thresholds{suffix}"
    folder.mkdir(exist_ok=True)
    original = THRESHOLDS
    if suffix == ".yml":
        original = "".join(f"{label}:\n  lower_bound: 0.4\n  upper_bound: 1.0\n" for label in VOICE_TYPES).encode()
    path = folder / f"f1{suffix}"
    path.write_bytes(data.draw(mutated(original, text=True)))

    def read() -> None:
        values = select_thresholds(str(path), VOICE_TYPES)
        assert all(0 <= value <= 1 for value in values.values())

    survives(read)
    survives(lambda: read_threshold_sets(folder))


@settings(mutation_settings, max_examples=200)
@given(data=st.data())
def test_calibrations(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "calibration.toml"
    path.write_bytes(data.draw(mutated(CALIBRATION, text=True)))
    survives(lambda: read_calibration(path, VOICE_TYPES))


@settings(mutation_settings, max_examples=300)
@given(seconds=st.floats() | st.integers(), overlap=st.floats() | st.integers())
def test_windows(seconds, overlap):
    survives(lambda: WindowPlan.from_overlap(seconds, overlap).spans(160_000))


class Numbers(Config):
    """One setting of each kind that has no limits of its own."""

    whole: int = 0
    real: float = 0.0
    several: Sequence[float] = ()
    text: str = ""


@settings(mutation_settings, max_examples=300)
@given(
    name=st.sampled_from(["whole", "real", "several", "text", "other"]),
    value=st.integers() | st.floats() | st.text() | st.booleans() | st.just("inf") | st.just("[nan]"),
)
def test_values_of_any_kind_on_the_command_line(name, value, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "empty.toml"
    path.write_text("")

    def read() -> None:
        found = read_config(path, Numbers, [f"{name}={value}"])
        assert all(abs(number) <= 1e12 for number in (found.whole, found.real, *found.several))

    survives(read)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "/dev/zero", "/", "."])
def test_names_that_no_settings_file_has(name):
    survives(lambda: read_config(Path(name), Numbers))
    survives(lambda: select_thresholds(name, VOICE_TYPES))
    survives(lambda: read_calibration(Path(name), VOICE_TYPES))
