"""The interface of every decoder: frames at the recording's own rate, by position.

The decoders (``libsndfile``, ``riff``, ``media``) differ in the formats they can open; to their callers all look the
same. A *frame* here is one sample of every channel. Nothing in this module opens a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

LengthKnowledge = Literal["exact", "announced", "guessed"]
"""``exact``: that many frames follow. ``announced``: according to the header, true within a few codec frames.
``guessed``: derived from the file's size; only decoding tells.
"""


Lost = tuple[tuple[int, int], ...]
"""Stretches ``[start, stop)``, in order and not touching each other."""


_PLACES_NAMED = 3


@dataclass(frozen=True)
class SourceHeader:
    """Properties of a recording that are known before it is decoded."""

    container: str
    codec: str
    sample_rate: int
    channels: int
    frames: int
    length: LengthKnowledge = "exact"
    warnings: tuple[str, ...] = ()


class Source(Protocol):
    """An open recording at its native rate."""

    header: SourceHeader

    @property
    def problem(self) -> str | None:
        """Reason why decoding ended early, else None."""
        ...

    @property
    def lost(self) -> Lost:
        """Stretches, in frames, that could not be decoded and are silence, as known so far."""
        ...

    @property
    def seeks(self) -> bool:
        """True if seeking is cheap (else everything before the position is decoded)."""
        ...

    def seek(self, frame: int) -> None:
        """Set the position of the next read to ``frame``."""
        ...

    def read(self, frames: int) -> NDArray[np.float32]:
        """Read the next frames, float32, shape (n, channels); n < ``frames`` only at the end of the recording."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def to_float32(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Convert integer or float PCM to float32 with full scale 1; float values are left as they are."""
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(samples.dtype, np.signedinteger):
        full_scale = float(2 ** (8 * samples.dtype.itemsize - 1))
        return samples.astype(np.float32) / np.float32(full_scale)  # a power of two: divides without rounding
    return samples.astype(np.float32, copy=False)


def clock(frames: int, sample_rate: int) -> str:
    """A position in frames as ``H:MM:SS`` for messages."""
    seconds = frames // sample_rate
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def duration_phrase(frames: int, sample_rate: int) -> str:
    """A duration for a sentence: hours from one hour on, else ``H:MM:SS``."""
    hours = frames / sample_rate / 3600
    return f"{hours:.1f} h" if hours >= 0.5 else clock(frames, sample_rate)


def merge_lost(one: Lost, other: Iterable[tuple[int, int]]) -> Lost:
    """The union of both."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted([*one, *other]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return tuple(merged)


def lost_phrase(lost: Lost, sample_rate: int) -> str:
    """A line about lost stretches: their total, and the positions of the first of them."""
    total = sum(stop - start for start, stop in lost) / sample_rate
    places = [
        f"{_fine_clock(start, sample_rate)} to {_fine_clock(stop, sample_rate)}"
        for start, stop in lost[:_PLACES_NAMED]
    ]
    more = f" and {len(lost) - _PLACES_NAMED} more" if len(lost) > _PLACES_NAMED else ""
    return f"{total:.2f} s are damaged or missing in the file and read as silence: {', '.join(places)}{more}"


def _fine_clock(frames: int, sample_rate: int) -> str:
    hundredths = frames * 100 // sample_rate
    return f"{clock(frames, sample_rate)}.{hundredths % 100:02d}"
