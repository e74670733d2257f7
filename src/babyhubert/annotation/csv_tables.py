"""Segments as CSV.

CSV layouts are told apart by their header; columns beyond those needed are kept as texts:

- ``uid,start_time_s,duration_s,label`` (VTC's combined table; seconds, three decimals; many recordings);
- ``segment_onset,segment_offset,speaker_type`` (ChildProject's own ``csv`` format; integer milliseconds; one
  recording, named by the file, or many, named by a column ``recording_filename``; CHI there is the key child; rows
  whose type is ``NA`` are no voice: its importer stores LENA's noise and silence as such);
- ``recording_id,start_s,end_s,label`` (what the simulator writes; seconds; many recordings; read only);
- ``filename,onset,offset,speaker`` (what BabAR writes; seconds; many recordings; read only);
- ``recording_id,spkr,startTime,endTime`` (LENA's codes; seconds; many recordings; see ``lena_table``);
- ``start,end,speaker,uri``, ``uri,start,duration`` and ``path,onset,length`` (BabyHuBERT's preparation; read only; see
  ``preparation_lists``).

Control characters in labels are escaped as in web addresses (:mod:`babyhubert.annotation.escapes`) and read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from babyhubert.annotation.codes import (
    FROM_CHILDPROJECT,
    FROM_LENA,
    OTHER_LENA_CODES,
    TO_CHILDPROJECT,
    refuse_ambiguous,
)
from babyhubert.annotation.columns import Column, columns_beside
from babyhubert.annotation.escapes import CONTROL, escape, unescape
from babyhubert.annotation.preparation_lists import (
    SAMPLES_COLUMNS,
    SECONDS_COLUMNS,
    VAD_COLUMNS,
    samples_row,
    seconds_row,
    vad_row,
)
from babyhubert.annotation.recording_rows import Parts, RecordingRows
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import CsvTable, parse_ends, parse_milliseconds, parse_span, shortened
from babyhubert.errors import AnnotationError
from babyhubert.files import csv_text, write_text
from babyhubert.timebase import format_length, format_seconds, ms_to_samples, samples_to_ms

if TYPE_CHECKING:
    from babyhubert.annotation.formats import WrittenRecording

_Row = tuple[int, int, str]


def format_childproject_csv(segments: Segments) -> str:
    """Format segments in ChildProject's ``csv`` format. Without segments it is the header alone: annotated, and
    silent.
    """
    lines: list[tuple[object, ...]] = [("segment_onset", "segment_offset", "speaker_type")]
    lines += [
        (samples_to_ms(start), samples_to_ms(end), TO_CHILDPROJECT.get(label, escape(label, CONTROL)))
        for start, end, label in segments
    ]
    return csv_text(lines)


def write_childproject_csv(path: Path, segments: Segments) -> None:
    """Write one recording's segments in ChildProject's ``csv`` format.

    Raises:
        AnnotationError: a label CHI, which would become the key child (:mod:`babyhubert.annotation.codes`).
    """
    refuse_ambiguous(segments.label, path.stem)
    write_text(path, format_childproject_csv(segments))


def write_file(path: Path, recording: WrittenRecording) -> Iterable[str]:
    """Write one recording's file, as :mod:`babyhubert.annotation.formats` asks for it."""
    write_childproject_csv(path, recording.segments)
    return ()


def format_combined_rows(uid: str, segments: Segments) -> str:
    """Format rows ``uid,start_time_s,duration_s,label`` of one recording, for a table of many."""
    return csv_text(
        (uid, format_seconds(start), format_length(start, end), escape(label, CONTROL))
        for start, end, label in segments
    )


COMBINED_HEADER = "uid,start_time_s,duration_s,label\n"


