"""Totals over recordings from a few annotated clips and the machine's numbers for all time, with intervals.

The design-based difference estimator: the machine's total times a coefficient, plus the total of what people found
beyond that, expanded from the clips by their sampling weights. The clips were drawn at random, so this is unbiased
for any machine; a good machine only makes the interval narrower. The coefficient is chosen to give the least variance
(prediction-powered inference, PPI++: Angelopoulos, Duchi and Zrnic 2023; the regression estimator of survey sampling:
Cochran 1977, chapter 7). With the coefficient 0 it is the estimate of the clips alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from babyhubert.errors import ConfigError
from babyhubert.evaluation.intervals import (
    CONFIDENCE,
    Deviations,
    Interval,
    student_quantile,
    total_interval,
    unknown_interval,
)

Values = NDArray[np.float64]
_FIT_FREEDOM = 3
"""Degrees of freedom from which the coefficient is fitted: with fewer, the fit hides the error that it leaves."""

_INTERVAL_FREEDOM = 2
"""Degrees of freedom from which there is an interval: with fewer, it is so wide that it says nothing."""

_NO_SHARE = 1e-6
"""A share so near 0 or 1 is nothing but rounding."""

MOST_LEVERAGE = 0.95
_MOST_BALANCE = 3.0


@dataclass(frozen=True, eq=False)
class ClipDesign:
    """The drawing of the clips: strata of time, within each of which clips were drawn with equal chance.

    A stratum is a recording, or a part of it. A clip's sampling weight is its stratum's length over the length of all
    clips drawn there, the inverse of the probability with which a moment of the stratum is in a clip.

    Attributes:
        stratum: Stratum of each of C clips, int, shape (C,).
        length: Length of each clip, in any unit, shape (C,).
        stratum_length: Length of each of H strata in the same unit, shape (H,). Strata without clips count as skipped
            at random.
    """

    stratum: NDArray[np.int64]
    length: Values
    stratum_length: Values

    def __post_init__(self) -> None:
        if np.any(self.length <= 0) or np.any(self.stratum_length <= 0):
            raise ConfigError("a clip and a stratum must have a length above 0")
        if np.any(self.covered > self.stratum_length * (1 + 1e-9)):
            raise ConfigError("the clips of a stratum are longer than the stratum")

    @property
    def clips(self) -> NDArray[np.int64]:
        """Number of clips of each stratum, shape (H,)."""
        return np.bincount(self.stratum, minlength=len(self.stratum_length))

    @property
    def covered(self) -> Values:
        """Length of the clips of each stratum, shape (H,)."""
        covered: Values = np.bincount(self.stratum, self.length, len(self.stratum_length)).astype(np.float64)
        return covered

    def rates(self, amounts: Values) -> Values:
        """Amount per unit of length in each clip, shape (C, K), of amounts of shape (C, K)."""
        rates: Values = amounts / self.length[:, None]
        return rates

    def stratum_rates(self, amounts: Values) -> Values:
        """Amount per unit of length in each stratum, from its clips, shape (H, K); 0 without clips."""
        found = self._sums(amounts)
        covered = self.covered[:, None]
        return np.divide(found, covered, out=np.zeros_like(found), where=covered > 0)

    def totals(self, amounts: Values) -> Values:
        """Horvitz-Thompson total of amounts per clip, shape (C, K), over all strata: shape (K,)."""
        sampled = self.clips > 0
        lengths = self.stratum_length * sampled
        expanded: Values = lengths @ self.stratum_rates(amounts)
        return expanded * self.stratum_length.sum() / lengths.sum()

    def _sums(self, values: Values) -> Values:
        sums = np.zeros((len(self.stratum_length), values.shape[1]))
        np.add.at(sums, self.stratum, values)
        return sums

    def deviations(self, amounts: Values) -> Deviations | None:
        """Terms whose squares add up to the variance of :meth:`totals`.

        A stratum with one clip has no variance of its own: such strata are collapsed into one (Cochran 1977, section
        5A.12), which can only overstate the variance; a single one takes that of the others. Strata without clips add
        the variance between strata (two-stage sampling).

        Returns:
            The terms; None if the clips do not determine a variance: one clip, or one stratum of several with clips.
        """
        sampled = self.clips > 0
        expansion = self.stratum_length.sum() / self.stratum_length[sampled].sum()
        if len(self.stratum) < 2 or (expansion > 1 and sampled.sum() < 2):
            return None
        rates, means = self.rates(amounts), self.stratum_rates(amounts)
        weights, centre, group, freedom = self._within(means)
        terms = np.sqrt(expansion * weights)[:, None] * (rates - centre)
        if expansion > 1:
            between = self._between(means, sampled, expansion)
            terms = np.concatenate([terms, between])
            group = np.concatenate([group, np.full(len(between), len(freedom))])
            freedom = np.append(freedom, len(between) - 1.0)
        return Deviations(terms, group, freedom, drawn=expansion > 1)

    def _within(self, means: Values) -> tuple[Values, Values, NDArray[np.int64], Values]:
        """Weight of each clip's squared deviation, the rate it deviates from, and variance groups with freedom."""
        clips, lengths = self.clips, self.stratum_length
        unseen = np.maximum(1 - self.covered / lengths, 0)
        several, single = clips > 1, clips == 1
        scale = lengths**2 * unseen
        weight = np.divide(scale, clips * (clips - 1.0), out=np.zeros(len(lengths)), where=several)
        centres = means.copy()
        singles = int(single.sum())
        if singles == 1:
            weight[several] += scale[single].sum() / (clips[several] - 1).sum()
        elif singles > 1:
            weight[single] = scale[single] * singles / (singles - 1)
            centres[single] = lengths[single] @ means[single] / lengths[single].sum()
        groups = np.where(several, np.cumsum(several) - 1, several.sum())
        freedom = np.append(clips[several] - 1.0, [singles - 1.0] if singles > 1 else [])
        if singles == 1:  # its one clip deviates by nothing; any group can hold it
            groups[single] = 0
        return weight[self.stratum], centres[self.stratum], groups[self.stratum], freedom

    def _between(self, means: Values, sampled: NDArray[np.bool_], expansion: float) -> Values:
        """Terms of the variance between strata, where some have no clips."""
        lengths, count = self.stratum_length[sampled], int(sampled.sum())
        mean = lengths @ means[sampled] / lengths.sum()
        scale = np.sqrt((1 - 1 / expansion) * count / (count - 1)) * expansion
        terms: Values = scale * lengths[:, None] * (means[sampled] - mean)
        return terms


