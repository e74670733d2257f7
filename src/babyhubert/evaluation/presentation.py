"""Presentation of a detection report: a table on the terminal, JSON, and the published CSV."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.segments import Segments
from babyhubert.errors import counted, some_names
from babyhubert.evaluation.detection import (
    BootstrapIntervals,
    DetectionReport,
    GroupScores,
    OverlapCounts,
    detection_scores,
)
from babyhubert.evaluation.score_table import (
    NOTHING,
    ClassScores,
    Column,
    bootstrap_json,
    confusion,
    decimal,
    number,
    percent,
    scores_json,
    shares,
    span,
    table_of,
    write_scores,
)
from babyhubert.timebase import format_clock, samples_to_seconds

FEW_RECORDINGS = 10


def read_side(path: Path) -> dict[str, Segments]:
    """Read the segments of a file or folder; of its ``rttm`` folder for the output of ``babyhubert segment``.

    Raises:
        AnnotationError: see :func:`babyhubert.annotation.reading.read_annotations`.
    """
    path = Path(path)
    return read_annotations(path / "rttm" if (path / "rttm").is_dir() else path)


def score_table(report: DetectionReport, intervals: BootstrapIntervals | None, title: str = "Voice type") -> Table:
    """Scores in percent with the interval of F1, and the amount of each class."""
    hit, wrong, missed = report.totals.T
    return class_scores(report, intervals).table(
        f"{title}, {counted(len(report.recordings), 'recording')}",
        map(format_clock, (hit + missed).tolist()),
        map(format_clock, (hit + wrong).tolist()),
    )


def class_scores(report: DetectionReport, intervals: BootstrapIntervals | None) -> ClassScores:
    """Scores of a report with their intervals."""
    return ClassScores(report.labels, report.scores, report.macro, intervals)


def confusion_table(
    report: DetectionReport, title: str = "Time by reference (rows) and prediction (columns)"
) -> Table:
    """Time (h:mm:ss) in which a reference class (row) and a predicted class (column) are active."""
    names = (*report.labels, NOTHING)
    return confusion(title, (names, names), report.confusion, format_clock)


def group_table(report: DetectionReport, groups: Sequence[GroupScores]) -> Table:
    """F1 by group of recordings: the mean with its interval, and each class."""
    intervals = ["-" if group.intervals is None else span(group.intervals.macro[2]) for group in groups]
    classes = zip(report.labels, np.array([group.scores[:, 2] for group in groups]).T.tolist(), strict=True)
    columns = [
        Column("group", [f"{group.column} {group.group}" for group in groups], left=True),
        Column("recordings", [str(group.recordings) for group in groups]),
        shares("mean", (float(group.macro[2]) for group in groups)),
        Column("interval", intervals),
        *(shares(label, values) for label, values in classes),
    ]
    breaks = {place for place in range(1, len(groups)) if groups[place - 1].column != groups[place].column}
    return table_of("F1 % by group", columns, breaks)


def notes(
    report: DetectionReport, intervals: BootstrapIntervals | None, groups: Sequence[GroupScores] = ()
) -> Iterator[str]:
    """Notes that are needed to interpret the scores, and those of groups."""
    overlap = report.overlap
    if overlap.reference:
        yield (
            f"two classes or more at once: {format_clock(overlap.reference)} in the reference, "
            f"{percent(overlap.recall)} % of it predicted as such (precision {percent(overlap.precision)} %)"
        )
    if report.missing:
        missing = counted(len(report.missing), "recording")
        yield f"{missing} without prediction, counted as silent: {some_names(report.missing)}"
    if report.matched:
        first = next(f"{found} as {uri}" for found, uri in report.matched.items())
        yield f"{len(report.matched)} predictions matched by name alone, whatever their folder: {first}, for one"
    if report.without_reference:
        number = len(report.without_reference)
        yield f"{number} predictions without reference, left out: {some_names(report.without_reference)}"
    if report.outside_uem:
        outside = counted(len(report.outside_uem), "recording")
        yield f"{outside} not in the UEM, left out: {some_names(report.outside_uem)}"
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
    """Notes on intervals over a number of recordings (or children)."""
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
    """The complete report as JSON values; durations in seconds, scores from 0 to 1, None if undefined."""
    names, scores = (*report.labels, NOTHING), class_scores(report, intervals)
    return {
        "metric": "duration-based detection F1 per class, summed over recordings; mean over classes that occur",
        "labels": list(report.labels),
        "recordings": len(report.recordings),
        "mean": scores.mean_json(),
        "published_mean": scores_json(report.published_macro),
        "classes": {
            label: {**scores.json(row), **_durations(report.totals[row])} for row, label in enumerate(report.labels)
        },
        "bootstrap": bootstrap_json(intervals, over),
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
        "groups": [_group_json(report, group) for group in groups],
        "files": {
            uri: {label: _durations(row) for label, row in zip(report.labels, counts, strict=True)}
            for uri, counts in zip(report.recordings, report.counts, strict=True)
        },
    }


def _group_json(report: DetectionReport, group: GroupScores) -> dict[str, Any]:
    scores = ClassScores(report.labels, group.scores, group.macro, group.intervals)
    return {
        "column": group.column,
        "group": group.group,
        "recordings": group.recordings,
        "mean": scores.mean_json(),
        "classes": {label: scores.json(row) for row, label in enumerate(report.labels)},
        "empty_classes": _empty_classes(report, group),
    }


def fscore_rows(report: DetectionReport) -> Iterator[Sequence[str]]:
    """The published table: one row per recording and TOTAL, one column per class, F1 from 0 to 1.

    A class on neither side counts as 1 here, as published.
    """
    yield ("item", *report.labels)
    per_file, total = (detection_scores(counts)[..., 2] for counts in (report.counts, report.totals))
    for uri, row in (*zip(report.recordings, per_file, strict=True), ("TOTAL", total)):
        yield (uri, *map(decimal, row))


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
    content = {**settings, **as_json(report, intervals, groups, over)}
    return write_scores(output, content, {"fscore.csv": fscore_rows(report)})


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
