"""Thresholds tuned for the metric that is reported: duration-based F1 of segments after post-processing.

The published tuner maximises F1 over raw frames on a grid without 0.5. Here every threshold of a fine grid is scored
with the published metric itself, exactly, after post-processing. Two methods make that fast:

- scores become levels (how many thresholds of the grid they exceed), so that a class is active at threshold ``k``
  where its level is above ``k``, and only frames where the level changes can begin or end a segment;
- thresholds are taken in blocks; the changes that cross a block are few, and a threshold looks at those alone.

Samples of a segment that are in the reference, or are to be scored, come from running sums at frame boundaries. So the
counts equal those of :func:`babyhubert.evaluation.detection.compare` to the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, intersect, total, union
from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.evaluation.detection import detection_scores
from babyhubert.inference.post_processing import MinimumDurations
from babyhubert.timebase import FRAME_HOP, seconds_to_samples

LoadScores = Callable[[str], NDArray[np.floating]]
"""Scores of a recording by its id: probabilities, shape (T, C)."""

HIGH_PRECISION_RECALL = 0.5
"""Minimum recall of the high-precision set, which has the best precision: the published rule."""

HIGH_RECALL_WEIGHT = 1.5
"""Weight of recall relative to precision for the high-recall set, the beta of F-beta (Rijsbergen 1979). At 1.5 more
overlapping speech is detected for one or two points of F1, at 2 for five and more (docs/evaluation.md).
"""

JOINT_SECONDS = (0.1, 0.0, 0.06, 0.2, 0.3, 0.5)
"""Minimum durations tried jointly, for segments as for gaps; the published 0.1 s first: it is chosen in ties."""

_FRAMES_AT_ONCE = 1 << 20
_THRESHOLDS_AT_ONCE = 32
_TUNED_FROM = 0.5
_LIMIT_STEPS = 500


def threshold_grid(step: float = 0.001) -> NDArray[np.float64]:
    """Thresholds to try: multiples of ``step`` between 0 and 1, and always 0.5. Ascending, float64, shape (K,).

    Raises:
        ConfigError: a step that is not between 0.0001 and 0.5.
    """
    if not 0.0001 <= step <= 0.5:
        raise ConfigError(f"step {step}: between 0.0001 and 0.5")
    steps = np.round(np.arange(step, 1 - step / 2, step), 4)
    return np.unique(np.concatenate([steps, [_TUNED_FROM]]))


@dataclass(frozen=True, eq=False)
class Curves:
    """Counts of every threshold, in samples, by fold of recordings.

    Attributes:
        labels: C classes.
        grid: K thresholds, ascending.
        minimums: M pairs of minimum durations.
        hit: Samples in the reference and predicted, int64, shape (G, M, C, K) for G folds.
        predicted: Samples predicted, the same shape.
        reference: Samples in the reference, int64, shape (G, C).
        cost: Share of a limit of false voices that each threshold uses up, shape (M, C, K): for the best F1 and for
            high precision the sum over classes is at most 1. None: no limit.
    """

    labels: tuple[str, ...]
    grid: NDArray[np.float64]
    minimums: tuple[MinimumDurations, ...]
    hit: NDArray[np.int64]
    predicted: NDArray[np.int64]
    reference: NDArray[np.int64]
    cost: NDArray[np.float64] | None = None

    def scores(self, without: int | None = None) -> NDArray[np.float64]:
        """Precision, recall and F1 over all folds (or all but one), shape (M, C, K, 3)."""
        hit, predicted, reference = (
            counts.sum(axis=0) - (0 if without is None else counts[without])
            for counts in (self.hit, self.predicted, self.reference)
        )
        missed = reference[None, :, None] - hit
        return detection_scores(np.stack([hit, predicted - hit, missed], axis=-1))

    def used_of(self, limit: float, samples: int) -> NDArray[np.float64]:
        """Share of a limit that each threshold uses up, if these are the curves of recordings without speech.

        Args:
            limit: Most seconds an hour in which voices are predicted, summed over classes.
            samples: Length of the recordings.

        Returns:
            Shape (M, C, K). The highest threshold of a class uses nothing, so that there always is a choice.
        """
        seconds_an_hour = 3600 * self.predicted.sum(axis=0) / max(samples, 1)
        cost = np.where(seconds_an_hour > 0, seconds_an_hour / max(limit, 1e-9), 0.0)
        cost[..., -1] = 0.0
        return cost

    @property
    def from_half(self) -> NDArray[np.float64]:
        """Distance of each threshold from 0.5, (K,)."""
        return np.abs(self.grid - _TUNED_FROM)

    def occurs(self, without: int | None = None) -> NDArray[np.bool_]:
        """Mask of the classes in the reference of all folds (or all but one), shape (C,)."""
        found = self.reference.sum(axis=0) - (0 if without is None else self.reference[without])
        return found > 0


class Choice(NamedTuple):
    """Thresholds for every class, and their precision, recall and F1 on the recordings of the choice, (C, 3)."""

    minimum: MinimumDurations
    thresholds: dict[str, float]
    scores: NDArray[np.float64]


def measure_thresholds(
    reference: Mapping[str, Segments],
    load: LoadScores,
    predicted: Sequence[str],
    labels: Sequence[str],
    *,
    folds: Sequence[Sequence[str]],
    grid: NDArray[np.float64] | None = None,
    minimums: Sequence[MinimumDurations] = (MinimumDurations(),),
    uem: Mapping[str, Intervals] | None = None,
    copies: Mapping[str, int] = MappingProxyType({}),
) -> Curves:
    """Score every threshold with the published metric after post-processing.

    Args:
        reference: Segments by recording.
        load: Gives the scores of a recording.
        predicted: Recordings that have scores; the others count as predicted silent.
        labels: Classes, in the order of score columns.
        folds: Recordings to score, each in one fold.
        grid: Thresholds; :func:`threshold_grid` when absent.
        minimums: Minimum durations to try.
        uem: Stretches to score; every recording of ``folds`` is named.
        copies: How many times a recording counts; 1 for those that are not named.

    Returns:
        Counts by fold. Memory: that of one recording (about 50 bytes a frame), or of short ones together.

    Raises:
        AnnotationError: scores are not probabilities (named).
    """
    grid = threshold_grid() if grid is None else grid
    shape = (len(folds), len(minimums), len(labels), len(grid))
    curves = Curves(
        tuple(labels),
        grid,
        tuple(minimums),
        np.zeros(shape, dtype=np.int64),
        np.zeros(shape, dtype=np.int64),
        np.zeros((len(folds), len(labels)), dtype=np.int64),
    )
    known = set(predicted)
    for fold, recordings in enumerate(folds):
        for uri in recordings:
            for column, label in enumerate(labels):
                said = total(*_within(reference[uri].intervals(label), uem, uri))
                curves.reference[fold, column] += copies.get(uri, 1) * said
        for times in sorted({copies.get(uri, 1) for uri in recordings}):
            scored = [uri for uri in recordings if uri in known and copies.get(uri, 1) == times]
            for batch in _batches(scored, load):
                timeline = _Timeline(batch, minimums, uem)
                for column, label in enumerate(labels):
                    truth = {uri: _within(reference[uri].intervals(label), uem, uri) for uri, _ in batch}
                    hit, found = timeline.measure(column, truth, grid)
                    curves.hit[fold, :, column] += times * hit
                    curves.predicted[fold, :, column] += times * found
    return curves


def choose_thresholds(
    curves: Curves, without: int | None = None, among: Collection[MinimumDurations] | None = None
) -> Choice:
    """Choose the minimum durations (of those given) with the best mean F1, and for each class the best threshold.

    Among equals the threshold nearest 0.5, and the first minimum durations. A class that is not in the reference
    cannot be tuned and keeps 0.5. Without a limit of false voices, 0.5 with the first minimum durations is among the
    candidates: the result is never worse than that on the recordings of the choice. With one, classes share it so that
    the mean F1 is the best.
    """
    scores = curves.scores(without)
    f1 = scores[..., 2]
    at = _best_of(curves, f1, curves.occurs(without))
    reached = np.take_along_axis(f1, at[..., None], axis=-1)[..., 0]
    allowed = [among is None or pair in among for pair in curves.minimums]
    minimum = int(np.argmax(np.where(allowed, reached.mean(axis=1), -1)))
    return _choice(curves, scores, at[minimum], minimum)


def choose_high_precision(curves: Curves, minimum: MinimumDurations) -> Choice:
    """For each class the threshold with the highest precision among those with a recall of at least 0.5.

    Among equals the highest recall, then the threshold nearest 0.5. A class that reaches that recall at no threshold
    gets the threshold with its highest recall; one that is not in the reference keeps 0.5. A limit of false voices
    comes first: where it leaves no class that recall, the highest recall within it.
    """
    where = curves.minimums.index(minimum)
    scores = curves.scores()
    precision, recall = scores[..., 0], scores[..., 1]
    merit = np.where(recall >= HIGH_PRECISION_RECALL, 1 + precision + 1e-9 * recall, recall)
    return _choice(curves, scores, _best_of(curves, merit, curves.occurs())[where], where)


def choose_high_recall(curves: Curves, minimum: MinimumDurations) -> Choice:
    """For each class the threshold with the best F-beta; recall counts :data:`HIGH_RECALL_WEIGHT` times as much.

    Among equals the threshold nearest 0.5. A class that is not in the reference keeps 0.5.
    """
    where = curves.minimums.index(minimum)
    scores = curves.scores()
    square = HIGH_RECALL_WEIGHT**2
    precision, recall = scores[where, ..., 0], scores[where, ..., 1]
    weighed = (1 + square) * precision * recall / np.maximum(square * precision + recall, 1e-12)
    return _choice(curves, scores, _nearest_half_of_best(curves, weighed, curves.occurs()), where)


def coarse_grid(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every tenth threshold of a grid, and 0.5: the first grid for comparing many minimum durations."""
    return np.union1d(grid[9::10], [_TUNED_FROM])


