"""Sounds without speech, made from a seed: every detection in them is a false alarm."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.everyday_sounds import KINDS
from babyhubert.timebase import SAMPLE_RATE

Sound = NDArray[np.float32]
_PENTATONIC = (0, 2, 4, 7, 9)


def silence(samples: int, rng: np.random.Generator) -> Sound:
    """Digital silence."""
    del rng
    return np.zeros(samples, dtype=np.float32)


def hum(samples: int, rng: np.random.Generator) -> Sound:
    """Mains hum: 50 Hz and its harmonics up to 1 kHz, at random phases, falling with frequency."""
    seconds = np.arange(samples) / SAMPLE_RATE
    partials = np.arange(1, 21)
    phases, weights = rng.uniform(0, 2 * np.pi, 20), rng.uniform(0.3, 1.0, 20) / partials
    out = np.zeros(samples)
    for partial, weight, phase in zip(partials, weights, phases, strict=True):
        out += weight * np.sin(2 * np.pi * 50 * partial * seconds + phase)
    return out.astype(np.float32)


def white_noise(samples: int, rng: np.random.Generator) -> Sound:
    """Gaussian noise with a flat spectrum."""
    return rng.standard_normal(samples, dtype=np.float32)


def pink_noise(samples: int, rng: np.random.Generator) -> Sound:
    """Gaussian noise whose power falls as 1 / f above 20 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(samples, dtype=np.float32))
    hertz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, 20.0)), samples).astype(np.float32)


def music(samples: int, rng: np.random.Generator) -> Sound:
    """A plucked melody over slow chords: harmonic, in tempo, on a pentatonic scale."""
    out = np.zeros(samples + 4 * SAMPLE_RATE, dtype=np.float32)
    beat = int(SAMPLE_RATE * 60 / rng.uniform(80, 140))
    root = rng.uniform(110, 220)
    for number, start in enumerate(range(0, samples, beat)):
        notes = [(_pitch(root * 2, rng), 0.8, 0.6)]
        if number % 4 == 0:
            notes += [(_pitch(root, rng), 0.5, 3.5) for _ in range(3)]
        for pitch, weight, seconds in notes:
            note = _note(pitch, int(seconds * SAMPLE_RATE), rng)
            out[start : start + len(note)] += weight * note
    return out[:samples]


PROBES: Mapping[str, Callable[[int, np.random.Generator], Sound]] = {
    "silence": silence,
    "hum": hum,
    "white noise": white_noise,
    "pink noise": pink_noise,
    "music": music,
    **KINDS,
}


def probe(name: str, samples: int, level_dbfs: float, seed: int) -> Sound:
    """A sound of :data:`PROBES` at a level (RMS, dB below full scale), clipped at full scale: float32, (samples,).

    The same name, length and seed always give the same sound.
    """
    rng = np.random.default_rng([seed, list(PROBES).index(name)])
    sound = PROBES[name](samples, rng)
    power = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if samples else 0.0
    if power == 0:
        return sound
    return np.clip(sound * (10 ** (level_dbfs / 20) / power), -1, 1).astype(np.float32)


def _pitch(root: float, rng: np.random.Generator) -> float:
    return root * 2 ** (float(rng.choice(_PENTATONIC)) / 12 + float(rng.integers(0, 2)))


def _note(pitch: float, samples: int, rng: np.random.Generator) -> Sound:
    seconds = np.arange(samples) / SAMPLE_RATE
    partials = np.arange(1, 7)
    phases = rng.uniform(0, 2 * np.pi, len(partials))[:, None]
    tone = (np.sin(2 * np.pi * pitch * partials[:, None] * seconds + phases) / partials[:, None] ** 1.5).sum(axis=0)
    attack = np.minimum(seconds / 0.01, 1)
    return (tone * attack * np.exp(-4 * seconds / max(samples / SAMPLE_RATE, 0.01))).astype(np.float32)
