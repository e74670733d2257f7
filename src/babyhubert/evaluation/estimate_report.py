"""Corrected totals of a run, of groups of its recordings and of each recording: as a table, CSV and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from babyhubert.evaluation.estimation import ClipDesign, Estimate, estimate, estimate_shares
from babyhubert.evaluation.intervals import CONFIDENCE, Interval
from babyhubert.evaluation.recording_table import in_order, members
from babyhubert.evaluation.score_table import span_or_dash, table_of_rows

ALL = "all"
RECORDING = "recording_id"
FEW_CLIPS = 10

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClipAmounts:
    """Amounts of K measures in C annotated clips and in the complete recordings, R of them.

    Attributes:
        recordings: Ids.
        hours: Length of each recording, shape (R,).
        measures: Names of the measures.
        is_time: Measures in minutes that cannot be more than the time there is, shape (K,).
        recording: Recording of each clip, shape (C,).
        length: Hours of each clip, shape (C,).
        people: Amounts that people found in the clips, shape (C, K).
        machine: Amounts that the machine found in the clips, shape (C, K).
        totals: Amounts that the machine found in the recordings, counted clip by clip, shape (R, K).
        whole: Amounts that the machine found in the recordings, shape (R, K). They differ a little for measures that
            look across the ends of clips.
        classes: Names of the classes of ``confusion``, the last for no voice.
        confusion: Minutes of each true class by what the machine found, shape (C, classes, classes).
        true: Minutes of each true class, shape (C, classes).
        stratum: Stratum of each clip, shape (C,), if they were drawn from strata of all recordings; None: each
            recording by itself.
        stratum_hours: Length of each stratum, shape (H,); None likewise.
    """

    recordings: Sequence[str]
    hours: Values
    measures: Sequence[str]
    is_time: NDArray[np.bool_]
    recording: NDArray[np.int64]
    length: Values
    people: Values
    machine: Values
    totals: Values
    whole: Values
    classes: Sequence[str]
    confusion: Values
    true: Values
    stratum: NDArray[np.int64] | None = None
    stratum_hours: Values | None = None

    def design(self, recordings: Sequence[int]) -> tuple[ClipDesign, NDArray[np.bool_]]:
        """The drawing of the clips that tell about some recordings, in ascending order; and these clips.

        Clips of strata of all recordings together are all used; those of other recordings count as empty (estimation
        for a domain: Cochran 1977, section 5A.13).
        """
        if self.stratum is not None and self.stratum_hours is not None:
            return ClipDesign(self.stratum, self.length, self.stratum_hours), np.ones(len(self.stratum), dtype=bool)
        chosen = np.isin(self.recording, recordings)
        stratum = np.searchsorted(np.asarray(recordings), self.recording[chosen])
        return ClipDesign(stratum, self.length[chosen], self.hours[list(recordings)]), chosen


@dataclass(frozen=True, eq=False)
class GroupEstimate:
    """Estimates for some recordings.

    Attributes:
        level: ``all``, the column that makes the group, or ``recording_id``.
        name: Value of that column.
        recordings: Number of recordings.
        hours: Their length.
        clips: Annotated clips of them.
        annotated: Hours of these clips.
        totals: The machine's totals, shape (K,).
        estimate: None without clips.
    """

    level: str
    name: str
    recordings: int
    hours: float
    clips: int
    annotated: float
    totals: Values
    estimate: Estimate | None

    def reason(self, measure: int) -> str:
        """Reason why a measure has no interval; empty if it has one."""
        if self.estimate is None:
            return "no annotated clip"
        if not self.estimate.seen[measure]:
            return "people found none in the clips"
        if not math.isnan(self.estimate.corrected.low[measure]):
            return ""
        alone = math.isnan(self.estimate.sample.low[measure])
        return "too few clips, or all alike" if alone else "people and machine agree in every clip"


@dataclass(frozen=True, eq=False)
class EstimateReport:
    """Estimates for all recordings, for groups and for each; and the rates of confusion.

    Attributes:
        amounts: The amounts they are made from.
        groups: All recordings first.
        rates: Share of each true class's time that the machine gives each class, K = classes squared, row by row.
    """

    amounts: ClipAmounts
    groups: Sequence[GroupEstimate]
    rates: Interval

    @property
    def coefficient(self) -> Values:
        """Coefficient of the machine in the totals of all recordings, shape (K,)."""
        assert self.groups[0].estimate is not None
        return self.groups[0].estimate.coefficient


def estimate_all(amounts: ClipAmounts, column: str | None = None, values: Sequence[str] = ()) -> EstimateReport:
    """Estimate for all recordings, for those with each value of a column, and for each recording.

    Args:
        amounts: The amounts.
        column: Name of the column that makes groups.
        values: Its value for each recording.
    """
    everything = range(len(amounts.recordings))
    first = _estimate_group(amounts, ALL, "", everything, None)
    assert first.estimate is not None
    factor = first.estimate.coefficient
    groups = [first]
    if column is not None:
        rows = members(values)
        groups += [_estimate_group(amounts, column, name, rows[name], factor) for name in in_order(rows)]
    groups += [_estimate_group(amounts, RECORDING, amounts.recordings[row], [row], factor) for row in everything]
    design, _ = amounts.design(everything)
    true = np.broadcast_to(amounts.true[:, :, None], amounts.confusion.shape)
    clips = len(amounts.recording)
    rates = estimate_shares(design, amounts.confusion.reshape(clips, -1), true.reshape(clips, -1))
    return EstimateReport(amounts, groups, rates)


def _estimate_group(
    amounts: ClipAmounts, level: str, name: str, recordings: Sequence[int], factor: Values | None
) -> GroupEstimate:
    hours = amounts.hours[list(recordings)]
    totals, whole = (each[list(recordings)].sum(axis=0) for each in (amounts.totals, amounts.whole))
    inside = np.isin(amounts.recording, recordings)
    result = None
    if inside.any():
        design, used = amounts.design(recordings)
        people, machine = (side[used] * inside[used, None] for side in (amounts.people, amounts.machine))
        most = np.where(amounts.is_time, 60 * hours.sum(), np.inf)
        result = estimate(design, people, machine, totals, most=most, coefficient=factor)
    annotated = float(amounts.length[inside].sum())
    return GroupEstimate(level, name, len(hours), float(hours.sum()), int(inside.sum()), annotated, whole, result)


def totals_table(report: EstimateReport, group: GroupEstimate) -> Table:
    """One group on the terminal: the machine's, corrected and the clips' own totals with intervals."""
    rows = []
    for k, measure in enumerate(report.amounts.measures):
        row = [measure, short_number(group.totals[k])]
        if group.estimate is not None:
            for one in (group.estimate.corrected, group.estimate.sample):
                known = group.estimate.seen[k] > 0
                ends = np.array([one.low[k], one.high[k]])
                row += [short_number(one.value[k]) if known else "-", span_or_dash(ends, short_number)]
            row.append(short_number(60 * group.annotated * group.estimate.gain[k]))
        rows.append(row)
    title = "All recordings" if group.level == ALL else f"{group.level} {group.name}"
    about = f"{title}: {group.recordings} recordings, {group.hours:.1f} h, {group.clips} annotated clips"
    return table_of_rows(about, total_headings("gain"), rows)


def total_headings(last: str) -> tuple[str, ...]:
    """Headings of a table of totals or means: the machine's, corrected, of the clips, with intervals."""
    interval = f"{100 * CONFIDENCE:g} %"
    return "measure", "machine", "corrected", f"its {interval}", "clips alone", f"their {interval}", last


