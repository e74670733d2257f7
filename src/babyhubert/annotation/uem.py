"""UEM files: which stretches of which recordings were annotated, and so may be scored.

A line is ``<uri> <channel> <start s> <end s>``, separated by any white space; ``;;`` begins a comment.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from babyhubert.annotation.intervals import Intervals, union
from babyhubert.annotation.text import read_lines
from babyhubert.errors import AnnotationError
from babyhubert.timebase import seconds_to_samples


def read_uem(path: Path) -> dict[str, Intervals]:
    """Scored stretches by recording: int64 samples, sorted, disjoint.

    Raises:
        AnnotationError: unreadable, or a malformed line (named).

    """
    found: dict[str, list[tuple[int, int]]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split()
        if fields and not fields[0].startswith(";;"):
            found.setdefault(fields[0], []).append(_parse(fields, f"{path}, line {number}"))
    if not found:
        raise AnnotationError(f"{path}: names no recording; a UEM line is 'uri channel start end' (seconds)")
    return {uri: union(*np.array(spans, dtype=np.int64).T) for uri, spans in found.items()}


def _parse(fields: list[str], where: str) -> tuple[int, int]:
    try:
        start, end = (float(field) for field in fields[2:4])
    except ValueError:
        raise AnnotationError(
            f"{where}: not a UEM line ('uri channel start end', seconds): {' '.join(fields)!r}"
        ) from None
    if not (math.isfinite(end) and 0 <= start <= end):
        raise AnnotationError(f"{where}: from {fields[2]} to {fields[3]} s is no stretch of a recording")
    return seconds_to_samples(start), seconds_to_samples(end)
