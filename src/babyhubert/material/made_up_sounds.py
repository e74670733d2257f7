"""Training windows in which nobody speaks: silence, noise, tones and melodies, made up from a generator.

Without them a model never hears a recorder that was switched off or left in an empty room, and may hear voices there:
normalisation over the window lifts whatever there is. Melodies are there because a musical toy is harmonic, moves in
pitch and has pauses, as a child's voice does.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from babyhubert.config import Config
from babyhubert.material.augmentation import Probability, Range, Waveforms, coloured_noise, within
from babyhubert.timebase import SAMPLE_RATE

_LOWEST_NOTE_HZ = 65.4  # C2; notes are counted in semitones from here
_NOTES = 48
_FADE_S = 0.005


class NobodySettings(Config):
    """``[voice_type.nobody]``: what is left of 1 beside the shares is coloured noise.

    Attributes:
        probability: Share of windows.
        level_dbfs: Range of the level of noise, tones and melodies.
        silent_share: Share of these windows that are zeros throughout.
        tones_share: Share that are steady tones with harmonics: hum, a fan.
        melodies_share: Share that are melodies.
    """

    probability: Probability = 0.05
    level_dbfs: Range = (-80.0, -20.0)
    silent_share: Probability = 0.25
    tones_share: Probability = 0.25
    melodies_share: Probability = 0.0

    @model_validator(mode="after")
    def _shares_of_one(self) -> Self:
        total = self.silent_share + self.tones_share + self.melodies_share
        if total > 1 + 1e-9:
            raise ValueError(f"silent_share, tones_share and melodies_share are {total:g} together: at most 1")
        return self


def nobody(count: int, samples: int, settings: NobodySettings, rng: np.random.Generator) -> Waveforms:
    """Sounds of nobody, (count, samples)."""
    shares = (settings.silent_share, settings.tones_share, settings.melodies_share)
    kind = np.searchsorted(np.cumsum(shares), rng.random(count), side="right")  # in this order; beyond them noise
    sounds = coloured_noise(count, samples, (0.0, 2.0), rng)
    hums = np.flatnonzero(kind == 1)
    sounds[hums] = steady_tones(len(hums), samples, rng)
    for row in np.flatnonzero(kind == 2):
        sounds[row] = melody(samples, rng)
    power = np.square(sounds).mean(axis=1, dtype=np.float64)
    level = 10 ** (within(settings.level_dbfs, count, rng) / 20) / np.sqrt(np.maximum(power, 1e-20))
    return sounds * np.where(kind == 0, 0.0, level).astype(np.float32)[:, None]


def steady_tones(count: int, samples: int, rng: np.random.Generator, harmonics: int = 8) -> Waveforms:
    """Low tones (30 to 500 Hz) with harmonics of random strength and phase, swelling slowly: (count, samples)."""
    time = np.arange(samples) / SAMPLE_RATE
    lowest = 30 * (500 / 30) ** rng.random((count, 1))
    total = np.zeros((count, samples))
    for number in range(1, harmonics + 1):
        strength, phase = rng.exponential(1 / number, (count, 1)), rng.random((count, 1))
        total += strength * _sine(number * lowest * time + phase)
    swell = 1 + rng.uniform(0, 0.9, (count, 1)) * _sine(rng.uniform(0.1, 4, (count, 1)) * time)
    return (total * swell).astype(np.float32)


def melody(samples: int, rng: np.random.Generator) -> Waveforms:
    """One to three voices of a music box, a whistle, an organ or what else such a draw gives, over a little noise.

    Each voice has its own timbre and walks over a scale of its own in a common beat, with rests.
    """
    beat = 60 / rng.uniform(50, 220)
    total = np.zeros(samples)
    for _ in range(int(rng.integers(1, 4))):
        partials = np.arange(1, int(rng.integers(2, 11)), int(rng.choice([1, 1, 2])))
        strengths = partials ** -rng.uniform(0.3, 2.5) * rng.uniform(0.3, 1.0, len(partials))
        fading_s = float(rng.choice([rng.uniform(0.05, 0.6), rng.uniform(0.6, 4.0)]))  # plucked, or held
        scale = np.sort(rng.choice(12, int(rng.integers(4, 9)), replace=False))
        length, rests = beat * float(rng.choice([0.5, 1.0, 2.0, 4.0])), float(rng.uniform(0, 0.4))
        held, loudness = length * float(rng.uniform(0.5, 3.0)), float(rng.uniform(0.3, 1.0))
        step = int(rng.integers(_NOTES))
        for start in np.arange(rng.uniform(0, length), samples / SAMPLE_RATE, length):
            step = int(np.clip(step + rng.integers(-4, 5), 0, _NOTES - 1))
            if rng.random() < rests:
                continue
            octave, degree = divmod(step, len(scale))
            semitones = 12 * (octave % 5) + scale[degree]
            hertz = _LOWEST_NOTE_HZ * 2 ** (semitones / 12)
            begin = int(start * SAMPLE_RATE)
            note = _note(hertz * partials, strengths, min(int(held * SAMPLE_RATE), samples - begin), fading_s, rng)
            total[begin : begin + len(note)] += loudness * note
    noise = coloured_noise(1, samples, (0.0, 2.0), rng)[0]
    loudest = max(float(np.sqrt(np.mean(total**2))), 1e-6)
    floor = loudest * 10 ** (-rng.uniform(15, 60) / 20) / max(float(np.sqrt(np.mean(noise**2))), 1e-9)
    return (total + floor * noise).astype(np.float32)


def _note(
    hertz: NDArray[np.float64], strengths: NDArray[np.float64], samples: int, fading_s: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Partials below the highest frequency, swelling in 5 ms or more and fading exponentially."""
    time = np.arange(samples) / SAMPLE_RATE
    there = hertz < SAMPLE_RATE / 2
    waves = _sine(hertz[there, None] * time + rng.random((int(there.sum()), 1)))
    fade = np.minimum(time / rng.uniform(_FADE_S, 0.05), 1) * np.minimum((time[-1:] - time) / _FADE_S, 1)
    return (strengths[there] @ waves) * np.exp(-time / fading_s) * fade


def _sine(cycles: NDArray[np.float64]) -> Waveforms:
    """Sine of a phase in cycles, float32: several times quicker than in float64, and as exact as a waveform needs."""
    return np.sin((2 * np.pi * (cycles - np.floor(cycles))).astype(np.float32))
