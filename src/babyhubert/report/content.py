"""Content of the page for one recording, as a JSON object: packed segments, measures, distributions, levels.

Times are milliseconds from the beginning of the recording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.columns import ADDRESSEE, PHONEMES, Column
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.measures.hours import HOUR
from babyhubert.measures.results import RecordingResult
from babyhubert.measures.speech import samples_by_hour
from babyhubert.measures.tables import MeasureSettings, RecordingMeasures, measure_names
from babyhubert.measures.turns import floor_transfers, speech_of
from babyhubert.report.clips import Clip
from babyhubert.report.confidence import Confidence
from babyhubert.report.levels import Levels
from babyhubert.report.packing import pack_bytes, pack_integers, pack_spans
from babyhubert.timebase import SAMPLE_RATE, SAMPLES_PER_MS, samples_to_ms

STRIP_PARTS = 48
"""Number of parts of a recording in the thumbnail of the table."""

LENGTH_STEP_MS, LENGTH_BINS = 250, 20
OFFSET_STEP_MS, OFFSET_FROM_MS, OFFSET_TO_MS = 200, -1000, 5000
SCORE_BINS = 20
ADDRESSEES = ("", "KCDS", "ADS", "other")
_DECIMALS = 4
_MOST_CLASSES = 253


def row_of(
    measured: RecordingMeasures,
    recording: RecordingResult,
    warnings: Sequence[str],
    quality: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Row of a recording in the table of all recordings: its measures, the thumbnail of its day, its usable hours."""
    return {
        "id": recording.recording_id,
        "start": _seconds_of_day(measured.hours.start),
        "measures": _numbers(measured.whole),
        "warnings": len(warnings),
        "usable": None if quality is None else _number(quality["usable_h"]),
        "strip": strip_of(recording),
    }


def strip_of(recording: RecordingResult) -> str:
    """Fraction of each 48th part in which each voice type speaks, in 255ths, packed."""
    edges = np.linspace(0, max(recording.samples, 1), STRIP_PARTS + 1).astype(np.int64)
    shares = []
    for label in VOICE_TYPES:
        own = recording.segments.of(label)
        spoken = samples_by_hour(own.start, own.end, edges) / np.maximum(np.diff(edges), 1)
        shares.append(np.clip(np.ceil(255 * spoken), 0, 255))
    return pack_bytes(np.concatenate(shares))


