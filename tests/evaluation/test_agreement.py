"""Agreement: kappa equals scikit-learn's, F1 does not depend on who comes first."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.evaluation.agreement import agree, cohen_kappa
from babyhubert.evaluation.agreement_presentation import agreement_table, notes, write_report


def annotations(seed: int, recordings: int = 4, frames: int = 200, noise: float = 0.1):
    """What two annotators mark on the frame grid, as tables and as frames, (T, 4)."""
    rng = np.random.default_rng(seed)
    sides = [{}, {}]
    grids = [[], []]
    for name in "abcdefgh"[:recordings]:
        truth = np.repeat(rng.random((frames // 10, 4)) < 0.3, 10, axis=0)
        truth[-1, 0] = True  # both mark the last frame, so that the extent is known
        for side, found in enumerate(sides):
            active = truth ^ (np.repeat(rng.random((frames // 5, 4)) < noise, 5, axis=0))
            active[-1, 0] = True
            rows = [
                (int(t) * 320, int(t + 1) * 320, label)
                for column, label in enumerate(VOICE_TYPES)
                for t in np.flatnonzero(active[:, column])
            ]
            found[name] = Segments.from_rows(rows)
            grids[side].append(active)
    return *sides, *(np.concatenate(grid) for grid in grids)


@pytest.mark.parametrize("seed", range(4))
def test_kappa_equals_scikit_learn(seed):
    first, second, a, b = annotations(seed)
    report = agree(first, second)
    expected = [cohen_kappa_score(a[:, column], b[:, column]) for column in range(4)]
    np.testing.assert_allclose(report.class_kappas, expected)
    assert report.mean_kappa == pytest.approx(np.mean(expected))
    codes = a @ (1 << np.arange(4)), b @ (1 << np.arange(4))
    assert report.overall_kappa == pytest.approx(cohen_kappa_score(*codes))
    assert report.patterns.sum() == len(a)


def test_who_comes_first_does_not_matter():
    first, second, _, _ = annotations(1)
    one, other = agree(first, second), agree(second, first)
    assert one.time.f1 == pytest.approx(other.time.f1)
    np.testing.assert_allclose(one.class_kappas, other.class_kappas)
    assert one.overall_kappa == pytest.approx(other.overall_kappa)


def test_the_same_annotation_agrees_wholly():
    first, _, _, _ = annotations(2)
    report = agree(first, first)
    np.testing.assert_allclose(report.class_kappas, 1)
    assert report.time.macro_f1 == 1
    assert report.overall_kappa == 1


def test_kappa_where_it_is_not_defined_or_negative():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(cohen_kappa(np.array([[9, 0], [0, 0]])))
        assert np.isnan(cohen_kappa(np.zeros((2, 2), dtype=np.int64)))
        assert cohen_kappa(np.array([[0, 5], [5, 0]])) == -1
    silent = agree({"a": Segments.from_rows([(0, 320, "KCHI")])}, {"a": Segments.from_rows([(0, 320, "KCHI")])})
    assert np.isnan(silent.class_kappas).all()
    assert np.isnan(silent.mean_kappa)


def test_the_uem_says_how_much_silence_counts():
    first = {"a": Segments.from_rows([(0, 3_200, "FEM")]), "b": Segments.empty()}
    second = {"a": Segments.from_rows([(1_600, 3_200, "FEM")]), "b": Segments.empty()}
    without = agree(first, second)
    assert without.patterns.sum() == 10
    uem = {"a": (np.array([0]), np.array([32_000]))}
    within = agree(first, second, uem=uem)
    assert within.patterns.sum() == 100
    assert within.class_kappas[3] > without.class_kappas[3] == 0
    np.testing.assert_array_equal(within.time.scores, without.time.scores)
    assert within.time.outside_uem == ("b",)
    assert any("no UEM" in note for note in notes(without, None))


def test_recordings_of_one_side_are_named_and_none_in_common_is_an_error():
    table = Segments.from_rows([(0, 320, "KCHI")])
    report = agree({"a": table, "b": table}, {"day/a": table, "c": table})
    assert report.time.recordings == ("a",)
    assert (report.only_first, report.only_second) == (("b",), ("c",))
    said = "\n".join(notes(report, None))
    assert "not annotated by the second, left out: b" in said
    assert "not annotated by the first, left out: c" in said
    with pytest.raises(AnnotationError, match="annotated by both"):
        agree({"a": table}, {"b": table})
    with pytest.raises(ConfigError, match="at most 6"):
        agree({"a": table}, {"a": table}, labels="ABCDEFG")


def test_intervals_and_files(tmp_path):
    first, second, _, _ = annotations(3, recordings=8)
    report = agree(first, second)
    intervals = report.bootstrap(np.random.default_rng(0), 200)
    assert intervals is not None
    ends = intervals[1].classes
    assert ((ends[:, 0] < report.class_kappas) & (report.class_kappas < ends[:, 1])).all()
    assert intervals[1].whole[0] < report.overall_kappa < intervals[1].whole[1]
    write_report(tmp_path, report, intervals, {"seed": 0})
    content = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert content["kappa"]["whole_answer"]["kappa"] == pytest.approx(report.overall_kappa)
    assert content["f1"]["mean"]["f1"] == pytest.approx(report.time.macro_f1)
    lines = (tmp_path / "agreement.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["class", *VOICE_TYPES, "mean", "whole answer"]
    assert agreement_table(report, intervals).row_count == 6
    assert agree({"a": first["a"]}, second).bootstrap(np.random.default_rng(0)) is None
