"""``babyhubert tune`` as a user runs it: segment, tune, segment again with what was tuned."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest

from babyhubert.annotation.rttm import read_rttm, write_rttm
from babyhubert.annotation.segments import Segments
from commands import command, write_small_model, write_sounds

CLASSES = ["KCHI", "OCH", "MAL", "FEM"]


@pytest.fixture(scope="module")
def segmented(small_model, tmp_path_factory):
    """A run over three recordings, and a reference made from its own scores at other thresholds."""
    folder = tmp_path_factory.mktemp("tune")
    audio = write_sounds(folder / "audio", ["a.wav", "day/b.wav", "day/c.wav"], seconds=8)
    out = folder / "out"
    assert command("segment", audio, "-o", out, "--model", small_model, "--overlap", 0).code == 0
    for name in ("a", "day/b", "day/c"):
        scores = np.load(out / ".babyhubert/segment/scores" / f"{name}.npy").astype(float)
        segments = {}
        for column, label in enumerate(CLASSES):
            edges = np.flatnonzero(np.diff(np.concatenate([[0], scores[:, column] > 0.62, [0]]))) * 320
            segments[label] = (edges[::2], edges[1::2])
        write_rttm(folder / f"truth/{name}.rttm", name, Segments.from_intervals(segments))
    return audio, out, folder / "truth"


def test_tuned_thresholds_go_straight_into_segment(segmented, small_model, tmp_path):
    audio, out, truth = segmented
    tuned = tmp_path / "tuned"
    result = command("tune", "voice-type", "--reference", truth, "--scores", out, "-o", tuned, "--bootstrap", 50)
    assert result.code == 0, result.err
    for expected in ("at 0.5", "held out", "High precision", "written:", "--min-on 0.1 --min-off 0.1"):
        assert expected in result.out
    record = json.loads((tuned / "tuning.json").read_text(encoding="utf-8"))
    assert record["model"]["source"] == str(small_model)
    assert record["f1"]["evaluation"]["mean"]["f1"] >= record["at_half"]["mean"]["f1"]
    assert record["f1"]["evaluation"]["mean"]["f1"] > record["at_half"]["mean"]["f1"] + 0.05
    again = tmp_path / "again"
    options = ("--model", small_model, "--overlap", 0, "--thresholds", tuned / "f1.toml")
    assert command("segment", audio, "-o", again, *options).code == 0
    options = ("--reference", truth, "--predictions", again, "-o", tmp_path / "scores")
    assert command("evaluate", "voice-type", *options).code == 0
    scored = json.loads((tmp_path / "scores/evaluation.json").read_text(encoding="utf-8"))
    for label in CLASSES:
        promised = record["f1"]["evaluation"]["classes"][label]["f1"]
        assert scored["classes"][label]["f1"] == pytest.approx(promised)
    assert read_rttm(again / "rttm/a.rttm")


def test_minimum_durations_and_calibration(segmented, small_model, tmp_path):
    _, out, truth = segmented
    options = ("--reference", truth, "--scores", out, "--step", 0.05, "-o", tmp_path / "tuned")
    result = command("tune", "voice-type", *options, "--minimum-durations", "--calibrate", "temperature-bias")
    assert result.code == 0, result.err
    for expected in ("KCHI: scores and what is so", "temperature", "chosen from 36 pairs"):
        assert expected in result.out
    correction = tomllib.loads((tmp_path / "tuned/calibration.toml").read_text(encoding="utf-8"))
    assert list(correction) == CLASSES
    record = json.loads((tmp_path / "tuned/tuning.json").read_text(encoding="utf-8"))
    chosen = record["f1"]["minimum_samples"]
    # The reference holds every run above 0.62, however short: dropping none is best.
    assert (chosen["on"], chosen["off"]) == (0, 0)
    copied = command("convert", small_model, tmp_path / "copy", "--thresholds", tmp_path / "tuned")
    assert copied.code == 0, copied.err
    assert "run 'segment --min-on 0 --min-off 0'" in copied.err
    assert "another model" not in copied.err
    other = command(
        "convert", write_small_model(tmp_path / "other", 1), tmp_path / "o", "--thresholds", tmp_path / "tuned"
    )
    assert f"tuned on another model, {small_model}" in other.err
    assert (tmp_path / "tuned/reliability.csv").read_text(encoding="utf-8").count("held out") > 4


def test_what_cannot_be_tuned_is_said_in_one_line(segmented, tmp_path):
    _, out, truth = segmented
    (tmp_path / "empty").mkdir()
    for options, message in (
        (("--reference", truth, "--scores", tmp_path / "empty"), "holds no frame scores"),
        (("--reference", tmp_path / "none", "--scores", out), "none"),
        (("--reference", truth, "--scores", out, "--step", 0), "step 0.0"),
        (("--reference", truth, "--scores", out, "--calibrate", "platt"), "--calibrate platt: one of"),
        (("--reference", truth, "--scores", out, "--min-on", -1), "--min-on -1.0"),
    ):
        result = command("tune", "voice-type", *options)
        assert result.code == 2
        assert message in result.error
