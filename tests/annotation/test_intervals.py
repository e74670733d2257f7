"""Interval algebra against sets of samples."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from babyhubert.annotation import intervals

pairs = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)).map(lambda p: (p[0], p[0] + p[1])), max_size=10)


def arrays(rows):
    return tuple(np.array([r[i] for r in rows], dtype=np.int64) for i in (0, 1))


def samples(start, end):
    return {x for a, b in zip(start.tolist(), end.tolist(), strict=True) for x in range(a, b)}


def is_canonical(start, end):
    return np.all(end > start) and np.all(start[1:] > end[:-1])


@given(pairs)
def test_union_covers_the_same_samples(rows):
    got = intervals.union(*arrays(rows))
    assert samples(*got) == samples(*arrays(rows))
    assert is_canonical(*got)
    assert intervals.total(*arrays(rows)) == len(samples(*got))


@given(pairs, pairs)
def test_intersect_is_set_intersection(a, b):
    got = intervals.intersect(arrays(a), arrays(b))
    assert samples(*got) == samples(*arrays(a)) & samples(*arrays(b))
    assert np.all(got[1] > got[0])


@given(pairs, st.integers(0, 80))
def test_complement_is_set_complement(rows, length):
    got = intervals.complement(*arrays(rows), length)
    assert samples(*got) == set(range(length)) - samples(*arrays(rows))


@given(pairs, st.integers(1, 12))
def test_close_gaps_fills_exactly_the_shorter_gaps(rows, limit):
    start, end = intervals.close_gaps(*arrays(rows), limit)
    covered = samples(*intervals.union(*arrays(rows)))
    gap_start, gap_end = intervals.complement(*arrays(rows), 200)
    inner = [
        (a, b)
        for a, b in zip(gap_start.tolist(), gap_end.tolist(), strict=True)
        if covered and min(covered) < a and b <= max(covered)
    ]
    expected = covered | {x for a, b in inner if b - a < limit for x in range(a, b)}
    assert samples(start, end) == expected


def test_limits_are_strict():
    start, end = np.array([0, 2600]), np.array([1000, 5000])
    assert len(intervals.close_gaps(start, end, 1600)[0]) == 2
    assert len(intervals.close_gaps(start, end, 1601)[0]) == 1
    assert intervals.drop_short(start, end, 1000)[0].tolist() == [0, 2600]
    assert intervals.drop_short(start, end, 1001)[0].tolist() == [2600]
