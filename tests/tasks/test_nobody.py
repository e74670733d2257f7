"""Windows in which nobody speaks."""

from __future__ import annotations

import numpy as np
import pytest

from babyhubert.tasks.augmentation import NobodySettings, nobody

SAMPLES = 16_000


def level(sounds):
    return 20 * np.log10(np.sqrt(np.square(sounds).mean(axis=1)) + 1e-20)


def test_levels_and_kinds_are_those_asked_for():
    settings = NobodySettings(level_dbfs=(-50.0, -40.0), silent_share=0.3, tones_share=0.3)
    sounds = nobody(400, 2000, settings, np.random.default_rng(0))
    assert sounds.dtype == np.float32
    silent = ~sounds.any(axis=1)
    assert silent.mean() == pytest.approx(0.3, abs=0.07)
    heard = level(sounds[~silent])
    assert heard.min() > -50.01
    assert heard.max() < -39.99


def test_tones_are_narrow_and_noise_is_not():
    def peak_share(**shares):
        settings = NobodySettings(silent_share=0.0, **shares)
        power = np.abs(np.fft.rfft(nobody(20, SAMPLES, settings, np.random.default_rng(1)) * np.hanning(SAMPLES))) ** 2
        return np.sort(power, axis=1)[:, -80:].sum(axis=1) / power.sum(axis=1)

    assert (peak_share(tones_share=1.0) > 0.98).all()
    assert (peak_share(tones_share=0.0) < 0.98).all()


def test_it_is_a_function_of_its_generator():
    first, again = (nobody(5, 4000, NobodySettings(), np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, again)
    assert nobody(0, 4000, NobodySettings(), np.random.default_rng(3)).shape == (0, 4000)
