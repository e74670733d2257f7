"""Intervals from deviations whose squares add up to a variance, by Student's t distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
CONFIDENCE = 0.95

_NO_SPREAD = 1e-12
"""Standard error, as a share of the total, that is nothing but rounding."""

_LARGEST_LOG = 50.0
_NEWTON_STEPS = 40
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(48)


@dataclass(frozen=True, eq=False)
class Interval:
    """Estimates of K amounts with their intervals; NaN where the clips do not determine one.

    Attributes:
        value: Shape (K,).
        error: Standard error, shape (K,).
        low: Lower end, shape (K,).
        high: Upper end, shape (K,).
    """

    value: Values
    error: Values
    low: Values
    high: Values


@dataclass(frozen=True, eq=False)
class Deviations:
    """Terms whose squares add up to the variances of K estimates.

    Attributes:
        terms: Shape (R, K).
        group: Group of each row: a component of the variance, int, shape (R,).
        freedom: Degrees of freedom of each group.
        drawn: True if the last group is of recordings of which only some have clips.
    """

    terms: Values
    group: NDArray[np.int64]
    freedom: Values
    drawn: bool = False

    def variance(self) -> tuple[Values, Values]:
        """Sums of the squared terms, and their degrees of freedom (Satterthwaite), shape (K,) each.

        With few recordings drawn, Satterthwaite's degrees are too many: where the recordings happen to be alike, their
        part of the variance is underestimated, and so is its weight. Taken is then the geometric mean of two parts of
        these and one of the recordings' own; simulated intervals hold the truth as often as they say with it.
        """
        squares = np.zeros((len(self.freedom), self.terms.shape[1]))
        np.add.at(squares, self.group, self.terms**2)
        variance, spread = squares.sum(axis=0), (squares**2 / self.freedom[:, None]).sum(axis=0)
        free: Values = np.divide(variance**2, spread, out=np.ones_like(variance), where=spread > 0)
        return variance, np.cbrt(free**2 * self.freedom[-1]) if self.drawn else free


def total_interval(
    value: Values,
    deviations: Deviations,
    bounds: tuple[Values, Values],
    known: NDArray[np.bool_],
    spent: int = 0,
    *,
    symmetric: bool = False,
) -> Interval:
    """Interval by Student's t, on the logarithm of a total, within what is possible.

    Amounts in clips are skewed: a few clips have most of them. An interval on the logarithm is longer upwards, as the
    error is. What a machine leaves may be skewed either way (a burst of false alarms): there, the lower side is the
    longer one of a symmetric interval.

    Args:
        value: Estimates, shape (K,).
        deviations: Terms of their variance.
        bounds: Least and greatest possible values, shape (K,) each.
        known: Estimates that have an interval, shape (K,).
        spent: Degrees of freedom spent on a fit.
        symmetric: Take the longer lower side.
    """
    variance, free = deviations.variance()
    known = known & (np.sqrt(variance) > _NO_SPREAD * value) & (value > 0)
    error = np.where(known, np.sqrt(variance), np.nan)
    reach = student_quantile(np.maximum(free - spent, 1), CONFIDENCE) * error
    factor = np.exp(np.minimum(reach / np.where(known, value, 1), _LARGEST_LOG))
    below = value - reach if symmetric else value / factor
    low, high = np.maximum(below, bounds[0]), np.minimum(value * factor, bounds[1])
    return Interval(value, error, np.where(known, low, np.nan), np.where(known, high, np.nan))


def unknown_interval(value: Values) -> Interval:
    """Estimates without intervals."""
    nothing = np.full(len(value), np.nan)
    return Interval(value, nothing, nothing, nothing)


def student_quantile(freedom: Values, confidence: float) -> Values:
    """Half-width of Student's t distribution that holds a share ``confidence``, by Newton's method on its integral.

    Args:
        freedom: Degrees of freedom, 1 or more, shape (K,).
        confidence: Between 0 and 1.
    """
    freedom = np.asarray(freedom, dtype=np.float64)
    logs = [math.lgamma((v + 1) / 2) - math.lgamma(v / 2) - math.log(v * math.pi) / 2 for v in freedom.tolist()]
    scale = np.exp(logs)

    def density(at: Values) -> Values:
        values: Values = scale * (1 + at**2 / freedom) ** (-(freedom + 1) / 2)
        return values

    at = np.full(len(freedom), 0.5)
    for _ in range(_NEWTON_STEPS):
        inside = at * (density(at / 2 * (_NODES[:, None] + 1)) * _NODE_WEIGHTS[:, None]).sum(axis=0)
        step = (confidence - inside) / (2 * density(at))
        at = at + step
        if np.all(abs(step) < 1e-12 * at):
            break
    return at
