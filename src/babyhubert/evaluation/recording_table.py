"""Table of recordings (child, age, corpus), to score groups separately and to resample children instead of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from babyhubert.annotation.table_columns import LISTED_RECORDINGS
from babyhubert.annotation.text import CsvTable
from babyhubert.audio.discovery import without_suffix
from babyhubert.audio.names import match_names
from babyhubert.errors import AnnotationError, ConfigError

NOT_LISTED = "(not listed)"
"""Group of recordings that the table does not have."""

RecordingTable = Mapping[str, Mapping[str, str]]
"""Columns by recording."""


def read_recording_table(path: Path) -> RecordingTable:
    """Read a CSV with ``recording_id`` (or ChildProject's ``recording_filename``) and any other columns.

    Raises:
        AnnotationError: unreadable, without such a column or without rows, or one recording twice.
    """
    table = CsvTable(path)
    name = next((name for name in LISTED_RECORDINGS if name in table.columns), None)
    if name is None:
        raise AnnotationError(f"{path}: a column recording_id or recording_filename is needed")
    found: dict[str, dict[str, str]] = {}
    for line, row in table:
        recording = without_suffix(row[name].strip())
        if recording in found:
            raise AnnotationError(f"{path}, line {line}: {recording} occurs twice")
        found[recording] = {key: value for key, value in row.items() if key}
    if not found:
        raise AnnotationError(f"{path}: the table has no rows")
    return found


def column_of(table: RecordingTable, recordings: Sequence[str], column: str) -> list[str]:
    """The value of a column for each recording; :data:`NOT_LISTED` for one that the table does not have.

    Raises:
        ConfigError: no such column, or the table names none of the recordings.
    """
    columns = next(iter(table.values())).keys()
    if column not in columns:
        raise ConfigError(f"no column '{column}' in the table of recordings; it has {', '.join(columns)}")
    matched = {recording: name for name, recording in match_names(recordings, table).items()}
    rows = [table.get(matched.get(recording, recording)) for recording in recordings]
    if not any(rows):
        raise ConfigError(
            f"the table of recordings names none of those that are scored: it has {next(iter(table))}, "
            f"they are {recordings[0]}, for one"
        )
    return [NOT_LISTED if row is None else row[column] for row in rows]


def in_order(groups: Mapping[str, Sequence[int]]) -> list[str]:
    """Names of groups: numbers by value, others by how many members they have."""
    try:
        return sorted(groups, key=float)
    except ValueError:
        return sorted(groups, key=lambda value: (-len(groups[value]), value))


def members(values: Sequence[str]) -> dict[str, list[int]]:
    """Rows of each value."""
    found: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        found.setdefault(value, []).append(row)
    return found
