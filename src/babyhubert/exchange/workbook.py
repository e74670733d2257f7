"""Results as tidy tables that join by ``recording_id``: one Excel workbook of sheets, or a folder of CSV files.

A sheet (or file) a table: recordings, hours, segments, failures, settings, and a dictionary of all columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from babyhubert.annotation.confidence import CONFIDENCE
from babyhubert.errors import BabyHubertError, MissingExtraError
from babyhubert.exchange.recordings import with_columns
from babyhubert.files import atomic_path, csv_text, path_below, write_text
from babyhubert.measures.csv_files import ABOUT_HOUR, ABOUT_RECORDING, hour_rows, recording_rows, rounded
from babyhubert.measures.dictionary import ColumnNote, measure_notes
from babyhubert.measures.results import RunResults
from babyhubert.measures.tables import WARNINGS, RecordingMeasures, columns
from babyhubert.timebase import samples_to_ms

TableKind = Literal["xlsx", "csv"]
TABLE_KINDS: tuple[TableKind, ...] = ("xlsx", "csv")

MOST_ROWS = 1_048_575
"""Rows of a sheet below its header, as Excel has them."""

_LONGEST_TEXT = 32_767
"""Characters of a cell, likewise."""

Failures = list[tuple[Path, str]]


@dataclass(frozen=True)
class TidyTable:
    """One table.

    Attributes:
        name: Of the sheet, or of the file.
        columns: Their descriptions, in order.
        rows: Makes the rows, one value a column: a number, a text, or None where nothing is known.
    """

    name: str
    columns: Sequence[ColumnNote]
    rows: Callable[[], Iterator[Sequence[object]]]


def tidy_tables(results: RunResults, measured: Sequence[RecordingMeasures], failures: Failures) -> list[TidyTable]:
    """Tables of an output folder.

    Args:
        results: The folder.
        measured: Its measures.
        failures: Recordings whose results cannot be read; those found later are added.
    """
    about = measure_notes(results.own_columns)
    names = columns(results.own_columns, expected=results.has_probabilities)
    tables = [
        _measures("recordings", (*ABOUT_RECORDING, *names, WARNINGS), about, lambda: recording_rows(measured)),
        _measures("hours", (*ABOUT_HOUR, *names, WARNINGS), about, lambda: hour_rows(measured)),
        _segments(results, failures),
        TidyTable("failures", _FAILURE_COLUMNS, lambda: iter(dict.fromkeys(_failed(results, failures)))),
        TidyTable("settings", _SETTING_COLUMNS, lambda: _settings(results.run)),
    ]
    dictionary = [(table.name, *note) for table in tables for note in table.columns]
    return [*tables, TidyTable("columns", _DICTIONARY_COLUMNS, lambda: iter(dictionary))]


def write_workbook(path: Path, tables: Iterable[TidyTable]) -> Path:
    """Write one Excel workbook, a sheet a table; a table of more rows than a sheet has goes on in the next.

    Raises:
        MissingExtraError: xlsxwriter is not installed.
        OutputError: the file cannot be written.
    """
    try:
        import xlsxwriter
    except ImportError:
        raise MissingExtraError("writing Excel workbooks", "excel") from None
    with atomic_path(path) as temporary:
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        with xlsxwriter.Workbook(str(temporary), options) as book:
            heading = book.add_format({"bold": True})
            for table in tables:
                _write_sheets(book, heading, table)
    return path


def write_csv_tables(folder: Path, tables: Iterable[TidyTable]) -> Path:
    """Write a CSV file a table into a folder; unknown values are ``NA``.

    Raises:
        OutputError: a file cannot be written.
    """
    for table in tables:
        header = [note.name for note in table.columns]
        rows = (["NA" if value is None else value for value in row] for row in table.rows())
        write_text(path_below(folder, table.name, ".csv"), csv_text([header, *rows]))
    return folder


def _write_sheets(book: Any, heading: Any, table: TidyTable) -> None:
    number, line = 1, 0
    sheet = _sheet(book, heading, table, table.name)
    for row in table.rows():
        if line == MOST_ROWS:
            number, line = number + 1, 0
            sheet = _sheet(book, heading, table, f"{table.name} {number}")
        line += 1
        for place, value in enumerate(row):
            if isinstance(value, str):
                sheet.write_string(line, place, value[:_LONGEST_TEXT])
            elif value is not None:
                sheet.write_number(line, place, value)


def _sheet(book: Any, heading: Any, table: TidyTable, name: str) -> Any:
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 1)
    sheet.set_column(0, 0, 24)
    for place, note in enumerate(table.columns):
        sheet.write_string(0, place, note.name, heading)
    return sheet


def _measures(
    name: str,
    names: Sequence[str],
    about: Mapping[str, ColumnNote],
    rows: Callable[[], Iterable[Mapping[str, Any]]],
) -> TidyTable:
    def cells() -> Iterator[Sequence[object]]:
        for row in rows():
            yield [_value(row.get(each)) for each in names]

    return TidyTable(name, [about[each] for each in names], cells)


def _value(value: Any) -> object:
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    return None if np.isnan(number) else rounded(number)


def _segments(results: RunResults, failures: Failures) -> TidyTable:
    own = [column for column in results.columns if column.task]

    def rows() -> Iterator[Sequence[object]]:
        for recording_id, audio in results.audio.items():
            try:
                segments = with_columns(results.read(recording_id))
            except BabyHubertError as error:  # one damaged table never stops the others
                failures.append((audio, str(error)))
                continue
            more = [segments.columns.get(name) for name in (CONFIDENCE, *(column.name for column in own))]
            for row, (start, end, label) in enumerate(segments):
                begin, stop = samples_to_ms(start) / 1000, samples_to_ms(end) / 1000
                first = (recording_id, begin, stop, round(stop - begin, 3), label)
                yield (*first, _confidence(more[0], row), *(_text(values, row) for values in more[1:]))

    return TidyTable("segments", [*_SEGMENT_COLUMNS, *(_of_task(column.name, column.task) for column in own)], rows)


def _confidence(values: Any, row: int) -> float | None:
    try:
        value = float("nan") if values is None else float(values[row])
    except ValueError:
        return None
    return None if np.isnan(value) else round(value, 4)


def _text(values: Any, row: int) -> str | None:
    value = None if values is None else values[row]
    return None if value is None or value == "" else str(value)


def _failed(results: RunResults, failures: Failures) -> Iterator[Sequence[object]]:
    yield from results.failures
    yield from ((str(path), error) for path, error in failures)


def _settings(run: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    also = run.get("also")
    for one in (run, *(also.values() if isinstance(also, dict) else ())):
        for name in ("began", "ended", "device", "versions", "model", "settings"):
            for key, value in _flat(name, {} if one.get(name) is None else one[name]):
                if not key.startswith("model.card"):
                    yield str(one.get("command")), key, value


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(f"{name}.{key}", each)
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _of_task(name: str, task: str) -> ColumnNote:
    return ColumnNote(name, "", f"result of '{task}' for the segment; empty if it was not asked, or not run")


_SEGMENT_COLUMNS = (
    ColumnNote("recording_id", "", "the recording, as in all tables"),
    ColumnNote("start_s", "s", "beginning, from the beginning of the recording"),
    ColumnNote("end_s", "s", "end"),
    ColumnNote("duration_s", "s", "end_s - start_s"),
    ColumnNote("label", "", "KCHI key child, OCH other child, MAL and FEM adults; or a class of the model"),
    ColumnNote(CONFIDENCE, "", "0 to 1, from the model's scores of the segment; empty if they are unknown"),
)
_FAILURE_COLUMNS = (
    ColumnNote("path", "", "audio file of a recording that has no results"),
    ColumnNote("error", "", "why"),
)
_SETTING_COLUMNS = (
    ColumnNote("command", "", "command that ran"),
    ColumnNote("setting", "", "name of a setting, version or fact of the model"),
    ColumnNote("value", "", "its value"),
)
_DICTIONARY_COLUMNS = (
    ColumnNote("table", "", "name of the table"),
    ColumnNote("column", "", "name of the column"),
    ColumnNote("unit", "", "unit of its values"),
    ColumnNote("meaning", "", "what it holds; docs/measures.md has definitions and sources"),
)
