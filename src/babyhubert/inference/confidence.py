"""Confidence of a segment: its score from the frames, and the probability that it is right.

The score of a segment is the mean over its frames of the log-odds of its class, log(p / (1 - p)). It grows with every
frame score. As a column ``confidence`` it is either mapped to 0 to 1 by the logistic function (an uncalibrated score,
on the scale of frame probabilities), or, with a calibration, to the probability that the segment is right: logistic
regression per class on the score (Platt 1999). A segment is right if people say so,
or if at least half of it overlaps a reference segment of its class.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.confidence import CONFIDENCE
from babyhubert.annotation.raster import frame_spans
from babyhubert.annotation.segments import Segments
from babyhubert.config import read_bounded
from babyhubert.errors import ConfigError
from babyhubert.frame_store import open_frames
from babyhubert.inference.calibration import logit, sigmoid

CONFIDENCE_FILE = "confidence.json"
SCORE = "score"
"""Kind of a confidence that is no probability: the logistic function of the mean log-odds."""
PROBABILITY = "probability"
"""Kind of a calibrated confidence."""

_FORMAT = 1
_FRAMES_AT_ONCE = 1 << 18
_LARGEST = 1e6


class ClassFit(NamedTuple):
    """Log-odds that a segment is right: ``intercept + slope * score``. The defaults are the uncalibrated score.

    Attributes:
        intercept: Log-odds at score 0.
        slope: 0 or more: a higher score never makes a segment less likely.
    """

    intercept: float = 0.0
    slope: float = 1.0


@dataclass(frozen=True, eq=False)
class SegmentCalibration:
    """Meaning of the scores of segments, class by class.

    Attributes:
        classes: Fit of each class.
        about: Origin: model, thresholds, reviewed segments (JSON).
    """

    classes: Mapping[str, ClassFit]
    about: Mapping[str, Any] = field(default_factory=dict)

    def probabilities(self, labels: NDArray[np.object_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability that each segment is right: float64, shape (S,); NaN for a class without a fit.

        Args:
            labels: Class of each segment, shape (S,).
            scores: Mean log-odds, shape (S,).
        """
        result = np.full(len(scores), np.nan)
        for label, fit in self.classes.items():
            rows = np.flatnonzero(labels == np.array(label, dtype=object))
            result[rows] = sigmoid(fit.intercept + fit.slope * scores[rows])
        return result

    def as_record(self) -> dict[str, Any]:
        """For JSON: `confidence.json`, and ``confidence`` in a model's `task.json`."""
        return {
            "format": _FORMAT,
            "score": "mean over frames of log(p / (1 - p))",
            "probability": "1 / (1 + exp(-(intercept + slope * score)))",
            "classes": {label: fit._asdict() for label, fit in self.classes.items()},
            "about": dict(self.about),
        }

    def settings(self) -> dict[str, Any]:
        """The numbers that affect a result."""
        return {"kind": PROBABILITY, "classes": {label: fit._asdict() for label, fit in self.classes.items()}}


def stored_scores(path: Path | None, classes: Sequence[str]) -> NDArray[np.floating] | None:
    """Frame scores that ``segment`` stored, a memory map of shape (T, C).

    Args:
        path: Their file, if there is one.
        classes: Classes of the columns.

    Returns:
        None if there is no whole file of scores of that many classes.
    """
    if path is None:
        return None
    try:
        scores: NDArray[np.floating] = open_frames(path)
    except (OSError, ValueError, EOFError):
        return None
    return scores if scores.ndim == 2 and scores.dtype.kind == "f" and scores.shape[1] == len(classes) else None


