"""From several channels to one.

Daylong recorders write one to four channels, and which of them carries the child depends on the device. The choice is
made once a recording, before any sample is used, so every range and block comes from the same channel. In: an open
source and the user's choice. Out: the settled choice, and a mono reader that also replaces NaN and infinite samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.source import Lost, Source
from babyhubert.errors import AudioError, ConfigError

Channel = Literal["mean", "first", "loudest"] | int

_NAMED: dict[str, Channel] = {"mean": "mean", "first": "first", "loudest": "loudest"}
_EXCERPTS = 60
_EXCERPT_SECONDS = 1.0
_SPREAD_WITHOUT_SEEKING_SECONDS = 3600
"""Excerpts of a stream that cannot seek come from its first hour: reaching them decodes everything before."""


def parse_channel(text: str) -> Channel:
    """A channel choice as typed on the command line.

    Raises:
        ConfigError: neither mean, first, loudest nor an index from 0.
    """
    word = text.strip().lower()
    if word in _NAMED:
        return _NAMED[word]
    if word.isascii() and word.isdigit():
        return int(word)
    raise ConfigError(f"channel {text!r} is unknown: give mean, first, loudest or a number from 0")


def settle_channel(path: Path, source: Source, choice: Channel) -> Literal["mean"] | int:
    """The choice with ``first`` and ``loudest`` turned into an index.

    Raises:
        AudioError: the recording has no such channel.
        ConfigError: the choice is not one.
    """
    count = source.header.channels
    if isinstance(choice, str):
        choice = parse_channel(choice)
    if choice == "mean":
        return "mean"
    if choice == "first":
        return 0
    if choice == "loudest":
        return _loudest(source) if count > 1 else 0
    if not 0 <= choice < count:
        has = "1 channel (0)" if count == 1 else f"{count} channels (0 to {count - 1})"
        raise AudioError(f"{path} has {has}, not channel {choice}: choose one of them, or mean")
    return choice


def _loudest(source: Source) -> int:
    """Channel with the highest mean square over evenly spaced excerpts; ties go to the first."""
    rate, frames = source.header.sample_rate, source.header.frames
    if not source.seeks:
        frames = min(frames, _SPREAD_WITHOUT_SEEKING_SECONDS * rate)
    length = round(_EXCERPT_SECONDS * rate)
    count = max(1, min(_EXCERPTS, frames // length))
    energy = np.zeros(source.header.channels)
    for index in range(count):
        source.seek((frames - length) * index // max(1, count - 1) if frames > length else 0)
        samples = source.read(length).astype(np.float64)
        energy += np.square(np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)).sum(axis=0)
    return int(np.argmax(energy))


class Mixdown:
    """One channel, or the mean of all, of a source at its native rate.

    Attributes:
        nonfinite: NaN and infinite samples replaced by 0 so far, over the channels in use.
    """

    def __init__(self, source: Source, channel: str | int) -> None:
        self._source = source
        self._channel = channel
        self.nonfinite = 0

    @property
    def sample_rate(self) -> int:
        """Native rate, Hz."""
        return self._source.header.sample_rate

    @property
    def problem(self) -> str | None:
        """Why decoding ended early, if it did."""
        return self._source.problem

    @property
    def lost(self) -> Lost:
        """Stretches that could not be decoded, in native frames."""
        return self._source.lost

    def seek(self, frame: int) -> None:
        """Make ``frame`` the next one read."""
        self._source.seek(frame)

    def read(self, frames: int) -> NDArray[np.float32]:
        """Next samples, float32, shape (n,)."""
        samples = self._source.read(frames)
        if not isinstance(self._channel, str):
            samples = samples[:, self._channel : self._channel + 1]
        samples = self._finite(samples)
        if samples.shape[1] == 1:
            return np.ascontiguousarray(samples[:, 0])
        return samples.mean(axis=1, dtype=np.float32)

    def _finite(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        finite = np.isfinite(samples)
        if finite.all():
            return samples
        self.nonfinite += int(finite.size - finite.sum())
        return np.where(finite, samples, np.float32(0))
