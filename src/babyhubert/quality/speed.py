"""Pitch of the voices in a recording: evidence of a recording that runs at half or double speed.

Men speak down to about 75 Hz; no child-centred recording of hours lacks voices below 215 Hz. Half speed puts voices
below the range of humans, double speed leaves none of an adult. Smaller changes stay within the range of people, and
the pitch cannot tell them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from babyhubert.timebase import SAMPLE_RATE

_ABOVE_FLOOR_DB = 15.0
_PERIODIC = 0.6
_FIRST_PEAK = 0.85
_LONGEST_LAG, _SHORTEST_LAG = 400, 12
_HERTZ_PER_BIN = 10
_RUMBLE_BINS, _HIGHEST_BINS = 6, 350
_EDGES = np.geomspace(40, 1_340, 122)
_FEWEST_STEPS = 100
_HALF_SPEED_HZ = (66.0, 135.0)
_DOUBLE_SPEED_HZ = 215.0
_LOW_PERCENTILE = 5


class SpeedEvidence:
    """Accumulates the pitch of periodic steps of 0.1 s that rise 15 dB above the floor."""

    def __init__(self) -> None:
        self._counts = np.zeros(len(_EDGES) - 1, dtype=np.int64)
        self._window: NDArray[np.float64] | None = None

    def add(self, power: NDArray[np.float32], level: NDArray[np.float32], floor: float) -> None:
        """Add steps.

        Args:
            power: Power spectra of steps under Hann windows, (steps, 801), 10 Hz a bin.
            level: Level of each in the voice band, dB.
            floor: Level of the background, dB.
        """
        spectra = power[level > floor + _ABOVE_FLOOR_DB].copy()
        if not len(spectra):
            return
        spectra[:, :_RUMBLE_BINS] = spectra[:, _HIGHEST_BINS:] = 0
        similarity = np.fft.irfft(spectra, axis=1)[:, :_LONGEST_LAG]
        similarity = similarity / np.maximum(similarity[:, :1], 1e-20) / self._window_similarity(power.shape[1])
        inside = similarity[:, _SHORTEST_LAG:]
        highest = inside.max(axis=1)
        middle = inside[:, 1:-1]
        peaks = (middle > inside[:, :-2]) & (middle >= inside[:, 2:]) & (middle > _FIRST_PEAK * highest[:, None])
        voiced = (highest > _PERIODIC) & peaks.any(axis=1)
        pitch = SAMPLE_RATE / (np.argmax(peaks[voiced], axis=1) + 1 + _SHORTEST_LAG)
        self._counts += np.histogram(pitch, _EDGES)[0]

    @property
    def steps(self) -> int:
        """Steps with a pitch."""
        return int(self._counts.sum())

    def pitch(self, percentile: float) -> float:
        """Percentile of the pitch, Hz; NaN without voices."""
        if not self.steps:
            return float("nan")
        below = np.cumsum(self._counts) / self.steps
        return float(_EDGES[int(np.searchsorted(below, percentile / 100)) + 1])

    def factor(self) -> float | None:
        """0.5 or 2 if the voices are out of the human range by so much; None if not, or if there are too few."""
        if self.steps < _FEWEST_STEPS:
            return None
        low, middle = self.pitch(_LOW_PERCENTILE), self.pitch(50)
        if low < _HALF_SPEED_HZ[0] and middle < _HALF_SPEED_HZ[1]:
            return 0.5
        return 2.0 if low > _DOUBLE_SPEED_HZ else None

    def _window_similarity(self, bins: int) -> NDArray[np.float64]:
        if self._window is None:
            samples = 2 * (bins - 1)
            window = np.hanning(samples + 2)[1:-1]
            similarity = np.fft.irfft(np.square(np.abs(np.fft.rfft(window))))[:_LONGEST_LAG]
            self._window = similarity / similarity[0]
        return self._window
