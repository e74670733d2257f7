"""Faults of recorders and files, added to a clean recording: the truth for checks of `babyhubert quality`.

Each function takes mono samples at 16 kHz, float32 (n,), and returns a changed copy.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from babyhubert.audio.acoustics import convolve, decibels, noise_filter
from babyhubert.timebase import SAMPLE_RATE

Sound = NDArray[np.float32]

_COVER_TAPS = 1024
_HUM_WEIGHTS = (1.0, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.12, 0.1)


def clipped(sound: Sound, share: float) -> Sound:
    """Clip the loudest share of the samples, and raise the gain so that they are at full scale."""
    limit = float(np.quantile(np.abs(sound), 1 - share))
    return (np.clip(sound, -limit, limit) / limit).astype(np.float32)


def covered(sound: Sound, cutoff_hz: float, slope_db: float = 24.0) -> Sound:
    """Take away what is above a frequency, by so many decibels an octave: cloth, a pocket, a hand."""
    hertz = np.linspace(0, SAMPLE_RATE / 2, _COVER_TAPS // 2 + 1)
    loss = slope_db * np.log2(np.maximum(hertz, cutoff_hz) / cutoff_hz)
    taps = np.roll(np.fft.irfft(10 ** (-loss / 20)), _COVER_TAPS // 2) * np.hanning(_COVER_TAPS)
    middle = _COVER_TAPS // 2
    return convolve(sound, taps.astype(np.float32))[middle : middle + len(sound)]


def humming(sound: Sound, mains_hz: float, below_speech_db: float, speech_dbfs: float) -> Sound:
    """Add ten harmonics of a mains frequency, so many decibels below the speech."""
    seconds = np.arange(len(sound)) / SAMPLE_RATE
    power = sum(weight**2 / 2 for weight in _HUM_WEIGHTS)
    gain = decibels(speech_dbfs - below_speech_db) / np.sqrt(power)
    hum = np.zeros(len(sound))
    for number, weight in enumerate(_HUM_WEIGHTS, start=1):
        hum += gain * weight * np.sin(2 * np.pi * mains_hz * number * seconds + number)
    return (sound + hum).astype(np.float32)


def noisy(sound: Sound, below_speech_db: float, speech_dbfs: float, rng: np.random.Generator) -> Sound:
    """Add pink noise, so many decibels below the speech."""
    noise = convolve(rng.standard_normal(len(sound), dtype=np.float32), noise_filter(0.5))[: len(sound)]
    return (sound + noise * np.float32(decibels(speech_dbfs - below_speech_db))).astype(np.float32)


def with_dropouts(sound: Sound, number: int, seconds: float, rng: np.random.Generator) -> Sound:
    """Set blocks at random places to zero."""
    out = sound.copy()
    for start, length in _places(len(sound), number, seconds, rng):
        out[start : start + length] = 0
    return out


def with_repeats(sound: Sound, number: int, seconds: float, rng: np.random.Generator) -> Sound:
    """Overwrite blocks at random places with the block before them."""
    out = sound.copy()
    for start, length in _places(len(sound), number, seconds, rng):
        out[start : start + length] = out[start - length : start]
    return out


def at_speed(sound: Sound, factor: float) -> Sound:
    """Play faster (above 1) or slower: pitch and tempo change together."""
    return np.asarray(soxr.resample(sound, SAMPLE_RATE * factor, SAMPLE_RATE, quality="HQ"), dtype=np.float32)


def in_a_drawer(samples: int, noise_dbfs: float, rumble_dbfs: float, rng: np.random.Generator) -> Sound:
    """Self-noise of a recorder, and rumble below 100 Hz that swells; no voice is near."""
    noise = rng.standard_normal(samples, dtype=np.float32) * np.float32(decibels(noise_dbfs))
    rumble = covered(rng.standard_normal(samples, dtype=np.float32), 60.0, 36.0)
    rumble /= np.sqrt(np.mean(np.square(rumble)))
    swell = 1 + 0.5 * np.sin(2 * np.pi * np.arange(samples) / (37 * SAMPLE_RATE))
    return (noise + rumble * swell * decibels(rumble_dbfs)).astype(np.float32)


def worn_night(samples: int, noise_dbfs: float, rng: np.random.Generator) -> Sound:
    """A sleeping child who wears the recorder: breath over self-noise, and cloth that rustles now and then."""
    seconds = np.arange(samples) / SAMPLE_RATE
    noise = rng.standard_normal(samples, dtype=np.float32) * np.float32(decibels(noise_dbfs))
    breath = covered(rng.standard_normal(samples, dtype=np.float32), 400.0, 12.0)
    breath /= np.sqrt(np.mean(np.square(breath)))
    tide = np.maximum(np.sin(2 * np.pi * 0.35 * seconds), 0) ** 2
    out = noise + breath * tide * decibels(noise_dbfs + 12)
    for start, length in _places(samples, max(1, samples // (180 * SAMPLE_RATE)), 3.0, rng):
        rustle = rng.standard_normal(length, dtype=np.float32) * np.hanning(length)
        out[start : start + length] += rustle * decibels(noise_dbfs + 30)
    return out.astype(np.float32)


def _places(samples: int, number: int, seconds: float, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """First samples and lengths of stretches, one in each of as many equal parts."""
    length = round(seconds * SAMPLE_RATE)
    part = samples // number
    for index in range(number):
        low = index * part + length
        yield int(rng.integers(low, max(low + 1, (index + 1) * part - 2 * length))), length