@dataclass(frozen=True, eq=False)
class Estimate:
    """Totals of K amounts.

    Attributes:
        machine: The machine's totals over all time, shape (K,).
        coefficient: Factor of the machine's part, shape (K,).
        corrected: From clips and machine together.
        sample: From the clips alone.
        seen: Clips in which people found any, shape (K,). Where there are none, no interval is given.
    """

    machine: Values
    coefficient: Values
    corrected: Interval
    sample: Interval
    seen: NDArray[np.int64]

    @property
    def gain(self) -> Values:
        """Annotation saved, as a share of that done: with 1, the clips alone would need twice as many minutes."""
        ratio = np.full(len(self.machine), np.nan)
        np.divide(self.sample.error, self.corrected.error, out=ratio, where=self.corrected.error > 0)
        return np.maximum(ratio**2 - 1, 0)


def estimate(
    design: ClipDesign,
    people: Values,
    machine: Values,
    totals: Values,
    *,
    most: Values | None = None,
    coefficient: Values | None = None,
) -> Estimate:
    """Estimate totals over all strata.

    Args:
        design: The drawing of the clips.
        people: Amounts that people found in each clip, shape (C, K).
        machine: Amounts that the machine found in each clip, counted in the same way, shape (C, K).
        totals: Amounts that the machine found in all strata, clips included, shape (K,).
        most: Greatest possible totals, shape (K,); infinity if unknown.
        coefficient: Coefficients that are known, shape (K,): those of all recordings, for some of them. Default: those
            of least variance in these clips, or 1 with too few clips to find it.
    """
    people, machine, totals = (np.asarray(values, dtype=np.float64) for values in (people, machine, totals))
    found, highest = people.sum(axis=0), np.full(len(totals), np.inf) if most is None else most
    alone, expanded = design.totals(people), design.totals(machine)
    of_people, of_machine = design.deviations(people), design.deviations(machine)
    fitted = coefficient is None and of_people is not None and of_people.freedom.sum() >= _FIT_FREEDOM
    factor = np.ones(len(totals)) if coefficient is None else coefficient
    if fitted and of_people is not None and of_machine is not None:
        factor = least_variance(of_people.terms, of_machine.terms)
    corrected = np.clip(alone + factor * (totals - expanded), found, highest)
    seen = (people > 0).sum(axis=0)
    if of_people is None or of_machine is None or of_people.freedom.sum() < _INTERVAL_FREEDOM:
        return Estimate(totals, factor, unknown_interval(corrected), unknown_interval(alone), seen)
    spent = int(fitted or coefficient is not None)
    left = _left_by_machine(of_people, of_machine.terms, factor, fitted) * balance(totals, expanded)
    return Estimate(
        totals,
        factor,
        total_interval(
            corrected, replace(of_people, terms=left), (found, highest), seen > 0, spent, symmetric=spent > 0
        ),
        total_interval(alone, of_people, (found, highest), seen > 0),
        seen,
    )


