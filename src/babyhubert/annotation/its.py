"""LENA's ``.its`` files: what its own software heard, as segments.

Only near, clear voices become segments: key child (CHN), other child (CXN), female and male adult (FAN, MAN). Far or
faint voices, overlap, television and noise carry no label here.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from babyhubert.annotation.codes import FROM_LENA
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import unreadable
from babyhubert.errors import AnnotationError
from babyhubert.timebase import seconds_to_samples

_TIME = re.compile(r"PT(\d+(?:\.\d+)?)S")


def read_its(path: Path) -> Segments:
    """Segments of one recording, read as a stream (files of a day are tens of megabytes).

    Raises:
        AnnotationError: unreadable, not XML, or a segment without times.
    """
    rows = []
    try:
        for _, element in ElementTree.iterparse(path):
            if element.tag == "Segment" and element.get("spkr") in FROM_LENA:
                start, end = (_seconds(path, element, side) for side in ("startTime", "endTime"))
                if end < start:
                    raise AnnotationError(f"{path}: a segment ends at {end} s, before it starts at {start} s")
                rows.append((seconds_to_samples(start), seconds_to_samples(end), FROM_LENA[str(element.get("spkr"))]))
            element.clear()
    except ElementTree.ParseError as error:
        raise AnnotationError(f"{path}: not a LENA .its file ({error})") from error
    except OSError as error:
        raise unreadable(path, error) from error
    return Segments.from_rows(rows)


def _seconds(path: Path, element: ElementTree.Element, side: str) -> float:
    text = element.get(side, "")
    match = _TIME.fullmatch(text)
    if match is None:
        raise AnnotationError(f"{path}: {side} {text!r} of a segment is not a time such as 'PT12.34S'")
    return float(match[1])
