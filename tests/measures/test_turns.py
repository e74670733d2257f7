"""Turns by each rule: worked examples of the definitions, and equality with counting by hand on random annotations."""

from __future__ import annotations

import counting_by_hand
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.annotation.segments import Segments
from babyhubert.measures.turns import (
    TurnRules,
    chance_turns,
    count_by_hour,
    floor_transfers,
    lena_turns,
    shuffled,
    simple_turns,
    speech_of,
)

SECOND = 16_000
HANDS = {"lena": counting_by_hand.lena, "simple_ctc": counting_by_hand.simple_ctc, "floor": counting_by_hand.floor}

segment_rows = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 30), st.sampled_from(["KCHI", "OCH", "MAL", "FEM"])), max_size=40
).map(lambda rows: [(s * 1600, (s + d) * 1600, label) for s, d, label in rows])


def said(text: str, gap: float = 1.0, length: float = 1.0) -> Segments:
    """Segments one after the other: C key child, A woman, M man, O other child, . six seconds of silence."""
    rows, now = [], 0.0
    for letter in text:
        if letter == ".":
            now += 6
            continue
        label = {"C": "KCHI", "A": "FEM", "M": "MAL", "O": "OCH"}[letter]
        rows.append((round(now * SECOND), round((now + length) * SECOND), label))
        now += length + gap
    return Segments.from_rows(rows)


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        *(("CA", 1), ("AC", 1), ("CAC", 1), ("CACA", 2), ("ACACA", 2)),  # LENA Pro's own examples, and on
        *(("CCCA", 1), ("AMC", 1), ("COA", 0), ("CAOC", 1), ("C.A", 0), ("CA.CA", 2), ("CAC.A", 1), ("", 0), ("C", 0)),
    ],
)
def test_lena_counts_pairs_of_child_and_adult(text, turns):
    assert len(lena_turns(speech_of(said(text)))) == turns


def test_lena_needs_less_than_five_seconds():
    assert len(lena_turns(speech_of(said("CA", gap=4.999)))) == 1
    assert len(lena_turns(speech_of(said("CA", gap=5.0)))) == 0


def test_simple_ctc_counts_every_change_and_other_children_answer():
    assert len(simple_turns(speech_of(said("CAC", gap=0.5)))) == 2
    assert len(simple_turns(speech_of(said("CO", gap=0.5)))) == 1
    assert len(simple_turns(speech_of(said("CA", gap=1.0)))) == 0


@pytest.mark.parametrize(("offset", "counted"), [(-1.01, 0), (-1.0, 1), (0.0, 1), (2.0, 1), (2.01, 0)])
def test_floor_transfers_keep_within_gap_and_overlap(offset, counted):
    rows = [(0, 3 * SECOND, "FEM"), (round((3 + offset) * SECOND), 6 * SECOND, "KCHI")]
    rows += [(2 * SECOND + 1, 2 * SECOND + 2, "OCH")]  # another child between does not matter
    transfers = floor_transfers(speech_of(Segments.from_rows(rows)), 2 * SECOND, SECOND)
    assert len(transfers.onset) == counted
    if counted:
        assert transfers.offset.tolist() == [round(offset * SECOND)]
        assert transfers.child.tolist() == [True]


@given(segment_rows)
@settings(max_examples=300, deadline=None)
def test_every_rule_gives_the_onsets_counted_by_hand(rows):
    segments = Segments.from_rows(rows)
    ordered = list(segments)
    for name, rule in TurnRules().named().items():
        assert rule(speech_of(segments)).tolist() == HANDS[name](ordered), name


def test_other_labels_take_no_part():
    rows = [(0, SECOND, "KCHI"), (SECOND, 2 * SECOND, "SPEECH"), (2 * SECOND, 3 * SECOND, "MAL")]
    assert len(lena_turns(speech_of(Segments.from_rows(rows)))) == 1


class TestChance:
    EDGES = np.array([0, 3600, 7200, 9000], dtype=np.int64) * SECOND

    def rows(self, seed: int = 0) -> Segments:
        generator = np.random.default_rng(seed)
        start = generator.integers(0, 8990 * SECOND, 600)
        labels = generator.choice(["KCHI", "OCH", "MAL", "FEM"], 600)
        return Segments.from_rows(
            (int(s), int(s) + SECOND, str(label)) for s, label in zip(start, labels, strict=True)
        )

    def test_only_the_key_child_moves_and_stays_in_its_hour(self):
        before = speech_of(self.rows())
        after = shuffled(before, self.EDGES, np.random.default_rng(1))
        mine, theirs = before.voice == 1, after.voice == 1
        hours = [count_by_hour(starts, self.EDGES).tolist() for starts in (before.start[mine], after.start[theirs])]
        assert hours[0] == hours[1]
        assert sorted((before.end - before.start)[mine]) == sorted((after.end - after.start)[theirs])
        assert set(before.start[mine]) != set(after.start[theirs])
        assert before.start[~mine].tolist() == after.start[~theirs].tolist()
        assert (np.diff(after.start) >= 0).all()

    def test_distances_along_the_circle_are_kept(self):
        before = speech_of(self.rows())
        after = shuffled(before, self.EDGES, np.random.default_rng(2))
        for low, high in zip(self.EDGES[:-1], self.EDGES[1:], strict=True):
            old = np.sort(before.start[(before.voice == 1) & (before.start >= low) & (before.start < high)])
            new = np.sort(after.start[(after.voice == 1) & (after.start >= low) & (after.start < high)])
            circle = [np.diff(np.append(times, times[0] + high - low)).tolist() for times in (old, new)]
            assert any(np.roll(circle[0], turn).tolist() == circle[1] for turn in range(len(old)))

    def test_the_seed_decides(self):
        speech, rules = speech_of(self.rows()), TurnRules()
        draws = [chance_turns(speech, self.EDGES, rules, 5, np.random.default_rng(seed)) for seed in (3, 3, 4)]
        for name in rules.named():
            assert draws[0][name].shape == (5, 3)
            assert (draws[0][name] == draws[1][name]).all()
        assert any((draws[0][name] != draws[2][name]).any() for name in rules.named())

    def test_answers_exceed_chance_and_coincidence_does_not(self):
        """A child who is always answered is far above chance; two who speak unheard of each other are at it."""
        generator = np.random.default_rng(5)
        calls = np.sort(generator.choice(np.arange(0, 3500, 10), 100, replace=False)) * SECOND
        answered = [(int(t), int(t) + SECOND, "KCHI") for t in calls]
        answered += [(int(t) + 3 * SECOND // 2, int(t) + 3 * SECOND, "FEM") for t in calls]
        alone = self.rows(6)
        edges = np.array([0, 3600 * SECOND])
        for segments, low, high in ((Segments.from_rows(answered), 1.5, 99), (alone, 0.8, 1.25)):
            speech = speech_of(segments)
            bounds = edges if low > 1 else self.EDGES
            observed = len(lena_turns(speech))
            expected = chance_turns(speech, bounds, TurnRules(), 60, generator)["lena"].sum(axis=1).mean()
            assert low < observed / expected < high
