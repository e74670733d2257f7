"""The column ``confidence`` of segments tables: its name, its texts, its numbers.

``segment`` fills it (:mod:`babyhubert.inference.confidence` says how). In memory it holds numbers, or texts where a
table was read; an empty text or NaN means that a segment has none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import parse_number

CONFIDENCE = "confidence"
_DECIMALS = 4


def has_confidence(segments: Segments) -> bool:
    """True for a table with the column."""
    return CONFIDENCE in segments.columns


def confidences(segments: Segments) -> NDArray[np.float64]:
    """Confidence of each segment, shape (S,); NaN where it has none, or something that is not between 0 and 1."""
    values = np.full(len(segments), np.nan)
    for row, value in enumerate(segments.columns.get(CONFIDENCE, ())):
        number = parse_number(value) if isinstance(value, str) else value
        if number is not None and 0 <= number <= 1:
            values[row] = number
    return values


def confidence_texts(segments: Segments) -> list[str]:
    """Confidences with four decimals, one a segment; empty where it has none."""
    return ["" if np.isnan(value) else f"{value:.{_DECIMALS}f}" for value in confidences(segments).tolist()]
