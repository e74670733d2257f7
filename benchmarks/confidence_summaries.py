"""Which summary of the frames of a segment tells right segments from wrong ones best: area under the ROC curve.

For each class of a run, segments are right if at least half of them overlaps their class in a reference. Prints the
mean over classes, and each class, best first. `docs/evaluation.md` has the figures that chose the mean log-odds.

    babyhubert segment playroom/dev/audio -o dev
    python benchmarks/confidence_summaries.py dev playroom/dev/rttm
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.raster import frame_spans
from babyhubert.evaluation.confidence_fit import ranking
from babyhubert.evaluation.presentation import read_side
from babyhubert.evaluation.reviewed_segments import overlaps_half
from babyhubert.frame_store import open_frames
from babyhubert.inference.calibration import logit
from babyhubert.measures.results import read_results

Frames = NDArray[np.float64]

SUMMARIES: dict[str, Callable[[Frames, Frames], float]] = {
    "mean log-odds": lambda own, _: float(logit(own).mean()),
    "median log-odds": lambda own, _: float(np.median(logit(own))),
    "upper quartile of log-odds": lambda own, _: float(np.quantile(logit(own), 0.75)),
    "sum of log-odds": lambda own, _: float(logit(own).sum()),
    "mean probability": lambda own, _: float(own.mean()),
    "root mean square": lambda own, _: float(np.sqrt((own**2).mean())),
    "greatest probability": lambda own, _: float(own.max()),
    "least probability": lambda own, _: float(own.min()),
    "distance to the strongest other class": lambda own, others: float((own - others).mean()),
    "duration": lambda own, _: float(len(own)),
}
"""Of the probabilities of a segment's class, and the greatest of the other classes, in its frames."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="output folder of 'babyhubert segment'")
    parser.add_argument("reference", type=Path, help="annotations by people, or the truth of simulated recordings")
    given = parser.parse_args()
    results, reference = read_results(given.run), read_side(given.reference)
    found: dict[str, tuple[list[list[float]], list[float]]] = {label: ([], []) for label in results.classes}
    for name in results.audio:
        recording = results.read(name)
        if name not in reference or recording.scores is None:
            continue
        scores, segments = open_frames(recording.scores), recording.segments
        right = overlaps_half(segments, reference[name])
        first, stop = frame_spans(segments.start, segments.end, len(scores))
        for row, (_, _, label) in enumerate(segments):
            frames = scores[first[row] : stop[row]].astype(np.float64)
            column = results.classes.index(label)
            others = np.delete(frames, column, axis=1).max(axis=1)
            values, answers = found[label]
            values.append([summary(frames[:, column], others) for summary in SUMMARIES.values()])
            answers.append(float(right[row]))
    areas = {}
    for label, (values, answers) in found.items():
        table, truth = np.array(values).reshape(-1, len(SUMMARIES)), np.array(answers)
        areas[label] = [ranking(table[:, place], truth) for place in range(len(SUMMARIES))]
        print(f"{label}: {len(truth)} segments, {100 * truth.mean() if len(truth) else 0:.1f} % right")
    means = np.nanmean(np.array(list(areas.values())), axis=0)
    names = list(SUMMARIES)
    for place in np.argsort(-means):
        each = "  ".join(f"{label} {area[place]:.3f}" for label, area in areas.items())
        print(f"{names[place]:38s} {means[place]:.3f}   {each}")


if __name__ == "__main__":
    main()
