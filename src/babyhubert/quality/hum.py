"""Mains hum: narrow lines at 50 or 60 Hz and their multiples, which stand still while voices come and go.

A hum also is a clock: its frequency is that of the mains within 0.4 %, so a hum elsewhere tells that a recording was
played or copied at another speed (or comes from a motor). Input: 16 kHz samples. Output: lines and levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.quality.limits import Limits
from babyhubert.timebase import SAMPLE_RATE

MAINS_HZ = (50.0, 60.0)
_FRAME = 65_536
_HERTZ_PER_BIN = SAMPLE_RATE / _FRAME
_FEWEST_FRAMES = 7
_HIGHEST_HZ = 1_050.0
_BINS = int(_HIGHEST_HZ / _HERTZ_PER_BIN)
_STANDING_PERCENTILE = 30
"""A line of a hum is there all the time; voices are above it most of the time at no frequency."""
_HARMONICS = 10
_LINE_HZ = 0.5
_NEIGHBOURS_HZ = (2.0, 8.0)
_SEARCH_HZ = (42.0, 72.0, 0.02)
_SEARCH_HARMONICS = 8
_SEARCH_LEAST_DB = 8.0
_SEARCH_LEAST_LINES = 4
_MOST_DB = 25.0


class Hum(NamedTuple):
    """Hum at one mains frequency.

    Attributes:
        mains_hz: 50 or 60.
        lines: Harmonics among the first ten that stand out.
        level_dbfs: Level of these together; -inf without any.
    """

    mains_hz: float
    lines: int
    level_dbfs: float


NO_HUM = Hum(0.0, 0, -np.inf)


def standing_spectrum(samples: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Power in bins of 0.24 Hz up to 1,050 Hz that is there all the time: the 30th percentile of frames of 4 s.

    None below 29 s (seven frames), in which an engine that passes is there all the time, too. A sine of amplitude a
    has a power of a^2 / 2, summed over its bins.
    """
    count = len(samples) // _FRAME
    if count < _FEWEST_FRAMES:
        return None
    window = np.hanning(_FRAME).astype(np.float32)
    frames = samples[: count * _FRAME].reshape(count, _FRAME) * window
    power = np.square(np.abs(np.fft.rfft(frames)[:, :_BINS]), dtype=np.float64)
    scale = 2.0 / (_FRAME * float(np.square(window, dtype=np.float64).sum()))
    return np.asarray(np.percentile(power, _STANDING_PERCENTILE, axis=0) * scale)


def find_hum(spectrum: NDArray[np.float64], limits: Limits) -> Hum:
    """The stronger hum of both mains frequencies, if it has enough lines."""
    found = [_hum_at(spectrum, mains, limits) for mains in MAINS_HZ]
    best = max(found, key=lambda hum: (hum.lines >= limits.hum_lines, hum.level_dbfs))
    return best if best.lines >= limits.hum_lines else NO_HUM


def _hum_at(spectrum: NDArray[np.float64], mains: float, limits: Limits) -> Hum:
    lines, power = 0, 0.0
    for harmonic in range(1, _HARMONICS + 1):
        line, around = _line(spectrum, harmonic * mains)
        if line > around * 10 ** (limits.hum_line_db / 10) and line > 1e-13:
            lines += 1
            power += line - around
    return Hum(mains, lines, 10 * np.log10(power) if power > 0 else -np.inf)


def _line(spectrum: NDArray[np.float64], hertz: float) -> tuple[float, float]:
    """Power of a line, and that of as many bins beside it."""
    half = round(_LINE_HZ * max(1.0, hertz / 200) / _HERTZ_PER_BIN)
    centre = round(hertz / _HERTZ_PER_BIN)
    near, far = (round(distance / _HERTZ_PER_BIN) for distance in _NEIGHBOURS_HZ)
    beside = np.concatenate((spectrum[centre - far : centre - near], spectrum[centre + near + 1 : centre + far + 1]))
    return float(spectrum[centre - half : centre + half + 1].sum()), float(np.median(beside)) * (2 * half + 1)


@dataclass
class HumClock:
    """Search of a hum at any frequency, in the mean spectrum of a recording."""

    _sum: NDArray[np.float64] | None = None
    _count: int = 0

    def add(self, spectrum: NDArray[np.float64]) -> None:
        """Add the standing spectrum of a minute."""
        decibels = 10 * np.log10(np.maximum(spectrum, 1e-20))
        self._sum = decibels if self._sum is None else self._sum + decibels
        self._count += 1

    def frequency(self) -> float | None:
        """Fundamental of a series of lines between 42 and 72 Hz; None if there is none."""
        if self._sum is None:
            return None
        above = _above_neighbours(self._sum / self._count)
        candidates = np.arange(*_SEARCH_HZ)
        harmonics = np.arange(1, _SEARCH_HARMONICS + 1)
        bins = np.rint(candidates[:, None] * harmonics / _HERTZ_PER_BIN).astype(np.int64)
        strength = np.clip(above[bins], 0, _MOST_DB)
        score = strength.mean(axis=1)
        best = int(np.argmax(score))
        lines = int((strength[best] >= _SEARCH_LEAST_DB).sum())
        return float(candidates[best]) if lines >= _SEARCH_LEAST_LINES else None


def _above_neighbours(decibels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Level of every bin over the median of the 8 Hz around it, in dB."""
    half = round(_NEIGHBOURS_HZ[1] / 2 / _HERTZ_PER_BIN)
    padded = np.pad(decibels, half, mode="edge")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    return decibels - around
