"""Decoding of CTC outputs into symbols: greedy and prefix beam search, with frames and confidence of every symbol.

Connectionist temporal classification (Graves et al. 2006) gives each frame a distribution over symbols and a blank; a
sequence's probability is the sum over all frame paths that collapse to it (repeats joined, then blanks dropped).
Greedy decoding takes the best path, as published for BabAR; prefix beam search (Graves and Jaitly 2014) searches for
the most probable sequence. All arithmetic is in log probabilities of float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LogProbabilities = NDArray[np.float64]

_IMPOSSIBLE = -1e30  # replaces log 0, since a difference of two infinities would be NaN
_HASH_FACTORS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


@dataclass(frozen=True)
class Symbols:
    """Symbols decoded from one utterance.

    Attributes:
        ids: Symbols, int64, shape (N,).
        first: Frame at which each begins, int64, shape (N,).
        stop: Frame after its last, int64, shape (N,).
        confidence: Mean probability of each over its frames, float64, shape (N,).
        log_probability: Log probability of the best path (greedy), or of the sequence over the paths that the beam
            kept (beam search).
    """

    ids: NDArray[np.int64]
    first: NDArray[np.int64]
    stop: NDArray[np.int64]
    confidence: NDArray[np.float64]
    log_probability: float

    def without(self, ids: Sequence[int]) -> Symbols:
        """The symbols besides these, with their times."""
        kept = ~np.isin(self.ids, ids)
        return Symbols(self.ids[kept], self.first[kept], self.stop[kept], self.confidence[kept], self.log_probability)


def log_softmax(logits: NDArray[np.floating]) -> LogProbabilities:
    """Log probabilities from logits, along the last axis."""
    logits = np.asarray(logits, dtype=np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def greedy(log_probabilities: LogProbabilities, blank: int) -> Symbols:
    """The best path: the best symbol of each frame, repeats joined, blanks dropped.

    Args:
        log_probabilities: Shape (T, C).
        blank: Column of the blank.
    """
    path = log_probabilities.argmax(axis=1)
    return _read(path, path, log_probabilities, blank, float(log_probabilities.max(axis=1, initial=-np.inf).sum()))


def align(log_probabilities: LogProbabilities, ids: Sequence[int], blank: int) -> Symbols:
    """Align a given sequence: the most probable path, and so the frames of each of its symbols.

    Args:
        log_probabilities: Shape (T, C).
        ids: The sequence, without blanks.
        blank: Column of the blank.

    Raises:
        ValueError: no path of T frames gives this sequence.
    """
    frames = len(log_probabilities)
    states = np.full(2 * len(ids) + 1, blank)  # blank, symbol, blank, symbol, ..., blank
    states[1::2] = ids
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    emitted = log_probabilities[:, states]
    score = np.full(len(states), -np.inf)
    score[:2] = emitted[0, :2] if frames else 0.0
    back = np.zeros((frames, len(states)), dtype=np.int64)
    for frame in range(1, frames):
        moves = np.full((3, len(states)), -np.inf)
        moves[0] = score
        moves[1, 1:] = score[:-1]
        moves[2, 2:] = np.where(skips[2:], score[:-2], -np.inf)
        back[frame] = moves.argmax(axis=0)
        score = moves.max(axis=0) + emitted[frame]
    state = int(len(states) - 1 - score[: -3 if len(states) > 1 else None : -1].argmax())
    if score[state] == -np.inf or (not frames and len(ids)):
        raise ValueError(f"{frames} frames are too few for {len(ids)} symbols")
    total = float(score[state]) if frames else 0.0
    path = np.zeros(frames, dtype=np.int64)
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= back[frame, state]
    return _read(path, states[path], log_probabilities, blank, total)


def beam_search(log_probabilities: Sequence[LogProbabilities], blank: int, width: int = 16) -> list[Symbols]:
    """The most probable sequence of each utterance, by prefix beam search over the whole batch at once.

    Each frame keeps the ``width`` most probable prefixes of each utterance, with the probabilities of their paths that
    end in a blank and of those that do not. Times and confidences come from the best path of the sequence found.

    Args:
        log_probabilities: One array a utterance, shape (T, C), of any T.
        blank: Column of the blank.
        width: Prefixes kept.

    Raises:
        ValueError: ``width`` is below 1.
    """
    if width < 1:
        raise ValueError(f"a beam of {width} holds nothing: at least 1")
    if not log_probabilities:
        return []
    lengths = np.array([len(each) for each in log_probabilities])
    order = np.argsort(-lengths, kind="stable")
    found: list[Symbols | None] = [None] * len(lengths)
    for index, (ids, score) in zip(
        order.tolist(), _search([log_probabilities[k] for k in order], lengths[order], blank, width), strict=True
    ):
        read = align(log_probabilities[index], ids, blank)
        found[index] = Symbols(read.ids, read.first, read.stop, read.confidence, score)
    return [each for each in found if each is not None]


def _search(
    inputs: Sequence[LogProbabilities], lengths: NDArray[np.int64], blank: int, width: int
) -> list[tuple[list[int], float]]:
    """Sequences and scores; inputs sorted by length, longest first."""
    batch, classes = len(inputs), inputs[0].shape[1]
    padded = np.full((int(lengths[0]), batch, classes), _IMPOSSIBLE)
    for k, each in enumerate(inputs):
        padded[: len(each), k] = np.maximum(each, _IMPOSSIBLE)
    beams = _Beams.start(batch, width)
    origins: list[NDArray[np.int64]] = []
    symbols: list[NDArray[np.int64]] = []
    done: list[_Beams] = []
    for frame in range(int(lengths[0])):
        alive = int(np.searchsorted(-lengths, -frame, side="left"))  # those longer than `frame`
        rest, beams = beams.split(alive)
        done.append(rest)
        beams, origin, symbol = beams.extend(padded[frame, :alive], blank)
        origins.append(origin)
        symbols.append(symbol)
    done.append(beams)
    ended = _Beams.join(done[::-1])
    best = ended.total.argmax(axis=1)
    return [
        (_trace(origins, symbols, k, int(best[k]), int(lengths[k])), float(ended.total[k, best[k]]))
        for k in range(batch)
    ]


@dataclass(frozen=True)
class _Beams:
    """The prefixes kept, each array of shape (B, K): two log probabilities, last symbol (-1: none), identities."""

    blank: LogProbabilities
    symbol: LogProbabilities
    last: NDArray[np.int64]
    identity: NDArray[np.uint64]
    parent: NDArray[np.uint64]

    @classmethod
    def start(cls, batch: int, width: int) -> _Beams:
        shape = (batch, width)
        blank = np.full(shape, _IMPOSSIBLE)
        blank[:, 0] = 0.0
        identity, parent = (np.tile(unlike, (batch, 1)) for unlike in _empty_entries(width))
        return cls(blank, np.full(shape, _IMPOSSIBLE), np.full(shape, -1), identity, parent)

    @property
    def total(self) -> LogProbabilities:
        return np.logaddexp(self.blank, self.symbol)

    def split(self, rows: int) -> tuple[_Beams, _Beams]:
        """Split off the first ``rows`` utterances."""
        return self._take(slice(rows, None)), self._take(slice(rows))

    @classmethod
    def join(cls, parts: Sequence[_Beams]) -> _Beams:
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def _take(self, rows: slice) -> _Beams:
        return _Beams(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def extend(self, frame: LogProbabilities, blank: int) -> tuple[_Beams, NDArray[np.int64], NDArray[np.int64]]:
        """Extend by one frame, (B, C): the new prefixes, the source of each, and the symbol it added (-1: none)."""
        batch, width = self.last.shape
        classes = frame.shape[1]
        total = self.total
        rows = np.arange(batch)[:, None]
        # A prefix stays: blank after anything, or its last symbol once more.
        stay_blank = total + frame[:, blank, None]
        repeat = np.where(self.last < 0, _IMPOSSIBLE, frame[rows, np.maximum(self.last, 0)])
        stay_symbol = self.symbol + repeat
        # A prefix grows by a symbol; by its own last one only after a blank.
        grown = total[:, :, None] + frame[:, None, :]
        own = np.maximum(self.last, 0)[:, :, None]
        after_blank = np.where(self.last < 0, _IMPOSSIBLE, self.blank + repeat)[:, :, None]
        np.put_along_axis(
            grown, own, np.where(self.last[:, :, None] < 0, np.take_along_axis(grown, own, 2), after_blank), 2
        )
        grown[:, :, blank] = _IMPOSSIBLE
        # What a prefix grows into may be kept already: its paths are added there, and it is no new prefix.
        b, child, parent = np.nonzero(self.parent[:, :, None] == self.identity[:, None, :])
        merged = self.last[b, child]
        stay_symbol[b, child] = np.logaddexp(stay_symbol[b, child], grown[b, parent, merged])
        grown[b, parent, merged] = _IMPOSSIBLE
        candidates = np.concatenate((np.logaddexp(stay_blank, stay_symbol), grown.reshape(batch, -1)), axis=1)
        best = np.argpartition(-candidates, width - 1, axis=1)[:, :width]
        best.sort(axis=1)  # places in a fixed order, whatever the partition did
        stays = best < width
        origin = np.where(stays, best, (best - width) // classes)
        symbol = np.where(stays, -1, (best - width) % classes)
        identity, came_from = self.identity[rows, origin], self.parent[rows, origin]
        free = candidates[rows, best] < _IMPOSSIBLE / 2
        nobody, empty_parent = _empty_entries(width)
        beams = _Beams(
            np.where(stays, stay_blank[rows, origin], _IMPOSSIBLE),
            np.where(stays, stay_symbol[rows, origin], candidates[rows, best]),
            np.where(stays, self.last[rows, origin], symbol),
            np.where(free, nobody, np.where(stays, identity, _hashed(identity, symbol))),
            np.where(free, empty_parent, np.where(stays, came_from, identity)),
        )
        return beams, origin, symbol


def _empty_entries(width: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Identities and parents of empty entries, all different, so that nothing is merged with them."""
    unlike = _hashed(np.arange(2 * width, dtype=np.uint64), np.arange(2 * width))
    return unlike[:width], unlike[width:]


