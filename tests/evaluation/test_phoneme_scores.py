"""Phoneme error rates: which prediction meets which reference, what is counted, and what is said about the rest."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest

from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.phonology import features as phoneme_features
from babyhubert.tasks.phonemes.evaluation import NO_UTTERANCE, error_rate, score_phonemes
from babyhubert.tasks.phonemes.presentation import as_json, notes, write_report
from babyhubert.tasks.phonemes.tables import (
    PUBLISHED_PHONEMES,
    Utterance,
    pair_transcriptions,
    read_rewriting,
    read_symbols,
    read_transcriptions,
    simplified,
    split_phones,
)


def table(path, header, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


def spoken(name, phones, start=None, end=None, speaker=None, **columns):
    span = None if start is None else (int(start * 16_000), int(end * 16_000))
    return Utterance(name, span, split_phones(phones), speaker, columns)


def scored(reference, predicted, speakers=None, *, count_unmatched=True, **options):
    pairing = pair_transcriptions(reference, predicted, speakers, count_unmatched=count_unmatched)
    return score_phonemes(pairing, **options)


class TestReading:
    def test_symbols_are_normalised(self):
        assert split_phones("g a | o\u0303 \u0153\u0303") == ("ɡ", "a", "õ", "œ\u0303")
        assert set(split_phones("ĩ õ ũ ɛ\u0303 g")) <= set(PUBLISHED_PHONEMES)
        assert split_phones("  ") == ()
        assert len(PUBLISHED_PHONEMES) == 57

    def test_layouts(self, tmp_path):
        own = table(tmp_path / "a.csv", "utterance_id,age,phones", ["0012", "4", "b a"], ["0013", "5", ""])
        first, second = read_transcriptions(own)
        assert (first.name, first.span, first.phones, first.columns["age"]) == ("0012", None, ("b", "a"), "4")
        assert second.phones == ()
        published = table(
            tmp_path / "b.csv", "filename,onset,offset,speaker,phonemes", ["day/x.wav", "1.5", "2.0", "KCHI", "m a"]
        )
        (row,) = read_transcriptions(published)
        assert (row.name, row.span, row.phones, row.speaker) == ("day/x", (24_000, 32_000), ("m", "a"), "KCHI")
        ours = table(tmp_path / "c.csv", "recording_id,start_s,end_s,label,phones", ["x", "1", "2", "FEM", "a"])
        assert read_transcriptions(ours)[0].span == (16_000, 32_000)
        lasting = table(tmp_path / "d.csv", "uid,start_time_s,duration_s,phones", ["x", "1", "2", "a"])
        assert read_transcriptions(lasting)[0].span == (16_000, 48_000)

    def test_folders(self, tmp_path):
        header = "filename,onset,offset,speaker,phonemes"
        table(tmp_path / "phonemes/day/x.csv", header, ["x", "0", "1", "KCHI", "a"])
        table(tmp_path / "phonemes/y.csv", header)
        table(tmp_path / "timing.csv", "filename,audio_duration_sec", ["x", "3"])
        assert [u.name for u in read_transcriptions(tmp_path)] == ["x"]
        with pytest.raises(AnnotationError, match="no such file"):
            read_transcriptions(tmp_path / "none")

    @pytest.mark.parametrize(
        ("header", "row", "message"),
        [
            ("utterance_id,text", ["a", "b"], "phones"),
            ("phones", ["a"], "utterance_id"),
            ("recording_id,start_s,end_s,phones", ["x", "2", "1", "a"], "line 2: ends at 1 s"),
            ("recording_id,start_s,end_s,phones", ["x", "b", "1", "a"], "line 2"),
            ("utterance_id,phones", [" ", "a"], "line 2: names no"),
        ],
    )
    def test_bad_tables_are_named(self, tmp_path, header, row, message):
        with pytest.raises(AnnotationError, match=message):
            read_transcriptions(table(tmp_path / "t.csv", header, row))

    def test_rewriting(self, tmp_path):
        rewrite = read_rewriting(table(tmp_path / "m.csv", "from,to", ["aɪ", "a ɪ"], ["ʔ", ""]))
        assert split_phones("t aɪ ʔ g", rewrite) == ("t", "a", "ɪ", "ɡ")
        with pytest.raises(AnnotationError, match="from,to"):
            read_rewriting(table(tmp_path / "n.csv", "a,b", ["aɪ", "a ɪ"]))

    def test_inventories(self, tmp_path):
        (tmp_path / "a.json").write_text('{"a": 0, "ɡ": 1, "<blank>": 2}', encoding="utf-8")
        assert read_symbols(tmp_path / "a.json") == ("a", "ɡ")
        assert read_symbols(None) == PUBLISHED_PHONEMES

    def test_what_is_outside_the_inventory_is_taken_apart_if_it_can_be(self):
        (found,) = simplified([spoken("x", "tʃ aɪ ! ? m", age="3")], PUBLISHED_PHONEMES)
        assert found.phones == ("t", "ʃ", "a", "ɪ", "!", "?", "m")
        assert (found.name, found.columns) == ("x", {"age": "3"})


class TestPairing:
    def test_by_name_whatever_the_folder_and_the_suffix(self):
        report = scored([spoken("a", "b a"), spoken("b", "m a")], [spoken("x/a", "b a"), spoken("b", "m")])
        assert report.totals.tolist() == [3, 0, 1, 0]

    def test_a_missing_prediction_is_all_deleted_and_an_empty_one_too(self):
        report = scored([spoken("a", "b a"), spoken("b", "m a")], [spoken("b", "")])
        assert report.rate == 1.0
        assert report.unanswered == 1
        assert any("1 reference utterances without prediction" in note for note in notes(report))

    def test_predicted_stretches_go_to_what_they_overlap_most(self):
        reference = [spoken("x", "a b", 0, 2), spoken("x", "m", 2, 3)]
        predicted = [spoken("x", "m", 1.9, 3), spoken("x", "b", 1.0, 1.9), spoken("x", "a", 0, 0.9)]
        report = scored(reference, predicted)
        assert report.totals.tolist() == [3, 0, 0, 0]

    def test_a_prediction_that_meets_nothing_is_inserted_or_ignored(self):
        reference, predicted = [spoken("x", "a", 0, 1)], [spoken("x", "a", 0, 1), spoken("x", "b b", 5, 6)]
        assert scored(reference, predicted).totals.tolist() == [1, 0, 0, 2]
        assert any("2 phonemes predicted where" in note for note in notes(scored(reference, predicted)))
        ignored = scored(reference, predicted, count_unmatched=False)
        assert ignored.totals.tolist() == [1, 0, 0, 0]
        assert any("1 predictions that meet no" in note for note in notes(ignored))

    def test_unknown_phones_are_left_out_with_what_was_predicted_there(self):
        reference = [spoken("x", "a ?", 0, 1), spoken("x", "m", 2, 3)]
        report = scored(reference, [spoken("x", "a b b", 0, 1), spoken("x", "m", 2, 3)])
        assert report.totals.tolist() == [1, 0, 0, 0]
        assert report.pairing.unknown == 1
        assert any("1 reference utterances with unknown phones" in note for note in notes(report))

    def test_other_speakers_are_left_out_but_their_speech_is_no_excuse(self):
        reference = [spoken("x", "a", 0, 1, "KCHI"), spoken("x", "m m", 2, 3, "FEM")]
        predicted = [spoken("x", "a", 0, 1, "KCHI"), spoken("x", "b", 2, 3, "KCHI"), spoken("x", "m", 2, 3, "FEM")]
        report = scored(reference, predicted, {"KCHI"})
        assert report.totals.tolist() == [1, 0, 0, 1]
        assert report.pairing.other_speakers == 1
        with pytest.raises(AnnotationError, match=r"no reference utterance is of MAL; .*FEM, KCHI"):
            scored(reference, predicted, {"MAL"})

    def test_names_that_have_nothing_in_common_or_stand_twice(self):
        with pytest.raises(AnnotationError, match="make the ids equal"):
            scored([spoken("a", "b")], [spoken("b", "b")])
        with pytest.raises(AnnotationError, match="a: occurs 2 times"):
            scored([spoken("a", "b"), spoken("a", "b")], [spoken("a", "b")])
        with pytest.raises(AnnotationError, match="a prediction does not"):
            scored([spoken("a", "b", 0, 1)], [spoken("a", "b")])

    def test_what_has_no_reference_is_named(self):
        report = scored([spoken("a", "b")], [spoken("a", "b"), spoken("z", "b")])
        assert report.pairing.without_reference == ("z",)


class TestScores:
    def test_parts_and_rates(self):
        report = scored([spoken("a", "b a m a"), spoken("b", "")], [spoken("a", "b i m"), spoken("b", "t")])
        assert report.totals.tolist() == [2, 1, 1, 1]
        assert report.rate == pytest.approx(3 / 4)
        assert ("a", "i", 1) in report.common_confusions(10)
        assert ("", "t", 1) in report.common_confusions(10)
        assert ("a", "", 1) in report.common_confusions(10)

    def test_references_without_phones_are_counted_and_told(self):
        reference = [spoken("a", "b a"), spoken("b", "|"), spoken("c", "")]
        report = scored(reference, [spoken("a", "b a"), spoken("b", "t"), spoken("c", "m i")])
        assert (report.rate, report.totals.tolist()) == (3 / 2, [2, 0, 0, 3])
        told = "2 reference utterances have no phones: all that is predicted there counts as insertions"
        assert told in list(notes(report))
        assert as_json(report)["without_phones"] == 2
        heard = scored(reference[:1], [])
        assert not any("no phones" in note for note in notes(heard))

    def test_a_reference_without_any_phones_is_refused(self):
        assert np.isnan(error_rate(np.zeros(4)))
        with pytest.raises(AnnotationError, match="none of the 1 reference utterances to score has phones: "):
            scored([spoken("a", "")], [spoken("a", "t")])
        with pytest.raises(AnnotationError, match=r"none of the 2 .* \(1 more, with unknown phones, are left out\)"):
            scored([spoken("x", "", 0, 1), spoken("x", "a ?", 1, 2), spoken("x", "", 2, 3)], [spoken("x", "a", 5, 6)])

    def test_groups_and_intervals(self):
        rng = np.random.default_rng(1)
        reference, predicted = [], []
        for number in range(60):
            name, child = f"u{number:02d}", f"c{number % 6}"
            phones = rng.choice(["a", "b", "m"], 8)
            wrong = rng.random(8) < 0.1 * (1 + number % 6)
            reference.append(spoken(name, " ".join(phones), child_id=child, age=str(10 - number % 6)))
            predicted.append(spoken(name, " ".join(np.where(wrong, "z", phones))))
        report = scored(reference, predicted, by=["child_id", "age"], rng=np.random.default_rng(0), resamples=300)
        assert report.unit == "child_id"
        assert report.units == 6
        assert report.interval[0] < report.rate < report.interval[1]
        ages = [score for score in report.groups if score.column == "age"]
        assert [score.group for score in ages] == ["5", "6", "7", "8", "9", "10"]
        assert sum(np.array(score.operations) for score in ages).tolist() == report.totals.tolist()
        assert ages[0].rate > ages[-1].rate
        assert np.isnan(ages[0].interval[0])
        per_name = scored(reference, predicted, unit="age", rng=np.random.default_rng(0), resamples=300)
        assert per_name.unit == "age"
        assert per_name.interval == pytest.approx(report.interval, abs=0.08)

    def test_insertions_without_an_utterance_go_to_the_group_of_their_recording(self):
        reference = [spoken("x", "a", 0, 1, child="1"), spoken("x", "a", 1, 2, child="1")]
        reference += [spoken("y", "a", 0, 1, child="2"), spoken("y", "a", 1, 2, child="3")]
        predicted = [spoken("x", "b", 5, 6), spoken("y", "b", 5, 6)]
        report = scored(reference, predicted, by=["child"])
        found = {score.group: (score.utterances, score.operations[3]) for score in report.groups}
        assert found == {"1": (2, 1), "2": (1, 0), "3": (1, 0), NO_UTTERANCE: (0, 1)}

    def test_an_unknown_column_is_named(self):
        with pytest.raises(ConfigError, match="no column 'age' in the reference; it has child"):
            scored([spoken("a", "b", child="1")], [spoken("a", "b")], by=["age"])

    def test_baselines_do_not_listen(self):
        reference = [spoken(f"u{n}", "m a m a") for n in range(5)] + [spoken("v", "b a")]
        report = scored(reference, [])
        constant, commonest = report.baselines
        assert constant.symbols == ("m", "a", "m", "a")
        assert constant.rate == pytest.approx(3 / 22)
        assert commonest.symbols == ("a",)
        assert commonest.rate == pytest.approx((5 * 3 + 1) / 22)

    def test_baselines_answer_every_utterance_and_nothing_else(self):
        reference = [spoken("x", "a i", 0, 1), spoken("x", "a i", 1, 2)] + [
            spoken("x", "", n, n + 1) for n in (2, 3, 4)
        ]
        report = scored(reference, [spoken("x", "a", 8, 9)])
        constant, commonest = report.baselines
        assert (constant.symbols, constant.rate) == ((), 1.0)  # three are silent: answering costs more than it gains
        assert commonest.rate == pytest.approx((2 + 3) / 4)

    def test_phones_outside_the_inventory_are_named(self):
        report = scored([spoken("a", "aɪ b aɪ")], [spoken("a", "tʃ b")])
        assert report.outside == {"reference": {"aɪ": 2}, "predictions": {"tʃ": 1}}
        assert any("aɪ (2)" in note for note in notes(report))

    def test_features_equal_panphon(self):
        distance = pytest.importorskip("panphon.distance").Distance()
        rng = np.random.default_rng(0)
        sides = [[" ".join(rng.choice(PUBLISHED_PHONEMES, rng.integers(0, 9))) for _ in range(25)] for _ in range(2)]
        reference, predicted = ([spoken(f"u{n:02d}", text) for n, text in enumerate(side)] for side in sides)
        report = scored(reference, predicted)
        pairs = zip(*sides, strict=True)
        expected = sum(
            distance.hamming_feature_edit_distance(a.replace(" ", ""), b.replace(" ", "")) for a, b in pairs
        )
        assert report.features is not None
        assert report.features.rate == pytest.approx(expected / report.totals[:3].sum(), abs=1e-5)
        assert report.features.unknown == ()

    def test_without_panphon_the_rest_is_there(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "panphon", None)
        monkeypatch.setattr(phoneme_features, "_feature_table", phoneme_features._feature_table.__wrapped__)
        report = scored([spoken("a", "b")], [spoken("a", "b")])
        assert report.features is None
        assert any(".[phones]" in note for note in notes(report))

    def test_files(self, tmp_path):
        reference = [spoken("x", "a b", 0, 1, child="1"), spoken("x", "m", 1, 2, child="1")]
        report = scored(reference, [spoken("x", "a i", 0, 1)], by=["child"])
        write_report(tmp_path, report, {"seed": 0})
        content = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
        assert content["phoneme_error_rate"] == pytest.approx(2 / 3)
        assert content["groups"][0]["group"] == "1"
        rows = list(csv.DictReader((tmp_path / "utterances.csv").read_text(encoding="utf-8").splitlines()))
        assert [row["predicted"] for row in rows] == ["a i", ""]
        assert [row["start_s"] for row in rows] == ["0.000", "1.000"]
        pairs = (tmp_path / "confusions.csv").read_text(encoding="utf-8").splitlines()
        assert "b,i,1" in pairs
        assert "m,,1" in pairs
        assert (
            (tmp_path / "groups.csv").read_text(encoding="utf-8").splitlines()[1].startswith("child,1,2,3,0.66667,,,")
        )
