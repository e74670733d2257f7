"""Mixing several channels down to one.

Daylong recorders write one to four channels, and the channel that carries the child depends on the device. The choice
is made once for each recording, before any sample is used, so every range and block comes from the same channel.
Input: an open source and the user's choice. Output: the resolved choice, and a mono reader that also replaces NaN and
infinite samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.signal_checks import STEP, SignalChecks, alive_channels, cancels, named_channels
from babyhubert.audio.source import Lost, Source
from babyhubert.errors import AudioError, ConfigError

Channel = Literal["mean", "first", "loudest"] | int

_NAMED: dict[str, Channel] = {"mean": "mean", "first": "first", "loudest": "loudest"}
_FLOATING = ("FLOAT", "DOUBLE", "PCM_F")
_IMPOSSIBLE = 100.0
"""Limit as a multiple of full scale (40 dB above it): no sound is louder, also on recorders that store floating point.
"""
_IMPOSSIBLE_SHARE = 1e-3
_OPPOSITE_SHARE = 1 / 3
_EXCERPTS = 60
_EXCERPT_SECONDS = 1.0
_SPREAD_WITHOUT_SEEKING_SECONDS = 3600
"""Excerpts of a stream that cannot seek are taken from its first hour: later ones would require decoding all of it."""


def parse_channel(text: str) -> Channel:
    """Parse a channel choice from the command line.

    Raises:
        ConfigError: neither mean, first, loudest nor an index from 0.
    """
    word = text.strip().lower()
    if word in _NAMED:
        return _NAMED[word]
    if word.isascii() and word.isdigit():
        return int(word)
    raise ConfigError(f"channel {text!r} is unknown: give mean, first, loudest or a number from 0")


@dataclass(frozen=True)
class Mix:
    """Derivation of one channel from a recording, decided before any sample is used.

    Attributes:
        channel: ``mean``, or the index of the channel in use.
        gain: Factor on every sample: not 1 if whole numbers were stored as floating point.
        limit: Samples beyond it are damaged and read as 0.
        notes: Reasons why the mix differs from the one requested, one line each.
    """

    channel: Literal["mean"] | int
    gain: float = 1.0
    limit: float = math.inf
    notes: tuple[str, ...] = ()


def settle_mix(path: Path | str, source: Source, choice: Channel) -> Mix:
    """Resolve the choice for one recording.

    ``first`` and ``loudest`` become an index. So does ``mean`` if the mean would be wrong: channels in opposite phase
    cancel each other out, and a single channel with sound beside silent ones would be attenuated.

    Raises:
        AudioError: the recording has no such channel.
        ConfigError: the choice is unknown.
    """
    count = source.header.channels
    if isinstance(choice, str):
        choice = parse_channel(choice)
    if isinstance(choice, int) and not 0 <= choice < count:
        has = "1 channel (0)" if count == 1 else f"{count} channels (0 to {count - 1})"
        raise AudioError(f"{path} has {has}, not channel {choice}: choose one of them, or mean")
    floating = any(name in source.header.codec for name in _FLOATING)
    if not floating and (count == 1 or choice not in ("mean", "loudest")):
        return Mix("mean" if choice == "mean" else 0 if isinstance(choice, str) else choice)
    heard = _Excerpts(source)
    channel, notes = heard.choose(choice)
    gain, limit, more = heard.scale() if floating else (1.0, math.inf, ())
    return Mix(channel, gain, limit, (*notes, *more))


class _Excerpts:
    """Powers without offset, (K, C), and peak levels of evenly spaced seconds of a recording."""

    def __init__(self, source: Source) -> None:
        rate, frames = source.header.sample_rate, source.header.frames
        if not source.seeks:
            frames = min(frames, _SPREAD_WITHOUT_SEEKING_SECONDS * rate)
        length = round(_EXCERPT_SECONDS * rate)
        count = max(1, min(_EXCERPTS, frames // length))
        rows, means = [], []
        self._peak, self._beyond, self._samples = 0.0, 0, 0
        for index in range(count):
            source.seek((frames - length) * index // max(1, count - 1) if frames > length else 0)
            samples = source.read(length).astype(np.float64)
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
            if len(samples):
                size = np.abs(samples)
                self._peak = max(self._peak, float(size.max()))
                self._beyond += int((size > _IMPOSSIBLE).sum())
                self._samples += size.size
                samples = samples - samples.mean(axis=0)
                rows.append(np.square(samples).mean(axis=0))
                means.append(np.square(samples.mean(axis=1)).mean())
        channels = source.header.channels
        self._power = np.array(rows, dtype=np.float64).reshape(-1, channels)
        self._mean_power = np.array(means, dtype=np.float64)

    def choose(self, choice: Channel) -> tuple[Literal["mean"] | int, tuple[str, ...]]:
        """Return the channel in use, and the reason if it is not the requested mean."""
        power = self._power.sum(axis=0)
        loudest = int(np.argmax(power))  # ties go to the first
        if choice == "loudest":
            return loudest, ()
        if choice != "mean":
            return (0, ()) if choice == "first" else (choice, ())
        alive = alive_channels(self._power.mean(axis=0)) if len(self._power) else np.zeros(0, dtype=np.int64)
        if len(power) > 1 and len(alive) == 1:
            dead = np.delete(np.arange(len(power)), alive)
            verb = "is" if len(dead) == 1 else "are"
            return loudest, (f"{named_channels(dead)} {verb} silent: channel {loudest} is taken, not the mean",)
        opposite = cancels(self._mean_power, self._power)
        if len(power) > 1 and opposite.sum() > _OPPOSITE_SHARE * (self._power.max(axis=1) > STEP**2).sum():
            why = "the channels are in opposite phase, their mean cancels out"
            return loudest, (f"{why}: channel {loudest} is taken, not the mean",)
        return "mean", ()

    def scale(self) -> tuple[float, float, tuple[str, ...]]:
        """Return gain and limit of floating-point samples, and a note about them."""
        if self._beyond <= _IMPOSSIBLE_SHARE * self._samples:
            return 1.0, _IMPOSSIBLE, ()
        for bits in (16, 24, 32):
            full = 2.0 ** (bits - 1)
            if self._peak <= full:
                return (
                    1 / full,
                    math.inf,
                    (f"samples reach {self._peak:.0f}: read as {bits}-bit numbers, full scale {full:.0f}",),
                )
        return 1.0, math.inf, ()


def _mean(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of channels; of two as their sum, which gives the same numbers ten times as fast."""
    if samples.shape[1] == 1:
        return np.ascontiguousarray(samples[:, 0])
    if samples.shape[1] == 2:
        total: NDArray[np.float32] = samples[:, 0] + samples[:, 1]
        total /= np.float32(2)
        return total
    return samples.mean(axis=1, dtype=np.float32)


