"""Window of an utterance for the published addressee model, and the frames that are pooled."""

from __future__ import annotations

from babyhubert.encoder.context import Pooling
from babyhubert.material.windows import UtteranceWindow
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD, SAMPLE_RATE, frame_count


def centred_window(
    onset: int, offset: int, recording: int, context: int = 10 * SAMPLE_RATE, pooling: Pooling = "published"
) -> UtteranceWindow:
    """The published window: centred on the utterance, moved to stay inside the recording.

    Utterances as long as the context get no context.

    Args:
        onset: First sample of the utterance.
        offset: Sample after its last.
        recording: Length of the recording, samples.
        context: Length of the window, samples.
        pooling: Kind of frames that are pooled.
    """
    context = max(context, FRAME_RECEPTIVE_FIELD)
    fill = max((context - (offset - onset)) // 2, 0)
    start, stop = onset - fill, offset + fill
    if start < 0:
        start, stop = 0, context
    if stop > recording:
        start, stop = max(recording - context, 0), recording
    frames = frame_count(stop - start)
    if pooling == "published":
        first, last = published_pooling(onset, stop, frames)
    else:
        first = min((onset - start + FRAME_HOP // 2) // FRAME_HOP, max(frames - 1, 0))
        last = min(max((offset - start + FRAME_HOP // 2) // FRAME_HOP, first + 1), frames)
    return UtteranceWindow(start, stop, first, last)


def published_pooling(onset: int, window_end: int, frames: int) -> tuple[int, int]:
    """First pooled frame of a window and the frame after the last, as published; all frames if there is none.

    Args:
        onset: First sample of the utterance.
        window_end: Sample after the last of its window.
        frames: Frames of the window.
    """
    stop = min((window_end - onset - FRAME_RECEPTIVE_FIELD) // FRAME_HOP, frames)
    return 0, stop if stop > 0 else frames
