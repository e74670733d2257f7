"""Calibration of scores: its measurement, and a correction with two numbers per class.

Of the frames to which a calibrated model gives 0.8, 80% are of the class. Measurements: reliability (bins of
probability against observed fraction), the expected calibration error (Naeini et al. 2015), negative log-likelihood.
Correction: ``sigmoid(logit(p) / temperature + bias)`` (Guo et al. 2017, arXiv:1706.04599; Platt 1999), fitted class by
class on the likelihood, a convex problem of one or two unknowns.

Scores are float16, so a class has at most 15,361 different ones: all computations use the number of frames of each
score with and without the class, which is exact and takes the same memory for a minute and for a year.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals
from babyhubert.annotation.raster import segments_to_frames
from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError
from babyhubert.evaluation.tuning import LoadScores
from babyhubert.inference.calibration import LEAST_LIKELY, MOST_LIKELY, Calibration, logit, sigmoid

CalibrationKind = Literal["temperature", "temperature-bias"]

_ONE = 0x3C00
VALUES = np.arange(_ONE + 1, dtype=np.uint16).view(np.float16).astype(np.float64)
"""Every float16 from 0 to 1, ascending: shape (15361,)."""


_SLOPES = (1e-3, 1e3)
_FRAMES_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class ScoreHistogram:
    """Number of frames of each float16 score, without and with its class.

    Attributes:
        labels: C classes.
        counts: Frames, int64, shape (G, C, 2, 15361): fold, class, without/with, score (see :data:`VALUES`).
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    def total(self, without: int | None = None) -> NDArray[np.int64]:
        """Counts over all folds (or all but one), shape (C, 2, 15361)."""
        return self.counts.sum(axis=0) - (0 if without is None else self.counts[without])


def count_scores(
    reference: Mapping[str, Segments],
    load: LoadScores,
    labels: Sequence[str],
    *,
    folds: Sequence[Sequence[str]],
    uem: Mapping[str, Intervals] | None = None,
) -> ScoreHistogram:
    """Count scores against the reference label of each frame (its cell, nearest boundary).

    Args:
        reference: Segments by recording.
        load: Gives the scores of a recording: probabilities, shape (T, C); rounded to float16.
        labels: Classes, in the order of columns.
        folds: Recordings, all with scores, each in one fold.
        uem: Stretches to count.

    Raises:
        AnnotationError: scores are not probabilities.
    """
    counts = np.zeros((len(folds), len(labels), 2, len(VALUES)), dtype=np.int64)
    for fold, recordings in enumerate(folds):
        for uri in recordings:
            scores = load(uri)
            scored = None if uem is None else segments_to_frames(*uem[uri], len(scores))
            for column, label in enumerate(labels):
                positive = segments_to_frames(*reference[uri].intervals(label), len(scores))
                counts[fold, column] += _count(scores[:, column], positive, scored, uri)
    return ScoreHistogram(tuple(labels), counts)


def _count(
    scores: NDArray[np.floating], positive: NDArray[np.bool_], scored: NDArray[np.bool_] | None, uri: str
) -> NDArray[np.int64]:
    counts = np.zeros(2 * len(VALUES), dtype=np.int64)
    for first in range(0, len(scores), _FRAMES_AT_ONCE):
        part = slice(first, first + _FRAMES_AT_ONCE)
        code = np.ascontiguousarray(scores[part], dtype=np.float16).view(np.uint16).astype(np.int64)
        if (code > _ONE).any():
            raise AnnotationError(f"{uri}: holds scores that are no probabilities (0 to 1)")
        code += positive[part] * len(VALUES)
        counts += np.bincount(code if scored is None else code[scored[part]], minlength=len(counts))
    return counts.reshape(2, -1)


def fit_calibration(counts: NDArray[np.int64], kind: CalibrationKind) -> tuple[float, float]:
    """Fit temperature and bias with the highest likelihood.

    Args:
        counts: Frames without and with the class by score, shape (2, 15361).
        kind: ``temperature`` keeps the bias at 0.

    Returns:
        (1, 0), which changes nothing, for a class without frames on both sides.
    """
    if not counts.any(axis=1).all():
        return 1.0, 0.0
    seen = counts.any(axis=0)
    logits = logit(VALUES[seen])
    negative, positive = (side[seen] / counts.sum() for side in counts)
    columns = [logits] if kind == "temperature" else [logits, np.ones_like(logits)]
    start = np.array([1.0, 0.0])[: len(columns)]
    solution = fit_logistic(np.stack(columns), np.zeros_like(logits), negative, positive, start)
    slope = float(np.clip(solution[0], *_SLOPES))
    bias = float(solution[1]) if kind == "temperature-bias" else 0.0
    if kind == "temperature-bias" and slope != solution[0]:  # the best within the bounds lies on the bound
        bias = float(fit_logistic(np.ones((1, len(logits))), slope * logits, negative, positive, np.zeros(1))[0])
    return 1 / slope, bias