class SampleObserver(Protocol):
    """Receiver of a recording's samples before they are mixed and resampled."""

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next frames of all channels at the native rate, float32 (n, C), finite."""


class Mixdown:
    """One channel, or the mean of all, of a source at its native rate.

    Attributes:
        nonfinite: NaN and infinite samples replaced by 0 so far, over the channels in use.
        impossible: The same for samples beyond the limit of the mix.
    """

    def __init__(
        self, source: Source, mix: Mix, checks: SignalChecks | None = None, observer: SampleObserver | None = None
    ) -> None:
        self._source = source
        self._mix = mix
        self._checks = checks
        self._observer = observer
        self.nonfinite = self.impossible = 0

    @property
    def sample_rate(self) -> int:
        """Native rate, Hz."""
        return self._source.header.sample_rate

    @property
    def problem(self) -> str | None:
        """Reason why decoding ended early, if it did."""
        return self._source.problem

    @property
    def lost(self) -> Lost:
        """Stretches that could not be decoded, in native frames."""
        return self._source.lost

    def seek(self, frame: int) -> None:
        """Set the position of the next read to ``frame``."""
        self._source.seek(frame)

    def read(self, frames: int) -> NDArray[np.float32]:
        """Next samples, float32, shape (n,)."""
        samples = self._source.read(frames)
        if self._observer is not None:
            every = (
                np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0) if not np.isfinite(samples).all() else samples
            )
            self._observer.add(every * np.float32(self._mix.gain) if self._mix.gain != 1 else every)
        channel = self._mix.channel
        if not isinstance(channel, str):
            samples = samples[:, channel : channel + 1]
        samples = self._possible(self._finite(samples))
        mono = _mean(samples)
        if self._checks is not None:
            self._checks.add(samples, mono)
        return mono

    def _possible(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._mix.gain != 1:
            return samples * np.float32(self._mix.gain)
        if math.isinf(self._mix.limit):
            return samples
        beyond = np.abs(samples) > self._mix.limit
        if not beyond.any():
            return samples
        self.impossible += int(beyond.sum())
        return np.where(beyond, np.float32(0), samples)

    def _finite(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        finite = np.isfinite(samples)
        if finite.all():
            return samples
        self.nonfinite += int(finite.size - finite.sum())
        return np.where(finite, samples, np.float32(0))
