"""Mean rates of children against all possible samples of small populations, and statsmodels."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from babyhubert.evaluation.children import ChildRates, mean_of_children

FACTOR = np.array([0.8])


def rates_of(
    machine: np.ndarray, people: np.ndarray, found: np.ndarray, annotated: int, single: bool = False
) -> ChildRates:
    """Children with one measure, of whom the first have clips."""
    some = np.arange(len(machine)) < annotated
    rates = [np.where(some, each, 0)[:, None] for each in (people, found)]
    return ChildRates(machine[:, None], some, *rates, some & single)


@pytest.mark.parametrize("annotated", [4, 3])
def test_over_all_samples_of_children_the_mean_is_the_truth_and_the_variance_that_of_the_estimates(annotated):
    people = np.array([9.0, 4.0, 30.0])  # with the errors of the clips
    machine = found = np.array([5.0, 4.0, 21.0])  # clips with as much in them as all time
    values, variances, alone = [], [], []
    for drawn in product(range(3), repeat=4):
        rows = list(drawn)
        got = mean_of_children(rates_of(machine[rows], people[rows], found[rows], annotated), FACTOR)
        values.append(got.corrected.value[0])
        variances.append(np.nan_to_num(got.corrected.error[0]) ** 2)
        alone.append(got.sample.value[0])
    truth = (people + FACTOR * (machine - found)).mean()
    assert np.mean(values) == pytest.approx(truth, rel=1e-12)
    assert np.mean(alone) == pytest.approx(people.mean(), rel=1e-12)
    assert np.mean(variances) == pytest.approx(np.var(values), rel=1e-12)


def test_with_clips_of_all_children_it_is_the_mean_of_their_rates():
    draw = np.random.default_rng(0)
    people, machine, found = draw.gamma(2, 5, (3, 9))
    found *= machine.mean() / found.mean()
    got = mean_of_children(rates_of(machine, people, found, 9), FACTOR)
    own = people + FACTOR * (machine - found)
    theirs = DescrStatsW(own)
    assert got.corrected.value[0] == pytest.approx(theirs.mean, rel=1e-9)
    assert got.corrected.error[0] == pytest.approx(theirs.std_mean, rel=1e-9)
    assert got.corrected.low[0] == pytest.approx(max(theirs.tconfint_mean()[0], 0), rel=1e-9)
    reach = theirs.tconfint_mean()[1] - theirs.mean
    assert got.corrected.high[0] == pytest.approx(theirs.mean * np.exp(reach / theirs.mean), rel=1e-9)
    assert got.spread[0] == pytest.approx(np.std(own, ddof=1), rel=1e-9)
    alone = DescrStatsW(people)
    assert got.sample.error[0] == pytest.approx(alone.std_mean, rel=1e-9)
    assert got.machine[0] == pytest.approx(machine.mean())


def test_intervals_of_children_hold_the_mean_of_the_population():
    draw = np.random.default_rng(3)
    for children, annotated in ((8, 8), (30, 12)):
        held, narrower = [], []
        for _ in range(600):
            true = draw.gamma(4, 5, children)
            machine = true * draw.beta(20, 4, children)
            noise = draw.normal(1, 0.15, (2, children))
            got = mean_of_children(rates_of(machine, true * noise[0], machine * noise[1], annotated), np.ones(1))
            held.append(got.corrected.low[0] <= 20 <= got.corrected.high[0])
            narrower.append(got.corrected.error[0] < got.sample.error[0])
        assert 0.93 < np.mean(held) < 0.98
        assert annotated == children or np.mean(narrower) > 0.9


def test_the_error_of_corrections_is_scaled_and_leverage_given_back():
    draw = np.random.default_rng(1)
    people, machine, found = draw.gamma(2, 5, (3, 7))
    got = mean_of_children(rates_of(machine, people, found, 7, single=True), FACTOR)
    own = people - FACTOR * found
    apart = found - found.mean()
    leverage = 7 / 6 * apart**2 / (apart**2).sum()
    left = (own - own.mean()) / (1 - leverage) * machine.mean() / found.mean()
    assert got.corrected.value[0] == pytest.approx((own + FACTOR * machine).mean(), rel=1e-9)
    wanted = DescrStatsW(FACTOR * machine + left).std_mean
    assert got.corrected.error[0] == pytest.approx(wanted, rel=1e-9)


def test_what_few_children_cannot_tell_has_no_interval():
    two = mean_of_children(rates_of(np.ones(5), np.array([3.0, 4, 0, 0, 0]), np.ones(5), 2), FACTOR)
    assert two.corrected.value[0] == pytest.approx(3.5)
    assert np.isnan([two.corrected.low[0], two.sample.low[0]]).all()
    none = mean_of_children(rates_of(np.ones(5), np.zeros(5), np.zeros(5), 0), FACTOR)
    assert np.isnan(none.corrected.value[0])
    assert (none.annotated, none.machine[0]) == (0, 1)
    unseen = mean_of_children(rates_of(np.ones(5), np.zeros(5), np.ones(5), 5), FACTOR)
    assert unseen.seen[0] == 0
    assert np.isnan(unseen.corrected.low[0])
