"""RTTM, the segment format of speaker diarisation, in every dialect that the published tools write.

A line is ``SPEAKER <uri> <channel> <start s> <duration s> <NA> <NA> <label> <score> <NA>``. Two published dialects
exist: VTC-2's first generation puts ``<NA>`` where the channel belongs, the second writes ``1``. Readers here take
both, any white space, comments (``;;``), missing trailing fields, and names with blanks, which other tools write; the
writer gives the ten standard fields, channel 1, three decimals, sorted by start, then label. White space in a label is
escaped as in web addresses (:mod:`babyhubert.annotation.escapes`) and read back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from babyhubert.annotation.codes import refuse_ambiguous
from babyhubert.annotation.confidence import confidence_texts
from babyhubert.annotation.escapes import BLANK, escape, unescape
from babyhubert.annotation.recording_rows import Parts, RecordingRows, refuse_failures
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import parse_number, parse_span, read_lines, shortened
from babyhubert.audio.names import rttm_uri
from babyhubert.errors import AnnotationError
from babyhubert.files import write_text
from babyhubert.timebase import format_length, format_seconds

if TYPE_CHECKING:
    from babyhubert.annotation.formats import WrittenRecording

_OTHER_TYPES = {
    *("SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER", "EDIT", "IP", "SU", "CB"),
    *("A/P", "SPKR-INFO"),
}
"""Line types of the RTTM standard that are not speaker segments."""


_TOKEN = re.compile(r"\S+")
_NO_VALUE = "<NA>"


def read_rttm(path: Path) -> dict[str, Segments]:
    """Read the segments of every recording in a file. An empty file has none.

    Raises:
        AnnotationError: the file cannot be read, or a line is malformed; the message names the line.
    """
    return refuse_failures(read_rttm_parts(path))


def read_rttm_parts(path: Path) -> Parts:
    """Read a file like :func:`read_rttm`; a recording with an invalid time or label gives its error.

    Raises:
        AnnotationError: the file cannot be read, or a line is invalid.
    """
    recordings = RecordingRows()
    for number, line in enumerate(read_lines(path), start=1):
        kind = line.split(maxsplit=1)[:1]
        if not kind or kind[0].startswith(";;") or kind[0] in _OTHER_TYPES:
            continue
        where = f"{path}, line {number}"
        fields = _fields(line) if kind[0] == "SPEAKER" else None
        if fields is None:
            raise AnnotationError(
                f"{where}: not an RTTM line ('SPEAKER uri channel start duration <NA> <NA> label ...'): "
                f"{shortened(line, 200)}"
            )
        uri, start, duration, label = fields
        with recordings.of(uri, where):
            recordings.add(uri, *parse_span(start, duration, where), label)
    return recordings.parts()


def _fields(line: str) -> tuple[str, str, str, str] | None:
    """Name, start, duration and label of a SPEAKER line, whose name or label may hold blanks; None for other lines.

    Fields are counted from the two times before two ``<NA>``.
    """
    tokens = list(_TOKEN.finditer(line))
    texts = [token[0] for token in tokens]
    times = [
        place
        for place in range(3, len(texts) - 4)
        if texts[place + 2] == texts[place + 3] == _NO_VALUE and parse_number(texts[place]) is not None
    ]
    if len(times) > 1:  # a label <NA> makes the duration look like a start
        times = [place for place in times if parse_number(texts[place + 1]) is not None]
    if len(times) > 1:
        return None
    if not times:  # other tools put something else there: only the standard number of fields can be told apart
        standard = 8 <= len(texts) <= 10 and parse_number(texts[5]) is None
        return (texts[1], texts[3], texts[4], unescape(texts[7], BLANK)) if standard else None
    (place,) = times
    uri = line[tokens[1].start() : tokens[place - 2].end()]
    last = _last_of_label(texts, place + 4)
    if last > place + 4 and _NO_VALUE in texts[place + 4 : last + 1]:
        return None
    label = line[tokens[place + 4].start() : tokens[last].end()]
    return uri, texts[place], texts[place + 1], unescape(label, BLANK)


def _last_of_label(texts: list[str], first: int) -> int:
    """Last field of a label: score and look-ahead, one of them or none may follow."""
    last = len(texts) - 1
    while last > first and last > len(texts) - 3 and _is_score(texts[last]):
        last -= 1
    return last


def _is_score(text: str) -> bool:
    return text == _NO_VALUE or parse_number(text) is not None


def format_rttm(uri: str, segments: Segments, *, confidence: bool = False) -> str:
    """Return the text of an RTTM file; the empty string if there is no segment.

    Both ends are rounded to the millisecond and the duration is their difference, so ends are as exact as starts. The
    ninth field is ``<NA>``, or with ``confidence`` that of the column, where a segment has one.

    Raises:
        AnnotationError: a label CHI, which other tools read as another child (:mod:`babyhubert.annotation.codes`).
    """
    refuse_ambiguous(segments.label, uri)
    uri = rttm_uri(uri)
    names = {label: escape(label, BLANK) for label in segments.labels}
    scores = confidence_texts(segments) if confidence else [""] * len(segments)
    lines = []
    for (start, end, label), score in zip(segments, scores, strict=True):
        times = f"{format_seconds(start)} {format_length(start, end)}"
        lines.append(f"SPEAKER {uri} 1 {times} <NA> <NA> {names[label]} {score or _NO_VALUE} <NA>\n")
    return "".join(lines)


def write_file(path: Path, recording: WrittenRecording) -> Iterable[str]:
    """Write one recording's file, as :mod:`babyhubert.annotation.formats` asks for it."""
    write_rttm(path, recording.recording_id, recording.segments, confidence=recording.confidence)
    return ()


def read_file(path: Path, recording_id: str) -> Parts:
    """As :func:`read_rttm_parts`; a file without lines is that of a silent recording."""
    return read_rttm_parts(path) or {rttm_uri(recording_id): Segments.empty()}


def write_rttm(path: Path, uri: str, segments: Segments, *, confidence: bool = False) -> None:
    """Write one recording's segments; an empty file if there are none, as the published tool does."""
    write_text(path, format_rttm(uri, segments, confidence=confidence))
