"""The engine against a direct computation: order, batches, blocks, failures, memory."""

import gc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.inference.engine import Engine, Failed, Finished, Frames
from babyhubert.inference.stitching import Stitcher
from babyhubert.inference.windows import WindowPlan, with_cores
from babyhubert.timebase import FRAME_HOP, frame_count


def window_statistics(waveforms):
    """A stand-in model whose frames depend on the frame's samples and on the whole window, as the encoder's do."""
    frames = waveforms.unfold(1, 400, FRAME_HOP)
    return torch.stack((frames.mean(-1), frames.amax(-1) + waveforms.mean(-1, keepdim=True)), dim=-1)


def direct(audio, plan, blend):
    """The same by definition: all windows, all weights, at once."""
    total = np.zeros((frame_count(len(audio)), 2))
    weight = np.zeros(len(total))
    covered = 0
    for start, stop in plan.spans(len(audio)):
        values = window_statistics(torch.from_numpy(audio[start:stop])[None])[0].numpy()
        first = start // FRAME_HOP
        frames = np.arange(first, first + len(values))
        if blend == "crop":
            mine = frames >= (first + max(covered, first)) // 2
            total[frames[mine]], weight[frames[mine]] = values[mine], 1
            covered = frames[-1] + 1
        else:
            w = np.ones(len(values))
            if blend == "taper":
                w = np.minimum(np.arange(len(values)) + 1, len(values) - np.arange(len(values)))
            total[frames] += values * w[:, None]
            weight[frames] += w
    return total / weight[:, None]


def collect(events):
    values, ends = {}, {}
    for event in events:
        if isinstance(event, Frames):
            assert event.first == sum(map(len, values.setdefault(event.key, [])))
            assert event.key not in ends
            values[event.key].append(event.values)
        else:
            assert event.key not in ends
            ends[event.key] = event
    return {key: np.concatenate(parts) for key, parts in values.items()}, ends


def blocks_of(audio, size):
    return [audio[i : i + size] for i in range(0, len(audio), size)]


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 20_000), min_size=1, max_size=5),
    batch_size=st.integers(1, 5),
    block=st.integers(200, 9_000),
    at_once=st.integers(1, 4),
    blend=st.sampled_from(["mean", "taper", "crop"]),
    plan=st.sampled_from([WindowPlan(3_600, 960), WindowPlan(3_600, 3_520, "short"), WindowPlan(400, 320, "short")]),
    seed=st.integers(0, 99),
    ahead=st.integers(0, 3),
)
def test_frames_equal_the_direct_computation(lengths, batch_size, block, at_once, blend, plan, seed, ahead):
    rng = np.random.default_rng(seed)
    audio = [rng.standard_normal(n).astype(np.float32) for n in lengths]
    engine = Engine(window_statistics, plan, batch_size, blend, at_once, ahead=ahead)
    values, ends = collect(engine.run((k, blocks_of(a, block)) for k, a in enumerate(audio)))
    assert ends == {k: Finished(k, len(a)) for k, a in enumerate(audio)}
    for k, a in enumerate(audio):
        if frame_count(len(a)):
            np.testing.assert_allclose(values[k], direct(a, plan, blend), atol=1e-5)
        else:
            assert k not in values


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_recording_that_fails_half_way_fails_alone(at_once):
    rng = np.random.default_rng(0)
    audio = rng.standard_normal(30_000).astype(np.float32)

    def broken():
        yield audio[:10_000]
        raise OSError("the disk went away")

    engine = Engine(window_statistics, WindowPlan(3_600, 960), 4, "mean", at_once)
    recordings = [("a", [audio]), ("b", broken()), ("c", [audio])]
    values, ends = collect(engine.run(recordings))
    assert isinstance(ends["b"], Failed)
    assert "went away" in str(ends["b"].error)
    assert ends["a"] == Finished("a", 30_000)
    assert ends["c"] == Finished("c", 30_000)
    np.testing.assert_array_equal(values["a"], values["c"])


