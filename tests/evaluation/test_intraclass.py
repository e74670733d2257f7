"""Intraclass correlations: against published numbers, statsmodels' analysis of variance, and quantiles of scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from babyhubert.evaluation.intraclass import absolute_agreement, consistency, f_quantile, one_way

SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
"""Shrout and Fleiss (1979), table 2: six targets, four judges."""


def test_quantiles_are_those_of_scipy():
    for first, second in ((1, 1), (1, 30), (5, 12.7), (19, 19), (3.3, 200), (400, 2)):
        for share in (0.025, 0.5, 0.95, 0.975, 0.995):
            assert f_quantile(share, first, second) == pytest.approx(stats.f.ppf(share, first, second), rel=1e-9)


def test_the_example_of_shrout_and_fleiss():
    assert [round(found, 2) for found in absolute_agreement(SHROUT_FLEISS)] == [0.29, 0.02, 0.76]
    assert [round(found, 2) for found in consistency(SHROUT_FLEISS)] == [0.71, 0.34, 0.95]
    assert [round(found, 2) for found in one_way(list(SHROUT_FLEISS))] == [0.17, -0.13, 0.72]


def mean_squares(table: np.ndarray, formula: str) -> dict[str, float]:
    n, k = table.shape
    frame = pd.DataFrame(
        {"value": table.ravel(), "unit": np.repeat(np.arange(n), k), "rater": np.tile(np.arange(k), n)}
    )
    squares = anova_lm(ols(formula, frame).fit())
    return (squares["sum_sq"] / squares["df"]).to_dict()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [(8, 2), (40, 2), (6, 4)])
def test_values_and_intervals_by_statsmodels(seed, shape):
    rng = np.random.default_rng(seed)
    table = rng.normal(0, 2, (shape[0], 1)) + rng.normal(0, 1, (1, shape[1])) + rng.normal(0, 1, shape)
    n, k = shape
    two = mean_squares(table, "value ~ C(unit) + C(rater)")
    rows, columns, error = two["C(unit)"], two["C(rater)"], two["Residual"]
    value = (rows - error) / (rows + (k - 1) * error + k * (columns - error) / n)
    a, b = k * value / (n * (1 - value)), 1 + k * value * (n - 1) / (n * (1 - value))
    freedom = (a * columns + b * error) ** 2 / ((a * columns) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1)))
    lower, upper = stats.f.ppf(0.975, n - 1, freedom), stats.f.ppf(0.975, freedom, n - 1)
    rest = k * columns + (k * n - k - n) * error
    ends = (
        n * (rows - lower * error) / (lower * rest + n * rows),
        n * (upper * rows - error) / (rest + n * upper * rows),
    )
    np.testing.assert_allclose(absolute_agreement(table), (value, *ends), rtol=1e-9)
    ratio, free = rows / error, (n - 1) * (k - 1)
    low, high = ratio / stats.f.ppf(0.975, n - 1, free), ratio * stats.f.ppf(0.975, free, n - 1)
    expected = [(each - 1) / (each + k - 1) for each in (ratio, low, high)]
    np.testing.assert_allclose(consistency(table), expected, rtol=1e-9)
    one = mean_squares(table, "value ~ C(unit)")
    ratio, free = one["C(unit)"] / one["Residual"], n * (k - 1)
    low, high = ratio / stats.f.ppf(0.975, n - 1, free), ratio * stats.f.ppf(0.975, free, n - 1)
    expected = [(each - 1) / (each + k - 1) for each in (ratio, low, high)]
    np.testing.assert_allclose(one_way(list(table)), expected, rtol=1e-9)


def test_a_constant_difference_lowers_agreement_alone():
    values = np.arange(10.0)
    table = np.stack((values, values + 3), axis=1)
    assert consistency(table).value == 1
    assert absolute_agreement(table).value == pytest.approx(2 * values.var(ddof=1) / (2 * values.var(ddof=1) + 9))


def test_intervals_cover_the_truth():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        sizes = rng.integers(2, 5, 12)
        groups = [rng.normal() * np.sqrt(0.6) + rng.normal(0, np.sqrt(0.4), size) for size in sizes]
        found = one_way(groups)
        inside += found.low <= 0.6 <= found.high
    assert 0.92 <= inside / 400 <= 0.98


@pytest.mark.parametrize("table", [np.ones((5, 2)), np.zeros((1, 2)), np.zeros((4, 1))])
def test_what_is_undefined_is_nan(table):
    assert all(np.isnan([*absolute_agreement(table), *consistency(table)]))


def test_one_way_needs_repeated_measures():
    assert np.isnan(one_way([np.array([1.0]), np.array([2.0])]).value)
    assert np.isnan(one_way([np.array([1.0, 2.0])]).value)
    assert one_way([np.array([1.0, 1.0]), np.array([2.0, 2.0])]).value == 1


def test_units_that_are_all_alike_have_no_interval_and_break_nothing():
    found = absolute_agreement(np.array([[1.0, 2.0], [1.0, 2.0]]))
    assert found.value == 0
    assert np.isnan([found.low, found.high]).all()