def estimate_shares(design: ClipDesign, part: Values, complete: Values) -> Interval:
    """Estimate shares: the total of one amount in that of another which contains it.

    The variance is that of the total of ``part - share * complete`` (linearisation), the interval is symmetric in the
    log odds.

    Args:
        design: The drawing of the clips.
        part: Shape (C, K).
        complete: Shape (C, K), nowhere less than ``part``.
    """
    top, bottom = design.totals(part), design.totals(complete)
    share = np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)
    deviations = design.deviations(part - np.nan_to_num(share) * complete)
    inside = (share > _NO_SHARE) & (share < 1 - _NO_SHARE)
    if deviations is None or not inside.any():
        return unknown_interval(share)
    variance, free = deviations.variance()
    error, odds, reach = (np.full(len(share), np.nan) for _ in range(3))
    np.divide(np.sqrt(variance), bottom, out=error, where=inside & (variance > 0))
    odds[inside] = np.log(share[inside] / (1 - share[inside]))
    reach[inside] = student_quantile(free[inside], CONFIDENCE) * error[inside] / (share * (1 - share))[inside]
    with np.errstate(over="ignore"):
        low, high = (1 / (1 + np.exp(-(odds + side * reach))) for side in (-1, 1))
    return Interval(share, error, low, high)


def least_variance(of_people: Values, of_machine: Values) -> Values:
    """Coefficient of the machine that gives the least variance; 0 where the machine does not vary as people do.

    Args:
        of_people: Deviations of what people found, shape (R, K).
        of_machine: Deviations of what the machine found, shape (R, K).
    """
    square, product = (of_machine**2).sum(axis=0), (of_people * of_machine).sum(axis=0)
    return np.maximum(np.divide(product, square, out=np.zeros_like(square), where=square > 0), 0.0)


def _left_by_machine(of_people: Deviations, of_machine: Values, factor: Values, fitted: bool) -> Values:
    """Deviations that the machine leaves; each divided by the share of it that the fit did not take away (HC3).

    Of few recordings drawn, each has also a large part in their mean: without it, its leverage is larger still.
    """
    left: Values = of_people.terms - factor * of_machine
    if not fitted:
        return left
    square = (of_machine**2).sum(axis=0)
    leverage = np.divide(of_machine**2, square, out=np.zeros_like(of_machine), where=(square > 0) & (factor > 0))
    if of_people.drawn:
        last, freedom = of_people.group == len(of_people.freedom) - 1, of_people.freedom[-1]
        leverage[last] *= (freedom + 1) / freedom
    return left / np.maximum(1 - leverage, 1 - MOST_LEVERAGE)


def balance(totals: Values, expanded: Values) -> Values:
    """Factor of the standard error for clips with more or less in them than the average of all time.

    Where there is more speech there is more error, and the machine tells how much more there is than in the clips (Wu
    1982: the ratio estimator's variance ``v2``).
    """
    ratio = np.divide(totals, expanded, out=np.ones_like(totals), where=(expanded > 0) & (totals > 0))
    return np.clip(ratio, 1 / _MOST_BALANCE, _MOST_BALANCE)
