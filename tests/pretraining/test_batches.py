"""Batches: every segment once an epoch, no padding, labels exactly under their audio, no batch for two processes."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from material import make_labels, make_pack

from babyhubert.compute.processes import RankInfo
from babyhubert.errors import CorpusError
from babyhubert.pretraining.batches import IGNORED, BatchPlan, BatchReader, BatchSettings, Cursor, load
from babyhubert.pretraining.masking import MaskSettings
from babyhubert.timebase import FRAME_HOP, frame_count


def plan(samples, seconds=20.0, seed=0, **settings):
    samples = np.asarray(samples, dtype=np.int64)
    return BatchPlan(np.arange(len(samples)), samples, BatchSettings(seconds=seconds, **settings), seed)


def drawn_lengths(count, seed=0):
    return np.random.default_rng(seed).integers(32_000, 480_001, count)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(20_000, 500_000), min_size=1, max_size=80), st.integers(0, 5), st.floats(2, 200))
def test_an_epoch_takes_every_usable_row_once_within_the_budget(lengths, epoch, seconds):
    usable = [row for row, length in enumerate(lengths) if 32_000 <= length <= 480_000]
    if not usable:
        with pytest.raises(CorpusError, match="none of"):
            plan(lengths, seconds)
        return
    found = plan(lengths, seconds)
    batches = found.epoch(epoch)
    assert sorted(np.concatenate(batches).tolist()) == usable
    assert found.unused == len(lengths) - len(usable)
    for rows in batches:
        assert len(rows) == 1 or sum(lengths[row] for row in rows) <= seconds * 16_000


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(32_000, 480_000), min_size=1, max_size=120),
    st.integers(2, 40),
    st.floats(2, 200),
    st.integers(0, 3),
)
def test_with_few_lengths_every_row_is_taken_once_and_shapes_are_few(lengths, count, seconds, epoch):
    found = plan(lengths, seconds, lengths=count)
    requests = [request for _, request in islice(found.stream(Cursor(epoch)), len(found.epoch(epoch)))]
    assert sorted(np.concatenate([request.rows for request in requests]).tolist()) == list(range(len(lengths)))
    for request in requests:
        shortest = min(lengths[row] for row in request.rows)
        assert request.samples <= shortest
        assert len(request.rows) == 1 or len(request.rows) * request.samples <= seconds * 16_000
        assert shortest < (request.samples + 320) * 15 ** (1 / (count - 1)) + 320  # cropped to the next length below
    shapes = {(len(request.rows), request.samples) for request in requests}
    assert len(shapes) <= count + 1  # one a length, and what was left over


def test_few_lengths_crop_little():
    lengths = drawn_lengths(20_000)
    requests = [request for _, request in islice(plan(lengths, 175.0, lengths=32).stream(), 3000)]
    kept = sum(len(request.rows) * request.samples for request in requests)
    assert 0.94 < kept / sum(int(lengths[request.rows].sum()) for request in requests) < 1


def test_the_longest_segments_are_not_cropped():
    """Cutting at 30 s makes many segments of exactly that length."""
    _, request = next(plan([480_000] * 5, 175.0, lengths=8).stream())
    assert frame_count(request.samples) == frame_count(480_000)


def test_published_limits_are_inclusive():
    assert sorted(np.concatenate(plan([31_999, 32_000, 480_000, 480_001]).epoch(0)).tolist()) == [1, 2]


def test_batches_hold_similar_lengths():
    lengths = drawn_lengths(4000)
    losses = [lengths[rows].sum() - lengths[rows].min() * len(rows) for rows in plan(lengths, 175.0).epoch(0)]
    assert sum(losses) / lengths.sum() < 0.01  # audio that cropping to the shortest throws away


def test_epochs_differ_and_repeat_with_the_seed():
    lengths = drawn_lengths(200)
    first, again, other = (plan(lengths).epoch(epoch) for epoch in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=False))
    assert not all(np.array_equal(a, b) for a, b in zip(first, plan(lengths, seed=1).epoch(0), strict=False))


def taken(steps, count):
    return [request for _, mine in islice(steps, count) for request in mine]


@pytest.mark.parametrize(("world", "accumulate"), [(1, 1), (2, 1), (3, 2), (8, 4)])
def test_processes_share_the_stream_without_repeating_a_batch(world, accumulate):
    found = plan(drawn_lengths(60), 40.0)
    count = 5 * world * accumulate  # over several epochs
    whole = [request.seed for _, request in islice(found.stream(), count)]
    shares = [taken(found.steps(Cursor(), RankInfo(rank, world), accumulate), 5) for rank in range(world)]
    assert sorted(request.seed for share in shares for request in share) == sorted(whole)
    assert len(set(whole)) == count


@pytest.mark.parametrize("world", [1, 3])
def test_the_stream_goes_on_from_any_step(world):
    found = plan(drawn_lengths(60), 40.0)
    cursors = [after for after, _ in islice(found.steps(Cursor(), RankInfo(0, world), 2), 12)]
    straight = taken(found.steps(Cursor(), RankInfo(1 % world, world), 2), 12)
    continued = taken(found.steps(cursors[6], RankInfo(1 % world, world), 2), 5)
    assert [request.seed for request in continued] == [request.seed for request in straight[14:24]]


def test_crops_and_labels_are_what_stands_in_the_pack(tmp_path):
    pack = make_pack(tmp_path / "pack", [int(n) for n in np.random.default_rng(0).integers(32_000, 60_000, 24)])
    labels = make_labels(tmp_path / "labels", pack)
    rows = pack.rows("train")
    batches = BatchPlan(rows, pack.samples[rows], BatchSettings(seconds=12), 0)
    requests = [request for _, request in islice(batches.stream(), 12)]
    for request, batch in zip(
        requests, load(BatchReader(labels, MaskSettings()), iter(requests), 0, False), strict=True
    ):
        samples = batch.pcm.shape[1]
        assert batch.units.shape == batch.mask.shape == (len(request.rows), frame_count(samples))
        assert batch.masked == batch.mask.sum()
        assert np.array_equal(batch.positions[: batch.masked].numpy(), np.flatnonzero(batch.mask.numpy()))
        assert torch.equal(batch.targets[: batch.masked], batch.units[batch.mask])
        assert (batch.targets[batch.masked :] == IGNORED).all()
        for row, pcm, units in zip(request.rows, batch.pcm.numpy(), batch.units.numpy(), strict=True):
            whole = pack.pcm(row)
            places = [
                start
                for start in range(0, len(whole) - samples + 1, FRAME_HOP)
                if np.array_equal(whole[start : start + samples], pcm)
            ]
            assert len(places) == 1  # on the frame grid
            first = places[0] // FRAME_HOP
            assert np.array_equal(labels.units(row)[first : first + len(units)], units)


def test_worker_processes_read_the_same_batches(tmp_path):
    pack = make_pack(tmp_path / "pack", [40_000 + 500 * i for i in range(12)])
    labels = make_labels(tmp_path / "labels", pack)
    batches = BatchPlan(pack.rows("train"), pack.samples[pack.rows("train")], BatchSettings(seconds=10), 0)
    requests = [request for _, request in islice(batches.stream(), 6)]
    reader = BatchReader(labels, MaskSettings())
    alone, workers = (list(load(reader, requests, count, False)) for count in (0, 2))
    for a, b in zip(alone, workers, strict=True):
        assert all(x.equal(y) for x, y in zip(a.tensors, b.tensors, strict=True))


def test_batches_of_one_length_are_of_one_shape(tmp_path):
    """Masks differ, and so does the number of masked frames; tensors do not."""
    labels = make_labels(tmp_path / "labels", make_pack(tmp_path / "pack", [32_000 + 16 * i for i in range(22)]))
    rows = labels.pack.rows("train")
    found = BatchPlan(rows, labels.pack.samples[rows], BatchSettings(seconds=4.1, lengths=4), 0)
    requests = [request for _, request in islice(found.stream(), 40)]
    batches = list(load(BatchReader(labels, MaskSettings()), requests, 0, False))
    assert len({tuple(tensor.shape for tensor in batch.tensors) for batch in batches}) == 1
    assert len({batch.masked for batch in batches}) > 1


@pytest.mark.parametrize("few", [{}, {"lengths": 6}])
def test_validation_begins_with_the_longest(few):
    samples = [request.samples for request in plan(drawn_lengths(100), 40.0, **few).validation()]
    assert samples == sorted(samples, reverse=True)
    assert samples[0] > samples[-1]


def test_validation_is_always_the_same(tmp_path):
    pack = make_pack(tmp_path / "pack", [40_000 + 500 * i for i in range(12)], held_out=5)
    labels = make_labels(tmp_path / "labels", pack)
    rows = pack.rows("validation")
    held_out = BatchPlan(rows, pack.samples[rows], BatchSettings(seconds=6), 0)
    first, again = (
        list(load(BatchReader(labels, MaskSettings(), fixed_crops=True), held_out.validation(), 0, False))
        for _ in range(2)
    )
    assert sum(len(batch.pcm) for batch in first) == 5
    assert all(a.pcm.equal(b.pcm) and a.mask.equal(b.mask) for a, b in zip(first, again, strict=True))
