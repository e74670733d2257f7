"""LENA's ``.its`` files, the output of its own software, as segments.

Only near, clear voices become segments: key child (CHN), other child (CXN), female and male adult (FAN, MAN). Far or
faint voices, overlap, television and noise have no label here; a code that LENA does not define is kept as a label.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from babyhubert.annotation.codes import FROM_LENA, OTHER_LENA_CODES
from babyhubert.annotation.recording_rows import Parts
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import parse_ends, read_bytes, shortened
from babyhubert.errors import AnnotationError

_TIME = re.compile(r"PT([0-9]+(?:\.[0-9]+)?)S")


def read_file(path: Path, recording_id: str) -> Parts:
    """As :func:`read_its`, under the name of the recording."""
    return {recording_id: read_its(path)}


def read_its(path: Path) -> Segments:
    """Read the segments of one recording as a stream (files of a day are tens of megabytes).

    Raises:
        AnnotationError: unreadable, not a LENA file, or a segment without times.
    """
    rows = []
    segments = 0
    try:
        events = ElementTree.iterparse(io.BytesIO(read_bytes(path)), events=("start", "end"))
        _, root = next(events)
        if root.tag != "ITS":
            raise AnnotationError(f"{path}: not a LENA .its file: it begins with <{root.tag[:80]}>, not <ITS>")
        for event, element in events:
            if event == "end" and element.tag == "Segment":
                segments += 1
                code = element.get("spkr", "")
                if not code:
                    raise AnnotationError(f"{path}: segment {segments} does not say who speaks (no spkr)")
                if code not in OTHER_LENA_CODES:
                    rows.append((*_span(path, element), FROM_LENA.get(code, code)))
                element.clear()
    except (ElementTree.ParseError, StopIteration, ValueError, LookupError) as error:
        raise AnnotationError(f"{path}: not a LENA .its file ({error})") from error
    if not segments:
        raise AnnotationError(f"{path}: a LENA .its file without segments: it was not processed; export it again")
    return Segments.from_rows(rows)


def _span(path: Path, element: ElementTree.Element) -> tuple[int, int]:
    texts = []
    for side in ("startTime", "endTime"):
        match = _TIME.fullmatch(element.get(side, ""))
        if match is None:
            raise AnnotationError(
                f"{path}: {side} {shortened(element.get(side, ''))} of a segment is not a time such as 'PT12.34S'"
            )
        texts.append(match[1])
    return parse_ends(texts[0], texts[1], f"{path}, segment {' to '.join(texts)} s")
