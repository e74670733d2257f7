"""ChildProject projects: annotations read from their sets, and sets written ready for ChildProject's importer.

A project holds ``metadata/recordings.csv``, audio below ``recordings/raw``, and sets of annotations:
``annotations/<set>/raw`` as received, ``annotations/<set>/converted`` as written by its importer, and the stretches
they cover in ``metadata/annotations.csv``, which only the importer may change. This module therefore writes ``raw``
(ChildProject's ``csv`` format, one file per recording, sub-folders as below ``recordings/raw``), ``metannots.yml``,
and ``import.csv``, the table that its command ``import-annotations`` requires. The ChildProject package is not used,
but tested against.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from babyhubert.annotation.codes import TO_CHILDPROJECT, refuse_ambiguous
from babyhubert.annotation.columns import ADDRESSEE, COLUMNS, PHONEMES, Column
from babyhubert.annotation.confidence import CONFIDENCE, confidence_texts
from babyhubert.annotation.csv_tables import id_of_filename
from babyhubert.annotation.intervals import Intervals, union
from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.annotation.text import CsvTable, parse_milliseconds, parse_number, shortened
from babyhubert.annotation.tiers import column_texts
from babyhubert.audio.names import RecordingNames
from babyhubert.errors import AnnotationError, UnsafeNameError
from babyhubert.files import csv_text, path_below, write_text
from babyhubert.timebase import LONGEST_RECORDING_S, ms_to_samples, samples_to_ms

_INDEX = Path("metadata") / "annotations.csv"
_RECORDINGS = Path("metadata") / "recordings.csv"
_NOTHING = ("", "NA")


@dataclass(frozen=True)
class AnnotationSet:
    """One set of annotations in a project, such as ``vtc`` or ``eaf/2021``."""

    project: Path
    name: str


@dataclass(frozen=True)
class ProjectRecording:
    """A row of ``metadata/recordings.csv``.

    Attributes:
        filename: The audio below ``recordings/raw``, with forward slashes.
        duration_ms: Its length; None if the table does not have it.
    """

    filename: str
    duration_ms: int | None

    @property
    def recording_id(self) -> str:
        """The filename without its suffix, which is the recording's id everywhere in this package."""
        return PurePosixPath(self.filename).with_suffix("").as_posix()


def is_project(folder: Path) -> bool:
    """True for a ChildProject project folder."""
    return (folder / _RECORDINGS).is_file()


def find_set(path: Path) -> AnnotationSet | None:
    """Find the set that a folder denotes: a project with one set, or ``annotations/<set>`` in a project.

    None for any other folder, also for ``annotations/<set>/raw``, whose files are read as they are.

    Raises:
        AnnotationError: a project with no imported set, or with several.
    """
    path = Path(path).absolute()
    if is_project(path):
        names = sorted({row["set"] for _, row in _index(path)})
        if len(names) == 1:
            return AnnotationSet(path, names[0])
        if not names:
            raise AnnotationError(f"{path}: no annotations were imported; give a folder annotations/<set>/raw in it")
        raise AnnotationError(f"{path}: holds several sets ({', '.join(names)}); give {path / 'annotations'}/<set>")
    for project in path.parents:
        if is_project(project) and path.is_relative_to(project / "annotations"):
            parts = path.relative_to(project / "annotations").parts
            parts = parts[:-1] if parts[-1:] == ("converted",) else parts
            name = "/".join(parts)
            if any(row["set"] == name for _, row in _index(project)):
                return AnnotationSet(project, name)
    return None


def read_each_of_set(chosen: AnnotationSet) -> Iterator[tuple[Path, dict[str, Segments] | AnnotationError]]:
    """Yield the segments of one recording after the other, or an error if one of its files cannot be read.

    A recording that was annotated and has no segments has an empty table; one that was not annotated is missing.
    """
    folder = path_below(chosen.project / "annotations", chosen.name) / "converted"
    index = chosen.project / _INDEX
    files: dict[str, list[Path]] = {}
    failures: dict[str, AnnotationError] = {}
    for where, row in _rows_of(chosen):
        recording_id = row["recording_filename"]
        try:
            recording_id = id_of_filename(recording_id, where)
            _range(row, where)
            files.setdefault(recording_id, []).append(path_below(folder, row["annotation_filename"]))
        except AnnotationError as error:
            failures.setdefault(recording_id, error)
        except UnsafeNameError as error:
            failures.setdefault(recording_id, AnnotationError(f"{where}: {error}"))
    yield from ((index, error) for error in failures.values())
    for recording_id, paths in files.items():
        if recording_id in failures:
            continue
        try:
            parts = [_segments_of(path, recording_id) for path in paths]
            yield paths[0], {recording_id: Segments.concatenate(parts)}
        except AnnotationError as error:
            yield paths[0], error


