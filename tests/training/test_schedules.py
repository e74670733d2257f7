"""Learning rates: the published numbers, and torch's own plateau."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from babyhubert.training.schedules import ScheduleSettings, plateaus_of, rate_at

ADDRESSEE = ScheduleSettings(
    kind="tri_stage", warmup_steps=5000, start_share=0.01, hold_steps=12_500, decay_steps=7500, end_share=0.05
)
BABAR = ScheduleSettings(
    kind="tri_stage", warmup_steps=10_000, hold_steps=40_000, decay_steps=50_000, decay="linear", end_share=0.0
)


@pytest.mark.parametrize(
    ("step", "rate"), [(5000, 1e-5), (2500, 0.505e-5), (17_500, 1e-5), (25_000, 0.05e-5), (32_500, 0.0025e-5)]
)
def test_addressee(step, rate):
    assert rate_at(step, 1e-5, ADDRESSEE, 99_999) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("step", "rate"), [(1000, 1e-6), (10_000, 1e-5), (50_000, 1e-5), (75_000, 5e-6), (100_000, 0)]
)
def test_babar(step, rate):
    assert rate_at(step, 1e-5, BABAR, 100_000) == pytest.approx(rate)


def test_linear_and_constant():
    linear = ScheduleSettings(kind="linear", warmup_steps=10)
    assert [rate_at(step, 1.0, linear, 110) for step in (1, 10, 60, 110)] == [0.1, 1.0, 0.5, 0.0]
    assert rate_at(99, 0.3, ScheduleSettings(), 100) == 0.3


@pytest.mark.parametrize("seed", range(5))
def test_plateaus_are_those_of_torch(seed):
    losses = np.round(np.random.default_rng(seed).random(40) + 1, 1)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.1, patience=3, eps=0.0)
    for number, loss in enumerate(losses, start=1):
        schedule.step(loss)
        plateaus = plateaus_of((-losses[:number]).tolist(), 3)
        settings = ScheduleSettings(kind="plateau")
        assert rate_at(9, 1.0, settings, 50, plateaus) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
