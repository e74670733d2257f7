"""The frame grid: golden numbers of the published system, and properties of the rasteriser and its inverse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyhubert.annotation.raster import frames_to_segments, segments_to_frames
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD, frame_count, samples_for_frames


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(0, 0), (399, 0), (400, 1), (719, 1), (720, 2), (16_000, 49), (32_000, 99), (64_000, 199), (480_000, 1499)],
)
def test_frame_count_gives_the_published_numbers(samples, frames):
    assert frame_count(samples) == frames


@given(st.integers(1, 10**7))
def test_samples_for_frames_is_the_least_that_gives_them(frames):
    samples = samples_for_frames(frames)
    assert frame_count(samples) == frames
    assert frame_count(samples - 1) == frames - 1


def spans(*pairs):
    start, end = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(start, dtype=np.int64), np.array(end, dtype=np.int64)


def test_published_rule_dilates_as_published():
    assert np.flatnonzero(segments_to_frames(*spans((1000, 1320)), 10, "published")).tolist() == [2, 3, 4]
    assert np.flatnonzero(segments_to_frames(*spans((5000, 5000)), 30, "published")).tolist() == [15]


segment_lists = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(0, 4_000)).map(lambda p: (p[0], p[0] + p[1])), max_size=8
)


@given(segment_lists, st.integers(0, 80))
def test_published_rule_equals_sample_by_sample_intersection(pairs, n_frames):
    expected = [
        any(start <= FRAME_HOP * i + FRAME_RECEPTIVE_FIELD - 1 and end >= FRAME_HOP * i for start, end in pairs)
        for i in range(n_frames)
    ]
    assert segments_to_frames(*spans(*pairs), n_frames, "published").tolist() == expected


@given(st.lists(st.booleans(), max_size=200))
def test_frames_to_segments_and_back_is_the_identity(active):
    active = np.array(active, dtype=bool)
    start, end = frames_to_segments(active)
    assert np.array_equal(segments_to_frames(start, end, len(active)), active)
    assert np.all(start[1:] > end[:-1])


@given(st.integers(0, 10**6), st.integers(1, 10**5))
def test_cell_rule_moves_each_end_by_at_most_half_a_cell_and_loses_nothing(start, length):
    end = start + length
    active = segments_to_frames(*spans((start, end)), end // FRAME_HOP + 2)
    got_start, got_end = frames_to_segments(active)
    assert len(got_start) == 1
    if length >= FRAME_HOP:
        assert abs(got_start[0] - start) <= FRAME_HOP // 2
        assert abs(got_end[0] - end) <= FRAME_HOP // 2
    else:
        assert got_end[0] - got_start[0] == FRAME_HOP


def test_empty_segment_and_segments_outside_turn_on_nothing():
    assert not segments_to_frames(*spans((640, 640), (10**6, 2 * 10**6)), 50).any()


def test_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="rasteriser rule"):
        segments_to_frames(*spans((0, 1)), 3, "nearest")
