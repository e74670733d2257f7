"""Several files as one session: recorders divide a day into files, and its measures are those of the whole.

A table says which recordings make a session, in the order of time. Their results are joined end to end, and measured
like one recording: rates refer to the time recorded, and a turn may begin in one file and end in the next, because
recorders that divide a day lose nothing between the files. Time that was not recorded does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.annotation.segments import Segments
from babyhubert.annotation.table_columns import LISTED_RECORDINGS
from babyhubert.annotation.text import CsvTable
from babyhubert.audio.discovery import without_suffix
from babyhubert.audio.names import RecordingNames
from babyhubert.errors import AnnotationError, BabyHubertError, some_names
from babyhubert.files import write_text
from babyhubert.measures.csv_files import format_table
from babyhubert.measures.results import RecordingResult, RunResults
from babyhubert.measures.tables import WARNINGS, MeasureSettings, RecordingMeasures, columns, measure
from babyhubert.runs.folder import record_warnings

SESSION = "session"
ABOUT_SESSION = (SESSION, "recordings")


def read_sessions(path: Path, recording_ids: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Recordings of each session, in the order of the table; names there that are no recording of these results.

    Args:
        path: CSV with ``recording_id`` (or ``recording_filename``) and ``session``.
        recording_ids: Ids of the results.

    Raises:
        AnnotationError: unreadable, without these columns, a name that may mean several recordings, or a recording in
            two sessions.
    """
    table = CsvTable(path)
    key = next((name for name in LISTED_RECORDINGS if name in table.columns), None)
    if key is None or SESSION not in table.columns:
        raise AnnotationError(f"{path}: columns recording_id (or recording_filename) and session are needed")
    known = RecordingNames((name, name) for name in recording_ids)
    sessions: dict[str, list[str]] = {}
    owner: dict[str, str] = {}
    strange = []
    for line, row in table:
        name, session = without_suffix(row[key].strip()), row[SESSION].strip()
        where = f"{path}, line {line}"
        if not session:
            raise AnnotationError(f"{where}: no session for {name}")
        found = known.ids(name)
        if len(found) > 1:
            raise AnnotationError(f"{where}: '{name}' may mean {some_names(found)}; write the complete id")
        if not found:
            strange.append(name)
            continue
        if found[0] in owner:
            raise AnnotationError(f"{where}: {found[0]} is in the session {owner[found[0]]} already; keep one")
        owner[found[0]] = session
        sessions.setdefault(session, []).append(found[0])
    return sessions, strange


def join(session: str, parts: Sequence[RecordingResult]) -> RecordingResult:
    """Results of several recordings as those of one, end to end.

    What was not predicted for one of them is not there for the session.
    """
    offsets = np.concatenate(([0], np.cumsum([part.samples for part in parts]))).tolist()
    placed = list(zip(parts, offsets, strict=False))
    classified = {
        name: _joined((part.classified.get(name), offset) for part, offset in placed) for name in parts[0].classified
    }
    transcribed: dict[str, Any] = {}
    for name in parts[0].transcribed:
        rows = [(part.transcribed.get(name), offset) for part, offset in placed]
        transcribed[name] = None
        if all(utterances is not None for utterances, _ in rows):
            transcribed[name] = tuple(
                replace(one, start=one.start + offset, end=one.end + offset)
                for utterances, offset in rows
                for one in utterances or ()
            )
    confidences = {str(part.record.get("confidence")) for part in parts}
    record = {"warnings": [f"{part.recording_id}: {line}" for part in parts for line in record_warnings(part.record)]}
    if len(confidences) == 1 and "confidence" in parts[0].record:
        record["confidence"] = parts[0].record["confidence"]
    segments = _joined((part.segments, offset) for part, offset in placed)
    return RecordingResult(
        session,
        parts[0].path,
        offsets[-1],
        Segments.empty() if segments is None else segments,
        classified,
        transcribed,
        record,
        own_columns=parts[0].own_columns,
        expected=any(part.expected for part in parts),
    )


def _joined(tables: Iterable[tuple[Segments | None, int]]) -> Segments | None:
    """Segments at their places; None if one of the tables is missing."""
    moved = []
    for table, offset in tables:
        if table is None:
            return None
        moved.append(Segments(table.start + offset, table.end + offset, table.label, table.columns))
    if any(len(table) for table in moved) or not moved:
        return Segments.concatenate(moved)
    return moved[0]  # whose columns are kept, although it has no rows


def measure_sessions(
    results: RunResults, sessions: dict[str, list[str]], settings: MeasureSettings
) -> tuple[list[tuple[RecordingMeasures, int]], list[tuple[str, str]]]:
    """Measures of each session with its number of recordings; name and one-line error of those that cannot be read."""
    measured, failures = [], []
    for session, names in sessions.items():
        try:
            parts = [results.read(name) for name in names]
            measured.append((measure(join(session, parts), settings), len(parts)))
        except BabyHubertError as error:  # one damaged table never stops the others
            failures.append((session, str(error)))
    return measured, failures


def write_sessions(folder: Path, measured: Sequence[tuple[RecordingMeasures, int]]) -> Path:
    """Write ``sessions.csv``, a row per session with the columns of ``measures.csv``; return its path."""
    path = folder / "sessions.csv"
    names = list(measured[0][0].whole) if measured else columns()
    write_text(path, format_table(ABOUT_SESSION, names, _rows(measured)))
    return path


def _rows(measured: Sequence[tuple[RecordingMeasures, int]]) -> Iterator[dict[str, Any]]:
    for one, recordings in measured:
        about = {SESSION: one.recording_id, "recordings": recordings}
        yield {**about, **one.whole, WARNINGS: "; ".join(one.warnings)}
