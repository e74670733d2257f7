"""Made-up everyday sounds: any length, one level, the same for the same seed; motors turn as fast as they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyhubert.audio.everyday_sounds import KINDS, engine, synthesised_sound

RATE = 16_000


@pytest.mark.parametrize("kind", KINDS)
@given(samples=st.integers(400, 3 * RATE), seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_sounds_have_the_length_and_a_level_of_1(kind, samples, seed):
    sound = synthesised_sound(kind, samples, np.random.default_rng(seed))
    assert sound.shape == (samples,)
    assert sound.dtype == np.float32
    assert np.sqrt(np.square(sound, dtype=np.float64).mean()) == pytest.approx(1, abs=1e-3)
    assert np.array_equal(sound, synthesised_sound(kind, samples, np.random.default_rng(seed)))


def test_motors_are_steady_revved_and_switched():
    """Of many, some keep one level within 6 dB and some are silent for tenths of a second."""
    quietest = []
    for seed in range(60):
        sound = engine(4 * RATE, np.random.default_rng(seed))
        tenths = 10 * np.log10(np.square(sound.reshape(-1, RATE // 10)).mean(axis=1) + 1e-12)
        quietest.append(tenths.max() - tenths.min())
    assert sum(fall < 8 for fall in quietest) > 5
    assert 5 < sum(fall > 40 for fall in quietest) < 40
