"""An agreement report as people and programs want it: tables on the terminal, JSON and CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from babyhubert.errors import some_names
from babyhubert.evaluation import presentation as time_shown
from babyhubert.evaluation.agreement import AgreementReport, KappaIntervals
from babyhubert.evaluation.detection import BootstrapIntervals
from babyhubert.evaluation.presentation import interval_notes, number, percent
from babyhubert.files import csv_text, write_json, write_text
from babyhubert.timebase import format_clock

Intervals = tuple[BootstrapIntervals, KappaIntervals] | None


def agreement_table(report: AgreementReport, intervals: Intervals) -> Table:
    """F1 and kappa of each class, with intervals, and how much each side has of it."""
    time = report.time
    table = Table(title=f"Agreement, {len(time.recordings)} recordings", title_justify="left")
    table.add_column("class")
    for heading in ("F1 %", "kappa"):
        table.add_column(heading, justify="right")
        if intervals is not None:
            table.add_column(f"{100 * intervals[0].confidence:g} % interval", justify="right")
    for heading in ("first", "second"):
        table.add_column(heading, justify="right")
    for row, (label, (hit, second, first)) in enumerate(zip(time.labels, time.totals.tolist(), strict=True)):
        ends = None if intervals is None else (intervals[0].classes[row, 2], intervals[1].classes[row])
        cells = _cells(time.scores[row, 2], report.class_kappas[row], ends)
        table.add_row(label, *cells, format_clock(hit + first), format_clock(hit + second))
    table.add_section()
    ends = None if intervals is None else (intervals[0].macro[2], intervals[1].mean)
    table.add_row("mean", *_cells(time.macro_f1, report.mean_kappa, ends), "", "")
    ends = None if intervals is None else (np.full(2, np.nan), intervals[1].whole)
    table.add_row("whole answer", *_cells(math.nan, report.whole_kappa, ends), "", "")
    return table


def confusion_table(report: AgreementReport) -> Table:
    """Time by what the first (row) and the second (column) say."""
    table = time_shown.confusion_table(report.time)
    table.title = "Time by first (rows) and second (columns)"
    return table


def notes(report: AgreementReport, intervals: Intervals) -> Iterator[str]:
    """Sentences a reader of the figures must know."""
    for who, names in (("second", report.only_first), ("first", report.only_second)):
        if names:
            yield f"{len(names)} recordings not annotated by the {who}, left out: {some_names(names)}"
    if not report.limited:
        yield (
            "no UEM: each recording counts up to its last segment; kappa (not F1) depends on how much silence counts"
        )
    if report.time.outside_uem:
        yield (
            f"{len(report.time.outside_uem)} recordings not in the UEM, left out: "
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
    """Everything in a report; None where undefined."""
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
                "kappa": number(report.whole_kappa),
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
    write_json(output / "evaluation.json", {**settings, **as_json(report, intervals)})
    lines: list[Iterable[object]] = [("class", "f1", "f1_low", "f1_high", "kappa", "kappa_low", "kappa_high")]
    time, nothing = report.time, np.full(2, np.nan)
    for row, label in enumerate(time.labels):
        f1_ends, ends = (nothing, nothing) if intervals is None else (
            intervals[0].classes[row, 2], intervals[1].classes[row])  # fmt: skip
        lines.append((label, *_decimals([time.scores[row, 2], *f1_ends, report.class_kappas[row], *ends])))
    f1_ends, ends = (nothing, nothing) if intervals is None else (intervals[0].macro[2], intervals[1].mean)
    lines.append(("mean", *_decimals([time.macro_f1, *f1_ends, report.mean_kappa, *ends])))
    ends = nothing if intervals is None else intervals[1].whole
    lines.append(("whole answer", *_decimals([math.nan, *nothing, report.whole_kappa, *ends])))
    write_text(output / "agreement.csv", csv_text(lines))
    return [output / "evaluation.json", output / "agreement.csv"]


def _cells(f1: float, kappa: float, ends: tuple[Any, Any] | None) -> Iterator[str]:
    yield percent(f1)
    if ends is not None:
        yield "-" if math.isnan(ends[0][0]) else f"{percent(ends[0][0])} to {percent(ends[0][1])}"
    yield "-" if math.isnan(kappa) else f"{kappa:.3f}"
    if ends is not None:
        yield "-" if math.isnan(ends[1][0]) else f"{ends[1][0]:.3f} to {ends[1][1]:.3f}"


def _pair(ends: Any) -> list[float | None] | None:
    return None if ends is None else [number(end) for end in ends.tolist()]


def _decimals(values: Sequence[float]) -> list[str]:
    return ["" if math.isnan(value) else f"{value:.5f}" for value in values]
