"""Single segments of a run, drawn by class and score, for the quick question: right, wrong, or which voice?

The segments of a class, sorted by score, are divided into as many equal parts as are drawn, and one is drawn from
each. So the share that is right is a fair estimate for the class, and every level of the score is represented.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.confidence import confidences, has_confidence
from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.audio.channels import parse_channel
from babyhubert.audio.recording import open_recording
from babyhubert.errors import AnnotationError
from babyhubert.exchange.recordings import AnnotatedRecording, Failure, Source
from babyhubert.inference.calibration import sigmoid
from babyhubert.inference.confidence import segment_scores, stored_scores
from babyhubert.measures.results import audio_fault
from babyhubert.timebase import ms_to_samples, samples_to_ms


class SegmentToAsk(NamedTuple):
    """A segment of a run; times in whole milliseconds of the recording, score NaN where none is known."""

    recording_id: str
    start: int
    end: int
    label: str
    score: float


@dataclass(frozen=True)
class RecordedSound:
    """Sound of a recording: its file, and the channel that the run used."""

    path: Path
    channel: str


@dataclass(frozen=True)
class DrawnSegments:
    """Segments to ask about, in the order in which they are asked.

    Attributes:
        segments: The segments.
        sounds: Sound of each recording that has some.
        notes: Recordings that are left out, one sentence each.
    """

    segments: tuple[SegmentToAsk, ...]
    sounds: dict[str, RecordedSound]
    notes: tuple[str, ...]


def draw_segments(source: Source, per_class: int, seed: int) -> DrawnSegments:
    """Draw segments of a run; the same run and seed give the same segments in the same order.

    Args:
        source: Output folder of a run, perhaps with its recordings.
        per_class: Segments of each voice type, fewer where there are not so many.
        seed: Seed of the choice.

    Raises:
        AnnotationError: not the folder of a run, or it has no segments whose sound is there.
    """
    if not source.is_run:
        raise AnnotationError(f"{source.path}: single segments are those of an output folder of 'babyhubert segment'")
    classes = _classes(source)
    rows: list[SegmentToAsk] = []
    sounds, notes = {}, []
    for recording in source.recordings():
        reason = recording.error if isinstance(recording, Failure) else _why_silent(recording)
        if isinstance(recording, Failure) or recording.audio is None or reason is not None:
            notes.append(str(reason))
            continue
        sounds[recording.recording_id] = RecordedSound(recording.audio, str(recording.record.get("channel") or "mean"))
        rows += _rows(recording, classes)
    generator = np.random.default_rng(seed)
    classed = ([row for row in rows if row.label == label] for label in VOICE_TYPES)
    drawn = [row for own in classed for row in _spread(own, per_class, generator)]
    if not drawn:
        raise AnnotationError(f"{source.path}: no segments to ask about{f' ({notes[0]})' if notes else ''}")
    order = generator.permutation(len(drawn)).tolist()
    return DrawnSegments(tuple(drawn[place] for place in order), sounds, tuple(notes))


def _classes(source: Source) -> list[str]:
    model = source.about().get("model")
    classes = model.get("classes") if isinstance(model, dict) else None
    return [str(name) for name in classes] if isinstance(classes, list) else list(VOICE_TYPES)


def _why_silent(recording: AnnotatedRecording) -> str | None:
    if recording.audio is None or not recording.audio.is_file():
        return f"{recording.recording_id}: its sound is not there ({recording.audio}); name it with --audio"
    return None if recording.audio_named else audio_fault(recording.audio, recording.record)


def _rows(recording: AnnotatedRecording, classes: Sequence[str]) -> list[SegmentToAsk]:
    scores = _scores(recording, classes)
    times = ((samples_to_ms(start), samples_to_ms(end), label) for start, end, label in recording.segments)
    return [
        SegmentToAsk(recording.recording_id, start, end, label, score)
        for (start, end, label), score in zip(times, scores.tolist(), strict=True)
        if label in VOICE_TYPES and end > start
    ]


def _scores(recording: AnnotatedRecording, classes: Sequence[str]) -> NDArray[np.float64]:
    """Score of each segment, 0 to 1, shape (S,); NaN where neither a confidence nor frame scores are stored."""
    segments = recording.segments
    if has_confidence(segments):
        return confidences(segments)
    frames = stored_scores(recording.scores, classes)
    if frames is None:
        return np.full(len(segments), np.nan)
    found: NDArray[np.float64] = sigmoid(segment_scores(frames, segments, classes))
    return found


def _spread(rows: list[SegmentToAsk], count: int, generator: np.random.Generator) -> list[SegmentToAsk]:
    """One row of each of ``count`` equal parts of the rows by score; those without a score come last."""
    ordered = sorted(rows, key=_by_score)
    edges = np.linspace(0, len(ordered), min(count, len(ordered)) + 1).round().astype(int).tolist()
    return [ordered[int(generator.integers(low, high))] for low, high in itertools.pairwise(edges)]


def _by_score(row: SegmentToAsk) -> tuple[bool, float, tuple[object, ...]]:
    unknown = bool(np.isnan(row.score))
    return unknown, 0.0 if unknown else row.score, row[:4]


def sound_around(sound: RecordedSound, start: int, end: int, around: int) -> tuple[NDArray[np.float32], int]:
    """Sound of a segment with some before and after it, at 16 kHz, float32 (N,), and the milliseconds before it.

    Raises:
        AudioError: the recording cannot be read.
    """
    first = max(0, start - around)
    with open_recording(sound.path, parse_channel(sound.channel)) as recording:
        last = min(ms_to_samples(end + around), recording.n_samples)
        return recording.read(ms_to_samples(first), last), start - first
