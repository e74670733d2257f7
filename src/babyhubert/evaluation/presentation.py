"""A detection report as people and programs want it: a table on the terminal, JSON, and the published CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.segments import Segments
from babyhubert.errors import some_names
from babyhubert.evaluation.detection import (
    BootstrapIntervals,
    DetectionReport,
    GroupScores,
    OverlapCounts,
    detection_scores,
)
from babyhubert.files import csv_text, write_json, write_text
from babyhubert.timebase import format_clock, samples_to_seconds

SCORES = ("precision", "recall", "f1")
NOTHING = "none"
"""Name of the confusion table's last row and column."""

FEW_RECORDINGS = 10


def read_side(path: Path) -> dict[str, Segments]:
    """Segments of a file or folder; of the ``rttm`` folder in it when it is the output of ``babyhubert segment``.

    Raises:
        AnnotationError: see :func:`babyhubert.annotation.reading.read_annotations`.
    """
    path = Path(path)
    return read_annotations(path / "rttm" if (path / "rttm").is_dir() else path)


def empty_score_table(title: str, intervals: BootstrapIntervals | None) -> Table:
    """A table for rows of a class, :func:`cells`, and how much there is on either side."""
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    table.add_column("F1 %", justify="right")
    if intervals is not None:
        table.add_column(f"{100 * intervals.confidence:g} % interval", justify="right")
    for heading in ("precision %", "recall %", "reference", "predicted"):
        table.add_column(heading, justify="right")
    return table


def score_table(report: DetectionReport, intervals: BootstrapIntervals | None, title: str = "Voice type") -> Table:
    """Scores in percent with the interval of F1, and how much of each class there is."""
    table = empty_score_table(f"{title}, {len(report.recordings)} recordings", intervals)
    for row, (label, (hit, wrong, missed)) in enumerate(zip(report.labels, report.totals.tolist(), strict=True)):
        ends = None if intervals is None else intervals.classes[row, 2]
        table.add_row(label, *cells(report.scores[row], ends), format_clock(hit + missed), format_clock(hit + wrong))
    table.add_section()
    table.add_row("mean", *cells(report.macro, None if intervals is None else intervals.macro[2]), "", "")
    return table


def confusion_table(report: DetectionReport) -> Table:
    """Time (h:mm:ss) in which a reference class (row) and a predicted class (column) are active."""
    table = Table(title="Time by reference (rows) and prediction (columns)", title_justify="left")
    table.add_column("")
    names = (*report.labels, NOTHING)
    for name in names:
        table.add_column(name, justify="right")
    for name, row in zip(names, report.confusion.tolist(), strict=True):
        table.add_row(name, *(format_clock(samples) for samples in row))
    return table


def group_table(report: DetectionReport, groups: Sequence[GroupScores]) -> Table:
    """F1 by group of recordings: the mean with its interval, and each class."""
    table = Table(title="F1 % by group", title_justify="left")
    for heading in ("group", "recordings", "mean", "interval", *report.labels):
        table.add_column(heading, justify="left" if heading == "group" else "right")
    for place, group in enumerate(groups):
        if place and groups[place - 1].column != group.column:
            table.add_section()
        ends = None if group.intervals is None else group.intervals.macro[2]
        interval = "-" if ends is None else f"{percent(ends[0])} to {percent(ends[1])}"
        f1 = map(percent, group.scores[:, 2].tolist())
        table.add_row(
            f"{group.column} {group.group}", str(group.recordings), percent(float(group.macro[2])), interval, *f1
        )
    return table


def notes(
    report: DetectionReport, intervals: BootstrapIntervals | None, groups: Sequence[GroupScores] = ()
) -> Iterator[str]:
    """Sentences a reader of the scores, and of those of groups, must know."""
    overlap = report.overlap
    if overlap.reference:
        yield (
            f"two classes or more at once: {format_clock(overlap.reference)} in the reference, "
            f"{percent(overlap.recall)} % of it predicted as such (precision {percent(overlap.precision)} %)"
        )
    if report.missing:
        yield f"{len(report.missing)} recordings without prediction, counted as silent: {some_names(report.missing)}"
    if report.matched:
        first = next(f"{found} as {uri}" for found, uri in report.matched.items())
        yield f"{len(report.matched)} predictions matched by name alone, whatever their folder: {first}, for one"
    if report.without_reference:
        number = len(report.without_reference)
        yield f"{number} predictions without reference, left out: {some_names(report.without_reference)}"
    if report.outside_uem:
        yield f"{len(report.outside_uem)} recordings not in the UEM, left out: {some_names(report.outside_uem)}"
    for side, labels in (report.ignored or {}).items():
        if labels:
            yield f"labels in the {side} that are not scored: {some_names(list(labels), most=8)}"
    if report.empty_classes:
        yield (
            f"{', '.join(report.empty_classes)}: neither in the reference nor predicted, so not in the mean; the "
            f"published evaluation counts F1 as 1 there, which makes a mean of {percent(report.published_macro[2])} %"
        )
    if empty := [group for group in groups if _empty_classes(report, group)]:
        told = [f"{each.column} {each.group} ({', '.join(_empty_classes(report, each))})" for each in empty]
        yield f"on neither side in a group ('-'), so not in its mean: {some_names(told, most=8)}"
    units = len(report.recordings) if intervals is None else intervals.units
    yield from interval_notes(units, shown=intervals is not None)


def _empty_classes(report: DetectionReport, group: GroupScores) -> list[str]:
    """Classes that are on neither side in a group."""
    return [label for label, f1 in zip(report.labels, group.scores[:, 2].tolist(), strict=True) if math.isnan(f1)]


