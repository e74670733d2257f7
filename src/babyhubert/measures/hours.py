"""Hours of a recording: by the clock if its start is known, else counted from its beginning.

Start times come from a ChildProject ``metadata/recordings.csv`` (found automatically if recordings are in that
project), from a table ``recording_id,start_time``, or from the names of the files. They are local times of day,
without date and zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.text import CsvTable
from babyhubert.audio.names import RecordingNames
from babyhubert.errors import AnnotationError, counted, some_names
from babyhubert.measures.file_names import FROM_NAMES, start_in_name
from babyhubert.timebase import SAMPLE_RATE

HOUR = 3600 * SAMPLE_RATE
DAY = 24 * HOUR
_MINUTE = 60 * SAMPLE_RATE
_UNKNOWN = {"", "na", "nan", "<na>", "none"}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")


@dataclass(frozen=True)
class Hours:
    """The hours of one recording, or other periods of equal length.

    Attributes:
        edges: Bounds in samples of the recording, int64 (H + 1,): its beginning, every full hour, its end; or those of
            a part of it.
        start: Samples from midnight to the beginning of the recording; None if unknown.
        period: Samples of a period.
    """

    edges: NDArray[np.int64]
    start: int | None
    period: int = HOUR

    @property
    def names(self) -> list[str]:
        """Begin of each full period: ``HH:MM`` by the clock; else ``0``, ``1`` ... hours after the beginning, and
        ``H:MM`` if the period is no hour.
        """
        begins = [(int(edge) + (self.start or 0)) // self.period * self.period for edge in self.edges[:-1]]
        if self.start is not None:
            return [f"{begin // HOUR % 24:02d}:{begin % HOUR // _MINUTE:02d}" for begin in begins]
        if self.period == HOUR:
            return [str(begin // HOUR) for begin in begins]
        return [f"{begin // HOUR}:{begin % HOUR // _MINUTE:02d}" for begin in begins]

    @property
    def days(self) -> list[int | None]:
        """Calendar day of each hour, 0 for that of the beginning; None if the clock is unknown."""
        if self.start is None:
            return [None] * (len(self.edges) - 1)
        return [(self.start + int(edge)) // DAY for edge in self.edges[:-1]]


def hours_of(
    samples: int, start: int | None = None, *, period: int = HOUR, part: tuple[int, int] | None = None
) -> Hours:
    """Hours of a recording.

    Args:
        samples: Its length.
        start: Samples from midnight to its beginning, if known.
        period: Samples of a period other than an hour.
        part: First sample, and the one after the last, of a part of it; None: all.
    """
    begin, end = (0, samples) if part is None else part
    inside = np.arange(begin + period - ((start or 0) + begin) % period, end, period, dtype=np.int64)
    edges = np.concatenate(([begin], inside, [end])) if end > begin else np.zeros(1)
    return Hours(edges.astype(np.int64), start, period)


def part_of_day(samples: int, start: int | None, first: int, last: int, where: str) -> tuple[int, int]:
    """Part of a recording between two times of day: its first sample, and the one after its last.

    Args:
        samples: Length of the recording.
        start: Samples from midnight to its beginning.
        first: Beginning of the part, in samples since midnight.
        last: End of the part, in samples since midnight; before ``first``, it is on the next day.
        where: The recording, for messages.

    Raises:
        AnnotationError: the start is not known, no sample lies between, or the part recurs on another day.
    """
    between = f"{format_time_of_day(first)[:5]} and {format_time_of_day(last)[:5]}"
    if start is None:
        raise AnnotationError(
            f"{where}: no start time, so that its part between {between} is unknown; give --start-times"
        )
    length = (last - first) % DAY or DAY
    begins = range((first - start) % DAY - DAY, samples, DAY)
    parts = [(max(begin, 0), min(begin + length, samples)) for begin in begins]
    parts = [(begin, end) for begin, end in parts if end > begin]
    if not parts:
        raise AnnotationError(f"{where}: nothing was recorded between {between}")
    if len(parts) > 1:
        raise AnnotationError(f"{where}: {len(parts)} parts lie between {between}; split the recording by days")
    return parts[0]


def parse_clock(text: str, where: str) -> int | None:
    """Samples since midnight of ``H:MM`` or ``H:MM:SS``; None for ``NA`` and for empty text.

    Raises:
        AnnotationError: neither; the message begins with ``where``.
    """
    if text.strip().lower() in _UNKNOWN:
        return None
    match = _CLOCK.fullmatch(text.strip())
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (99, 0, 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise AnnotationError(f"{where}: start_time {text!r} is not a time of day; write H:MM or H:MM:SS, or NA")
    return ((hours * 60 + minutes) * 60 + seconds) * SAMPLE_RATE


def read_start_times(path: Path) -> dict[str, int | None]:
    """Read start times by recording, from ``recording_id,start_time`` or ChildProject's table of recordings.

    Raises:
        AnnotationError: unreadable, without these columns, not a time of day, or one recording with two times.
    """
    table = CsvTable(path)
    columns = table.columns
    key = next((name for name in ("recording_id", "recording_filename") if name in columns), None)
    if key is None or "start_time" not in columns:
        raise AnnotationError(
            f"{path}: columns recording_id (or recording_filename) and start_time are needed; "
            f"the header is {','.join(columns)!r}"
        )
    found: dict[str, int | None] = {}
    for line, row in table:
        where = f"{path}, line {line}"
        name, time = row[key].strip(), parse_clock(row["start_time"], where)
        if found.get(name, time) != time:
            raise AnnotationError(f"{where}: {name} has two start times; keep one")
        found[name] = time
    return found


def start_times(recordings: Mapping[str, Path], table: Path | None = None) -> dict[str, int | None]:
    """Start of each recording, in samples since midnight; None if unknown.

    Args:
        recordings: The audio file of each recording, by id.
        table: Their start times; ``from-names``: as the names of the files tell; without it, the metadata of the
            ChildProject data set that holds the audio.

    Raises:
        AnnotationError: as :func:`read_start_times`.
    """
    if _from_names(table):
        return {recording_id: start_in_name(audio.stem) for recording_id, audio in recordings.items()}
    tables: dict[tuple[Path, str], RecordingNames[int | None]] = {}
    found: dict[str, int | None] = dict.fromkeys(recordings)
    for recording_id, audio in recordings.items():
        source = table or project_metadata(audio)
        if source is not None:
            key = source, audio.suffix
            tables[key] = tables[key] if key in tables else _names_of(*key)
            found[recording_id] = tables[key].find(recording_id)
    return found


def start_time_notes(recordings: Mapping[str, Path], table: Path | None) -> list[str]:
    """Notes on a table of start times: recordings that it does not name, and names that are no recording here."""
    if table is None:
        return []
    if _from_names(table):
        return _names_notes(start_times(recordings, table))
    begins, notes = start_times(recordings, table), []
    unknown = sorted(name for name, start in begins.items() if start is None)
    if unknown:
        count = f"{len(unknown)} of {counted(len(begins), 'recording')}"
        notes.append(
            f"{table}: no start time for {count} ({some_names(unknown)}), measured by elapsed hours; it names "
            f"{some_names(sorted(read_start_times(table))) or 'nothing'}"
        )
    suffixes = {audio.suffix for audio in recordings.values()}
    used = {found for name, audio in recordings.items() for found in _names_of(table, audio.suffix).ids(name)}
    strange = sorted(name for name in read_start_times(table) if used.isdisjoint(_written(name, suffixes)))
    if strange:
        notes.append(f"{table}: names no recording of these results: {some_names(strange)}")
    return notes


def _from_names(table: Path | None) -> bool:
    return table is not None and str(table) == FROM_NAMES and not table.exists()


def _names_notes(begins: Mapping[str, int | None]) -> list[str]:
    """Notes that name the times taken from names of files, and the recordings whose names have none."""
    found = [f"{name} {format_time_of_day(start)}" for name, start in begins.items() if start is not None]
    unknown = sorted(name for name, start in begins.items() if start is None)
    told = f"start times from the names of files: {some_names(found, most=5)}" if found else ""
    without = (
        f"no date with a time of day in the name of {len(unknown)} of {counted(len(begins), 'recording')} "
        f"({some_names(unknown)}), measured by elapsed hours"
    )
    return [*([told] if told else []), *([without] if unknown else [])]


def format_time_of_day(start: int) -> str:
    """Time of day as ``HH:MM:SS``, from samples since midnight."""
    seconds = start // SAMPLE_RATE
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _written(name: str, suffixes: Iterable[str]) -> set[str]:
    """A name of a table as it stands, and without the suffix of an audio file."""
    return {name, *(name.removesuffix(suffix) for suffix in suffixes)}


def project_metadata(audio: Path) -> Path | None:
    """``metadata/recordings.csv`` of the ChildProject data set whose ``recordings`` folder holds the file."""
    for folder in audio.parents:
        table = folder.parent / "metadata" / "recordings.csv"
        if folder.name == "recordings" and table.is_file():
            return table
    return None


def _names_of(table: Path, suffix: str) -> RecordingNames[int | None]:
    """Start times by recording: a name with the recordings' extension means the recording too."""
    times = read_start_times(table)
    ordered = sorted(times, key=lambda name: not name.endswith(suffix))  # a name without it decides
    return RecordingNames((name.removesuffix(suffix), times[name]) for name in ordered)
