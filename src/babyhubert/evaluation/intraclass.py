"""Intraclass correlations with exact intervals: agreement on numbers, and stability of numbers over days.

Shrout and Fleiss (1979) and McGraw and Wong (1996). ICC(2,1), there ICC(A,1): absolute agreement of raters who stand
for others, so that a rater who always counts more lowers it. ICC(3,1), there ICC(C,1): consistency, which a constant
difference does not lower. ICC(1,1): one way, for repeated measures that have no order, such as days of a child.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_BISECTIONS = 200
_FRACTION_STEPS = 500
_TINY = 1e-300


class Correlation(NamedTuple):
    """An intraclass correlation with its interval; NaN where it is undefined."""

    value: float
    low: float
    high: float


UNDEFINED = Correlation(math.nan, math.nan, math.nan)


class _MeanSquares(NamedTuple):
    """Mean squares of a table of units by raters, and its size."""

    rows: float
    columns: float
    error: float
    units: int
    raters: int


def absolute_agreement(table: Values, confidence: float = 0.95) -> Correlation:
    """ICC(2,1) of a table.

    Args:
        table: Values, shape (units, raters), complete.
        confidence: Confidence of the interval (McGraw and Wong 1996, table 7, case 2A).

    Returns:
        NaN with fewer than two units or raters, or if all values are equal.
    """
    squares = _mean_squares(table)
    if squares is None:
        return UNDEFINED
    rows, columns, error, n, k = squares
    spread = rows + (k - 1) * error + k * (columns - error) / n
    if spread <= 0:
        return UNDEFINED
    value = (rows - error) / spread
    if value >= 1 - 1e-12:
        return Correlation(1.0, 1.0, 1.0)
    a = k * value / (n * (1 - value))
    b = 1 + k * value * (n - 1) / (n * (1 - value))
    if a * columns == 0 and error == 0:  # all units alike: the raters differ by a constant, and nothing else does
        return Correlation(value, math.nan, math.nan)
    top = (a * columns + b * error) ** 2
    freedom = top / ((a * columns) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1)))
    tail = 0.5 + confidence / 2
    lower, upper = f_quantile(tail, n - 1, freedom), f_quantile(tail, freedom, n - 1)
    rest = k * columns + (k * n - k - n) * error
    low = n * (rows - lower * error) / (lower * rest + n * rows)
    high = n * (upper * rows - error) / (rest + n * upper * rows)
    return Correlation(value, low, high)


def consistency(table: Values, confidence: float = 0.95) -> Correlation:
    """ICC(3,1) of a table, as :func:`absolute_agreement` (McGraw and Wong 1996, table 7, case 3)."""
    squares = _mean_squares(table)
    if squares is None or squares.rows + (squares.raters - 1) * squares.error <= 0:
        return UNDEFINED
    n, k = squares.units, squares.raters
    return _from_ratio(squares.rows, squares.error, k, (n - 1, (n - 1) * (k - 1)), confidence)


def one_way(groups: Sequence[Values], confidence: float = 0.95) -> Correlation:
    """ICC(1,1) of groups of repeated measures.

    Args:
        groups: The measures of each unit, shape (K_i,). With different K_i, their weighted mean size takes the place
            of K (Searle 1971), and the interval is approximate.
        confidence: Confidence of the interval.

    Returns:
        NaN with fewer than two groups, without a repeated measure, or if all values are equal.
    """
    sizes = np.array([len(group) for group in groups], dtype=np.float64)
    count, total = len(sizes), float(sizes.sum())
    if count < 2 or total <= count:
        return UNDEFINED
    means = np.array([float(np.mean(group)) for group in groups])
    overall = float(sizes @ means) / total
    between = float(sizes @ (means - overall) ** 2) / (count - 1)
    inside = sum(float(((group - mean) ** 2).sum()) for group, mean in zip(groups, means, strict=True))
    within = inside / (total - count)
    size = (total - float(sizes @ sizes) / total) / (count - 1)
    if between + (size - 1) * within <= 0:
        return UNDEFINED
    return _from_ratio(between, within, size, (count - 1, total - count), confidence)


def _from_ratio(
    between: float, within: float, size: float, freedom: tuple[float, float], confidence: float
) -> Correlation:
    """Correlation and interval from two mean squares whose ratio has an F distribution."""
    value = (between - within) / (between + (size - 1) * within)
    if within <= 0:
        return Correlation(1.0, 1.0, 1.0)
    tail = 0.5 + confidence / 2
    lower = between / within / f_quantile(tail, freedom[0], freedom[1])
    upper = between / within * f_quantile(tail, freedom[1], freedom[0])
    return Correlation(value, (lower - 1) / (lower + size - 1), (upper - 1) / (upper + size - 1))


def _mean_squares(table: Values) -> _MeanSquares | None:
    """Mean squares of a two-way table without replication; None if it is too small or constant."""
    table = np.asarray(table, dtype=np.float64)
    n, k = table.shape
    if n < 2 or k < 2 or np.ptp(table) == 0:
        return None
    mean = table.mean()
    rows, columns = table.mean(axis=1) - mean, table.mean(axis=0) - mean
    rest = table - mean - rows[:, None] - columns
    return _MeanSquares(
        k * float(rows @ rows) / (n - 1),
        n * float(columns @ columns) / (k - 1),
        float((rest**2).sum()) / ((n - 1) * (k - 1)),
        n,
        k,
    )


def f_quantile(share: float, first: float, second: float) -> float:
    """Value that a share of the F distribution with these degrees of freedom stays below, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _incomplete_beta(middle, first / 2, second / 2) < share:
            low = middle
        else:
            high = middle
    return second * low / (first * (1 - low)) if low < 1 else math.inf


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function, by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    scale = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(scale) / (a * _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    """Continued fraction 1 + d1 / (1 + d2 / (1 + ...)), by the method of Lentz."""
    value, c, d = 1.0, 1.0, 0.0
    for step in range(1, _FRACTION_STEPS):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + term * d or _TINY)
        c = 1 + term / c or _TINY
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value
