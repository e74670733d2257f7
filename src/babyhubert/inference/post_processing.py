"""Conversion of frame probabilities to segments, in integers: threshold, close gaps, drop short segments.

The published rules (which contradict the published documentation's order): per class, FIRST gaps strictly shorter than
``min_off`` are closed, THEN segments strictly shorter than ``min_on`` are dropped. The published code compares
floating seconds, so that a gap of exactly five frames was closed in 41% of all positions; on integers it never is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, close_free_gaps, close_gaps, drop_short
from babyhubert.annotation.raster import frames_to_segments
from babyhubert.annotation.segments import Segments
from babyhubert.timebase import FRAME_HOP

_FRAMES_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class MinimumDurations:
    """Samples: segments strictly shorter than ``on`` are dropped, after gaps strictly shorter than ``off`` closed."""

    on: int = 1_600
    off: int = 1_600


def active_runs(
    scores: NDArray[np.floating],
    thresholds: Mapping[str, float],
    close: int = 0,
    *,
    simultaneous: float = 0.0,
) -> dict[str, Intervals]:
    """Runs of frames whose probability is STRICTLY greater than their class's threshold, in samples.

    Args:
        scores: Probabilities, shape (T, C), may be a memory map; columns in the order of ``thresholds``.
        thresholds: One value per class.
        close: Gaps strictly shorter than this number of samples are closed at once, which :func:`clean_up` would do
            later: flickering scores of a day have millions of runs.
        simultaneous: Where several classes exceed their thresholds, the likeliest of them is active, and others whose
            probability is STRICTLY greater than this. 0: all are, as published.
    """
    close = max(close, 1)  # where a run goes on into the next stretch, the two touch
    limits = np.array(list(thresholds.values()), dtype=np.float64)
    parts: dict[str, list[Intervals]] = {label: [] for label in thresholds}
    for first in range(0, len(scores), _FRAMES_AT_ONCE):
        here = np.asarray(scores[first : first + _FRAMES_AT_ONCE], dtype=np.float64)
        active = here > limits
        if simultaneous:
            active &= (here > simultaneous) | _likeliest(here, active)
        for label, row in zip(thresholds, active.T, strict=True):
            start, end = close_gaps(*frames_to_segments(row), close)
            parts[label].append((start + first * FRAME_HOP, end + first * FRAME_HOP))
    return {label: _joined(runs, close) for label, runs in parts.items()}


def _likeliest(scores: NDArray[np.float64], active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The active class with the highest probability of each frame, the first among equals: bool, (T, C)."""
    highest = np.where(active, scores, -1.0).argmax(axis=1)
    return highest[:, np.newaxis] == np.arange(scores.shape[1])


def _joined(parts: Sequence[Intervals], close: int) -> Intervals:
    """Merge runs of consecutive stretches."""
    nothing = np.empty(0, dtype=np.int64)
    start, end = (np.concatenate(bounds) for bounds in zip((nothing, nothing), *parts, strict=True))
    return close_gaps(start, end, close)


def decide(
    scores: NDArray[np.floating],
    thresholds: Mapping[str, float],
    minimum: MinimumDurations,
    simultaneous: float = 0.0,
) -> Segments:
    """Convert probabilities to segments.

    With a rule for classes at the same time, a gap in which another class is active stays open: closing it would tell
    both at once where the rule told one. Once short segments are dropped, gaps that are free by then are closed.
    Without it, as published: gaps are closed whoever speaks in them.

    Args:
        scores: Probabilities, shape (T, C), may be a memory map; columns in the order of ``thresholds``.
        thresholds: One value per class.
        minimum: Shortest segments and gaps.
        simultaneous: Probability that a class needs beside a likelier one; 0: its threshold alone.
    """
    if not simultaneous:
        return clean_up(active_runs(scores, thresholds, close=minimum.off), minimum)
    runs = _close_free_gaps(active_runs(scores, thresholds, simultaneous=simultaneous), minimum.off)
    long = {label: drop_short(start, end, minimum.on) for label, (start, end) in runs.items()}
    return Segments.from_intervals(_close_free_gaps(long, minimum.off))


def _close_free_gaps(runs: Mapping[str, Intervals], shorter_than: int) -> dict[str, Intervals]:
    """Close gaps of a class in which no other class is active."""
    closed = {}
    for label, run in runs.items():
        others = [other for name, other in runs.items() if name != label]
        closed[label] = close_free_gaps(*run, shorter_than, _joined(others, 1))
    return closed


def clean_up(runs: Mapping[str, Intervals], minimum: MinimumDurations) -> Segments:
    """Close short gaps, then drop short segments, class by class."""
    return Segments.from_intervals(
        {label: drop_short(*close_gaps(start, end, minimum.off), minimum.on) for label, (start, end) in runs.items()}
    )
