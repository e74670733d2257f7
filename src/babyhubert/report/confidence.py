"""Confidence of the model, from the frame scores that ``segment`` stores.

The score of a segment is the uncalibrated one of :mod:`babyhubert.inference.confidence`, on the scale of frame
probabilities and thresholds. It distinguishes strong from weak detections of one model; it is not the probability
that the segment is correct.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.inference.calibration import sigmoid
from babyhubert.inference.confidence import segment_scores, stored_scores
from babyhubert.measures.results import RecordingResult

DOUBTFUL = 0.1
"""A frame is doubtful if its score is closer than this to the threshold."""


class Confidence(NamedTuple):
    """Scores of one recording.

    Attributes:
        score: Score of each segment, float32 (S,), 0 to 1; NaN where its class has no scores.
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
    scores = stored_scores(recording.scores, classes)
    if scores is None:
        return None
    score = sigmoid(segment_scores(scores, recording.segments, classes)).astype(np.float32)
    doubtful = {}
    for column, label in enumerate(classes):
        own = np.asarray(scores[:, column], dtype=np.float32)
        if label in thresholds and len(own):
            doubtful[label] = float(np.mean(np.abs(own - thresholds[label]) < DOUBTFUL))
    return Confidence(score, doubtful)
