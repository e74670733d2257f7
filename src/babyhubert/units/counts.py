"""Frequencies of units, and the prediction that they alone allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class UnitCounts:
    """Occurrences of units.

    Attributes:
        counts: Frames of each unit, int64 (K,).
    """

    counts: NDArray[np.int64]

    @property
    def dead(self) -> NDArray[np.int64]:
        """Units that never occur."""
        return np.flatnonzero(self.counts == 0)

    @property
    def entropy(self) -> float:
        """Entropy in nats: the loss of a model that knows only the frequencies."""
        return _entropy(self.counts)

    @property
    def perplexity(self) -> float:
        """Number of equally likely units with the same entropy."""
        return perplexity(self.counts)

    @property
    def largest_share(self) -> float:
        """Fraction of frames of the most frequent unit: the accuracy of always predicting it."""
        return float(self.counts.max() / self.counts.sum())


def perplexity(weights: NDArray) -> float:
    """Exp of the entropy of a distribution given by weights that need not sum to 1, shape (K,)."""
    return float(np.exp(_entropy(weights)))


def _entropy(weights: NDArray) -> float:
    share = weights[weights > 0] / weights.sum()
    return float(-(share * np.log(share)).sum())
