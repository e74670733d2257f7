"""Presentation of fitted confidences: tables on the terminal, `confidence.json`, `reliability.csv`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from babyhubert.evaluation.calibration import Reliability
from babyhubert.evaluation.confidence_fit import FEWEST, ConfidenceFit, Measured
from babyhubert.evaluation.score_table import decimal, number, percent, span_or_dash, table_of_rows
from babyhubert.files import csv_text, write_json, write_text
from babyhubert.inference.confidence import CONFIDENCE_FILE, SegmentCalibration

RELIABILITY_FILE = "reliability.csv"
_NORMAL_95 = 1.959963984540054


def confidence_tables(result: ConfidenceFit) -> Iterator[Table]:
    """Brier score and calibration error by class, and reliability over all classes."""
    fits = result.classes.values()
    rows = [(label, fit.segments, fit.right, fit.before, fit.held_out) for label, fit in result.classes.items()]
    rows.append(("all", sum(fit.segments for fit in fits), sum(fit.right for fit in fits), *result.all))
    title = f"Probability that a segment is right, {result.recordings} recordings"
    headings = ("class", "segments", "right %", "ranking", "Brier score", "held out", "95 % interval")
    yield table_of_rows(title, headings, (_brier_row(*row) for row in rows), breaks={len(fits)})
    errors = ((name, percent(a.error), percent(b.error), span_or_dash(b.error_ends)) for name, _, _, a, b in rows)
    short = ("class", "calibration error %", "held out", "95 % interval")
    yield table_of_rows("Distance of probability and share of right segments", short, errors, breaks={len(fits)})
    yield _reliability_table(result)


def _brier_row(name: str, segments: int, right: float, before: Measured, held: Measured) -> tuple[str, ...]:
    return (
        name,
        str(segments),
        percent(right / segments) if segments else "-",
        _brier(before.ranking),
        _brier(before.brier),
        _brier(held.brier),
        span_or_dash(held.brier_ends, _brier),
    )


def _brier(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _reliability_table(result: ConfidenceFit) -> Table:
    rows = [
        (f"{low:.1f} to {high:.1f}", str(segments), percent(mean), percent(right), span_or_dash(ends))
        for low, high, segments, mean, right, ends in _bins(result.all[1].bins)
    ]
    headings = ("probability", "segments", "mean %", "right %", "95 % interval")
    return table_of_rows("All classes, held out: probabilities and what is so", headings, rows, left=())


def _bins(found: Reliability) -> Iterator[tuple[float, float, int, float, float, tuple[float, float]]]:
    for low, high, segments, mean, right in found.bins:
        yield low, high, segments, mean, right, wilson(right, segments)


def wilson(share: float, number_of: int) -> tuple[float, float]:
    """Interval of 95 % for a share of independent cases (Wilson 1927)."""
    square = _NORMAL_95**2 / number_of
    middle = (share + square / 2) / (1 + square)
    reach = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def confidence_notes(result: ConfidenceFit) -> Iterator[str]:
    """Notes that are needed to interpret the tables."""
    none = [label for label, fit in result.classes.items() if not fit.segments]
    if none:
        yield f"{', '.join(none)}: no reviewed segment, so its score stays as it is, and is no probability"
    few = [label for label, fit in result.classes.items() if 0 < fit.segments < FEWEST]
    if few:
        yield f"{', '.join(few)}: fewer than {FEWEST} reviewed segments, so the score stays nearly as it is"
    for label, fit in result.classes.items():
        if fit.segments and fit.right in (0, fit.segments):
            verdict = "wrong" if fit.right == 0 else "right"
            yield f"{label}: every reviewed segment is {verdict}, so nothing tells which others are not; review more"
        if fit.falling:
            yield f"{label}: higher scores were right less often, so the score does not count; look at its errors"
    yield (
        f"held out: fitted on the other {result.over} ({result.folds} folds); expect this elsewhere, on recordings "
        "like these"
    )
    yield "Brier score and calibration error: of the uncalibrated score, then held out with its interval"
    yield "ranking: chance that a right segment has the higher score than a wrong one of its class (0.5: none)"
    if result.over == "segments":
        yield "one recording: intervals and folds are over its segments, and too narrow for other recordings"


def confidence_json(result: ConfidenceFit, about: Mapping[str, Any]) -> dict[str, Any]:
    """`confidence.json`: the calibration, its origin, and how well it does."""
    origin = {**about, "segments": sum(fit.segments for fit in result.classes.values())}
    calibration = SegmentCalibration(result.calibration.classes, origin | {"recordings": result.recordings})
    return {
        **calibration.as_record(),
        "evaluation": {
            "over": result.over,
            "folds": result.folds,
            "classes": {
                label: {
                    "segments": fit.segments,
                    "right": fit.right,
                    "as_is": _measured_json(fit.before),
                    "held_out": _measured_json(fit.held_out),
                }
                for label, fit in result.classes.items()
            },
            "all": {"as_is": _measured_json(result.all[0]), "held_out": _measured_json(result.all[1])},
        },
    }


def _measured_json(found: Measured) -> dict[str, Any]:
    return {
        "brier": number(found.brier),
        "brier_interval": [number(end) for end in found.brier_ends],
        "expected_calibration_error": number(found.error),
        "expected_calibration_error_interval": [number(end) for end in found.error_ends],
        "ranking": number(found.ranking),
    }


def origin_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """Model and thresholds of a run, for the record of a calibration.

    Args:
        run: Content of its `run.json`.
    """
    model, settings = run.get("model", {}), run.get("settings", {})
    return {
        "model": {key: model[key] for key in ("source", "sha256") if key in model},
        "thresholds": settings.get("thresholds", {}),
    }


def write_confidence(output: Path, result: ConfidenceFit, about: Mapping[str, Any]) -> list[Path]:
    """Write `confidence.json` and `reliability.csv` into a folder; return the files.

    Raises:
        OutputError: they cannot be written.
    """
    write_json(output / CONFIDENCE_FILE, confidence_json(result, about))
    write_text(output / RELIABILITY_FILE, csv_text(_reliability_rows(result)))
    return [output / CONFIDENCE_FILE, output / RELIABILITY_FILE]


def _reliability_rows(result: ConfidenceFit) -> Iterator[Iterable[object]]:
    yield ("class", "probabilities", "low", "high", "segments", "mean", "right", "right_low", "right_high")
    pairs = {label: (fit.before, fit.held_out) for label, fit in result.classes.items()} | {"all": result.all}
    for label, (before, held) in pairs.items():
        for name, found in (("as they are", before), ("held out", held)):
            for low, high, segments, mean, right, ends in _bins(found.bins):
                yield (label, name, f"{low:.1f}", f"{high:.1f}", segments, *map(decimal, (mean, right, *ends)))
