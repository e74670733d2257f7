"""RTTM, the diarisation community's segment file, in every dialect the published tools write.

A line is ``SPEAKER <uri> <channel> <start s> <duration s> <NA> <NA> <label> <score> <NA>``. Two published dialects
exist: VTC-2's first generation puts ``<NA>`` where the channel belongs, the second writes ``1``. Readers here take
both, any white space, comments (``;;``), missing trailing fields; the writer gives the ten standard fields, channel 1,
three decimals, sorted by start, then label.
"""

from __future__ import annotations

from pathlib import Path

from babyhubert.annotation.codes import refuse_ambiguous
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import parse_span, read_lines
from babyhubert.audio.names import rttm_uri
from babyhubert.errors import AnnotationError
from babyhubert.files import write_text
from babyhubert.timebase import format_length, format_seconds

_MINIMUM_FIELDS = 8
_OTHER_TYPES = {
    *("SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER", "EDIT", "IP", "SU", "CB"),
    *("A/P", "SPKR-INFO"),
}
"""Line types of the RTTM standard that are not speaker segments."""


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
