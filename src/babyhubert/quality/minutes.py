"""Measures of every minute of a recording: levels, spectrum, hum, voices against background.

Input: 16 kHz samples, a minute at a time, and the detected voices if there are any. Output: a few numbers a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.inference.quiet import VOICE_BAND_HZ
from babyhubert.quality.hum import NO_HUM, HumClock, find_hum, standing_spectrum
from babyhubert.quality.limits import Limits
from babyhubert.quality.speed import SpeedEvidence
from babyhubert.timebase import SAMPLE_RATE

MINUTE = 60 * SAMPLE_RATE
STEP = SAMPLE_RATE // 10
"""Levels are measured over 0.1 s."""

_NOTHING_DB = -120.0
_FLOOR_PERCENTILE = 10.0
_LOUD_PERCENTILE = 90.0
_TOP_PERCENTILE = 99.0
_BODY_HZ = (300.0, 1_000.0)
_TREBLE_HZ = (2_500.0, 4_000.0)
_BANDS_HZ = tuple(range(250, 8_001, 250))
_BAND_ABOVE_DB = 3.0
_SHORTEST = 20
"""Steps (2 s) below which the rest of a recording is not measured as a minute of its own."""


@dataclass
class MinuteValues:
    """One value per minute; the last minute may be shorter.

    Attributes:
        samples: Length.
        level: Root mean square of all frequencies, dBFS.
        floor: Level in the voice band (150 to 4,000 Hz) that a tenth of the steps stay below, dBFS.
        top: Level that a hundredth of the steps exceed, dBFS.
        active: Steps above the floor.
        speech: Power in the voice band of voices (detected, else of active steps), dBFS; -120 if there are none.
        noise: The same of other steps.
        treble: Level of 2.5 to 4 kHz over that of 0.3 to 1 kHz in the loudest tenth, dB.
        hum: Level of the hum, dBFS; -120 if there is none.
        mains: Its frequency, Hz; 0 if there is none.
    """

    samples: list[int] = field(default_factory=list)
    level: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    top: list[float] = field(default_factory=list)
    active: list[int] = field(default_factory=list)
    speech: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)
    speech_steps: list[int] = field(default_factory=list)
    treble: list[float] = field(default_factory=list)
    hum: list[float] = field(default_factory=list)
    mains: list[float] = field(default_factory=list)


class MinuteChecks:
    """Accumulates the measures of a recording.

    Args:
        limits: Thresholds.
        voices: True for the steps of 0.1 s in which a voice was detected; None without detections.
    """

    def __init__(self, limits: Limits, voices: NDArray[np.bool_] | None = None) -> None:
        self._limits = limits
        self._voices = voices
        self._step = 0
        self.values = MinuteValues()
        self.clock = HumClock()
        self.speed = SpeedEvidence()
        self._loud = np.zeros(len(_BANDS_HZ))
        self._quiet = np.zeros(len(_BANDS_HZ))
        self._window = np.hanning(STEP + 2)[1:-1].astype(np.float32)
        hertz = np.fft.rfftfreq(STEP, 1 / SAMPLE_RATE)
        self._voice_band = _between(hertz, *VOICE_BAND_HZ)
        self._body, self._treble = _between(hertz, *_BODY_HZ), _between(hertz, *_TREBLE_HZ)
        self._bands = [_between(hertz, top - 250, top) for top in _BANDS_HZ]

    def add(self, samples: NDArray[np.float32]) -> None:
        """Measure the next minute, float32 (n,); only the last may be shorter."""
        values = self.values
        values.samples.append(len(samples))
        values.level.append(_decibels(float(np.mean(np.square(samples, dtype=np.float64)))))
        power = self._spectra(samples)
        voice = 10 * np.log10(np.maximum(power[:, self._voice_band].sum(axis=1), 1e-12))
        floor = float(np.percentile(voice, _FLOOR_PERCENTILE))
        active = voice > floor + self._limits.active_db
        values.floor.append(floor)
        values.top.append(float(np.percentile(voice, _TOP_PERCENTILE)))
        values.active.append(int(active.sum()))
        self._speech(voice, active)
        loud = voice >= np.percentile(voice, _LOUD_PERCENTILE)
        body, treble = (float(power[loud][:, band].sum()) for band in (self._body, self._treble))
        values.treble.append(_decibels(treble / body) if body > 1e-10 else 0.0)
        quiet = voice <= floor
        self._loud += [power[loud][:, band].sum(axis=1).mean() for band in self._bands]
        self._quiet += [power[quiet][:, band].sum(axis=1).mean() for band in self._bands]
        self._hum(samples)
        self.speed.add(power, voice, floor)

    @property
    def bandwidth_hz(self) -> int:
        """Highest frequency, in steps of 250 Hz, at which loud steps are above quiet ones."""
        above = self._loud > np.maximum(self._quiet, 1e-12) * 10 ** (_BAND_ABOVE_DB / 10)
        return _BANDS_HZ[int(np.flatnonzero(above)[-1])] if above.any() else 0

    def _spectra(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Power spectra of steps of 0.1 s, (steps, 801); the last step is filled up with zeros."""
        steps = max(1, len(samples) // STEP)
        rows = np.zeros((steps, STEP), dtype=np.float32)
        taken = min(len(samples), steps * STEP)
        rows.ravel()[:taken] = samples[:taken]
        spectra = np.abs(np.fft.rfft(rows * self._window))
        scale = 2.0 / (STEP * float(np.square(self._window, dtype=np.float64).sum()))
        return np.asarray(np.square(spectra) * np.float32(scale), dtype=np.float32)

    def _speech(self, voice: NDArray[np.float32], active: NDArray[np.bool_]) -> None:
        """Mean power of voices and of the rest."""
        power = 10 ** (voice.astype(np.float64) / 10)
        spoken = active
        if self._voices is not None:
            spoken = np.zeros(len(voice), dtype=np.bool_)
            known = self._voices[self._step : self._step + len(voice)]
            spoken[: len(known)] = known
        self._step += len(voice)
        rest = ~spoken
        self.values.speech_steps.append(int(spoken.sum()))
        self.values.speech.append(_decibels(float(power[spoken].mean())) if spoken.any() else _NOTHING_DB)
        self.values.noise.append(_decibels(float(power[rest].mean())) if rest.any() else _NOTHING_DB)

    def _hum(self, samples: NDArray[np.float32]) -> None:
        spectrum = standing_spectrum(samples)
        hum = NO_HUM if spectrum is None else find_hum(spectrum, self._limits)
        if spectrum is not None:
            self.clock.add(spectrum)
        self.values.hum.append(max(hum.level_dbfs, _NOTHING_DB))
        self.values.mains.append(hum.mains_hz)


def _between(hertz: NDArray[np.floating[Any]], low: float, high: float) -> slice:
    """Bins of a band, ends included below."""
    return slice(int(np.searchsorted(hertz, low)), int(np.searchsorted(hertz, high, side="right")))


def _decibels(power: float) -> float:
    return float(max(10 * np.log10(max(power, 1e-12)), _NOTHING_DB))
