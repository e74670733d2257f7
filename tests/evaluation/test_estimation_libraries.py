"""Totals and their variances against statsmodels and, where it is installed, ppi_py."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from babyhubert.evaluation.estimation import ClipDesign, estimate


def drawn(seed: int, clips: list[int]) -> tuple[ClipDesign, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    stratum = np.repeat(np.arange(len(clips)), clips)
    people = draw.gamma(1, 3, (len(stratum), 1)) * (1 + stratum[:, None])
    machine = people * draw.beta(8, 3, people.shape) + draw.gamma(0.3, 1, people.shape)
    return ClipDesign(stratum, np.ones(len(stratum)), 40.0 + 30 * np.arange(len(clips))), people, machine


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("clips", [[9], [4, 6, 3]])
def test_the_fit_and_its_residuals_are_those_of_a_weighted_regression(seed, clips):
    design, people, machine = drawn(seed, clips)
    total = 1.2 * design.totals(machine)
    got = estimate(design, people, machine, total)
    size = np.array(clips, dtype=float)[design.stratum]
    length = design.stratum_length[design.stratum]
    weight = length**2 * (1 - size / length) / (size * (size - 1))
    strata = np.eye(len(clips))[design.stratum]
    fit = sm.WLS(people[:, 0], np.column_stack([machine[:, 0], strata]), weights=weight).fit()
    assert got.coefficient[0] == pytest.approx(max(fit.params[0], 0), rel=1e-9)
    centred = [side[:, 0] - (strata @ (strata.T @ side[:, 0] / np.array(clips))) for side in (people, machine)]
    alone = sm.OLS(np.sqrt(weight) * centred[0], np.sqrt(weight) * centred[1]).fit()
    left = alone.resid / np.maximum(1 - alone.get_influence().hat_matrix_diag, 0.05)
    balance = np.clip(total[0] / design.totals(machine)[0], 1 / 3, 3)
    assert got.corrected.error[0] == pytest.approx(np.sqrt((left**2).sum()) * balance, rel=1e-9)
    wanted = length / size @ people[:, 0] + alone.params[0] * (total[0] - length / size @ machine[:, 0])
    assert got.corrected.value[0] == pytest.approx(wanted, rel=1e-9)


def test_totals_are_those_of_prediction_powered_inference():
    ppi = pytest.importorskip("ppi_py", reason="ppi-python is not installed")
    design, people, machine = drawn(1, [12])
    rest = np.random.default_rng(2).permutation(np.repeat(machine, 4, axis=0))[:40]
    cells = len(rest)
    factor = np.array([0.7])
    got = estimate(design, people, machine, rest.sum(axis=0), coefficient=factor)
    theirs = ppi.ppi_mean_pointestimate(people, machine, rest, lam=0.7)
    assert got.corrected.value[0] == pytest.approx(cells * theirs[0], rel=1e-9)
    low, high = ppi.ppi_mean_ci(people, machine, rest, alpha=0.05, lam=0.7)
    error = (high[0] - low[0]) / 2 / stats.norm.ppf(0.975)
    # Theirs has the rest drawn as well, and clips with replacement; ours knows the machine's total.
    sampled = error**2 - 0.7**2 * rest.var() / cells
    own = cells**2 * (1 - 12 / cells) * sampled * 12 / 11
    balance = rest.sum() / design.totals(machine)[0]
    assert got.corrected.error[0] == pytest.approx(np.sqrt(own) * balance, rel=1e-9)
