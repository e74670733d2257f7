"""Short sound clips for the page, on request only: recordings of children are private, and a page is easily shared."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from babyhubert.annotation.segments import VOICE_TYPES, Segment, Segments
from babyhubert.audio.channels import Channel
from babyhubert.audio.recording import open_recording
from babyhubert.measures.results import RecordingResult
from babyhubert.timebase import SAMPLE_RATE

_AROUND = SAMPLE_RATE // 2
_LONGEST = 8 * SAMPLE_RATE


class Clip(NamedTuple):
    """A sound clip: index of its segment, and its MP3 file as base64."""

    segment: Segment
    mp3: str


def draw_clips(recording: RecordingResult, channel: Channel, count: int, seed: int = 0) -> list[Clip]:
    """Draw clips of random segments, balanced over voice types, in order of time.

    Each has a margin of half a second and ends after eight seconds.

    Args:
        recording: The recording.
        channel: Channel that the run used.
        count: Number of clips.
        seed: Seed of the choice.

    Raises:
        AudioError: the recording is missing or cannot be read.
    """
    generator = np.random.default_rng([seed, *recording.recording_id.encode(errors="surrogatepass")])
    drawn = _draw(recording.segments, count, generator)
    clips = []
    with open_recording(recording.path, channel) as audio:
        for segment in drawn:
            start = max(0, segment.start - _AROUND)
            stop = max(start, min(segment.end + _AROUND, start + _LONGEST, audio.n_samples))
            clips.append(Clip(segment, _encode(audio.read(start, stop))))
    return clips


def _draw(segments: Segments, count: int, generator: np.random.Generator) -> list[Segment]:
    rows = [generator.permutation(np.flatnonzero(segments.label == label)) for label in VOICE_TYPES]
    turns = (int(row[turn]) for turn in range(max(map(len, rows), default=0)) for row in rows if turn < len(row))
    chosen = sorted(index for index, _ in zip(turns, range(count), strict=False))
    return [Segment(int(segments.start[i]), int(segments.end[i]), segments.label[i]) for i in chosen]


def _encode(samples: Iterable[float]) -> str:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="MP3")
    return base64.b64encode(file.getvalue()).decode("ascii")
