"""Tables of stretches of recordings: ``recording_id``, ``start``, ``end`` in samples at 16 kHz; checked when read.

Regions and training segments are such tables. People bring their own, made by other tools in other units, and a table
in the wrong unit trains without complaint: every row is compared with the recording it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals
from babyhubert.annotation.rttm import read_lines
from babyhubert.annotation.tables import read_annotations
from babyhubert.corpus.parquet import read_table, write_table
from babyhubert.errors import CorpusError
from babyhubert.timebase import SAMPLE_RATE

SPAN_TYPES = {"recording_id": "string", "start": "int64", "end": "int64"}
_TOLERANCE = SAMPLE_RATE // 50
"""Rows may end so far behind their recording: times rounded to 10 ms, lengths told differently by other decoders."""

Spans = dict[str, Intervals]


def write_spans(path: Path, spans: Mapping[str, Intervals]) -> None:
    """Write a table; recordings without a row are left out."""
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
    """Read a table of our own (Parquet), or a list that people bring (CSV, RTTM).

    Args:
        path: ``.parquet``; ``.csv`` with ``recording_id,start_s,end_s``; or what `annotation.tables` reads.
        lengths: Samples of every known recording, by id.
        disjoint: Whether rows of a recording may not overlap.

    Returns:
        Start and end samples of each recording that has rows, ascending; ends are cut to the recording's length.

    Raises:
        CorpusError: naming the row: a time that is no number, negative, reversed or behind the end, an unknown
            recording, rows that overlap, or seconds where milliseconds belong and the reverse.
        AnnotationError: the file is malformed.
    """
    names, start, end = _read(path)
    _refuse(path, names, start, ~(np.isfinite(start) & np.isfinite(end)), "has a time that is not a number")
    _refuse(path, names, start, start < 0, "starts before the recording (a negative time)")
    _refuse(path, names, start, end <= start, "does not end after it starts")
    unknown = np.array([name not in lengths for name in names], dtype=bool)
    _refuse(path, names, start, unknown, "names a recording that is not in the inventory")
    length = np.array([lengths[name] for name in names], dtype=np.float64)
    _refuse_other_units(path, end, length)
    _refuse(path, names, start, end > length + _TOLERANCE, "ends behind the recording")
    start, end = np.minimum(start, length), np.minimum(end, length)
    order = np.lexsort((end, start, names)) if len(names) else np.arange(0)
    found: Spans = {}
    for name, rows in _by_name(names[order], order):
        first, last = start[rows].astype(np.int64), end[rows].astype(np.int64)
        if disjoint and np.any(first[1:] < last[:-1]):
            row = int(rows[1:][first[1:] < last[:-1]][0])
            raise CorpusError(
                f"{path}, row {row + 1}: {name} at {start[row] / SAMPLE_RATE:.3f} s overlaps the row before it in "
                "time; training segments must not overlap, merge them (or give them to 'corpus regions')"
            )
        found[name] = (first, last)
    return found


def _read(path: Path) -> tuple[NDArray[np.object_], NDArray[np.float64], NDArray[np.float64]]:
    """Names, starts and ends in samples, in the order of the file."""
    columns: dict[str, Any]
    if path.suffix == ".parquet":
        columns = read_table(path, tuple(SPAN_TYPES))
        scale = 1.0
    elif path.suffix == ".csv" and _is_plain_list(path):
        columns = _read_plain_list(path)
        scale = float(SAMPLE_RATE)
    else:
        rows = [(name, s.start, s.end) for name, part in read_annotations(path).items() for s in part]
        columns = {name: [row[i] for row in rows] for i, name in enumerate(SPAN_TYPES)}
        scale = 1.0
    names = np.empty(len(columns["recording_id"]), dtype=object)
    names[:] = columns["recording_id"]
    start, end = (np.asarray(columns[side], dtype=np.float64) * scale for side in ("start", "end"))
    return names, np.round(start), np.round(end)


def _is_plain_list(path: Path) -> bool:
    header = next(iter(read_lines(path)), "").replace(" ", "").split(",")
    return {"recording_id", "start_s", "end_s"} <= set(header) and "label" not in header


def _read_plain_list(path: Path) -> dict[str, Any]:
    import csv

    columns: dict[str, list[Any]] = {"recording_id": [], "start": [], "end": []}
    reader = csv.DictReader(read_lines(path), skipinitialspace=True)
    for row in reader:
        try:
            columns["start"].append(float(row["start_s"]))
            columns["end"].append(float(row["end_s"]))
        except (TypeError, ValueError):
            raise CorpusError(
                f"{path}, line {reader.line_num}: start_s {row['start_s']!r}, end_s {row['end_s']!r}: not seconds"
            ) from None
        columns["recording_id"].append(row["recording_id"])
    return columns


def _refuse(path: Path, names: NDArray, start: NDArray, wrong: NDArray[np.bool_], what: str) -> None:
    if not wrong.any():
        return
    row = int(np.flatnonzero(wrong)[0])
    others = f" ({int(wrong.sum())} such rows)" if wrong.sum() > 1 else ""
    time = f" at {start[row] / SAMPLE_RATE:g} s" if np.isfinite(start[row]) else ""
    raise CorpusError(f"{path}, row {row + 1}: {names[row]}{time} {what}{others}; repair the table and try again")


def _refuse_other_units(path: Path, end: NDArray[np.float64], length: NDArray[np.float64]) -> None:
    """Times a thousand times too long or too short say that a column holds another unit than its name."""
    if not len(end):
        return
    far = end > length + _TOLERANCE
    if far.mean() > 0.5 and np.mean(end / 1000 <= length + _TOLERANCE) > 0.99:
        raise CorpusError(
            f"{path}: {int(far.sum())} of {len(end)} rows end behind their recording and would not if times were "
            "milliseconds: divide them by 1000"
        )
    if far.mean() > 0.5 and np.mean(end / SAMPLE_RATE <= length + _TOLERANCE) > 0.99:
        raise CorpusError(
            f"{path}: {int(far.sum())} of {len(end)} rows end behind their recording and would not if times were "
            f"samples: divide them by {SAMPLE_RATE}"
        )


def _by_name(names: NDArray[np.object_], order: NDArray[np.int64]) -> list[tuple[str, NDArray[np.int64]]]:
    if not len(names):
        return []
    cuts = np.flatnonzero(names[1:] != names[:-1]) + 1
    return [(names[part[0]], order[part]) for part in np.split(np.arange(len(names)), cuts)]
