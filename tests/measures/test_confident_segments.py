"""Confidences in measures: expected numbers counted one by one, and segments left out with their results."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from results_folders import random_rows, write_addressees, write_phonemes, write_run

from babyhubert.annotation.columns import ADDRESSEE, PHONEMES
from babyhubert.annotation.csv_tables import write_childproject_csv
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.measures.confidence import confident, expected_measures
from babyhubert.measures.result_tables import Utterance
from babyhubert.measures.results import RecordingResult
from babyhubert.measures.tables import MeasureSettings, measure
from commands import command

HOUR = 3600 * 16_000


def result_of(seed: int, *, kind: str = "probability") -> RecordingResult:
    draw = np.random.default_rng(seed)
    rows = Segments.from_rows(random_rows(draw, 300, 2 * 3600))
    segments = Segments(rows.start, rows.end, rows.label, {"confidence": draw.random(len(rows))})
    adults = segments.where(np.isin(segments.label.astype(str), ["FEM", "MAL"]))
    told = Segments(adults.start, adults.end, adults.label, {"addressee": np.full(len(adults), "KCDS", dtype=object)})
    spoken = tuple(Utterance(start, end, ("b", "a"), 1, 1) for start, end, _ in segments.of("KCHI"))
    about = {"confidence": kind}
    return RecordingResult(
        "a", Path(), 2 * HOUR, segments, {ADDRESSEE.name: told}, {PHONEMES.name: spoken}, about, expected=True
    )


def test_expected_numbers_are_sums_of_probabilities():
    recording = result_of(0)
    edges = np.array([0, HOUR // 2, HOUR, 2 * HOUR])
    chances = recording.segments.columns["confidence"]
    found = expected_measures(recording, edges)
    for voice in VOICE_TYPES:
        number, minutes = np.zeros(3), np.zeros(3)
        for (start, end, label), chance in zip(recording.segments, chances, strict=True):
            if label != voice:
                continue
            number[np.searchsorted(edges, start, side="right") - 1] += chance
            for hour in range(3):
                minutes[hour] += chance * max(min(end, edges[hour + 1]) - max(start, edges[hour]), 0) / 960_000
        assert found[f"{voice.lower()}_segments_expected"] == pytest.approx(number)
        assert found[f"{voice.lower()}_speech_min_expected"] == pytest.approx(minutes)


def test_scores_that_are_no_probabilities_give_no_expected_number():
    found = measure(result_of(0, kind="score"), MeasureSettings(shuffles=0)).whole
    assert np.isnan([value for name, value in found.items() if name.endswith("_expected")]).sum() == 8
    plain = measure(replace(result_of(0), expected=False), MeasureSettings(shuffles=0)).whole
    assert not [name for name in plain if name.endswith("_expected")]


def test_segments_below_the_confidence_are_left_out_with_their_addressees_and_utterances():
    recording = result_of(1)
    kept = confident(recording, 0.6)
    chances = recording.segments.columns["confidence"]
    expected = [row for row, chance in zip(recording.segments, chances, strict=True) if chance >= 0.6]
    assert list(kept.segments) == expected
    rows = set(kept.segments)
    assert kept.addressed is not None
    assert list(kept.addressed) == [row for row in recording.addressed if row in rows]
    children = {(start, end) for start, end, label in rows if label == "KCHI"}
    assert [(one.start, one.end) for one in kept.utterances] == sorted(children)
    measured = measure(recording, MeasureSettings(shuffles=0, min_confidence=0.6)).whole
    assert measured["kchi_segments"] == measured["utterances"] == len(children)
    assert measured["kcds_min"] == pytest.approx(measured["adult_speech_min"])


def test_the_command_counts_confident_segments_and_names_recordings_without(tmp_path):
    rows = [(0, 16_000, "KCHI"), (32_000, 48_000, "KCHI"), (64_000, 80_000, "FEM")]
    write_run(tmp_path, {"a": rows, "old": rows}, 60)
    table = Segments.from_rows(rows)
    chances = np.array([0.9, 0.4, 0.75])
    write_childproject_csv(
        tmp_path / "csv" / "a.csv", Segments(table.start, table.end, table.label, {"confidence": chances})
    )
    write_addressees(tmp_path, {"a": [(64_000, 80_000, "FEM", "KCDS")]})
    write_phonemes(tmp_path, "a", [(0, 16_000, "b a"), (32_000, 48_000, "m a")])
    assert command("measures", tmp_path, "--shuffles", 0).code == 0
    (first, second) = csv.DictReader((tmp_path / "measures.csv").open(encoding="utf-8"))
    assert first["kchi_segments"] == second["kchi_segments"] == "2"
    assert "kchi_segments_expected" not in first
    result = command("measures", tmp_path, "--shuffles", 0, "--min-confidence", 0.5)
    assert result.code == 1
    assert "confidences are uncalibrated scores" in result.err
    assert "old: segments without confidence" in result.err
    (row,) = csv.DictReader((tmp_path / "measures.csv").open(encoding="utf-8"))
    assert (row["kchi_segments"], row["fem_segments"], row["utterances"]) == ("1", "1", "1")
    settings = json.loads((tmp_path / "measures.json").read_text(encoding="utf-8"))["settings"]
    assert settings["min_confidence"] == 0.5
    run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    run["recordings"][0]["confidence"] = "probability"
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    assert command("measures", tmp_path, "--shuffles", 0).code == 0
    first, second = csv.DictReader((tmp_path / "measures.csv").open(encoding="utf-8"))
    assert (first["kchi_segments_expected"], first["fem_segments_expected"]) == ("1.3", "0.75")
    assert second["kchi_segments_expected"] == "NA"
