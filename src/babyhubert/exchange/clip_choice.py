"""Choice of the stretches of a recording to annotate.

There are five methods, all in whole milliseconds, without overlap. All but ``stratified`` depend only on the
recording's id and a seed, not on other recordings:

- ``random``: every placement of the clips is equally likely. Unbiased.
- ``periodic``: one clip in each of as many equal parts of the recording, all at the same, randomly drawn, place in
  their part (systematic sampling). Unbiased, and spread over the day.
- ``stratified``: more clips where more is predicted, from all recordings together, with known chances
  (:mod:`babyhubert.exchange.strata`). Unbiased with these.
- ``high-volubility``: the stretches with most speech of a voice, one clip after the other (as ChildProject's sampler
  of that name and the ACLEW annotations do). Much speech for little effort, but not a fair sample of the day.
- ``low-confidence``: the stretches with the lowest confidence of the model, by the mean over frames of the greatest
  entropy among its classes' probabilities (uncertainty sampling: Settles, Active Learning Literature Survey, 2009).
  Good for training data; scores on such clips are lower than on the complete day.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, union
from babyhubert.timebase import FRAME_HOP, SAMPLES_PER_MS

ClipMethod = Literal["random", "periodic", "stratified", "high-volubility", "low-confidence"]
CLIP_METHODS: tuple[ClipMethod, ...] = ("random", "periodic", "stratified", "high-volubility", "low-confidence")
FAIR_METHODS: tuple[ClipMethod, ...] = ("random", "periodic", "stratified")
"""Methods whose clips are drawn by chance, with known probabilities."""

CANDIDATE_STEP_MS = 1000
"""High-volubility and low-confidence clips begin on a whole second (or end with the recording)."""

FRAME_MS = FRAME_HOP // SAMPLES_PER_MS
_FRAMES_AT_ONCE = 1 << 18


def recording_generator(seed: int, recording_id: str) -> np.random.Generator:
    """Random generator of one recording, independent of the other recordings."""
    digest = hashlib.sha256(recording_id.encode("utf-8", errors="backslashreplace")).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest[:16], dtype="<u4").tolist()])


def clips_that_fit(duration_ms: int, length_ms: int, wanted: int) -> int:
    """Number of clips that a recording has room for, at most the requested one."""
    return min(wanted, duration_ms // length_ms)


def random_starts(duration_ms: int, length_ms: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """First millisecond of each clip, ascending: int64, shape (count,).

    The time outside clips is distributed before, between and after them at random, all placements being equally
    likely.
    """
    spare = duration_ms - count * length_ms
    places = np.sort(rng.choice(spare + count, size=count, replace=False)) - np.arange(count)
    return places + np.arange(count) * length_ms


def periodic_starts(duration_ms: int, length_ms: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """First millisecond of each clip, ascending: int64, shape (count,)."""
    part = duration_ms // count
    return int(rng.integers(0, part - length_ms + 1)) + np.arange(count, dtype=np.int64) * part


def best_starts(
    candidates: NDArray[np.int64], worth: NDArray[np.float64], length_ms: int, count: int
) -> list[tuple[int, float]]:
    """The clips with the highest worth that do not overlap, chosen greedily; ties go to the earlier.

    Args:
        candidates: First millisecond of each possible clip, ascending, shape (K,).
        worth: Worth of each, shape (K,); a clip with worth 0 is not chosen.
        length_ms: Length of a clip.
        count: Maximum number.

    Returns:
        Start and worth of each, by start.
    """
    left = np.array(worth, dtype=np.float64)
    chosen: list[tuple[int, float]] = []
    while len(chosen) < count and len(left):
        best = int(np.argmax(left))
        if left[best] <= 0:
            break
        start = int(candidates[best])
        chosen.append((start, float(left[best])))
        first, stop = np.searchsorted(candidates, (start - length_ms + 1, start + length_ms))
        left[first:stop] = -np.inf
    return sorted(chosen)


def candidate_starts(duration_ms: int, length_ms: int) -> NDArray[np.int64]:
    """Every whole second at which a clip can begin, and the last millisecond: int64, ascending."""
    last = duration_ms - length_ms
    grid = np.arange(0, last + 1, CANDIDATE_STEP_MS, dtype=np.int64)
    return grid if grid[-1] == last else np.append(grid, last)


def speech_within(
    spans: Intervals, starts: NDArray[np.int64], length_ms: int | NDArray[np.int64]
) -> NDArray[np.float64]:
    """Seconds of each stretch ``[start, start + length)`` that the union of ``spans`` (samples) covers: shape (K,)."""
    begin, end = union(*spans)
    if not len(begin):
        return np.zeros(len(starts))
    knots = np.column_stack((begin, end)).ravel() / (1000 * SAMPLES_PER_MS)
    covered = np.repeat(np.cumsum((end - begin) / (1000 * SAMPLES_PER_MS)), 2)
    covered[0::2] -= (end - begin) / (1000 * SAMPLES_PER_MS)
    first, last = (np.interp(side / 1000, knots, covered) for side in (starts, starts + length_ms))
    return last - first


def doubt_within(scores: NDArray[np.float16], starts: NDArray[np.int64], length_ms: int) -> NDArray[np.float64]:
    """Mean uncertainty, in bits per frame, of each stretch ``[start, start + length)``: shape (K,).

    Args:
        scores: Probabilities, shape (frames, classes); may be a memory map.
        starts: First millisecond of each stretch, shape (K,).
        length_ms: Length of a stretch.
    """
    doubt = np.zeros(len(scores) + 1)
    for first in range(0, len(scores), _FRAMES_AT_ONCE):
        part = np.asarray(scores[first : first + _FRAMES_AT_ONCE], dtype=np.float64)
        doubt[first + 1 : first + 1 + len(part)] = _entropy(part).max(axis=1)
    np.cumsum(doubt, out=doubt)
    begin, end = (np.clip(side // FRAME_MS, 0, len(scores)) for side in (starts, starts + length_ms))
    return (doubt[end] - doubt[begin]) / np.maximum(end - begin, 1)


def _entropy(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy of a binary decision, in bits: 0 if it is certain, 1 at one half."""
    inside = np.clip(probability, 1e-12, 1 - 1e-12)
    return -(inside * np.log2(inside) + (1 - inside) * np.log2(1 - inside))
