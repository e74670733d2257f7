"""The published voice-type metric, exact, with confidence intervals and confusions.

Per class, reference and prediction are reduced to their union of time; the durations of true positives, false
positives and false negatives are summed over recordings; F1 follows per class, and its unweighted mean over classes is
the published average (no collar, overlap scored). One sweep over the segment boundaries of a recording counts samples
for everything at once, so the result is exact and a day takes milliseconds. It equals pyannote.metrics'
``DetectionPrecisionRecallFMeasure`` class by class; it differs from the published evaluation in two intended ways:
*every* reference recording is scored (one without a prediction counts as predicted silent), and a UEM is applied.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.codes import refuse_ambiguous
from babyhubert.annotation.intervals import Intervals, total, union
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.audio.names import check_names, match_names
from babyhubert.errors import AnnotationError, ConfigError, some_names
from babyhubert.evaluation.bootstrap import check_bootstrap, percentile_ends, resampled_sums

Side = Literal["reference", "prediction"]


class OverlapCounts(NamedTuple):
    """Samples in which at least two classes are active at once."""

    reference: int
    prediction: int
    both: int

    @property
    def recall(self) -> float:
        """Fraction of the reference's overlap that is predicted as overlap; NaN without any."""
        return self.both / self.reference if self.reference else float("nan")

    @property
    def precision(self) -> float:
        """Fraction of the predicted overlap that is overlap in the reference; NaN without any."""
        return self.both / self.prediction if self.prediction else float("nan")


