"""UEM files: the stretches of recordings that were annotated, and so may be scored.

A line is ``<uri> <channel> <start s> <end s>``, separated by any white space; ``;;`` begins a comment. Fields are
counted from the end: other tools write names with blanks.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from babyhubert.annotation.intervals import Intervals, union
from babyhubert.annotation.text import parse_ends, read_lines, shortened
from babyhubert.errors import AnnotationError

UEM_NAME = "annotated.uem"
"""File with the annotated stretches of recordings, in folders of manual annotations."""


def read_uem(path: Path) -> dict[str, Intervals]:
    """Scored stretches by recording: int64 samples, sorted, disjoint.

    Raises:
        AnnotationError: unreadable, or a malformed line (named).

    """
    found: dict[str, list[tuple[int, int]]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip() and not line.lstrip().startswith(";;"):
            uri, stretch = _parse(line, f"{path}, line {number}")
            found.setdefault(uri, []).append(stretch)
    if not found:
        raise AnnotationError(f"{path}: names no recording; a UEM line is 'uri channel start end' (seconds)")
    return {uri: union(*np.array(spans, dtype=np.int64).T) for uri, spans in found.items()}


_LINE = re.compile(r"\s*(\S.*?)\s+(?:\d+|<NA>|NA)\s+(\S+)\s+(\S+)\s*")


def _parse(line: str, where: str) -> tuple[str, tuple[int, int]]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise AnnotationError(f"{where}: not a UEM line ('uri channel start end', seconds): {shortened(line, 200)}")
    return match[1], parse_ends(match[2], match[3], where)
