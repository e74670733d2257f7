"""Calibration against scikit-learn: the same fit, the same reliability curve."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.evaluation.calibration import (
    VALUES,
    ScoreHistogram,
    calibrate,
    count_scores,
    fit_calibration,
    reliability,
)
from babyhubert.inference.calibration import Calibration, read_calibration


def draw(seed: int, count: int = 4000, temperature: float = 2.5, bias: float = -0.7):
    """Scores whose true probability is sigmoid(logit / temperature + bias), and what happened."""
    rng = np.random.default_rng(seed)
    scores = (1 / (1 + np.exp(-rng.normal(0, 3, count)))).astype(np.float16)
    inside = np.clip(scores.astype(float), 1e-6, 1 - 1e-4)
    truth = rng.random(count) < 1 / (1 + np.exp(-(np.log(inside / (1 - inside)) / temperature + bias)))
    return scores, truth


def counts_of(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    codes = scores.view(np.uint16)
    return np.stack([np.bincount(codes[truth == side], minlength=len(VALUES)) for side in (False, True)])


def logits(scores: np.ndarray) -> np.ndarray:
    p = np.clip(scores.astype(float), 2.0**-25, 1 - 2.0**-12)
    return np.log(p / (1 - p))


@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_a_logistic_regression(seed):
    scores, truth = draw(seed)
    for kind, intercept in (("temperature-bias", True), ("temperature", False)):
        temperature, bias = fit_calibration(counts_of(scores, truth), kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            oracle = LogisticRegression(C=1e10, fit_intercept=intercept, tol=1e-10, max_iter=1000)
            oracle.fit(logits(scores)[:, None], truth)
        assert 1 / temperature == pytest.approx(oracle.coef_[0, 0], rel=1e-4)
        assert bias == pytest.approx(oracle.intercept_[0] if intercept else 0.0, abs=1e-4)


def test_the_true_correction_is_found_and_repairs_the_error():
    scores, truth = draw(5, count=60_000)
    temperature, bias = fit_calibration(counts_of(scores, truth), "temperature-bias")
    assert temperature == pytest.approx(2.5, rel=0.05)
    assert bias == pytest.approx(-0.7, abs=0.05)
    corrected = Calibration(("KCHI",), np.array([temperature]), np.array([bias])).apply(VALUES[:, None])[:, 0]
    counts = counts_of(scores, truth)
    before, after = reliability(counts), reliability(counts, corrected.astype(float))
    assert before.error > 0.1
    assert after.error < 0.02
    assert after.log_loss < before.log_loss


def test_reliability_equals_scikit_learn():
    scores, truth = draw(1)
    found = reliability(counts_of(scores, truth), bins=15)
    observed, confident = calibration_curve(truth, scores.astype(float), n_bins=15)
    np.testing.assert_allclose([row.observed for row in found.bins], observed)
    np.testing.assert_allclose([row.confidence for row in found.bins], confident)
    weights = np.array([row.frames for row in found.bins]) / len(scores)
    assert found.error == pytest.approx(weights @ np.abs(observed - confident))
    assert found.log_loss == pytest.approx(log_loss(truth, np.clip(scores.astype(float), 2.0**-25, 1 - 2.0**-12)))
    assert (found.frames, found.positive) == (len(truth), truth.sum())


def test_scores_that_tell_everything_nothing_or_the_contrary_stay_finite():
    scores = np.array([0.1] * 50 + [0.9] * 50, dtype=np.float16)
    truth = np.arange(100) >= 50
    for labels in (truth, ~truth, np.arange(100) % 2 == 0):
        for kind in ("temperature", "temperature-bias"):
            temperature, bias = fit_calibration(counts_of(scores, labels), kind)
            assert 1e-3 <= temperature <= 1e3
            assert np.isfinite(bias)
    contrary = fit_calibration(counts_of(scores, ~truth), "temperature-bias")
    assert contrary[0] == pytest.approx(1e3)
    assert contrary[1] == pytest.approx(0, abs=1e-2)


def test_a_class_on_one_side_only_is_left_as_it_is():
    scores, truth = draw(0)
    for side in (True, False):
        counts = counts_of(scores, np.full(len(truth), side))
        assert fit_calibration(counts, "temperature-bias") == (1.0, 0.0)
        assert np.isfinite(reliability(counts).log_loss)
    empty = reliability(np.zeros((2, len(VALUES)), dtype=np.int64))
    assert empty.bins == ()
    assert np.isnan(empty.error)


def test_frames_are_counted_on_the_grid_and_within_the_uem():
    scores = np.array([[0.25], [0.5], [0.5], [1.0], [0.0]], dtype=np.float32)
    reference = {"a": Segments.from_rows([(320, 960, "KCHI"), (0, 1600, "FEM")])}
    histogram = count_scores(reference, {"a": scores}.__getitem__, ("KCHI",), folds=[["a"]])
    found = {(side, VALUES[at]): int(n) for (side, at), n in np.ndenumerate(histogram.counts[0, 0]) if n}
    assert found == {(0, 0.25): 1, (1, 0.5): 2, (0, 1.0): 1, (0, 0.0): 1}
    uem = {"a": (np.array([320]), np.array([1280]))}
    inside = count_scores(reference, {"a": scores}.__getitem__, ("KCHI",), folds=[["a"]], uem=uem)
    assert inside.counts.sum() == 3
    with pytest.raises(AnnotationError, match="no probabilities"):
        count_scores(reference, {"a": scores * 3}.__getitem__, ("KCHI",), folds=[["a"]])


def test_held_out_uses_the_other_folds():
    halves = [counts_of(*draw(seed)) for seed in (0, 1)]
    histogram = ScoreHistogram(("KCHI",), np.stack(halves)[:, None])
    calibration, fits = calibrate(histogram, "temperature")
    held = fits["KCHI"].held_out
    assert held is not None
    expected = 0.0
    for own, other in ((0, 1), (1, 0)):
        t, b = fit_calibration(halves[other], "temperature")
        p = Calibration(("KCHI",), np.array([t]), np.array([b])).apply(VALUES[:, None])[:, 0].astype(float)
        expected += reliability(halves[own], p).log_loss / 2
    assert held.log_loss == pytest.approx(expected, rel=1e-5)
    assert calibration.temperature[0] == fits["KCHI"].temperature


def test_apply_keeps_order_and_shape_and_files_round_trip(tmp_path):
    made = Calibration(("KCHI", "FEM"), np.array([2.0, 0.5]), np.array([0.25, -1.0]))
    path = tmp_path / "calibration.toml"
    path.write_text("# comment\n" + made.to_toml(), encoding="utf-8")
    again = read_calibration(path, ("FEM", "KCHI"))
    probabilities = np.random.default_rng(0).random((7, 2)).astype(np.float16)
    swapped = again.apply(probabilities[:, ::-1])[:, ::-1]
    np.testing.assert_allclose(swapped, made.apply(probabilities), rtol=1e-5)
    assert made.apply(probabilities).dtype == np.float32
    order = np.argsort(probabilities[:, 0])
    assert (np.diff(made.apply(probabilities)[order, 0]) >= 0).all()
    same = Calibration(("KCHI",), np.array([1.0]), np.array([0.0])).apply(probabilities[:, :1])
    np.testing.assert_allclose(same, probabilities[:, :1], atol=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[MAL]\ntemperature = 1\nbias = 0", "unknown class 'MAL'"),
        ("", "needs a table"),
        ("[KCHI]\ntemperature = 1", "temperature and bias alone"),
        ("[KCHI]\ntemperature = 0\nbias = 0", "must be above 0"),
        ("[KCHI]\ntemperature = 'x'\nbias = 0", "not a number"),
        ("[KCHI]\ntemperature = 1\nbias = inf", "not a number"),
        ("[KCHI", "not TOML"),
    ],
)
def test_a_bad_calibration_file_is_named(tmp_path, text, message):
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_calibration(path, ("KCHI",))
