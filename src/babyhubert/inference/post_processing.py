"""From frame probabilities to segments: threshold, close gaps, drop the short, on integers.

The published rules (which contradict the published documentation's order): per class, FIRST gaps strictly shorter than
``min_off`` are closed, THEN segments strictly shorter than ``min_on`` are dropped. The published code compares
floating seconds, so that a gap of exactly five frames was closed in 41% of all positions; on integers it never is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.frames import frames_to_segments
from babyhubert.annotation.intervals import Intervals, close_gaps, drop_short
from babyhubert.annotation.segments import Segments

_FRAMES_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class MinimumDurations:
    """Samples: segments strictly shorter than ``on`` are dropped, after gaps strictly shorter than ``off`` closed."""

    on: int = 1_600
    off: int = 1_600


def active_runs(scores: NDArray[np.floating], thresholds: Mapping[str, float]) -> dict[str, Intervals]:
    """Runs of frames whose probability is STRICTLY greater than their class's threshold, in samples.

    Args:
        scores: Probabilities, shape (T, C), may be a memory map; columns in the order of ``thresholds``.
        thresholds: One value a class.
    """
    active = np.empty((len(thresholds), len(scores)), dtype=bool)
    limits = np.array(list(thresholds.values()), dtype=np.float64)
    for first in range(0, len(scores), _FRAMES_AT_ONCE):
        part = np.asarray(scores[first : first + _FRAMES_AT_ONCE], dtype=np.float64)
        active[:, first : first + len(part)] = (part > limits).T
    return {label: frames_to_segments(row) for label, row in zip(thresholds, active, strict=True)}


def clean_up(runs: Mapping[str, Intervals], minimum: MinimumDurations) -> Segments:
    """Close short gaps, then drop short segments, class by class."""
    return Segments.from_intervals(
        {label: drop_short(*close_gaps(start, end, minimum.off), minimum.on) for label, (start, end) in runs.items()}
    )