def rates_table(report: EstimateReport) -> Table:
    """Rates of confusion on the terminal: of the time of each true class, in percent, with intervals."""
    classes = report.amounts.classes
    cells = [
        _percent(value) + ("" if math.isnan(low) else f" ({span_or_dash(np.array([low, high]), _percent)})")
        for value, low, high in zip(report.rates.value, report.rates.low, report.rates.high, strict=True)
    ]
    size = len(classes)
    rows = [(name, *cells[row * size : (row + 1) * size]) for row, name in enumerate(classes)]
    return table_of_rows("True class (rows) and what the machine finds, % of its time", ("", *classes), rows)


def short_number(value: float) -> str:
    """A number for tables on the terminal."""
    return "-" if math.isnan(value) else f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f}"


def notes(report: EstimateReport) -> Iterator[str]:
    """Notes that are needed to interpret the figures."""
    clips = len(report.amounts.recording)
    if clips < FEW_CLIPS:
        yield f"{clips} annotated clips: with fewer than {FEW_CLIPS}, intervals are wide and rough"
    first = report.groups[0]
    reasons: dict[str, list[str]] = {}
    for k, measure in enumerate(report.amounts.measures):
        reasons.setdefault(first.reason(k), []).append(measure)
    for reason, measures in reasons.items():
        if reason:
            yield f"no interval for {', '.join(measures)}: {reason}"
    length = report.amounts.length.max()
    short = [h for h in report.amounts.hours.tolist() if h < 10 * length]
    if short:
        yield (
            f"{len(short)} recordings are shorter than ten clips; their first and last seconds are in clips less "
            "often than others, which the estimates ignore"
        )


