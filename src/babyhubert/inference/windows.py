"""Plan of the windows of a recording.

A plan is pure integer arithmetic on absolute sample positions, so windows never depend on how a file was read.
Window starts are multiples of the frame hop: the frames of all windows lie on the recording's one frame grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.errors import ConfigError
from babyhubert.timebase import (
    FRAME_HOP,
    FRAME_RECEPTIVE_FIELD,
    SAMPLE_RATE,
    frame_count,
    samples_to_seconds,
    seconds_to_samples,
)

Tail = Literal["short", "shift"]


LONGEST_WINDOW_S = 3600
"""Limit for a window: attention compares each of its frames with all others, 180,000 of them in an hour."""

_PIECE = seconds_to_samples(60)
"""Piece of a block that is processed at a time: a block may be a complete recording, which is not copied."""


class Window(NamedTuple):
    """A stretch of a recording: ``samples`` (float32, shape (n,)) begin at sample ``start``."""

    start: int
    samples: NDArray[np.float32]


def with_cores(windows: Iterable[Window]) -> Iterator[tuple[Window, int, int]]:
    """Yield windows with their core: the frames that are farther from an edge in this window than in its neighbours.

    One window is read ahead.

    Yields:
        A window, the first of its frames, and the frame after the last. They tile the range that the windows cover.
    """
    held, first = None, 0
    for window in windows:
        if held is not None:
            end = held.start // FRAME_HOP + frame_count(len(held.samples))
            cut = max((window.start // FRAME_HOP + end) // 2, first)
            yield held, first, cut
            first = cut
        held = window
    if held is not None:
        yield held, first, held.start // FRAME_HOP + frame_count(len(held.samples))


@dataclass(frozen=True)
class WindowPlan:
    """Windows of equal length at a constant hop, and one more if the recording's end is not reached.

    Attributes:
        length: Samples of a window, at least 400.
        hop: Samples between window starts: a multiple of 320, at most the range covered by the frames of a window.
        tail: Kind of the window at the end of a recording. ``"short"``: a shorter window at the next hop, as VTC up to
            2.1 does. ``"shift"``: a full window that ends with the recording (up to 319 samples longer, so that it
            starts on the frame grid and gives the last frame): every frame has the full context of a window.
            Recordings shorter than a window are one window in both.
        in_quiet: True to place a recording shorter than a window in the middle of one, with faint noise around it
            (:mod:`babyhubert.inference.surroundings`): a clip then gets the answers that the same sound gets in a day.
    """

    length: int
    hop: int
    tail: Tail = "shift"
    in_quiet: bool = False

    def __post_init__(self) -> None:
        if self.length < FRAME_RECEPTIVE_FIELD:
            raise ConfigError(f"a window of {self.length} samples holds no frame: {FRAME_RECEPTIVE_FIELD} at least")
        if self.hop % FRAME_HOP or not FRAME_HOP <= self.hop <= frame_count(self.length) * FRAME_HOP:
            raise ConfigError(
                f"a hop of {self.hop} samples is not a multiple of {FRAME_HOP} between {FRAME_HOP} and "
                f"{frame_count(self.length) * FRAME_HOP}, which a window of {self.length} samples covers"
            )

    @classmethod
    def from_overlap(cls, seconds: float, overlap: float) -> WindowPlan:
        """The plan for a window in seconds and the fraction shared by neighbours.

        Without overlap this is exactly the published plan up to VTC 2.1: for 4 s, windows of 64,000 samples every
        63,680 (their 199 frames tile), then a short tail. With overlap, the hop is the nearest number of whole frames
        (4 s and 0.75: one second, as VTC 2.2) and the last window is moved back to end with the recording.

        Raises:
            ConfigError: the window is shorter than a frame, or the overlap is not in [0, 1).
        """
        if seconds > LONGEST_WINDOW_S:
            raise ConfigError(f"a window of {seconds} s: at most {LONGEST_WINDOW_S} s fit into memory")
        length = seconds_to_samples(seconds) if seconds > 0 else 0
        if length < FRAME_RECEPTIVE_FIELD:
            raise ConfigError(
                f"a window of {seconds} s holds no frame: {FRAME_RECEPTIVE_FIELD / SAMPLE_RATE} s at least"
            )
        if not 0 <= overlap < 1:
            raise ConfigError(
                f"overlap {overlap} must be at least 0 and below 1: 0.75 means three quarters of a window"
            )
        most = frame_count(length) * FRAME_HOP
        if overlap == 0:
            return cls(length, most, "short")
        frames = round(length * (1 - overlap) / FRAME_HOP)
        return cls(length, min(max(frames, 1) * FRAME_HOP, most), "shift")

    def full_windows(self, samples: int) -> int:
        """Number of windows of full length in a recording of ``samples`` samples."""
        return 0 if samples < self.length else (samples - self.length) // self.hop + 1

    def tail_start(self, samples: int) -> int | None:
        """Start of the window at the end of a recording; None if the full windows already reach it."""
        full = self.full_windows(samples)
        covered = (full - 1) * self.hop // FRAME_HOP + frame_count(self.length) if full else 0
        if covered >= frame_count(samples):
            return None
        if not full:
            return 0
        if self.tail == "short":
            return full * self.hop
        return (samples - self.length) // FRAME_HOP * FRAME_HOP

    def spans(self, samples: int) -> list[tuple[int, int]]:
        """Start and end sample of every window of a recording, in order. Empty below 400 samples."""
        spans = [(k * self.hop, k * self.hop + self.length) for k in range(self.full_windows(samples))]
        tail = self.tail_start(samples)
        return spans if tail is None else [*spans, (tail, samples)]

    def cut(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[Window]:
        """Cut consecutive blocks of a recording, of any sizes, into windows; the length need not be known before.

        Memory holds at most a window, a hop and a minute. The windows are those of :meth:`spans`.
        """
        held = np.empty(0, dtype=np.float32)
        held_from, next_start = 0, 0
        pieces = (block[at : at + _PIECE] for block in blocks for at in range(0, len(block), _PIECE))
        for piece in pieces:
            held = np.concatenate((held, piece))
            reached = held_from + len(held)
            while next_start + self.length <= reached:
                yield Window(next_start, held[next_start - held_from :][: self.length])
                next_start += self.hop
            needed = min(next_start, max(reached - self.length - FRAME_HOP, 0))
            if needed - held_from > self.length:
                held, held_from = held[needed - held_from :].copy(), needed
        samples = held_from + len(held)
        tail = self.tail_start(samples)
        if tail is not None:
            yield Window(tail, held[tail - held_from :])

    def describe(self) -> dict[str, float | str]:
        """Description of the plan in seconds, for the record of a run."""
        described: dict[str, float | str] = {
            "window_s": samples_to_seconds(self.length),
            "hop_s": samples_to_seconds(self.hop),
            "tail": self.tail,
        }
        return described | ({"short_recordings": "in quiet"} if self.in_quiet else {})
