"""Minutes corrected with rates of other recordings, for all recordings, groups and each: table, CSV and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from babyhubert.evaluation.estimate_report import ALL, RECORDING, short_number
from babyhubert.evaluation.intervals import CONFIDENCE, Interval
from babyhubert.evaluation.recording_table import in_order, members
from babyhubert.evaluation.score_table import span_or_dash, table_of_rows
from babyhubert.evaluation.transfer import Rates, Values, correct_minutes

COLUMNS = (
    *("level", "name", "measure", "recordings", "hours", "machine", "corrected", "low", "high"),
    *("per_hour", "per_hour_low", "per_hour_high", "no_interval"),
)


@dataclass(frozen=True, eq=False)
class Minutes:
    """Minutes of each voice that the machine found in R recordings.

    Attributes:
        recordings: Ids.
        hours: Length of each, shape (R,).
        measures: Names of the minutes.
        found: Shape (R, K).
    """

    recordings: Sequence[str]
    hours: Values
    measures: Sequence[str]
    found: Values


@dataclass(frozen=True, eq=False)
class CorrectedGroup:
    """Corrected minutes of some recordings."""

    level: str
    name: str
    recordings: int
    hours: float
    machine: Values
    corrected: Interval


def correct_all(
    minutes: Minutes, rates: Rates, seed: int, by: tuple[str, Sequence[str]] | None = None
) -> list[CorrectedGroup]:
    """Correct all recordings together, those with each value of a column, and each.

    Args:
        minutes: The machine's minutes.
        rates: Confusion in other recordings.
        seed: Seed of the bootstrap.
        by: Name of the column that makes groups, and its value for each recording.
    """
    everything = range(len(minutes.recordings))
    groups: list[tuple[str, str, Sequence[int]]] = [(ALL, "", everything)]
    if by is not None:
        rows = members(by[1])
        groups += [(by[0], name, rows[name]) for name in in_order(rows)]
    groups += [(RECORDING, minutes.recordings[row], [row]) for row in everything]
    found = []
    for level, name, chosen in groups:
        machine, hours = minutes.found[list(chosen)].sum(axis=0), float(minutes.hours[list(chosen)].sum())
        corrected = correct_minutes(machine, hours, len(chosen), rates, np.random.default_rng(seed))
        found.append(CorrectedGroup(level, name, len(chosen), hours, machine, corrected))
    return found


def corrected_table(minutes: Minutes, group: CorrectedGroup) -> Table:
    """One group on the terminal."""
    rows = []
    for k, measure in enumerate(minutes.measures):
        ends = np.array([group.corrected.low[k], group.corrected.high[k]])
        value = group.corrected.value[k]
        rows.append([measure, short_number(group.machine[k]), short_number(value), span_or_dash(ends, short_number)])
    title = "All recordings" if group.level == ALL else f"{group.level} {group.name}"
    about = f"{title}: {group.recordings} recordings, {group.hours:.1f} h, by rates of other recordings"
    return table_of_rows(about, ("measure", "machine", "corrected", f"{100 * CONFIDENCE:g} %"), rows)


def corrected_rows(minutes: Minutes, groups: Sequence[CorrectedGroup], rates: Rates) -> Iterator[dict[str, Any]]:
    """One row for each group and measure."""
    for group in groups:
        for k, measure in enumerate(minutes.measures):
            one = group.corrected
            ends = [float(each[k]) for each in (one.value, one.low, one.high)]
            about = (group.level, group.name, measure, group.recordings, group.hours, float(group.machine[k]))
            reason = "" if not math.isnan(ends[1]) else _reason(rates, k)
            yield dict(zip(COLUMNS, (*about, *ends, *(end / group.hours for end in ends), reason), strict=True))


def _reason(rates: Rates, voice: int) -> str:
    if not rates.known[voice]:
        return "does not occur in the rates"
    return "rates of fewer than 3 recordings" if len(rates.hours) < 3 else "no variation, or nothing left"


def assumptions(path: Path, rates: Rates) -> list[str]:
    """Assumptions of a correction with rates of other recordings."""
    unknown = [name for name, here in zip(rates.classes, rates.known, strict=False) if not here]
    return [
        f"the rates are of {len(rates.hours)} other recordings ({path}): the estimates assume that the machine "
        "confuses voices here as often as there, with recordings that differ as those do, and that voices overlap as "
        "much; nobody annotated these recordings, so that nothing here can show whether it is so",
        "only minutes of voice types are corrected; counts and turns need annotated clips of these recordings",
        *([f"not corrected, as they do not occur in the rates: {', '.join(unknown)}"] if unknown else []),
    ]
