"""MFCC against a slow spelling-out of Kaldi's definition."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st
from packs import sound

from babyhubert.audio.mfcc import MFCC_DIM, differences, mfcc
from babyhubert.timebase import frame_count


def mel(hertz):
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


def slow_steps(waveform: np.ndarray) -> np.ndarray:
    """13 coefficients every 10 ms in float64, one window at a time."""
    samples = waveform.astype(np.float64) * 32_768
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    edges = np.linspace(mel(20.0), mel(8_000.0), 25)
    bins = mel(np.arange(256) * 16_000 / 512)
    steps = []
    for begin in range(0, len(samples) - 399, 160):
        part = samples[begin : begin + 400] - samples[begin : begin + 400].mean()
        part = part - 0.97 * np.concatenate([part[:1], part[:-1]])
        power = np.abs(np.fft.rfft(part * window, 512))[:256] ** 2
        bands = [
            np.sum(power * np.clip(np.minimum((bins - a) / (b - a), (c - bins) / (c - b)), 0, None))
            for a, b, c in zip(edges, edges[1:], edges[2:], strict=False)
        ]
        cepstrum = scipy.fft.dct(np.log(np.maximum(bands, np.finfo(np.float32).eps)), norm="ortho")[:13]
        steps.append(cepstrum * (1 + 11 * np.sin(np.pi * np.arange(13) / 22)))
    return np.array(steps)


def slow_differences(steps: np.ndarray) -> np.ndarray:
    last = len(steps) - 1
    rows = []
    for t in range(len(steps)):
        around = [steps[min(max(t + reach, 0), last)] for reach in (-2, -1, 0, 1, 2)]
        rows.append(np.polyfit([-2, -1, 0, 1, 2], np.array(around), 1)[0])
    return np.array(rows)


@pytest.mark.parametrize("samples", [400, 719, 720, 16_000, 33_333])
def test_equal_to_the_definition(samples):
    waveform = sound(samples, seed=3).astype(np.float32) / 32_768
    steps = slow_steps(waveform)
    first = slow_differences(steps)
    wanted = np.concatenate([steps, first, slow_differences(first)], axis=1)[::2]
    np.testing.assert_allclose(mfcc(waveform), wanted, atol=5e-3)


def test_frames_see_what_frames_of_the_encoder_see():
    waveform = sound(16_000, seed=1).astype(np.float32) / 32_768
    whole = mfcc(waveform)[:, :13]
    for frame in (0, 1, 7, len(whole) - 1):
        alone = mfcc(waveform[320 * frame : 320 * frame + 400])
        np.testing.assert_allclose(alone[0, :13], whole[frame], atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9_000))
def test_counts_are_those_of_the_frame_grid(samples):
    features = mfcc(np.zeros(samples, dtype=np.float32))
    assert features.shape == (frame_count(samples), MFCC_DIM)
    assert np.isfinite(features).all()


def test_slope_of_a_line_is_exact_inside():
    line = np.arange(10, dtype=np.float32)[:, None] * np.array([[1.0, -3.0]], dtype=np.float32)
    np.testing.assert_allclose(differences(line)[2:-2], np.tile([[1.0, -3.0]], (6, 1)), rtol=1e-6)
