"""CTC decoding against the sum over every path, written out."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.phonology.ctc import align, beam_search, greedy, log_softmax


def collapse(path, blank):
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != blank)


def every_sequence(logp, blank):
    """Log probability of every sequence, by enumeration of all paths; and the best path of each."""
    total, best = defaultdict(float), {}
    for path in itertools.product(range(logp.shape[1]), repeat=len(logp)):
        score = sum(logp[t, c] for t, c in enumerate(path))
        ids = collapse(path, blank)
        total[ids] += np.exp(score)
        if ids not in best or score > best[ids][0]:
            best[ids] = (score, path)
    return {ids: np.log(p) for ids, p in total.items()}, best


def drawn(seed, frames, classes, spread=2.0):
    return log_softmax(np.random.default_rng(seed).standard_normal((frames, classes)) * spread)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000), lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), classes=st.integers(2, 4)
)
def test_a_wide_beam_finds_the_most_probable_sequence_and_its_probability(seed, lengths, classes):
    blank = seed % classes
    inputs = [drawn(seed + k, frames, classes) for k, frames in enumerate(lengths)]
    for logp, found in zip(inputs, beam_search(inputs, blank, width=400), strict=True):
        scores, best = every_sequence(logp, blank)
        ids = tuple(found.ids.tolist())
        assert scores[ids] == pytest.approx(max(scores.values()), abs=1e-9)
        assert found.log_probability == pytest.approx(scores[ids], abs=1e-9)
        assert align(logp, ids, blank).log_probability == pytest.approx(best[ids][0], abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), frames=st.integers(1, 6), classes=st.integers(2, 4))
def test_alignment_is_the_best_path_of_every_possible_sequence(seed, frames, classes):
    blank, logp = classes - 1, drawn(seed, frames, classes)
    for ids, (score, path) in every_sequence(logp, blank)[1].items():
        found = align(logp, ids, blank)
        assert tuple(found.ids) == ids
        assert found.log_probability == pytest.approx(score, abs=1e-9)
        runs = [(s, len(list(g))) for s, g in itertools.groupby(path)]
        at, spans = 0, []
        for symbol, length in runs:
            if symbol != blank:
                spans.append((at, at + length))
            at += length
        assert list(zip(found.first.tolist(), found.stop.tolist(), strict=True)) == spans
        for (a, b), symbol, confidence in zip(spans, ids, found.confidence, strict=True):
            assert confidence == pytest.approx(np.exp(logp[a:b, symbol]).mean())


def test_a_narrow_beam_is_never_worse_than_chance_and_independent_of_the_batch():
    inputs = [drawn(seed, 40 + seed, 8) for seed in range(6)]
    together = beam_search(inputs, 7, width=8)
    for logp, found in zip(inputs, together, strict=True):
        (alone,) = beam_search([logp], 7, width=8)
        assert np.array_equal(alone.ids, found.ids)
        assert alone.log_probability == found.log_probability
        wide = beam_search([logp], 7, width=64)[0]
        assert found.log_probability <= wide.log_probability + 1e-9
        assert wide.log_probability > greedy(logp, 7).log_probability


def test_beam_and_best_path_differ_where_they_should():
    # The classic case: blank leads every frame, yet 'a' is the most probable sequence.
    logp = np.log(np.array([[0.4, 0.6], [0.4, 0.6]]))
    assert greedy(logp, 1).ids.tolist() == []
    (found,) = beam_search([logp], 1, width=4)
    assert found.ids.tolist() == [0]
    assert np.exp(found.log_probability) == pytest.approx(0.4 * 0.4 + 2 * 0.4 * 0.6)


def test_the_published_example_of_greedy_decoding():
    a, b, blank = 0, 1, 2
    path = [blank, a, a, blank, a, b, blank, blank]
    logp = log_softmax(np.eye(3)[path] * 5)
    found = greedy(logp, blank)
    assert found.ids.tolist() == [a, a, b]
    assert found.first.tolist() == [1, 4, 5]
    assert found.stop.tolist() == [3, 5, 6]
    assert greedy(log_softmax(np.eye(3)[[blank] * 4] * 5), blank).ids.tolist() == []
    assert greedy(np.zeros((0, 3)), blank).ids.tolist() == []


def test_impossible_requests_are_refused():
    logp = drawn(0, 3, 3)
    with pytest.raises(ValueError, match="too few"):
        align(logp, [0, 0, 0], 2)
    with pytest.raises(ValueError, match="at least 1"):
        beam_search([logp], 2, width=0)
    assert beam_search([], 2) == []


def test_columns_of_probability_zero_do_no_harm():
    logp = np.full((5, 4), -np.inf)
    logp[:, 0] = 0.0
    (found,) = beam_search([logp], 3, width=4)
    assert found.ids.tolist() == [0]
    assert found.log_probability == pytest.approx(0.0)
