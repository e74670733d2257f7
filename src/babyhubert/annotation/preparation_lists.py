"""Tables that BabyHuBERT's own preparation of recordings reads and writes.

- ``start,end,speaker,uri`` or ``start,duration,speaker,uri``: output of a voice activity detector, in whole
  milliseconds. The second column is a duration under either name: that is how the published code reads it. Values that
  cannot be durations, because rows of a recording would overlap, and can all be ends are read as the header says.
- ``uri,start,duration``: the segments made of that, in seconds.
- ``path,onset,length``: the training segments, in samples at 16 kHz.

The last two have no labels; their rows are labelled SPEECH, as there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from babyhubert.annotation.text import LONGEST_RECORDING_S, CsvTable, parse_milliseconds, parse_number, parse_span
from babyhubert.errors import AnnotationError
from babyhubert.timebase import SAMPLE_RATE, ms_to_samples

SPEECH = "SPEECH"
VAD_COLUMNS = ({"start", "end", "speaker", "uri"}, {"start", "duration", "speaker", "uri"})
SECONDS_COLUMNS = {"uri", "start", "duration"}
SAMPLES_COLUMNS = {"path", "onset", "length"}

Meaning = Literal["durations", "ends"]
Row = tuple[int, int, str]


def vad_meaning(path: Path) -> Meaning | None:
    """Determine the meaning of the second column of a detector's table; None for any other file.

    Raises:
        AnnotationError: the file cannot be read.
    """
    if path.suffix.lower() != ".csv" or not path.is_file():
        return None
    table = CsvTable(path)
    if not any(needed <= set(table.columns) for needed in VAD_COLUMNS):
        return None
    if "end" not in table.columns:
        return "durations"
    spans: dict[str, list[tuple[float, float]]] = {}
    for _, row in table:
        start, value = parse_number(row["start"]), parse_number(row["end"])
        if start is not None and value is not None:
            spans.setdefault(row["uri"], []).append((start, value))
    can_be_ends = all(value >= start for rows in spans.values() for start, value in rows)
    return "ends" if can_be_ends and any(map(_overlap_as_durations, spans.values())) else "durations"


def vad_row(path: Path) -> Callable[[Mapping[str, str], str], Row]:
    """Return the function that reads the rows of a detector's table.

    Raises:
        AnnotationError: the file cannot be read.
    """
    return partial(_vad_row, vad_meaning(path) or "durations")


def seconds_row(row: Mapping[str, str], where: str) -> Row:
    """Read a row of ``uri,start,duration``.

    Raises:
        AnnotationError: no times.
    """
    return *parse_span(row["start"], row["duration"], where), SPEECH


def samples_row(row: Mapping[str, str], where: str) -> Row:
    """Read a row of ``path,onset,length``.

    Raises:
        AnnotationError: no times.
    """
    onset, length = (_samples(row[name], name, where) for name in ("onset", "length"))
    return onset, onset + length, SPEECH


def _vad_row(meaning: Meaning, row: Mapping[str, str], where: str) -> Row:
    name = "end" if "end" in row else "duration"
    start, second = parse_milliseconds(row["start"], "start", where), parse_milliseconds(row[name], name, where)
    end = second if meaning == "ends" else start + second
    return ms_to_samples(start), ms_to_samples(end), row["speaker"].strip() or SPEECH


def _overlap_as_durations(rows: list[tuple[float, float]]) -> bool:
    rows = sorted(rows)
    return any(start + value > later for (start, value), (later, _) in itertools.pairwise(rows))


def _samples(text: str, name: str, where: str) -> int:
    value = parse_number(text)
    if value is None or not value.is_integer() or not 0 <= value <= LONGEST_RECORDING_S * SAMPLE_RATE:
        raise AnnotationError(f"{where}: {name} {text[:40]!r} is no number of samples at 16 kHz")
    return int(value)
