"""Presentation of a phoneme report: tables on the terminal, JSON and CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from babyhubert.errors import install_command, some_names
from babyhubert.evaluation.score_table import decimal, number, percent, span_or_dash, table_of_rows, write_scores
from babyhubert.tasks.phonemes.evaluation import DELETIONS, INSERTIONS, SUBSTITUTIONS, PhonemeReport
from babyhubert.timebase import format_seconds

_PARTS = (SUBSTITUTIONS, DELETIONS, INSERTIONS)
_GROUPS_SHOWN = 30
_FEW_UNITS = 10


def rate_table(report: PhonemeReport) -> Table:
    """The error rate in percent with its parts, in total and by group, and the baselines."""
    utterances = sum(pair.reference is not None for pair in report.pairing.pairs)
    headings = ["", "PER %", "sub %", "del %", "ins %", "utterances", "phonemes"]
    if report.resamples:
        headings.insert(2, f"{100 * report.confidence:g} % interval")
    shown = _first_of_each(report)
    rows = [_rate_row(report, "all", report.rate, report.interval, report.totals.tolist(), utterances)]
    rows += [
        _rate_row(report, f"{one.column} {one.group}", one.rate, one.interval, one.operations, one.utterances)
        for one in shown
    ]
    breaks = {place + 1 for place, one in enumerate(shown) if not place or shown[place - 1].column != one.column}
    breaks.add(len(rows))
    rows += [[baseline.name, percent(baseline.rate)] for baseline in report.baselines]
    return table_of_rows(f"Phoneme error rate, {utterances} utterances", headings, rows, breaks=breaks)


def _rate_row(
    report: PhonemeReport, name: str, rate: float, ends: Sequence[float], operations: Sequence[int], count: int
) -> list[str]:
    phonemes = sum(operations[:INSERTIONS])
    parts = (operations[kind] / phonemes if phonemes else math.nan for kind in _PARTS)
    interval = [span_or_dash(ends)] if report.resamples else []
    return [name, percent(rate), *interval, *map(percent, parts), str(count), str(phonemes)]


def confusion_table(report: PhonemeReport, most: int) -> Table:
    """The most frequent errors."""
    occurs = dict(zip((*report.symbols, ""), report.confusions.sum(axis=1).tolist(), strict=True))
    rows = [
        (truth or "(nothing)", found or "(nothing)", str(count), percent(count / occurs[truth]) if truth else "-")
        for truth, found, count in report.common_confusions(most)
    ]
    headings = ("reference", "predicted", "times", "of the reference's %")
    return table_of_rows("Commonest errors", headings, rows, left=(0, 1))


def notes(report: PhonemeReport) -> Iterator[str]:
    """Notes that are needed to interpret the scores."""
    pairing = report.pairing
    if report.features is not None:
        yield (
            f"error in articulatory features (panphon): {percent(report.features.rate)} % "
            "(a substitution costs the share of features that differ)"
        )
        if report.features.unknown:
            yield f"no single segment for panphon, so substituting costs 1: {' '.join(report.features.unknown)}"
    else:
        yield f"no error in articulatory features: it needs panphon ({install_command('phones')})"
    for baseline in report.baselines[:1]:
        yield f"the best constant answer, learnt from these references: {' '.join(baseline.symbols) or '(nothing)'}"
    if pairing.unknown:
        yield f"{pairing.unknown} reference utterances with unknown phones ('?'), left out"
    if pairing.other_speakers:
        yield f"{pairing.other_speakers} reference utterances of other speakers, left out (--speakers chooses)"
    if report.unanswered:
        yield f"{report.unanswered} reference utterances without prediction: all their phonemes count as deleted"
    if report.without_phones:
        yield (
            f"{report.without_phones} reference utterances have no phones: all that is predicted there counts as "
            "insertions"
        )
    loose = [pair for pair in pairing.pairs if pair.reference is None]
    if loose:
        inserted = sum(len(pair.predicted) for pair in loose)
        yield (
            f"{inserted} phonemes predicted where the reference has no utterance, in {len(loose)} recordings: counted "
            "as inserted (--ignore-unmatched leaves them out, for references that cover recordings in part)"
        )
    if pairing.ignored:
        yield f"{pairing.ignored} predictions that meet no reference utterance, left out"
    if pairing.without_reference:
        names = some_names(pairing.without_reference)
        yield f"{len(pairing.without_reference)} predicted without reference, left out: {names}"
    for side, symbols in report.outside.items():
        if symbols:
            told = some_names([f"{symbol} ({count})" for symbol, count in symbols.items()], most=12)
            yield f"phones in the {side} outside the inventory (--map and --simplify rewrite them): {told}"
    if any(math.isnan(end) for end in report.interval) and report.resamples:
        yield f"one {report.unit}: no interval, since it cannot show how they vary"
    elif report.resamples:
        few = "; few, so the intervals are rough and rather too narrow" if report.units < _FEW_UNITS else ""
        yield f"intervals over {report.units} values of {report.unit}{few}"
    hidden = len(report.groups) - len(_first_of_each(report))
    if hidden:
        yield f"{hidden} more groups are in groups.csv only"


def as_json(report: PhonemeReport) -> dict[str, Any]:
    """The complete report but for the utterances, as JSON values; rates from 0 up, None if undefined."""
    pairing = report.pairing
    return {
        "metric": "phoneme error rate: edit distance over reference phonemes, summed over utterances",
        **_rates(report.totals.tolist(), report.rate, report.interval),
        "utterances": sum(pair.reference is not None for pair in pairing.pairs),
        "groups": [
            {"column": score.column, "group": score.group, "utterances": score.utterances}
            | _rates(score.operations, score.rate, score.interval)
            for score in report.groups
        ],
        "bootstrap": None
        if not report.resamples
        else {
            "over": report.unit,
            "units": report.units,
            "resamples": report.resamples,
            "confidence": report.confidence,
        },
        "baselines": [
            {"name": baseline.name, "answer": " ".join(baseline.symbols), "phoneme_error_rate": baseline.rate}
            for baseline in report.baselines
        ],
        "feature_error_rate": None if report.features is None else number(report.features.rate),
        "without_features": [] if report.features is None else list(report.features.unknown),
        "unanswered": report.unanswered,
        "without_phones": report.without_phones,
        "unknown_phones_left_out": pairing.unknown,
        "other_speakers_left_out": pairing.other_speakers,
        "predictions_without_utterance_left_out": pairing.ignored,
        "predictions_without_reference": list(pairing.without_reference),
        "outside_inventory": {side: dict(symbols) for side, symbols in report.outside.items()},
    }


def write_report(output: Path, report: PhonemeReport, settings: Mapping[str, Any]) -> list[Path]:
    """Write ``evaluation.json``, ``groups.csv``, ``confusions.csv`` and ``utterances.csv`` into a folder.

    Raises:
        OutputError: they cannot be written.
    """
    tables = {
        "groups.csv": _group_rows(report),
        "confusions.csv": _confusion_rows(report),
        "utterances.csv": _utterance_rows(report),
    }
    return write_scores(output, {**settings, **as_json(report)}, tables)


def _group_rows(report: PhonemeReport) -> Iterable[Sequence[Any]]:
    yield (
        *("column", "group", "utterances", "phonemes", "per", "per_low", "per_high"),
        *("substitutions", "deletions", "insertions"),
    )
    for score in report.groups:
        parts = score.operations
        rates = (decimal(value) for value in (score.rate, *score.interval))
        yield score.column, score.group, score.utterances, sum(parts[:INSERTIONS]), *rates, *parts[SUBSTITUTIONS:]


def _confusion_rows(report: PhonemeReport) -> Iterable[Sequence[Any]]:
    yield "reference", "predicted", "times"
    names = (*report.symbols, "")
    for truth, row in zip(names, report.confusions.tolist(), strict=True):
        yield from ((truth, found, count) for found, count in zip(names, row, strict=True) if count)


def _utterance_rows(report: PhonemeReport) -> Iterable[Sequence[Any]]:
    yield (
        *("recording_id", "start_s", "end_s", "reference", "predicted"),
        *("hits", "substitutions", "deletions", "insertions"),
    )
    for pair, operations in zip(report.pairing.pairs, report.operations.tolist(), strict=True):
        truth = pair.reference
        span = None if truth is None else truth.span
        times = ("", "") if span is None else map(format_seconds, span)
        text = "" if truth is None else " ".join(truth.phones)
        yield pair.recording, *times, text, " ".join(pair.predicted), *operations


def _first_of_each(report: PhonemeReport) -> list[Any]:
    """The first groups of every column."""
    shown: dict[str, list[Any]] = {}
    for score in report.groups:
        rows = shown.setdefault(score.column, [])
        if len(rows) < _GROUPS_SHOWN:
            rows.append(score)
    return [score for rows in shown.values() for score in rows]


def _rates(operations: Sequence[int], rate: float, interval: Sequence[float]) -> dict[str, Any]:
    names = ("hits", "substitutions", "deletions", "insertions")
    return {
        "phoneme_error_rate": number(rate),
        "phoneme_error_rate_interval": [number(end) for end in interval],
        "phonemes": sum(operations[:INSERTIONS]),
        **dict(zip(names, operations, strict=True)),
    }