def _hashed(identity: NDArray[np.uint64], symbol: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Identity of a prefix extended by a symbol: 64 bits, so that two prefixes never share one in practice."""
    spread = (identity ^ (identity >> np.uint64(29))) * _HASH_FACTORS[0]
    return (spread + symbol.astype(np.uint64) + np.uint64(1)) * _HASH_FACTORS[1]


def _trace(
    origins: Sequence[NDArray[np.int64]], symbols: Sequence[NDArray[np.int64]], row: int, place: int, frames: int
) -> list[int]:
    ids = []
    for frame in range(frames - 1, -1, -1):
        if symbols[frame][row, place] >= 0:
            ids.append(int(symbols[frame][row, place]))
        place = int(origins[frame][row, place])
    return ids[::-1]


def _read(
    states: NDArray[np.int64], path: NDArray[np.int64], log_probabilities: LogProbabilities, blank: int, total: float
) -> Symbols:
    """Symbols from a path over symbols; a new one begins where ``states`` changes."""
    if not len(path):
        nothing = np.zeros(0, dtype=np.int64)
        return Symbols(nothing, nothing, nothing, np.zeros(0), total)
    begins = np.flatnonzero(np.concatenate(([True], states[1:] != states[:-1])))
    ends = np.append(begins[1:], len(path))
    sums = np.add.reduceat(np.exp(log_probabilities[np.arange(len(path)), path]), begins)
    kept = path[begins] != blank
    first, stop = begins[kept], ends[kept]
    return Symbols(path[first].astype(np.int64), first, stop, sums[kept] / (stop - first), total)
