"""Meaning of segments' scores, fitted on reviewed segments and measured on recordings that were not fitted on.

Logistic regression per class on the score (Platt 1999), with a normal prior of standard deviation 1 on intercept and
slope around the uncalibrated score, 0 and 1. With few segments, or only right ones, the result stays near the
uncalibrated score; a class without any keeps it. A slope is never negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.errors import AnnotationError
from babyhubert.evaluation.bootstrap import percentile_ends, resampled_sums
from babyhubert.evaluation.calibration import Reliability, fit_logistic, reliability
from babyhubert.evaluation.reviewed_segments import ReviewedSegments
from babyhubert.evaluation.tuning import split_recordings
from babyhubert.inference.calibration import sigmoid
from babyhubert.inference.confidence import ClassFit, SegmentCalibration

FEWEST = 10
"""Reviewed segments that are needed."""
BINS = 10
_PRECISION = 1.0
"""Of the prior: 1 over the square of its standard deviation."""

Values = NDArray[np.float64]


class Measured(NamedTuple):
    """Agreement of probabilities with what is right.

    Attributes:
        brier: Mean squared difference (Brier 1950).
        error: Expected calibration error over ten bins of equal width (Naeini et al. 2015).
        ranking: Area under the ROC curve: chance that a right segment has the higher value than a wrong one.
        brier_ends: Interval of ``brier``, over recordings; NaN without resamples.
        error_ends: Interval of ``error``.
        bins: Reliability by bins.
    """

    brier: float
    error: float
    ranking: float
    brier_ends: tuple[float, float]
    error_ends: tuple[float, float]
    bins: Reliability


@dataclass(frozen=True)
class FittedClass:
    """Fit of one class.

    Attributes:
        fit: The parameters.
        segments: Reviewed segments.
        right: Number of them that are right.
        falling: True if higher scores were right less often, so that the score does not count.
        before: Uncalibrated scores, as probabilities.
        held_out: Probabilities from fits on the other folds.
    """

    fit: ClassFit
    segments: int
    right: float
    falling: bool
    before: Measured
    held_out: Measured


@dataclass(frozen=True)
class ConfidenceFit:
    """Result of fitting.

    Attributes:
        calibration: Meaning of the scores of each class.
        classes: Each class's fit.
        all: Over all classes: uncalibrated, and held out.
        folds: Number of folds.
        over: Units of folds and resamples: ``recordings``, or ``segments`` of a single recording.
        recordings: Number of recordings with reviewed segments.
    """

    calibration: SegmentCalibration
    classes: dict[str, FittedClass]
    all: tuple[Measured, Measured]
    folds: int
    over: str
    recordings: int


@dataclass(frozen=True)
class FitSettings:
    """Settings of a fit.

    Attributes:
        folds: Groups of recordings for held-out measures, at most one per recording.
        resamples: Resamples for intervals; 0: none.
        confidence: Fraction of them within an interval.
        seed: Seed of the resamples.
    """

    folds: int = 10
    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0


def fit_confidence(
    reviewed: ReviewedSegments, labels: Sequence[str], settings: FitSettings = FitSettings()
) -> ConfidenceFit:
    """Fit the probability that a segment is right.

    Args:
        reviewed: Reviewed segments.
        labels: Classes of the model.
        settings: Folds and intervals.

    Raises:
        AnnotationError: fewer than ten reviewed segments.
    """
    if len(reviewed) < FEWEST:
        raise AnnotationError(f"{len(reviewed)} reviewed segments: at least {FEWEST} are needed, better some hundred")
    over, units = _units(reviewed)
    groups = split_recordings(sorted(set(units)), settings.folds)
    held = np.full(len(reviewed), np.nan)
    for group in groups:
        inside = np.isin(units, group)
        others = _fit_classes(reviewed.where(~inside), labels)[0]
        held[inside] = others.probabilities(reviewed.label[inside], reviewed.score[inside])
    calibration, falling = _fit_classes(reviewed, labels)
    before = sigmoid(reviewed.score)
    rng = np.random.default_rng(settings.seed)

    def measured(values: Values, rows: NDArray[np.bool_]) -> Measured:
        return measure(values[rows], reviewed.right[rows], units[rows], rng, settings)

    classes = {}
    for label in labels:
        rows = np.asarray(reviewed.label == np.array(label, dtype=object), dtype=bool)
        classes[label] = FittedClass(
            calibration.classes[label],
            int(rows.sum()),
            float(reviewed.right[rows].sum()),
            label in falling,
            measured(before, rows),
            measured(held, rows),
        )
    every = np.ones(len(reviewed), dtype=bool)
    both = measured(before, every), measured(held, every)
    return ConfidenceFit(calibration, classes, both, len(groups), over, len(reviewed.recordings))


def _units(reviewed: ReviewedSegments) -> tuple[str, NDArray[np.object_]]:
    """Units that are held out and resampled together: recordings, or the segments of a single one."""
    if len(reviewed.recordings) > 1:
        return "recordings", reviewed.recording
    return "segments", np.array([f"{row:09d}" for row in range(len(reviewed))], dtype=object)


def _fit_classes(reviewed: ReviewedSegments, labels: Sequence[str]) -> tuple[SegmentCalibration, set[str]]:
    """Fit of each class, and the classes whose slope would be negative."""
    fits, falling = {}, set()
    for label in labels:
        rows = np.asarray(reviewed.label == np.array(label, dtype=object), dtype=bool)
        fits[label], falls = fit_class(reviewed.score[rows], reviewed.right[rows])
        falling |= {label} if falls else set()
    return SegmentCalibration(fits), falling


def fit_class(score: Values, right: Values) -> tuple[ClassFit, bool]:
    """Intercept and slope with the highest posterior; True if the slope would be negative and is 0 instead.

    Args:
        score: Mean log-odds, shape (S,).
        right: 1 right, 0 wrong, or between, shape (S,).
    """
    one = np.ones_like(score)
    moved = fit_logistic(np.stack([one, score]), score, 1 - right, right, np.zeros(2), _PRECISION)
    intercept, slope = float(moved[0]), 1 + float(moved[1])
    if slope >= 0:
        return ClassFit(intercept, slope), False
    (level,) = fit_logistic(one[None], np.zeros_like(score), 1 - right, right, np.zeros(1), _PRECISION)
    return ClassFit(float(level), 0.0), True


def measure(
    values: Values, right: Values, units: NDArray[np.object_], rng: np.random.Generator, settings: FitSettings
) -> Measured:
    """Brier score, calibration error and ranking of probabilities, with intervals over units.

    Args:
        values: Probabilities, shape (S,).
        right: 1 right, 0 wrong, or between, shape (S,).
        units: Unit of each segment, shape (S,).
        rng: Source of randomness.
        settings: Resamples.
    """
    nothing = (float("nan"), float("nan"))
    counts = np.stack([1 - right, right])
    bins = reliability(counts, values, BINS)
    if not len(values):
        return Measured(*nothing, float("nan"), nothing, nothing, bins)
    brier = float(np.mean((values - right) ** 2))
    brier_ends = error_ends = nothing
    names, unit = np.unique(units.astype(str), return_inverse=True)
    if settings.resamples and len(names) > 1:
        sums = _sums(values, right, unit, len(names))
        drawn = resampled_sums(sums, rng, settings.resamples)
        total = drawn[..., 0].sum(axis=1)
        with np.errstate(invalid="ignore"):
            each = drawn[..., 3].sum(axis=1) / total, np.abs(drawn[..., 1] - drawn[..., 2]).sum(axis=1) / total
        brier_ends, error_ends = (tuple(percentile_ends(value, settings.confidence).tolist()) for value in each)
    return Measured(brier, bins.error, ranking(values, right), brier_ends, error_ends, bins)


def _sums(values: Values, right: Values, unit: NDArray[np.int64], units: int) -> Values:
    """Segments, summed probability, right ones and squared differences by unit and bin: shape (U, BINS, 4)."""
    place = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], values, side="left")
    sums = np.zeros((units, BINS, 4))
    columns = np.stack([np.ones(len(values)), values, right, (values - right) ** 2], axis=1)
    np.add.at(sums, (unit, place), columns)
    return sums


def ranking(values: Values, right: Values) -> float:
    """Area under the ROC curve with fractional truth: ties count half; NaN if all are right, or all wrong."""
    levels, place = np.unique(values, return_inverse=True)
    good = np.bincount(place, weights=right, minlength=len(levels))
    bad = np.bincount(place, weights=1 - right, minlength=len(levels))
    pairs = good.sum() * bad.sum()
    below = np.cumsum(bad) - bad
    return float((good * (below + bad / 2)).sum() / pairs) if pairs > 0 else float("nan")