_COLUMNS = (
    *("level", "name", "measure", "recordings", "hours", "clips", "clips_with", "annotated_min"),
    *("machine", "corrected", "low", "high", "per_hour", "per_hour_low", "per_hour_high"),
    *("clips_alone", "clips_alone_low", "clips_alone_high", "gain_min", "coefficient", "no_interval"),
)


def rows(report: EstimateReport) -> Iterator[dict[str, Any]]:
    """One row for each group and measure; NaN where a number is not known."""
    for group in report.groups:
        for k, measure in enumerate(report.amounts.measures):
            row = {
                "level": group.level,
                "name": group.name,
                "measure": measure,
                "recordings": group.recordings,
                "hours": group.hours,
                "clips": group.clips,
                "annotated_min": 60 * group.annotated,
                "machine": float(group.totals[k]),
                **_numbers(group, k),
                "no_interval": group.reason(k),
            }
            yield {name: row[name] for name in _COLUMNS}


def _numbers(group: GroupEstimate, k: int) -> dict[str, Any]:
    """The estimates of one measure; without those of a measure that people found nowhere in the clips."""
    one = group.estimate
    names = [name for name in _COLUMNS if name not in _COLUMNS[:9] and name != "no_interval"]
    if one is None or not one.seen[k]:
        return {"clips_with": 0, **dict.fromkeys(names, math.nan)}
    corrected = [float(each[k]) for each in (one.corrected.value, one.corrected.low, one.corrected.high)]
    alone = [float(each[k]) for each in (one.sample.value, one.sample.low, one.sample.high)]
    gain = 60 * group.annotated * float(one.gain[k])
    values = [*corrected, *(each / group.hours for each in corrected), *alone, gain, float(one.coefficient[k])]
    return {"clips_with": int(one.seen[k]), **dict(zip(names, values, strict=True))}


def rate_rows(report: EstimateReport) -> Iterator[dict[str, Any]]:
    """One row for each true class and what the machine finds: with intervals for all recordings, then for each."""
    amounts = report.amounts
    yield from _rate_rows(amounts, ALL, "", range(len(amounts.recordings)), report.rates)
    for row, name in enumerate(amounts.recordings):
        if np.any(amounts.recording == row):
            yield from _rate_rows(amounts, RECORDING, name, [row], None)


def _rate_rows(
    amounts: ClipAmounts, level: str, name: str, recordings: Sequence[int], rates: Interval | None
) -> Iterator[dict[str, Any]]:
    size = len(amounts.classes)
    design, used = amounts.design(recordings)
    inside = np.isin(amounts.recording, recordings)
    confusion = amounts.confusion.reshape(len(inside), -1) * inside[:, None]
    minutes = design.totals(confusion[used]).reshape(size, size)
    true = design.totals((amounts.true * inside[:, None])[used])
    share = np.divide(minutes, true[:, None], out=np.full_like(minutes, np.nan), where=true[:, None] > 0)
    hours, clips = float(amounts.hours[list(recordings)].sum()), confusion.sum(axis=0).reshape(size, size)
    for row, column in np.ndindex(size, size):
        place = row * size + column
        yield {
            "level": level,
            "name": name,
            "true": amounts.classes[row],
            "found": amounts.classes[column],
            "share": float(share[row, column]),
            "low": math.nan if rates is None else float(rates.low[place]),
            "high": math.nan if rates is None else float(rates.high[place]),
            "minutes": float(minutes[row, column]),
            "true_minutes": float(true[row]),
            "hours": hours,
            "clip_min": float(clips[row, column]),
        }
