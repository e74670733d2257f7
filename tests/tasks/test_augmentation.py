"""Every change of a training window does what its name says, by as much as was asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as check
from hypothesis import strategies as st

from babyhubert.tasks.augmentation import (
    Augmentation,
    AugmentationSettings,
    NoiseSettings,
    ReverberationSettings,
    SpeedSettings,
    add_at_snr,
    coloured_noise,
    mix_scenes,
    resample_speed,
    reverberate,
    source_samples,
)

RATE = 16_000


def rng(seed=0):
    return np.random.default_rng(seed)


def voices(rows=3, samples=RATE):
    return (0.1 * rng(5).standard_normal((rows, samples))).astype(np.float32)


def decibels(signal, noise):
    return 10 * np.log10(
        np.square(signal, dtype=np.float64).mean(axis=1) / np.square(noise, dtype=np.float64).mean(axis=1)
    )


def test_nothing_by_default():
    sound = voices()
    assert np.array_equal(Augmentation(AugmentationSettings())(sound, np.full(3, RATE), rng()), sound)


@given(st.lists(st.floats(-20, 40), min_size=1, max_size=4), st.integers(0, 100))
@check(deadline=None, max_examples=20)
def test_noise_is_added_at_the_level_that_was_asked(snr_db, seed):
    sound = voices(len(snr_db))
    noise = coloured_noise(len(snr_db), RATE, (0.0, 2.0), rng(seed))
    noisy = add_at_snr(sound, noise, np.array(snr_db))
    assert np.allclose(decibels(sound, noisy - sound), snr_db, atol=0.2)


def test_levels_are_those_of_the_row_and_padding_stays_silent():
    sound = voices(2)
    sound[1, RATE // 4 :] = 0
    lengths = np.array([RATE, RATE // 4])
    settings = AugmentationSettings(
        noise=NoiseSettings(probability=1.0, snr_db=(10.0, 10.0)),
        reverberation=ReverberationSettings(probability=1.0),
        gain_db=3.0,
    )
    changed = Augmentation(settings)(sound, lengths, rng())
    assert not changed[1, RATE // 4 :].any()
    only_noise = Augmentation(AugmentationSettings(noise=settings.noise))(sound, lengths, rng())
    own = slice(0, RATE // 4)
    assert decibels(sound[1:, own], (only_noise - sound)[1:, own]) == pytest.approx(10, abs=0.1)


def test_silence_stays_silence():
    silence = np.zeros((2, RATE), dtype=np.float32)
    settings = AugmentationSettings(
        noise=NoiseSettings(probability=1.0), reverberation=ReverberationSettings(probability=1.0)
    )
    assert not Augmentation(settings)(silence, np.full(2, RATE), rng()).any()


@pytest.mark.parametrize(("tilt", "slope_db"), [(0.0, 0.0), (1.0, -3.0), (2.0, -6.0)])
def test_noise_falls_by_three_decibels_an_octave_for_each_unit_of_tilt(tilt, slope_db):
    spectrum = np.square(np.abs(np.fft.rfft(coloured_noise(8, 4 * RATE, (tilt, tilt), rng())))).mean(axis=0)
    hertz = np.fft.rfftfreq(4 * RATE, 1 / RATE)
    bands = [spectrum[(hertz > low) & (hertz < 2 * low)].mean() for low in (200, 400, 800, 1600, 3200)]
    assert np.allclose(np.diff(10 * np.log10(bands)), slope_db, atol=0.4)


def test_recorded_noise_comes_from_the_folder(tmp_path):
    import soundfile

    hum = 0.3 * np.sin(2 * np.pi * 100 * np.arange(RATE // 2) / RATE)
    soundfile.write(tmp_path / "hum.wav", hum, RATE)
    settings = AugmentationSettings(noise=NoiseSettings(probability=1.0, snr_db=(0.0, 0.0), folder=str(tmp_path)))
    sound = voices(1)
    added = Augmentation.prepare(settings, tmp_path / "cache")(sound, np.array([RATE]), rng()) - sound
    spectrum = np.abs(np.fft.rfft(added[0]))
    assert abs(int(spectrum.argmax()) - 100) <= 1
    assert decibels(sound, added) == pytest.approx(0, abs=0.1)


def test_a_room_keeps_the_direct_sound_in_place_and_the_power():
    click = np.zeros((1, RATE), dtype=np.float32)
    click[0, 1000] = 1.0
    settings = ReverberationSettings(probability=1.0, decay_s=(0.4, 0.4), direct_to_reverberant_db=(0.0, 0.0))
    wet = reverberate(click, settings, rng())
    assert np.abs(wet[0]).argmax() == 1000
    assert np.abs(wet[0, :1000]).max() < 1e-6
    assert np.square(wet).sum() == pytest.approx(1.0, rel=1e-3)
    tail = np.square(wet[0, 1000 + 80 :], dtype=np.float64)
    early, late = tail[:800].mean(), tail[3200:4000].mean()
    assert 10 * np.log10(early / late) == pytest.approx(60 * 0.2 / 0.4, abs=4)  # 60 dB in 0.4 s
    assert 10 * np.log10(wet[0, 1000] ** 2 / tail.sum()) == pytest.approx(0, abs=0.5)


def test_only_drawn_rows_change():
    sound = voices(200, 800)
    changed = Augmentation(AugmentationSettings(noise=NoiseSettings(probability=0.25)))(
        sound, np.full(200, 800), rng()
    )
    share = (changed != sound).any(axis=1).mean()
    assert 0.15 < share < 0.35


@pytest.mark.parametrize("speed", [0.8, 0.95, 1.0, 1.1, 1.25])
def test_speed_moves_a_click_and_a_pitch_by_its_factor(speed):
    samples = RATE
    needed = source_samples(samples, speed)
    click = np.zeros(needed, dtype=np.float32)
    click[needed // 2] = 1.0
    assert abs(int(np.abs(resample_speed(click, samples)).argmax()) - round(needed // 2 / speed)) <= 1
    tone = np.sin(2 * np.pi * 400 * np.arange(needed) / RATE).astype(np.float32)
    assert abs(int(np.abs(np.fft.rfft(resample_speed(tone, samples))).argmax()) - 400 * speed) <= 1


def test_speeds_lie_in_their_range_and_most_windows_keep_theirs():
    drawn = Augmentation(AugmentationSettings(speed=SpeedSettings(probability=0.2, factor=(0.9, 1.1)))).speeds(
        500, rng()
    )
    assert drawn.min() >= 0.9
    assert drawn.max() <= 1.1
    assert 0.7 < (drawn == 1.0).mean() < 0.9


def test_a_second_scene_comes_in_at_its_level():
    sound, other = voices(3), voices(3)[:1] * 2
    mixed = mix_scenes(sound, other, np.array([-6.0]), np.array([1]))
    assert np.array_equal(mixed[[0, 2]], sound[[0, 2]])
    assert decibels(other, (mixed - sound)[1:2]) == pytest.approx(6, abs=0.01)


def test_ranges_are_two_numbers_in_order():
    with pytest.raises(ValueError, match="lower one first"):
        NoiseSettings(snr_db=(20.0, 5.0))