def fit_logistic(
    columns: NDArray[np.float64],
    offset: NDArray[np.float64],
    negative: NDArray[np.float64],
    positive: NDArray[np.float64],
    start: NDArray[np.float64],
    precision: float = 0.0,
) -> NDArray[np.float64]:
    """Least weighted logistic loss of ``offset + solution @ columns``: damped Newton steps on a convex function.

    Args:
        columns: Shape (K, N).
        offset: Shape (N,).
        negative: Weight of each item as one without the class, shape (N,).
        positive: Weight of each as one with it, shape (N,).
        start: First solution, shape (K,).
        precision: Of a normal prior of the solution around 0; 0: none.
    """

    def loss(solution: NDArray[np.float64]) -> float:
        z = offset + solution @ columns
        likelihood = float(positive @ np.logaddexp(0, -z) + negative @ np.logaddexp(0, z))
        return likelihood + precision / 2 * float(solution @ solution)

    solution, value = start, loss(start)
    for _ in range(100):
        p = sigmoid(offset + solution @ columns)
        gradient = columns @ ((positive + negative) * p - positive) + precision * solution
        curvature = (columns * ((positive + negative) * p * (1 - p))) @ columns.T
        step = np.linalg.solve(curvature + (precision + 1e-12) * np.eye(len(solution)), gradient)
        length = 1.0
        while length > 1e-10 and not (lower := loss(solution - length * step)) < value:
            length /= 2
        if length <= 1e-10 or value - lower < 1e-15:
            break
        solution, value = solution - length * step, lower
    return solution


class ReliabilityBin(NamedTuple):
    """Frames whose probability is in (low, high], their mean probability, and the fraction that is of the class."""

    low: float
    high: float
    frames: int
    confidence: float
    observed: float


@dataclass(frozen=True)
class Reliability:
    """Reliability of the probabilities of one class.

    Attributes:
        bins: Bins that hold frames, ascending.
        error: Expected calibration error: mean distance of probability and observed fraction, weighted by frames.
        log_loss: Mean negative log-likelihood of a frame, nats.
        frames: Number of frames.
        positive: Number of them that are of the class.
    """

    bins: tuple[ReliabilityBin, ...]
    error: float
    log_loss: float
    frames: int
    positive: int


def reliability(
    counts: NDArray[np.number], probabilities: NDArray[np.float64] = VALUES, bins: int = 15
) -> Reliability:
    """Reliability from frames by score.

    Args:
        counts: Frames without and with the class by score, shape (2, V); or segments that are wrong and right.
        probabilities: Probability of each score, shape (V,): the score itself, or calibrated.
        bins: Bins of equal width.
    """
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], probabilities, side="left")
    frames = counts.sum(axis=0)
    number, confident, positive = (
        np.bincount(place, weights=weights, minlength=bins) for weights in (frames, frames * probabilities, counts[1])
    )
    whole = int(frames.sum())
    filled = np.flatnonzero(number)
    table = tuple(
        ReliabilityBin(
            float(edges[b]), float(edges[b + 1]), int(number[b]), float(confident[b] / number[b]),
            float(positive[b] / number[b]),
        )
        for b in filled.tolist()
    )  # fmt: skip
    likely = np.clip(probabilities, LEAST_LIKELY, MOST_LIKELY)
    loss = -(counts[1] @ np.log(likely) + counts[0] @ np.log1p(-likely))
    distance = np.abs(confident - positive).sum()
    nothing = float("nan")
    return Reliability(
        table,
        float(distance / whole) if whole else nothing,
        float(loss / whole) if whole else nothing,
        whole,
        int(counts[1].sum()),
    )


class ClassCalibration(NamedTuple):
    """Effect of calibration on one class: before, after, and after on recordings that were not fitted on."""

    temperature: float
    bias: float
    before: Reliability
    after: Reliability
    held_out: Reliability | None


def calibrate(histogram: ScoreHistogram, kind: CalibrationKind) -> tuple[Calibration, dict[str, ClassCalibration]]:
    """Fit every class on all recordings, and evaluate it on each fold with a fit on the others."""
    fits = {}
    for row, label in enumerate(histogram.labels):
        counts = histogram.total()[row]
        temperature, bias = fit_calibration(counts, kind)
        after = reliability(counts, _corrected(temperature, bias))
        fits[label] = ClassCalibration(temperature, bias, reliability(counts), after, _held_out(histogram, row, kind))
    temperatures, biases = ([getattr(fit, name) for fit in fits.values()] for name in ("temperature", "bias"))
    return Calibration(histogram.labels, np.array(temperatures), np.array(biases)), fits


def _held_out(histogram: ScoreHistogram, row: int, kind: CalibrationKind) -> Reliability | None:
    folds = len(histogram.counts)
    if folds < 2:
        return None
    counts, probabilities = [], []
    for fold in range(folds):
        probabilities.append(_corrected(*fit_calibration(histogram.total(without=fold)[row], kind)))
        counts.append(histogram.counts[fold, row])
    return reliability(np.concatenate(counts, axis=1), np.concatenate(probabilities))


def _corrected(temperature: float, bias: float) -> NDArray[np.float64]:
    if (temperature, bias) == (1.0, 0.0):
        return VALUES
    return sigmoid(logit(VALUES) / temperature + bias)