def read_file(path: Path, recording_id: str) -> Parts:
    """Segments of a CSV of any known layout, told by its columns, by recording; an error for one with a bad row.

    Raises:
        AnnotationError: a layout that is not known, or no CSV.
    """
    table = CsvTable(path)
    layout = next(((needed, parse) for needed, parse in _LAYOUTS if needed <= set(table.columns)), None)
    if layout is None:
        known = "; ".join(",".join(sorted(needed)) for needed, _ in _LAYOUTS)
        header = shortened(",".join(table.columns) or "nothing", 200)
        raise AnnotationError(f"{path}: unknown header {header}; one of these sets of columns is needed: {known}")
    needed, parse = layout
    if needed in VAD_COLUMNS:
        parse = vad_row(path)
    further = [name for name in table.columns if name not in needed]
    coded = {column.name: column for column in columns_beside(path)}
    rows = RecordingRows(tuple(further))
    anonymous = parse is _childproject_row and _RECORDING_FILENAME not in table.columns
    if anonymous:
        rows.note(recording_id)
    for line, row in table:
        where = f"{path}, line {line}"
        name = recording_id if anonymous else _name(row, where)
        with rows.of(name, where):
            parsed = parse(row, where)
            if parsed is None:
                rows.note(name)
            else:
                start, end, label = parsed
                rows.add(name, start, end, label, tuple(_value(coded.get(name), row[name]) for name in further))
    parts = rows.parts()
    return {recording_id: Segments.empty()} if parse is _childproject_row and not parts else parts


_RECORDING_FILENAME = "recording_filename"


def _name(row: Mapping[str, str], where: str) -> str:
    """Recording named in a row."""
    if {"segment_onset", "speaker_type"} <= set(row):
        return id_of_filename(row[_RECORDING_FILENAME], where)
    if set(row) >= SAMPLES_COLUMNS:
        path = PurePosixPath(row["path"].strip())
        return path.with_suffix("").as_posix() if path.name else ""
    return next(row[column] for column in ("uid", "recording_id", "filename", "uri") if column in row)


def id_of_filename(filename: str, where: str) -> str:
    """Derive a recording's id from ChildProject's ``recording_filename``: the path without its suffix.

    Raises:
        AnnotationError: it is empty, ``NA``, or not a valid name.
    """
    name = PurePosixPath(filename.strip())
    if filename.strip() in _NOTHING or not name.name:
        raise AnnotationError(f"{where}: recording_filename {shortened(filename)} names no recording")
    return name.with_suffix("").as_posix()


def _value(column: Column | None, text: str) -> str:
    if text in _NOTHING:
        return ""
    return text if column is None else column.value_of(text)


def _label(text: str) -> str:
    return unescape(text.strip(), CONTROL)


_NOTHING = frozenset({"", "NA"})


def _combined_row(row: Mapping[str, str], where: str) -> _Row:
    return *parse_span(row["start_time_s"], row["duration_s"], where), _label(row["label"])


def _recording_row(row: Mapping[str, str], where: str) -> _Row:
    return *parse_ends(row["start_s"], row["end_s"], where), _label(row["label"])


def _phonemes_row(row: Mapping[str, str], where: str) -> _Row:
    return *parse_ends(row["onset"], row["offset"], where), _label(row["speaker"])


def _lena_row(row: Mapping[str, str], where: str) -> _Row | None:
    start, end = parse_ends(row["startTime"], row["endTime"], where)
    code = _label(row["spkr"])
    return None if code in OTHER_LENA_CODES else (start, end, FROM_LENA.get(code, code))


def _childproject_row(row: Mapping[str, str], where: str) -> _Row | None:
    onset, offset = (parse_milliseconds(row[name], name, where) for name in ("segment_onset", "segment_offset"))
    if offset < onset:
        raise AnnotationError(f"{where}: ends at {offset} ms, before it starts at {onset} ms")
    label = _label(row["speaker_type"])
    if label in _NOTHING:
        return None
    return ms_to_samples(onset), ms_to_samples(offset), FROM_CHILDPROJECT.get(label, label)


_LAYOUTS: tuple[tuple[set[str], Callable[[Mapping[str, str], str], _Row | None]], ...] = (
    ({"uid", "start_time_s", "duration_s", "label"}, _combined_row),
    ({"recording_id", "start_s", "end_s", "label"}, _recording_row),
    ({"segment_onset", "segment_offset", "speaker_type"}, _childproject_row),
    ({"filename", "onset", "offset", "speaker"}, _phonemes_row),
    ({"recording_id", "spkr", "startTime", "endTime"}, _lena_row),
    *((needed, seconds_row) for needed in VAD_COLUMNS),  # whose rows the whole table tells how to read
    (SECONDS_COLUMNS, seconds_row),
    (SAMPLES_COLUMNS, samples_row),
)
