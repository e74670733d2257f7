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


def hiss(seconds, level=1e-3):
    return np.random.default_rng(0).standard_normal(seconds * RATE).astype(np.float32) * level


def test_digital_silence_has_a_level_and_sets_no_floor():
    silence = np.zeros(600 * RATE, dtype=np.float32)
    levels = levels_in_voice_band([silence, hiss(300)])
    assert (levels[:5_999] == -100).all()
    assert not steps_above_floor(levels, 10).any()
    assert not steps_above_floor(levels[:6_000], 10).any()


def test_a_short_clip_that_is_one_long_cry_is_all_loud():
    assert steps_above_floor(levels_in_voice_band([tone(450, -20, 60)]), 10).all()
    assert not steps_above_floor(levels_in_voice_band([np.zeros(60 * RATE, np.float32)]), 10).any()


@pytest.mark.parametrize(("above_noise_db", "is_found"), [(15, True), (3, False)])
def test_in_noise_that_never_stops_voices_are_found_by_how_far_they_rise_above_it(above_noise_db, is_found):
    sound = hiss(660, level=0.05)
    noise_db = float(np.median(levels_in_voice_band([sound])))
    sound[300 * RATE : 310 * RATE] += tone(450, noise_db + above_noise_db, 10)
    loud = steps_above_floor(levels_in_voice_band([sound]), 10)
    assert loud[3_005:3_095].all() == is_found
    assert not loud[:2_990].any()


def test_no_samples_at_all():
    levels = levels_in_voice_band([])
    assert levels.shape == (0,)
    assert steps_above_floor(levels, 10).shape == (0,)


def test_windows_with_a_call_are_wanted_and_those_beside_it_are_not():
    sound = hiss(660)
    sound[30 * RATE : 31 * RATE] += tone(500, -35, 1)
    reads = []

    def read(key):
        reads.append(key)
        return iter(np.split(sound, 6))

    wanted = LoudWindows(read, 10.0)
    asked = {second: wanted("day", 50 * second, 50 * (second + 4)) for second in range(57)}
    assert [second for second, is_wanted in asked.items() if is_wanted] == [27, 28, 29, 30]
    assert reads == ["day"]
    for first in range(0, 2_000, 200):  # in turns, as an engine asks that draws both at once
        assert wanted("night", first, first + 200) == wanted("day", first, first + 200)
    assert reads == ["day", "night"]


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 220), st.integers(1, 80))
@settings(deadline=None)
def test_a_window_is_wanted_exactly_where_one_of_its_steps_is_loud(loud, first, frames):
    wanted = LoudWindows(lambda _: [], 10.0)
    wanted._loud_steps = {"day": np.array(loud)}.__getitem__
    touched = [step for step in range(len(loud)) if step * FRAMES_A_STEP < first + frames]
    touched = [step for step in touched if (step + 1) * FRAMES_A_STEP > first]
    assert wanted("day", first, first + frames) == any(loud[step] for step in touched)


@pytest.mark.parametrize("margin", [0, -3, float("nan"), float("inf")])
def test_margins_that_mean_nothing_are_refused(margin):
    with pytest.raises(ConfigError, match="a margin of") as error:
        LoudWindows(lambda _: [], margin)
    assert "--skip-quiet" in error.value.option
