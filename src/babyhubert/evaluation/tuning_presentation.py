"""Presentation of a tuning result: tables on the terminal, TOML that ``segment`` reads, JSON, CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from babyhubert.errors import counted
from babyhubert.evaluation.calibration import Reliability
from babyhubert.evaluation.presentation import as_json, notes
from babyhubert.evaluation.score_table import Column, number, percent, shares, span, spans, table_of, table_of_rows
from babyhubert.evaluation.tuning import HIGH_PRECISION_RECALL, HIGH_RECALL_WEIGHT, Choice
from babyhubert.evaluation.tuning_run import Tuned, TuningResult
from babyhubert.files import csv_text, write_json, write_text
from babyhubert.inference.thresholds import CALIBRATION_FILE, HIGH_RECALL, TUNING_FILE, format_thresholds
from babyhubert.timebase import samples_to_seconds

F1_FILE, PRECISION_FILE, RECALL_FILE = "f1.toml", "high-precision.toml", f"{HIGH_RECALL}.toml"
_PRECISION_AIM = f"the best precision with recall of at least {HIGH_PRECISION_RECALL:g}"
_RECALL_AIM = f"the best F-beta, recall counting {HIGH_RECALL_WEIGHT:g} times as much as precision"


def tuning_tables(result: TuningResult) -> Iterator[Table]:
    """Tuned thresholds, high precision, high recall and, if requested, reliability and calibration."""
    yield tuned_table(result)
    yield _set_table(result.high_precision, f"High precision: {_PRECISION_AIM}")
    yield _set_table(result.high_recall, f"High recall: {_RECALL_AIM}")
    if result.calibration is not None:
        yield from (reliability_table(label, fit.before) for label, fit in result.calibration[1].items())
        yield calibration_table(result)


def tuned_table(result: TuningResult) -> Table:
    """F1 in percent with 0.5, tuned, and tuned on other recordings."""
    held, intervals, tuned = result.held_out, result.held_out_intervals, result.best
    precision, recall, f1 = np.vstack([tuned.report.scores, tuned.report.macro]).T.tolist()
    thresholds = [f"{tuned.choice.thresholds[label]:g}" for label in tuned.report.labels]
    columns = [
        Column("class", [*tuned.report.labels, "mean"], left=True),
        shares("at 0.5", [*(result.half.f1[label] for label in tuned.report.labels), result.half.macro_f1]),
        Column("threshold", [*thresholds, ""]),
        shares("tuned", f1),
        shares("precision %", precision),
        shares("recall %", recall),
    ]
    if held is not None:
        columns.append(shares("held out", [*(held.f1[label] for label in tuned.report.labels), held.macro_f1]))
    if intervals is not None:
        columns.append(spans(intervals.confidence, map(span, (*intervals.classes[:, 2], intervals.macro[2]))))
    title = f"F1 %, thresholds tuned on {counted(len(result.half.recordings), 'recording')}"
    return table_of(title, columns, {len(tuned.report.labels)})


def _set_table(tuned: Tuned, title: str) -> Table:
    """Scores of a set of thresholds."""
    labels = tuned.report.labels
    scores = zip(("precision %", "recall %", "F1 %"), tuned.report.scores.T.tolist(), strict=True)
    columns = [
        Column("class", labels, left=True),
        Column("threshold", [f"{tuned.choice.thresholds[label]:g}" for label in labels]),
        *(shares(heading, values) for heading, values in scores),
    ]
    return table_of(title, columns)


def calibration_table(result: TuningResult) -> Table:
    """Temperature and bias, and their effect on the calibration error."""
    assert result.calibration is not None
    headings = ("class", "temperature", "bias", "error % before", "after", "held out", "log loss", "held out")
    rows = [
        (
            label,
            f"{fit.temperature:.3f}",
            f"{fit.bias:+.3f}",
            percent(fit.before.error),
            percent(fit.after.error),
            "-" if fit.held_out is None else percent(fit.held_out.error),
            f"{fit.before.log_loss:.4f}",
            "-" if fit.held_out is None else f"{fit.held_out.log_loss:.4f}",
        )
        for label, fit in result.calibration[1].items()
    ]
    return table_of_rows("Calibration of frame scores (error: expected calibration error)", headings, rows)


def reliability_table(label: str, before: Reliability) -> Table:
    """Bins of scores against the fraction of frames that are of the class."""
    rows = [
        (f"{low:.2f} to {high:.2f}", str(frames), percent(confidence), percent(observed))
        for low, high, frames, confidence, observed in before.bins
    ]
    headings = ("score", "frames", "mean score %", "of the class %")
    return table_of_rows(f"{label}: scores and what is so", headings, rows, left=())


def tuning_notes(result: TuningResult) -> Iterator[str]:
    """Notes that are needed to interpret the tables."""
    minimum = result.best.choice.minimum
    yield (
        f"segments below {samples_to_seconds(minimum.on):g} s are dropped after gaps below "
        f"{samples_to_seconds(minimum.off):g} s are closed, as in 'segment --min-on {samples_to_seconds(minimum.on):g}"
        f" --min-off {samples_to_seconds(minimum.off):g}'"
        + (f"; chosen from {len(result.settings.minimums)} pairs" if len(result.settings.minimums) > 1 else "")
    )
    if result.settings.equal_recordings:
        yield "thresholds: every recording counted the same, however long; the scores at 0.5 and held out are of time"
    if result.settings.false_limit is not None:
        yield (
            f"f1 and high-precision: at most {result.settings.false_limit:g} s of voices an hour, over all classes, "
            "in recordings without speech (without a segment in the reference), on these recordings"
        )
    if result.never:
        yield f"{', '.join(result.never)}: not in the reference, so nothing to tune on; 0.5 is kept"
    for label, (_, recall, _) in zip(result.curves.labels, result.high_precision.report.scores.tolist(), strict=True):
        if recall < HIGH_PRECISION_RECALL and label not in result.never:
            yield f"{label}: no threshold reaches a recall of {HIGH_PRECISION_RECALL:g}; the highest is {recall:.3f}"
    if result.held_out is None:
        yield "one recording: thresholds cannot be evaluated on another, so expect less elsewhere"
    else:
        yield (
            f"held out: each of {len(result.folds)} folds decided with thresholds tuned on the others; "
            "expect this elsewhere"
        )
    told = ("without prediction", "without reference", "matched by name", "not in the UEM", "not scored", "only ")
    for note in notes(result.best.report, result.held_out_intervals):
        if any(part in note for part in told):
            yield note


def write_tuning(output: Path, result: TuningResult, settings: Mapping[str, Any]) -> list[Path]:
    """Write thresholds, curves and figures into a folder.

    Returns:
        The files.

    Raises:
        OutputError: they cannot be written.
    """
    files = {
        F1_FILE: _thresholds_file(result, result.best.choice, "the best F1"),
        PRECISION_FILE: _thresholds_file(result, result.high_precision.choice, _PRECISION_AIM),
        RECALL_FILE: _thresholds_file(result, result.high_recall.choice, _RECALL_AIM),
        "curves.csv": _curves_csv(result),
    }
    if result.calibration is not None:
        files[CALIBRATION_FILE] = (
            "# Corrects frame scores: sigmoid(logit(score) / temperature + bias).\n" + result.calibration[0].to_toml()
        )
        files["reliability.csv"] = _reliability_csv(result)
    for name, text in files.items():
        write_text(output / name, text)
    write_json(output / TUNING_FILE, {**settings, **tuning_json(result)})
    return [output / name for name in (*files, TUNING_FILE)]


def tuning_json(result: TuningResult) -> dict[str, Any]:
    """The complete result but for the curves, as JSON values."""
    held, settings = result.held_out, result.settings
    return {
        "model": dict(result.scores.model),
        "scores": str(result.scores.folder),
        "step": settings.step,
        "minimum_durations_tried": [_minimum(pair) for pair in settings.minimums],
        "folds": [list(fold) for fold in result.folds],
        "equal_recordings": settings.equal_recordings,
        "false_limit_s_per_hour": settings.false_limit,
        "not_in_reference": list(result.never),
        "at_half": as_json(result.half, None),
        "f1": _tuned_json(result.best),
        "high_precision": _tuned_json(result.high_precision),
        "high_recall": _tuned_json(result.high_recall),
        "held_out": None if held is None else as_json(held, result.held_out_intervals),
        "calibration": None
        if result.calibration is None
        else {
            label: {
                "temperature": fit.temperature,
                "bias": fit.bias,
                "before": _reliability_json(fit.before),
                "after": _reliability_json(fit.after),
                "held_out": None if fit.held_out is None else _reliability_json(fit.held_out),
            }
            for label, fit in result.calibration[1].items()
        },
    }


def _thresholds_file(result: TuningResult, choice: Choice, aim: str) -> str:
    on, off = samples_to_seconds(choice.minimum.on), samples_to_seconds(choice.minimum.off)
    lines = [
        f"# Tuned for {aim} after post-processing (--min-on {on:g} --min-off {off:g}),",
        f"# on {counted(len(result.half.recordings), 'recording')}, "
        f"model {result.scores.model.get('source', 'unknown')}.",
    ]
    lines += [
        f"# {label}: precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f} on those recordings"
        for label, (precision, recall, f1) in zip(result.curves.labels, choice.scores.tolist(), strict=True)
    ]
    return "\n".join(lines) + "\n\n" + format_thresholds(choice.thresholds)


def _curves_csv(result: TuningResult) -> str:
    """Curves with the chosen minimum durations: every class and threshold."""
    curves = result.curves
    scores = curves.scores()[curves.minimums.index(result.best.choice.minimum)]
    lines: list[Iterable[object]] = [("class", "threshold", "precision", "recall", "f1")]
    for label, rows in zip(curves.labels, scores.tolist(), strict=True):
        for threshold, row in zip(curves.grid.tolist(), rows, strict=True):
            lines.append((label, f"{threshold:g}", *(f"{value:.5f}" for value in row)))
    return csv_text(lines)


def _reliability_csv(result: TuningResult) -> str:
    assert result.calibration is not None
    lines: list[Iterable[object]] = [("class", "scores", "low", "high", "frames", "mean_score", "observed")]
    for label, fit in result.calibration[1].items():
        for name, found in (("as they are", fit.before), ("calibrated", fit.after), ("held out", fit.held_out)):
            for low, high, frames, confidence, observed in () if found is None else found.bins:
                lines.append(
                    (label, name, f"{low:.4f}", f"{high:.4f}", frames, f"{confidence:.5f}", f"{observed:.5f}")
                )
    return csv_text(lines)


def _tuned_json(tuned: Tuned) -> dict[str, Any]:
    return {
        "thresholds": tuned.choice.thresholds,
        "minimum_samples": _minimum(tuned.choice.minimum),
        "evaluation": as_json(tuned.report, None),
    }


def _minimum(pair: Any) -> dict[str, int]:
    return {"on": pair.on, "off": pair.off}


def _reliability_json(found: Reliability) -> dict[str, Any]:
    return {
        "expected_calibration_error": number(found.error),
        "log_loss": None if math.isnan(found.error) else found.log_loss,
        "frames": found.frames,
        "frames_of_the_class": found.positive,
        "bins": [row._asdict() for row in found.bins],
    }
