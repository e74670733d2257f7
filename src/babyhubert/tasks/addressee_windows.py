"""Which stretch of a recording the published addressee model hears for an utterance, and which frames it pools."""

from __future__ import annotations

from typing import NamedTuple

from babyhubert.annotation.frames import FRAME_HOP, FRAME_RECEPTIVE_FIELD, frame_count
from babyhubert.timebase import SAMPLE_RATE

LONGEST_PUBLISHED = 30 * SAMPLE_RATE
"""Longer utterances are not run by the published tools: ``Other`` for the addressee, absent from the phonemes."""


class UtteranceWindow(NamedTuple):
    """A stretch of a recording heard for one utterance.

    Attributes:
        start: First sample of the stretch.
        stop: Sample after its last.
        first_frame: First frame of the stretch that belongs to the utterance, counted from ``start``.
        stop_frame: Frame after the last that does.
    """

    start: int
    stop: int
    first_frame: int
    stop_frame: int


def addressee_window(onset: int, offset: int, recording: int, context: int = 10 * SAMPLE_RATE) -> UtteranceWindow:
    """The published window: centred on the utterance, moved to stay inside the recording.

    Utterances as long as the context get no context at all. The published frames begin two frames early and end one
    early; where that leaves none, all frames of the window count.

    Args:
        onset: First sample of the utterance.
        offset: Sample after its last.
        recording: Length of the recording, samples.
        context: Length of the window, samples.
    """
    fill = max((context - (offset - onset)) // 2, 0)
    start, stop = onset - fill, offset + fill
    if start < 0:
        start, stop = 0, context
    if stop > recording:
        start, stop = max(recording - context, 0), recording
    frames = frame_count(stop - start)
    first = max((onset - start - FRAME_RECEPTIVE_FIELD) // FRAME_HOP - 2, 0)
    last = min((offset - start - FRAME_RECEPTIVE_FIELD) // FRAME_HOP, frames)
    if last <= first:
        first, last = 0, frames
    return UtteranceWindow(start, stop, first, last)
