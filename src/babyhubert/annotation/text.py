"""Lines and times of text annotations, with errors that name file and line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from babyhubert.audio.presence import absence
from babyhubert.errors import AnnotationError
from babyhubert.timebase import seconds_to_samples


def read_lines(path: Path) -> Iterable[str]:
    """Lines of a text file, or one clear error (also for a file that is not UTF-8 text)."""
    try:
        return Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: not a UTF-8 text file (byte {error.start}); save it as UTF-8") from error


def unreadable(path: Path, error: OSError) -> AnnotationError:
    """Why an annotation file cannot be opened; for a link without content (DataLad), how to fetch it."""
    if isinstance(error, FileNotFoundError):
        return AnnotationError(absence(Path(path)))
    return AnnotationError(f"{path}: cannot be read ({error.strerror or error})")


def parse_span(start: str, duration: str, where: str) -> tuple[int, int]:
    """Start and end samples from two texts in seconds.

    Raises:
        AnnotationError: not numbers, not finite, or negative; the message begins with ``where``.

    """
    try:
        start_s, duration_s = float(start), float(duration)
    except ValueError:
        raise AnnotationError(f"{where}: start {start!r} and duration {duration!r} must be seconds") from None
    if not (math.isfinite(start_s) and math.isfinite(duration_s)):
        raise AnnotationError(f"{where}: start {start} and duration {duration} must be finite")
    if start_s < 0 or duration_s < 0:
        raise AnnotationError(f"{where}: start {start} and duration {duration} must not be negative")
    return seconds_to_samples(start_s), seconds_to_samples(start_s + duration_s)


def parse_ends(start: str, end: str, where: str) -> tuple[int, int]:
    """Start and end samples from two texts in seconds, both times of the recording.

    Raises:
        AnnotationError: as :func:`parse_span`, or the end comes first.

    """
    first, _ = parse_span(start, "0", where)
    last, _ = parse_span(end, "0", where)
    if last < first:
        raise AnnotationError(f"{where}: ends at {end} s, before it starts at {start} s")
    return first, last


def read_speaker_ids(table: Path) -> frozenset[str]:
    """Names in the column ``speaker_id`` of a CSV.

    Raises:
        AnnotationError: unreadable, or no such column.
    """
    with csv_reader(table) as reader:
        if "speaker_id" not in (reader.fieldnames or ()):
            raise AnnotationError(f"{table}: no column speaker_id, which says who is meant")
        return frozenset(name for row in reader if (name := (row["speaker_id"] or "").strip()))


@contextmanager
def csv_reader(table: Path) -> Iterator[csv.DictReader[str]]:
    """Rows of a CSV, read while it is open; what goes wrong with the file names it."""
    try:
        with Path(table).open(encoding="utf-8-sig", newline="") as file:
            yield csv.DictReader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AnnotationError(f"{table}: cannot be read as a UTF-8 CSV ({error})") from error
