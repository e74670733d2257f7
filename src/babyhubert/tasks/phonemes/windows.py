"""Which stretch of a recording BabAR hears for an utterance, and which frames it reads phonemes from."""

from __future__ import annotations

from babyhubert.material.windows import UtteranceWindow
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD, SAMPLE_RATE, frame_count


def phoneme_window(onset: int, offset: int, recording: int, context: int = 20 * SAMPLE_RATE) -> UtteranceWindow:
    """The published window: centred on the utterance, clipped to the recording (so it shrinks near the ends).

    It grows to the utterance where that is longer than the context. Frame limits are rounded half to even, as
    published; there is one frame at least, and frames past the encoder's last are its last.

    Args:
        onset: First sample of the utterance.
        offset: Sample after its last.
        recording: Length of the recording, samples.
        context: Length of the window, samples.
    """
    half = max((context - (offset - onset)) // 2, 0)
    stop = min(offset + half, recording)
    start = max(min(onset - half, stop - FRAME_RECEPTIVE_FIELD), 0)
    last = frame_count(stop - start) - 1
    first = round((onset - start) / FRAME_HOP)
    end = max(round((offset - start) / FRAME_HOP), first + 1)
    return UtteranceWindow(start, stop, min(first, max(last, 0)), min(end, max(last, 0) + 1))
