"""Bootstrap: variation of a score over recordings of the same kind, by resampling with replacement.

Counts add up over units (recordings, children), so a resample is a weighted sum of counts, and all resamples are one
matrix product.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from babyhubert.errors import ConfigError

_WEIGHTS_AT_ONCE = 1 << 22
Number = TypeVar("Number", np.int64, np.float64)


def check_bootstrap(resamples: int, confidence: float) -> None:
    """Check the settings of the bootstrap.

    Raises:
        ConfigError: fewer than one resample, or a confidence outside (0, 1).
    """
    if resamples < 1 or not 0 < confidence < 1:
        raise ConfigError(
            f"bootstrap with {resamples} resamples and confidence {confidence}: at least 1, and between 0 and 1"
        )


def resampled_sums(counts: NDArray[Number], rng: np.random.Generator, resamples: int) -> NDArray[Number]:
    """Sums of the counts of U units, drawn with replacement for each resample.

    Args:
        counts: Counts of each of U units, shape (U, ...).
        rng: Source of randomness.
        resamples: B.

    Returns:
        Shape (B, ...), of the type of ``counts``.
    """
    units = len(counts)
    flat = counts.reshape(units, -1)
    chance = np.full(units, 1 / units)
    block = max(1, _WEIGHTS_AT_ONCE // units)
    sums = [
        rng.multinomial(units, chance, size=min(block, resamples - first)) @ flat
        for first in range(0, resamples, block)
    ]
    return np.concatenate(sums).reshape(resamples, *counts.shape[1:])


def percentile_ends(values: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    """Percentile intervals over resamples; resamples in which a value is NaN are ignored for it.

    Args:
        values: Shape (B, ...).
        confidence: Fraction of the resamples within the interval.

    Returns:
        Shape (..., 2); NaN if every resample is.
    """
    flat = values.reshape(len(values), -1)
    ends = np.full((flat.shape[1], 2), np.nan)
    known = ~np.isnan(flat).all(axis=0)
    ends[known] = np.nanpercentile(flat[:, known], [50 * (1 - confidence), 50 * (1 + confidence)], axis=0).T
    return ends.reshape(*values.shape[1:], 2)
