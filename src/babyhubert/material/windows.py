"""Windows of audio around training utterances, many utterances at once.

The published windows of one utterance are in :mod:`addressee_windows` and :mod:`phoneme_windows`; the rule here leaves
no utterance without context.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.raster import frame_counts
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD, SAMPLE_RATE

LONGEST_PUBLISHED = 30 * SAMPLE_RATE
"""Limit of the published tools: longer utterances are ``Other`` for the addressee, and absent from the phonemes."""

Samples = NDArray[np.int64]

WindowRule = Literal["always", "published"]
"""``always``: utterances of any length have context. ``published``: as for the released model, utterances as long as
the window have none.
"""


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of S utterances, all int64 (S,).

    Attributes:
        start: First sample of the window.
        stop: Sample after its last.
        first_frame: First frame of the window that belongs to the utterance.
        stop_frame: Frame after the last that does.
    """

    start: Samples
    stop: Samples
    first_frame: Samples
    stop_frame: Samples

    def __getitem__(self, rows: Samples | NDArray[np.bool_]) -> Windows:
        return Windows(self.start[rows], self.stop[rows], self.first_frame[rows], self.stop_frame[rows])

    @property
    def width(self) -> Samples:
        """Samples of each window."""
        return self.stop - self.start


def windows_with_context(start: Samples, end: Samples, length: Samples, context: int) -> Windows:
    """Windows of ``context`` samples around utterances, moved inside the recording.

    An utterance that leaves less than a quarter of the context on a side gets a longer window with a quarter on either
    side. A context of 0 gives the utterance alone (and never less than one frame needs).

    Args:
        start: First sample of each utterance, (S,).
        end: Sample after the last, (S,).
        length: Samples of the recording it is in, (S,).
        context: Length of the window of shorter utterances.
    """
    duration = end - start
    fill = np.maximum((context - duration) // 2, context // 4)
    width = np.minimum(np.maximum(duration + 2 * fill, FRAME_RECEPTIVE_FIELD), length)
    first = np.clip(start - fill, 0, length - width)
    frames = np.maximum(frame_counts(width), 1)
    first_frame = np.clip((start - first + FRAME_HOP // 2) // FRAME_HOP, 0, frames - 1)
    stop_frame = np.clip((end - first + FRAME_HOP // 2) // FRAME_HOP, first_frame + 1, frames)
    return Windows(first, first + width, first_frame, stop_frame)


def windows_by(
    rule: Callable[[int, int, int, int], UtteranceWindow], start: Samples, end: Samples, length: Samples, context: int
) -> Windows:
    """Windows by a rule for one utterance (onset, offset, recording, context)."""
    rows = zip(start.tolist(), end.tolist(), length.tolist(), strict=True)
    found = np.array([rule(*row, context) for row in rows], dtype=np.int64).reshape(-1, 4)
    return Windows(*found.T)


def shifted(windows: Windows, length: Samples, context: int, rng: np.random.Generator) -> Windows:
    """Move windows at random, by whole frames: the utterance stays inside with a quarter of its context.

    In inference, an utterance may be anywhere in a window, and so it is in training.
    """
    frames = frame_counts(windows.width)
    spare = context // 4 // FRAME_HOP
    earlier = np.minimum(windows.start // FRAME_HOP, np.maximum(frames - windows.stop_frame - spare, 0))
    later = np.minimum((length - windows.stop) // FRAME_HOP, np.maximum(windows.first_frame - spare, 0))
    by = rng.integers(-earlier, later + 1)
    return Windows(
        windows.start + by * FRAME_HOP,
        windows.stop + by * FRAME_HOP,
        windows.first_frame - by,
        windows.stop_frame - by,
    )


class UtteranceWindow(NamedTuple):
    """Window of one utterance.

    Attributes:
        start: First sample of the stretch.
        stop: Sample after its last.
        first_frame: First frame of the stretch that is used for the utterance, counted from ``start``.
        stop_frame: Frame after the last that is.
    """

    start: int
    stop: int
    first_frame: int
    stop_frame: int
