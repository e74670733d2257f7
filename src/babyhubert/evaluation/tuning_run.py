"""Tuning of thresholds from a reference and stored frame scores, and their evaluation on held-out recordings.

Curves choose thresholds; the reported scores come from the same functions that ``segment`` and ``evaluate`` use. The
held-out scores come from thresholds chosen without the recording's own fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, total
from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError, ConfigError, some_names
from babyhubert.evaluation.calibration import CalibrationKind, ClassCalibration, calibrate, count_scores
from babyhubert.evaluation.detection import BootstrapIntervals, DetectionReport, check_labels, compare
from babyhubert.evaluation.score_folder import ScoreFolder
from babyhubert.evaluation.tuning import (
    Choice,
    Curves,
    choose_high_precision,
    choose_high_recall,
    choose_thresholds,
    coarse_grid,
    measure_thresholds,
    split_recordings,
    threshold_grid,
)
from babyhubert.inference.calibration import Calibration
from babyhubert.inference.post_processing import MinimumDurations, decide
from babyhubert.timebase import FRAME_HOP


@dataclass(frozen=True)
class TuningSettings:
    """Settings of tuning.

    Attributes:
        step: Distance of thresholds tried; 0.5 is always among them.
        minimums: Minimum durations tried; the first is used to score 0.5, and is chosen in ties.
        folds: Groups of recordings for the held-out scores, at most one per recording.
        equal_recordings: True if every recording counts the same, however long: the shorter ones are counted several
            times, to the nearest whole number. The reported scores stay those of time.
        false_limit: Most seconds an hour in which voices may be predicted in recordings whose reference has none, over
            all classes, which share it so that their mean F1 (for high precision: precision) is the best. None: any.
        calibrate: Calibration to fit, if any.
        resamples: Resamples of recordings for intervals of the held-out scores; 0: none.
        confidence: Fraction of them within an interval.
        seed: Seed of the resamples.
    """

    step: float = 0.001
    minimums: Sequence[MinimumDurations] = (MinimumDurations(),)
    folds: int = 10
    equal_recordings: bool = False
    false_limit: float | None = None
    calibrate: CalibrationKind | None = None
    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Tuned:
    """A choice of thresholds, and the published metric with them."""

    choice: Choice
    report: DetectionReport


@dataclass(frozen=True, eq=False)
class TuningResult:
    """Result of tuning.

    Attributes:
        settings: The settings.
        scores: The frame scores.
        curves: Counts at every threshold.
        half: The published metric with 0.5 for every class and the first minimum durations.
        best: Thresholds for the best F1.
        high_precision: Thresholds for the best precision with recall of at least 0.5.
        high_recall: Thresholds for the best F-beta, see :func:`choose_high_recall`.
        held_out: The metric with thresholds chosen on other folds for every recording; None with one recording.
        held_out_intervals: Intervals of the held-out scores, over recordings.
        folds: Recordings of each fold.
        calibration: The fitted correction, with its effect on each class; None if not requested.
        never: Classes that are not in the reference, and so keep 0.5.
    """

    settings: TuningSettings
    scores: ScoreFolder
    curves: Curves
    half: DetectionReport
    best: Tuned
    high_precision: Tuned
    high_recall: Tuned
    held_out: DetectionReport | None
    held_out_intervals: BootstrapIntervals | None
    folds: Sequence[Sequence[str]]
    calibration: tuple[Calibration, Mapping[str, ClassCalibration]] | None
    never: tuple[str, ...]


def tune_voice_type(
    reference: Mapping[str, Segments],
    scores: ScoreFolder,
    settings: TuningSettings = TuningSettings(),
    uem: Mapping[str, Intervals] | None = None,
) -> TuningResult:
    """Tune thresholds on every recording of the reference (that the UEM names).

    Several minimum durations are compared on every tenth threshold first; then the best and the first are tuned on the
    full grid. So the result is never worse than the first with any threshold of the grid (0.5 among them), nor than
    any with any tenth threshold. Each fold chooses minimum durations on the other folds too.

    Raises:
        AnnotationError: there is no material, or scores cannot be read.
        ConfigError: an impossible setting, or a limit of false voices without recordings without speech.
    """
    check_labels(reference, scores.labels, "reference")
    scores = scores.named_as(reference)
    recordings = sorted(uri for uri in reference if uem is None or uri in uem)
    _check_tunable(reference, recordings, scores)
    folds = split_recordings(recordings, settings.folds)
    grid, minimums = threshold_grid(settings.step), tuple(settings.minimums)
    needed = settings.equal_recordings or settings.false_limit is not None
    lengths = _lengths(recordings, scores, uem) if needed else {}
    longest = max(lengths.values(), default=0)
    copies = {uri: max(round(longest / max(length, 1)), 1) for uri, length in lengths.items()}
    measure = partial(
        measure_thresholds,
        reference,
        scores.load,
        list(scores.paths),
        scores.labels,
        folds=folds,
        uem=uem,
        copies=copies if settings.equal_recordings else {},
    )
    silent = _silent(reference, recordings, scores, settings)
    limited = partial(_limited, measure, silent, sum(lengths[uri] for uri in silent), settings)
    everyone, *each_fold = [None, *range(len(folds))] if len(folds) > 1 else [None]
    candidates = dict.fromkeys([everyone, *each_fold], minimums)
    if len(minimums) > 1:
        coarse = limited(grid=coarse_grid(grid), minimums=minimums)
        candidates = {fold: (minimums[0], choose_thresholds(coarse, fold).minimum) for fold in candidates}
    curves = limited(grid=grid, minimums=tuple(dict.fromkeys(pair for pairs in candidates.values() for pair in pairs)))
    judged = partial(_judge, reference, scores, uem, simultaneous=scores.simultaneous)
    best = choose_thresholds(curves, among=candidates[everyone])
    precise = choose_high_precision(curves, best.minimum)
    generous = choose_high_recall(curves, best.minimum)
    half = best._replace(minimum=minimums[0], thresholds=dict.fromkeys(scores.labels, 0.5))
    held_out = None
    if each_fold:
        chosen = {n: choose_thresholds(curves, n, candidates[n]) for n in each_fold}
        held_out = judged({uri: chosen[n] for n, fold in enumerate(folds) for uri in fold})
    rng = np.random.default_rng(settings.seed)
    return TuningResult(
        settings,
        scores,
        curves,
        judged(dict.fromkeys(recordings, half)),
        Tuned(best, judged(dict.fromkeys(recordings, best))),
        Tuned(precise, judged(dict.fromkeys(recordings, precise))),
        Tuned(generous, judged(dict.fromkeys(recordings, generous), simultaneous=0.0)),  # as `segment` does
        held_out,
        held_out.bootstrap(rng, settings.resamples, settings.confidence) if held_out and settings.resamples else None,
        folds,
        _calibrated(reference, scores, folds, settings.calibrate, uem),
        tuple(np.array(scores.labels, dtype=object)[~curves.occurs()].tolist()),
    )


def _lengths(recordings: Sequence[str], scores: ScoreFolder, uem: Mapping[str, Intervals] | None) -> dict[str, int]:
    """Scored samples of each recording that has scores."""
    there = [uri for uri in recordings if uri in scores.paths]
    return {uri: len(scores.load(uri)) * FRAME_HOP if uem is None else total(*uem[uri]) for uri in there}


def _silent(
    reference: Mapping[str, Segments], recordings: Sequence[str], scores: ScoreFolder, settings: TuningSettings
) -> list[str]:
    """Recordings with scores and without speech, if false voices have a limit."""
    if settings.false_limit is None:
        return []
    silent = [uri for uri in recordings if not len(reference[uri]) and uri in scores.paths]
    if not silent:
        raise ConfigError(
            "--false-limit: no recording of the reference is without segments; add an empty RTTM file for each "
            "recording without speech"
        )
    return silent


def _limited(
    measure: Callable[..., Curves],
    silent: Sequence[str],
    samples: int,
    settings: TuningSettings,
    *,
    grid: NDArray[np.float64],
    minimums: Sequence[MinimumDurations],
) -> Curves:
    """Curves with what each threshold uses up of the limit of false voices, if there is one."""
    curves = measure(grid=grid, minimums=minimums)
    if settings.false_limit is None:
        return curves
    quiet = measure(folds=[silent], grid=grid, minimums=minimums, copies={})
    return replace(curves, cost=quiet.used_of(settings.false_limit, samples))


def _judge(
    reference: Mapping[str, Segments],
    scores: ScoreFolder,
    uem: Mapping[str, Intervals] | None,
    choices: Mapping[str, Choice],
    simultaneous: float,
) -> DetectionReport:
    """The published metric with a choice of thresholds for each recording, and a rule for overlap."""
    decided = {
        uri: decide(scores.load(uri), choice.thresholds, choice.minimum, simultaneous)
        for uri, choice in choices.items()
        if uri in scores.paths
    }
    return compare(reference, decided, scores.labels, uem)


def _check_tunable(reference: Mapping[str, Segments], recordings: Sequence[str], scores: ScoreFolder) -> None:
    if not recordings:
        raise AnnotationError("the UEM names none of the reference recordings; the ids of both must be the same")
    found = {label for uri in recordings for label in reference[uri].labels}
    if not found & set(scores.labels):
        raise AnnotationError(
            f"no segment of the reference is of a class of the model ({', '.join(scores.labels)}); the reference has "
            f"{some_names(sorted(found), most=8) or 'no segment at all'}"
        )


def _calibrated(
    reference: Mapping[str, Segments],
    scores: ScoreFolder,
    folds: Sequence[Sequence[str]],
    kind: CalibrationKind | None,
    uem: Mapping[str, Intervals] | None,
) -> tuple[Calibration, Mapping[str, ClassCalibration]] | None:
    if kind is None:
        return None
    scored = [[uri for uri in fold if uri in scores.paths] for fold in folds]
    return calibrate(count_scores(reference, scores.load, scores.labels, folds=scored, uem=uem), kind)
