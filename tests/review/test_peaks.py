"""Peaks from which waveforms are drawn, against the plain definition."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from babyhubert.audio.recording import open_recording
from babyhubert.review.peaks import peaks_of

KINDS = [(16000, "PCM_16", 500_003), (16000, "FLOAT", 90_001), (44100, "PCM_16", 90_001)]


@pytest.mark.parametrize(("rate", "kind", "samples"), KINDS)
def test_they_are_the_greatest_of_each_stretch(tmp_path, rate, kind, samples):
    sound = np.random.default_rng(0).normal(0, 0.01, samples).clip(-1, 1)
    sound[1000] = -0.25
    soundfile.write(tmp_path / "x.wav", sound, rate, subtype=kind)
    with open_recording(tmp_path / "x.wav") as recording:
        whole = np.abs(recording.read(0, recording.n_samples))
    expected = [whole[first : first + 40].max() for first in range(0, len(whole), 40)]
    found = np.frombuffer(peaks_of(tmp_path / "x.wav"), dtype=np.uint8)
    np.testing.assert_allclose(found, np.array(expected) * 127 / max(expected), atol=0.51)
    assert found.max() == 127


def test_silence_is_flat(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.zeros(1000), 16000, subtype="PCM_16")
    assert peaks_of(tmp_path / "x.wav") == bytes(25)
