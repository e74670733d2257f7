"""Edit distances and alignments of many pairs of sequences at once.

The table of a pair is filled row by row, for a batch of pairs together: deletions and substitutions are elementwise,
and a row's insertions are a running minimum (of the row minus its column numbers). So Python runs one step per row
instead of one per cell, and a thousand utterances take milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.errors import AnnotationError

Sequences = Sequence[NDArray[np.int64]]
"""Symbols by number, one array a sequence."""

_CELLS_AT_ONCE = 1 << 21
_MOST_CELLS = 1 << 27


class EditCounts(NamedTuple):
    """Edits that turn each reference into its hypothesis.

    Attributes:
        operations: Hits, substitutions, deletions, insertions of each pair, int64, shape (U, 4). Their best total is
            unique; among alignments with that total, the one that matches or substitutes latest in the sequence.
        confusions: Number of times reference symbol r (row) is aligned with hypothesis symbol h (column), int64, shape
            (P + 1, P + 1). Last column: r is missing; last row: h is inserted.
    """

    operations: NDArray[np.int64]
    confusions: NDArray[np.int64]


def align(reference: Sequences, hypothesis: Sequences, symbols: int) -> EditCounts:
    """Align pairs of sequences with unit costs.

    Args:
        reference: U sequences of numbers below ``symbols``.
        hypothesis: As many.
        symbols: P.

    Raises:
        AnnotationError: a pair so long that its table does not fit (over 134 million cells).
    """
    operations = np.zeros((len(reference), 4), dtype=np.int64)
    confusions = np.zeros((symbols + 1, symbols + 1), dtype=np.int64)
    cost = 1.0 - np.eye(symbols + 1)
    for rows in _batches(reference, hypothesis):
        batch = _Batch([reference[u] for u in rows], [hypothesis[u] for u in rows], symbols)
        left, right = batch.trace(batch.fill(cost).astype(np.int32))
        confusions += np.bincount(
            left.ravel() * (symbols + 2) + right.ravel(), minlength=(symbols + 2) ** 2
        ).reshape(symbols + 2, symbols + 2)[:-1, :-1]  # fmt: skip
        gone, new, ended = right == symbols, left == symbols, left > symbols
        kinds = ((left == right) & ~ended, (left != right) & ~gone & ~new & ~ended, gone & ~ended, new & ~ended)
        operations[rows] = np.stack([kind.sum(axis=0) for kind in kinds], axis=1)
    return EditCounts(operations, confusions)


def edit_distances(reference: Sequences, hypothesis: Sequences, symbols: int) -> NDArray[np.int64]:
    """Fewest insertions, deletions and substitutions of each pair (Levenshtein), int64, shape (U,).

    Args:
        reference: U sequences of numbers below ``symbols``.
        hypothesis: As many.
        symbols: P.

    Raises:
        AnnotationError: a pair that is too long.
    """
    return weighted_distances(reference, hypothesis, 1.0 - np.eye(symbols)).astype(np.int64)


def weighted_distances(reference: Sequences, hypothesis: Sequences, cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least cost to turn each reference into its hypothesis, float64, shape (U,).

    Args:
        reference: U sequences of numbers below P.
        hypothesis: As many.
        cost: Cost of substituting symbol r (row) by h (column), shape (P, P); inserting and deleting cost 1.

    Raises:
        AnnotationError: a pair that is too long.
    """
    distances = np.zeros(len(reference))
    padded = np.pad(cost, (0, 1), constant_values=1.0)
    for rows in _batches(reference, hypothesis):
        batch = _Batch([reference[u] for u in rows], [hypothesis[u] for u in rows], len(cost))
        distances[rows] = batch.ends(batch.fill(padded))
    return distances


def best_constant(reference: Sequences, symbols: int) -> NDArray[np.int64]:
    """Find a constant sequence with a small total distance to all references: the error that needs no audio.

    It starts from the empty sequence and repeatedly inserts the symbol at the position that lowers the total most,
    until none does. The result is a local optimum; its total is never above that of the empty sequence.
    """
    constant = np.empty(0, dtype=np.int64)
    if not reference:
        return constant
    truth = _padded(reference, symbols)
    length = np.array([len(sequence) for sequence in reference])
    while True:
        places, chosen, gain = _best_insertion(truth, length, constant, symbols)
        if gain <= 0:
            return constant
        constant = np.insert(constant, places, chosen)


def _best_insertion(
    truth: NDArray[np.int64], length: NDArray[np.int64], constant: NDArray[np.int64], symbols: int
) -> tuple[int, int, int]:
    """Position and symbol whose insertion into a constant lowers the total distance most, and the decrease.

    With ``F[i, j]`` the distance of the first i and j symbols and ``B[i, j]`` that of the rest, inserting a symbol at
    j costs one more than some ``F + B`` unless it equals the reference's symbol i: then ``F[i, j] + B[i + 1, j]``.
    """
    units, widest, size = len(truth), truth.shape[1], len(constant)
    cost = 1.0 - np.eye(symbols + 1)
    backwards = np.stack([np.roll(row[::-1], n - widest) for row, n in zip(truth, length.tolist(), strict=True)])
    copies = np.broadcast_to(constant, (units, size))
    forward = _table(truth, copies, cost).astype(np.int32)
    reverse = _table(backwards, copies[:, ::-1], cost).astype(np.int32)
    row = np.arange(units)
    current = forward[row, length, size]
    best = (0, 0, 0)
    within = np.arange(widest + 1)[None] <= length[:, None]
    rest = np.where(within, length[:, None] - np.arange(widest + 1), 0)  # where i symbols are done, from the end
    far = np.int32(1 << 28)
    for j in range(size + 1):
        before = np.where(within, forward[:, :, j], far)
        after = np.where(within, reverse[row[:, None], rest, size - j], far)
        against = before[:, :-1] + after[:, 1:]
        without = np.minimum((before + after).min(axis=1), against.min(axis=1, initial=far)) + 1
        matches = against == without[:, None] - 1
        unit, place = np.nonzero(matches)
        seen = np.zeros((units, symbols + 1), dtype=bool)
        seen[unit, truth[unit, place]] = True
        totals = without.sum() - seen[:, :symbols].sum(axis=0)
        symbol = int(totals.argmin())
        gain = int(current.sum() - totals[symbol])
        if gain > best[2]:
            best = (j, symbol, gain)
    return best


