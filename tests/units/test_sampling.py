"""The sample of frames: exact in size, uniform, and the same however it is looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.corpus.shards import Pack
from babyhubert.units import sampling
from babyhubert.units.sampling import FrameSample, frame_keys, largest_chosen_key


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5_000), st.data(), st.integers(0, 2**32))
def test_exactly_so_many_frames(total, data, seed):
    size = data.draw(st.integers(1, total))
    keys = frame_keys(np.arange(total, dtype=np.uint64), seed)
    assert len(np.unique(keys)) == total
    assert np.count_nonzero(keys <= np.uint64(largest_chosen_key(total, size, seed))) == size


def test_many_blocks_give_what_one_gives(monkeypatch):
    whole = largest_chosen_key(10_000, 321, 5)
    monkeypatch.setattr(sampling, "_BLOCK", 77)
    assert largest_chosen_key(10_000, 321, 5) == whole


def test_uniform_over_frames():
    total, size, draws = 1_000, 100, 400
    numbers = np.arange(total, dtype=np.uint64)
    hits = np.zeros(total)
    for seed in range(draws):
        hits += frame_keys(numbers, seed) <= np.uint64(largest_chosen_key(total, size, seed))
    expected = draws * size / total
    deviation = np.sum((hits - expected) ** 2) / (expected * (1 - size / total))
    assert abs(deviation - total) < 5 * np.sqrt(2 * total)  # chi square with about `total` degrees of freedom
    halves = hits.reshape(2, -1).sum(axis=1)
    assert abs(halves[0] - halves[1]) < 5 * np.sqrt(hits.sum())
    odd = hits.reshape(-1, 2).sum(axis=0)
    assert abs(odd[0] - odd[1]) < 5 * np.sqrt(hits.sum())


@pytest.mark.parametrize("size", [1, 50, 10**9])
def test_validation_is_left_out_and_rows_agree_with_shards(pack: Pack, size):
    sample = FrameSample.draw(pack, size, seed=3)
    counts = [len(sample.chosen(row)) for row in range(len(pack))]
    training = int(pack.frames[~pack.validation].sum())
    assert sample.total == training
    assert sum(counts) == sample.size == min(size, training)
    assert not any(np.array(counts)[pack.validation])
    by_shard = {r: f for shard in pack.shards for r, f in sample.chosen_in_shard(shard.number).items()}
    assert {row: len(frames) for row, frames in by_shard.items()} == {r: c for r, c in enumerate(counts) if c}


def test_another_seed_is_another_sample(pack: Pack):
    def chosen(seed):
        sample = FrameSample.draw(pack, 50, seed)
        return {(row, int(frame)) for row in range(len(pack)) for frame in sample.chosen(row)}

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)
