"""Every change of a training window does what its name says, by as much as was asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as check
from hypothesis import strategies as st
from pydantic import ValidationError

from babyhubert.material.augmentation import (
    Augmentation,
    AugmentationSettings,
    ClippingSettings,
    CodecSettings,
    NoiseSettings,
    PitchSettings,
    ResponseSettings,
    ReverberationSettings,
    SpeedSettings,
    TempoSettings,
    add_at_snr,
    coloured_noise,
    compress,
    mix_scenes,
    overload,
    reverberate,
    source_samples,
    stretch,
    through_microphones,
    warp,
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


def loudest_hertz(sound):
    return int(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))).argmax()) * RATE / len(sound)


def tone(samples, hertz=400):
    return np.sin(2 * np.pi * hertz * np.arange(samples) / RATE).astype(np.float32)


@pytest.mark.parametrize("speed", [0.8, 0.95, 1.0, 1.1, 1.25])
def test_speed_moves_a_click_and_a_pitch_by_its_factor(speed):
    samples = RATE
    needed = source_samples(samples, speed)
    click = np.zeros(needed, dtype=np.float32)
    click[needed // 2] = 1.0
    assert abs(int(np.abs(warp(click, samples, speed)).argmax()) - round(needed // 2 / speed)) <= 1
    assert loudest_hertz(warp(tone(needed), samples, speed)) == pytest.approx(400 * speed, abs=1)


@pytest.mark.parametrize("tempo", [0.8, 0.93, 1.1, 1.25])
@pytest.mark.parametrize("pitch", [0.85, 1.0, 1.12])
def test_tempo_and_pitch_change_by_their_own_factors(tempo, pitch):
    samples = 2 * RATE
    needed = source_samples(samples, tempo)
    sound = tone(needed)
    sound[: needed // 2] = 0
    warped = warp(sound, samples, pitch)
    assert len(warped) == samples
    assert loudest_hertz(warped[samples // 2 + RATE // 8 : -RATE // 8]) == pytest.approx(400 * pitch, abs=3)
    power = np.square(warped).reshape(-1, 320).mean(axis=1)
    assert abs(int(np.flatnonzero(power > 0.25)[0]) - samples // 640) <= 1
    assert power[samples // 640 + 5 : -5] == pytest.approx(0.5, rel=0.1)


def test_pitch_alone_moves_no_time():
    sound = np.concatenate([np.zeros(RATE, np.float32), tone(RATE)])
    warped = warp(sound, len(sound), 2 ** (3 / 12))
    assert loudest_hertz(warped[RATE + 2_000 : -2_000]) == pytest.approx(400 * 2 ** (3 / 12), abs=3)
    assert np.abs(warped[: RATE - 600]).max() < 0.05


@pytest.mark.parametrize("samples", [1, 100, 511, 4_000])
def test_short_and_silent_sounds_can_be_stretched(samples):
    for wanted in (max(samples // 2, 1), samples * 2):
        assert np.array_equal(stretch(np.zeros(samples, np.float32), wanted), np.zeros(wanted, np.float32))
        assert np.isfinite(stretch(voices(1, samples)[0], wanted)).all()


def test_stretching_by_nothing_is_nearly_nothing():
    sound = voices(1, RATE)[0]
    assert np.abs(stretch(sound, RATE) - sound).max() < 1e-4


def warps_of(count=500, **settings):
    return Augmentation(AugmentationSettings(**settings)).warps(count, rng())


def test_factors_lie_in_their_range_and_most_windows_keep_theirs():
    drawn = warps_of(speed=SpeedSettings(probability=0.2, factor=(0.9, 1.1)))
    assert np.array_equal(drawn.tempo, drawn.pitch)
    assert drawn.tempo.min() >= 0.9
    assert drawn.tempo.max() <= 1.1
    assert 0.7 < (drawn.tempo == 1.0).mean() < 0.9


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (SpeedSettings, {"factor": (0.0, 1.0)}),
        (TempoSettings, {"factor": (-1.0, 1.0)}),
        (TempoSettings, {"factor": (1.1, 0.9)}),
        (PitchSettings, {"semitones": (-30.0, 0.0)}),
    ],
)
def test_impossible_ranges_are_refused(kind, values):
    with pytest.raises(ValidationError):
        kind(**values)


def test_tempo_and_pitch_are_drawn_apart():
    tempo = warps_of(tempo=TempoSettings(probability=1.0, factor=(0.5, 0.6)))
    assert (tempo.pitch == 1).all()
    assert 0.5 <= tempo.tempo.min() < tempo.tempo.max() <= 0.6
    pitch = warps_of(pitch=PitchSettings(probability=1.0, semitones=(11.9, 12.0)))
    assert (pitch.tempo == 1).all()
    assert 1.98 < pitch.pitch.min() < pitch.pitch.max() <= 2


def test_a_second_scene_comes_in_at_its_level():
    sound, other = voices(3), voices(3)[:1] * 2
    mixed = mix_scenes(sound, other, np.array([-6.0]), np.array([1]))
    assert np.array_equal(mixed[[0, 2]], sound[[0, 2]])
    assert decibels(other, (mixed - sound)[1:2]) == pytest.approx(6, abs=0.01)


def test_ranges_are_two_numbers_in_order():
    with pytest.raises(ValueError, match="lower one first"):
        NoiseSettings(snr_db=(20.0, 5.0))


def test_microphones_tilt_the_spectrum_of_a_share_of_the_windows_without_delay():
    rng = np.random.default_rng(0)
    sounds = rng.standard_normal((40, 4 * RATE)).astype(np.float32)
    heard = through_microphones(sounds, ResponseSettings(probability=0.5, spread_db=12.0), np.random.default_rng(1))
    changed = np.abs(heard - sounds).max(axis=1) > 0
    assert 0.25 < changed.mean() < 0.75
    np.testing.assert_allclose(np.square(heard).sum(axis=1), np.square(sounds).sum(axis=1), rtol=0.02)
    power = [np.abs(np.fft.rfft(sound[changed])) ** 2 for sound in (heard, sounds)]
    hertz = np.fft.rfftfreq(4 * RATE, 1 / RATE)
    bands = [(hertz >= low) & (hertz < 1.2 * low) for low in (100, 400, 1000, 2500, 6000)]
    gains_db = np.array(
        [10 * np.log10(power[0][:, band].sum(axis=1) / power[1][:, band].sum(axis=1)) for band in bands]
    )
    assert np.ptp(gains_db, axis=0).max() <= 24.5
    assert np.ptp(gains_db, axis=0).mean() > 6
    click = np.zeros((1, RATE), dtype=np.float32)
    click[0, 8_000] = 1.0
    through = through_microphones(click, ResponseSettings(probability=1.0), np.random.default_rng(2))
    assert np.abs(through[0]).argmax() == 8_000
    still = ResponseSettings(probability=1.0, spread_db=0.0)
    np.testing.assert_allclose(through_microphones(sounds, still, np.random.default_rng(2)), sounds, atol=1e-5)


@given(st.floats(0.001, 0.2), st.integers(0, 100))
@check(deadline=None, max_examples=20)
def test_an_overloaded_recorder_cuts_the_share_that_was_asked_and_nothing_else(share, seed):
    sound, lengths = voices(), np.array([RATE, RATE, RATE // 2])
    sound[2, RATE // 2 :] = 0
    heard = overload(sound, lengths, ClippingSettings(probability=1.0, share=(share, share)), rng(seed))
    for row, length in enumerate(lengths):
        cut = heard[row] != sound[row]
        assert np.isclose(cut[:length].mean(), share, atol=1e-3)
        level = np.abs(heard[row]).max()
        assert np.allclose(np.abs(heard[row, cut]), level)
        assert (np.sign(heard[row, cut]) == np.sign(sound[row, cut])).all()
        assert not heard[row, length:].any()


def in_band(samples):
    """Three pulses with vowels' frequencies, silence between: what a codec keeps, at times that can be told."""
    time = np.arange(samples) / RATE
    tone = sum(np.sin(2 * np.pi * hertz * time) for hertz in (150, 450, 900, 1500))
    return (0.05 * tone * (np.sin(2 * np.pi * 3 * time) > 0.5)).astype(np.float32)


