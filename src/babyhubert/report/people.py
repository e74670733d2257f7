"""Children of recordings and their ages, from a table of recordings or the metadata of a ChildProject data set."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import NamedTuple

from babyhubert.annotation.table_columns import CHILDREN
from babyhubert.annotation.text import CsvTable, parse_number
from babyhubert.audio.names import RecordingNames
from babyhubert.errors import AnnotationError
from babyhubert.evaluation.recording_table import RecordingTable, read_recording_table
from babyhubert.measures.hours import project_metadata

AGES = ("age_months", "child_age", "age")
"""Columns of an age in months."""

_NOTHING = {"", "na", "nan", "none"}
_DAYS_A_MONTH = 365.25 / 12


class Person(NamedTuple):
    """The child of a recording: name, and age in months; None if unknown."""

    child: str | None = None
    age: float | None = None


def people_of(audio: Mapping[str, Path], table: Path | None = None) -> dict[str, Person]:
    """The child of each recording.

    Args:
        audio: The audio file of each recording, by id.
        table: CSV with ``recording_id`` (or ``recording_filename``), ``child_id``, and ``age_months`` (or ``age``), or
            ``date_iso`` and ``child_dob``; None: the metadata of the data set that holds the audio, whose
            ``children.csv`` has dates of birth.

    Raises:
        AnnotationError: a table cannot be read.
    """
    found: dict[str, Person] = dict.fromkeys(audio, Person())
    tables: dict[Path, tuple[RecordingNames[Mapping[str, str]], Mapping[str, str]]] = {}
    for recording_id, path in audio.items():
        source = table or project_metadata(path)
        if source is None:
            continue
        if source not in tables:
            rows = read_recording_table(source)
            tables[source] = RecordingNames(rows.items()), _births(source.with_name("children.csv"), rows)
        names, births = tables[source]
        row = names.find(recording_id)
        found[recording_id] = Person() if row is None else _person(row, births)
    return found


def _births(path: Path, rows: RecordingTable) -> dict[str, str]:
    """Dates of birth by child: those of ``children.csv``, and of the table itself."""
    births = {}
    if path.is_file():
        with suppress(AnnotationError):
            births = {row.get("child_id", ""): row.get("child_dob", "") for _, row in CsvTable(path)}
    own = {_child(row) or "": row["child_dob"] for row in rows.values() if "child_dob" in row}
    return {**births, **own}


def _person(row: Mapping[str, str], births: Mapping[str, str]) -> Person:
    child = _child(row)
    stated = next((row[name] for name in AGES if name in row and row[name].strip().lower() not in _NOTHING), None)
    if stated is not None:
        return Person(child, parse_number(stated))
    with suppress(ValueError):
        recorded = date.fromisoformat(row.get("date_iso", "").strip())
        born = date.fromisoformat(births.get(child or "", "").strip())
        return Person(child, round((recorded - born).days / _DAYS_A_MONTH, 1))
    return Person(child)


def _child(row: Mapping[str, str]) -> str | None:
    text = next((row[name].strip() for name in (*CHILDREN, "child") if name in row), "")
    return None if text.lower() in _NOTHING else text
