"""Mean rates of children, for all and for groups of recordings: as a table, CSV and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from babyhubert.evaluation.children import ChildRates, ChildrenMean, mean_of_children
from babyhubert.evaluation.estimate_report import ALL, ClipAmounts, Values, short_number, total_headings
from babyhubert.evaluation.recording_table import NOT_LISTED, in_order, members
from babyhubert.evaluation.score_table import span_or_dash, table_of_rows

COLUMNS = (
    *("level", "name", "measure", "children", "children_with_clips", "children_with"),
    *("machine_per_hour", "per_hour", "low", "high", "clips_alone", "clips_alone_low", "clips_alone_high"),
    *("spread", "no_interval"),
)


@dataclass(frozen=True, eq=False)
class ChildrenGroup:
    """Mean rates of the children of some recordings.

    Attributes:
        level: ``all``, or the column that makes the group.
        name: Value of that column.
        mean: The mean rates.
    """

    level: str
    name: str
    mean: ChildrenMean

    def reason(self, measure: int) -> str:
        """Reason why a measure has no interval; empty if it has one."""
        if not self.mean.seen[measure]:
            return "people found none in the clips"
        return "fewer than 3 children with clips" if math.isnan(self.mean.corrected.low[measure]) else ""


@dataclass(frozen=True, eq=False)
class ChildrenReport:
    """Mean rates over children.

    Attributes:
        column: Column of the table that names the child.
        measures: Names of the measures.
        groups: All children first.
        unlisted: Recordings whose child is not known, which are left out.
    """

    column: str
    measures: Sequence[str]
    groups: Sequence[ChildrenGroup]
    unlisted: int


def estimate_children(
    amounts: ClipAmounts,
    factor: Values,
    child: tuple[str, Sequence[str]],
    by: tuple[str, Sequence[str]] | None = None,
) -> ChildrenReport:
    """Estimate mean rates of the children of all recordings, and of groups.

    Args:
        amounts: The amounts.
        factor: Coefficient of the machine in the totals of all recordings, shape (K,).
        child: Name of the column that tells the child, and its value for each recording.
        by: The same of a column that makes groups.
    """
    listed = [row for row, name in enumerate(child[1]) if name not in ("", NOT_LISTED)]
    groups = [ChildrenGroup(ALL, "", _mean(amounts, factor, child[1], listed))] if listed else []
    if by is not None:
        rows = members([by[1][row] for row in listed])
        groups += [
            ChildrenGroup(by[0], name, _mean(amounts, factor, child[1], [listed[place] for place in rows[name]]))
            for name in in_order(rows)
        ]
    return ChildrenReport(child[0], amounts.measures, groups, len(child[1]) - len(listed))


def _mean(amounts: ClipAmounts, factor: Values, child: Sequence[str], recordings: Sequence[int]) -> ChildrenMean:
    own = members([child[row] for row in recordings])
    rates = [_rates(amounts, [recordings[place] for place in places]) for places in own.values()]
    machine, people, found = (np.stack([each[side] for each in rates]) for side in range(3))
    annotated = np.asarray(~np.isnan(people).any(axis=1), dtype=bool)
    clips = np.bincount(amounts.recording, minlength=len(amounts.recordings))
    single = np.array([clips[[recordings[place] for place in places]].sum() == 1 for places in own.values()])
    rates_of_all = ChildRates(machine, annotated, np.nan_to_num(people), np.nan_to_num(found), single)
    return mean_of_children(rates_of_all, factor)


def _rates(amounts: ClipAmounts, recordings: Sequence[int]) -> tuple[Values, Values, Values]:
    """One child's rates by the machine, by people and by the machine in the clips; NaN without clips.

    With clips of strata of all recordings, a child without any counts as one with nothing in them: it could have had
    some, and the others stand for it with their weights.
    """
    hours = float(amounts.hours[list(recordings)].sum())
    machine = amounts.totals[list(recordings)].sum(axis=0) / hours
    inside = np.isin(amounts.recording, recordings)
    if amounts.stratum is None and not inside.any():
        nothing = np.full(len(machine), np.nan)
        return machine, nothing, nothing
    design, used = amounts.design(recordings)
    people, found = (design.totals(side[used] * inside[used, None]) for side in (amounts.people, amounts.machine))
    return machine, people / hours, found / hours


def children_table(report: ChildrenReport, group: ChildrenGroup) -> Table:
    """One group on the terminal."""
    rows = []
    for k, measure in enumerate(report.measures):
        row = [measure, short_number(group.mean.machine[k])]
        for one in (group.mean.corrected, group.mean.sample):
            known = group.mean.seen[k] > 0
            ends = np.array([one.low[k], one.high[k]])
            row += [short_number(one.value[k]) if known else "-", span_or_dash(ends, short_number)]
        rows.append([*row, short_number(group.mean.spread[k])])
    name = "all" if group.level == ALL else f"{group.level} {group.name}"
    with_clips = f"{group.mean.annotated} with annotated clips"
    about = f"Mean of {group.mean.children} children ({report.column}; {name}), per hour, {with_clips}"
    return table_of_rows(about, total_headings("spread"), rows)


def children_rows(report: ChildrenReport) -> Iterator[dict[str, Any]]:
    """One row for each group and measure; NaN where a number is not known."""
    for group in report.groups:
        mean = group.mean
        for k, measure in enumerate(report.measures):
            ends = (mean.corrected.value, mean.corrected.low, mean.corrected.high)
            alone = (mean.sample.value, mean.sample.low, mean.sample.high)
            known = mean.seen[k] > 0
            found = [float(each[k]) if known else math.nan for each in (*ends, *alone, mean.spread)]
            about = (group.level, group.name, measure, mean.children, mean.annotated, int(mean.seen[k]))
            values = (*about, float(mean.machine[k]), *found, group.reason(k))
            yield dict(zip(COLUMNS, values, strict=True))


def children_notes(report: ChildrenReport) -> Iterator[str]:
    """Notes that are needed to interpret the figures."""
    yield (
        "mean rates of children hold for children like these, as if these were drawn at random from them; the totals "
        "hold for these recordings"
    )
    if report.unlisted:
        yield f"{report.unlisted} recordings have no {report.column} in the table, and are left out of mean rates"
