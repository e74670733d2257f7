"""Threshold, merge, drop: strict, in the published order, on integers at any position."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyhubert.inference import post_processing
from babyhubert.inference.post_processing import MinimumDurations, active_runs, clean_up, decide


def segments_of(active, minimum=MinimumDurations()):  # noqa: B008 - frozen
    scores = np.array(active, dtype=np.float16)[:, None]
    return [(s.start // 320, s.end // 320) for s in clean_up(active_runs(scores, {"KCHI": 0.5}), minimum)]


def test_activation_is_strictly_greater():
    scores = np.array([[0.5], [0.501], [0.499]], dtype=np.float32)
    runs = active_runs(scores, {"KCHI": 0.5})
    assert [a.tolist() for a in runs["KCHI"]] == [[320], [640]]


def test_five_frames_are_exactly_the_limit_at_every_position():
    for shift in range(300):
        gap = [0] * shift + [1] * 6 + [0] * 5 + [1] * 6
        assert segments_of(gap) == [(shift, shift + 6), (shift + 11, shift + 17)]
        assert segments_of([0] * shift + [1] * 5) == [(shift, shift + 5)]
        assert segments_of([0] * shift + [1] * 4) == []
        assert segments_of([0] * shift + [1] * 6 + [0] * 4 + [1] * 6) == [(shift, shift + 16)]


def test_gaps_are_closed_before_short_segments_are_dropped():
    assert segments_of([1, 1, 1, 0, 0, 1, 1, 1]) == [(0, 8)]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60), st.integers(1, 7))
def test_runs_do_not_depend_on_how_many_frames_are_looked_at_at_once(active, at_once):
    scores = np.array(active, dtype=np.float32).reshape(-1, 2)
    whole = active_runs(scores, {"KCHI": 0.5, "FEM": 0.5})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(post_processing, "_FRAMES_AT_ONCE", at_once)
        parts = active_runs(scores, {"KCHI": 0.5, "FEM": 0.5})
        closed = active_runs(scores, {"KCHI": 0.5, "FEM": 0.5}, close=1_600)
    for label, (start, end) in whole.items():
        np.testing.assert_array_equal(parts[label], (start, end))
    assert clean_up(closed, MinimumDurations()) == clean_up(whole, MinimumDurations())


@given(st.lists(st.booleans(), max_size=120), st.integers(0, 8), st.integers(0, 8))
def test_equals_a_frame_by_frame_version(active, on, off):
    runs, i = [], 0
    while i < len(active):
        j = i
        while j < len(active) and active[j]:
            j += 1
        if j > i:
            if runs and i - runs[-1][1] < off:
                runs[-1] = (runs[-1][0], j)
            else:
                runs.append((i, j))
        i = max(j, i) + 1
    expected = [(a, b) for a, b in runs if b - a >= on]
    assert segments_of(active, MinimumDurations(on * 320, off * 320)) == expected


@given(st.lists(st.tuples(*[st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])] * 3), max_size=30), st.floats(0, 1))
def test_beside_a_likelier_class_others_need_a_probability_of_their_own(frames, simultaneous):
    thresholds = {"KCHI": 0.6, "MAL": 0.2, "FEM": 0.4}
    scores = np.array(frames, dtype=np.float64).reshape(-1, 3)
    found = active_runs(scores, thresholds, simultaneous=simultaneous)
    for column, (label, threshold) in enumerate(thresholds.items()):
        expected = []
        for frame in frames:
            active = [score > limit for score, limit in zip(frame, thresholds.values(), strict=True)]
            likeliest = max((score for score, there in zip(frame, active, strict=True) if there), default=2.0)
            first = next((at for at, score in enumerate(frame) if active[at] and score == likeliest), None)
            expected.append(frame[column] > threshold and (column == first or frame[column] > simultaneous))
        start, end = found[label]
        told = np.zeros(len(frames) * 320 + 1, dtype=int)
        np.add.at(told, start, 1)
        np.add.at(told, end, -1)
        assert (np.cumsum(told)[:-1:320] > 0).tolist() == expected


FRAMES = st.lists(st.tuples(*[st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])] * 3), max_size=40)
LIMITS = {"KCHI": 0.6, "MAL": 0.2, "FEM": 0.4}


def told_by(found, frames):
    """Which frames the segments of each class cover, (T, 3)."""
    told = np.zeros((frames, len(LIMITS)), dtype=bool)
    for start, end, label in found:
        told[start // 320 : end // 320, list(LIMITS).index(label)] = True
    return told


def runs_of(row):
    """First and last frame of each run, one after the other."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], row, [0]))))
    return edges.reshape(-1, 2).tolist()


def without_free_gaps(active, off):
    closed = active.copy()
    for column in range(active.shape[1]):
        others = np.delete(active, column, axis=1).any(axis=1)
        for (_, end), (start, _) in pairwise(runs_of(active[:, column])):
            if start - end < off and not others[end:start].any():
                closed[end:start, column] = True
    return closed


@given(FRAMES, st.floats(0.05, 1), st.integers(0, 5), st.integers(0, 5))
def test_gaps_in_which_another_class_is_told_stay_open(frames, simultaneous, on, off):
    scores = np.array(frames, dtype=np.float64).reshape(-1, 3)
    above = scores > list(LIMITS.values())
    likeliest = np.where(above, scores, -1).argmax(axis=1)[:, None] == np.arange(3)
    active = without_free_gaps(above & ((scores > simultaneous) | likeliest), off)
    for column in range(3):
        for start, end in runs_of(active[:, column]):
            if end - start < on:
                active[start:end, column] = False
    expected = without_free_gaps(active, off)
    found = decide(scores, LIMITS, MinimumDurations(on * 320, off * 320), simultaneous)
    np.testing.assert_array_equal(told_by(found, len(frames)), expected)
    if simultaneous >= 0.9:
        assert (expected.sum(axis=1) <= 1).all()


@given(FRAMES, st.integers(0, 5), st.integers(0, 5))
def test_without_a_rule_for_overlap_gaps_are_closed_as_published(frames, on, off):
    scores, minimum = np.array(frames, dtype=np.float64).reshape(-1, 3), MinimumDurations(on * 320, off * 320)
    assert decide(scores, LIMITS, minimum) == clean_up(active_runs(scores, LIMITS), minimum)
