"""Files of estimates: each table as CSV, and all of them with their sources and notes in ``estimate.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from babyhubert.evaluation.intervals import CONFIDENCE
from babyhubert.evaluation.score_table import decimal, number
from babyhubert.files import csv_text, path_below, write_json, write_text

Rows = Sequence[Mapping[str, Any]]

JSON_FILE = "estimate.json"


def write_estimates(
    output: Path, tables: Mapping[str, Rows], settings: Mapping[str, Any], notes: Iterable[str]
) -> list[Path]:
    """Write ``estimate.csv`` and other tables, and ``estimate.json``, into a folder.

    Args:
        output: The folder.
        tables: Rows of each table, one or more, by the name of its file.
        settings: Where they are from.
        notes: Notes on the figures.

    Raises:
        OutputError: they cannot be written.
    """
    for name, rows in tables.items():
        columns = tuple(rows[0])
        cells = ([_cell(row[column]) for column in columns] for row in rows)
        write_text(path_below(output, name, ".csv"), csv_text([columns, *cells]))
    found = {
        "estimates" if name == "estimate" else name: [_json(row) for row in rows] for name, rows in tables.items()
    }
    write_json(output / JSON_FILE, {**settings, "confidence": CONFIDENCE, "notes": list(notes), **found})
    return [*(path_below(output, name, ".csv") for name in tables), output / JSON_FILE]


def _cell(value: Any) -> Any:
    return decimal(value) if isinstance(value, float) else value


def _json(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: number(value) if isinstance(value, float) else value for name, value in row.items()}
