"""Totals from clips against formulas written out anew, all possible samples of small populations, and properties."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from babyhubert.errors import ConfigError
from babyhubert.evaluation.estimation import ClipDesign, estimate, estimate_shares
from babyhubert.evaluation.intervals import student_quantile


def design_of(clips: list[int], lengths: list[float]) -> ClipDesign:
    """So many clips of length 1 in strata of these lengths."""
    stratum = np.repeat(np.arange(len(clips)), clips)
    return ClipDesign(stratum, np.ones(len(stratum)), np.array(lengths, dtype=float))


def drawn(seed: int, clips: int, columns: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Amounts of people and machine that go together."""
    draw = np.random.default_rng(seed)
    people = draw.gamma(1.0, 2.0, (clips, columns))
    return people, 0.7 * people + draw.gamma(1.0, 0.5, (clips, columns))


def formula(design: ClipDesign, people: np.ndarray, machine: np.ndarray, total: float) -> dict[str, float]:
    """One amount, with sums over strata written out: survey sampling's textbook formulas and SciPy's t."""
    height = len(design.stratum_length)
    rows = [np.flatnonzero(design.stratum == h) for h in range(height)]
    weight = [float(w) for w in design.stratum_length]

    def expand(values):
        return sum(w * values[r].mean() for w, r in zip(weight, rows, strict=True))

    scales = [w**2 * (1 - len(r) / w) / len(r) for w, r in zip(weight, rows, strict=True)]
    covariance = [np.cov(people[r], machine[r]) * s for r, s in zip(rows, scales, strict=True)]
    (v_people, v_both), (_, v_machine) = sum(covariance)
    slope = max(v_both / v_machine, 0)
    value = expand(people) + slope * (total - expand(machine))
    parts = []
    for r, s in zip(rows, scales, strict=True):
        part = 0.0
        for clip in r:
            x = machine[clip] - machine[r].mean()
            e = people[clip] - people[r].mean() - slope * x
            lever = x**2 * s / (len(r) - 1) / v_machine if slope > 0 else 0.0
            part += s / (len(r) - 1) * (e / max(1 - lever, 0.05)) ** 2
        parts.append(part)
    error = np.sqrt(sum(parts)) * np.clip(total / expand(machine), 1 / 3, 3)
    free = sum(parts) ** 2 / sum(p**2 / (len(r) - 1) for p, r in zip(parts, rows, strict=True)) - 1
    reach = stats.t.ppf(0.975, max(free, 1)) * error
    alone = np.sqrt(v_people)
    own = [np.var(people[r], ddof=1) * s for r, s in zip(rows, scales, strict=True)]
    own_free = sum(own) ** 2 / sum(p**2 / (len(r) - 1) for p, r in zip(own, rows, strict=True))
    own_reach = stats.t.ppf(0.975, own_free) * alone
    found = people.sum()
    return {
        "value": max(value, found),
        "error": error,
        "low": max(value - reach, found),
        "high": value * np.exp(reach / value),
        "alone": expand(people),
        "alone_error": alone,
        "alone_low": max(expand(people) * np.exp(-own_reach / expand(people)), found),
        "alone_high": expand(people) * np.exp(own_reach / expand(people)),
        "gain": max((alone / error) ** 2 - 1, 0),
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.tuples(st.integers(2, 6), st.integers(20, 400)), min_size=1, max_size=5))
def test_totals_and_intervals_equal_the_formulas_written_out(seed, strata):
    assume(sum(n - 1 for n, _ in strata) >= 3)
    design = design_of([n for n, _ in strata], [w for _, w in strata])
    people, machine = drawn(seed, len(design.stratum))
    totals = design.totals(machine) * 1.1
    result = estimate(design, people, machine, totals)
    for k in range(people.shape[1]):
        wanted = formula(design, people[:, k], machine[:, k], totals[k])
        got = {
            "value": result.corrected.value[k],
            "error": result.corrected.error[k],
            "low": result.corrected.low[k],
            "high": result.corrected.high[k],
            "alone": result.sample.value[k],
            "alone_error": result.sample.error[k],
            "alone_low": result.sample.low[k],
            "alone_high": result.sample.high[k],
            "gain": result.gain[k],
        }
        assert got == pytest.approx(wanted, rel=1e-9)


