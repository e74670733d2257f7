"""Masks against the published procedure, written here as a plain loop, and against the published shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyhubert.pretraining.masking import MaskSettings, span_mask


def plain_mask(rows, frames, rng, probability=0.8, span=10, least=2):
    """Row by row, span by span, as torchaudio describes it."""
    spans = max(least, int(probability * frames / span + rng.random()))
    masked = []
    for _ in range(rows):
        starts = rng.permutation(frames - span)[:spans]
        masked.append(sorted({start + step for start in starts for step in range(span)}))
    count = min(map(len, masked))
    mask = np.zeros((rows, frames), dtype=bool)
    for row, indices in enumerate(masked):
        mask[row, rng.permutation(indices)[:count]] = True
    return mask


@pytest.mark.parametrize(("frames", "share"), [(99, 0.47), (199, 0.50), (499, 0.53), (1499, 0.54)])
def test_masked_share_is_the_published_one(frames, share):
    rng = np.random.default_rng(0)
    found = np.mean([span_mask(8, frames, MaskSettings(), rng).mean() for _ in range(200)])
    assert found == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(("rows", "frames"), [(1, 99), (8, 99), (40, 99), (8, 499)])
def test_masked_share_is_that_of_the_plain_loop(rows, frames):
    rng = np.random.default_rng(0)
    found = np.mean([span_mask(rows, frames, MaskSettings(), rng).mean() for _ in range(300)])
    plain = np.mean([plain_mask(rows, frames, rng).mean() for _ in range(300)])
    assert found == pytest.approx(plain, abs=0.01)


def test_every_frame_is_masked_as_often_as_in_the_plain_loop():
    rng = np.random.default_rng(1)
    found = np.mean([span_mask(20, 60, MaskSettings(), rng).mean(0) for _ in range(400)], axis=0)
    plain = np.mean([plain_mask(20, 60, rng).mean(0) for _ in range(400)], axis=0)
    assert np.abs(found - plain).max() < 0.04


@given(st.integers(1, 9), st.integers(2, 300), st.integers(0, 2**32 - 1))
def test_rows_have_the_same_count_and_something_is_left(rows, frames, seed):
    mask = span_mask(rows, frames, MaskSettings(), np.random.default_rng(seed))
    assert mask.shape == (rows, frames)
    assert len(set(mask.sum(1))) == 1
    assert 0 < mask[0].sum() < frames


def test_untrimmed_rows_are_unions_of_spans():
    rng = np.random.default_rng(2)
    for _ in range(200):
        edges = np.diff(np.concatenate(([0], span_mask(1, 199, MaskSettings(), rng)[0].astype(int), [0])))
        runs = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
        assert runs.min() >= 10


def test_same_generator_same_mask():
    a, b = (span_mask(4, 99, MaskSettings(), np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(a, b)


def test_too_few_frames():
    with pytest.raises(ValueError, match="cannot be masked in part"):
        span_mask(1, 1, MaskSettings(), np.random.default_rng(0))
