"""Detection of quiet windows: windows in which no step rises above the recording's noise floor.

Most of a day is not speech, and the encoder costs hundreds of times as much as measuring a level. A level knows
nothing about voices, so unlike trained detectors it cannot prefer those of adults (measured: docs/speed.md); it can
only find windows with hardly any sound. The floor is that of the complete recording, so the method works for long
recordings with some quiet: an hour in a noisy car is then above the floor and encoded. If noise never stops, the noise
is the floor, and voices that do not exceed it by the margin are lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from babyhubert.errors import ConfigError
from babyhubert.timebase import FRAME_HOP, SAMPLE_RATE

FRAMES_A_STEP = 5
"""Levels are measured over 0.1 s, five frames."""

_STEP = FRAMES_A_STEP * FRAME_HOP
VOICE_BAND_HZ = (150.0, 4_000.0)
_FLOOR_PERCENTILE = 10.0
_NOTHING_DB = -100.0  # digital silence, which says nothing about the floor of what was recorded
_FEWEST_STEPS = 6_000
"""Ten minutes: shorter recordings may hold no quiet to measure a floor by (a clip may be one long cry)."""

_MOST_HELD = 32
"""Recordings whose steps are cached: more than any engine reads at once."""

Blocks = Iterable[NDArray[np.float32]]


def levels_in_voice_band(blocks: Blocks) -> NDArray[np.float32]:
    """Level of every 0.1 s from 150 to 4,000 Hz, in dB of full scale: float32 (S,), -100 for digital silence.

    Args:
        blocks: A recording's consecutive blocks, float32 (n,), 16 kHz. The last step may be shorter than 0.1 s.
    """
    levels: list[NDArray[np.float32]] = []
    left = np.zeros(0, dtype=np.float32)
    for block in blocks:
        samples = np.concatenate((left, block))
        steps = len(samples) // _STEP
        levels.append(_levels(samples[: steps * _STEP].reshape(steps, _STEP)))
        left = samples[steps * _STEP :]
    if len(left):
        levels.append(_levels(left[np.newaxis]))
    return np.concatenate(levels) if levels else np.zeros(0, dtype=np.float32)


def _levels(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean squares in the band, by Parseval, of steps (S, n) under Hann windows, in dB: (S,)."""
    samples = steps.shape[1]
    window = np.hanning(samples + 2)[1:-1]
    hertz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    inside = (hertz >= VOICE_BAND_HZ[0]) & (hertz <= VOICE_BAND_HZ[1])
    spectrum = np.square(np.abs(np.fft.rfft(steps * window)[:, inside]))
    power = 2 * spectrum.sum(axis=1) / (samples * np.square(window).sum())
    return np.maximum(10 * np.log10(np.maximum(power, 1e-30)), _NOTHING_DB).astype(np.float32)


def steps_above_floor(levels: NDArray[np.float32], margin_db: float) -> NDArray[np.bool_]:
    """Mask of the steps that exceed the floor, the level of the quietest tenth of the recording, by some decibels.

    In recordings shorter than ten minutes, all steps but digital silence.
    """
    recorded = levels > _NOTHING_DB
    if len(levels) < _FEWEST_STEPS or not recorded.any():
        return recorded
    return levels > np.percentile(levels[recorded], _FLOOR_PERCENTILE) + margin_db


@dataclass
class LoudWindows:
    """Selection of the windows to encode for an engine: those with a step above their recording's floor.

    A recording is read once more, when its first window is requested. An engine that reads several recordings at once
    requests their windows in turns, so the steps of the last few are cached (a day has 576,000, of one byte each).

    Attributes:
        read: Blocks of the recording of a key.
        margin_db: Decibels above the floor.

    Raises:
        ConfigError: the margin is not a positive number.
    """

    read: Callable[[str], Blocks]
    margin_db: float
    _loud_steps: Callable[[str], NDArray[np.bool_]] = field(init=False)

    def __post_init__(self) -> None:
        check_margin(self.margin_db)
        self._loud_steps = lru_cache(_MOST_HELD)(self._find_loud_steps)

    def __call__(self, key: Hashable, first: int, stop: int) -> bool:
        """True if any of the frames ``first`` to ``stop - 1`` of a recording must be encoded."""
        return bool(self._loud_steps(str(key))[first // FRAMES_A_STEP : -(-stop // FRAMES_A_STEP)].any())

    def _find_loud_steps(self, name: str) -> NDArray[np.bool_]:
        return steps_above_floor(levels_in_voice_band(self.read(name)), self.margin_db)


def check_margin(margin_db: float) -> None:
    """Check a margin.

    Raises:
        ConfigError: not a positive number.
    """
    if not (math.isfinite(margin_db) and margin_db > 0):
        raise ConfigError(
            f"a margin of {margin_db:g}: more than 0 decibels above the recording's floor are needed, such as 10",
            option="--skip-quiet 10",
        )
