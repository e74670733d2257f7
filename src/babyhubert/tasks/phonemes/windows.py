"""Window of BabAR for an utterance, and the frames that phonemes are decoded from."""

from __future__ import annotations

from babyhubert.material.windows import UtteranceWindow
from babyhubert.timebase import FRAME_RECEPTIVE_FIELD, SAMPLE_RATE, frame_count

_FRAMES_PER_SECOND = 50.0


def phoneme_window(onset: int, offset: int, recording: int, context: int = 20 * SAMPLE_RATE) -> UtteranceWindow:
    """The published window: centred on the utterance, clipped to the recording (so it shrinks near the ends).

    It grows to the utterance if that is longer than the context. The arithmetic is the published tool's own, in
    milliseconds and floating point from the onset and duration that an RTTM file holds: on the grid of 20 ms, limits
    lie half-way between frames so often that exact arithmetic would put one of them elsewhere in 4% of utterances.
    There is at least one frame, and frames after the encoder's last are replaced by the last.

    Args:
        onset: First sample of the utterance.
        offset: Sample after its last.
        recording: Length of the recording, samples.
        context: Length of the window, samples.
    """
    onset_s, duration_s = onset / SAMPLE_RATE, (offset - onset) / SAMPLE_RATE
    onset_ms, offset_ms = onset_s * 1000, (onset_s + duration_s) * 1000
    centre, half = (onset_ms + offset_ms) / 2, context / SAMPLE_RATE * 1000 / 2
    start_ms = max(0, min(centre - half, onset_ms))
    stop_ms = min(recording / SAMPLE_RATE * 1000, max(centre + half, offset_ms))
    first = round((onset_ms - start_ms) * _FRAMES_PER_SECOND / 1000.0)
    end = max(round((offset_ms - start_ms) * _FRAMES_PER_SECOND / 1000.0), first + 1)
    start = int(start_ms * SAMPLE_RATE / 1000.0)
    stop = min(start + int((stop_ms - start_ms) * SAMPLE_RATE / 1000.0), recording)
    start = max(min(start, stop - FRAME_RECEPTIVE_FIELD), 0)
    last = max(frame_count(stop - start) - 1, 0)
    return UtteranceWindow(start, stop, min(first, last), min(end, last + 1))