@pytest.mark.parametrize("at_once", [1, 3])
def test_recordings_are_drawn_side_by_side_and_all_closed_when_nobody_goes_on(at_once):
    block, drawn, open_now = np.zeros(4_000, dtype=np.float32), [], set()
    most_open = 0

    def blocks(key):
        nonlocal most_open
        open_now.add(key)
        most_open = max(most_open, len(open_now))
        try:
            for _ in range(6):
                drawn.append(key)
                yield block
        finally:
            open_now.remove(key)

    engine = Engine(window_statistics, WindowPlan(4_000, 3_840), 4, "mean", at_once)
    events = engine.run((key, blocks(key)) for key in "abcde")
    _, ends = collect(events)
    assert set(ends) == set("abcde")
    assert most_open == at_once
    assert len(set(drawn[:3])) == at_once
    assert not open_now

    events = engine.run((key, blocks(key)) for key in "abcde")
    next(events)
    assert open_now
    events.close()
    gc.collect()
    assert not open_now


def test_unmixed_batches_give_each_recording_the_same_bits_in_any_company():
    rng = np.random.default_rng(1)
    audio = {k: rng.standard_normal(n).astype(np.float32) for k, n in enumerate((9_000, 14_321, 800))}
    engine = Engine(window_statistics, WindowPlan(3_600, 960), 4)
    together, _ = collect(engine.run((k, [a]) for k, a in audio.items()))
    for k, a in audio.items():
        alone, _ = collect(engine.run([(k, [a])]))
        assert np.array_equal(alone[k], together[k])


def test_unwanted_windows_are_not_computed_and_wanted_frames_are_unchanged():
    audio = np.random.default_rng(2).standard_normal(60_000).astype(np.float32)
    calls = []

    def counting(batch):
        calls.append(len(batch))
        return window_statistics(batch)

    plan = WindowPlan(3_600, 1_600)
    whole, _ = collect(Engine(counting, plan, 1, "crop").run([(0, [audio])]))
    everything = sum(calls)
    calls.clear()
    engine = Engine(counting, plan, 1, "crop", wanted=lambda _, a, b: any(f < b and f + 5 > a for f in (0, 94, 182)))
    found = {}
    for event in engine.run([(0, [audio])]):
        if isinstance(event, Frames):
            found.update(zip(range(event.first, event.first + len(event.values)), event.values, strict=True))
    assert sum(calls) < everything / 3
    assert frame_count(len(audio)) == 187
    for frame in (*range(5), *range(94, 99), *range(182, 187)):
        np.testing.assert_array_equal(found[frame], whole[0][frame])


@pytest.mark.parametrize("samples", [300, 400, 3_599, 3_600, 5_000, 60_000, 60_123])
def test_cores_tile_the_recording_and_are_what_cropping_takes(samples):
    plan = WindowPlan(3_600, 960)
    cores = list(with_cores(plan.cut([np.arange(samples, dtype=np.float32)])))
    assert [(w.start, w.start + len(w.samples)) for w, _, _ in cores] == plan.spans(samples)
    assert [frame for _, first, stop in cores for frame in range(first, stop)] == list(range(frame_count(samples)))
    stitcher = Stitcher("crop")
    for number, (window, _, _) in enumerate(cores):
        stitcher.add(window.start // 320, np.full((frame_count(len(window.samples)), 1), number, dtype=np.float32))
    taken = stitcher.take()[:, 0] if cores else []
    assert list(taken) == [n for n, (_, first, stop) in enumerate(cores) for _ in range(first, stop)]


def test_memory_held_does_not_grow_with_the_recording():
    held = []
    block = np.zeros(16_000, dtype=np.float32)
    stitchers = []
    original = Stitcher.add

    def spy(self, first, values):
        original(self, first, values)
        held.append(len(self._weights))
        stitchers.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stitcher, "add", spy)
        events = Engine(window_statistics, WindowPlan(64_000, 16_000), 4).run([(0, (block for _ in range(600)))])
        longest = max(len(e.values) for e in events if isinstance(e, Frames))
    assert max(held) <= 2 * 199
    assert longest <= 2 * 199
