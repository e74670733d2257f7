"""Confidence of the model, from the frame scores that ``segment`` stores.

The score of a segment is the mean of its class over its frames. It distinguishes strong from weak detections of one
model; it is not the probability that the segment is correct.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.raster import frame_spans
from babyhubert.frame_store import open_frames
from babyhubert.measures.results import RecordingResult

DOUBTFUL = 0.1
"""A frame is doubtful if its score is closer than this to the threshold."""


class Confidence(NamedTuple):
    """Scores of one recording.

    Attributes:
        score: Mean score of each segment's class over its frames, float32 (S,); NaN where that class has no scores.
        doubtful: Share of all frames that are doubtful, by class.
    """

    score: NDArray[np.float32]
    doubtful: dict[str, float]


def confidence_of(
    recording: RecordingResult, classes: Sequence[str], thresholds: Mapping[str, float]
) -> Confidence | None:
    """Scores of a recording's segments; None if no scores are stored, or scores of other classes.

    Args:
        recording: Its segments, in order, and the path of its scores.
        classes: Classes of the columns of the scores.
        thresholds: Thresholds by class.
    """
    if recording.scores is None:
        return None
    try:
        scores = open_frames(recording.scores)
    except (OSError, ValueError, EOFError):
        return None
    if scores.ndim != 2 or scores.dtype.kind != "f" or scores.shape[1] != len(classes):
        return None
    segments = recording.segments
    result = np.full(len(segments), np.nan, dtype=np.float32)
    doubtful = {}
    for column, label in enumerate(classes):
        own = np.asarray(scores[:, column], dtype=np.float32)
        rows = np.flatnonzero(segments.label == label)
        first, stop = frame_spans(segments.start[rows], segments.end[rows], len(own))
        sums = np.concatenate(([0.0], np.cumsum(own, dtype=np.float64)))
        some = stop > first
        result[rows[some]] = (sums[stop[some]] - sums[first[some]]) / (stop[some] - first[some])
        if label in thresholds and len(own):
            doubtful[label] = float(np.mean(np.abs(own - thresholds[label]) < DOUBTFUL))
    return Confidence(result, doubtful)