def interval_notes(units: int, *, shown: bool) -> Iterator[str]:
    """What to know of intervals over so many recordings (or children)."""
    if not shown and units == 1:
        yield "one recording: no interval, since it cannot show how recordings vary"
    elif shown and units < FEW_RECORDINGS:
        yield f"only {units} recordings (or children) to draw from: the intervals are rough, and rather too narrow"


def as_json(
    report: DetectionReport,
    intervals: BootstrapIntervals | None,
    groups: Sequence[GroupScores] = (),
    over: str = "recordings",
) -> dict[str, Any]:
    """Everything in a report; durations in seconds, scores from 0 to 1, None where undefined."""
    names = (*report.labels, NOTHING)
    ends = None if intervals is None else intervals.classes
    return {
        "metric": "duration-based detection F1 per class, summed over recordings; mean over classes that occur",
        "labels": list(report.labels),
        "recordings": len(report.recordings),
        "mean": scores_json(report.macro, None if intervals is None else intervals.macro),
        "published_mean": scores_json(report.published_macro, None),
        "classes": {
            label: {
                **scores_json(report.scores[row], None if ends is None else ends[row]),
                **_durations(report.totals[row]),
            }
            for row, label in enumerate(report.labels)
        },
        "bootstrap": None
        if intervals is None
        else {"over": over, "resamples": intervals.resamples, "confidence": intervals.confidence},
        "confusion_s": {
            name: dict(zip(names, (samples_to_seconds(n) for n in row), strict=True))
            for name, row in zip(names, report.confusion.tolist(), strict=True)
        },
        "overlap": _overlap(report.overlap),
        "missing_predictions": list(report.missing),
        "predictions_without_reference": list(report.without_reference),
        "predictions_matched_by_name": dict(report.matched),
        "outside_uem": list(report.outside_uem),
        "ignored_labels_s": {
            side: {label: samples_to_seconds(n) for label, n in labels.items()}
            for side, labels in (report.ignored or {}).items()
        },
        "empty_classes": list(report.empty_classes),
        "groups": [
            {
                "column": group.column,
                "group": group.group,
                "recordings": group.recordings,
                "mean": scores_json(group.macro, None if group.intervals is None else group.intervals.macro),
                "classes": {
                    label: scores_json(
                        group.scores[row], None if group.intervals is None else group.intervals.classes[row]
                    )
                    for row, label in enumerate(report.labels)
                },
                "empty_classes": _empty_classes(report, group),
            }
            for group in groups
        ],
        "files": {
            uri: {label: _durations(row) for label, row in zip(report.labels, counts, strict=True)}
            for uri, counts in zip(report.recordings, report.counts, strict=True)
        },
    }


def fscore_csv(report: DetectionReport) -> str:
    """The published table: one row a recording and TOTAL, one column a class, F1 from 0 to 1.

    A class on neither side counts as 1 here, as published.
    """
    lines: list[Iterable[object]] = [("item", *report.labels)]
    per_file, total = (detection_scores(counts)[..., 2] for counts in (report.counts, report.totals))
    for uri, row in (*zip(report.recordings, per_file, strict=True), ("TOTAL", total)):
        lines.append((uri, *(f"{value:.5f}" for value in row)))
    return csv_text(lines)


def write_report(
    output: Path,
    report: DetectionReport,
    intervals: BootstrapIntervals | None,
    settings: Mapping[str, Any],
    groups: Sequence[GroupScores] = (),
    over: str = "recordings",
) -> list[Path]:
    """Write ``evaluation.json`` (``settings`` first) and ``fscore.csv`` into a folder.

    Raises:
        OutputError: it cannot be written.
    """
    write_json(output / "evaluation.json", {**settings, **as_json(report, intervals, groups, over)})
    write_text(output / "fscore.csv", fscore_csv(report))
    return [output / "evaluation.json", output / "fscore.csv"]


def cells(scores: NDArray[np.float64], ends: NDArray[np.float64] | None) -> Iterator[str]:
    """F1, its interval, precision and recall as percentages."""
    precision, recall, f1 = scores.tolist()
    yield percent(f1)
    if ends is not None:
        yield f"{percent(ends[0])} to {percent(ends[1])}"
    yield percent(precision)
    yield percent(recall)


def percent(share: float) -> str:
    """A share as a percentage with one decimal; a dash where it is undefined."""
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def number(value: float) -> float | None:
    """A number as JSON can hold it: None for NaN."""
    return None if math.isnan(value) else float(value)


def scores_json(scores: NDArray[np.float64], ends: NDArray[np.float64] | None) -> dict[str, Any]:
    """Precision, recall and F1 with their intervals, None where undefined."""
    content: dict[str, Any] = dict(zip(SCORES, map(number, scores.tolist()), strict=True))
    for name, pair in zip(SCORES, () if ends is None else ends.tolist(), strict=False):
        content[f"{name}_interval"] = [number(end) for end in pair]
    return content


def _durations(counts: NDArray[np.int64]) -> dict[str, float]:
    names = ("true_positive_s", "false_positive_s", "false_negative_s")
    return dict(zip(names, (samples_to_seconds(n) for n in counts.tolist()), strict=True))


def _overlap(overlap: OverlapCounts) -> dict[str, float | None]:
    return {
        "reference_s": samples_to_seconds(overlap.reference),
        "prediction_s": samples_to_seconds(overlap.prediction),
        "both_s": samples_to_seconds(overlap.both),
        "recall": number(overlap.recall),
        "precision": number(overlap.precision),
    }