def _batches(reference: Sequences, hypothesis: Sequences) -> Iterator[NDArray[np.int64]]:
    """Pairs of like size together, so that little of a batch is padding."""
    sizes = np.array([(len(r) + 1, len(h) + 1) for r, h in zip(reference, hypothesis, strict=True)]).reshape(-1, 2)
    order = np.lexsort((sizes[:, 1], sizes[:, 0]))
    first = 0
    while first < len(order):
        stop, rows, columns = first, 0, 0
        while stop < len(order):
            rows, columns = max(rows, sizes[order[stop], 0]), max(columns, sizes[order[stop], 1])
            if stop > first and rows * columns * (stop + 1 - first) > _CELLS_AT_ONCE:
                break
            stop += 1
        widest = sizes[order[first:stop]].max(axis=0)
        if widest.prod() > _MOST_CELLS:
            raise AnnotationError(
                f"an utterance of {widest[0] - 1} phonemes against {widest[1] - 1}: too long to align; "
                "give utterances, not whole recordings"
            )
        yield order[first:stop]
        first = stop


class _Batch:
    """Pairs of one batch, padded with a symbol of its own."""

    def __init__(self, reference: Sequences, hypothesis: Sequences, symbols: int) -> None:
        self._symbols = symbols
        self._lengths = np.array([(len(r), len(h)) for r, h in zip(reference, hypothesis, strict=True)]).T
        self._reference, self._hypothesis = _padded(reference, symbols), _padded(hypothesis, symbols)

    def fill(self, cost: NDArray[np.float64]) -> NDArray[np.float32]:
        """Distances of all beginnings: shape (N + 1, M + 1) for each pair."""
        return _table(self._reference, self._hypothesis, cost)

    def ends(self, table: NDArray[np.floating]) -> NDArray[np.floating]:
        """Distances of the whole sequences, shape (B,)."""
        return table[np.arange(table.shape[0]), self._lengths[0], self._lengths[1]]

    def trace(self, table: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Aligned reference and hypothesis symbols, from the ends: shape (steps, B) each.

        ``symbols`` marks a gap (an insertion or a deletion), ``symbols + 1`` on both sides a finished pair.
        """
        (i, j), pairs = self._lengths.copy(), np.arange(table.shape[0])
        nothing, over = self._symbols, self._symbols + 1
        left, right = [], []
        while (i + j).any():
            r = self._reference[pairs, np.maximum(i - 1, 0)] if self._reference.shape[1] else i
            h = self._hypothesis[pairs, np.maximum(j - 1, 0)] if self._hypothesis.shape[1] else j
            here = table[pairs, i, j]
            diagonal = (i > 0) & (j > 0) & (here == table[pairs, i - 1, j - 1] + (r != h))
            gone = ~diagonal & (i > 0) & (here == table[pairs, i - 1, j] + 1)
            new = ~diagonal & ~gone & (j > 0)
            left.append(np.where(diagonal | gone, r, np.where(new, nothing, over)))
            right.append(np.where(diagonal | new, h, np.where(gone, nothing, over)))
            i, j = i - (diagonal | gone), j - (diagonal | new)
        empty = np.empty((0, len(pairs)), dtype=np.int64)
        return (np.stack(left), np.stack(right)) if left else (empty, empty)


def _padded(sequences: Sequences, symbols: int) -> NDArray[np.int64]:
    """Sequences as rows, filled up with the number ``symbols``."""
    widest = max(map(len, sequences), default=0)
    rows = np.full((len(sequences), widest), symbols, dtype=np.int64)
    for row, sequence in zip(rows, sequences, strict=True):
        row[: len(sequence)] = sequence
    return rows


def _table(
    reference: NDArray[np.int64], hypothesis: NDArray[np.int64], cost: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Distances of all beginnings of (B, N) from all beginnings of (B, M): shape (B, N + 1, M + 1)."""
    (pairs, n), m = reference.shape, hypothesis.shape[1]
    steps = np.arange(m + 1, dtype=np.float32)
    table = np.empty((pairs, n + 1, m + 1), dtype=np.float32)
    table[:, 0] = steps
    cost = cost.astype(np.float32)
    for i in range(n):
        row = table[:, i] + 1
        row[:, 1:] = np.minimum(row[:, 1:], table[:, i, :-1] + cost[reference[:, i, None], hypothesis])
        table[:, i + 1] = np.minimum.accumulate(row - steps, axis=1) + steps
    return table