def _segments_of(path: Path, recording_id: str) -> Segments:
    """Segments of one recording in a converted file, which may hold others as well.

    Raises:
        AnnotationError: unreadable, or it has other recordings only.
    """
    found = read_segments(path, recording_id)
    name = RecordingNames((name, name) for name in found).find(recording_id)
    if name is not None:
        return found[name]
    if found:
        raise AnnotationError(
            f"{path}: names {', '.join(sorted(found)[:3])}, but the project's index says that it is of {recording_id}"
        )
    return Segments.empty()


def annotated_stretches(chosen: AnnotationSet) -> dict[str, Intervals]:
    """Stretches of each recording that the set covers, in samples: the ones that may be scored.

    Rows of the index for which :func:`read_each_of_set` yields an error are excluded.
    """
    spans: dict[str, list[tuple[int, int]]] = {}
    for where, row in _rows_of(chosen):
        with suppress(AnnotationError):
            spans.setdefault(id_of_filename(row["recording_filename"], where), []).append(_range(row, where))
    return {recording_id: union(*np.array(rows, dtype=np.int64).T) for recording_id, rows in spans.items() if rows}


def _range(row: Mapping[str, str], where: str) -> tuple[int, int]:
    """The stretch that a row of the index covers, in samples."""
    onset, offset = (parse_milliseconds(row[side], side, where) for side in ("range_onset", "range_offset"))
    if offset < onset:
        raise AnnotationError(f"{where}: the range from {onset} to {offset} ms ends before it begins")
    return ms_to_samples(onset), ms_to_samples(offset)


def read_project_recordings(project: Path) -> list[ProjectRecording]:
    """Read the recordings that a project lists; rows without audio (``NA``) are skipped.

    Raises:
        AnnotationError: no such table, no column ``recording_filename``, an invalid duration, or two recordings with
            one name.
    """
    path = project / _RECORDINGS
    table = CsvTable(path)
    table.require("recording_filename")
    found: dict[str, ProjectRecording] = {}
    for number, row in table:
        filename = row["recording_filename"].strip()
        if filename in _NOTHING:
            continue
        where = f"{path}, line {number}"
        id_of_filename(filename, where)
        recording = ProjectRecording(filename, _duration(row.get("duration", ""), where))
        other = found.setdefault(recording.recording_id, recording)
        if other is not recording:
            raise AnnotationError(
                f"{path}, line {number}: {filename} and {other.filename} are both called {other.recording_id}; "
                "keep one row"
            )
    return list(found.values())


def project_audio(project: Path, recording: ProjectRecording) -> Path:
    """Path of a recording's audio in a project, even if its content is not present."""
    return path_below(project / "recordings" / "raw", recording.filename)


@dataclass(frozen=True)
class SetKind:
    """Content of a set.

    Attributes:
        name: Last part of the set's name.
        columns: Columns after onset, offset and speaker type.
        segmentation: Name of the kind whose segments these are.
        flags: Fields of ``metannots.yml`` that describe its content.
        column: Column of the segments that fills them; None: only who speaks.
    """

    name: str
    columns: tuple[str, ...]
    segmentation: str
    flags: tuple[str, ...]
    column: Column | None = None


VOICE_TYPE_SET = SetKind("vtc", (), "vtc", ("has_speaker_type",))
CONFIDENT_SET = SetKind("vtc", (CONFIDENCE,), "vtc", ("has_speaker_type",))
"""Voice types with the confidence of each segment, which ChildProject's importer keeps as a further column."""


def set_of(column: Column) -> SetKind:
    """Return the kind of set of a task's column."""
    columns: tuple[str, ...] = (column.name,)
    if column.kind == "ctc":
        columns = _SYMBOL_COLUMNS.get(column.name, (f"n_{column.name}", column.name))
    return SetKind(column.name, columns, "vtc", ("has_speaker_type", *column.flags), column)


_SYMBOL_COLUMNS = {PHONEMES.name: ("phonemes", "phonetic_transcription")}
"""Columns for the number of symbols and for the symbols, if ChildProject has names for them."""

ADDRESSEE_SET = set_of(ADDRESSEE)
PHONEMES_SET = set_of(PHONEMES)


