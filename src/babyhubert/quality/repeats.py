"""Search for blocks of samples that a recorder wrote twice.

A recorder whose buffer is late writes the last one again. Such a block equals an earlier one sample by sample, which
no sound does. Every run of 64 samples gets a hash; a hash with certain bits is an anchor, so that equal runs have
equal anchors wherever they are; anchors that occur twice within 2 s, at one distance, mark a repeated block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_RUN = 64
"""Samples of a run: no two runs of a microphone's noise are equal by chance."""
_ANCHOR_BITS = 5
_LONGEST_LAG_SECONDS = 2.0
_SHORTEST_LAG_SECONDS = 0.01
_FEWEST_ANCHORS = 2
_SHORTEST_SECONDS = 0.006
_SMALLEST_RANGE = 16
"""Steps of a 16-bit recording that a run must span: nearly silent runs are equal by chance."""
_BASE = 0x9E3779B97F4A7C15
_MIX = 0xD6E8FEB86659FD93
_PIECE_SECONDS = 5


class RepeatSearch:
    """Accumulates the repeated blocks of a recording.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._longest = int(_LONGEST_LAG_SECONDS * sample_rate)
        size = _PIECE_SECONDS * sample_rate + self._longest + _RUN
        base = np.uint64(_BASE)
        self._powers = np.cumprod(np.full(size, base, dtype=np.uint64))
        inverse = np.uint64(pow(_BASE, -1, 1 << 64))
        self._inverses = np.cumprod(np.full(size, inverse, dtype=np.uint64))
        self._before = np.zeros(0, dtype=np.int32)
        self._position = 0
        self._shares: dict[int, float] = {}
        self._counts: dict[int, int] = {}
        self._end = 0

    def add(self, mono: NDArray[np.float32]) -> None:
        """Take the next samples, float32 (n,)."""
        for start in range(0, len(mono), _PIECE_SECONDS * self._rate):
            piece = np.rint(mono[start : start + _PIECE_SECONDS * self._rate] * 32768).astype(np.int32)
            samples = np.concatenate((self._before, piece))
            self._search(samples, self._position - len(self._before), len(self._before))
            self._position += len(piece)
            self._before = samples[-self._longest :]

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Share of each second that is repeated, and blocks that begin in it."""
        seconds = -(-self._position // self._rate)
        shares, counts = np.zeros(seconds, dtype=np.float32), np.zeros(seconds, dtype=np.int32)
        for second, share in self._shares.items():
            shares[second] = min(share, 1.0)
        for second, count in self._counts.items():
            counts[second] = count
        return shares, counts

    def _search(self, samples: NDArray[np.int32], origin: int, fresh: int) -> None:
        """Find blocks that end among the samples from ``fresh`` on and equal earlier ones."""
        if len(samples) <= _RUN:
            return
        hashes = self._hashes(samples)
        anchors = np.flatnonzero(hashes >> np.uint64(64 - _ANCHOR_BITS) == 0)
        anchors = anchors[_spans(samples, anchors)]
        order = np.argsort(hashes[anchors], kind="stable")
        place, key = anchors[order], hashes[anchors][order]
        same = np.flatnonzero(key[1:] == key[:-1])
        earlier, later = place[same], place[same + 1]
        lag = later - earlier
        near = (lag >= _SHORTEST_LAG_SECONDS * self._rate) & (lag <= self._longest) & (later + _RUN > fresh)
        earlier, later, lag = earlier[near], later[near], lag[near]
        for value in np.unique(lag).tolist():
            self._blocks(np.sort(later[lag == value]), value, samples, origin)

    def _hashes(self, samples: NDArray[np.int32]) -> NDArray[np.uint64]:
        """Hash of the run of 64 samples that begins at each sample, uint64 (n - 63,): modulo 2^64, wrapping."""
        size = len(samples)
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(samples.astype(np.uint64) * self._powers[:size])))
        runs = (sums[_RUN:] - sums[:-_RUN]) * self._inverses[: size - _RUN + 1]
        return (runs ^ (runs >> np.uint64(32))) * np.uint64(_MIX)

    def _blocks(self, later: NDArray[np.int64], lag: int, samples: NDArray[np.int32], origin: int) -> None:
        """Count the blocks of one lag: anchors closer than the lag, or 50 ms, are of one block."""
        apart = np.flatnonzero(np.diff(later) > max(_RUN * 8, self._rate // 20)) + 1
        for group in np.split(later, apart):
            if len(group) < _FEWEST_ANCHORS:
                continue
            start, end = _extended(samples, int(group[0]), int(group[-1]) + _RUN, lag)
            if end + origin <= self._end or end - start < _SHORTEST_SECONDS * self._rate:
                continue
            if start + origin >= self._end:
                self._counts[(start + origin) // self._rate] = self._counts.get((start + origin) // self._rate, 0) + 1
            self._mark(max(start + origin, self._end), end + origin)
            self._end = end + origin

    def _mark(self, start: int, end: int) -> None:
        for second in range(start // self._rate, (end - 1) // self._rate + 1):
            inside = min(end, (second + 1) * self._rate) - max(start, second * self._rate)
            self._shares[second] = self._shares.get(second, 0.0) + inside / self._rate


def _spans(samples: NDArray[np.int32], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True for the runs that span more than nearly nothing."""
    runs = samples[places[:, None] + np.arange(_RUN)]
    return np.asarray(runs.max(axis=1) - runs.min(axis=1) >= _SMALLEST_RANGE, dtype=np.bool_)


def _extended(samples: NDArray[np.int32], start: int, end: int, lag: int) -> tuple[int, int]:
    """The block between two samples, extended while its samples equal those a lag before."""
    if start > lag:
        differing = np.flatnonzero(samples[lag:start] != samples[: start - lag])
        start = lag + (int(differing[-1]) + 1 if len(differing) else 0)
    differing = np.flatnonzero(samples[end:] != samples[end - lag : len(samples) - lag])
    end = end + int(differing[0]) if len(differing) else len(samples)
    return start, end
