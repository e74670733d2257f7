"""Mean rate of children like those recorded, with an interval for the population that they were drawn from.

Estimates of totals speak of the recordings at hand. Here children are the first level of variance: each child counts
once, with the rate estimated from its own clips and the machine, and the spread of these rates holds both the
differences between children and the error of the clips within them (Cochran 1977, section 10.3). Where only some
children have annotated clips, the machine's rates of the others take part (two-phase sampling, section 12.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babyhubert.evaluation.estimation import MOST_LEVERAGE, balance
from babyhubert.evaluation.intervals import Deviations, Interval, total_interval, unknown_interval

Values = NDArray[np.float64]

_FEWEST = 3


@dataclass(frozen=True, eq=False)
class ChildRates:
    """Rates of K measures in N children, per hour.

    Attributes:
        machine: The machine's rates over all time, shape (N, K).
        annotated: Children with annotated clips, bool, shape (N,).
        people: Rates estimated from the clips of these alone, shape (N, K); 0 for others.
        found: The machine's rates estimated from the same clips, shape (N, K).
        single: Children with one clip, bool, shape (N,).
    """

    machine: Values
    annotated: NDArray[np.bool_]
    people: Values
    found: Values
    single: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ChildrenMean:
    """Mean rates of K measures over children.

    Attributes:
        children: Number of children.
        annotated: Number of these with annotated clips.
        machine: The machine's mean, shape (K,).
        corrected: From clips and machine together.
        sample: From the clips alone.
        spread: Standard deviation of the estimated rates, shape (K,): between children, and of the clips within.
        seen: Children in whose clips people found any, shape (K,).
    """

    children: int
    annotated: int
    machine: Values
    corrected: Interval
    sample: Interval
    spread: Values
    seen: NDArray[np.int64]


def mean_of_children(rates: ChildRates, coefficient: Values) -> ChildrenMean:
    """Estimate the mean rate in the population of children.

    The corrected rate of an annotated child is its machine's rate times the coefficient, plus what people found beyond
    that. The variance is that of the corrected rates over all children, and of the corrections where only some
    children have clips; the degrees of freedom are those of the annotated children.

    Args:
        rates: The rates.
        coefficient: Coefficient of the machine, shape (K,), such as that of the totals.
    """
    some, number = rates.annotated, len(rates.annotated)
    people = rates.people[some]
    correction = people - coefficient * rates.found[some]
    corrected = coefficient * rates.machine[some] + correction
    count, seen = len(people), (people > 0).sum(axis=0)
    machine = rates.machine.mean(axis=0)
    spread = corrected.std(axis=0, ddof=1) if count > 1 else np.full(len(machine), np.nan)
    if count == 0:
        nothing = unknown_interval(np.full(len(machine), np.nan))
        return ChildrenMean(number, 0, machine, nothing, nothing, spread, seen)
    value = coefficient * machine + correction.mean(axis=0)
    alone = people.mean(axis=0)
    if count < _FEWEST:
        return ChildrenMean(number, count, machine, unknown_interval(value), unknown_interval(alone), spread, seen)
    error = _deviations_left(rates, coefficient)
    both = coefficient * (rates.machine[some] - rates.machine[some].mean(axis=0)) + error
    terms = np.concatenate([_terms(both, 1 / number), _terms(error, 1 / count - 1 / number)])
    return ChildrenMean(
        number,
        count,
        machine,
        _interval(value, terms, count, seen > 0, with_machine=True),
        _interval(alone, _terms(people, 1 / count), count, seen > 0, with_machine=False),
        spread,
        seen,
    )


def _deviations_left(rates: ChildRates, coefficient: Values) -> Values:
    """Deviations of the corrections of annotated children from their mean, as large as they would be elsewhere.

    They are scaled as the error of totals is, where the clips have more or less in them than all time. To the
    differences between children with one clip, the coefficient was fitted: their leverage is given back (HC3).
    """
    some = rates.annotated
    found, machine = rates.found[some], rates.machine[some].mean(axis=0)
    correction = rates.people[some] - coefficient * found
    apart = found - found.mean(axis=0)
    square = (apart**2).sum(axis=0)
    fitted = rates.single[some][:, None] & (square > 0) & (coefficient > 0)
    leverage = np.divide(apart**2, square, out=np.zeros_like(apart), where=fitted) * len(apart) / (len(apart) - 1)
    left = (correction - correction.mean(axis=0)) / np.maximum(1 - leverage, 1 - MOST_LEVERAGE)
    return np.asarray(left * balance(machine, found.mean(axis=0)), dtype=np.float64)


def _terms(values: Values, share: float) -> Values:
    """Terms whose squares add up to the variance of values, times a share."""
    terms: Values = np.sqrt(share / (len(values) - 1)) * (values - values.mean(axis=0))
    return terms


def _interval(value: Values, terms: Values, count: int, known: NDArray[np.bool_], *, with_machine: bool) -> Interval:
    deviations = Deviations(terms, np.zeros(len(terms), dtype=np.int64), np.array([count - 1.0]))
    bounds = (np.zeros(len(value)), np.full(len(value), np.inf))
    return total_interval(value, deviations, bounds, known, symmetric=with_machine)