def kinds_in(
    segments: Segments, columns: Iterable[Column] = COLUMNS, *, confidence: bool = False
) -> tuple[SetKind, ...]:
    """Kinds of sets in a table: voice types always, the others if their columns exist.

    Args:
        segments: The table.
        columns: Columns that it may have.
        confidence: The set of voice types has a column ``confidence``.
    """
    filled = (column for column in columns if column.task and column.name in segments.columns)
    voices = CONFIDENT_SET if confidence else VOICE_TYPE_SET
    return (voices, *map(set_of, filled))


def format_set_csv(segments: Segments, kind: SetKind, recording_id: str) -> str:
    """Format one recording of a set in ChildProject's ``csv`` format; the header alone if it has no segments.

    Classes are written as their codes. Of symbols (the key child's phonemes) the set holds the utterances that were
    transcribed, their number of symbols (which is what ChildProject's column ``phonemes`` means) and the
    transcription. ``NA`` means that a segment has no value, and replaces labels that are no voice type.

    Raises:
        AnnotationError: a label CHI, see :mod:`babyhubert.annotation.codes`.
    """
    refuse_ambiguous(segments.label, recording_id)
    lines: list[Iterable[object]] = [("segment_onset", "segment_offset", "speaker_type", *kind.columns)]
    asked = np.ones(len(segments), dtype=bool) if kind.column is None else kind.column.applies_to(segments)
    cells = ((text or "NA",) for text in confidence_texts(segments)) if kind == CONFIDENT_SET else None
    for (start, end, label), said, own in zip(segments, cells or _cells(segments, kind.column), asked, strict=True):
        speaker = TO_CHILDPROJECT.get(label, label) if label in VOICE_TYPES else "NA"
        if said is not None and (own or not _is_of_symbols(kind.column)):
            lines.append((samples_to_ms(start), samples_to_ms(end), speaker, *said))
    return csv_text(lines)


def _is_of_symbols(column: Column | None) -> bool:
    return column is not None and column.kind == "ctc"


def _cells(segments: Segments, column: Column | None) -> Iterator[tuple[object, ...] | None]:
    """The last cells of each segment's row; None where it has no row."""
    if column is None:
        yield from (() for _ in segments)
    elif _is_of_symbols(column):
        symbols = segments.columns.get(column.name, np.full(len(segments), None, dtype=object))
        yield from (None if each is None else (len(str(each).split()), str(each) or "NA") for each in symbols)
    else:
        yield from ((column.code_of(text) or "NA",) for text in column_texts(segments, column.name))


def format_metannots(fields: Mapping[str, str]) -> str:
    """Return ``metannots.yml``: one line per field, texts quoted as in JSON, which YAML reads alike."""
    return "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items())


def write_import_table(path: Path, set_name: str, rows: Sequence[tuple[ProjectRecording, int, int]]) -> None:
    """Write the table for ``child-project import-annotations``: each recording, with an annotated stretch in ms."""
    lines: list[Iterable[object]] = [
        ("set", "recording_filename", "time_seek", "range_onset", "range_offset", "raw_filename", "format")
    ]
    for recording, onset, offset in rows:
        lines.append((set_name, recording.filename, 0, onset, offset, f"{recording.recording_id}.csv", "csv"))
    write_text(path, csv_text(lines))


def imported_before(project: Path, set_name: str) -> bool:
    """True if a project's index already lists annotations of this set."""
    return (project / _INDEX).is_file() and any(row["set"] == set_name for _, row in _index(project))


def _index(project: Path) -> list[tuple[str, dict[str, str]]]:
    """Rows of a project's index, each with its position."""
    path = project / _INDEX
    if not path.exists() and not path.is_symlink():
        return []
    table = CsvTable(path)
    table.require("set", "recording_filename", "annotation_filename", "range_onset", "range_offset")
    return [(f"{path}, line {line}", row) for line, row in table]


def _rows_of(chosen: AnnotationSet) -> list[tuple[str, dict[str, str]]]:
    return [
        (where, row)
        for where, row in _index(chosen.project)
        if row["set"] == chosen.name and row["annotation_filename"] not in _NOTHING
    ]


def _duration(text: str, where: str) -> int | None:
    if text.strip() in _NOTHING:
        return None
    duration = parse_number(text)
    if duration is None or not 0 <= duration <= 1000 * LONGEST_RECORDING_S:
        raise AnnotationError(
            f"{where}: duration {shortened(text)} is not in milliseconds; run 'child-project compute-durations'"
        )
    return int(duration)
