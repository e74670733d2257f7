"""Minutes corrected with rates of other recordings: against the truth, a system solved anew, and repeated samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from babyhubert.errors import AnnotationError
from babyhubert.evaluation.transfer import Rates, correct_minutes, read_rates
from babyhubert.exchange.clip_counts import CLASSES

RNG = np.random.default_rng(0)


def recordings_of(number: int, draw: np.random.Generator, spread: float = 0.25) -> tuple[Rates, np.ndarray]:
    """Recordings of ten hours whose machine confuses voices a little differently in each; minutes that it finds."""
    mean = np.array(
        [[0.72, 0.07, 0, 0.03], [0.14, 0.5, 0.01, 0.06], [0, 0, 0.7, 0.06], [0.03, 0.04, 0.06, 0.72], [0.004] * 4]
    )
    share = mean * draw.lognormal(0, spread * (1 - np.eye(5, 4)) + 0.05, (number, 5, 4))
    spoken = draw.gamma(4, [15, 8, 6, 12], (number, 4))
    overlap = 0.03 * spoken.sum(axis=1)
    true = np.column_stack([spoken, 600 - spoken.sum(axis=1) + overlap])
    minutes = np.concatenate([share * true[:, :, None], np.zeros((number, 5, 1))], axis=2)
    return Rates(CLASSES, minutes, true, np.full(number, 10.0)), minutes[:, :, :4].sum(axis=1)


def test_with_the_recordings_own_rates_it_is_the_truth():
    rates, found = recordings_of(6, np.random.default_rng(1))
    got = correct_minutes(found.sum(axis=0), 60.0, 6, rates, RNG)
    assert got.value == pytest.approx(rates.true.sum(axis=0)[:4], rel=1e-9)
    assert (got.low < got.value).all()
    assert (got.value < got.high).all()


def test_it_solves_the_equations_of_confusion():
    rates, _ = recordings_of(5, np.random.default_rng(2))
    found, hours = np.array([80.0, 50, 30, 70]), 20.0
    got = correct_minutes(found, hours, 2, rates, RNG).value
    share = rates.minutes.sum(axis=0) / rates.true.sum(axis=0)[:, None]
    overlap = (3000 - rates.true.sum(axis=0)[4]) / rates.true.sum(axis=0)[:4].sum()
    silence = 1200 - overlap * got.sum()
    for voice in range(4):
        explained = sum(got[k] * share[k, voice] for k in range(4)) + silence * share[4, voice]
        assert explained == pytest.approx(found[voice], rel=1e-9)


def test_intervals_hold_the_truth_of_other_recordings_with_the_same_rates():
    draw, held, error, machine = np.random.default_rng(3), [], [], []
    for _ in range(80):
        rates, _ = recordings_of(10, draw)
        others, found = recordings_of(15, draw)
        truth = others.true.sum(axis=0)[:4]
        got = correct_minutes(found.sum(axis=0), 150.0, 15, rates, draw)
        held.append((got.low <= truth) & (truth <= got.high))
        error.append(got.value / truth - 1)
        machine.append(found.sum(axis=0) / truth - 1)
    assert 0.91 < np.mean(held) < 0.98
    assert abs(np.mean(error, axis=0)).max() < 0.03
    assert abs(np.mean(machine, axis=0)).max() > 0.1


def test_what_the_rates_do_not_tell_is_not_corrected():
    rates, found = recordings_of(4, np.random.default_rng(4))
    rates.minutes[:, 2], rates.true[:, 2] = 0, 0
    got = correct_minutes(found.sum(axis=0), 40.0, 4, rates, RNG)
    assert np.isnan([got.value[2], got.low[2]]).all()
    assert np.isfinite(got.low[[0, 1, 3]]).all()
    two, _ = recordings_of(2, np.random.default_rng(5))
    alone = correct_minutes(found[0], 10.0, 1, two, RNG)
    assert np.isfinite(alone.value).all()
    assert np.isnan(alone.low).all()
    nothing = correct_minutes(np.zeros(4), 10.0, 1, rates, RNG)
    assert np.nan_to_num(nothing.value) == pytest.approx(np.zeros(4))


HEAD = "level,name,true,found,minutes,true_minutes,hours\n"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("all,,KCHI,KCHI,1,2,3\n", "has no rates of recordings"),
        ("recording_id,a,KCHI,CHI,1,2,3\n", "line 2: classes are KCHI, OCH"),
        ("recording_id,a,KCHI,KCHI,x,2,3\n", "line 2: minutes and hours must be numbers"),
        ("recording_id,a,KCHI,KCHI,3,2,3\n", "3.0 of 2.0 minutes in 3.0 h cannot be"),
        ("recording_id,a,KCHI,KCHI,1,nan,3\n", "cannot be"),
    ],
)
def test_malformed_rates_are_refused_by_line(tmp_path, lines, said):
    path = tmp_path / "rates.csv"
    path.write_text(HEAD + lines, encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"rates\.csv") as caught:
        read_rates(path, CLASSES)
    assert said in str(caught.value)
    path.write_text("true,found,share\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match="level"):
        read_rates(path, CLASSES)
    with pytest.raises(AnnotationError):
        read_rates(Path(tmp_path / "none.csv"), CLASSES)
