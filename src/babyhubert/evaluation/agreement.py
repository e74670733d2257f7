"""Agreement of two annotators: the published F1 between them, Cohen's kappa and Krippendorff's alpha, and amounts.

F1 is the same whichever of the two is called the reference, so a model's F1 can be compared with that of a second
annotator. Kappa (Cohen 1960) and alpha (Krippendorff 2004, nominal) are corrected for chance, on frames: for each
class active against inactive, and for the complete label, where every set of classes active at once is one category.
Kappa takes the chance from each annotator's own habits, alpha from both together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, union
from babyhubert.annotation.raster import segments_to_frames
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.audio.names import match_names
from babyhubert.errors import AnnotationError, ConfigError, some_names
from babyhubert.evaluation.bootstrap import check_bootstrap, percentile_ends, resampled_sums
from babyhubert.evaluation.count_agreement import Amounts, amounts_of
from babyhubert.evaluation.detection import BootstrapIntervals, DetectionReport, compare
from babyhubert.timebase import FRAME_HOP

Measure = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Chance-corrected agreement of contingency tables, (..., K, K) to (...)."""

_MOST_CLASSES = 6


@dataclass(frozen=True, eq=False)
class ChanceIntervals:
    """Percentile intervals over recordings: ends for each class, (C, 2); for their mean and all classes together,
    (2,).
    """

    classes: NDArray[np.float64]
    mean: NDArray[np.float64]
    whole: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AgreementReport:
    """Result of :func:`agree`.

    Attributes:
        time: The published metric with the first annotator as the reference.
        patterns: Frames by the labels of the first (row) and the second (column), int64, shape (F, 2^C, 2^C): bit c of
            a row's number is set if class c is active.
        only_first: Recordings that the second did not annotate: skipped.
        only_second: Recordings that the first did not annotate: skipped.
        limited: True if a UEM gives the annotated stretches.
        amounts: Counts and minutes by clip, and by hour.
    """

    time: DetectionReport
    patterns: NDArray[np.int64]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    limited: bool
    amounts: tuple[Amounts, ...] = ()

    @property
    def class_kappas(self) -> NDArray[np.float64]:
        """Cohen's kappa of each class, (C,); NaN if both are constant and equal."""
        return _by_class(self.patterns.sum(axis=0), cohen_kappa)

    @property
    def mean_kappa(self) -> float:
        """Unweighted mean over the classes for which it is defined."""
        return float(_known_mean(self.class_kappas))

    @property
    def overall_kappa(self) -> float:
        """Cohen's kappa with every set of active classes as one category."""
        return float(cohen_kappa(self.patterns.sum(axis=0)))

    @property
    def class_alphas(self) -> NDArray[np.float64]:
        """Krippendorff's alpha of each class, (C,); NaN if both are constant and equal."""
        return _by_class(self.patterns.sum(axis=0), krippendorff_alpha)

    @property
    def mean_alpha(self) -> float:
        """Unweighted mean over the classes for which it is defined."""
        return float(_known_mean(self.class_alphas))

    @property
    def overall_alpha(self) -> float:
        """Krippendorff's alpha with every set of active classes as one category."""
        return float(krippendorff_alpha(self.patterns.sum(axis=0)))

    def bootstrap(
        self, rng: np.random.Generator, resamples: int = 2000, confidence: float = 0.95
    ) -> tuple[BootstrapIntervals, ChanceIntervals, ChanceIntervals] | None:
        """Percentile intervals over recordings, of F1, kappa and alpha; None with a single recording."""
        check_bootstrap(resamples, confidence)
        scores = self.time.bootstrap(rng, resamples, confidence)
        if scores is None:
            return None
        sums = resampled_sums(self.patterns, rng, resamples)
        kappas, alphas = (_intervals(sums, measure, confidence) for measure in (cohen_kappa, krippendorff_alpha))
        return scores, kappas, alphas


