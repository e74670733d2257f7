"""Confidences of segments in measures: only segments of at least some confidence, and expected numbers.

The expected number of right segments is the sum of their probabilities. It needs confidences that are probabilities
(``tune confidence``): sums of uncalibrated scores mean nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.confidence import confidences, has_confidence
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.errors import AnnotationError
from babyhubert.inference.confidence import PROBABILITY
from babyhubert.measures.results import RecordingResult
from babyhubert.measures.speech import sum_by_hour
from babyhubert.timebase import SAMPLE_RATE, samples_to_ms

_MINUTE = 60 * SAMPLE_RATE


def confident(recording: RecordingResult, least: float) -> RecordingResult:
    """Results of a recording for its segments of at least some confidence, addressees and utterances included.

    Args:
        recording: The results.
        least: Least confidence, 0 to 1.

    Raises:
        AnnotationError: segments without confidence.
    """
    segments = recording.segments
    if len(segments) and (not has_confidence(segments) or np.isnan(confidences(segments)).any()):
        raise AnnotationError(
            f"{recording.recording_id}: segments without confidence, from an earlier version, --no-confidence or "
            "another tool; run 'babyhubert segment' on it again"
        )
    kept = segments.where(confidences(segments) >= least)
    keys = {(samples_to_ms(start), samples_to_ms(end), label) for start, end, label in kept}

    def known(start: int, end: int, label: str) -> bool:
        return (samples_to_ms(start), samples_to_ms(end), label) in keys

    def part(table: Segments | None) -> Segments | None:
        return None if table is None else table.where(np.array([known(*row) for row in table], dtype=bool))

    return replace(
        recording,
        segments=kept,
        classified={name: part(table) for name, table in recording.classified.items()},
        transcribed={
            name: None if said is None else tuple(one for one in said if known(one.start, one.end, one.label))
            for name, said in recording.transcribed.items()
        },
    )


def expected_measures(recording: RecordingResult, edges: NDArray[np.int64]) -> dict[str, NDArray]:
    """Expected number of right segments, and minutes in them, of each voice type, between edges.

    NaN for a recording whose confidences are no probabilities. A segment counts where it begins; minutes are cut.

    Args:
        recording: The results.
        edges: Bounds of the stretches in samples, int64 (H + 1,), ascending.
    """
    known = recording.record.get("confidence") == PROBABILITY
    values: dict[str, NDArray] = {}
    for voice in VOICE_TYPES:
        own = recording.segments.of(voice)
        chances = confidences(own)
        nothing = np.full(max(len(edges) - 1, 0), np.nan)
        known_here = known and not np.isnan(chances).any()
        values[f"{voice.lower()}_segments_expected"] = (
            sum_by_hour(own.start, chances, edges) if known_here else nothing
        )
        values[f"{voice.lower()}_speech_min_expected"] = _minutes(own, chances, edges) if known_here else nothing
    return values


def _minutes(segments: Segments, chances: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Minutes of segments between edges, each weighted by its probability; after the last edge counts as before it."""
    bounds = edges.astype(np.int64)
    if len(bounds) < 2:
        return np.empty(0)
    bounds[-1] = max(int(bounds[-1]), int(segments.end.max(initial=0)))
    below = [np.minimum(place[:, None], bounds[None, :]) for place in (segments.start, segments.end)]
    return np.asarray(np.diff(chances @ (below[1] - below[0])) / _MINUTE)
