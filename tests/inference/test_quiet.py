"""The level detector against plain definitions, and what it does to a run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.errors import ConfigError
from babyhubert.inference.quiet import FRAMES_A_STEP, LoudWindows, levels_in_voice_band, steps_above_floor

RATE = 16_000


def tone(hertz, decibels, seconds):
    """A tone whose level, as a mean square, is so many decibels below full scale."""
    phase = 2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE
    return (np.sqrt(2) * 10 ** (decibels / 20) * np.sin(phase)).astype(np.float32)


@pytest.mark.parametrize(("hertz", "decibels"), [(300, -20), (1_000, -40), (3_000, -60)])
def test_the_level_of_a_tone_in_the_band(hertz, decibels):
    levels = levels_in_voice_band([tone(hertz, decibels, 2)])
    assert levels.shape == (20,)
    assert levels[5:] == pytest.approx(decibels, abs=1)


def test_rumble_is_not_heard():
    assert levels_in_voice_band([tone(20, -10, 2)])[5:].max() < -40


@given(st.lists(st.integers(0, 5_000), max_size=12), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_blocks_of_any_size_give_the_same_levels(cuts, seed):
    sound = np.random.default_rng(seed).standard_normal(20_000).astype(np.float32) * 0.1
    parts = np.split(sound, sorted(cuts))
    assert levels_in_voice_band(parts) == pytest.approx(levels_in_voice_band([sound]), abs=1e-3)


def test_digital_silence_has_a_level_and_sets_no_floor():
    silence = np.zeros(20 * RATE, dtype=np.float32)
    assert (levels_in_voice_band([silence]) == -100).all()
    hiss = np.random.default_rng(0).standard_normal(20 * RATE).astype(np.float32) * 1e-3
    levels = levels_in_voice_band([silence, hiss])
    assert not steps_above_floor(levels, 10).any()
    assert not steps_above_floor(levels[:200], 10).any()


def test_no_samples_at_all():
    levels = levels_in_voice_band([])
    assert levels.shape == (0,)
    assert steps_above_floor(levels, 10).shape == (0,)


def test_windows_with_a_call_are_wanted_and_those_beside_it_are_not():
    rng = np.random.default_rng(0)
    sound = rng.standard_normal(60 * RATE).astype(np.float32) * 1e-3
    sound[30 * RATE : 31 * RATE] += tone(500, -35, 1)
    reads = []

    def read(key):
        reads.append(key)
        return iter(np.split(sound, 6))

    wanted = LoudWindows(read, 10.0)
    asked = {second: wanted("day", 50 * second, 50 * (second + 4)) for second in range(57)}
    assert [second for second, is_wanted in asked.items() if is_wanted] == [27, 28, 29, 30]
    assert reads == ["day"]
    wanted("night", 0, 200)
    assert reads == ["day", "night"]


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 220), st.integers(1, 80))
@settings(deadline=None)
def test_a_window_is_wanted_exactly_where_one_of_its_steps_is_loud(loud, first, frames):
    wanted = LoudWindows(lambda _: [], 10.0)
    wanted._key, wanted._loud_before = "day", np.concatenate(([0], np.cumsum(loud, dtype=np.int32)))
    touched = [step for step in range(len(loud)) if step * FRAMES_A_STEP < first + frames]
    touched = [step for step in touched if (step + 1) * FRAMES_A_STEP > first]
    assert wanted("day", first, first + frames) == any(loud[step] for step in touched)


@pytest.mark.parametrize("margin", [0, -3, float("nan"), float("inf")])
def test_margins_that_mean_nothing_are_refused(margin):
    with pytest.raises(ConfigError, match="skip-quiet"):
        LoudWindows(lambda _: [], margin)
