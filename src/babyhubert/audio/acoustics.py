"""Gains, filters and room responses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from babyhubert.timebase import SAMPLE_RATE

TAPS = 1024


def decibels(value: float) -> float:
    """Amplitude of a level in dB."""
    return float(10 ** (value / 20))


def room_response(decay_s: float, direct_to_reverberant_db: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Impulse response of a room: the direct sound at sample 0, then noise that falls by 60 dB in ``decay_s``.

    Returns:
        float32, shape (decay_s x 16,000,), unit energy.
    """
    length = int(decay_s * SAMPLE_RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail[: SAMPLE_RATE // 200] = 0.0
    tail *= decibels(-direct_to_reverberant_db) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return (tail / np.sqrt(np.sum(tail**2))).astype(np.float32)


def band(low_hz: float, high_hz: float) -> NDArray[np.float32]:
    """Linear-phase band-pass filter, float32, 1,024 taps, as for a loudspeaker behind a door."""
    hertz = np.linspace(0, SAMPLE_RATE / 2, TAPS // 2 + 1)
    return _linear_phase(1 / (1 + np.exp((low_hz - hertz) / 50)) / (1 + np.exp((hertz - high_hz) / 200)))


def convolve(signal: NDArray[np.float32], response: NDArray[np.float32]) -> NDArray[np.float32]:
    """Full linear convolution, float32, shape (N + M - 1,), by overlap-add over blocks that fit the cache."""
    length = len(signal) + len(response) - 1
    size = min(fast_size(length), 8 * fast_size(len(response)))
    step = size - len(response) + 1
    blocks = np.zeros((-(-len(signal) // step), step), dtype=np.float32)
    blocks.ravel()[: len(signal)] = signal
    spectrum = np.fft.rfft(response, size)
    whole = np.zeros(len(blocks) * step + len(response) - 1, dtype=np.float32)
    for number, block in enumerate(blocks):
        whole[number * step : number * step + size] += np.fft.irfft(np.fft.rfft(block, size) * spectrum, size)
    return whole[:length]


def noise_filter(exponent: float) -> NDArray[np.float32]:
    """Filter that gives white noise a spectrum of 1 / f^(2 exponent) above 60 Hz, and unit power."""
    hertz = np.maximum(np.linspace(0, SAMPLE_RATE / 2, TAPS // 2 + 1), 60.0)
    taps = _linear_phase(hertz**-exponent)
    return (taps / np.sqrt(np.sum(taps**2))).astype(np.float32)


def _linear_phase(magnitude: NDArray[np.float64]) -> NDArray[np.float32]:
    return (np.roll(np.fft.irfft(magnitude), TAPS // 2) * np.hanning(TAPS)).astype(np.float32)


def fast_size(length: int) -> int:
    """Smallest 2^a, 3 * 2^a or 5 * 2^a not below ``length``: sizes with a fast transform."""
    return min(factor << max(0, (-(-length // factor) - 1).bit_length()) for factor in (1, 3, 5))
