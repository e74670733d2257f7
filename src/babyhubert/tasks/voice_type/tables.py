"""Tables over all recordings of ``babyhubert segment``, written when a run ends and by ``merge``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.annotation.confidence import confidence_texts
from babyhubert.annotation.csv_tables import COMBINED_CONFIDENCE_HEADER, COMBINED_HEADER, format_combined_rows
from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.rttm import read_rttm
from babyhubert.files import path_below, write_json, write_text
from babyhubert.inference.thresholds import format_thresholds
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome
from babyhubert.runs.provenance import mixture_notes, stale_notes
from babyhubert.runs.record import reported_recordings, run_record
from babyhubert.tasks.voice_type.prediction import SCORE_DTYPE
from babyhubert.timebase import FRAME_HOP

Damaged = list[tuple[Path, str]]
"""Path and one-line error of each recording that is missing from a table."""


def write_tables(folder: RunFolder, about: Mapping[str, Any], outcome: Outcome) -> Outcome:
    """Write the files over all complete recordings: tables, thresholds, failures, ``run.json``.

    Args:
        folder: The folder, locked by the caller.
        about: Result of `SegmentRun.about`.
        outcome: Outcome of the run.

    Returns:
        The outcome, with damaged results among the failures.
    """
    output = folder.output
    damaged = _combine(folder, confidence="confidence" in about["settings"])
    if about["raw"] or (output / "raw_rttm.csv").exists():
        raw = partial(_path_in, output / "raw_rttm")
        damaged += folder.combine(output / "raw_rttm.csv", COMBINED_HEADER, raw, _rows, optional=True)
    if about["probabilities"]:
        settings = about["settings"]
        facts = _probability_format(about["model"]["classes"], calibrated="calibration" in settings)
        if "skip_quiet_db" in settings:
            facts["not_encoded"] = "frames of quiet stretches were not encoded and scored 0 (before any calibration)"
        write_json(output / "probs" / "format.json", facts)
    notes = [*mixture_notes(folder), *stale_notes(folder.output)]
    write_text(output / "thresholds.toml", format_thresholds(about["settings"]["thresholds"]))
    outcome = outcome.with_damaged(damaged, notes)
    folder.write_failures(outcome.all_failures)
    records = folder.records()
    recordings = [
        told | {"current_settings": record.get("result") == about["result"]}
        for told, record in zip(reported_recordings(records), records, strict=True)
    ]
    folder.write_run(run_record(folder.command, about, outcome, records) | {"recordings": recordings})
    return outcome


def _combine(folder: RunFolder, *, confidence: bool) -> Damaged:
    """Write ``rttm.csv``: segments from the RTTM files, confidences from the CSV files beside them."""
    output = folder.output
    rttm, target = partial(_path_in, output / "rttm"), output / "rttm.csv"
    if not confidence:
        return folder.combine(target, COMBINED_HEADER, rttm, _rows)
    tables = partial(path_below, output / "csv", suffix=".csv")
    return folder.combine(target, COMBINED_CONFIDENCE_HEADER, rttm, partial(_rows_with_confidence, tables), tables)


def _probability_format(classes: Sequence[str], *, calibrated: bool) -> dict[str, Any]:
    return {
        "what": "probability of each class in each frame, one .npy a recording, shape (frames, classes)",
        "dtype": np.dtype(SCORE_DTYPE).name,
        "classes": list(classes),
        "calibrated": calibrated,
        "frame_samples": FRAME_HOP,
        "sample_rate": 16_000,
        "frame": "row i covers [0.02 i, 0.02 (i + 1)) seconds",
    }


def _path_in(folder: Path, recording_id: str) -> Path:
    return path_below(folder, recording_id, ".rttm")


def _rows(recording_id: str, path: Path) -> str:
    return "".join(format_combined_rows(recording_id, segments) for segments in read_rttm(path).values())


def _rows_with_confidence(tables: Callable[[str], Path], recording_id: str, path: Path) -> str:
    """Rows of a recording; confidences are empty where its table has none (an earlier version, --no-confidence)."""
    beside = tables(recording_id)
    found = read_segments(beside, recording_id).get(recording_id) if beside.is_file() else None
    rows = []
    for segments in read_rttm(path).values():
        texts = confidence_texts(found) if found is not None and found == segments else [""] * len(segments)
        rows.append(format_combined_rows(recording_id, segments, texts))
    return "".join(rows)
