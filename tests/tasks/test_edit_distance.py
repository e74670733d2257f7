"""Batched alignment equals the textbook recursion; the constant answer is as good as its construction promises."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.errors import AnnotationError
from babyhubert.phonology import edit_distance
from babyhubert.phonology.edit_distance import align, best_constant, edit_distances, weighted_distances

SYMBOLS = 4
sequences = st.lists(st.lists(st.integers(0, SYMBOLS - 1), max_size=9), min_size=1, max_size=8)


def textbook(a, b, cost=None) -> float:
    """Levenshtein's recursion as it stands in books."""

    @cache
    def distance(i: int, j: int) -> float:
        if i == 0 or j == 0:
            return i + j
        change = (a[i - 1] != b[j - 1]) if cost is None else cost[a[i - 1]][b[j - 1]]
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + change)

    return distance(len(a), len(b))


def arrays(rows):
    return [np.array(row, dtype=np.int64) for row in rows]


@settings(max_examples=80, deadline=None)
@given(sequences, sequences)
def test_equals_the_textbook(first, second):
    count = min(len(first), len(second))
    first, second = first[:count], second[:count]
    found = align(arrays(first), arrays(second), SYMBOLS)
    hits, changed, gone, new = found.operations.T
    np.testing.assert_array_equal(edit_distances(arrays(first), arrays(second), SYMBOLS), changed + gone + new)
    np.testing.assert_array_equal(changed + gone + new, [textbook(a, b) for a, b in zip(first, second, strict=True)])
    np.testing.assert_array_equal(hits + changed + gone, [len(a) for a in first])
    np.testing.assert_array_equal(hits + changed + new, [len(b) for b in second])
    table = found.confusions
    assert np.trace(table) == hits.sum()
    assert table[:, -1].sum() == gone.sum()
    assert table[-1].sum() == new.sum()
    counted = np.bincount(np.array(sum(first, []), dtype=int), minlength=SYMBOLS)  # noqa: RUF017 - a handful
    np.testing.assert_array_equal(table[:-1].sum(axis=1), counted)


@settings(max_examples=40, deadline=None)
@given(sequences, st.integers(0, 1000))
def test_weighted_distance_equals_the_textbook(rows, seed):
    rng = np.random.default_rng(seed)
    cost = rng.random((SYMBOLS, SYMBOLS))
    other = [rng.permutation(row).tolist()[: rng.integers(0, 9)] for row in rows]
    expected = [textbook(a, b, cost) for a, b in zip(rows, other, strict=True)]
    np.testing.assert_allclose(weighted_distances(arrays(rows), arrays(other), cost), expected, atol=1e-5)


def test_batches_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    first, second = ([rng.integers(0, SYMBOLS, n) for n in rng.integers(0, 40, 60)] for _ in range(2))
    whole = align(first, second, SYMBOLS)
    monkeypatch.setattr(edit_distance, "_CELLS_AT_ONCE", 500)
    parts = align(first, second, SYMBOLS)
    np.testing.assert_array_equal(whole.operations, parts.operations)
    np.testing.assert_array_equal(whole.confusions, parts.confusions)


def test_empty_sides():
    found = align(arrays([[], [0, 1], []]), arrays([[2], [], []]), SYMBOLS)
    np.testing.assert_array_equal(found.operations, [[0, 0, 0, 1], [0, 0, 2, 0], [0, 0, 0, 0]])
    assert len(align([], [], SYMBOLS).operations) == 0


def test_what_cannot_fit_is_refused():
    long = np.zeros(20_000, dtype=np.int64)
    with pytest.raises(AnnotationError, match="20000 phonemes against 20000"):
        align([long], [long], SYMBOLS)


@settings(max_examples=40, deadline=None)
@given(sequences)
def test_no_single_insertion_improves_the_constant(rows):
    def total(constant) -> float:
        return sum(textbook(row, constant) for row in rows)

    found = best_constant(arrays(rows), SYMBOLS).tolist()
    assert total(found) <= total([])
    for place, symbol in product(range(len(found) + 1), range(SYMBOLS)):
        assert total([*found[:place], symbol, *found[place:]]) >= total(found)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=1, max_size=5))
def test_each_insertion_is_the_best_there_is(rows):
    """The first symbol is the one that a search over all of them finds."""

    def total(constant) -> float:
        return sum(textbook(row, list(constant)) for row in rows)

    grown: list[int] = []
    while True:
        choices = [[*grown[:k], s, *grown[k:]] for k in range(len(grown) + 1) for s in range(3)]
        best = min(choices, key=total)
        if total(best) >= total(grown):
            break
        grown = best
    found = best_constant(arrays(rows), 3).tolist()
    assert found == grown
