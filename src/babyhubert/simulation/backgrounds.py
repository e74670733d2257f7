"""Recorded background sounds without speech that come and go: a dog outside, rain, a saw next door."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.acoustics import decibels
from babyhubert.audio.recording import open_recording, warn_of_reading
from babyhubert.errors import AudioError
from babyhubert.simulation.noise import Sound
from babyhubert.timebase import SAMPLE_RATE

LEVELS_DBFS = (-50.0, -16.0)
"""Range of the RMS level of a recorded background over its non-silent part."""

_LONGEST_S = 30.0
_FADE_S = 0.02


def recorded_backgrounds(paths: Sequence[str], per_minute: float, rng: np.random.Generator) -> Iterator[Sound]:
    """Endless stretches of recordings, each repeated one to six times, in order of time.

    Args:
        paths: Recordings; none: no sound.
        per_minute: Number that begin per minute.
        rng: Source of randomness.

    Yields:
        First sample and waveform, at most 30 s long.

    Raises:
        AudioError: a recording cannot be read.
    """
    if not paths or per_minute <= 0:
        return
    at = 0
    while True:
        at += int(rng.exponential(60.0 / per_minute) * SAMPLE_RATE)
        path = Path(paths[int(rng.integers(len(paths)))])
        repeats, level_dbfs = int(rng.integers(1, 7)), float(rng.uniform(*LEVELS_DBFS))
        sound = _stretch(path, rng)
        if len(sound):
            repeated = np.tile(sound, repeats)[: int(_LONGEST_S * SAMPLE_RATE)]
            yield at, (repeated * decibels(level_dbfs)).astype(np.float32)


def _stretch(path: Path, rng: np.random.Generator) -> NDArray[np.float32]:
    """Up to 10 s of a recording from a random position, at an RMS level of 1, with faded ends."""
    with open_recording(path) as recording:
        samples = recording.n_samples
        if not samples:
            raise AudioError(f"{path}: empty; take it out of the backgrounds")
        length = min(samples, 10 * SAMPLE_RATE)
        start = int(rng.integers(samples - length + 1))
        sound = recording.read(start, start + length)
        warn_of_reading(recording)
    loudest = float(np.abs(sound).max(initial=0.0))
    audible = np.abs(sound) > 1e-3 * loudest
    if not audible.any():
        return np.empty(0, dtype=np.float32)
    fade = max(min(int(_FADE_S * SAMPLE_RATE), len(sound) // 2), 1)
    ramp = np.minimum(np.arange(1, len(sound) + 1) / fade, 1.0)
    level = np.sqrt(np.square(sound[audible], dtype=np.float64).mean())
    return (sound * ramp * ramp[::-1] / level).astype(np.float32)
