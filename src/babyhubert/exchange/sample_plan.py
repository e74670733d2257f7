"""Width of the intervals that so many annotated clips would give, predicted from a run alone.

People are taken to find amounts that vary as the machine's do. Then the variance of the clips' own estimate is that of
drawing cells of the run (Cochran 1977, equations 2.9 and 5.6). With the machine, the part that it explains
goes away: ``1 - r**2``, with the correlation ``r`` between people and machine, which is not known before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from babyhubert.errors import AnnotationError, BabyHubertError, ConfigError
from babyhubert.evaluation.intervals import CONFIDENCE, student_quantile
from babyhubert.evaluation.score_table import table_of_rows
from babyhubert.exchange.chosen_clips import ANY_VOICE, ClipSettings
from babyhubert.exchange.clip_choice import FAIR_METHODS
from babyhubert.exchange.clip_counts import measure_in_clips, tiles
from babyhubert.exchange.recordings import Failure
from babyhubert.exchange.strata import Cells, stratify
from babyhubert.measures.results import RunResults
from babyhubert.measures.totals import totals

CORRELATION = 0.9
"""Correlation between people and machine that is assumed for the intervals with the machine."""

_EACH = (1, 2, 4, 8, 16, 32, 64)
_COLUMNS = 5
_LEAST_FREEDOM = 2
"""Degrees of freedom from which 'estimate' gives an interval."""

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plan:
    """Predicted half-widths of 95 % intervals, as shares of the totals.

    Attributes:
        measures: Names of K measures.
        each: Clips of a recording, on average, for each of P plans.
        minutes: Annotated minutes in all, shape (P,).
        alone: From the clips alone, shape (P, K); NaN without variance or total.
        failures: Recordings that cannot be read.
    """

    measures: Sequence[str]
    each: Sequence[int]
    minutes: Values
    alone: Values
    failures: Sequence[Failure]

    @property
    def with_machine(self) -> Values:
        """With a machine of the assumed correlation, shape (P, K)."""
        return self.alone * np.sqrt(1 - CORRELATION**2)


def plan_sample(results: RunResults, settings: ClipSettings) -> Plan:
    """Predict the intervals for several numbers of clips.

    Args:
        results: The run.
        settings: Method, length, voice and seed of the clips.

    Raises:
        ConfigError: a method whose clips do not stand for the recordings.
        AnnotationError: no recording can be read, or none is as long as two clips.
    """
    if settings.method not in FAIR_METHODS:
        raise ConfigError(f"--plan needs --method {', '.join(FAIR_METHODS)}; others do not stand for the recordings")
    names = [total.name for total in totals(results.own_columns)]
    label = None if settings.voice == ANY_VOICE else settings.voice
    amounts, spoken, failures = [], [], []
    for name in results.audio:
        try:
            result = results.read(name)
            clips = tiles(result.samples // settings.length_samples * settings.length_samples, settings.length_ms)
            if result.samples < 2 * settings.length_samples:
                raise AnnotationError(f"{name}: has no room for two clips of {settings.length_ms / 1000:g} s")
        except BabyHubertError as error:
            failures.append(Failure(name, str(error)))
            continue
        amounts.append(measure_in_clips(result, clips, names))
        starts = (result.segments if label is None else result.segments.of(label)).start
        spoken.append(np.histogram(starts, np.append(clips.samples[0], clips.samples[1][-1]))[0].astype(np.int64))
    if not amounts:
        raise AnnotationError(f"{results.folder}: no recording to plan for ({failures[0].error if failures else ''})")
    known = np.asarray(~np.isnan(np.concatenate(amounts)).any(axis=0), dtype=bool)
    amounts = [each[:, known] for each in amounts]
    each = _plans(amounts)
    widths = [_width(_strata(settings.method, amounts, spoken, one)) for one in each]
    minutes = np.array(each) * len(amounts) * settings.length_ms / 60_000
    kept = [name for name, here in zip(names, known, strict=True) if here]
    return Plan(kept, each, minutes, np.stack(widths), failures)


def _plans(amounts: Sequence[Values]) -> list[int]:
    """Numbers of clips for which the shortest recording has room."""
    return [each for each in _EACH if each <= min(map(len, amounts))][:_COLUMNS]


def _strata(
    method: str, amounts: Sequence[Values], spoken: Sequence[NDArray[np.int64]], each: int
) -> list[tuple[Values, int]]:
    """Amounts of the cells of each stratum, shape (N, K), and clips drawn there."""
    if method != "stratified" and each > 1:
        return [(cells, each) for cells in amounts]
    if method != "stratified":  # recordings with one clip each are taken together
        return [(np.concatenate(amounts), len(amounts))]
    rows, counts = np.concatenate(amounts), np.concatenate(spoken)
    owner = np.repeat(np.arange(len(amounts)), [len(one) for one in amounts])
    onset = np.concatenate([np.arange(len(one)) for one in amounts])
    strata = stratify(Cells(owner, onset, counts), each * len(amounts))
    return [(rows[stratum.cells], stratum.clips) for stratum in strata]


def _width(strata: Sequence[tuple[Values, int]]) -> Values:
    """Half-width of the interval as a share of the total, shape (K,)."""
    variance = sum(
        len(cells) ** 2 * (1 - clips / len(cells)) / clips * cells.var(axis=0, ddof=1)
        for cells, clips in strata
        if clips
    )
    total = sum(cells.sum(axis=0) for cells, _ in strata)
    freedom = sum(max(clips - 1, 0) for _, clips in strata) or len(strata) - 1
    if freedom < 1:
        return np.full(len(total), np.nan)
    reach = student_quantile(np.array([float(freedom)]), CONFIDENCE) * np.sqrt(variance)
    return np.divide(reach, total, out=np.full(len(total), np.nan), where=total > 0)


def plan_table(plan: Plan, method: str) -> Table:
    """The plans on the terminal: half-widths in percent, of the clips alone and with the machine."""
    rows = [
        (name, *(_cell(alone, both) for alone, both in zip(plan.alone[:, k], plan.with_machine[:, k], strict=True)))
        for k, name in enumerate(plan.measures)
    ]
    shown = [f"{minutes:.0f}" if minutes >= 10 else f"{minutes:.1f}" for minutes in plan.minutes]
    headings = [f"{minutes} min ({each})" for minutes, each in zip(shown, plan.each, strict=True)]
    title = (
        f"Half-width of the {100 * CONFIDENCE:g} % interval, % of the total: clips alone, with the machine ({method})"
    )
    return table_of_rows(title, ("annotated (clips each)", *headings), rows)


def _cell(alone: float, both: float) -> str:
    return "-" if np.isnan(alone) else f"{100 * alone:.0f}  {100 * both:.0f}"


def plan_notes(settings: ClipSettings) -> Iterator[str]:
    """Assumptions of the widths."""
    yield (
        "the widths assume that people find amounts that vary as the machine's do, and, with the machine, that both "
        f"have a correlation of {CORRELATION} over clips; after 10 annotated clips, 'babyhubert estimate' tells"
    )
    if settings.method == "periodic":
        yield "for periodic clips the widths are those of random ones, which they hardly exceed"