def segment_scores(scores: NDArray[np.floating], segments: Segments, labels: Sequence[str]) -> NDArray[np.float64]:
    """Mean log-odds of each segment's class over its frames; memory for a stretch of the recording at a time.

    Args:
        scores: Frame probabilities, shape (T, C), may be a memory map.
        segments: S segments.
        labels: Classes of the columns.

    Returns:
        float64, shape (S,); NaN for a label that is no column, and for a segment without frames.
    """
    sums, frames = np.zeros(len(segments)), np.zeros(len(segments), dtype=np.int64)
    first, stop = frame_spans(segments.start, segments.end, len(scores))
    column = {label: np.flatnonzero(segments.label == np.array(label, dtype=object)) for label in labels}
    for low in range(0, len(scores), _FRAMES_AT_ONCE):
        stretch = logit(scores[low : low + _FRAMES_AT_ONCE])
        total = np.zeros(len(stretch) + 1)
        for number, rows in enumerate(column.values()):
            rows = rows[(first[rows] < low + len(stretch)) & (stop[rows] > low)]
            np.cumsum(stretch[:, number], out=total[1:])
            begin, end = (np.clip(place[rows] - low, 0, len(stretch)) for place in (first, stop))
            sums[rows] += total[end] - total[begin]
            frames[rows] += end - begin
    return np.where(frames > 0, sums / np.maximum(frames, 1), np.nan)


def with_confidence(
    segments: Segments,
    scores: NDArray[np.floating],
    labels: Sequence[str],
    calibration: SegmentCalibration | None = None,
) -> Segments:
    """The segments with a column ``confidence``: float64, shape (S,), 0 to 1; NaN where there are no frames.

    Args:
        segments: The segments.
        scores: Frame probabilities, shape (T, C).
        labels: Classes of the columns.
        calibration: Gives the probability that a segment is right; None: the uncalibrated score.
    """
    found = segment_scores(scores, segments, labels)
    values = sigmoid(found) if calibration is None else calibration.probabilities(segments.label, found)
    return replace(segments, columns={**segments.columns, CONFIDENCE: values})


def settings_of(calibration: SegmentCalibration | None) -> dict[str, Any]:
    """Settings of a run that affect confidences."""
    return {"kind": SCORE} if calibration is None else calibration.settings()


def read_confidence(path: Path, labels: Sequence[str] | None = None) -> SegmentCalibration:
    """Read `confidence.json`, as ``tune confidence`` writes it, for the classes of a model; None: for its own.

    Raises:
        ConfigError: unreadable, not such a file, a class missing, or an invalid number.
    """
    try:
        content = json.loads(read_bounded(Path(path), "confidence calibrations"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not the confidence.json of 'tune confidence' ({error})") from error
    return parse_confidence(content, labels, str(path))


def parse_confidence(content: object, labels: Sequence[str] | None, where: str) -> SegmentCalibration:
    """A calibration from what :meth:`SegmentCalibration.as_record` wrote.

    Raises:
        ConfigError: it is something else, a class is missing, or a number is invalid.
    """
    classes = content.get("classes") if isinstance(content, Mapping) else None
    if not isinstance(content, Mapping) or content.get("format") != _FORMAT or not isinstance(classes, Mapping):
        raise ConfigError(f"{where}: not a calibration of confidences; 'babyhubert tune confidence' writes one")
    labels = list(classes) if labels is None else labels
    missing = [label for label in labels if label not in classes]
    if missing:
        raise ConfigError(f"{where}: has no class {missing[0]}, which the model has; fit it on a run of this model")
    about = content.get("about", {})
    fits = {label: _parse_fit(classes[label], f"{where}, class {label}") for label in labels}
    return SegmentCalibration(fits, about if isinstance(about, Mapping) else {})


def _parse_fit(record: object, where: str) -> ClassFit:
    names = ClassFit._fields
    if not isinstance(record, Mapping) or not set(names) <= set(record):
        raise ConfigError(f"{where}: needs the numbers {', '.join(names)}")
    for name in names:
        value = record[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(f"{where}: {name} is {value!r}, not a number")
        if abs(value) > _LARGEST or (name == "slope" and value < 0):
            raise ConfigError(f"{where}: {name} is {value}; {'0 or more' if name == 'slope' else 'too large'}")
    return ClassFit(*(float(record[name]) for name in names))
