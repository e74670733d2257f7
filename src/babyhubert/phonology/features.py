"""Distance of two phonemes in articulatory features: the fraction of panphon's features that differ."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.errors import MissingExtraError


def feature_costs(symbols: Sequence[str]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Costs of substituting symbols, and the symbols that panphon does not know as one segment.

    Returns:
        float64, shape (P, P), 0 on the diagonal and 1 for a symbol without features; and those symbols.

    Raises:
        MissingExtraError: panphon is not installed.
    """
    table = _feature_table()
    vectors = [table.word_to_vector_list(symbol, numeric=True) for symbol in symbols]
    cost = 1.0 - np.eye(len(symbols))
    known = [row for row, vector in enumerate(vectors) if len(vector) == 1]
    if known:
        features = np.array([vectors[row][0] for row in known])
        cost[np.ix_(known, known)] = (features[:, None] != features[None]).mean(axis=2)
    return cost, tuple(symbol for row, symbol in enumerate(symbols) if len(vectors[row]) != 1)


@cache
def _feature_table() -> Any:
    try:
        import panphon
    except ImportError as error:
        raise MissingExtraError("the error in articulatory features", "phones") from error
    return panphon.FeatureTable()
