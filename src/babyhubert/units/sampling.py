"""Choice of the frames for k-means: a uniform sample without replacement over the complete training split.

Every frame of the training split has a number, in the order of the pack's index, from which a seeded function computes
a 64-bit key; the sample is the frames with the smallest keys. So it does not depend on the order of work, the batches
and the number of processes; parts of different processes are simply joined; and it is known before any teacher has
run, so segments without a chosen frame are skipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from babyhubert.corpus.shards import Pack

_BLOCK = 1 << 20
_LARGEST = 2**64 - 1
_STEP = np.uint64(0x9E3779B97F4A7C15)


def frame_keys(numbers: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Keys of frame numbers, uint64, same shape: different numbers have different keys.

    SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195) started at a point that depends on the seed.
    """
    start = _scramble(np.array([seed % 2**64], dtype=np.uint64) + _STEP)
    return _scramble(start + numbers * _STEP)


def _scramble(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def largest_chosen_key(total: int, size: int, seed: int) -> int:
    """Find the key such that exactly ``size`` of ``total`` frames have this one or a smaller one.

    Takes about ten seconds for a thousand million frames and memory of the order of the sample's keys.
    """
    if size >= total:
        return _LARGEST
    margin = size + 8 * math.isqrt(size) + 64
    while True:
        bound = min(_LARGEST, margin * 2**64 // total)
        below = _keys_up_to(bound, total, seed)
        if len(below) >= size:
            return int(np.partition(below, size - 1)[size - 1])
        margin *= 2


def _keys_up_to(bound: int, total: int, seed: int) -> NDArray[np.uint64]:
    found = []
    for begin in range(0, total, _BLOCK):
        keys = frame_keys(np.arange(begin, min(begin + _BLOCK, total), dtype=np.uint64), seed)
        found.append(keys[keys <= np.uint64(bound)])
    return np.concatenate(found)


@dataclass(frozen=True, eq=False)
class FrameSample:
    """The chosen frames of a pack.

    Attributes:
        pack: The material.
        seed: Seed of the choice.
        total: Frames of the training split.
        size: Frames chosen, at most ``total``.
    """

    pack: Pack
    seed: int
    total: int
    size: int
    _bound: np.uint64 = field(repr=False)
    _first: NDArray[np.int64] = field(repr=False)

    @classmethod
    def draw(cls, pack: Pack, size: int, seed: int) -> FrameSample:
        """Choose ``size`` frames of the training split, or all if there are fewer."""
        frames = np.where(pack.validation, 0, pack.frames)
        total = int(frames.sum())
        size = min(size, total)
        bound = np.uint64(largest_chosen_key(total, size, seed))
        return cls(pack, seed, total, size, bound, np.cumsum(frames) - frames)

    def chosen(self, row: int) -> NDArray[np.int64]:
        """Chosen frames of a segment, ascending, int64; none in the validation split."""
        if self.pack.validation[row] or self.size == 0:
            return np.zeros(0, dtype=np.int64)
        first = int(self._first[row])
        numbers = np.arange(first, first + int(self.pack.frames[row]), dtype=np.uint64)
        return np.flatnonzero(frame_keys(numbers, self.seed) <= self._bound)

    def chosen_in_shard(self, shard: int) -> dict[int, NDArray[np.int64]]:
        """Chosen frames by row, for the rows of a shard that have any, in the order of the index."""
        rows = self.pack.rows_of(shard)
        found = ((int(row), self.chosen(int(row))) for row in rows)
        return {row: frames for row, frames in found if len(frames)}
