"""Scores of the classes of utterances: tables on the terminal, JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from babyhubert.errors import some_names
from babyhubert.evaluation import presentation as time_shown
from babyhubert.evaluation.detection import BootstrapIntervals, DetectionReport
from babyhubert.evaluation.presentation import NOTHING, cells, empty_score_table, interval_notes, percent, scores_json
from babyhubert.files import csv_text, write_json, write_text
from babyhubert.tasks.classification.evaluation import ClassEvaluation, UtteranceReport


def evaluation_tables(result: ClassEvaluation, intervals: BootstrapIntervals | None) -> Iterator[Table]:
    """Scores and confusion."""
    if result.time is not None:
        yield time_shown.score_table(result.time, intervals, f"{_title(result)} by time, predicted segments")
        yield time_shown.confusion_table(result.time)
    if result.utterances is not None:
        yield _score_table(_title(result), result.utterances, intervals)
        yield _confusion_table(result.utterances)


def _score_table(title: str, report: UtteranceReport, intervals: BootstrapIntervals | None) -> Table:
    table = empty_score_table(f"{title} by utterance, {len(report.recordings)} recordings", intervals)
    counts = report.confusion.sum(axis=0)
    for row, label in enumerate(report.labels):
        ends = None if intervals is None else intervals.classes[row, 2]
        numbers = (str(counts[row].sum()), str(counts[:, row].sum()))
        table.add_row(label, *cells(report.scores[row], ends), *numbers)
    table.add_section()
    table.add_row("mean", *cells(report.macro, None if intervals is None else intervals.macro[2]), "", "")
    return table


def _title(result: ClassEvaluation) -> str:
    return result.question.column.replace("_", " ").capitalize()


def _confusion_table(report: UtteranceReport) -> Table:
    table = Table(title="Utterances by reference (rows) and prediction (columns)", title_justify="left")
    for name in ("", *report.labels, NOTHING):
        table.add_column(name, justify="right" if name else "left")
    for label, row in zip(report.labels, report.confusion.sum(axis=0).tolist(), strict=True):
        table.add_row(label, *map(str, row))
    return table


def notes(result: ClassEvaluation, intervals: BootstrapIntervals | None) -> Iterator[str]:
    """Sentences a reader of the scores must know."""
    how = "as found" if result.chosen else "as asked"
    if result.segments == "same":
        yield f"same segments on both sides ({how}): every {result.question.turns[:-1]} of the reference is one item"
    else:
        yield (
            f"predicted segments ({how}; {percent(result.shared)} % of the reference's {result.question.turns} are "
            "predicted with the same times): time is scored, so that missed and made-up speech counts"
        )
    if result.unlabelled:
        yield f"{result.unlabelled} {result.question.turns} of the reference without {result.question.noun}, left out"
    if result.time is not None:
        yield from time_shown.notes(result.time, intervals)
        return
    report = result.utterances
    assert report is not None
    if report.unanswered:
        yield f"{report.unanswered} utterances without a prediction: wrong in recall"
    if report.missing:
        yield f"{len(report.missing)} recordings without prediction: {some_names(report.missing)}"
    if report.extra:
        yield f"{report.extra} predicted {result.question.turns} that are no turn of the reference, left out"
    if report.without_reference:
        number = len(report.without_reference)
        yield f"{number} predictions without reference, left out: {some_names(report.without_reference)}"
    if absent := [label for label, score in zip(report.labels, report.scores[:, 2], strict=True) if np.isnan(score)]:
        yield f"{', '.join(absent)}: on neither side; left out of the mean"
    yield from interval_notes(len(report.recordings), shown=intervals is not None)


def as_json(result: ClassEvaluation, intervals: BootstrapIntervals | None) -> dict[str, Any]:
    """Everything in an evaluation; scores from 0 to 1, None where undefined."""
    about = {
        "segments": result.segments,
        "segments_found_out": result.chosen,
        "shared_turns": result.shared,
        f"turns_without_{result.question.column}": result.unlabelled,
        "predictions_matched_by_name": dict(result.matched),
    }
    if result.time is not None:
        return about | time_shown.as_json(result.time, intervals)
    report = result.utterances
    assert report is not None
    counts = report.confusion.sum(axis=0)
    return about | {
        "metric": "F1 per class over utterances; mean over classes",
        "labels": list(report.labels),
        "recordings": len(report.recordings),
        "utterances": int(counts.sum()),
        "mean": scores_json(report.macro, None if intervals is None else intervals.macro),
        "classes": {
            label: scores_json(report.scores[row], None if intervals is None else intervals.classes[row])
            for row, label in enumerate(report.labels)
        },
        "bootstrap": None
        if intervals is None
        else {"over": "recordings", "resamples": intervals.resamples, "confidence": intervals.confidence},
        "confusion": {
            label: dict(zip((*report.labels, NOTHING), row, strict=True))
            for label, row in zip(report.labels, counts.tolist(), strict=True)
        },
        "unanswered": report.unanswered,
        "missing_predictions": list(report.missing),
        "predictions_without_reference": list(report.without_reference),
        "predicted_turns_without_reference": report.extra,
        "files": {
            uri: {label: dict(zip((*report.labels, NOTHING), row, strict=True)) for label, row in
                  zip(report.labels, rows, strict=True)}
            for uri, rows in zip(report.recordings, report.confusion.tolist(), strict=True)
        },
    }  # fmt: skip


def write_report(
    output: Path, result: ClassEvaluation, intervals: BootstrapIntervals | None, settings: Mapping[str, Any]
) -> list[Path]:
    """Write ``evaluation.json`` and ``scores.csv`` into a folder.

    Raises:
        OutputError: they cannot be written.
    """
    write_json(output / "evaluation.json", {**settings, **as_json(result, intervals)})
    report: UtteranceReport | DetectionReport | None = result.utterances or result.time
    assert report is not None
    lines: list[Iterable[object]] = [("class", "precision", "recall", "f1", "f1_low", "f1_high")]
    nothing = np.full(2, np.nan)
    for row, label in enumerate((*report.labels, "mean")):
        mean = row == len(report.labels)
        scores = report.macro if mean else report.scores[row]
        ends = nothing if intervals is None else (intervals.macro[2] if mean else intervals.classes[row, 2])
        values = [*scores.tolist(), *ends.tolist()]
        lines.append((label, *("" if np.isnan(value) else f"{value:.5f}" for value in values)))
    write_text(output / "scores.csv", csv_text(lines))
    return [output / "evaluation.json", output / "scores.csv"]
