"""Addressee scores equal scikit-learn's on utterances, and the duration metric on time."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.tasks.addressee.evaluation import (
    ADDRESSEES,
    PUBLISHED_MAP,
    evaluate_addressee,
    read_addressees,
)
from babyhubert.tasks.classification.evaluation import classification_scores
from babyhubert.tasks.classification.presentation import as_json, notes, write_report

SECOND = 16_000


def turns(*rows: tuple[float, float, str, str]) -> Segments:
    """A table from (start s, end s, voice, addressee)."""
    start, end, label, said = zip(*rows, strict=True) if rows else ((), (), (), ())
    edges = (np.array([round(t * SECOND) for t in side], dtype=np.int64) for side in (start, end))
    return Segments(*edges, np.array(label, dtype=object), {"addressee": np.array(said, dtype=object)})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_utterance_scores_equal_scikit_learn(pairs):
    truth, said = zip(*pairs, strict=True)
    rows = [(n, n + 0.5, "FEM") for n in range(len(pairs))]
    reference = {"x": turns(*((*row, ADDRESSEES[k]) for row, k in zip(rows, truth, strict=True)))}
    prediction = {"x": turns(*((*row, ADDRESSEES[k]) for row, k in zip(rows, said, strict=True)))}
    result = evaluate_addressee(reference, prediction)
    assert result.segments == "same"
    assert result.utterances is not None
    expected = precision_recall_fscore_support(truth, said, labels=[0, 1, 2], zero_division=np.nan)
    np.testing.assert_allclose(result.utterances.scores[:, :2], np.stack(expected[:2], axis=1))
    present = sorted(set(truth) | set(said))
    f1 = precision_recall_fscore_support(truth, said, labels=present, zero_division=0)[2]
    np.testing.assert_allclose(result.utterances.scores[present, 2], f1)
    assert result.utterances.macro[2] == pytest.approx(f1.mean())


def test_other_children_are_other_and_children_are_not_scored():
    reference = {"x": turns((0, 1, "FEM", "OCDS"), (1, 2, "KCHI", ""), (2, 3, "MAL", "ADS"))}
    prediction = {"x": turns((0, 1, "FEM", "Other"), (1, 2, "KCHI", ""), (2, 3, "MAL", "KCDS"))}
    report = evaluate_addressee(reference, prediction).utterances
    assert report is not None
    np.testing.assert_array_equal(report.confusion[0], [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]])


def test_another_map_and_other_classes():
    reference = {"x": turns((0, 1, "FEM", "OCDS"))}
    with pytest.raises(AnnotationError, match=r"x: addressee 'OCDS' in the reference.*--map OCDS=Other"):
        evaluate_addressee(reference, reference, rewrite={})
    four = ("ADS", "KCDS", "OCDS", "Other")
    report = evaluate_addressee(reference, reference, labels=four, rewrite={}).utterances
    assert report is not None
    assert report.confusion[0, 2, 2] == 1
    with pytest.raises(ConfigError, match="each once"):
        evaluate_addressee(reference, reference, labels=("ADS", "ADS"))


def test_missing_answers_and_turns_without_addressee():
    reference = {
        "x": turns((0, 1, "FEM", "ADS"), (1, 2, "FEM", "KCDS"), (3, 4, "FEM", "")),
        "y": turns((0, 1, "MAL", "ADS")),
    }
    prediction = {"x": turns((0, 1, "FEM", "ADS"), (1, 2, "FEM", ""), (3, 4, "FEM", "ADS"), (8, 9, "MAL", "ADS"))}
    result = evaluate_addressee(reference, prediction)
    assert result.utterances is not None
    np.testing.assert_array_equal(result.utterances.confusion.sum(axis=0), [[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    assert result.utterances.scores[0].tolist() == pytest.approx([1, 0.5, 2 / 3])
    assert (result.utterances.unanswered, result.utterances.extra, result.unlabelled) == (2, 1, 1)
    said = "\n".join(notes(result, None))
    for expected in (
        "same segments",
        "2 utterances without",
        "without prediction: y",
        "1 predicted adult",
        "Other: on",
    ):
        assert expected in said


def test_the_same_times_of_two_voices_are_two_turns():
    reference = {"x": turns((0, 1, "FEM", "ADS"), (0, 1, "MAL", "KCDS"))}
    report = evaluate_addressee(reference, reference).utterances
    assert report is not None
    assert report.macro[2] == 1


def test_predicted_segments_are_scored_by_time():
    reference = {"x": turns((0, 10, "FEM", "ADS"), (10, 20, "MAL", "KCDS"), (30, 40, "FEM", ""))}
    prediction = {"x": turns((1, 10, "FEM", "ADS"), (10, 15, "FEM", "ADS"), (32, 38, "FEM", "ADS"))}
    result = evaluate_addressee(reference, prediction)
    assert (result.segments, result.chosen) == ("predicted", True)
    assert result.time is not None
    # ADS: 9 s right, 5 s wrong, 1 s missed; what was said to nobody knows whom counts for nothing.
    np.testing.assert_array_equal(result.time.totals / SECOND, [[9, 5, 1], [0, 0, 10], [0, 0, 0]])
    forced = evaluate_addressee(reference, prediction, segments="same")
    assert (forced.segments, forced.chosen) == ("same", False)
    assert forced.utterances is not None
    assert forced.utterances.unanswered == 2


def test_the_uem_cuts_time_and_keeps_whole_utterances():
    reference = {"x": turns((0, 10, "FEM", "ADS"), (10, 20, "MAL", "KCDS")), "y": turns((0, 1, "FEM", "ADS"))}
    uem = {"x": (np.array([0]), np.array([15 * SECOND]))}
    time = evaluate_addressee(reference, reference, uem=uem, segments="predicted").time
    assert time is not None
    assert time.recordings == ("x",)
    np.testing.assert_array_equal(time.totals[:, 0] / SECOND, [10, 5, 0])
    report = evaluate_addressee(reference, reference, uem=uem, segments="same").utterances
    assert report is not None
    assert report.confusion.sum() == 1


def test_a_day_without_adults_and_a_reference_without_any():
    nobody = turns((0, 1, "KCHI", ""))
    reference = {"x": turns((0, 1, "FEM", "ADS")), "y": nobody}
    result = evaluate_addressee(reference, {"x": reference["x"], "y": nobody})
    assert result.utterances is not None
    assert result.utterances.confusion.sum() == 1
    with pytest.raises(AnnotationError, match="0 adult turns"):
        evaluate_addressee({"y": nobody}, {"y": nobody})
    with pytest.raises(AnnotationError, match="make the ids equal"):
        evaluate_addressee({"x": nobody}, {"z": nobody})


def test_intervals_hold_the_score_and_need_two_recordings():
    rng = np.random.default_rng(0)
    reference, prediction = {}, {}
    for name in map(str, range(12)):
        rows = [(n, n + 0.5, "FEM", str(rng.choice(ADDRESSEES))) for n in range(20)]
        reference[name] = turns(*rows)
        prediction[name] = turns(*((*row[:3], row[3] if rng.random() < 0.7 else "ADS") for row in rows))
    report = evaluate_addressee(reference, prediction).utterances
    assert report is not None
    intervals = report.bootstrap(rng, 200)
    assert intervals is not None
    assert (intervals.classes[:, 2, 0] <= report.scores[:, 2]).all()
    assert intervals.macro[2, 0] <= report.macro[2] <= intervals.macro[2, 1]
    assert evaluate_addressee({"0": reference["0"]}, prediction).utterances.bootstrap(rng) is None


def test_undefined_scores_are_left_out_of_means():
    scores = classification_scores(np.array([[3, 0, 1], [0, 0, 0]]))
    np.testing.assert_allclose(scores[0], [1, 0.75, 6 / 7])
    assert np.isnan(scores[1]).all()


class TestFiles:
    def write(self, path, header, *rows):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header.split(","), *rows])

    def test_both_published_tables_and_an_output_folder(self, tmp_path):
        self.write(
            tmp_path / "truth.csv",
            "recording_id,start_s,end_s,label,speaker_id,addressee",
            ["0012", "0.5", "1.25", "FEM", "w", "OCDS"],
            ["0012", "2", "3", "KCHI", "k", ""],
        )
        self.write(
            tmp_path / "out/rttm_addressee.csv",
            "uid,start_time_s,duration_s,label,addressee",
            ["0012", "0.500", "0.750", "FEM", "Other"],
            ["0012", "2.000", "1.000", "KCHI", ""],
        )
        (tmp_path / "out/rttm").mkdir()
        (tmp_path / "out/rttm/0012.rttm").write_text("", encoding="utf-8")
        result = evaluate_addressee(read_addressees(tmp_path / "truth.csv"), read_addressees(tmp_path / "out"))
        assert result.segments == "same"
        assert result.utterances is not None
        assert result.utterances.macro[2] == 1

    def test_a_table_without_addressees_is_named(self, tmp_path):
        self.write(tmp_path / "truth.csv", "recording_id,start_s,end_s,label", ["x", "0", "1", "FEM"])
        with pytest.raises(AnnotationError, match="no column 'addressee'"):
            read_addressees(tmp_path / "truth.csv")

    @pytest.mark.parametrize("segments", ["same", "predicted"])
    def test_reports(self, tmp_path, segments):
        reference = {"x": turns((0, 1, "FEM", "ADS")), "y": turns((0, 1, "FEM", "KCDS"))}
        result = evaluate_addressee(reference, {"x": reference["x"]}, segments=segments, rewrite=PUBLISHED_MAP)
        report = result.utterances or result.time
        intervals = report.bootstrap(np.random.default_rng(0), 20)
        write_report(tmp_path, result, intervals, {"seed": 0})
        content = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
        assert content["segments"] == segments
        assert content["classes"]["ADS"]["f1"] == 1
        assert content["missing_predictions"] == ["y"]
        assert as_json(result, None)["bootstrap"] is None
        rows = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
        assert rows[0] == "class,precision,recall,f1,f1_low,f1_high"
        assert rows[1].startswith("ADS,1.00000,1.00000,1.00000,")
