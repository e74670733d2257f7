"""Text of annotation files: lines, rows and times, with errors that name file and line.

A pipe would wait for ever and a device never end, so anything but a regular file is refused before reading.
"""

from __future__ import annotations

import csv
import io
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from babyhubert.audio.presence import absence
from babyhubert.errors import AnnotationError
from babyhubert.files import without_guard
from babyhubert.timebase import LONGEST_RECORDING_S, seconds_to_samples

MOST_BYTES = 1 << 30
"""Limit for a text file: a table of a thousand days is a tenth of it."""

_LINE_END = re.compile(r"\r\n|\r|\n")


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Content of a regular file.

    Raises:
        AnnotationError: missing, not a regular file, not permitted, or larger than ``most`` bytes.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        number = os.open(path, flags)
        with os.fdopen(number, "rb") as file:
            state = os.fstat(number)
            if not stat.S_ISREG(state.st_mode):
                raise AnnotationError(f"{path}: not a regular file (a folder, pipe or device); give a file")
            if state.st_size > most:
                raise AnnotationError(
                    f"{path}: {state.st_size} bytes, more than such a file can need ({most}); split it, or remove it"
                )
            return file.read(state.st_size)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:  # a NUL in the name
        raise AnnotationError(f"{str(path)!r}: cannot be the name of a file ({error})") from error


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Read a UTF-8 text file, with its line ends.

    Raises:
        AnnotationError: as :func:`read_bytes`, or not UTF-8.
    """
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: not a UTF-8 text file (byte {error.start}); save it as UTF-8") from error


def read_lines(path: Path) -> list[str]:
    """Read the lines of a UTF-8 text file: they end with line feeds, carriage returns or both, and with nothing else.

    Raises:
        AnnotationError: as :func:`read_text`.
    """
    lines = _LINE_END.split(read_text(path))
    return lines if lines[-1] else lines[:-1]


def unreadable(path: Path, error: OSError) -> AnnotationError:
    """Reason why an annotation file cannot be opened; for a link without content (DataLad), the command that fetches
    it.
    """
    if isinstance(error, FileNotFoundError):
        return AnnotationError(absence(Path(path)))
    return AnnotationError(f"{path}: cannot be read ({error.strerror or error})")


_NAMED_DELIMITER = re.compile(r"sep=([,;\t])(?:\r\n|\r|\n)")
"""First line by which Excel tells what separates the fields."""

_DECIMAL_COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?\s*")


def _delimiter_of(text: str) -> str:
    """Separator of fields: the one of ``, ; tab`` that divides the header into most names."""
    header = _LINE_END.split(text, maxsplit=1)[0]
    return max(",;\t", key=header.count)


class CsvTable:
    """A CSV file with a header, row by row.

    Fields are separated by commas, or by semicolons or tabs, as spreadsheets write them where the comma is the decimal
    point; numbers have decimal commas there (``1,5`` is 1.5). A byte order mark and a first line ``sep=;`` are read.

    Args:
        path: The file.
        delimiter: Separator of fields; None: that of the header.
        skip_blanks: Ignore blanks after a separator.

    Attributes:
        path: The file.
        columns: Names of its columns, in order.
    """

    def __init__(self, path: Path, *, delimiter: str | None = None, skip_blanks: bool = False) -> None:
        self.path = Path(path)
        text = read_text(path)
        if named := _NAMED_DELIMITER.match(text):
            delimiter, text = named[1], text[named.end() :]
        found = delimiter or _delimiter_of(text)
        self._decimal_commas = found in ";\t"
        self._reader = csv.reader(io.StringIO(text, newline=""), delimiter=found, skipinitialspace=skip_blanks)
        self.columns = [without_guard(name.strip()) for name in self._next() or ()]

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the line on which a row ends, and its fields by column: empty if a row is short.

        Raises:
            AnnotationError: the file is not a CSV from here on, or a row has more fields than the header.
        """
        width = len(self.columns)
        while (fields := self._next()) is not None:
            if not fields:
                continue
            if any(field.strip() for field in fields[width:]):
                raise AnnotationError(
                    f"{self.path}, line {self._reader.line_num}: {len(fields)} fields under {width} columns; a text "
                    "with a comma needs quotes"
                )
            fields = [self._field(field) for field in fields[:width]] + [""] * (width - len(fields))
            yield self._reader.line_num, dict(zip(self.columns, fields, strict=True))

    def require(self, *columns: str) -> None:
        """Raise if a column is missing.

        Raises:
            AnnotationError: one is; the message names it and the header.
        """
        absent = [name for name in columns if name not in self.columns]
        if absent:
            raise AnnotationError(
                f"{self.path}: column {absent[0]} is missing; the header is {','.join(self.columns)[:200]!r}"
            )

    def _field(self, text: str) -> str:
        text = without_guard(text)
        return text.replace(",", ".") if self._decimal_commas and _DECIMAL_COMMA.fullmatch(text) else text

    def _next(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise AnnotationError(
                f"{self.path}, line {self._reader.line_num}: not a CSV table ({error}); perhaps a quote is not closed"
            ) from error


_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def parse_number(text: str) -> float | None:
    """A decimal number; None for any other text, also for NaN, infinity, and digits joined by ``_``."""
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def parse_time(text: str, name: str, where: str) -> float:
    """Parse seconds.

    Raises:
        AnnotationError: not a number, negative, or later than any recording lasts; the message begins with ``where``
            and contains ``name``.
    """
    seconds = parse_number(text)
    if seconds is None:
        raise AnnotationError(f"{where}: {name} {shortened(text)} is not a finite number of seconds")
    if seconds < 0:
        raise AnnotationError(f"{where}: {name} {shortened(text)} s must not be negative")
    if seconds > LONGEST_RECORDING_S:
        raise AnnotationError(
            f"{where}: {name} {shortened(text)} s is longer than any recording lasts "
            f"({LONGEST_RECORDING_S // 86400} days); times are in seconds"
        )
    return seconds


def parse_milliseconds(text: str, name: str, where: str) -> int:
    """Whole milliseconds from a text; pandas writes them as ``3080.0`` beside a missing value.

    Raises:
        AnnotationError: not a whole number, negative, or later than any recording lasts.
    """
    value = parse_number(text)
    if value is None or not value.is_integer():
        raise AnnotationError(f"{where}: {name} {shortened(text)} must be whole milliseconds")
    if value < 0:
        raise AnnotationError(f"{where}: {name} {shortened(text)} ms must not be negative")
    if value > 1000 * LONGEST_RECORDING_S:
        raise AnnotationError(
            f"{where}: {name} {shortened(text)} ms is longer than any recording lasts "
            f"({LONGEST_RECORDING_S // 86400} days); times are in milliseconds"
        )
    return int(value)


def shortened(text: str, most: int = 80) -> str:
    """Quote a text for a message, shortened if it is long."""
    return repr(text if len(text) <= most else text[:most] + "...")


def parse_span(start: str, duration: str, where: str) -> tuple[int, int]:
    """Parse a start and a duration in seconds into start and end samples.

    Raises:
        AnnotationError: as :func:`parse_time`.
    """
    start_s, duration_s = parse_time(start, "start", where), parse_time(duration, "duration", where)
    return seconds_to_samples(start_s), seconds_to_samples(start_s + duration_s)


def parse_ends(start: str, end: str, where: str) -> tuple[int, int]:
    """Parse a start and an end in seconds into samples.

    Raises:
        AnnotationError: as :func:`parse_time`, or the end comes first.
    """
    first, last = (
        seconds_to_samples(parse_time(text, name, where)) for text, name in ((start, "start"), (end, "end"))
    )
    if last < first:
        raise AnnotationError(f"{where}: ends at {end} s, before it starts at {start} s")
    return first, last


def read_speaker_ids(table: Path) -> frozenset[str]:
    """Read the names in the column ``speaker_id`` of a CSV.

    Raises:
        AnnotationError: unreadable, or no such column.
    """
    rows = CsvTable(table)
    if "speaker_id" not in rows.columns:
        raise AnnotationError(f"{table}: no column speaker_id, which says who is meant")
    return frozenset(name for _, row in rows if (name := row["speaker_id"].strip()))
