"""Interval algebra on integer samples: union, gaps, minimum durations, intersection.

A set of intervals is a pair of int64 arrays ``(start, end)``, half-open ``[start, end)``. All functions are
vectorised (a 16-hour day has tens of thousands of segments) and return sorted, disjoint, non-touching sets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Intervals = tuple[NDArray[np.int64], NDArray[np.int64]]


def close_gaps(start: NDArray[np.int64], end: NDArray[np.int64], shorter_than: int = 1) -> Intervals:
    """Join intervals that overlap, touch, or leave a gap STRICTLY shorter than ``shorter_than`` samples.

    With the default only touching and overlapping ones are joined: the union. Empty intervals are ignored.
    """
    start, end = np.asarray(start, dtype=np.int64), np.asarray(end, dtype=np.int64)
    keep = end > start
    start, end = start[keep], end[keep]
    if not len(start):
        return start, end
    order = np.argsort(start, kind="stable")
    start, reach = start[order], np.maximum.accumulate(end[order])
    opens = np.concatenate(([True], start[1:] - reach[:-1] >= max(shorter_than, 1)))
    closes = np.concatenate((opens[1:], [True]))
    return start[opens], reach[closes]


def close_free_gaps(
    start: NDArray[np.int64], end: NDArray[np.int64], shorter_than: int, occupied: Intervals
) -> Intervals:
    """Join intervals over a gap STRICTLY shorter than ``shorter_than`` samples, unless part of it is occupied."""
    start, end = union(start, end)
    taken_start, taken_end = union(*occupied)
    gap_start, gap_end = end[:-1], start[1:]
    begun, ended = (
        np.searchsorted(taken_start, gap_end, side="left"),
        np.searchsorted(taken_end, gap_start, side="right"),
    )
    closed = (begun == ended) & (gap_end - gap_start < shorter_than)
    return union(np.concatenate((start, gap_start[closed])), np.concatenate((end, gap_end[closed])))


def union(start: NDArray[np.int64], end: NDArray[np.int64]) -> Intervals:
    """Smallest set of disjoint intervals that covers the same samples."""
    return close_gaps(start, end)


def drop_short(start: NDArray[np.int64], end: NDArray[np.int64], shorter_than: int) -> Intervals:
    """Remove intervals STRICTLY shorter than ``shorter_than`` samples."""
    keep = end - start >= shorter_than
    return start[keep], end[keep]


def intersect(a: Intervals, b: Intervals) -> Intervals:
    """Intersection of two sets. Each argument may be in any order and may overlap itself."""
    (a_start, a_end), (b_start, b_end) = union(*a), union(*b)
    first = np.searchsorted(b_end, a_start, side="right")
    stop = np.searchsorted(b_start, a_end, side="left")
    pairs = np.maximum(stop - first, 0)
    rows = np.repeat(np.arange(len(a_start)), pairs)
    columns = np.arange(pairs.sum()) - np.repeat(np.cumsum(pairs) - pairs, pairs) + np.repeat(first, pairs)
    return np.maximum(a_start[rows], b_start[columns]), np.minimum(a_end[rows], b_end[columns])


def complement(start: NDArray[np.int64], end: NDArray[np.int64], length: int) -> Intervals:
    """Complement within ``[0, length)``."""
    start, end = union(start, end)
    gap_start = np.concatenate(([0], np.clip(end, 0, length)))
    gap_end = np.concatenate((np.clip(start, 0, length), [length]))
    keep = gap_end > gap_start
    return gap_start[keep], gap_end[keep]


def total(start: NDArray[np.int64], end: NDArray[np.int64]) -> int:
    """Samples covered by the union."""
    start, end = union(start, end)
    return int((end - start).sum())