def agree(
    first: Mapping[str, Segments],
    second: Mapping[str, Segments],
    labels: Sequence[str] = VOICE_TYPES,
    uem: Mapping[str, Intervals] | None = None,
) -> AgreementReport:
    """Compare two annotations of the same recordings.

    Args:
        first: Segments by recording.
        second: The same; recordings of one side only are skipped and named. An empty table means annotated, silent.
        labels: Classes, at most 6.
        uem: Stretches that both annotated; without it, each recording counts up to the last segment of either side.

    Raises:
        AnnotationError: no recording was annotated by both.
        ConfigError: too many classes, none, or one twice.
    """
    labels = tuple(labels)
    if len(labels) > _MOST_CLASSES:
        raise ConfigError(f"labels {', '.join(labels)}: at most {_MOST_CLASSES} can be compared at once")
    matched = match_names(first, second)
    second = {matched.get(uri, uri): table for uri, table in second.items()}
    both = sorted(first.keys() & second.keys())
    if not both:
        raise AnnotationError(
            f"no recording was annotated by both: the first has {some_names(sorted(first)) or 'none'}, the second has "
            f"{some_names(sorted(second)) or 'none'}; make the ids equal"
        )
    time = compare({uri: first[uri] for uri in both}, {uri: second[uri] for uri in both}, labels, uem)
    return AgreementReport(
        time,
        np.stack(
            [_patterns(first[uri], second[uri], labels, None if uem is None else uem[uri]) for uri in time.recordings]
        ),
        tuple(sorted(first.keys() - second.keys())),
        tuple(sorted(second.keys() - first.keys())),
        uem is not None,
        tuple(amounts_of(first, second, labels, _stretches(time.recordings, (first, second), uem))),
    )


def _stretches(
    names: Sequence[str], sides: Sequence[Mapping[str, Segments]], uem: Mapping[str, Intervals] | None
) -> dict[str, Intervals]:
    """Annotated stretches of recordings: those of the UEM, else up to the last segment of either side."""
    if uem is not None:
        return {name: uem[name] for name in names}
    last = {name: max([0, *(int(side[name].end.max()) for side in sides if len(side[name]))]) for name in names}
    return {name: union(np.array([0]), np.array([end])) for name, end in last.items()}


def cohen_kappa(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cohen's kappa of contingency tables, (..., K, K) to (...); NaN if chance alone explains everything."""
    counts = np.asarray(table, dtype=np.float64)
    total = counts.sum(axis=(-2, -1))
    safe = np.where(total > 0, total, 1)
    observed = np.trace(counts, axis1=-2, axis2=-1) / safe
    chance = (counts.sum(axis=-1) * counts.sum(axis=-2)).sum(axis=-1) / safe**2
    defined = (total > 0) & (chance < 1)
    return np.where(defined, (observed - chance) / np.where(defined, 1 - chance, 1), np.nan)


def krippendorff_alpha(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Krippendorff's alpha, nominal, of contingency tables of two annotators, (..., K, K) to (...).

    NaN if only one category was used.
    """
    counts = np.asarray(table, dtype=np.float64)
    coincidences = counts + np.swapaxes(counts, -1, -2)
    of_category = coincidences.sum(axis=-1)
    values = of_category.sum(axis=-1)
    different = values - np.trace(coincidences, axis1=-2, axis2=-1)
    chance = values**2 - (of_category**2).sum(axis=-1)
    safe = np.where(chance > 0, chance, 1)
    return np.where(chance > 0, 1 - (values - 1) * different / safe, np.nan)


def _intervals(sums: NDArray[np.int64], measure: Measure, confidence: float) -> ChanceIntervals:
    """Intervals of a chance-corrected measure from resampled tables."""
    classes = _by_class(sums, measure)
    return ChanceIntervals(
        percentile_ends(classes, confidence),
        percentile_ends(_known_mean(classes), confidence),
        percentile_ends(measure(sums), confidence),
    )


def _patterns(
    first: Segments, second: Segments, labels: tuple[str, ...], scored: Intervals | None
) -> NDArray[np.int64]:
    """Frames by the labels of each side, (2^C, 2^C)."""
    last = max([0, *(int(side.end.max()) for side in (first, second) if len(side))])
    if scored is not None:
        last = max(last, int(scored[1].max(initial=0)))
    frames = -(-last // FRAME_HOP)
    codes = [
        sum((segments_to_frames(*side.intervals(label), frames).astype(np.int64) << bit for bit, label in
             enumerate(labels)), start=np.zeros(frames, dtype=np.int64))
        for side in (first, second)
    ]  # fmt: skip
    size = 1 << len(labels)
    pairs = codes[0] * size + codes[1]
    if scored is not None:
        pairs = pairs[segments_to_frames(*scored, frames)]
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def _by_class(patterns: NDArray[np.int64], measure: Measure) -> NDArray[np.float64]:
    """From tables of patterns, (..., 2^C, 2^C), to a chance-corrected measure of each class, (..., C)."""
    size = patterns.shape[-1]
    values = []
    for bit in range(size.bit_length() - 1):
        active = ((np.arange(size) >> bit) & 1)[:, None] == np.arange(2)
        side = active.astype(np.int64)
        values.append(measure(side.T @ patterns @ side))
    return np.stack(values, axis=-1)


def _known_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    number = known.sum(axis=-1)
    return np.where(number > 0, np.where(known, values, 0).sum(axis=-1) / np.maximum(number, 1), np.nan)