@pytest.mark.parametrize("samples", [RATE, 2 * RATE + 137])
def test_compressed_windows_keep_length_position_and_level(samples):
    sound = np.stack([in_band(samples), 1e-3 * in_band(samples), np.zeros(samples, np.float32)])
    heard = compress(sound, CodecSettings(probability=1.0, kbit_s=(24.0, 24.0)), rng())
    assert heard.shape == sound.shape
    assert not heard[2].any()
    for row in (0, 1):
        assert not np.array_equal(heard[row], sound[row])
        likeness = np.correlate(sound[row], heard[row][400:-400], "valid")
        assert abs(int(likeness.argmax()) - 400) <= 2
        assert np.isclose(np.std(heard[row]) / np.std(sound[row]), 1, atol=0.1)


def test_lower_rates_lose_more():
    sound = voices(1, 2 * RATE)
    lost = [
        np.square(compress(sound, CodecSettings(probability=1.0, kbit_s=(rate, rate)), rng()) - sound).mean()
        for rate in (8.0, 16.0, 64.0)
    ]
    assert lost[0] > lost[1] > lost[2] > 0


def test_rates_that_opus_lacks_are_refused():
    with pytest.raises(ValidationError, match="Opus has 6 to 256"):
        CodecSettings(kbit_s=(2.0, 20.0))


def test_overload_and_compression_are_drawn_for_a_share_of_the_windows_and_repeat_with_the_seed():
    sound, lengths = voices(12), np.full(12, RATE)
    for settings in (
        AugmentationSettings(clipping=ClippingSettings(probability=0.5)),
        AugmentationSettings(codec=CodecSettings(probability=0.5)),
    ):
        heard = Augmentation(settings)(sound, lengths, rng(3))
        assert np.array_equal(heard, Augmentation(settings)(sound, lengths, rng(3)))
        changed = (heard != sound).any(axis=1)
        assert 2 <= changed.sum() <= 10
