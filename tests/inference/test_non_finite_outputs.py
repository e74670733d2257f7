"""What cannot be computed is a failure of the recording that names the model, never silence and never an array of NaN.

The model is a valid one whose last layer holds finite weights that are far too large: its outputs overflow.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from babyhubert.errors import ComputationError
from babyhubert.inference.engine import Engine, Failed, Finished
from babyhubert.inference.utterance_predictor import alone
from babyhubert.inference.utterances import OwnWindowEngine, OwnWindows, Utterances
from babyhubert.inference.windows import WindowPlan
from commands import command, write_small_model, write_sounds


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory) -> Path:
    folder = write_small_model(tmp_path_factory.mktemp("models") / "overflowing")
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    for name in tensors:
        if name.endswith("output_dense.weight") or name.startswith("heads."):
            tensors[name] = torch.full_like(tensors[name], 1e38)
    for name in tensors:
        if name.endswith("final_layer_norm.weight"):
            tensors[name] = torch.full_like(tensors[name], 1e38)
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("sounds"), ["a.wav", "b.wav"])


def failures(output: Path) -> list[dict[str, str]]:
    with (output / "failures.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "arguments", [("segment",), ("embed",), ("embed", "--dtype", "float16"), ("segment", "--speed", "balanced")]
)
def test_every_command_fails_and_names_the_model(arguments, overflowing, sounds, tmp_path):
    output = tmp_path / "out"
    name, *options = arguments
    ended = command(name, sounds, "-o", output, "--model", overflowing, *options)
    assert ended.code == 2
    assert "0 recordings done" in ended.out
    assert "2 failed" in ended.out
    for row in failures(output):
        assert "not finite" in row["error"]
        assert str(overflowing) in row["error"]
    assert not [*output.rglob("*.npy"), *output.rglob("*.rttm")]


def test_vectors_of_segments_are_not_made_of_nan(overflowing, sounds, tmp_path):
    (tmp_path / "a.rttm").write_text("SPEAKER a 1 0.500 1.000 <NA> <NA> KCHI <NA> <NA>\n")
    output = tmp_path / "out"
    ended = command("embed", sounds, "-o", output, "--model", overflowing, "--segments", tmp_path / "a.rttm")
    assert ended.code == 2
    assert "not finite" in failures(output)[0]["error"]


def test_float16_that_cannot_hold_a_value_says_so(sounds, tmp_path):
    folder = write_small_model(tmp_path / "model")
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    tensors["encoder.layers.2.final_layer_norm.weight"] *= 1e6
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    ended = command("embed", sounds, "-o", tmp_path / "half", "--model", folder, "--dtype", "float16")
    assert ended.code == 2
    assert "--dtype float32" in failures(tmp_path / "half")[0]["error"]
    assert command("embed", sounds, "-o", tmp_path / "whole", "--model", folder).code == 0
    assert np.isfinite(np.load(tmp_path / "whole" / "layer3" / "a.npy")).all()
    json.loads((tmp_path / "whole" / "run.json").read_text())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("at_once", [1, 2])
def test_other_recordings_go_on(value, at_once):
    """One value in one window fails its recording alone; the rest of it is not read any further."""

    def compute(waveforms: torch.Tensor) -> torch.Tensor:
        frames = waveforms.unfold(1, 400, 320).mean(-1)
        return torch.where(frames > 0.5, torch.tensor(value), frames)

    drawn = 0

    def blocks(loud: bool):
        nonlocal drawn
        for number in range(20):
            drawn += loud
            yield np.full(16000, 1.0 if loud and number == 3 else 0.1, dtype=np.float32)

    engine = Engine(compute, WindowPlan.from_overlap(1.0, 0.5), 2, at_once=at_once, model="models/x")
    ends = {}
    for event in engine.run([("bad", blocks(True)), ("good", blocks(False))]):
        if isinstance(event, Failed | Finished):
            assert event.key not in ends
            ends[event.key] = event
    assert isinstance(ends["good"], Finished)
    assert isinstance(ends["bad"], Failed)
    assert isinstance(ends["bad"].error, ComputationError)
    assert "bad: the model models/x gives values that are not finite" in str(ends["bad"].error)
    assert drawn < 20


def test_utterances_in_their_own_windows():
    def utterances() -> OwnWindows:
        return OwnWindows(Utterances(np.array([0, 16000]), np.array([8000, 24000])), alone, 0)

    def each(windows):
        frames = [window.unfold(1, 400, 320).mean(-1, keepdim=True) for window in windows]
        return [torch.where(part > 0.5, torch.tensor(float("nan")), part) for part in frames]

    sound = {"bad": np.ones(32000, dtype=np.float32), "good": np.zeros(32000, dtype=np.float32)}
    engine = OwnWindowEngine(each, {name: utterances() for name in sound}, "models/x")
    events = list(engine.run([(name, [samples]) for name, samples in sound.items()]))
    ends = {event.key: event for event in events if isinstance(event, Failed | Finished)}
    assert isinstance(ends["good"], Finished)
    assert isinstance(ends["bad"], Failed)
    assert "models/x" in str(ends["bad"].error)