def detail_of(
    recording: RecordingResult,
    measured: RecordingMeasures,
    *,
    settings: MeasureSettings,
    confidence: Confidence | None,
    levels: Levels | None,
    clips: Sequence[Clip],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Details of one recording on the page.

    Args:
        recording: Its results.
        measured: Its measures.
        settings: Settings of the measures.
        confidence: Scores of its segments, if they are stored.
        levels: Its levels, if its audio could be read.
        clips: Sound clips.
        notes: Notes about it: warnings of the reader, and missing content with the reason.
    """
    return {
        "id": recording.recording_id,
        "file": recording.path.name,
        "duration": samples_to_ms(recording.samples),
        "start": _seconds_of_day(measured.hours.start),
        "channel": str(recording.record.get("channel", "")),
        "speed": recording.record.get("times_real_time"),
        "notes": list(notes),
        "measures": _numbers(measured.whole),
        "hours": {
            "names": measured.hours.names,
            "hours": np.round(np.diff(measured.hours.edges) / HOUR, _DECIMALS).tolist(),
            "measures": {name: [_number(v) for v in values] for name, values in measured.hourly.items()},
        },
        "lanes": {label: _lane(recording, label, confidence) for label in VOICE_TYPES},
        "lengths": {label: _lengths(recording.segments.of(label)) for label in VOICE_TYPES},
        "offsets": _offsets(recording.segments, settings),
        "doubtful": None if confidence is None else {k: round(v, _DECIMALS) for k, v in confidence.doubtful.items()},
        "levels": None if levels is None else _levels(levels),
        "clips": [
            {
                "at": samples_to_ms(clip.segment.start),
                "until": samples_to_ms(clip.segment.end),
                "label": clip.segment.label,
                "mp3": clip.mp3,
            }
            for clip in clips
        ],
    }


def _lane(recording: RecordingResult, label: str, confidence: Confidence | None) -> dict[str, Any]:
    chosen = recording.segments.label == label
    own = recording.segments.where(chosen.astype(bool))
    start, end = own.start // SAMPLES_PER_MS, own.end // SAMPLES_PER_MS
    lane: dict[str, Any] = {"count": len(own), "spans": pack_spans(start, end), "scores": None}
    if confidence is not None:
        score = confidence.score[chosen.astype(bool)]
        lane["scores"] = pack_bytes(np.round(255 * np.nan_to_num(score)))
        lane["histogram"] = np.histogram(score[~np.isnan(score)], bins=SCORE_BINS, range=(0, 1))[0].tolist()
    if recording.addressed is not None and label in ADDRESSEE.voices:
        lane["addressees"] = pack_bytes(_addressees(own, recording.addressed.of(label)))
    if classes := _lane_classes(recording, own, label):
        lane["classes"] = classes
    if recording.utterances is not None and label in PHONEMES.voices:
        said = {utterance.start: " ".join(utterance.phonemes) for utterance in recording.utterances}
        lane["phonemes"] = [said.get(place, "") for place in own.start.tolist()]
    return lane


def columns_of(own: Sequence[Column]) -> list[dict[str, Any]]:
    """Describe the columns of tasks that are not published, as the page shows their classes.

    ``texts`` are the meanings of the numbers in a lane, ``measures`` the beginnings of the measures' names by class.
    """
    names = measure_names(own)
    return [
        {
            "name": column.name,
            "texts": ["", *column.classes[:_MOST_CLASSES], "another class"],
            "measures": {name: names[column.name, name] for name in column.classes},
        }
        for column in own
        if column.kind == "classification"
    ]


def _lane_classes(recording: RecordingResult, own: Segments, label: str) -> dict[str, str]:
    """Class of each segment of a lane by column of a task that is not published, packed; columns that ask about it."""
    found = {}
    for column in recording.own_columns:
        classified = recording.classified.get(column.name)
        if classified is None or (column.voices and label not in column.voices):
            continue
        numbers = {name: number for number, name in enumerate(("", *column.classes[:_MOST_CLASSES]))}
        rows = zip(classified, classified.columns[column.name], strict=True)
        told = {(start, end): str(value) for (start, end, voice), value in rows if voice == label}
        values = [told.get((start, end), "") for start, end, _ in own]
        found[column.name] = pack_bytes(np.array([numbers.get(value, len(numbers)) for value in values], np.int64))
    return found


def _addressees(own: Segments, addressed: Segments) -> NDArray[np.int64]:
    """Index into ``ADDRESSEES`` of each segment, by its start."""
    told = dict(zip(addressed.start.tolist(), addressed.columns[ADDRESSEE.name], strict=True))
    kinds = [str(told.get(place, "")).upper() for place in own.start.tolist()]
    return np.array([ADDRESSEES.index(kind) if kind in ADDRESSEES else 3 for kind in kinds], dtype=np.int64)


def _lengths(segments: Segments) -> list[int]:
    """Number of segments of each length; the last bin holds all longer ones."""
    place = (segments.end - segments.start) // (LENGTH_STEP_MS * SAMPLES_PER_MS)
    return np.bincount(np.minimum(place, LENGTH_BINS), minlength=LENGTH_BINS + 1).tolist()


def _offsets(segments: Segments, settings: MeasureSettings) -> dict[str, list[int]]:
    """Gaps between a speaker's end and the answer of key child or adults, without the limits of a turn."""
    found = floor_transfers(
        speech_of(segments), gap=OFFSET_TO_MS * SAMPLES_PER_MS, overlap=-OFFSET_FROM_MS * SAMPLES_PER_MS
    )
    bins = np.arange(OFFSET_FROM_MS, OFFSET_TO_MS + 1, OFFSET_STEP_MS) * SAMPLES_PER_MS
    return {
        "child": np.histogram(found.offset[found.child], bins)[0].tolist(),
        "adult": np.histogram(found.offset[~found.child], bins)[0].tolist(),
        "limits": [-settings.turn_overlap_ms, settings.turn_gap_ms],
    }


def _levels(levels: Levels) -> dict[str, Any]:
    clipped = np.flatnonzero(levels.clipped)
    pairs = np.stack((np.diff(np.concatenate(([0], clipped))), levels.clipped[clipped].astype(np.int64)), axis=1)
    return {
        "level": pack_bytes(levels.level),
        "clipped": pack_integers(pairs.ravel().tolist()),
        "clipped_seconds": len(clipped),
        "clipped_share": float(levels.clipped.sum() / max(1, len(levels.level) * SAMPLE_RATE)),
        "silent_seconds": int((levels.level == 0).sum()),
    }


def _numbers(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: float | NDArray) -> float | None:
    number = float(value)
    if np.isnan(number):
        return None
    return int(number) if number.is_integer() else round(number, _DECIMALS)


def _seconds_of_day(start: int | None) -> int | None:
    """Seconds from midnight to the beginning."""
    return None if start is None else start // SAMPLE_RATE
