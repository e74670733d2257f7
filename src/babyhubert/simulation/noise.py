"""Household noise without speech: room tone, mains hum, knocks, and room reverberation.

Steady sounds are an endless stream of chunks of a fixed size, so that a scene of any length needs the memory of one
chunk and does not depend on how it is cut; short sounds are pairs of first sample and waveform, in order of time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.acoustics import TAPS, band, convolve, decibels, noise_filter
from babyhubert.timebase import SAMPLE_RATE

CHUNK = 10 * SAMPLE_RATE
"""Samples of one chunk of steady sound."""

Sound = tuple[int, NDArray[np.float32]]


def room_tone(low_dbfs: float, high_dbfs: float, rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Endless coloured noise and hum whose level varies between two levels: float32 chunks of :data:`CHUNK`."""
    colour = noise_filter(float(rng.uniform(0.1, 1.0)))
    mains = float(rng.choice([50.0, 60.0]))
    partials = np.array([1, 2, 3, 4, 6])
    weights = rng.uniform(0.2, 1.0, len(partials)) / partials * decibels(low_dbfs - 3)
    phases = rng.uniform(0, 2 * np.pi, len(partials))
    second = 2 * np.pi * mains * np.outer(partials, np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    hum = np.tile(weights @ np.sin(second + phases[:, None]), CHUNK // SAMPLE_RATE)
    level = float(rng.uniform(low_dbfs, high_dbfs))
    before = np.zeros(TAPS - 1, dtype=np.float32)
    while True:
        after = float(np.clip(level + rng.normal(0, 1.5), low_dbfs, high_dbfs))
        white = np.concatenate([before, rng.standard_normal(CHUNK, dtype=np.float32)])
        before = white[CHUNK:]
        gain = 10 ** (np.linspace(level, after, CHUNK, endpoint=False) / 20)
        yield (convolve(white, colour)[TAPS - 1 : TAPS - 1 + CHUNK] * gain + hum).astype(np.float32)
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

    Each has a colour and a band of its own. Its maximum lies between two levels, or up to 6 dB above the upper.
    """
    if per_minute <= 0:
        return
    at = 0
    while True:
        at += int(rng.exponential(60.0 / per_minute) * SAMPLE_RATE)
        length = int(rng.uniform(1.0, 12.0) * SAMPLE_RATE)
        noise = convolve(rng.standard_normal(length, dtype=np.float32), noise_filter(float(rng.uniform(0.0, 1.0))))[
            :length
        ]
        if rng.random() < 0.5:
            lowest = float(rng.uniform(80, 2000))
            noise = convolve(noise, band(lowest, lowest * float(rng.uniform(2, 8))))[:length]
        envelope = np.interp(np.linspace(0, 1, length), (0, rng.uniform(0.05, 0.9), 1), (0, np.pi / 2, np.pi))
        noise *= np.square(np.sin(envelope)).astype(np.float32)
        loudest = np.sqrt(np.mean(np.square(noise), dtype=np.float64)) * 1.6  # RMS at the top of the envelope
        yield at, (noise * (decibels(float(rng.uniform(low_dbfs, high_dbfs + 6))) / loudest)).astype(np.float32)
