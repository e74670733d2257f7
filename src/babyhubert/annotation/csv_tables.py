"""Segments as CSV, and annotations of whole folders whatever their format.

CSV layouts are told apart by their header; columns beyond those needed are kept as texts:

- ``uid,start_time_s,duration_s,label`` (VTC's combined table; seconds, three decimals; many recordings);
- ``segment_onset,segment_offset,speaker_type`` (ChildProject's own ``csv`` format; integer milliseconds; one
  recording, named by the file; CHI there is the key child; rows whose type is ``NA`` are nobody's voice: its importer
  keeps LENA's noise and silence as such);
- ``recording_id,start_s,end_s,label`` (what the simulator writes; seconds; many recordings; read only);
- ``filename,onset,offset,speaker`` (what BabAR writes; seconds; many recordings; read only);
- ``recording_id,spkr,startTime,endTime`` (LENA's codes; seconds; many recordings; see ``lena_table``).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from babyhubert.annotation.codes import (
    ADDRESSEE_FROM_CODE,
    FROM_CHILDPROJECT,
    FROM_LENA,
    OTHER_LENA_CODES,
    TO_CHILDPROJECT,
)
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import parse_ends, parse_span, read_lines
from babyhubert.errors import AnnotationError
from babyhubert.files import csv_text, write_text
from babyhubert.timebase import format_length, format_seconds, ms_to_samples, samples_to_ms

_Row = tuple[str, int, int, str]


def format_childproject_csv(segments: Segments) -> str:
    """ChildProject's ``csv`` format. Without segments it is the header alone: annotated, and silent."""
    lines = ["segment_onset,segment_offset,speaker_type\n"]
    lines += [
        f"{samples_to_ms(start)},{samples_to_ms(end)},{TO_CHILDPROJECT.get(label, label)}\n"
        for start, end, label in segments
    ]
    return "".join(lines)


def write_childproject_csv(path: Path, segments: Segments) -> None:
    """Write one recording's segments in ChildProject's ``csv`` format."""
    write_text(path, format_childproject_csv(segments))


def format_combined_rows(uid: str, segments: Segments) -> str:
    """Rows ``uid,start_time_s,duration_s,label`` of one recording, for a table of many."""
    return csv_text((uid, format_seconds(start), format_length(start, end), label) for start, end, label in segments)


COMBINED_HEADER = "uid,start_time_s,duration_s,label\n"


def read_csv_segments(path: Path, recording_id: str) -> dict[str, Segments]:
    """Segments of a CSV of any known layout, told by its columns; by recording.

    Raises:
        AnnotationError: a layout that is not known, or a malformed row.
    """
    reader = csv.DictReader(read_lines(path), restval="")
    columns = set(reader.fieldnames or ())
    for needed, parse, names_recordings in _LAYOUTS:
        if needed <= columns:
            further = [name for name in reader.fieldnames or () if name not in needed]
            table = _Table(further, None if names_recordings else recording_id)
            for row in reader:
                table.add(parse(row, recording_id, f"{path}, line {reader.line_num}"), row)
            return table.segments()
    known = "; ".join(",".join(sorted(needed)) for needed, _, _ in _LAYOUTS)
    header = ",".join(reader.fieldnames or ()) or "nothing"
    raise AnnotationError(f"{path}: unknown header {header!r}; one of these sets of columns is needed: {known}")


class _Table:
    """Rows of a CSV file, by recording."""

    def __init__(self, further: Iterable[str], always: str | None) -> None:
        self._further = list(further)
        self._rows: dict[str, list[tuple[int, int, str]]] = {} if always is None else {always: []}
        self._values: dict[str, list[list[str]]] = {} if always is None else {always: []}

    def add(self, parsed: _Row | None, row: Mapping[str, str]) -> None:
        """Take one row; None where it is no segment of a voice."""
        if parsed is None:
            return
        uid, start, end, label = parsed
        self._rows.setdefault(uid, []).append((start, end, label))
        self._values.setdefault(uid, []).append([row[name] for name in self._further])

    def segments(self) -> dict[str, Segments]:
        """One table a recording, each with the further columns."""
        return {uid: self._one(uid) for uid in self._rows}

    def _one(self, uid: str) -> Segments:
        rows = Segments.from_rows(())
        if self._rows[uid]:
            start, end, label = zip(*self._rows[uid], strict=True)
            columns = {}
            for name, values in zip(self._further, zip(*self._values[uid], strict=True), strict=True):
                if name == "addressee":
                    values = tuple(ADDRESSEE_FROM_CODE.get(value, value) for value in values)
                columns[name] = np.array(["" if value in _NOTHING else value for value in values], dtype=object)
            rows = Segments(np.array(start), np.array(end), np.array(label, dtype=object), columns)
        return rows


_NOTHING = frozenset({"", "NA"})


def _combined_row(row: Mapping[str, str], _: str, where: str) -> _Row:
    start, end = parse_span(row["start_time_s"], row["duration_s"], where)
    return row["uid"], start, end, row["label"]


def _recording_row(row: Mapping[str, str], _: str, where: str) -> _Row:
    return row["recording_id"], *parse_ends(row["start_s"], row["end_s"], where), row["label"]


def _phonemes_row(row: Mapping[str, str], _: str, where: str) -> _Row:
    return row["filename"], *parse_ends(row["onset"], row["offset"], where), row["speaker"]


def _lena_row(row: Mapping[str, str], _: str, where: str) -> _Row | None:
    start, end = parse_ends(row["startTime"], row["endTime"], where)
    code = row["spkr"]
    return None if code in OTHER_LENA_CODES else (row["recording_id"], start, end, FROM_LENA.get(code, code))


def _childproject_row(row: Mapping[str, str], recording_id: str, where: str) -> _Row | None:
    try:
        onset, offset = int(row["segment_onset"]), int(row["segment_offset"])
    except (ValueError, TypeError):
        raise AnnotationError(
            f"{where}: segment_onset {row['segment_onset']!r} and segment_offset {row['segment_offset']!r} "
            "must be whole milliseconds"
        ) from None
    if onset < 0 or offset < onset:
        raise AnnotationError(f"{where}: segment from {onset} to {offset} ms is negative or ends before it starts")
    if row["speaker_type"] in _NOTHING:
        return None
    label = FROM_CHILDPROJECT.get(row["speaker_type"], row["speaker_type"])
    return recording_id, ms_to_samples(onset), ms_to_samples(offset), label


_LAYOUTS: tuple[tuple[set[str], Callable[[Mapping[str, str], str, str], _Row | None], bool], ...] = (
    ({"uid", "start_time_s", "duration_s", "label"}, _combined_row, True),
    ({"recording_id", "start_s", "end_s", "label"}, _recording_row, True),
    ({"segment_onset", "segment_offset", "speaker_type"}, _childproject_row, False),
    ({"filename", "onset", "offset", "speaker"}, _phonemes_row, True),
    ({"recording_id", "spkr", "startTime", "endTime"}, _lena_row, True),
)