def every_sample(populations, clips):
    """All samples of so many clips from each stratum's cells."""
    yield from product(*(combinations(range(len(p)), n) for p, n in zip(populations, clips, strict=True)))


def test_over_all_samples_the_mean_is_the_truth_and_the_variance_that_of_the_estimates():
    draw = np.random.default_rng(3)
    populations = [draw.gamma(1, 2, (5, 1)), draw.gamma(1, 4, (6, 1))]
    found = [0.5 * p + draw.gamma(1, 1, p.shape) for p in populations]
    truth, machine = sum(p.sum() for p in populations), sum(p.sum() for p in found)
    design = design_of([2, 3], [5, 6])
    totals, variances, corrected = [], [], []
    for spots in every_sample(populations, (2, 3)):
        people = np.concatenate([p[list(s)] for p, s in zip(populations, spots, strict=True)])
        own = np.concatenate([p[list(s)] for p, s in zip(found, spots, strict=True)])
        totals.append(design.totals(people)[0])
        variances.append((design.deviations(people).terms ** 2).sum())
        corrected.append(totals[-1] + 0.8 * (machine - design.totals(own)[0]))
    assert np.mean(totals) == pytest.approx(truth, rel=1e-12)
    assert np.mean(corrected) == pytest.approx(truth, rel=1e-12)
    assert np.mean(variances) == pytest.approx(np.var(totals), rel=1e-12)


def test_recordings_without_clips_count_as_drawn_in_two_stages():
    draw = np.random.default_rng(4)
    population = draw.gamma(1, 2, (4, 4)) * draw.gamma(1, 3, (4, 1))
    totals, variances = [], []
    for recordings in combinations(range(4), 2):
        for spots in product(combinations(range(4), 2), repeat=2):
            stratum = np.repeat(recordings, 2)
            design = ClipDesign(stratum, np.ones(4), np.full(4, 4.0))
            people = population[stratum, np.concatenate(spots)][:, None]
            totals.append(design.totals(people)[0])
            variances.append((design.deviations(people).terms ** 2).sum())
    assert np.mean(totals) == pytest.approx(population.sum(), rel=1e-12)
    assert np.mean(variances) == pytest.approx(np.var(totals), rel=1e-12)


@pytest.mark.parametrize("clips", [(1, 1, 1), (2, 1, 3)])
def test_strata_with_one_clip_never_understate_the_variance(clips):
    draw = np.random.default_rng(5)
    cells = draw.gamma(1, 2, (4, 1))
    populations = [cells, cells + 3, cells + 5]  # alike but for their mean
    design = design_of(list(clips), [4, 4, 4])
    totals, variances = [], []
    for spots in every_sample(populations, clips):
        people = np.concatenate([p[list(s)] for p, s in zip(populations, spots, strict=True)])
        totals.append(design.totals(people)[0])
        variances.append((design.deviations(people).terms ** 2).sum())
    assert np.mean(totals) == pytest.approx(sum(p.sum() for p in populations), rel=1e-12)
    if clips == (1, 1, 1):
        assert np.mean(variances) > np.var(totals)
    else:
        assert np.mean(variances) == pytest.approx(np.var(totals), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(0.01, 100))
