"""Results of tasks for one recording, read from the tables that their commands wrote.

Folders of annotations by people (``babyhubert sample --collect``) hold the same tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.annotation.columns import Column
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.table_columns import recording_of
from babyhubert.annotation.text import CsvTable, parse_ends, parse_span
from babyhubert.errors import AnnotationError
from babyhubert.files import path_below
from babyhubert.phonology.sonority import is_canonical, syllabify
from babyhubert.phonology.syllables import BOUNDARY
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.provenance import is_stale, segments_fingerprint


@dataclass(frozen=True)
class Utterance:
    """Symbols of one segment: what the key child said.

    Attributes:
        start: First sample.
        end: Sample after the last.
        phonemes: IPA symbols, none if nothing was recognised.
        syllables: Their number.
        canonical: Syllables of these that are canonical (a vowel and a true consonant).
        label: Of the segment.
    """

    start: int
    end: int
    phonemes: tuple[str, ...]
    syllables: int
    canonical: int
    label: str = "KCHI"


def require_intact(
    folder: Path, command: str, recording_id: str, path: Path | None, typed: str | None = None
) -> dict[str, Any] | None:
    """The record of a recording, if a command wrote one, after a check that its file is intact.

    Args:
        folder: The output folder.
        command: Name of the command.
        recording_id: The recording.
        path: Its file; None where it has none.
        typed: The command as a user types it; None: its name.

    Raises:
        AnnotationError: the file, or the record, is damaged.
    """
    own = RunFolder(folder, command)
    if own.is_damaged(recording_id):
        fault: str | None = f"{own.record_path(recording_id)}: damaged"
    else:
        record = own.record(recording_id)
        fault = None if record is None or path is None else own.fault(record, path)
    if fault is not None:
        raise AnnotationError(f"{fault}; run 'babyhubert {typed or command}' on {recording_id} again")
    return record


@dataclass(frozen=True)
class ClassTable:
    """Predictions of a classification task for segments.

    Attributes:
        column: Its column.
        written: The column's name in the task's files.
        rows: The predicted segments, by recording; None if the task was not run.
    """

    column: Column
    written: str
    rows: Mapping[str, Segments] | None

    @classmethod
    def open(cls, folder: Path, column: Column, written: str) -> ClassTable:
        """The table of all recordings that the task left in a folder."""
        return cls(column, written, _read_classes(folder / f"rttm_{column.task}.csv", column, written))

    def read(self, folder: Path, recording_id: str, segments: Segments) -> Segments | None:
        """The predicted segments of a recording, with the task's column; None if it was not run.

        A recording without a row counts as processed only if it has no segment to predict. Classes of other segments
        than those count as unknown.
        """
        if self.rows is None:
            return None
        column = self.column
        path = path_below(folder / column.task, recording_id, ".csv")
        record = require_intact(folder, column.task, recording_id, path, column.command)
        if record is not None and "outputs" in record:
            if is_stale(record, segments_fingerprint(segments)):
                return None
            return (_read_classes(path, column, self.written) or {}).get(recording_id, _nothing_to_predict(column))
        if recording_id in self.rows:
            return self.rows[recording_id]
        return None if column.applies_to(segments).any() else _nothing_to_predict(column)


def _read_classes(path: Path, column: Column, written: str) -> dict[str, Segments] | None:
    """Predicted segments of a task, by recording, with its column; None if the table is missing."""
    if not path.is_file():
        return None
    rows: dict[str, list[tuple[int, int, str, str]]] = {}
    for where, row in _rows(path, ("start_time_s", "duration_s", "label", written)):
        start, end = parse_span(row["start_time_s"], row["duration_s"], where)
        recording_id = recording_of(row, where)
        rows.setdefault(recording_id, []).append((start, end, row["label"], (row[written] or "").strip()))
    return {recording_id: _classified_segments(found, column) for recording_id, found in rows.items()}


def _classified_segments(rows: Iterable[tuple[int, int, str, str]], column: Column) -> Segments:
    start, end, label, value = zip(*rows, strict=True)
    columns = {column.name: np.array(value, object)}
    table = Segments(np.array(start), np.array(end), np.array(label, object), columns)
    return table.where(column.applies_to(table))


def _nothing_to_predict(column: Column) -> Segments:
    return replace(Segments.empty(), columns={column.name: np.empty(0, dtype=object)})


def read_utterances(
    folder: Path, column: Column, recording_id: str, segments: Segments
) -> tuple[Utterance, ...] | None:
    """The key child's utterances; None if there are none, or they belong to other segments."""
    record = RunFolder(folder, column.task).record(recording_id)
    if record is not None and is_stale(record, segments_fingerprint(segments)):
        return None
    for name in (f"{column.task}_enriched", column.task):
        path = path_below(folder / name, recording_id, ".csv")
        written = record.get("outputs") if record is not None else None
        if path.is_file() and (written is None or path.relative_to(folder).as_posix() in written):
            require_intact(folder, column.task, recording_id, path, column.command)
            found = [_utterance(row, column, where) for where, row in _rows(path, ("onset", "offset", "phonemes"))]
            return tuple(sorted(found, key=lambda utterance: (utterance.start, utterance.end)))
    return None


def _utterance(row: Mapping[str, str], column: Column, where: str) -> Utterance:
    start, end = parse_ends(row["onset"], row["offset"], where)
    phonemes = tuple((row["phonemes"] or "").split())
    told = row.get("syllables")
    if told:
        syllables = [tuple(part.split()) for part in told.split(BOUNDARY) if part.strip()]
    else:
        syllables = syllabify(phonemes)
    canonical = sum(is_canonical(syllable) for syllable in syllables)
    label = column.voices[0] if len(column.voices) == 1 else row.get("speaker", "")
    return Utterance(start, end, phonemes, len(syllables), canonical, label)


def _rows(path: Path, needed: Iterable[str]) -> Iterable[tuple[str, dict[str, str]]]:
    table = CsvTable(path)
    table.require(*needed)
    return [(f"{path}, line {line}", row) for line, row in table]
