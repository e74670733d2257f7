"""Window plans: the published numbers, coverage, and independence of how a file is blocked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.errors import ConfigError
from babyhubert.inference.windows import WindowPlan
from babyhubert.timebase import FRAME_HOP, frame_count

PUBLISHED = WindowPlan.from_overlap(4.0, 0.0)


def published_frames(spans):
    return [frame_count(stop - start) for start, stop in spans]


def test_published_plan_of_one_minute():
    spans = PUBLISHED.spans(60 * 16_000)
    assert (PUBLISHED.length, PUBLISHED.hop) == (64_000, 63_680)
    assert published_frames(spans) == [199] * 15 + [14]
    assert sum(published_frames(spans)) == 2_999


def test_published_plan_of_one_hour():
    assert sum(published_frames(PUBLISHED.spans(3_600 * 16_000))) == 179_999


@given(st.integers(0, 10**6))
def test_published_frames_tile(samples):
    covered = [frame for a, b in PUBLISHED.spans(samples) for frame in range(a // 320, a // 320 + frame_count(b - a))]
    assert covered == list(range(frame_count(samples)))


def test_three_quarters_overlap_hops_one_second():
    plan = WindowPlan.from_overlap(4.0, 0.75)
    assert (plan.length, plan.hop) == (64_000, 16_000)
    assert plan.spans(10 * 16_000)[:3] == [(0, 64_000), (16_000, 80_000), (32_000, 96_000)]


plans = st.tuples(st.integers(400, 5_000), st.integers(1, 20), st.sampled_from(["short", "shift"])).map(
    lambda p: WindowPlan(p[0], min(p[1], frame_count(p[0])) * FRAME_HOP, p[2])
)


@given(plans, st.integers(0, 30_000))
def test_every_frame_is_covered_once_or_more_and_starts_lie_on_the_grid(plan, samples):
    covered = set()
    for start, stop in plan.spans(samples):
        assert start % FRAME_HOP == 0
        assert 0 <= start < stop <= samples
        covered |= set(range(start // FRAME_HOP, start // FRAME_HOP + frame_count(stop - start)))
    assert covered == set(range(frame_count(samples)))


@given(plans, st.integers(0, 30_000))
def test_shifted_tails_never_see_less_than_a_window(plan, samples):
    if plan.tail == "shift" and samples >= plan.length:
        assert all(stop - start >= plan.length for start, stop in plan.spans(samples))


@settings(deadline=None)
@given(plans, st.integers(0, 30_000), st.lists(st.integers(1, 9_000), min_size=1, max_size=50))
def test_cutting_a_stream_gives_the_planned_windows_whatever_the_blocks(plan, samples, sizes):
    audio = np.arange(samples, dtype=np.float32)
    blocks, at = [], 0
    while at < samples:
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(audio[at : at + size])
        at += size
    windows = list(plan.cut(blocks))
    assert [(w.start, w.start + len(w.samples)) for w in windows] == plan.spans(samples)
    for window in windows:
        assert np.array_equal(window.samples, audio[window.start : window.start + len(window.samples)])


@pytest.mark.parametrize(("seconds", "overlap"), [(0.02, 0.0), (4.0, 1.0), (4.0, -0.1)])
def test_impossible_plans_are_refused(seconds, overlap):
    with pytest.raises(ConfigError):
        WindowPlan.from_overlap(seconds, overlap)
