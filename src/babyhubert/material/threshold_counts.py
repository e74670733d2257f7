"""Counts that give the exact F1 of every threshold: two histograms per class, which can be added up.

The published tuner tries ten or a hundred thresholds and never 0.5, on all scores in memory. Here every threshold on a
fine grid (0.001, as for the published f1 set) is scored at once, and batches and processes simply add their counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

GRID = np.round(np.arange(1, 1000) * 0.001, 3)
LEVELS = len(GRID) + 1
"""A probability at level k is strictly greater than the first k thresholds of the grid."""


class OperatingPoint(NamedTuple):
    """A class at its best threshold; F1, precision and recall are NaN for a class that never occurs."""

    threshold: float
    f1: float
    precision: float
    recall: float


def count_levels(probabilities: NDArray[np.floating], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Histograms of negatives and positives: (N, C) probabilities and truths -> (C, 2, LEVELS)."""
    level = np.searchsorted(GRID, np.asarray(probabilities, dtype=np.float64), side="left")
    classes = positive.shape[1]
    index = (np.arange(classes) * 2 + positive) * LEVELS + level
    return np.bincount(index.ravel(), minlength=classes * 2 * LEVELS).reshape(classes, 2, LEVELS).astype(np.float64)


def above(histogram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count of values strictly above each threshold of the grid: (..., LEVELS) -> (..., LEVELS - 1)."""
    return histogram[..., ::-1].cumsum(axis=-1)[..., ::-1][..., 1:]


def best_point(histograms: NDArray[np.float64]) -> OperatingPoint:
    """The threshold with the highest F1, among equals the one nearest 0.5, of one class, (2, LEVELS)."""
    positives = histograms[1].sum()
    if not positives:
        return OperatingPoint(0.5, *[float("nan")] * 3)
    alarms, hits = above(histograms)
    f1 = 2 * hits / (hits + alarms + positives)
    best = np.flatnonzero(f1 == f1.max())
    choice = best[np.argmin(np.abs(GRID[best] - 0.5))]
    active = hits[choice] + alarms[choice]
    precision = float(hits[choice] / active) if active else 0.0
    return OperatingPoint(float(GRID[choice]), float(f1[choice]), precision, float(hits[choice] / positives))
