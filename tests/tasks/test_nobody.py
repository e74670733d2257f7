"""Windows in which nobody speaks."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from babyhubert.audio.discovery import discover
from babyhubert.material.audio_store import AudioStore
from babyhubert.material.made_up_sounds import NonSpeech, NonSpeechSettings, melody

SAMPLES = 16_000


def level(sounds):
    return 20 * np.log10(np.sqrt(np.square(sounds).mean(axis=1)) + 1e-20)


def test_levels_and_kinds_are_those_asked_for():
    settings = NonSpeechSettings(level_dbfs=(-50.0, -40.0), silent_share=0.3, tones_share=0.3)
    sounds = NonSpeech(settings).windows(400, 2000, np.random.default_rng(0))
    assert sounds.dtype == np.float32
    silent = ~sounds.any(axis=1)
    assert silent.mean() == pytest.approx(0.3, abs=0.07)
    heard = level(sounds[~silent])
    assert heard.min() > -50.01
    assert heard.max() < -39.99


def test_tones_are_narrow_and_noise_is_not():
    def peak_share(**shares):
        settings = NonSpeechSettings(silent_share=0.0, **shares)
        power = (
            np.abs(
                np.fft.rfft(NonSpeech(settings).windows(20, SAMPLES, np.random.default_rng(1)) * np.hanning(SAMPLES))
            )
            ** 2
        )
        return np.sort(power, axis=1)[:, -80:].sum(axis=1) / power.sum(axis=1)

    assert (peak_share(tones_share=1.0) > 0.98).all()
    assert (peak_share(tones_share=0.0) < 0.98).all()


def test_melodies_are_tones_that_change():
    def dominant(sound):
        """The strongest frequency of every quarter of a second, Hz."""
        quarters = sound.reshape(-1, SAMPLES // 4) * np.hanning(SAMPLES // 4)
        return np.abs(np.fft.rfft(quarters)).argmax(axis=1) * 4

    settings = NonSpeechSettings(silent_share=0.0, tones_share=0.0, melodies_share=1.0, level_dbfs=(-30.0, -30.0))
    sounds = NonSpeech(settings).windows(30, 8 * SAMPLES, np.random.default_rng(2))
    assert level(sounds) == pytest.approx(-30, abs=0.01)
    assert np.median([len(set(dominant(sound))) for sound in sounds]) > 4
    power = np.abs(np.fft.rfft(sounds * np.hanning(sounds.shape[1]))) ** 2
    concentrated = np.sort(power, axis=1)[:, -len(power[0]) // 50 :].sum(axis=1) / power.sum(axis=1)
    assert np.median(concentrated) > 0.9  # of the power in a fiftieth of the spectrum
    assert melody(100, np.random.default_rng(0)).shape == (100,)


def test_shares_of_more_than_all_windows_are_refused():
    with pytest.raises(ValueError, match=r"are 1\.1 together"):
        NonSpeechSettings(silent_share=0.4, tones_share=0.4, melodies_share=0.3)


@pytest.mark.parametrize("settings", [NonSpeechSettings(), NonSpeechSettings(melodies_share=0.5)])
def test_it_is_a_function_of_its_generator(settings):
    first, again = (NonSpeech(settings).windows(9, 4000, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, again)
    assert NonSpeech(NonSpeechSettings()).windows(0, 4000, np.random.default_rng(3)).shape == (0, 4000)


def test_recorded_sounds_run_faster_slower_or_backwards_as_far_as_they_are_told_to(tmp_path):
    time = np.arange(2 * SAMPLES) / SAMPLES
    fading = 0.5 * np.sin(2 * np.pi * 2000 * time) * np.exp(-2 * time)  # as a struck bell
    soundfile.write(tmp_path / "bell.wav", fading, SAMPLES)
    recorded = AudioStore.build(discover([tmp_path]), tmp_path / "cache")
    table = {"silent_share": 0.0, "tones_share": 0.0, "recorded_share": 1.0, "folder": str(tmp_path)}

    def pitches_and_backwards(**changed):
        non_speech = NonSpeech(NonSpeechSettings(**table, **changed), recorded)
        rng = np.random.default_rng(5)
        sounds = [non_speech._recorded_sound(SAMPLES, rng) for _ in range(60)]
        hertz = [np.abs(np.fft.rfft(sound)).argmax() * SAMPLES / len(sound) for sound in sounds]
        halves = [np.array_split(np.square(sound[: SAMPLES // 2]), 2) for sound in sounds]
        return np.array(hertz), np.array([early.sum() < late.sum() for early, late in halves])

    hertz, backwards = pitches_and_backwards()
    assert hertz.min() > 2000 * 0.84
    assert hertz.max() < 2000 * 1.21
    assert not backwards.any()
    hertz, backwards = pitches_and_backwards(recorded_speed=(0.5, 2.0), reversed_share=0.4)
    assert 980 < hertz.min() < 1300
    assert 3500 < hertz.max() < 4040
    assert backwards.mean() == pytest.approx(0.4, abs=0.15)
