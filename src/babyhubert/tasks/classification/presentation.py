"""Scores of the classes of utterances: tables on the terminal, JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from babyhubert.errors import counted, some_names
from babyhubert.evaluation import presentation as time_shown
from babyhubert.evaluation.detection import BootstrapIntervals, DetectionReport
from babyhubert.evaluation.presentation import interval_notes
from babyhubert.evaluation.score_table import (
    NOTHING,
    ClassScores,
    bootstrap_json,
    confusion,
    percent,
    write_scores,
)
from babyhubert.tasks.classification.evaluation import ClassEvaluation, UtteranceReport


def evaluation_tables(result: ClassEvaluation, intervals: BootstrapIntervals | None) -> Iterator[Table]:
    """Scores and confusion."""
    if result.time is not None:
        yield time_shown.score_table(result.time, intervals, f"{_title(result)} by time, predicted segments")
        yield time_shown.confusion_table(result.time)
    if result.utterances is not None:
        yield _score_table(_title(result), result.utterances, intervals)
        yield _confusion_table(result.utterances)


def _class_scores(report: UtteranceReport | DetectionReport, intervals: BootstrapIntervals | None) -> ClassScores:
    return ClassScores(report.labels, report.scores, report.macro, intervals)


def _score_table(title: str, report: UtteranceReport, intervals: BootstrapIntervals | None) -> Table:
    counts = report.confusion.sum(axis=0)
    return _class_scores(report, intervals).table(
        f"{title} by utterance, {counted(len(report.recordings), 'recording')}",
        map(str, counts.sum(axis=1).tolist()),
        map(str, counts.sum(axis=0)[: len(report.labels)].tolist()),
    )


def _title(result: ClassEvaluation) -> str:
    return result.question.column.replace("_", " ").capitalize()


def _confusion_table(report: UtteranceReport) -> Table:
    title = "Utterances by reference (rows) and prediction (columns)"
    return confusion(title, (report.labels, (*report.labels, NOTHING)), report.confusion.sum(axis=0))


def notes(result: ClassEvaluation, intervals: BootstrapIntervals | None) -> Iterator[str]:
    """Notes that are needed to interpret the scores."""
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
        yield f"{counted(len(report.missing), 'recording')} without prediction: {some_names(report.missing)}"
    if report.extra:
        yield f"{report.extra} predicted {result.question.turns} that are no turn of the reference, left out"
    if report.without_reference:
        number = len(report.without_reference)
        yield f"{number} predictions without reference, left out: {some_names(report.without_reference)}"
    if absent := [label for label, score in zip(report.labels, report.scores[:, 2], strict=True) if np.isnan(score)]:
        yield f"{', '.join(absent)}: on neither side; left out of the mean"
    yield from interval_notes(len(report.recordings), shown=intervals is not None)


def as_json(result: ClassEvaluation, intervals: BootstrapIntervals | None) -> dict[str, Any]:
    """The complete evaluation as JSON values; scores from 0 to 1, None if undefined."""
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
    counts, scores = report.confusion.sum(axis=0), _class_scores(report, intervals)
    return about | {
        "metric": "F1 per class over utterances; mean over classes",
        "labels": list(report.labels),
        "recordings": len(report.recordings),
        "utterances": int(counts.sum()),
        "mean": scores.mean_json(),
        "classes": {label: scores.json(row) for row, label in enumerate(report.labels)},
        "bootstrap": bootstrap_json(intervals, "recordings"),
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
    report = result.utterances or result.time
    assert report is not None
    rows = _class_scores(report, intervals).csv_rows()
    return write_scores(output, {**settings, **as_json(result, intervals)}, {"scores.csv": rows})