def test_units_and_order_do_not_matter(seed, scale, machine_scale):
    design = design_of([3, 4, 1, 1], [30, 40, 50, 60])
    people, machine = drawn(seed, 9)
    totals = design.totals(machine) * 0.9
    one = estimate(design, people, machine, totals)
    order = np.random.default_rng(seed).permutation(9)
    moved = ClipDesign(design.stratum[order], design.length, design.stratum_length)
    two = estimate(moved, scale * people[order], machine_scale * machine[order], machine_scale * totals)
    for name in ("value", "error", "low", "high"):
        assert scale * getattr(one.corrected, name) == pytest.approx(getattr(two.corrected, name), rel=1e-7)
        assert scale * getattr(one.sample, name) == pytest.approx(getattr(two.sample, name), rel=1e-9)
    assert one.gain == pytest.approx(two.gain, rel=1e-6, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_a_perfect_machine_is_right_and_a_useless_one_does_no_harm(seed):
    design = design_of([4, 4], [100, 200])
    people, _ = drawn(seed, 8)
    exact = estimate(design, people, people, 1.3 * design.totals(people))
    assert exact.corrected.value == pytest.approx(1.3 * design.totals(people))
    constant = estimate(design, people, np.ones_like(people), np.full(2, 300.0))
    assert constant.corrected.value == pytest.approx(constant.sample.value)
    assert constant.corrected.error == pytest.approx(constant.sample.error)
    assert constant.gain == pytest.approx(0, abs=1e-9)


def test_with_too_few_clips_to_fit_it_the_coefficient_is_one():
    people, machine = drawn(7, 3, 1)
    design, total = design_of([3], [50]), np.array([90.0])
    result = estimate(design, people, machine, total)
    assert result.coefficient.tolist() == [1]
    assert result.corrected.value == pytest.approx(total + design.totals(people - machine))
    left = np.sqrt(50**2 * 0.94 / 3 * np.var(people - machine, ddof=1))
    assert result.corrected.error[0] == pytest.approx(left * np.clip(90 / design.totals(machine)[0], 1 / 3, 3))


def test_intervals_of_skewed_amounts_hold_the_truth_as_often_as_they_say():
    draw = np.random.default_rng(11)
    people = draw.gamma(0.4, 3, (4, 300, 50)) * draw.gamma(4, 0.25, (4, 1, 50))
    machine = people * draw.beta(12, 4, people.shape) + draw.gamma(0.2, 1, people.shape)
    truth, totals = people.sum(axis=(0, 1)), machine.sum(axis=(0, 1))
    design, held, alone = design_of([6] * 4, [300] * 4), [], []
    for _ in range(60):
        spot = draw.permuted(np.tile(np.arange(300), (4, 1)), axis=1)[:, :6]
        at = (design.stratum, spot.ravel())
        result = estimate(design, people[at], machine[at], totals)
        held.append((result.corrected.low <= truth) & (truth <= result.corrected.high))
        alone.append((result.sample.low <= truth) & (truth <= result.sample.high))
        assert np.median(result.gain) > 1
    assert 0.91 < np.mean(held) < 0.97  # amounts are more skewed here than in the benchmark: 0.92 and 0.93
    assert 0.91 < np.mean(alone) < 0.97


def test_what_clips_cannot_tell_has_no_interval():
    people, machine = drawn(0, 6)
    people[:, 1] = 0
    result = estimate(design_of([3, 3], [50, 50]), people, machine, np.array([100.0, 100.0]))
    assert np.isfinite([result.corrected.low[0], result.sample.high[0]]).all()
    assert np.isnan([result.corrected.low[1], result.sample.high[1], result.gain[1]]).all()
    assert result.seen.tolist() == [6, 0]
    two = estimate(design_of([2], [50]), people[:2], machine[:2], np.array([9.0, 9.0]))
    assert np.isnan([two.corrected.low, two.sample.low]).all()
    one = estimate(design_of([1], [50]), people[:1], machine[:1], np.array([9.0, 9.0]))
    assert np.isnan(one.corrected.low).all()
    elsewhere = estimate(design_of([3, 0], [50, 50]), people[:3], machine[:3], np.array([9.0, 9.0]))
    assert np.isnan(elsewhere.corrected.low).all()


def test_everything_annotated_leaves_no_error():
    people, machine = drawn(1, 4, 1)
    result = estimate(design_of([4], [4]), people, machine, machine.sum(axis=0))
    assert result.corrected.value == pytest.approx(people.sum(axis=0))
    assert np.isnan(result.corrected.error).all()


def test_totals_stay_between_what_was_found_and_what_is_possible():
    people, machine = drawn(2, 4, 1)
    result = estimate(design_of([4], [400]), people, machine, machine.sum(axis=0) / 10, most=np.array([9.0]))
    assert people.sum() <= result.corrected.low[0] <= result.corrected.high[0] <= 9
    assert result.corrected.value[0] >= people.sum()


def test_shares_have_the_linearised_error_of_a_ratio():
    part, rest = drawn(6, 8, 1)
    design, complete = design_of([8], [80]), part + rest
    got = estimate_shares(design, part, complete)
    share = part.sum() / complete.sum()
    error = np.sqrt(0.9 / 8 * np.var(part - share * complete, ddof=1)) / complete.mean()
    reach = stats.t.ppf(0.975, 7) * error / (share * (1 - share))
    odds = np.log(share / (1 - share))
    assert got.value[0] == pytest.approx(share, rel=1e-9)
    assert got.error[0] == pytest.approx(error, rel=1e-9)
    assert [got.low[0], got.high[0]] == pytest.approx(
        [1 / (1 + np.exp(reach - odds)), 1 / (1 + np.exp(-reach - odds))]
    )


def test_quantiles_are_those_of_scipy():
    freedom = np.array([1, 1.5, 2, 3.7, 10, 100, 1e4])
    assert student_quantile(freedom, 0.95) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


def test_impossible_designs_are_refused():
    with pytest.raises(ConfigError, match="longer than the stratum"):
        design_of([3], [2])
    with pytest.raises(ConfigError, match="length above 0"):
        design_of([1], [0])


def test_intervals_from_some_of_few_recordings_hold_the_truth_as_often_as_they_say():
    draw = np.random.default_rng(12)
    held, alone = [], []
    for _ in range(40):
        level = draw.gamma(4, 0.25, (5, 1, 30)) * draw.gamma(4, 0.25, (5, 1, 1))
        people = draw.gamma(0.6, 3, (5, 200, 30)) * level
        machine = people * draw.beta(12, 4, (5, 1, 30)) + draw.gamma(0.3, 1, people.shape)
        truth, totals = people.sum(axis=(0, 1)), machine.sum(axis=(0, 1))
        spot = draw.permuted(np.tile(np.arange(200), (3, 1)), axis=1)[:, :8]
        design = ClipDesign(np.repeat(np.arange(3), 8), np.ones(24), np.full(5, 200.0))
        at = (design.stratum, spot.ravel())
        result = estimate(design, people[at], machine[at], totals)
        held.append((result.corrected.low <= truth) & (truth <= result.corrected.high))
        alone.append((result.sample.low <= truth) & (truth <= result.sample.high))
    assert 0.93 < np.mean(held) < 0.98
    assert 0.9 < np.mean(alone) < 0.98


def test_few_recordings_drawn_have_few_degrees_of_freedom_and_a_large_leverage():
    people, machine = drawn(8, 9, 1)
    design = ClipDesign(np.repeat([0, 1, 2], 3), np.ones(9), np.full(5, 40.0))
    of_people, of_machine = design.deviations(people), design.deviations(machine)
    assert of_people.drawn
    total = design.totals(machine)
    got = estimate(design, people, machine, total)
    factor = (of_people.terms * of_machine.terms).sum() / (of_machine.terms**2).sum()
    leverage = of_machine.terms[:, 0] ** 2 / (of_machine.terms**2).sum()
    leverage[9:] *= 3 / 2
    left = (of_people.terms - factor * of_machine.terms)[:, 0] / np.maximum(1 - leverage, 0.05)
    parts = [(left[of_people.group == g] ** 2).sum() for g in range(4)]
    assert got.corrected.error[0] == pytest.approx(np.sqrt(sum(parts)), rel=1e-9)
    free = sum(parts) ** 2 / sum(p**2 / 2 for p in parts)
    reach = stats.t.ppf(0.975, max((free**2 * 2) ** (1 / 3) - 1, 1)) * got.corrected.error[0]
    value = got.corrected.value[0]
    assert got.corrected.high[0] == pytest.approx(value * np.exp(reach / value), rel=1e-9)
