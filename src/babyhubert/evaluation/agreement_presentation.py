"""Presentation of an agreement report: tables on the terminal, JSON and CSV."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from babyhubert.errors import counted, some_names
from babyhubert.evaluation import presentation as time_shown
from babyhubert.evaluation.agreement import AgreementReport, KappaIntervals
from babyhubert.evaluation.detection import BootstrapIntervals
from babyhubert.evaluation.presentation import interval_notes
from babyhubert.evaluation.score_table import (
    Column,
    decimal,
    number,
    shares,
    span_or_dash,
    spans,
    table_of,
    write_scores,
)
from babyhubert.timebase import format_clock

Intervals = tuple[BootstrapIntervals, KappaIntervals] | None


def agreement_table(report: AgreementReport, intervals: Intervals) -> Table:
    """F1 and kappa of each class, with intervals, and its amount on each side."""
    time, whole = report.time, "whole answer"
    f1, f1_ends, kappa, kappa_ends = _measures(report, intervals)
    columns = [Column("class", [*time.labels, "mean", whole], left=True), shares("F1 %", f1)]
    if intervals is not None:
        columns.append(spans(intervals[0].confidence, map(span_or_dash, f1_ends)))
    columns.append(Column("kappa", [_kappa(value) for value in kappa]))
    if intervals is not None:
        columns.append(spans(intervals[0].confidence, (span_or_dash(ends, _kappa) for ends in kappa_ends)))
    hit, second, first = time.totals.T
    columns += [
        Column(heading, [*map(format_clock, (hit + other).tolist()), "", ""])
        for heading, other in (("first", first), ("second", second))
    ]
    return table_of(f"Agreement, {counted(len(time.recordings), 'recording')}", columns, {len(time.labels)})


def _measures(report: AgreementReport, intervals: Intervals) -> tuple[NDArray[np.float64], ...]:
    """F1, its ends, kappa and its ends of each class, the mean and all classes together; NaN if there is none."""
    f1 = np.array([*report.time.scores[:, 2], report.time.macro_f1, math.nan])
    kappa = np.array([*report.class_kappas, report.mean_kappa, report.overall_kappa])
    nothing = np.full((len(f1), 2), np.nan)
    if intervals is None:
        return f1, nothing, kappa, nothing
    f1_ends = np.stack([*intervals[0].classes[:, 2], intervals[0].macro[2], nothing[0]])
    return f1, f1_ends, kappa, np.stack([*intervals[1].classes, intervals[1].mean, intervals[1].whole])


def _kappa(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def confusion_table(report: AgreementReport) -> Table:
    """Time by the labels of the first (row) and the second (column)."""
    return time_shown.confusion_table(report.time, "Time by first (rows) and second (columns)")


def notes(report: AgreementReport, intervals: Intervals) -> Iterator[str]:
    """Notes that are needed to interpret the figures."""
    for who, names in (("second", report.only_first), ("first", report.only_second)):
        if names:
            yield f"{counted(len(names), 'recording')} not annotated by the {who}, left out: {some_names(names)}"
    if not report.limited:
        yield (
            "no UEM: each recording counts up to its last segment; kappa (not F1) depends on how much silence counts"
        )
    if report.time.outside_uem:
        yield (
            f"{counted(len(report.time.outside_uem), 'recording')} not in the UEM, left out: "
            f"{some_names(report.time.outside_uem)}"
        )
    for side, labels in (report.time.ignored or {}).items():
        if labels:
            who = "first" if side == "reference" else "second"
            yield f"labels of the {who} that are not compared: {some_names(list(labels), most=8)}"
    if report.time.empty_classes:
        yield f"{', '.join(report.time.empty_classes)}: used by neither, so not in the mean of F1"
    yield from interval_notes(len(report.time.recordings), shown=intervals is not None)


def as_json(report: AgreementReport, intervals: Intervals) -> dict[str, Any]:
    """The complete report as JSON values; None if undefined."""
    kappas = None if intervals is None else intervals[1]
    return {
        "kappa": {
            "classes": {
                label: {"kappa": number(value), "interval": _pair(None if kappas is None else kappas.classes[row])}
                for row, (label, value) in enumerate(
                    zip(report.time.labels, report.class_kappas.tolist(), strict=True)
                )
            },
            "mean": {"kappa": number(report.mean_kappa), "interval": _pair(None if kappas is None else kappas.mean)},
            "whole_answer": {
                "kappa": number(report.overall_kappa),
                "interval": _pair(None if kappas is None else kappas.whole),
            },
            "frames": int(report.patterns.sum()),
        },
        "only_first": list(report.only_first),
        "only_second": list(report.only_second),
        "f1": time_shown.as_json(report.time, None if intervals is None else intervals[0]),
    }


def write_report(
    output: Path, report: AgreementReport, intervals: Intervals, settings: Mapping[str, Any]
) -> list[Path]:
    """Write ``evaluation.json`` and ``agreement.csv`` into a folder.

    Raises:
        OutputError: they cannot be written.
    """
    names = (*report.time.labels, "mean", "whole answer")
    rows = [
        (name, *map(decimal, (f1, *f1_ends, kappa, *kappa_ends)))
        for name, f1, f1_ends, kappa, kappa_ends in zip(names, *_measures(report, intervals), strict=True)
    ]
    header = ("class", "f1", "f1_low", "f1_high", "kappa", "kappa_low", "kappa_high")
    return write_scores(output, {**settings, **as_json(report, intervals)}, {"agreement.csv": [header, *rows]})


def _pair(ends: Any) -> list[float | None] | None:
    return None if ends is None else [number(end) for end in ends.tolist()]