@dataclass(frozen=True, eq=False)
class DetectionReport:
    """Result of :func:`compare`. Samples at 16 kHz; classes in the order of ``labels``.

    Attributes:
        labels: The C classes scored.
        recordings: The F recordings scored, sorted.
        counts: True positive, false positive and false negative samples, int64, shape (F, C, 3).
        confusion: Samples, int64, shape (C + 1, C + 1). Row r, column p: reference class r is active and predicted
            class p is active; if several are, every pair counts, so rows need not add up. Last column: r is active and
            nothing is predicted; last row: nothing is in the reference and p is predicted; the corner: nothing on
            either side (within the UEM, else between the first and last boundary of either side).
        overlap: Overlap between classes.
        missing: Scored recordings without a prediction: counted as predicted silent.
        without_reference: Predicted recordings without a reference: skipped.
        outside_uem: Reference recordings that the UEM does not name: skipped.
        ignored: Samples of labels that are not scored, by side and label.
        matched: Predictions whose id differs from their reference's in the folders before the name alone, and the
            reference each was scored against.
    """

    labels: tuple[str, ...]
    recordings: tuple[str, ...]
    counts: NDArray[np.int64]
    confusion: NDArray[np.int64]
    overlap: OverlapCounts
    missing: tuple[str, ...] = ()
    without_reference: tuple[str, ...] = ()
    outside_uem: tuple[str, ...] = ()
    ignored: Mapping[Side, Mapping[str, int]] | None = None
    matched: Mapping[str, str] = field(default_factory=dict)

    @property
    def totals(self) -> NDArray[np.int64]:
        """Counts summed over recordings, shape (C, 3)."""
        return self.counts.sum(axis=0)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Precision, recall and F1 of each class over all recordings, (C, 3); NaN for a class on neither side."""
        return occurring_scores(self.totals)

    @property
    def macro(self) -> NDArray[np.float64]:
        """Unweighted mean over the classes that occur of precision, recall and F1, shape (3,); NaN if none does.

        It is the published average if every class occurs.
        """
        return mean_over_classes(self.scores)

    @property
    def published_macro(self) -> NDArray[np.float64]:
        """Mean like :attr:`macro`, but a class on neither side counts as 1, as in the published evaluation, shape
        (3,).
        """
        return detection_scores(self.totals).mean(axis=0)

    @property
    def f1(self) -> dict[str, float]:
        """F1 by class."""
        return dict(zip(self.labels, self.scores[:, 2].tolist(), strict=True))

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that occur."""
        return float(self.macro[2])

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Classes with neither reference nor prediction, which have no score."""
        return tuple(label for row, label in enumerate(self.labels) if not self.totals[row].any())

    def bootstrap(
        self,
        rng: np.random.Generator,
        resamples: int = 2000,
        confidence: float = 0.95,
        units: Sequence[str] | None = None,
    ) -> BootstrapIntervals | None:
        """Intervals of the scores over other recordings of the same kind.

        Recordings are drawn with replacement; the interval is between percentiles of the resampled scores. A resample
        in which a class appears on neither side is ignored for that class (and the class in that resample's mean).

        Args:
            rng: Source of randomness.
            resamples: Number of resamples.
            confidence: Fraction of the resamples within the interval.
            units: Unit of each recording (its child), drawn together; None: each recording is a unit.

        Returns:
            The intervals; None with a single recording (or unit), which shows no variation.
        """
        return bootstrap_counts(self.counts, rng, resamples, confidence, units)


def bootstrap_counts(
    counts: NDArray[np.int64],
    rng: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
    units: Sequence[str] | None = None,
) -> BootstrapIntervals | None:
    """Intervals from counts of recordings, (F, C, 3). See :meth:`DetectionReport.bootstrap`."""
    check_bootstrap(resamples, confidence)
    if units is not None:
        names, place = np.unique(np.array(units, dtype=object).astype(str), return_inverse=True)
        summed = np.zeros((len(names), *counts.shape[1:]), dtype=np.int64)
        np.add.at(summed, place, counts)
        counts = summed
    if len(counts) < 2:
        return None
    drawn = resampled_sums(counts, rng, resamples)
    scores = occurring_scores(drawn)
    means = mean_over_classes(scores)
    return BootstrapIntervals(
        resamples,
        confidence,
        percentile_ends(scores, confidence),
        percentile_ends(means, confidence),
        len(counts),
    )


@dataclass(frozen=True)
class GroupScores:
    """The metric over some recordings.

    Attributes:
        column: Column by which recordings are grouped.
        group: Their value of it.
        recordings: Number of recordings.
        scores: Precision, recall and F1 of each class, (C, 3); NaN for a class on neither side.
        macro: Means over the classes that occur, (3,).
        intervals: None with a single recording (or unit), or if none were requested.
    """

    column: str
    group: str
    recordings: int
    scores: NDArray[np.float64]
    macro: NDArray[np.float64]
    intervals: BootstrapIntervals | None


def score_group(
    report: DetectionReport, column: str, group: str, rows: Sequence[int], intervals: BootstrapIntervals | None
) -> GroupScores:
    """The metric over the recordings in some rows of a report."""
    totals = report.counts[list(rows)].sum(axis=0)
    scores = occurring_scores(totals)
    return GroupScores(column, group, len(rows), scores, mean_over_classes(scores), intervals)


@dataclass(frozen=True, eq=False)
class BootstrapIntervals:
    """Percentile intervals over recordings.

    Attributes:
        resamples: Number of resamples.
        confidence: Fraction of them within.
        classes: Ends for precision, recall and F1 of each class, shape (C, 3, 2); NaN for a class that never occurs.
        macro: Ends for their means over classes, shape (3, 2).
        units: Number of recordings (or children).
    """

    resamples: int
    confidence: float
    classes: NDArray[np.float64]
    macro: NDArray[np.float64]
    units: int


def compare(
    reference: Mapping[str, Segments],
    prediction: Mapping[str, Segments],
    labels: Sequence[str] = VOICE_TYPES,
    uem: Mapping[str, Intervals] | None = None,
) -> DetectionReport:
    """Score predicted against reference segments.

    Args:
        reference: Segments by recording: every one is scored.
        prediction: Segments by recording; a missing recording counts as predicted silent. If ids differ only in the
            folders before the name (``audio/x`` and ``x``) and the name is unique on both sides, they are the same
            recording.
        labels: Classes to score; other labels are ignored and listed.
        uem: Stretches to score by recording; both sides are cut to them. Recordings it does not name are skipped.

    Raises:
        AnnotationError: there is no reference to score, no prediction carries the name of a reference, or a side has
            none of the labels to score (see :func:`check_labels`).
        ConfigError: no labels, or one twice.
    """
    labels = distinct(labels)
    check_labels(reference, labels, "reference")
    check_labels(prediction, labels, "prediction")
    prediction, matched = under_reference_names(reference, prediction)
    scored = sorted(uri for uri in reference if uem is None or uri in uem)
    if not scored:
        raise AnnotationError("the UEM names none of the reference recordings; the ids of both must be the same")
    swept = []
    for uri in scored:
        within = None if uem is None else union(*uem[uri])
        swept.append(_sweep(reference[uri], prediction.get(uri, Segments.empty()), labels, within))
    return DetectionReport(
        labels=labels,
        recordings=tuple(scored),
        counts=np.stack([sweep.counts for sweep in swept]),
        confusion=np.sum([sweep.confusion for sweep in swept], axis=0),
        overlap=OverlapCounts(*(sum(column) for column in zip(*(sweep.overlap for sweep in swept), strict=True))),
        missing=tuple(uri for uri in scored if uri not in prediction),
        without_reference=tuple(sorted(set(prediction) - set(reference))),
        outside_uem=tuple(sorted(set(reference) - set(scored))),
        ignored={"reference": _ignored(reference, labels), "prediction": _ignored(prediction, labels)},
        matched=matched,
    )


def detection_scores(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Precision, recall and F1 from true positives, false positives and false negatives.

    Without predictions the precision is 1 and without references the recall is 1 (so a class with neither scores 1),
    as in pyannote.metrics and so as published.

    Args:
        counts: int64, shape (..., 3).

    Returns:
        float64, shape (..., 3).
    """
    hit, wrong, missed = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    precision = np.where(hit + wrong > 0, hit / np.maximum(hit + wrong, 1), 1.0)
    recall = np.where(hit + missed > 0, hit / np.maximum(hit + missed, 1), 1.0)
    both = precision + recall
    f1 = np.where(both > 0, 2 * precision * recall / np.where(both > 0, both, 1), 0.0)
    return np.stack([precision, recall, f1], axis=-1)


def occurring_scores(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores like :func:`detection_scores`, with NaN for a class on neither side."""
    occurs = np.asarray(counts).any(axis=-1, keepdims=True)
    return np.where(occurs, detection_scores(counts), np.nan)


def mean_over_classes(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over the classes that have scores, (..., C, 3) to (..., 3); NaN if none has."""
    present = ~np.isnan(scores)
    number = present.sum(axis=-2)
    means = np.where(present, scores, 0).sum(axis=-2) / np.maximum(number, 1)
    return np.where(number > 0, means, np.nan)


def check_labels(recordings: Mapping[str, Segments], labels: Sequence[str], side: str) -> None:
    """Refuse ambiguous or unknown labels.

    Raises:
        AnnotationError: a label CHI that could be one of those to score, or segments without any label to score and
            without any voice type.
    """
    there = {label: uri for uri, segments in recordings.items() for label in set(segments.label)}
    meant = {"OCH"} if "KCHI" in there else {"KCHI", "OCH"}
    if "CHI" in there and "CHI" not in labels and meant & set(labels):
        refuse_ambiguous(["CHI"], there["CHI"])
    if there and not there.keys() & {*labels, *VOICE_TYPES}:
        raise AnnotationError(
            f"the {side} has the labels {some_names(sorted(there), most=8)}, none of them to be scored "
            f"({', '.join(labels)}); rename them, or name them with --labels"
        )


class _Sweep(NamedTuple):
    counts: NDArray[np.int64]
    confusion: NDArray[np.int64]
    overlap: OverlapCounts


def _sweep(reference: Segments, prediction: Segments, labels: tuple[str, ...], scored: Intervals | None) -> _Sweep:
    """Cut the time line at every boundary; labels are constant between two cuts, so lengths are counts."""
    sides = [[side.intervals(label) for label in labels] for side in (reference, prediction)]
    bounds = [edge for side in sides for intervals in side for edge in intervals] + list(scored or ())
    cuts = np.unique(np.concatenate(bounds))
    length = np.diff(cuts)
    if scored is not None:
        length = length * _active(scored, cuts)
    is_reference, is_predicted = (np.stack([_active(i, cuts) for i in side], axis=1) for side in sides)
    outcomes = is_reference & is_predicted, is_predicted & ~is_reference, is_reference & ~is_predicted
    counts = np.stack([length @ outcome.astype(np.int64) for outcome in outcomes], axis=1)
    rows, columns = (np.column_stack([side, ~side.any(axis=1)]) for side in (is_reference, is_predicted))
    confusion = (rows * length[:, None]).T.astype(np.int64) @ columns.astype(np.int64)
    crowded, predicted_crowded = (side.sum(axis=1) >= 2 for side in (is_reference, is_predicted))
    overlap = OverlapCounts(
        *(int(length[where].sum()) for where in (crowded, predicted_crowded, crowded & predicted_crowded))
    )
    return _Sweep(counts, confusion, overlap)


def _active(intervals: Intervals, cuts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mask of the stretches between two cuts that lie in a set of intervals: bool, shape (cuts - 1,)."""
    start, end = intervals
    where = cuts[:-1]
    return np.searchsorted(start, where, side="right") > np.searchsorted(end, where, side="right")


def distinct(labels: Sequence[str]) -> tuple[str, ...]:
    """The classes to score.

    Raises:
        ConfigError: none, or one twice.
    """
    if not labels or len(set(labels)) < len(labels):
        raise ConfigError(f"labels {', '.join(labels) or '(none)'}: at least one is needed, each once")
    return tuple(labels)


def under_reference_names(
    reference: Collection[str], prediction: Mapping[str, Segments]
) -> tuple[dict[str, Segments], dict[str, str]]:
    """Predictions under the names of their reference recordings, and the names that differed (see `match_names`).

    Raises:
        AnnotationError: no prediction carries the name of a reference.
    """
    matched = match_names(reference, prediction)
    renamed = {matched.get(uri, uri): segments for uri, segments in prediction.items()}
    check_names(reference, renamed)
    return renamed, matched


def _ignored(recordings: Mapping[str, Segments], labels: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for segments in recordings.values():
        for label in segments.labels:
            if label not in labels:
                found[label] = found.get(label, 0) + total(*segments.intervals(label))
    return dict(sorted(found.items()))
