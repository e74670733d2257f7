"""Which clips are chosen, against plain loops: never overlapping, inside, fair where they say so."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyhubert.exchange.clip_choice import (
    best_starts,
    candidate_starts,
    clips_that_fit,
    doubt_within,
    periodic_starts,
    random_starts,
    recording_generator,
    speech_within,
)

plans = st.tuples(st.integers(1, 90_000_000), st.integers(1, 10**6), st.integers(1, 50), st.integers(0, 99)).filter(
    lambda plan: plan[0] >= plan[1]
)


@pytest.mark.parametrize("starts_of", [random_starts, periodic_starts])
@given(plan=plans)
def test_drawn_clips_lie_inside_and_never_overlap(starts_of, plan):
    duration, length, wanted, seed = plan
    count = clips_that_fit(duration, length, wanted)
    starts = starts_of(duration, length, count, np.random.default_rng(seed))
    assert len(starts) == count == min(wanted, duration // length)
    assert starts[0] >= 0
    assert starts[-1] + length <= duration
    assert (np.diff(starts) >= length).all()


def test_every_random_placement_is_equally_likely():
    rng = np.random.default_rng(0)
    counts = Counter(tuple(random_starts(7, 2, 2, rng).tolist()) for _ in range(10_000))
    assert set(counts) == {(a, b) for a in range(6) for b in range(a + 2, 6)}
    expected = 10_000 / len(counts)
    assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5


def test_periodic_clips_are_evenly_spread_from_a_random_place():
    rng = np.random.default_rng(0)
    firsts = Counter(int(periodic_starts(100, 5, 10, rng)[0]) for _ in range(6000))
    assert sorted(firsts) == list(range(6))
    assert max(abs(count - 1000) for count in firsts.values()) < 150
    assert set(np.diff(periodic_starts(100, 5, 10, rng))) == {10}


@given(
    spans=st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 5000)), max_size=12),
    starts=st.lists(st.integers(0, 20_000), min_size=1, max_size=6),
    length=st.integers(1, 9000),
)
def test_speech_within_a_stretch_is_what_counting_milliseconds_gives(spans, starts, length):
    active = np.zeros(40_000, dtype=bool)
    for start, size in spans:
        active[start : start + size] = True
    begin = np.array([start for start, _ in spans], dtype=np.int64) * 16
    end = begin + np.array([size for _, size in spans], dtype=np.int64) * 16
    counted = [active[start : start + length].sum() / 1000 for start in starts]
    assert speech_within((begin, end), np.array(starts), length) == pytest.approx(counted, abs=1e-9)


@given(
    worth=st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0]), min_size=1, max_size=40),
    length=st.integers(1, 8000),
    count=st.integers(1, 6),
)
def test_best_clips_are_those_of_a_plain_greedy_search(worth, length, count):
    candidates = np.arange(len(worth)) * 1000
    left, expected = dict(zip(candidates.tolist(), worth, strict=True)), []
    while left and len(expected) < count:
        start = max(left, key=lambda key: (left[key], -key))
        if left[start] <= 0:
            break
        expected.append((start, left[start]))
        left = {key: value for key, value in left.items() if abs(key - start) >= length}
    assert best_starts(candidates, np.array(worth), length, count) == sorted(expected)


@given(duration=st.integers(100, 30_000), length=st.integers(1, 30_000))
def test_clips_can_begin_on_seconds_or_end_with_the_recording(duration, length):
    if length > duration:
        return
    starts = candidate_starts(duration, length).tolist()
    assert starts[0] == 0
    assert starts[-1] + length == duration
    assert all(start % 1000 == 0 for start in starts[:-1])
    assert starts == sorted(set(starts))


def test_doubt_is_greatest_at_one_half_and_is_that_of_the_least_sure_class(monkeypatch):
    monkeypatch.setattr("babyhubert.exchange.clip_choice._FRAMES_AT_ONCE", 7)  # so that parts are joined
    scores = np.full((100, 4), 0.01, dtype=np.float16)
    scores[20:40, 2] = 0.5
    scores[60:80, 1] = 0.9
    doubt = doubt_within(scores, np.array([0, 400, 1200, 1600, 5000]), 400)
    sure, half, likely = (-(p * np.log2(p) + (1 - p) * np.log2(1 - p)) for p in (0.01, 0.5, 0.9))
    assert doubt == pytest.approx([sure, half, likely, sure, 0], rel=1e-2)
    assert doubt_within(scores, np.array([1900]), 400) == pytest.approx([sure], rel=1e-2)


def test_a_recording_draws_alike_whatever_else_is_in_the_run():
    drawn = [recording_generator(3, name).integers(0, 2**62) for name in ("a", "b", "a", "é\udcff")]
    assert drawn[0] == drawn[2]
    assert len({*drawn}) == 3
    assert recording_generator(4, "a").integers(0, 2**62) != drawn[0]
