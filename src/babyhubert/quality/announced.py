"""Durations that the metadata of a study announce, to compare the files with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from babyhubert.annotation.table_columns import LISTED_RECORDINGS
from babyhubert.annotation.text import CsvTable
from babyhubert.audio.discovery import without_suffix
from babyhubert.audio.names import match_names
from babyhubert.errors import AnnotationError

_UNKNOWN = {"", "na", "nan", "<na>", "none"}


def announced_durations(path: Path, recordings: Sequence[str]) -> dict[str, float]:
    """Duration of each recording in seconds, from a column ``duration`` in milliseconds; unknown ones are left out.

    Raises:
        AnnotationError: unreadable, without the columns, or a duration that is no positive number.
    """
    table = CsvTable(path)
    name = next((name for name in LISTED_RECORDINGS if name in table.columns), None)
    if name is None or "duration" not in table.columns:
        raise AnnotationError(f"{path}: columns recording_id (or recording_filename) and duration (ms) are needed")
    found: dict[str, float] = {}
    for line, row in table:
        text = row["duration"].strip()
        if text.lower() not in _UNKNOWN:
            found[without_suffix(row[name].strip())] = _seconds(text, f"{path}, line {line}")
    same = {recording: recording for recording in recordings if recording in found}
    listed = {recording: name for name, recording in match_names(recordings, found).items()} | same
    return {recording: found[name] for recording, name in listed.items()}


def _seconds(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise AnnotationError(f"{where}: duration {text!r} is not a number of milliseconds")
    return value / 1000
