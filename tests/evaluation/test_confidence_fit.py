"""The meaning of segments' scores: against SciPy's minimiser, scikit-learn's metrics, and counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, roc_auc_score

from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.errors import AnnotationError
from babyhubert.evaluation.confidence_fit import FitSettings, fit_class, fit_confidence, measure, ranking
from babyhubert.evaluation.confidence_report import confidence_notes, wilson
from babyhubert.evaluation.reviewed_segments import ReviewedSegments, covered, overlaps_half
from babyhubert.inference.calibration import sigmoid


def drawn(seed: int, count: int, intercept: float, slope: float, recordings: int = 8) -> ReviewedSegments:
    rng = np.random.default_rng(seed)
    score = rng.normal(1, 2, count)
    right = (rng.random(count) < sigmoid(intercept + slope * score)).astype(float)
    names = np.array([f"r{number}" for number in rng.integers(0, recordings, count)], dtype=object)
    labels = np.array(rng.choice(VOICE_TYPES[:2], count), dtype=object)
    return ReviewedSegments(names, labels, score, right)


@pytest.mark.parametrize("count", [3, 12, 200])
def test_a_fit_has_the_highest_posterior(count):
    rows = drawn(count, count, -0.5, 0.6)

    def loss(pair):
        z = pair[0] + pair[1] * rows.score
        return np.sum(np.logaddexp(0, z) - rows.right * z) + (pair[0] ** 2 + (pair[1] - 1) ** 2) / 2

    expected = minimize(loss, (0, 1), tol=1e-12).x
    fit, falls = fit_class(rows.score, rows.right)
    assert (fit.intercept, fit.slope) == pytest.approx(expected, abs=1e-4)
    assert not falls


def test_few_or_one_sided_segments_stay_near_the_score_and_none_leave_it():
    nothing, _ = fit_class(np.empty(0), np.empty(0))
    assert nothing == (0.0, 1.0)
    few, _ = fit_class(np.array([1.0, 2.0]), np.ones(2))
    assert 0 < few.intercept < 1
    assert 1 < few.slope < 1.5
    many, _ = fit_class(np.full(50, 0.5), np.ones(50))
    assert 0.9 < sigmoid(np.array([many.intercept + many.slope * 0.5]))[0] < 1


def test_a_score_that_misleads_does_not_count():
    score = np.linspace(-2, 4, 100)
    right = (score < 0).astype(float)
    fit, falls = fit_class(score, right)
    assert falls
    assert fit.slope == 0
    assert sigmoid(np.array([fit.intercept]))[0] == pytest.approx(right.mean(), abs=0.02)


def test_fits_find_what_segments_were_drawn_from_and_held_out_error_is_small():
    result = fit_confidence(drawn(1, 6000, -1.0, 0.5), ("KCHI", "OCH"), FitSettings(resamples=200))
    for fit in result.classes.values():
        assert (fit.fit.intercept, fit.fit.slope) == pytest.approx((-1.0, 0.5), abs=0.12)
        assert fit.held_out.error < 0.04 < fit.before.error
        assert fit.held_out.brier_ends[0] < fit.held_out.brier < fit.held_out.brier_ends[1]
    assert (result.folds, result.over) == (8, "recordings")


def test_a_held_out_recording_does_not_know_its_own_answers():
    rows = drawn(5, 400, 0.0, 1.0, recordings=2)
    score = np.zeros(len(rows))
    right = (rows.recording == "r0").astype(float)
    result = fit_confidence(ReviewedSegments(rows.recording, rows.label, score, right), ("KCHI", "OCH"))
    assert result.all[1].brier > 0.8  # each recording's own answers would give a quarter


def test_measures_equal_those_of_scikit_learn():
    rows = drawn(2, 300, 0.2, 0.8)
    values = sigmoid(rows.score)
    found = measure(values, rows.right, rows.recording, np.random.default_rng(0), FitSettings(resamples=50))
    assert found.brier == pytest.approx(brier_score_loss(rows.right, values))
    assert found.ranking == pytest.approx(roc_auc_score(rows.right, values))
    assert ranking(np.round(values, 1), rows.right) == pytest.approx(roc_auc_score(rows.right, np.round(values, 1)))
    edges = np.clip(np.ceil(values * 10).astype(int) - 1, 0, 9)
    error = sum(abs(values[edges == b].sum() - rows.right[edges == b].sum()) for b in range(10)) / len(values)
    assert found.error == pytest.approx(error)


def test_a_single_recording_is_divided_by_segments_and_nothing_is_refused():
    rows = drawn(3, 40, 0, 1, recordings=1)
    assert fit_confidence(rows, ("KCHI", "OCH"), FitSettings(resamples=0)).over == "segments"
    with pytest.raises(AnnotationError, match="9 reviewed segments: at least 10"):
        fit_confidence(rows.where(np.arange(9)), ("KCHI", "OCH"))


def test_reviewed_segments_that_are_all_right_are_told_to_teach_nothing():
    rows = drawn(4, 60, 0, 1)
    right = np.where(rows.label == "KCHI", 1.0, rows.right)
    result = fit_confidence(
        ReviewedSegments(rows.recording, rows.label, rows.score, right), ("KCHI", "OCH"), FitSettings(resamples=0)
    )
    told = [note for note in confidence_notes(result) if "every reviewed segment" in note]
    assert [note.split(":")[0] for note in told] == ["KCHI"]
    assert "is right" in told[0]


@given(st.integers(0, 40), st.integers(1, 40))
def test_intervals_of_shares_are_wilson_s(right, further):
    total = right + further
    expected = binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert wilson(right / total, total) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.integers(0, 10_000))
def test_half_is_counted_as_by_hand(seed):
    rng = np.random.default_rng(seed)

    def table(count):
        start = rng.integers(0, 60, count)
        rows = zip(start, start + rng.integers(1, 12, count), rng.choice(VOICE_TYPES[:2], count), strict=True)
        return Segments.from_rows((int(s), int(e), str(label)) for s, e, label in rows)

    segments, reference = table(8), table(rng.integers(0, 8))
    expected = []
    for start, end, label in segments:
        same = {sample for s, e, other in reference if other == label for sample in range(s, e)}
        expected.append(2 * len(same & set(range(start, end))) >= end - start)
    assert overlaps_half(segments, reference).tolist() == expected
    whole = covered(segments, reference.intervals())
    every = {sample for s, e, _ in reference for sample in range(s, e)}
    assert whole.tolist() == [len(every & set(range(s, e))) for s, e, _ in segments]
