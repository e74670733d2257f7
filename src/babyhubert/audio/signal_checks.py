"""Checks of the sound itself: silence, a constant value, opposite channels, low level, values beyond full scale.

A muted recorder or a wrong export gives a file that opens without an error and contains no speech. Such recordings are
useless and must be told apart from quiet days. Input: the samples of one pass, as they are read. Output: one line for
each finding. Memory does not grow with the recording.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.source import clock

STEP = 1 / 32768
"""The smallest step of a 16-bit recording; samples within it are silence."""
CLIPPED = 0.999
"""Fraction of full scale from which a sample counts as clipped."""
_DEAD_SHARE = 1e-4
"""A channel with less than this fraction of the loudest one's power counts as silent (-40 dB)."""
_QUIET_DBFS = -70.0
_QUIET_PEAK = 10 ** (-40 / 20)
_LOUD_PEAK = 4.0
_LONG_SILENCE_SECONDS = 60
_LONG_SILENCE_SHARE = 0.1
_SHORTEST_REPORTED_SECONDS = 5
_CANCELLING_SHARE = 0.1
_SHORTEST_SECONDS = 0.1
"""Shorter recordings are not checked."""


def cancels(mean_power: NDArray[np.float64], channel_power: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True where the mean of channels has less than half the power that uncorrelated channels would give it.

    Args:
        mean_power: Power of the mean, shape (K,).
        channel_power: Power of each channel, shape (K, C).
    """
    count = channel_power.shape[1]
    audible = channel_power.max(axis=1) > STEP**2
    return np.asarray(audible & (mean_power < channel_power.mean(axis=1) / (2 * count)))


def alive_channels(power: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the channels that carry sound.

    Args:
        power: Mean power of each channel, shape (C,).
    """
    return np.flatnonzero(power > max(STEP**2, _DEAD_SHARE * float(power.max(initial=0.0))))


class SignalChecks:
    """Accumulates statistics over all samples of a recording, in order.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._frames = self._constant = self._cancelling = 0
        self._sum = self._squares = 0.0
        self._low: NDArray[np.float32] | None = None
        self._high: NDArray[np.float32] | None = None
        self._range = (math.inf, -math.inf)

    def add(self, channels: NDArray[np.float32], mono: NDArray[np.float32]) -> None:
        """Add the channels in use, shape (n, C), and the mix made of them, shape (n,)."""
        seconds = len(mono) // self._rate * self._rate
        for begin, end, length in ((0, seconds, self._rate), (seconds, len(mono), len(mono) - seconds)):
            if begin < end:
                shape = (-1, length, channels.shape[1])
                self._add(channels[begin:end].reshape(shape), mono[begin:end].reshape(-1, length))

    def _add(self, channels: NDArray[np.float32], mono: NDArray[np.float32]) -> None:
        """Add stretches of one length: (K, n, C) and (K, n)."""
        length = mono.shape[1]
        low, high = mono.min(axis=1), mono.max(axis=1)
        self._range = (min(self._range[0], float(low.min())), max(self._range[1], float(high.max())))
        self._constant += int((low == high).sum()) * length
        self._frames += mono.size
        power = _power(mono)
        self._sum += float(mono.sum(dtype=np.float64))
        self._squares += float(power.sum()) * length
        if channels.shape[2] > 1:
            own = [np.ascontiguousarray(channels[:, :, index]) for index in range(channels.shape[2])]
            lows = np.array([each.min() for each in own])
            highs = np.array([each.max() for each in own])
            self._low = lows if self._low is None else np.minimum(self._low, lows)
            self._high = highs if self._high is None else np.maximum(self._high, highs)
            self._cancelling += int(cancels(power, np.stack([_power(each) for each in own], axis=1)).sum()) * length

    def found(self) -> list[str]:
        """Findings, one line each."""
        low, high = self._range
        if self._frames < _SHORTEST_SECONDS * self._rate:
            return []
        if low == high:
            value = "0: digital silence" if low == 0 else f"{low:.3g}: no sound"
            return [f"every sample is {value} (was the microphone connected?)", *self._about_channels()]
        if high - low <= 2 * STEP:
            return ["silence: nothing rises above the smallest step of a 16-bit recording", *self._about_channels()]
        return [*self._about_level(), *self._about_silence(), *self._about_channels()]

    def _about_level(self) -> list[str]:
        low, high = self._range
        peak = max(abs(low), abs(high))
        if peak > _LOUD_PEAK:
            return [f"samples reach {peak:.3g} times full scale: the model has never met such levels, export it again"]
        mean = self._sum / self._frames
        level = 10 * math.log10(max(self._squares / self._frames - mean**2, 1e-30))
        if level < _QUIET_DBFS and high - low < 2 * _QUIET_PEAK:
            return [f"very quiet: {level:.0f} dBFS on average; voices this faint may not be found"]
        return []

    def _about_silence(self) -> list[str]:
        seconds = self._constant / self._rate
        long = seconds >= min(_LONG_SILENCE_SECONDS, _LONG_SILENCE_SHARE * self._frames / self._rate)
        if not long or seconds < _SHORTEST_REPORTED_SECONDS:
            return []
        return [f"digital silence in {self._clock(self._constant)} of {self._clock(self._frames)}"]

    def _about_channels(self) -> list[str]:
        if self._low is None or self._high is None:
            return []
        dead = np.flatnonzero(self._high - self._low <= 2 * STEP)
        lines = []
        if 0 < len(dead) < len(self._low):
            verb = "is" if len(dead) == 1 else "are"
            lines.append(f"{named_channels(dead)} {verb} silent and part of the mean: choose another channel")
        if self._cancelling > _CANCELLING_SHARE * self._frames:
            lines.append(
                f"the channels cancel each other out in {self._clock(self._cancelling)} of "
                f"{self._clock(self._frames)} (opposite phase): choose one of them"
            )
        return lines

    def _clock(self, frames: int) -> str:
        return clock(frames, self._rate)


def _power(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean square of each row, contiguous (K, n): without a copy, and in no order that threads could change."""
    return np.einsum("kn,kn->k", samples, samples, dtype=np.float64) / samples.shape[1]


def named_channels(indices: NDArray[np.int64]) -> str:
    """Names of channels for a sentence: ``channel 1``, ``channels 1 and 3``."""
    names = [str(index) for index in indices]
    if len(names) == 1:
        return f"channel {names[0]}"
    return f"channels {', '.join(names[:-1])} and {names[-1]}"
