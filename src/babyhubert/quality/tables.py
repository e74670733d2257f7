"""Tables of `quality`: one row a recording, details with bad stretches, and the usable stretches as a UEM file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.annotation.intervals import complement
from babyhubert.audio.names import rttm_uri
from babyhubert.files import csv_text, write_json, write_text
from babyhubert.quality.verdict import UNUSABLE, joined
from babyhubert.runs.folder import RunFolder, record_warnings
from babyhubert.runs.journal import Outcome
from babyhubert.runs.kept import without_damaged
from babyhubert.timebase import SAMPLE_RATE, format_clock, format_seconds

_HOUR = 3600 * SAMPLE_RATE
_LEAD = {"fault": "", "note": "note: "}

CSV = "quality.csv"
JSON = "quality.json"
UEM = "quality.uem"

_FIGURES: dict[str, int] = {
    "duration_h": 4, "usable_h": 4, "level_dbfs": 1, "peak_dbfs": 1, "speech_dbfs": 1, "floor_dbfs": 1, "snr_db": 1,
    "silent_share": 4, "clipped_share": 4, "dropouts_per_h": 2, "repeats_per_h": 2, "cancelled_share": 4,
    "silent_channels": -1, "treble_db": 1, "muffled_share": 4, "bandwidth_hz": 0, "hum_hz": 0, "hum_dbfs": 1,
    "hum_share": 4, "line_hz": 2, "pitch_low_hz": 0, "pitch_median_hz": 0, "still_share": 4, "noisy_share": 4,
    "dynamics_db": 1, "announced_h": 4,
}  # fmt: skip
"""Columns of figures, with their decimals; -1: text."""

COLUMNS = ("recording_id", "verdict", *_FIGURES, "faults", "notes", "warnings")


def verdict_of(record: Mapping[str, Any]) -> str:
    """``fault`` or ``good``: the worst of a recording's findings, notes aside."""
    return "fault" if any(finding["severity"] == "fault" for finding in record["findings"]) else "good"


def sentence(record: Mapping[str, Any]) -> str:
    """One sentence on a recording, for the terminal."""
    hours = usable_hours([record])
    told = "; ".join(_LEAD[finding["severity"]] + finding["told"] for finding in record["findings"])
    return f"{record['recording_id']}: {verdict_of(record)}, {hours}" + (f": {told}" if told else "")


def usable_hours(records: Iterable[Mapping[str, Any]]) -> str:
    """Usable and complete time of recordings, such as ``6:07:48 of 11:54:00 usable``."""
    records = list(records)
    sums = [sum(record["figures"][name] for record in records) for name in ("usable_h", "duration_h")]
    usable, whole = (format_clock(round(hours * _HOUR)) for hours in sums)
    return f"{usable} of {whole} usable"


def write_tables(folder: RunFolder, about: Mapping[str, Any], outcome: Outcome) -> Outcome:
    """Write the tables of all complete recordings and ``failures.csv``.

    Args:
        folder: The folder, locked by the caller.
        about: Result of `QualityRun.about`.
        outcome: Outcome of the run.

    Returns:
        The outcome, recordings whose record is damaged among the failures.
    """
    outcome = without_damaged(folder, outcome, command="quality")
    records = folder.records()
    write_text(folder.output / CSV, csv_text([COLUMNS, *map(_row, records)]))
    write_text(folder.output / UEM, "".join(line for record in records for line in _uem_lines(record)))
    failures = [{"path": str(path), "error": error} for path, error in outcome.failures]
    detail = {"recordings": [_detail(record) for record in records], "failures": failures}
    write_json(folder.output / JSON, {"command": "quality", **about, **detail})
    folder.write_failures(outcome.failures)
    return outcome


def _row(record: Mapping[str, Any]) -> list[str]:
    figures, findings = record["figures"], record["findings"]
    return [
        record["recording_id"],
        verdict_of(record),
        *(_written(figures.get(name), decimals) for name, decimals in _FIGURES.items()),
        " ".join(finding["kind"] for finding in findings if finding["severity"] == "fault"),
        " ".join(finding["kind"] for finding in findings if finding["severity"] == "note"),
        "; ".join(record_warnings(record)),
    ]


def _written(value: Any, decimals: int) -> str:
    """A figure; NA if it could not be measured."""
    if decimals < 0:
        return str(value or "")
    return "NA" if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def _uem_lines(record: Mapping[str, Any]) -> Sequence[str]:
    """Usable stretches of a recording."""
    samples = round(record["duration_s"] * SAMPLE_RATE)
    bad = [
        np.array(record["stretches"][kind], dtype=np.int64).reshape(-1, 2)
        for kind in UNUSABLE
        if kind in record["stretches"]
    ]
    usable = complement(*joined([(each[:, 0], each[:, 1]) for each in bad]), samples)
    uri = rttm_uri(record["recording_id"])
    return [f"{uri} 1 {format_seconds(start)} {format_seconds(end)}\n" for start, end in zip(*usable, strict=True)]


def _detail(record: Mapping[str, Any]) -> dict[str, Any]:
    kept = (
        "recording_id",
        "path",
        "duration_s",
        "sample_rate",
        "channels",
        "channel",
        "warnings",
        "figures",
        "findings",
    )
    stretches = {
        kind: [[round(start / SAMPLE_RATE, 3), round(end / SAMPLE_RATE, 3)] for start, end in found]
        for kind, found in record["stretches"].items()
    }
    return {**{name: record.get(name) for name in kept}, "verdict": verdict_of(record), "stretches_s": stretches}


def read_quality(output: Path) -> dict[str, Mapping[str, Any]]:
    """Records of `quality` in an output folder, by recording; none if it was not run there."""
    return {record["recording_id"]: record for record in RunFolder(output, "quality").records()}
