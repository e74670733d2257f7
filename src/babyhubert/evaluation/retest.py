"""Stability of the measures over days of a child: the intraclass correlation of one way, ICC(1,1).

A child's measure of one day stands for the child only as far as days of a child are alike. Input: measures of
recordings and a table that names the child of each. Output: a row a measure, as table and ``retest.csv``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from babyhubert.errors import ConfigError, counted, some_names
from babyhubert.evaluation.intraclass import Correlation, one_way
from babyhubert.evaluation.recording_table import NOT_LISTED, RecordingTable, column_of
from babyhubert.evaluation.score_table import decimal, span_or_dash, table_of_rows
from babyhubert.files import csv_text, write_text
from babyhubert.measures.tables import RecordingMeasures

RETEST = "retest.csv"

_COMPARABLE = ("_per_hour", "_per_min", "_mean_s", "_share", "_proportion", "_ratio")
"""Ends of the names of measures that do not grow with the length of a recording."""
_SHOWN = (
    "kchi_vocalisations_per_hour", "kchi_speech_min_per_hour", "och_speech_min_per_hour", "fem_speech_min_per_hour",
    "mal_speech_min_per_hour", "adult_speech_s_per_min", "turns_lena_per_hour", "kcds_min_per_hour", "kcds_share",
    "canonical_proportion",
)  # fmt: skip
_DATES = ("date_iso", "date")
_FEW_CHILDREN = 10


@dataclass(frozen=True)
class MeasureStability:
    """Stability of a measure.

    Attributes:
        measure: Its name.
        correlation: ICC(1,1) with its interval; NaN where undefined.
        children: Children with at least two days on which it is known.
        days: Their days.
        mean: Mean over days.
        within_sd: Standard deviation of a day around its child's mean.
    """

    measure: str
    correlation: Correlation
    children: int
    days: int
    mean: float
    within_sd: float


@dataclass(frozen=True)
class Retest:
    """Result of :func:`retest`.

    Attributes:
        measures: A row a measure.
        single: Children with one day alone, who are left out.
        unlisted: Recordings that the table does not name.
    """

    measures: tuple[MeasureStability, ...]
    single: tuple[str, ...]
    unlisted: tuple[str, ...]


def retest(
    measured: Sequence[RecordingMeasures], table: RecordingTable, child: str, confidence: float = 0.95
) -> Retest:
    """Compare days of children.

    Several recordings of a child on one date (column ``date_iso`` or ``date``) are one day, weighted by duration.
    Without such a column each recording is a day.

    Args:
        measured: Measures of the recordings.
        table: Table of the recordings.
        child: Its column that names the child.
        confidence: Confidence of the intervals.

    Raises:
        ConfigError: no such column, the table names none of the recordings, or there are fewer than two children with
            two days each.
    """
    names = [one.recording_id for one in measured]
    children = column_of(table, names, child) if names else []
    dates = next((name for name in _DATES if name in next(iter(table.values()))), None)
    days = column_of(table, names, dates) if dates and names else names
    unlisted = tuple(name for name, who in zip(names, children, strict=True) if who == NOT_LISTED or not who.strip())
    grouped: dict[str, dict[str, list[RecordingMeasures]]] = {}
    for one, who, day in zip(measured, children, days, strict=True):
        if one.recording_id not in unlisted:
            grouped.setdefault(who, {}).setdefault(day or one.recording_id, []).append(one)
    repeated = {who: list(found.values()) for who, found in grouped.items() if len(found) > 1}
    if len(repeated) < 2:
        raise ConfigError(
            f"{_children(len(repeated))} with two days or more, of {len(grouped)} in column "
            f"'{child}': the correlation over days needs at least two; record more days"
        )
    wanted = [name for name in measured[0].whole if name.endswith(_COMPARABLE) and not name.endswith("_chance_sd")]
    rows = [_stability(name, repeated, confidence) for name in wanted]
    single = tuple(who for who, found in grouped.items() if len(found) == 1)
    return Retest(tuple(row for row in rows if row.children), single, unlisted)


def _stability(
    name: str, repeated: Mapping[str, Sequence[Sequence[RecordingMeasures]]], confidence: float
) -> MeasureStability:
    values_of = (np.array([_of_day(name, day) for day in days]) for days in repeated.values())
    known = (values[~np.isnan(values)] for values in values_of)
    groups = [values for values in known if len(values) > 1]
    values = np.concatenate(groups) if groups else np.zeros(0)
    free = len(values) - len(groups)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    within = math.sqrt(squares / free) if free else math.nan
    mean = float(values.mean()) if len(values) else math.nan
    return MeasureStability(name, one_way(groups, confidence), len(groups), len(values), mean, within)


def _of_day(name: str, recordings: Sequence[RecordingMeasures]) -> float:
    """Mean of a measure over the recordings of a day, weighted by duration; NaN if none has it."""
    known = [(one.whole[name], one.whole["duration_h"]) for one in recordings if not math.isnan(one.whole[name])]
    weight = sum(hours for _, hours in known)
    return sum(value * hours for value, hours in known) / weight if weight > 0 else math.nan


def _children(number: int) -> str:
    return "1 child" if number == 1 else f"{number} children"


def retest_table(found: Retest, confidence: float = 0.95) -> Table:
    """The main measures on the terminal."""
    shown = [row for row in found.measures if row.measure in _SHOWN]
    headings = ("measure", "ICC(1,1)", f"{100 * confidence:g} % interval", "children", "days", "mean", "SD within")
    rows = [
        (
            row.measure,
            _three(row.correlation.value),
            span_or_dash((row.correlation.low, row.correlation.high), _three),
            str(row.children),
            str(row.days),
            f"{row.mean:.3g}",
            f"{row.within_sd:.3g}",
        )
        for row in shown
    ]
    return table_of_rows("Days of a child", headings, rows)


def _three(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def retest_notes(found: Retest) -> Iterator[str]:
    """Notes that are needed to interpret the figures."""
    children = max((row.children for row in found.measures), default=0)
    if children < _FEW_CHILDREN:
        yield f"only {children} children with two days or more: the correlations are rough, as their intervals show"
    if found.single:
        yield f"{_children(len(found.single))} with one day left out: {some_names(found.single)}"
    if found.unlisted:
        told = some_names(found.unlisted)
        yield f"{counted(len(found.unlisted), 'recording')} without a child in the table left out: {told}"


def write_retest(folder: Path, found: Retest) -> Path:
    """Write ``retest.csv``.

    Raises:
        OutputError: it cannot be written.
    """
    header = ("measure", "icc_1_1", "icc_1_1_low", "icc_1_1_high", "children", "days", "mean", "within_sd")
    rows = [
        (
            row.measure,
            *(decimal(value) for value in row.correlation),
            str(row.children),
            str(row.days),
            decimal(row.mean),
            decimal(row.within_sd),
        )
        for row in found.measures
    ]
    write_text(folder / RETEST, csv_text([header, *rows]))
    return folder / RETEST
