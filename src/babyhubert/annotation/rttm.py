"""RTTM, the diarisation community's segment file, in every dialect the published tools write.

A line is ``SPEAKER <uri> <channel> <start s> <duration s> <NA> <NA> <label> <score> <NA>``. Two published dialects
exist: VTC-2's first generation puts ``<NA>`` where the channel belongs, the second writes ``1``. Readers here take
both, any white space, comments (``;;``), missing trailing fields; the writer gives the ten standard fields, channel 1,
three decimals, sorted by start, then label.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from babyhubert.annotation.codes import refuse_ambiguous
from babyhubert.annotation.segments import Segments
from babyhubert.audio.presence import absence
from babyhubert.errors import AnnotationError
from babyhubert.files import write_text
from babyhubert.timebase import format_length, format_seconds, seconds_to_samples

_MINIMUM_FIELDS = 8
_OTHER_TYPES = {
    *("SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER", "EDIT", "IP", "SU", "CB"),
    *("A/P", "SPKR-INFO"),
}
"""Line types of the RTTM standard that are not speaker segments."""


def rttm_uri(recording_id: str) -> str:
    """The id as an RTTM can carry it: white space, which separates fields, becomes ``_``."""
    return re.sub(r"\s", "_", recording_id)


def read_rttm(path: Path) -> dict[str, Segments]:
    """Segments of every recording a file names. An empty file names none.

    Raises:
        AnnotationError: the file cannot be read, or a line is malformed; the message names the line.

    """
    rows: dict[str, list[tuple[int, int, str]]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split()
        if not fields or fields[0].startswith(";;") or fields[0] in _OTHER_TYPES:
            continue
        where = f"{path}, line {number}"
        if fields[0] != "SPEAKER" or len(fields) < _MINIMUM_FIELDS:
            raise AnnotationError(
                f"{where}: not an RTTM line ('SPEAKER uri channel start duration <NA> <NA> label ...'): {line!r}"
            )
        start, end = parse_span(fields[3], fields[4], where)
        rows.setdefault(fields[1], []).append((start, end, fields[7]))
    return {uri: Segments.from_rows(spans) for uri, spans in rows.items()}


def format_rttm(uri: str, segments: Segments) -> str:
    """The text of an RTTM file; the empty string when there is no segment.

    Both ends are rounded to the millisecond and the duration is their difference, so ends are as exact as starts.

    Raises:
        AnnotationError: a label CHI, which other tools read as another child (:mod:`babyhubert.annotation.codes`).

    """
    refuse_ambiguous(segments.label, uri)
    uri = rttm_uri(uri)
    lines = []
    for start, end, label in segments:
        lines.append(
            f"SPEAKER {uri} 1 {format_seconds(start)} {format_length(start, end)} <NA> <NA> {label} <NA> <NA>\n"
        )
    return "".join(lines)


def write_rttm(path: Path, uri: str, segments: Segments) -> None:
    """Write one recording's segments; an empty file when there are none, as the published tool does."""
    write_text(path, format_rttm(uri, segments))


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
