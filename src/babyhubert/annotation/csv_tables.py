"""Segments as CSV.

CSV layouts are told apart by their header; columns beyond those needed are kept as texts:

- ``uid,start_time_s,duration_s,label`` (VTC's combined table; seconds, three decimals; many recordings; a column
  ``confidence`` may follow, here and in the next);
- ``segment_onset,segment_offset,speaker_type`` (ChildProject's own ``csv`` format; integer milliseconds; one
  recording, named by the file, or many, named by a column ``recording_filename``; CHI there is the key child; rows
  whose type is ``NA`` are no voice: its importer stores LENA's noise and silence as such);
- ``recording_id,start_s,end_s,label`` (what the simulator writes; seconds; many recordings; read only);
- ``recording_id,start_time_s,duration_s,label`` (tables of tasks of this package; read only);
- ``filename,onset,offset,speaker`` (what BabAR writes; seconds; many recordings; read only), also with
  ``recording_id``;
- ``recording_id,spkr,startTime,endTime`` (LENA's codes; seconds; many recordings; see ``lena_table``);
- ``start,end,speaker,uri``, ``uri,start,duration`` and ``path,onset,length`` (BabyHuBERT's preparation; read only; see
  ``preparation_lists``).

Control characters in labels are escaped as in web addresses (:mod:`babyhubert.annotation.escapes`) and read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from babyhubert.annotation.confidence import CONFIDENCE, confidence_texts, has_confidence
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
from babyhubert.annotation.table_columns import (
    BABAR,
    CHILDPROJECT,
    COMBINED,
    LENA,
    RECORDING_FILENAME,
    SYMBOLS,
    TRUTH,
    UTTERANCE,
    Layout,
)
from babyhubert.annotation.text import CsvTable, shortened
from babyhubert.errors import AnnotationError
from babyhubert.files import csv_text, write_text
from babyhubert.timebase import format_length, format_seconds, samples_to_ms

if TYPE_CHECKING:
    from babyhubert.annotation.formats import WrittenRecording

_Row = tuple[int, int, str]
_Parser = Callable[[Mapping[str, str], str], "_Row | None"]


def format_childproject_csv(segments: Segments) -> str:
    """Format segments in ChildProject's ``csv`` format, with a column ``confidence`` if they have one.

    Without segments it is the header alone: annotated, and silent.
    """
    lines: list[tuple[object, ...]] = [(*CHILDPROJECT.columns, *_further(segments))]
    lines += [
        (samples_to_ms(start), samples_to_ms(end), TO_CHILDPROJECT.get(label, escape(label, CONTROL)), *further)
        for (start, end, label), further in zip(segments, _further_cells(segments), strict=True)
    ]
    return csv_text(lines)


def _further(segments: Segments) -> tuple[str, ...]:
    return (CONFIDENCE,) if has_confidence(segments) else ()


def _further_cells(segments: Segments) -> Iterable[tuple[str, ...]]:
    if not has_confidence(segments):
        return ((),) * len(segments)
    return ((text,) for text in confidence_texts(segments))


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


def format_combined_rows(uid: str, segments: Segments, confidence: Sequence[str] | None = None) -> str:
    """Format rows ``uid,start_time_s,duration_s,label`` of one recording, for a table of many.

    Args:
        uid: The recording.
        segments: Its segments.
        confidence: A text a segment for a fifth column ``confidence``; None: no such column.
    """
    further = ((),) * len(segments) if confidence is None else ((text,) for text in confidence)
    return csv_text(
        (uid, format_seconds(start), format_length(start, end), escape(label, CONTROL), *own)
        for (start, end, label), own in zip(segments, further, strict=True)
    )


COMBINED_HEADER = csv_text([COMBINED.columns])
COMBINED_CONFIDENCE_HEADER = csv_text([(*COMBINED.columns, CONFIDENCE)])


def read_file(path: Path, recording_id: str) -> Parts:
    """Read segments of a CSV of any known layout, by recording; an error for a recording with an invalid row.

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
    of_one = needed == set(CHILDPROJECT.columns)
    anonymous = of_one and RECORDING_FILENAME not in table.columns
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
    return {recording_id: Segments.empty()} if of_one and not parts else parts


def _name(row: Mapping[str, str], where: str) -> str:
    """Recording named in a row."""
    if set(row) >= set(CHILDPROJECT.columns):
        return id_of_filename(row[RECORDING_FILENAME], where)
    if set(row) >= SAMPLES_COLUMNS:
        path = PurePosixPath(row["path"].strip())
        return path.with_suffix("").as_posix() if path.name else ""
    return next(row[column] for column in _NAMES if column in row)


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


_NAMES = (*(one.recording for one in (COMBINED, TRUTH, BABAR) if one.recording is not None), "uri")
_NOTHING = frozenset({"", "NA"})


def _lena_label(code: str) -> str | None:
    return None if code in OTHER_LENA_CODES else FROM_LENA.get(code, code)


def _childproject_label(label: str) -> str | None:
    return None if label in _NOTHING else FROM_CHILDPROJECT.get(label, label)


def _rows_of(layout: Layout, meaning: Callable[[str], str | None] = str) -> tuple[set[str], _Parser]:
    """Columns of a layout, and the reader of its rows: None for a row whose label means no voice."""

    def parse(row: Mapping[str, str], where: str) -> _Row | None:
        start, end = layout.stretch.parse(row, where)
        label = meaning(_label(row[layout.label]))
        return None if label is None else (start, end, label)

    return set(layout.columns), parse


_LAYOUTS: tuple[tuple[set[str], _Parser], ...] = (
    _rows_of(COMBINED),
    _rows_of(UTTERANCE),
    _rows_of(TRUTH),
    _rows_of(CHILDPROJECT, _childproject_label),
    _rows_of(BABAR),
    _rows_of(SYMBOLS),
    _rows_of(LENA, _lena_label),
    *((needed, seconds_row) for needed in VAD_COLUMNS),  # whose rows the whole table tells how to read
    (SECONDS_COLUMNS, seconds_row),
    (SAMPLES_COLUMNS, samples_row),
)
