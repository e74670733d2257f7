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
from babyhubert.evaluation.agreement import AgreementReport, ChanceIntervals
from babyhubert.evaluation.detection import BootstrapIntervals
from babyhubert.evaluation.intraclass import Correlation
from babyhubert.evaluation.presentation import interval_notes
from babyhubert.evaluation.score_table import (
    Column,
    decimal,
    number,
    percent,
    span_or_dash,
    spans,
    table_of,
    table_of_rows,
    write_scores,
)
from babyhubert.timebase import format_clock

CONFIDENCE = 0.95

Intervals = tuple[BootstrapIntervals, ChanceIntervals, ChanceIntervals] | None
_MEASURES = ("f1", "kappa", "alpha")
_FEW_UNITS = 10


def agreement_table(report: AgreementReport, intervals: Intervals) -> Table:
    """F1, kappa and alpha of each class, with intervals, and its amount on each side."""
    time, whole = report.time, "whole answer"
    columns = [Column("class", [*time.labels, "mean", whole], left=True)]
    shown = zip(("F1 %", "kappa", "alpha"), (percent, _kappa, _kappa), _measures(report, intervals), strict=True)
    for heading, show, (values, ends) in shown:
        columns.append(Column(heading, [show(value) for value in values.tolist()]))
        if intervals is not None:
            columns.append(spans(intervals[0].confidence, (span_or_dash(each, show) for each in ends)))
    hit, second, first = time.totals.T
    columns += [
        Column(heading, [*map(format_clock, (hit + other).tolist()), "", ""])
        for heading, other in (("first", first), ("second", second))
    ]
    return table_of(f"Agreement, {counted(len(time.recordings), 'recording')}", columns, {len(time.labels)})


def _measures(report: AgreementReport, intervals: Intervals) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """F1, kappa and alpha of each class, the mean and all classes together, (C + 2,), with ends; NaN if unknown."""
    found = [
        [*report.time.scores[:, 2], report.time.macro_f1, math.nan],
        [*report.class_kappas, report.mean_kappa, report.overall_kappa],
        [*report.class_alphas, report.mean_alpha, report.overall_alpha],
    ]
    nothing = np.full((len(found[0]), 2), np.nan)
    ends = [nothing, nothing, nothing]
    if intervals is not None:
        f1_ends = np.stack([*intervals[0].classes[:, 2], intervals[0].macro[2], nothing[0]])
        ends = [f1_ends, *(np.stack([*each.classes, each.mean, each.whole]) for each in intervals[1:])]
    return [(np.array(values), each) for values, each in zip(found, ends, strict=True)]


def _kappa(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def amounts_table(report: AgreementReport, confidence: float = CONFIDENCE) -> Table:
    """Intraclass correlations of counts and minutes by clip and by hour."""
    rows = [
        (f"{amount} a {unit}", label, str(number), *(cell for each in pair for cell in (_kappa(each[0]), _span(each))))
        for (unit, amount, label, number), pair in _correlations(report, confidence)
    ]
    interval = f"{100 * confidence:g} % interval"
    headings = ("amount", "class", "units", "ICC(2,1)", interval, "ICC(3,1)", interval)
    return table_of_rows("Intraclass correlation of amounts", headings, rows, left=(0, 1))


def _span(found: Correlation) -> str:
    return span_or_dash((found.low, found.high), _kappa)


def _correlations(
    report: AgreementReport, confidence: float
) -> Iterator[tuple[tuple[str, str, str, int], tuple[Correlation, Correlation]]]:
    """Unit, amount, class and number of units, with ICC(2,1) and ICC(3,1)."""
    for amounts in report.amounts:
        for (amount, label), pair in amounts.correlations(confidence).items():
            yield (amounts.unit, amount, label, len(amounts.samples)), pair


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
    yield from _amount_notes(report)


def _amount_notes(report: AgreementReport) -> Iterator[str]:
    for amounts in report.amounts:
        number, unit = len(amounts.samples), amounts.unit
        if number < 2:
            yield f"one {unit} alone: no correlation of amounts over {unit}s; annotate more"
        elif number < _FEW_UNITS:
            yield f"only {number} {unit}s: the intraclass correlations are rough, as their intervals show"
        if amounts.uneven:
            lengths = f"{format_clock(int(amounts.samples.min()))} to {format_clock(int(amounts.samples.max()))}"
            yield f"{unit}s of {lengths}: amounts correlate over unequal lengths by themselves"


def as_json(report: AgreementReport, intervals: Intervals, confidence: float = CONFIDENCE) -> dict[str, Any]:
    """The complete report as JSON values; None if undefined."""
    kappas = None if intervals is None else intervals[1]
    return {
        "alpha": _alpha_json(report, intervals),
        "intraclass": [
            {
                "unit": unit,
                "amount": amount,
                "class": label,
                "units": units,
                **{
                    name: {"value": number(each.value), "interval": [number(each.low), number(each.high)]}
                    for name, each in zip(("icc_2_1", "icc_3_1"), pair, strict=True)
                },
            }
            for (unit, amount, label, units), pair in _correlations(report, confidence)
        ],
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
    output: Path,
    report: AgreementReport,
    intervals: Intervals,
    settings: Mapping[str, Any],
    confidence: float = CONFIDENCE,
) -> list[Path]:
    """Write ``evaluation.json``, ``agreement.csv`` and ``intraclass.csv`` into a folder.

    Raises:
        OutputError: they cannot be written.
    """
    names = (*report.time.labels, "mean", "whole answer")
    measures = _measures(report, intervals)
    rows = [
        (name, *(decimal(value) for values, ends in measures for value in (values[row], *ends[row])))
        for row, name in enumerate(names)
    ]
    header = ("class", *(name + end for name in _MEASURES for end in ("", "_low", "_high")))
    amounts = [
        (*head, *(decimal(value) for each in pair for value in each))
        for head, pair in _correlations(report, confidence)
    ]
    icc = ("icc_2_1", "icc_3_1")
    amounts_header = (
        "unit",
        "amount",
        "class",
        "units",
        *(name + end for name in icc for end in ("", "_low", "_high")),
    )
    tables: dict[str, list[Any]] = {"agreement.csv": [header, *rows], "intraclass.csv": [amounts_header, *amounts]}
    return write_scores(output, {**settings, **as_json(report, intervals, confidence)}, tables)


def _alpha_json(report: AgreementReport, intervals: Intervals) -> dict[str, Any]:
    alphas = None if intervals is None else intervals[2]
    names = report.time.labels
    return {
        "classes": {
            label: {"alpha": number(value), "interval": _pair(None if alphas is None else alphas.classes[row])}
            for row, (label, value) in enumerate(zip(names, report.class_alphas.tolist(), strict=True))
        },
        "mean": {"alpha": number(report.mean_alpha), "interval": _pair(None if alphas is None else alphas.mean)},
        "whole_answer": {
            "alpha": number(report.overall_alpha),
            "interval": _pair(None if alphas is None else alphas.whole),
        },
    }


def _pair(ends: Any) -> list[float | None] | None:
    return None if ends is None else [number(end) for end in ends.tolist()]
