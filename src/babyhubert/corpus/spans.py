"""Tables of stretches of recordings: ``recording_id``, ``start``, ``end`` in samples at 16 kHz; checked when read.

Regions and training segments are such tables. Users bring their own, made by other tools in other units, and training
would run without an error on a table in the wrong unit: every row is compared with its recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals
from babyhubert.annotation.parquet import read_table, write_table
from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.text import CsvTable, read_lines
from babyhubert.audio.names import RecordingNames
from babyhubert.errors import CorpusError
from babyhubert.timebase import SAMPLE_RATE

SPAN_TYPES = {"recording_id": "string", "start": "int64", "end": "int64"}
END_TOLERANCE = SAMPLE_RATE // 50
"""Tolerance for rows that end after their recording: times rounded to 10 ms, lengths that other decoders report
differently.
"""

_SHORTEST_BELIEVED = SAMPLE_RATE // 50
"""20 ms: shorter than a frame and than any speech."""

Spans = dict[str, Intervals]


@dataclass(frozen=True, eq=False)
class _Rows:
    """A table as it was read, in the order of the file.

    Attributes:
        path: The file.
        names: Recording ids, shape (S,).
        start: In samples, float64, so that NaN is preserved until it is reported.
        end: Like ``start``.
        first_line: Line number of the first row (2 in a CSV with a header), or None if the file's own order is not
            kept.
        unit: Unit in which its times are read.
    """

    path: Path
    names: NDArray[np.object_]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    first_line: int | None
    unit: str

    def describe(self, row: int) -> str:
        """Name the file, the row and its values, for the beginning of an error message."""
        line = "" if self.first_line is None else f", line {row + self.first_line}"
        times = f"{self.start[row] / SAMPLE_RATE:.10g} to {self.end[row] / SAMPLE_RATE:.10g} s"
        return f"{self.path}{line}: {self.names[row]}, {times},"

    def refuse(self, wrong: NDArray[np.bool_], what: str) -> None:
        """Raise a :class:`CorpusError` for the first row that is wrong, if there is one."""
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            others = f" (and {int(wrong.sum()) - 1} more such rows)" if wrong.sum() > 1 else ""
            raise CorpusError(f"{self.describe(row)} {what}{others}; repair the table and try again")


def write_spans(path: Path, spans: Mapping[str, Intervals]) -> None:
    """Write a table; recordings without a row are omitted."""
    counts = [len(start) for start, _ in spans.values()]
    empty = np.zeros(0, dtype=np.int64)
    write_table(
        path,
        {
            "recording_id": np.repeat(np.array(list(spans), dtype=object), counts).tolist(),
            "start": np.concatenate([empty, *(start for start, _ in spans.values())]),
            "end": np.concatenate([empty, *(end for _, end in spans.values())]),
        },
        SPAN_TYPES,
    )


def read_spans(path: Path, lengths: Mapping[str, int], *, disjoint: bool) -> Spans:
    """Read a table of this package (Parquet), or a list given by the user (CSV, RTTM).

    Args:
        path: ``.parquet``; ``.csv`` with ``recording_id,start_s,end_s``; or what `read_annotations` reads.
        lengths: Samples of every known recording, by id.
        disjoint: True if rows of a recording must not overlap.

    Returns:
        Start and end samples of each recording that has rows, ascending; ends are cut to the recording's length.

    Raises:
        CorpusError: naming the row: a time that is no number, negative, reversed or after the end, an unknown
            recording, rows that overlap, or times in another unit than the file's format requires.
        AnnotationError: the file is malformed.
    """
    rows = _with_ids_of(_read(path), lengths)
    rows.refuse(~(np.isfinite(rows.start) & np.isfinite(rows.end)), "has a time that is not a number")
    rows.refuse(rows.start < 0, "starts before the recording (a negative time)")
    rows.refuse(rows.end <= rows.start, "does not end after it starts")
    rows.refuse(np.array([name not in lengths for name in rows.names], dtype=bool), "is not in the inventory")
    length = np.array([lengths[name] for name in rows.names], dtype=np.float64)
    _refuse_other_units(rows, length)
    behind = (rows.end > length + END_TOLERANCE) | (rows.start >= length)
    if behind.any():
        seconds = length[int(np.flatnonzero(behind)[0])] / SAMPLE_RATE
        rows.refuse(behind, f"ends behind the recording, which is {seconds:.10g} s long")
    _refuse_what_is_too_short(rows)
    return _by_recording(rows, length, disjoint)


def _with_ids_of(rows: _Rows, lengths: Mapping[str, int]) -> _Rows:
    """The rows with the ids of the inventory, if a list has longer or shorter paths of the same recordings."""
    unknown = sorted({str(name) for name in rows.names} - lengths.keys())
    if not unknown:
        return rows
    known = RecordingNames((name, name) for name in lengths)
    meant = {name: known.find(name) or name for name in unknown}
    names = np.array([meant.get(name, name) for name in rows.names], dtype=object)
    return replace(rows, names=names)


def _by_recording(rows: _Rows, length: NDArray[np.float64], disjoint: bool) -> Spans:
    start, end = rows.start.astype(np.int64), np.minimum(rows.end, length).astype(np.int64)
    order = np.lexsort((end, start, rows.names)) if len(rows.names) else np.arange(0)
    found: Spans = {}
    for name, part in _groups(rows.names[order], order):
        first, last = start[part], end[part]
        overlapping = first[1:] < last[:-1]
        if disjoint and overlapping.any():
            row = int(part[1:][overlapping][0])
            raise CorpusError(
                f"{rows.describe(row)} overlaps the row before it in time; training segments must not overlap, merge "
                "them (or give them to 'corpus regions')"
            )
        found[name] = (first, last)
    return found


def _read(path: Path) -> _Rows:
    if path.suffix == ".parquet":
        columns = read_table(path, tuple(SPAN_TYPES))
        return _rows(path, columns["recording_id"], columns["start"], columns["end"], "samples", 1)
    if path.suffix == ".csv" and _is_plain_list(path):
        return _rows(path, *_read_plain_list(path), "seconds", 2)
    found = [(name, s.start, s.end) for name, part in read_annotations(path).items() for s in part]
    times = np.array([row[1:] for row in found], dtype=np.float64).reshape(-1, 2) / SAMPLE_RATE
    return _rows(
        path,
        [row[0] for row in found],
        times[:, 0],
        times[:, 1],
        "seconds (milliseconds in ChildProject's columns and detectors' tables, samples in path,onset,length)",
        None,
    )


def _rows(path: Path, names: Any, start: Any, end: Any, unit: str, first_line: int | None) -> _Rows:
    named = np.empty(len(names), dtype=object)
    named[:] = names
    scale = 1 if unit == "samples" else SAMPLE_RATE
    first, last = (np.round(np.asarray(side, dtype=np.float64) * scale) for side in (start, end))
    return _Rows(path, named, first, last, first_line, unit)


def _is_plain_list(path: Path) -> bool:
    header = next(iter(read_lines(path)), "").replace(" ", "").split(",")
    return {"recording_id", "start_s", "end_s"} <= set(header) and "label" not in header


def _read_plain_list(path: Path) -> tuple[list[str], list[float], list[float]]:
    names: list[str] = []
    start: list[float] = []
    end: list[float] = []
    for line, row in CsvTable(path, skip_blanks=True):
        try:
            start.append(float(row["start_s"]))
            end.append(float(row["end_s"]))
        except (TypeError, ValueError):
            raise CorpusError(
                f"{path}, line {line}: start_s {row['start_s']!r}, end_s {row['end_s']!r}: not seconds"
            ) from None
        names.append(row["recording_id"])
    return names, start, end


def _refuse_other_units(rows: _Rows, length: NDArray[np.float64]) -> None:
    """Detect a wrong unit: most rows end after their recording, and would not in a smaller unit.

    Raises:
        CorpusError: the unit is wrong.
    """
    if not len(rows.end):
        return
    far = rows.end > length + END_TOLERANCE
    for unit, factor in (("milliseconds", 1000), ("samples", SAMPLE_RATE)):
        if far.mean() > 0.5 and np.mean(rows.end / factor <= length + END_TOLERANCE) > 0.99:
            raise CorpusError(
                f"{rows.describe(int(np.flatnonzero(far)[0]))} ends behind its recording, as do {int(far.sum())} of "
                f"{len(far)} rows; none would if times were {unit}: divide them by {factor}"
            )


def _refuse_what_is_too_short(rows: _Rows) -> None:
    """Detect a unit that is too small: half of the rows are shorter than any speech."""
    if not len(rows.end):
        return
    samples = rows.end - rows.start
    short = samples < _SHORTEST_BELIEVED
    if 2 * short.sum() >= len(short):
        raise CorpusError(
            f"{rows.describe(int(np.flatnonzero(short)[0]))} is too short for speech, as are {int(short.sum())} of "
            f"{len(short)} rows (below 20 ms); times are read as {rows.unit}: convert them if that is wrong"
        )


def _groups(names: NDArray[np.object_], order: NDArray[np.int64]) -> list[tuple[str, NDArray[np.int64]]]:
    """Each name with its rows; ``names`` are sorted, ``order`` gives the position of each row."""
    if not len(names):
        return []
    cuts = np.flatnonzero(names[1:] != names[:-1]) + 1
    return [(names[part[0]], order[part]) for part in np.split(np.arange(len(names)), cuts)]
