"""What a home sounds like when nobody speaks: room tone, mains hum, knocks, and the way a room smears a voice.

Steady sounds come as an endless stream of chunks of a fixed size, so that a scene of any length needs the memory of
one chunk and is the same however it is cut; short sounds come as ``(first sample, waveform)`` in order of time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from babyhubert.timebase import SAMPLE_RATE

CHUNK = 10 * SAMPLE_RATE
"""Samples of one chunk of steady sound."""

Sound = tuple[int, NDArray[np.float32]]
_TAPS = 1024


def decibels(value: float) -> float:
    """Amplitude of a level in dB."""
    return float(10 ** (value / 20))


def room_tone(low_dbfs: float, high_dbfs: float, rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Endless coloured noise and hum whose level wanders between two levels: float32 chunks of :data:`CHUNK`."""
    colour = _colour(float(rng.uniform(0.1, 1.0)))
    mains = float(rng.choice([50.0, 60.0]))
    partials = np.array([1, 2, 3, 4, 6])
    weights = rng.uniform(0.2, 1.0, len(partials)) / partials * decibels(low_dbfs - 3)
    phases = rng.uniform(0, 2 * np.pi, len(partials))
    second = 2 * np.pi * mains * np.outer(partials, np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    hum = np.tile(weights @ np.sin(second + phases[:, None]), CHUNK // SAMPLE_RATE)
    level = float(rng.uniform(low_dbfs, high_dbfs))
    before = np.zeros(_TAPS - 1, dtype=np.float32)
    while True:
        after = float(np.clip(level + rng.normal(0, 1.5), low_dbfs, high_dbfs))
        white = np.concatenate([before, rng.standard_normal(CHUNK, dtype=np.float32)])
        before = white[CHUNK:]
        gain = 10 ** (np.linspace(level, after, CHUNK, endpoint=False) / 20)
        yield (convolve(white, colour)[_TAPS - 1 : _TAPS - 1 + CHUNK] * gain + hum).astype(np.float32)
        level = after


def knocks(per_minute: float, rng: np.random.Generator) -> Iterator[Sound]:
    """Endless taps, drops and bangs: one to four decaying resonances at random moments, in order of time."""
    if per_minute <= 0:
        return
    at = 0
    while True:
        at += int(rng.exponential(60.0 / per_minute) * SAMPLE_RATE) + SAMPLE_RATE // 10
        length = SAMPLE_RATE // 4
        seconds = np.arange(length) / SAMPLE_RATE
        sound = rng.standard_normal(length) * np.exp(-seconds / 0.004)
        for _ in range(rng.integers(1, 5)):
            resonance, decay = rng.uniform(150, 3000), rng.uniform(0.01, 0.05)
            sound += rng.uniform(0.3, 1.0) * np.sin(2 * np.pi * resonance * seconds) * np.exp(-seconds / decay)
        yield at, (sound / np.abs(sound).max() * decibels(float(rng.uniform(-40, -18)))).astype(np.float32)


def passing_noises(per_minute: float, low_dbfs: float, high_dbfs: float, rng: np.random.Generator) -> Iterator[Sound]:
    """Endless noises of one to twelve seconds that swell and fade, in order of time.

    Each has a colour and a band of its own. At its loudest it lies between two levels, or up to 6 dB above the upper.
    """
    if per_minute <= 0:
        return
    at = 0
    while True:
        at += int(rng.exponential(60.0 / per_minute) * SAMPLE_RATE)
        length = int(rng.uniform(1.0, 12.0) * SAMPLE_RATE)
        noise = convolve(rng.standard_normal(length, dtype=np.float32), _colour(float(rng.uniform(0.0, 1.0))))[:length]
        if rng.random() < 0.5:
            lowest = float(rng.uniform(80, 2000))
            noise = convolve(noise, band(lowest, lowest * float(rng.uniform(2, 8))))[:length]
        envelope = np.interp(np.linspace(0, 1, length), (0, rng.uniform(0.05, 0.9), 1), (0, np.pi / 2, np.pi))
        noise *= np.square(np.sin(envelope)).astype(np.float32)
        loudest = np.sqrt(np.mean(np.square(noise), dtype=np.float64)) * 1.6  # RMS at the top of the envelope
        yield at, (noise * (decibels(float(rng.uniform(low_dbfs, high_dbfs + 6))) / loudest)).astype(np.float32)


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
    """Linear-phase band-pass filter, float32, 1,024 taps: a loudspeaker behind a door."""
    hertz = np.linspace(0, SAMPLE_RATE / 2, _TAPS // 2 + 1)
    return _linear_phase(1 / (1 + np.exp((low_hz - hertz) / 50)) / (1 + np.exp((hertz - high_hz) / 200)))


def convolve(signal: NDArray[np.float32], response: NDArray[np.float32]) -> NDArray[np.float32]:
    """Full linear convolution, float32, shape (N + M - 1,): overlap-add over blocks that stay in the cache."""
    length = len(signal) + len(response) - 1
    size = min(_fast_size(length), 8 * _fast_size(len(response)))
    step = size - len(response) + 1
    blocks = np.zeros((-(-len(signal) // step), step), dtype=np.float32)
    blocks.ravel()[: len(signal)] = signal
    spectrum = np.fft.rfft(response, size)
    whole = np.zeros(len(blocks) * step + len(response) - 1, dtype=np.float32)
    for number, block in enumerate(blocks):
        whole[number * step : number * step + size] += np.fft.irfft(np.fft.rfft(block, size) * spectrum, size)
    return whole[:length]


def _colour(exponent: float) -> NDArray[np.float32]:
    """Filter that gives white noise a spectrum of 1 / f^(2 exponent) above 60 Hz, and unit power."""
    hertz = np.maximum(np.linspace(0, SAMPLE_RATE / 2, _TAPS // 2 + 1), 60.0)
    taps = _linear_phase(hertz**-exponent)
    return (taps / np.sqrt(np.sum(taps**2))).astype(np.float32)


def _linear_phase(magnitude: NDArray[np.float64]) -> NDArray[np.float32]:
    return (np.roll(np.fft.irfft(magnitude), _TAPS // 2) * np.hanning(_TAPS)).astype(np.float32)


def _fast_size(length: int) -> int:
    """Smallest 2^a, 3 * 2^a or 5 * 2^a not below ``length``: sizes whose transform is quick."""
    return min(factor << max(0, (-(-length // factor) - 1).bit_length()) for factor in (1, 3, 5))
