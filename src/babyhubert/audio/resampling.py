"""Resampling from any rate to 16 kHz, by position, without drift.

A sample at 16 kHz belongs to one instant, whether it is reached by streaming from the beginning or by seeking. Both
rates share a grid: 44.1 kHz and 16 kHz coincide every 441 and 160 samples. A ranged read starts the resampler at such
a point, early enough that its filter no longer depends on the start, so both ways give the same numbers. Input: a mono
reader at the native rate. Output: float32 chunks at 16 kHz.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from babyhubert.timebase import SAMPLE_RATE

QUALITY = "HQ"
CHUNK_FRAMES = 1 << 17
_LEAD = 2048
"""16 kHz samples decoded before a ranged read: four times the number at which both readings agree to 1e-6 at every
rate.
"""
_SMALLEST_CHUNK = 8192


class MonoReader(Protocol):
    """One channel at the native rate."""

    @property
    def sample_rate(self) -> int:
        """Hz."""
        ...

    def seek(self, frame: int) -> None:
        """Set the position of the next read to ``frame``."""
        ...

    def read(self, frames: int) -> NDArray[np.float32]:
        """Next samples, float32, shape (n,); n < ``frames`` only at the end."""
        ...


def resampled_length(frames: int, sample_rate: int) -> int:
    """Samples at 16 kHz for ``frames`` native ones, rounded to the nearest (halves go up)."""
    return converted_length(frames, sample_rate, SAMPLE_RATE)


def converted_length(frames: int, sample_rate: int, target: int) -> int:
    """Frames at the rate ``target`` for ``frames`` at another, rounded to the nearest (halves go up)."""
    return (2 * frames * target + sample_rate) // (2 * sample_rate)


class SampleStream:
    """Samples ``[start, stop)`` of a recording at 16 kHz or another rate, in chunks of bounded size, gapless.

    Attributes:
        end_frame: Native frame at which the recording ended, or None until it is reached.
    """

    def __init__(
        self, reader: MonoReader, start: int, stop: int | None, target: int = SAMPLE_RATE, channels: int = 1
    ) -> None:
        self._reader = reader
        self._target = target
        self._channels = channels
        self._start = start
        self._stop = stop
        self.end_frame: int | None = None

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        if self._stop is not None and self._stop <= self._start:
            return iter(())
        return self._copied() if self._reader.sample_rate == self._target else self._resampled()

    def _copied(self) -> Iterator[NDArray[np.float32]]:
        position = self._start
        self._reader.seek(position)
        while self._stop is None or position < self._stop:
            wanted = CHUNK_FRAMES if self._stop is None else min(CHUNK_FRAMES, self._stop - position)
            chunk = self._reader.read(wanted)
            position += len(chunk)
            if len(chunk):
                yield chunk
            if len(chunk) < wanted:
                self.end_frame = position
                return

    def _resampled(self) -> Iterator[NDArray[np.float32]]:
        rate = self._reader.sample_rate
        target = self._target
        common = math.gcd(rate, target)
        meeting = max(0, self._start - _LEAD) // (target // common)
        frame, position = meeting * (rate // common), meeting * (target // common)
        self._reader.seek(frame)
        stream = soxr.ResampleStream(rate, target, self._channels, dtype="float32", quality=QUALITY)
        while self._stop is None or position < self._stop:
            wanted = self._frames_to_ask(position, rate)
            native = self._reader.read(wanted)
            frame += len(native)
            ended = len(native) < wanted
            chunk = stream.resample_chunk(native, last=ended)
            if ended:
                self.end_frame = frame
                chunk = _exactly(chunk, converted_length(frame, rate, target) - position)
            wanted_part = self._clip(chunk, position)
            position += len(chunk)
            if len(wanted_part):
                yield wanted_part
            if ended:
                return

    def _frames_to_ask(self, position: int, rate: int) -> int:
        if self._stop is None:
            return CHUNK_FRAMES
        ahead = (self._stop - position + _LEAD) * rate // self._target
        return max(_SMALLEST_CHUNK, min(CHUNK_FRAMES, ahead))

    def _clip(self, chunk: NDArray[np.float32], position: int) -> NDArray[np.float32]:
        first = max(0, self._start - position)
        last = len(chunk) if self._stop is None else max(0, min(len(chunk), self._stop - position))
        return chunk[first:last]


def _exactly(chunk: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Cut or zero-pad the last chunk to the length that the number of native frames implies."""
    length = max(0, length)
    if len(chunk) >= length:
        return chunk[:length]
    return np.concatenate([chunk, np.zeros((length - len(chunk), *chunk.shape[1:]), dtype=np.float32)])
