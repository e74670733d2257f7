"""Agreement: kappa equals scikit-learn's, F1 does not depend on who comes first."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.evaluation.agreement import agree, cohen_kappa, krippendorff_alpha
from babyhubert.evaluation.agreement_presentation import agreement_table, amounts_table, notes, write_report
from babyhubert.evaluation.intraclass import absolute_agreement, consistency


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


def alpha_by_pairs(first: np.ndarray, second: np.ndarray) -> float:
    """Krippendorff's alpha by its definition: disagreement within units over that of all pairs of values."""
    values = np.concatenate((first, second))
    observed = np.mean(first != second)
    different = values[:, None] != values[None]
    return 1 - observed / (different.sum() / (len(values) * (len(values) - 1)))


@pytest.mark.parametrize("seed", range(4))
def test_alpha_equals_its_definition(seed):
    first, second, a, b = annotations(seed)
    report = agree(first, second)
    expected = [alpha_by_pairs(a[:, column], b[:, column]) for column in range(4)]
    np.testing.assert_allclose(report.class_alphas, expected, rtol=0, atol=1e-9)
    assert report.mean_alpha == pytest.approx(np.mean(expected), abs=1e-9)
    codes = a @ (1 << np.arange(4)), b @ (1 << np.arange(4))
    assert report.overall_alpha == pytest.approx(alpha_by_pairs(*codes), abs=1e-9)


def test_alpha_of_published_examples():
    """Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, examples A (0.095) and B (0.692)."""
    meg, owen = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    ben, gerry = list("aabbdcccedda"), list("babbbccceddd")
    for first, second, alpha in ((meg, owen, 0.095), (ben, gerry, 0.692)):
        names = sorted({*first, *second})
        table = np.zeros((len(names), len(names)), dtype=np.int64)
        for one, other in zip(first, second, strict=True):
            table[names.index(one), names.index(other)] += 1
        assert round(float(krippendorff_alpha(table)), 3) == alpha
    assert np.isnan(krippendorff_alpha(np.array([[5, 0], [0, 0]])))


def test_amounts_by_clip_and_hour():
    """Two recordings of two hours; 3 clips in one hour of the first, 1 in each hour of the second."""
    minute, hour = 60 * 16_000, 3600 * 16_000
    starts = {"a": [0, 10 * minute, 20 * minute], "b": [30 * minute, hour + 5 * minute]}
    uem = {name: (np.array(found), np.array(found) + minute) for name, found in starts.items()}
    rng = np.random.default_rng(0)
    sides, counts = [{}, {}], np.zeros((5, 2))
    for rater, side in enumerate(sides):
        for name, found in starts.items():
            rows = []
            for clip, start in enumerate(found):
                number = int(rng.integers(2, 9))
                counts[clip + 3 * (name == "b"), rater] = number
                rows += [(start + k * 16_000, start + k * 16_000 + 8_000, "KCHI") for k in range(number)]
            rows.append((found[-1] + 2 * minute, found[-1] + 3 * minute, "KCHI"))  # outside the clips
            side[name] = Segments.from_rows(rows)
    clips, hours = agree(*sides, ("KCHI",), uem).amounts
    assert (clips.unit, hours.unit) == ("clip", "hour")
    np.testing.assert_array_equal(clips.values[0, 0], counts)
    np.testing.assert_allclose(clips.values[1, 0], counts / 120)
    np.testing.assert_array_equal(hours.values[0, 0], [counts[:3].sum(axis=0), counts[3], counts[4]])
    assert hours.samples.tolist() == [3 * minute, minute, minute]
    assert hours.uneven
    assert not clips.uneven
    found = clips.correlations(0.95)["count", "KCHI"]
    assert found == (absolute_agreement(counts), consistency(counts))


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
    assert intervals[2].whole[0] < report.overall_alpha < intervals[2].whole[1]
    assert content["alpha"]["whole_answer"]["alpha"] == pytest.approx(report.overall_alpha)
    assert lines[0] == "class,f1,f1_low,f1_high,kappa,kappa_low,kappa_high,alpha,alpha_low,alpha_high"
    rows = [line.split(",") for line in (tmp_path / "intraclass.csv").read_text(encoding="utf-8").splitlines()]
    head = ["unit", "amount", "class", "units", "icc_2_1", "icc_2_1_low", "icc_2_1_high", "icc_3_1", "icc_3_1_low"]
    assert rows[0] == [*head, "icc_3_1_high"]
    assert [row[:4] for row in rows[1:]] == [
        ["clip", amount, label, "8"] for amount in ("count", "minutes") for label in VOICE_TYPES
    ]
    assert amounts_table(report).row_count == 8
    told = "\n".join(notes(report, intervals))
    assert "only 8 clips" in told
    assert "pygamma" not in told
    assert agree({"a": first["a"]}, second).bootstrap(np.random.default_rng(0)) is None
