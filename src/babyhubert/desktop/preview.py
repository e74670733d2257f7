"""Effect of other thresholds, before they are applied: minutes of each class, from the stored frame scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.evaluation.score_folder import find_scores
from babyhubert.files import write_text
from babyhubert.inference.thresholds import check_thresholds, format_thresholds
from babyhubert.timebase import FRAME_HOP, SAMPLE_RATE

STEPS = 100
_ROWS = 500_000


def minutes_by_threshold(output: Path) -> dict[str, Any]:
    """Minutes of frames above each of the thresholds 0, 0.01 ... 1, by class, over all recordings of a results folder.

    Closing gaps, dropping short segments and a model's rule for classes at the same time change them a little; the
    frames of each class are counted as they are.

    Args:
        output: A results folder with stored scores.

    Returns:
        ``labels``, ``minutes`` (a list of 101 numbers by class) and ``recordings``.

    Raises:
        AnnotationError: it has no scores, damaged ones, or those of several models.
    """
    found = find_scores(output)
    edges = np.arange(STEPS + 1) / STEPS
    above = np.zeros((len(found.labels), STEPS + 1), dtype=np.int64)
    for recording in found.paths:
        scores = found.load(recording)
        for first in range(0, len(scores), _ROWS):
            block = np.asarray(scores[first : first + _ROWS], dtype=np.float32)
            for column in range(len(found.labels)):
                ordered = np.sort(block[:, column])
                above[column] += len(ordered) - np.searchsorted(ordered, edges.astype(np.float32), side="right")
    minutes = above * (FRAME_HOP / SAMPLE_RATE / 60)
    return {
        "labels": list(found.labels),
        "minutes": {label: minutes[column].round(3).tolist() for column, label in enumerate(found.labels)},
        "recordings": len(found.paths),
    }


def write_thresholds(output: Path, values: dict[str, float]) -> Path:
    """Write a file of thresholds beside the results, for ``--thresholds``.

    Raises:
        ConfigError: not one value between 0 and 1 for each class of the scores.
    """
    values = check_thresholds(values, find_scores(output).labels, "thresholds of the page")
    path = output / "thresholds-of-the-page.toml"
    write_text(path, format_thresholds(values))
    return path
