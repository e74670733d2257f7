"""Phones for frames, and what units tell about them, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packs import StandIn, open_pack, spectrum
from sklearn.metrics import mutual_info_score

from babyhubert.compute.processes import RankInfo
from babyhubert.corpus.shards import Labels, Pack
from babyhubert.errors import AnnotationError, CorpusError
from babyhubert.units.assign import assign
from babyhubert.units.kmeans import FitSettings, fit_units
from babyhubert.units.phones import Agreement, Alignment, count_together, match_recordings


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=2, max_size=200))
def test_agreement_is_that_of_scikit_learn(pairs):
    units, phones = np.array(pairs).T
    counts = np.zeros((8, 5), dtype=np.int64)
    np.add.at(counts, (units, phones), 1)
    found = Agreement.of_counts(counts)
    entropy = mutual_info_score(phones, phones)
    assert found.frames == len(pairs)
    assert found.pnmi == pytest.approx(
        mutual_info_score(units, phones) / entropy if entropy > 1e-12 else 0.0, abs=1e-9
    )
    commonest = {unit: np.bincount(phones[units == unit]).argmax() for unit in set(units.tolist())}
    assert found.phone_purity == pytest.approx(
        np.mean([commonest[u] == p for u, p in zip(units, phones, strict=True)])
    )
    usual = {phone: np.bincount(units[phones == phone]).argmax() for phone in set(phones.tolist())}
    assert found.cluster_purity == pytest.approx(np.mean([usual[p] == u for u, p in zip(units, phones, strict=True)]))


def test_perfect_and_useless_units():
    assert Agreement.of_counts(np.diag([3, 4, 5])) == Agreement(12, pytest.approx(1.0), 1.0, 1.0)
    useless = Agreement.of_counts(np.full((4, 2), 5))
    assert useless.pnmi == pytest.approx(0.0, abs=1e-12)
    assert useless.phone_purity == 0.5


def test_a_frame_has_the_phone_in_the_middle_of_what_it_sees(pack: Pack):
    start = int(pack.start[1])
    alignment = Alignment.from_spans(
        [
            ("r1", start + 520, start + 1_000, "b"),
            ("r1", start + 1_160, start + 1_161, "a"),
            ("r1", start, start + 520, "a"),
        ]
    )
    phones = alignment.of_frames(pack, 1, "r1")  # middles at 200, 520, 840, 1160, 1480, ...
    assert phones[:5].tolist() == [0, 1, 1, 0, -1]
    assert set(phones[4:].tolist()) == {-1}


def test_tables_survive_a_round_trip(tmp_path):
    alignment = Alignment.from_spans([("x/a", 0, 1_600, "ɹ"), ("x/a", 1_600, 3_200, "sil"), ("b", 16, 32, "ə")])
    alignment.write(tmp_path / "a.csv")
    again = Alignment.read(tmp_path / "a.csv")
    assert again.phones == alignment.phones == ("sil", "ə", "ɹ")
    assert {name: [part.tolist() for part in spans] for name, spans in again.spans.items()} == {
        name: [part.tolist() for part in spans] for name, spans in alignment.spans.items()
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("recording_id,start_s,phone\nr1,0,a\n", "no column end_s"),
        ("recording_id,start_s,end_s,phone\n", "no rows"),
        ("recording_id,start_s,end_s,phone\nr1,0,x,a\n", "line 2: end 'x'"),
        ("recording_id,start_s,end_s,phone\nr1,0,nan,a\n", "line 2"),
        ("recording_id,start_s,end_s,phone\nr1,1,1,a\n", "from 1 to 1 s is impossible"),
        ("recording_id,start_s,end_s,phone\nr1,0,1,\n", "line 2: no phone"),
        ("recording_id,start_s,end_s,phone\nr1,0,1,a\nr1,0.5,2,b\n", "overlap at 0.500 s"),
    ],
)
def test_bad_tables_are_one_line(tmp_path, text, words):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(AnnotationError, match=words):
        Alignment.read(tmp_path / "a.csv")


def test_ids_match_whole_or_by_their_last_part(tmp_path):
    pack = open_pack(tmp_path / "pack", lengths=((800, 800, 800),), held_out=())
    assert match_recordings(pack, ["deep/r2.opus", "r0", "other"], "table") == {2: "deep/r2.opus", 0: "r0"}
    with pytest.raises(CorpusError, match="'r1' and 'x/r1' both mean the recording 'r1'"):
        match_recordings(pack, ["r1", "x/r1"], "table")
    with pytest.raises(CorpusError, match=r"'r1' and 'r1\.flac' both mean one recording"):
        match_recordings(pack, ["r1", "r1.flac"], "table")
    with pytest.raises(CorpusError, match="table: none of its recordings is in"):
        match_recordings(pack, ["other"], "table")


def test_counts_are_those_of_a_plain_loop(pack: Pack, tmp_path):
    labels = _labels(pack, tmp_path)
    alignment = Alignment.from_spans(
        (f"r{row}", int(pack.start[row]) + 3_000 * i, int(pack.start[row]) + 3_000 * i + 2_000, "abc"[(row + i) % 3])
        for row in range(len(pack))
        for i in range(3)
    )
    wanted = np.zeros((labels.clusters, 3), dtype=np.int64)
    for row in range(len(pack)):
        for frame, unit in enumerate(labels.units(row).tolist()):
            middle = 320 * frame + 200
            if middle < 9_000 and middle % 3_000 < 2_000:
                wanted[unit, (row + middle // 3_000) % 3] += 1
    np.testing.assert_array_equal(count_together(labels, alignment, "table"), wanted)
    late = Alignment.from_spans([("r1", 10**9, 10**9 + 5, "a")])
    with pytest.raises(CorpusError, match="no phone lies on a frame"):
        count_together(labels, late, "table")


def _labels(pack: Pack, folder) -> Labels:
    teacher = StandIn(spectrum, 8)
    settings = FitSettings(teacher="stand-in", clusters=10, n_init=1, batch_size=50)
    found = fit_units(pack, folder / "kmeans", settings, teacher=teacher, place=RankInfo())
    assert found is not None
    labels = assign(pack, found, folder / "labels", teacher=teacher, place=RankInfo())
    assert labels is not None
    return labels
