"""A recording that is stored in pieces, or is damaged, as one sequence of frames.

A piece is a part that one decoder reads: one of several files joined end to end, or the sound between two holes. Every
piece has its position in the recording; gaps between pieces are silence, and so are stretches that cannot be decoded.
Any position is reached without reading what comes before it, so ranges and blocks give the same samples. Input: the
pieces of a file. Output: a :class:`PiecedSource`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.resampling import SampleStream, converted_length
from babyhubert.audio.source import Lost, Source, SourceHeader, merge_lost
from babyhubert.audio.spliced import Part


@dataclass(frozen=True)
class Piece:
    """A part of a recording that is decoded separately.

    Attributes:
        parts: Bytes for the decoder.
        sample_rate: Its own rate, Hz.
        channels: Its own number of channels.
        frames: Its length at its own rate.
        lost: Stretches filled with silence, in its own frames.
        announced: Frames according to its header, 0 if unknown.
        gap: Frames at its own rate that are lost before it.
        skip: Decoded frames before its first.
        joined: True if another recording begins with it.
        opener: Opens its decoder, if that is not libsndfile.
    """

    parts: tuple[Part, ...]
    sample_rate: int
    channels: int
    frames: int
    lost: Lost = ()
    announced: int = 0
    gap: int = 0
    skip: int = 0
    joined: bool = False
    opener: Callable[[], Source] | None = None


@dataclass(frozen=True)
class _Placed:
    """A piece, its first frame and the frame after its last, at the recording's rate."""

    piece: Piece
    start: int
    stop: int


Opener = Callable[[Piece], Source]


class PiecedSource:
    """An open recording made of pieces, at the rate and with the channels of the first."""

    def __init__(self, pieces: Sequence[Piece], opener: Opener, warnings: tuple[str, ...] = ()) -> None:
        """Place the pieces one after the other and open the first.

        Args:
            pieces: At least one.
            opener: Opens the decoder of a piece.
            warnings: Warnings about the recording, one line each.
        """
        first = pieces[0]
        self._rate, self._channels = first.sample_rate, first.channels
        self._placed, self.lost = _place(pieces, self._rate)
        self._starts = [placed.start for placed in self._placed]
        self._opener = opener
        self._position = 0
        self._short = max(0, first.announced - first.frames) if len(pieces) == 1 else 0
        self.problem: str | None = None
        self._reader = _Reader(opener(first), self._placed[0], self._rate, self._channels)
        self.header = SourceHeader(
            container=self._reader.header.container,
            codec=self._reader.header.codec,
            sample_rate=self._rate,
            channels=self._channels,
            frames=self._placed[-1].stop,
            warnings=warnings,
        )

    @property
    def seeks(self) -> bool:
        """True."""
        return True

    def seek(self, frame: int) -> None:
        """Set the position of the next read to ``frame``."""
        self._position = min(frame, self.header.frames)
        self.problem = None

    def read(self, frames: int) -> NDArray[np.float32]:
        """Next frames, float32, shape (n, channels)."""
        wanted = max(0, min(frames, self.header.frames - self._position))
        if wanted < frames and self._short:
            self.problem = "damaged data"
        samples = np.zeros((wanted, self._channels), dtype=np.float32)
        end = self._position + wanted
        index = max(0, bisect_right(self._starts, self._position) - 1)
        while index < len(self._placed) and self._starts[index] < end:
            placed = self._placed[index]
            start, stop = max(self._position, placed.start), min(end, placed.stop)
            if start < stop:
                found = self._reader_of(placed).read(start - placed.start, stop - start)
                samples[start - self._position :][: len(found)] = found
                if len(found) < stop - start:
                    self.lost = merge_lost(self.lost, ((start + len(found), stop),))
                self.lost = merge_lost(self.lost, self._reader.lost)
            index += 1
        self._position = end
        return samples

    def _reader_of(self, placed: _Placed) -> _Reader:
        if self._reader.placed is not placed:
            self._reader.close()
            self._reader = _Reader(self._opener(placed.piece), placed, self._rate, self._channels)
        return self._reader

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


def _place(pieces: Sequence[Piece], rate: int) -> tuple[list[_Placed], Lost]:
    """Positions of the pieces in the recording, and lost stretches, at the recording's rate."""
    placed, lost, end = [], [], 0
    for piece in pieces:
        start = end + converted_length(piece.gap, piece.sample_rate, rate)
        if start > end:
            lost.append((end, start))
        end = start + converted_length(piece.frames, piece.sample_rate, rate)
        placed.append(_Placed(piece, start, end))
        for first, last in piece.lost:
            begin, stop = (start + converted_length(place, piece.sample_rate, rate) for place in (first, last))
            lost.append((begin, stop))
    return placed, merge_lost((), lost)


class _Reader:
    """The decoder of one piece, at the rate and with the channels of the recording."""

    def __init__(self, source: Source, placed: _Placed, rate: int, channels: int) -> None:
        self.placed = placed
        self.header = source.header
        self.sample_rate = source.header.sample_rate
        self._source, self._rate, self._channels = source, rate, channels
        self._chunks: Iterator[NDArray[np.float32]] | None = None
        self._left = np.zeros((0, channels), dtype=np.float32)
        self._position = -1

    @property
    def lost(self) -> Lost:
        """Stretches that its decoder could not decode so far, at their places in the recording."""
        placed, skip = self.placed, self.placed.piece.skip
        places = (
            tuple(converted_length(max(0, frame - skip), self.sample_rate, self._rate) for frame in stretch)
            for stretch in self._source.lost
        )
        return tuple(
            (placed.start + first, min(placed.start + last, placed.stop)) for first, last in places if last > first
        )

    def read(self, start: int, frames: int) -> NDArray[np.float32]:
        """Read frames ``[start, start + frames)`` of the piece, fewer if it ends early."""
        if start != self._position:
            self._go_to(start)
        parts, missing = [self._left[:0]], frames
        while missing > 0:
            if not len(self._left) and not self._fill(missing):
                break
            parts.append(self._left[:missing])
            self._left = self._left[missing:]
            missing -= len(parts[-1])
        self._position = start + frames - missing
        return np.concatenate(parts)

    def _go_to(self, start: int) -> None:
        self._left = self._left[:0]
        if self.sample_rate == self._rate:
            self._source.seek(start + self.placed.piece.skip)
        else:
            self._chunks = iter(SampleStream(_Native(self), start, None, self._rate, self._channels))

    def _fill(self, frames: int) -> bool:
        if self._chunks is None:
            self._left = self._native(frames)
        else:
            self._left = next(self._chunks, self._left[:0])
        return len(self._left) > 0

    def _native(self, frames: int) -> NDArray[np.float32]:
        samples = self._source.read(frames)
        if samples.shape[1] == self._channels:
            return samples
        mono = samples.mean(axis=1, dtype=np.float32, keepdims=True)
        return np.repeat(mono, self._channels, axis=1)

    def close(self) -> None:
        """Close the file."""
        self._source.close()


class _Native:
    """A piece at its own rate, as input of the resampler."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        self.sample_rate = reader.sample_rate

    def seek(self, frame: int) -> None:
        """Set the position of the next read to ``frame``."""
        self._reader._source.seek(frame + self._reader.placed.piece.skip)

    def read(self, frames: int) -> NDArray[np.float32]:
        """Next frames."""
        return self._reader._native(frames)