def joint_minimums() -> tuple[MinimumDurations, ...]:
    """Every pair of :data:`JOINT_SECONDS`, the published pair first."""
    samples = [seconds_to_samples(seconds) for seconds in JOINT_SECONDS]
    return tuple(MinimumDurations(on, off) for on in samples for off in samples)


def split_recordings(recordings: Sequence[str], folds: int) -> list[list[str]]:
    """Recordings, sorted, in at most ``folds`` contiguous groups of nearly equal size.

    Ids of one family mostly share their beginning, so neighbours stay together.
    """
    if folds < 2:
        raise ConfigError(f"{folds} folds: at least 2")
    groups = np.array_split(np.array(sorted(recordings), dtype=object), min(folds, len(recordings)))
    return [group.tolist() for group in groups]


def _nearest_half_of_best(curves: Curves, merit: NDArray[np.float64], occurs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Index of the best threshold of each class, among equals nearest 0.5; 0.5 for one that does not occur: (..., C,
    K) -> (..., C).
    """
    nearest = curves.from_half
    at = np.argmin(np.where(merit == merit.max(axis=-1, keepdims=True), nearest, np.inf), axis=-1)
    at[..., ~occurs] = np.argmin(nearest)
    return at


def _best_of(curves: Curves, merit: NDArray[np.float64], occurs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Thresholds with the best mean merit, within the limit of false voices if there is one: (M, C, K) -> (M, C)."""
    if curves.cost is None:
        return _nearest_half_of_best(curves, merit, occurs)
    pairs = zip(merit, curves.cost, strict=True)
    return np.stack([_within_limit(own, cost, occurs, curves.from_half) for own, cost in pairs])


def _within_limit(
    merit: NDArray[np.float64], cost: NDArray[np.float64], occurs: NDArray[np.bool_], distance: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Choose a threshold for each class: the best sum of merits whose costs add up to 1 at most.

    A multiple-choice knapsack, solved by dynamic programming over 500ths of the limit, to which costs are rounded up:
    the limit always holds, and the sum is the best but for that rounding.

    Args:
        merit: Merit of each threshold, (C, K).
        cost: Share of the limit that each uses up, (C, K); some use nothing.
        occurs: Classes to choose for, (C,); the others get the threshold at distance 0, whatever it costs.
        distance: Distance from 0.5, which decides between equals, (K,).
    """
    units = np.ceil(np.minimum(cost, 2) * _LIMIT_STEPS - 1e-9).astype(np.int64)
    spent, total_merit = np.arange(_LIMIT_STEPS + 1), np.zeros(_LIMIT_STEPS + 1)
    given = spent[:, None] - spent  # left for the classes before, where this one may use up a column's units
    options: list[NDArray[np.int64]] = []
    shares: list[NDArray[np.int64]] = []
    for row in np.flatnonzero(occurs):
        best, value = _best_within(merit[row] - 1e-9 * distance, units[row])
        together = np.where(given >= 0, total_merit[given] + value, -np.inf)
        share = np.argmax(together, axis=1)
        options.append(best)
        shares.append(share)
        total_merit = together[spent, share]
    at = np.full(len(merit), np.argmin(distance), dtype=np.int64)
    left = _LIMIT_STEPS
    for row, best, share in reversed(list(zip(np.flatnonzero(occurs), options, shares, strict=True))):
        at[row] = best[share[left]]
        left -= int(share[left])
    return at


def _best_within(
    merit: NDArray[np.float64], units: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The best threshold that uses up at most 0, 1, 2, ... units, and its merit; -inf where there is none."""
    order = np.lexsort((merit, units))
    order = order[units[order] <= _LIMIT_STEPS]
    running = np.maximum.accumulate(merit[order])
    leading = order[np.maximum.accumulate(np.where(merit[order] == running, np.arange(len(order)), 0))]
    last = np.searchsorted(units[order], np.arange(_LIMIT_STEPS + 1), side="right") - 1
    return leading[last], np.where(last >= 0, running[last], -np.inf)


def _choice(curves: Curves, scores: NDArray[np.float64], at: NDArray[np.int64], minimum: int) -> Choice:
    """The thresholds at these indices of the grid, (C,), and their scores with one pair of minimum durations."""
    thresholds = dict(zip(curves.labels, curves.grid[at].tolist(), strict=True))
    return Choice(curves.minimums[minimum], thresholds, scores[minimum, np.arange(len(at)), at])


def _within(intervals: Intervals, uem: Mapping[str, Intervals] | None, uri: str) -> Intervals:
    return intervals if uem is None else intersect(intervals, uem[uri])


_Batch = list[tuple[str, NDArray[np.floating]]]


def _batches(recordings: Sequence[str], load: LoadScores) -> Iterator[_Batch]:
    """Recordings with their scores, short ones together."""
    batch: _Batch = []
    held = 0
    for uri in recordings:
        scores = load(uri)
        if batch and held + len(scores) > _FRAMES_AT_ONCE:
            yield batch
            batch, held = [], 0
        batch.append((uri, scores))
        held += len(scores)
    if batch:
        yield batch


class _Timeline:
    """Recordings one after the other, far enough apart that segments of different ones are never joined."""

    def __init__(
        self, batch: _Batch, minimums: Sequence[MinimumDurations], uem: Mapping[str, Intervals] | None
    ) -> None:
        self._batch = batch
        # 'Shorter than n samples' for a whole number of frames: fewer than n / 320 rounded up.
        self._minimums = [(-(-least.on // FRAME_HOP), -(-least.off // FRAME_HOP)) for least in minimums]
        apart = max(off for _, off in self._minimums) + 1
        lengths = [len(scores) for _, scores in batch]
        self._first = np.concatenate([[0], np.cumsum(np.array(lengths) + apart)])
        self._scored = self._running({uri: None if uem is None else union(*uem[uri]) for uri, _ in batch})

    def measure(
        self, column: int, truth: Mapping[str, Intervals], grid: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Samples hit and samples predicted at every threshold: int64, shape (M, K) each."""
        level = np.zeros(int(self._first[-1]) + 1, dtype=np.int16)  # the first of all frames follows silence too
        for (uri, scores), first in zip(self._batch, self._first.tolist(), strict=False):
            level[first + 1 : first + 1 + len(scores)] = _levels(scores[:, column], grid, uri)
        change = np.flatnonzero(level[1:] != level[:-1])
        before, after = level[change], level[change + 1]
        lows, highs = np.minimum(before, after), np.maximum(before, after)
        sums = np.stack([self._running(truth), self._scored], axis=1)
        found = np.zeros((2, len(self._minimums), len(grid)), dtype=np.int64)
        for block in range(0, len(grid), _THRESHOLDS_AT_ONCE):
            stop = min(block + _THRESHOLDS_AT_ONCE, len(grid))
            crossing = (lows < stop) & (highs > block)
            low, high, where = lows[crossing], highs[crossing], change[crossing]
            for k in range(block, stop):
                edges = where[(low <= k) & (high > k)]  # beginnings and ends of runs, in turn
                for m, (on, off) in enumerate(self._minimums):
                    start, end = _clean(edges[::2], edges[1::2], on, off)
                    found[:, m, k] = (sums[end] - sums[start]).sum(axis=0)
        return found[0], found[1]

    def _running(self, covered: Mapping[str, Intervals | None]) -> NDArray[np.int64]:
        """Covered samples before each frame boundary of the time line; None: everything."""
        running = np.empty(int(self._first[-1]) + 1, dtype=np.int64)
        reached = 0
        for (uri, scores), first, stop in zip(self._batch, self._first[:-1], self._first[1:], strict=True):
            edges = np.arange(len(scores) + 1) * FRAME_HOP
            intervals = covered[uri]
            inside = reached + (edges if intervals is None else _covered_before(intervals, edges))
            running[first : first + len(inside)] = inside
            reached = int(inside[-1])
            running[first + len(inside) : stop] = reached
        running[-1] = reached
        return running


def _clean(
    start: NDArray[np.int64], end: NDArray[np.int64], on: int, off: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Post-processing in frames: runs in order, gaps below ``off`` closed, then runs below ``on`` dropped."""
    if off > 1 and len(start):
        apart = start[1:] - end[:-1] >= off
        start = np.concatenate([start[:1], start[1:][apart]])
        end = np.concatenate([end[:-1][apart], end[-1:]])
    if on > 1:
        long = end - start >= on
        start, end = start[long], end[long]
    return start, end


def _covered_before(intervals: Intervals, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Samples of disjoint, sorted intervals before each edge."""
    start, end = intervals
    if not len(start):
        return np.zeros(len(edges), dtype=np.int64)
    before = np.concatenate([[0], np.cumsum(end - start)])
    place = np.searchsorted(start, edges, side="right")
    last = np.maximum(place - 1, 0)
    return before[place] - np.where(place > 0, np.maximum(end[last] - edges, 0), 0)


def _levels(scores: NDArray[np.floating], grid: NDArray[np.float64], uri: str) -> NDArray[np.int16]:
    """Number of thresholds that each score STRICTLY exceeds: int16, shape (T,).

    Raises:
        AnnotationError: a score outside [0, 1].
    """
    scores = np.ascontiguousarray(scores)
    if scores.dtype == np.float16:  # so few values exist that each is looked up
        every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
        table = np.where((every >= 0) & (every <= 1), np.searchsorted(grid, every, side="left"), -1)
        level = table.astype(np.int16)[scores.view(np.uint16)]
    else:
        exact = scores.astype(np.float64)
        inside = (exact >= 0) & (exact <= 1)
        level = np.where(inside, np.searchsorted(grid, exact, side="left"), -1).astype(np.int16)
    if (bad := np.flatnonzero(level < 0)).size:
        raise AnnotationError(
            f"{uri}: score {scores[bad[0]]} of frame {bad[0]} is no probability (0 to 1); "
            "logits must go through the sigmoid first"
        )
    return level
