"""Conversion of speech regions into training segments: merge, pad, cut, in integer samples.

Regions closer than two seconds become one stretch, stretches below two seconds are padded, stretches above thirty are
cut at the longest pause in their speech. No sample of speech is ever lost. The released pre-training data was made by
the same steps with a comparison that drops every padded stretch and every piece of up to two seconds;
:func:`published_segments` reproduces exactly that.

Input: intervals of speech of one recording, and its length. Output: disjoint training segments, ascending.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from babyhubert.annotation.intervals import Intervals, close_gaps
from babyhubert.config import Config
from babyhubert.timebase import seconds_to_samples


class SegmentSettings(Config):
    """``[segments]``.

    Attributes:
        merge_gaps_s: Gaps strictly shorter are bridged.
        shortest_s: Shorter stretches are padded on both sides to this length.
        longest_s: Longer stretches are cut.
        published: Process as for the released data: drop pieces of at most ``shortest_s``.
    """

    merge_gaps_s: float = Field(default=2.0, ge=0)
    shortest_s: float = Field(default=2.0, ge=0.1)
    longest_s: float = Field(default=30.0, ge=1)
    published: bool = False

    @field_validator("longest_s")
    @classmethod
    def _not_below_the_shortest(cls, longest: float, info: ValidationInfo) -> float:
        shortest = info.data.get("shortest_s", 0.0)
        if longest < shortest:
            raise ValueError(f"must not be below shortest_s ({shortest:g})")
        return longest

    @property
    def samples(self) -> tuple[int, int, int]:
        """Gap, shortest and longest in samples."""
        return tuple(map(seconds_to_samples, (self.merge_gaps_s, self.shortest_s, self.longest_s)))  # type: ignore[return-value]


def training_segments(speech: Intervals, length: int, settings: SegmentSettings) -> Intervals:
    """Training segments of a recording.

    Args:
        speech: Regions of possible speech: start and end samples, any order, overlaps allowed.
        length: Samples of the recording.
        settings: Limits.

    Returns:
        Disjoint segments, ascending. Without ``published``: they cover all speech inside the recording, are at most
        ``longest_s`` long, and at least ``shortest_s`` where the recording and their neighbours allow.
    """
    gap, shortest, longest = settings.samples
    if settings.published:
        return published_segments(speech, gap, shortest, longest)
    start, end = (np.clip(np.asarray(side, dtype=np.int64), 0, length) for side in speech)
    merged = close_gaps(start, end, max(gap, 1))
    padded = _pad(merged, shortest, length)
    stretches = close_gaps(*padded)
    return _widen(_cut_all(stretches, close_gaps(start, end), longest), shortest, longest, length)


def published_segments(speech: Intervals, gap: int, shortest: int, longest: int) -> Intervals:
    """Training segments as in the released preprocessing: padded stretches and pieces up to ``shortest`` are dropped.

    It does not use the recording's length and does not merge segments that overlap after padding. In integer samples
    nothing depends on rounding (in its float seconds about 8 of 100,000 padded stretches survive).
    """
    start, end = (np.asarray(side, dtype=np.int64) for side in speech)
    stretches = close_gaps(start, end, max(gap, 1))
    found = _cut_all(stretches, close_gaps(start, end), longest, drop_up_to=shortest)
    return found[:, 0], found[:, 1]


def _pad(stretches: Intervals, shortest: int, length: int) -> Intervals:
    """Symmetric padding to the shortest length, shifted back inside the recording at its edges."""
    start, end = stretches
    lacking = np.maximum(shortest - (end - start), 0)
    begin = np.clip(start - lacking // 2, 0, np.maximum(length - np.maximum(shortest, end - start), 0))
    begin = np.where(lacking > 0, begin, start)
    return begin, np.where(lacking > 0, np.minimum(begin + shortest, length), end)


def _holes(stretches: Intervals, union: Intervals) -> list[list[tuple[int, int]]]:
    """Pauses inside each stretch, ascending."""
    found = []
    starts, ends = union
    for begin, stop in np.column_stack(stretches).tolist():
        low, high = np.searchsorted(ends, begin, side="right"), np.searchsorted(starts, stop, side="left")
        edges = [begin, *np.column_stack((starts[low:high], ends[low:high])).ravel().tolist(), stop]
        edges = np.clip(edges, begin, stop).tolist()
        found.append([(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a])
    return found


def _cut_all(stretches: Intervals, union: Intervals, longest: int, drop_up_to: int = 0) -> NDArray[np.int64]:
    """Pieces of all stretches, (N, 2), ascending."""
    rows = zip(np.column_stack(stretches).tolist(), _holes(stretches, union), strict=True)
    pieces = [piece for (begin, stop), holes in rows for piece in _cut(begin, stop, holes, longest, drop_up_to)]
    return np.array(pieces, dtype=np.int64).reshape(-1, 2)


def _cut(begin: int, stop: int, holes: list[tuple[int, int]], longest: int, drop_up_to: int) -> list[tuple[int, int]]:
    """Pieces of at most ``longest`` samples: without the longest hole (the first of equals), else halves.

    A stretch or piece of at most ``drop_up_to`` samples is dropped.
    """
    done, todo = [], [(begin, stop, holes)]
    while todo:
        begin, stop, holes = todo.pop()
        if stop - begin > longest:
            todo += _without_longest_hole(begin, stop, holes)
        elif stop - begin > drop_up_to:
            done.append((begin, stop))
    return sorted(done)


def _without_longest_hole(
    begin: int, stop: int, holes: list[tuple[int, int]]
) -> list[tuple[int, int, list[tuple[int, int]]]]:
    if not holes:
        middle = (begin + stop) // 2
        return [(begin, middle, []), (middle, stop, [])]
    index = max(range(len(holes)), key=lambda i: holes[i][1] - holes[i][0])
    left, right = holes[index]
    pieces = [(begin, left, holes[:index]), (right, stop, holes[index + 1 :])]
    return [piece for piece in pieces if piece[1] > piece[0]]


def _widen(pieces: NDArray[np.int64], shortest: int, longest: int, length: int) -> Intervals:
    """Widen short pieces by the silence around them, as far as their neighbours allow."""
    start, end = pieces[:, 0].copy(), pieces[:, 1].copy()
    for index in np.flatnonzero(end - start < min(shortest, longest)).tolist():
        low = end[index - 1] if index else 0
        high = start[index + 1] if index + 1 < len(start) else length
        lacking = min(shortest - (end[index] - start[index]), high - low - (end[index] - start[index]))
        begin = np.clip(start[index] - lacking // 2, low, max(high - (end[index] - start[index]) - lacking, low))
        start[index], end[index] = begin, max(begin + (end[index] - start[index]) + lacking, end[index])
    return start, end
