"""Training segments: the published boundary cases, and the promise that no speech is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.config import build_config
from babyhubert.corpus.segments import SegmentSettings, training_segments
from babyhubert.errors import ConfigError

RATE = 16_000


def cut(rows, length_s=100.0, **changes):
    times = np.round(np.array(rows, dtype=float).reshape(-1, 2) * RATE).astype(np.int64)
    start, end = training_segments((times[:, 0], times[:, 1]), int(length_s * RATE), SegmentSettings(**changes))
    return [(a / RATE, b / RATE) for a, b in zip(start.tolist(), end.tolist(), strict=True)]


PUBLISHED = [
    ([(10, 45)], [(10, 27.5), (27.5, 45)]),
    ([(10, 75)], [(10, 26.25), (26.25, 42.5), (42.5, 58.75), (58.75, 75)]),
    ([(10, 40)], [(10, 40)]),
    ([(10, 24), (25, 47)], [(10, 24), (25, 47)]),
    ([(10, 11), (12, 47)], [(12, 29.5), (29.5, 47)]),
    ([(10, 20), (20.5, 30), (31.5, 47)], [(10, 30), (31.5, 47)]),
    ([(10, 22), (23, 34), (35, 46)], [(10, 22), (23, 46)]),
    ([(10, 12)], []),
    ([(10, 10.5)], []),
    ([(10, 15), (16.999, 20)], [(10, 20)]),
    ([(10, 15), (17, 20)], [(10, 15), (17, 20)]),
]
NOTHING_LOST = {
    4: [(9.5, 11.5), (12, 29.5), (29.5, 47)],
    7: [(10, 12)],
    8: [(9.25, 11.25)],
}


@pytest.mark.parametrize(("speech", "expected"), PUBLISHED)
def test_published_boundary_cases(speech, expected):
    assert cut(speech, published=True) == expected


@pytest.mark.parametrize("case", range(len(PUBLISHED)))
def test_the_same_cases_without_loss(case):
    speech, published = PUBLISHED[case]
    assert cut(speech) == NOTHING_LOST.get(case, published)


@pytest.mark.parametrize(
    ("speech", "length", "expected"),
    [
        ([(0, 0.5)], 100, [(0, 2)]),
        ([(99.8, 100)], 100, [(98, 100)]),
        ([(0.2, 0.4)], 1.0, [(0, 1)]),
        ([(10, 10.2), (12.5, 12.7)], 100, [(9.1, 11.1), (11.6, 13.6)]),
        ([(10, 10.2), (11.5, 11.7)], 100, [(9.85, 11.85)]),
        ([], 100, []),
        ([(5, 5)], 100, []),
        ([(90, 130)], 100, [(90, 100)]),
    ],
)
def test_padding_stays_inside_the_recording(speech, length, expected):
    found = cut(speech, length)
    assert len(found) == len(expected)
    assert np.allclose(found, expected)


def plain_segments(speech, shortest, longest, gap):
    """The released steps written as they are told: lists, seconds as integers, one recording."""
    merged = []
    for start, end in sorted((s, e) for s, e in speech if e > s):
        if merged and start - merged[-1][1] < gap:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    spoken = set().union(*[range(s, e) for s, e in speech], set())

    def recurse(begin, stop):
        if stop - begin <= shortest:
            return []
        if stop - begin <= longest:
            return [(begin, stop)]
        best, run = None, None
        for sample in range(begin, stop + 1):
            if sample < stop and sample not in spoken:
                run = sample if run is None else run
            elif run is not None:
                if best is None or sample - run > best[1] - best[0]:
                    best = (run, sample)
                run = None
        if best is None:
            middle = (begin + stop) // 2
            return recurse(begin, middle) + recurse(middle, stop)
        return recurse(begin, best[0]) + recurse(best[1], stop)

    return [piece for begin, stop in merged if stop - begin >= shortest for piece in recurse(begin, stop)]


rows_of_speech = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 80)).map(lambda row: (row[0], row[0] + row[1])), max_size=12
)


@settings(deadline=None)
@given(rows_of_speech)
def test_published_mode_is_the_plain_form(rows):
    from babyhubert.corpus.segments import published_segments

    start, end = published_segments(
        (np.array([r[0] for r in rows], dtype=np.int64), np.array([r[1] for r in rows], dtype=np.int64)), 6, 5, 40
    )
    assert list(zip(start.tolist(), end.tolist(), strict=True)) == plain_segments(rows, 5, 40, 6)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 100 * RATE), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 40)), max_size=14))
def test_no_speech_is_lost_and_nothing_overlaps(length, rows):
    start = np.array([int(share * length) for share, _ in rows], dtype=np.int64)
    end = np.minimum(start + np.array([int(s * RATE) for _, s in rows], dtype=np.int64), length)
    first, last = training_segments((start, end), length, SegmentSettings())
    covered = np.zeros(length, dtype=bool)
    for a, b in zip(first.tolist(), last.tolist(), strict=True):
        assert 0 <= a < b <= length
        assert b - a <= 30 * RATE
        assert not covered[a:b].any()
        covered[a:b] = True
    for a, b in zip(start.tolist(), end.tolist(), strict=True):
        assert covered[a:b].all()
    for index, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        if b - a < 2 * RATE:  # only where there is no room
            assert a == (last[index - 1] if index else 0)
            assert b == (first[index + 1] if index + 1 < len(first) else length)


def joined(rows):
    """Union of intervals, touching ones joined."""
    found = []
    for start, end in sorted(row for row in rows if row[1] > row[0]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def plain_segments_without_loss(speech, length, gap, shortest, longest):
    """The steps of this package written as they are told, an interval at a time."""
    speech = joined([(min(s, length), min(e, length)) for s, e in speech])
    merged = []
    for start, end in speech:
        if merged and start - merged[-1][1] < gap:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    padded = []
    for start, end in merged:
        if end - start < shortest:
            start = start - (shortest - (end - start)) // 2
            start = max(0, min(start, length - shortest))
            end = min(start + shortest, length)
        padded.append((start, end))

    def recurse(begin, stop):
        if stop <= begin:
            return []
        if stop - begin <= longest:
            return [[begin, stop]]
        inside = [(max(s, begin), min(e, stop)) for s, e in speech if s < stop and e > begin]
        edges = [begin, *(side for row in inside for side in row), stop]
        holes = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
        if not holes:
            middle = (begin + stop) // 2
            return recurse(begin, middle) + recurse(middle, stop)
        longest_hole = max(b - a for a, b in holes)
        left, right = next(hole for hole in holes if hole[1] - hole[0] == longest_hole)
        return recurse(begin, left) + recurse(right, stop)

    pieces = [piece for stretch in joined(padded) for piece in recurse(*stretch)]
    for index, (start, end) in enumerate(pieces):
        if end - start < shortest:
            low = pieces[index - 1][1] if index else 0
            high = pieces[index + 1][0] if index + 1 < len(pieces) else length
            wanted = min(shortest, high - low)
            begin = min(max(start - (wanted - (end - start)) // 2, low), high - wanted)
            pieces[index] = [begin, begin + wanted]
    return [tuple(piece) for piece in pieces]


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 40 * RATE),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 90)), max_size=14),
    st.sampled_from([(0.6, 0.5, 4.0), (2.0, 2.0, 5.0), (0.0, 1.0, 1.0)]),
)
def test_nothing_lost_is_the_plain_form(length, rows, limits):
    speech = [(start * 1600, (start + size) * 1600) for start, size in rows]
    gap, shortest, longest = limits
    chosen = SegmentSettings(merge_gaps_s=gap, shortest_s=shortest, longest_s=longest)
    columns = np.array(speech, dtype=np.int64).reshape(-1, 2)
    start, end = training_segments((columns[:, 0], columns[:, 1]), length, chosen)
    expected = plain_segments_without_loss(speech, length, *chosen.samples)
    assert list(zip(start.tolist(), end.tolist(), strict=True)) == expected


def test_limits_that_contradict_each_other():
    with pytest.raises(ConfigError, match=r"'longest_s' = 5\.0: .*not be below shortest_s \(6\)"):
        build_config({"shortest_s": 6.0, "longest_s": 5.0}, SegmentSettings, "options")
