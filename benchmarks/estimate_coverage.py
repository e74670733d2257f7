"""Coverage of the intervals of `estimate` on simulated days, whose true totals are known, one row per design.

Data sets of 5 and 40 recordings of eight hours (`simulated_days.py`; no sound) go through the functions of a run:
clips are drawn as `sample` draws them, people's and machine's segments are counted in them, and totals estimated. A
row has, over data sets and measures of a kind (minutes, counts of segments, turns by three rules), the share of 95 %
intervals that hold the truth, their median width relative to the truth, the same for the clips alone, and the mean
error of both and of the machine.

    python benchmarks/estimate_coverage.py --sets 200 -o benchmarks/results/estimate-coverage.json
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.segments import Segments
from babyhubert.evaluation.children_report import estimate_children
from babyhubert.evaluation.estimate_report import ClipAmounts, EstimateReport, estimate_all
from babyhubert.evaluation.estimation import Estimate
from babyhubert.evaluation.intervals import Interval
from babyhubert.exchange.clip_choice import periodic_starts, random_starts
from babyhubert.exchange.clip_counts import CLASSES, Clips, measure_in_clips, measure_whole, tiles
from babyhubert.exchange.strata import draw
from babyhubert.measures.hours import HOUR
from babyhubert.measures.results import RecordingResult
from babyhubert.measures.totals import Total, totals
from babyhubert.timebase import SAMPLES_PER_MS
from results import write_results
from simulated_days import HOURS, SAMPLES, Day, simulate_day

FEW, MANY = 5, 40
MINUTES = (10, 20, 40)
METHODS = ("random", "periodic", "stratified")
EACH, SOME = "random, each recording", "random, 3 of 5 recordings"
CHILDREN = "random, mean of children"
SOME_RECORDINGS = 3

MEASURES: tuple[Total, ...] = tuple(
    total for total in totals() if not total.column and not total.name.endswith("_vocalisations")
)
NAMES = [total.name for total in MEASURES]
KINDS: dict[str, Callable[[str], bool]] = {
    "minutes": lambda name: name.endswith("_min"),
    "counts": lambda name: name.endswith("_segments"),
    "turns": lambda name: name.startswith("turns_"),
}

Values = NDArray[np.float64]
Drawn = tuple[list[Clips], list[NDArray[np.int64]] | None, Values | None]
"""Clips of each recording; if drawn from strata, the stratum of each clip, and the lengths of the strata in hours."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Recordings of one length, and what there is in them: shape (recordings, measures)."""

    days: Sequence[Day]
    samples: int
    truth: Values
    machine: Values
    tiled: dict[int, Values]


def result_of(segments: Segments, samples: int) -> RecordingResult:
    """Segments as a run or a reference has them."""
    return RecordingResult("", Path(), samples, segments)


def length_of(recordings: int, minutes: int) -> tuple[int, int]:
    """Clips of each recording, and their length in ms."""
    each = max(minutes // recordings, 1)
    return each, minutes * 60_000 // (each * recordings)


def simulate(recordings: int, rng: np.random.Generator) -> DataSet:
    """Draw a data set."""
    days = [simulate_day(rng) for _ in range(recordings)]
    return measured(days, SAMPLES, {length_of(recordings, minutes)[1] for minutes in MINUTES})


def measured(days: Sequence[Day], samples: int, lengths: set[int]) -> DataSet:
    """Count what there is in recordings, the machine's also in clips of these lengths in ms."""
    truth, machine = (
        np.stack([measure_whole(result_of(side, samples), NAMES) for side in sides])
        for sides in ([day.people for day in days], [day.machine for day in days])
    )
    tiled = {}
    for length in lengths:
        cells = tiles(samples, length)
        tiled[length] = np.stack(
            [measure_in_clips(result_of(day.machine, samples), cells, NAMES).sum(axis=0) for day in days]
        )
    return DataSet(days, samples, truth, machine, tiled)


def drawn(method: str, data: DataSet, each: int, length: int, rng: np.random.Generator) -> Drawn:
    """Draw clips of a data set as `sample` does."""
    duration = data.samples // SAMPLES_PER_MS
    if method == "stratified":
        recordings = [(str(row), duration, day.machine.start) for row, day in enumerate(data.days)]
        chosen = draw(recordings, length, each, int(rng.integers(2**31)))
        starts = [np.array([at for at, _ in chosen.clips[str(row)]], dtype=np.int64) for row in range(len(data.days))]
        strata = [np.array([k for _, k in chosen.clips[str(row)]], dtype=np.int64) for row in range(len(data.days))]
        cells = np.array([len(stratum.cells) for stratum in chosen.strata], dtype=np.float64)
        return (
            [Clips(one, one + length) for one in starts],
            strata,
            data.samples / HOUR * len(data.days) * cells / cells.sum(),
        )
    starts_of = random_starts if method == "random" else periodic_starts
    starts = [starts_of(duration, length, each, rng) for _ in data.days]
    return [Clips(one, one + length) for one in starts], None, None


def amounts_of(data: DataSet, clips: Sequence[Clips], length: int, strata: Drawn) -> ClipAmounts:
    """Amounts in the clips and in the recordings, as `sample_amounts` counts them."""
    recording = np.repeat(np.arange(len(clips)), [len(one.onset) for one in clips])
    people, machine = (
        np.concatenate(
            [
                measure_in_clips(result_of(side, data.samples), one, NAMES)
                for side, one in zip(sides, clips, strict=True)
                if len(one.onset)
            ]
        )
        for sides in ([day.people for day in data.days], [day.machine for day in data.days])
    )
    tiled = data.tiled[length]
    edge = data.machine.sum(axis=0) / tiled.sum(axis=0)
    return ClipAmounts(
        [str(row) for row in range(len(clips))],
        np.full(len(clips), data.samples / HOUR),
        NAMES,
        np.array([total.is_time for total in MEASURES]),
        recording,
        np.full(len(recording), length / 3_600_000),
        people * edge,
        machine * edge,
        tiled * edge,
        data.machine,
        CLASSES,
        np.zeros((len(recording), len(CLASSES), len(CLASSES))),
        np.zeros((len(recording), len(CLASSES))),
        None if strata[1] is None else np.concatenate(strata[1]),
        strata[2],
    )


Found = tuple[Interval, Interval, Values, Values]
"""Corrected and from the clips alone, the machine's own and the true amounts."""


def compare(corrected: Interval, sample: Interval, machine: Values, truth: Values) -> Values:
    """Intervals that hold the truth, relative widths, relative errors: shape (7, measures)."""
    both = (corrected, sample)
    held = [(one.low <= truth) & (truth <= one.high) for one in both]
    widths = [(one.high - one.low) / truth for one in both]
    errors = [one.value / truth - 1 for one in both]
    return np.stack([*held, *widths, *errors, machine / truth - 1])


def trials(data: DataSet, minutes: int, rng: np.random.Generator) -> Iterator[tuple[str, Found]]:
    """Draw clips once by each method, and estimate."""
    each, length = length_of(len(data.days), minutes)
    truth = data.truth.sum(axis=0)
    for method in METHODS:
        chosen = drawn(method, data, each, length, rng)
        amounts = amounts_of(data, chosen[0], length, chosen)
        report = estimate_all(amounts)
        yield method, total_of(report, truth)
        if method == "random":
            yield CHILDREN, _of_children(amounts, report, data.truth)
        if method == "random" and len(data.days) == FEW:
            yield from ((EACH, one) for one in _of_each(report, data.truth))
            some = [
                one if row < SOME_RECORDINGS else Clips(one.onset[:0], one.offset[:0])
                for row, one in enumerate(chosen[0])
            ]
            yield SOME, total_of(estimate_all(amounts_of(data, some, length, chosen)), truth)


def total_of(report: EstimateReport, truth: Values) -> Found:
    """Estimates of all recordings, as they are compared."""
    one = report.groups[0].estimate
    assert isinstance(one, Estimate)
    return one.corrected, one.sample, report.groups[0].totals, truth


def _of_children(amounts: ClipAmounts, report: EstimateReport, truths: Values) -> Found:
    mean = estimate_children(amounts, report.coefficient, ("child", amounts.recordings)).groups[0].mean
    return mean.corrected, mean.sample, mean.machine, truths.mean(axis=0) / HOURS


def _of_each(report: EstimateReport, truths: Values) -> Iterator[Found]:
    for group, truth in zip(report.groups[1:], truths, strict=True):
        assert isinstance(group.estimate, Estimate)
        yield group.estimate.corrected, group.estimate.sample, group.totals, truth


def study(recordings: int, sets: int, seed: int, until: float) -> Iterator[dict[str, Any]]:
    """Rows of each design, over data sets with so many recordings, as many as are done in time."""
    kept: dict[tuple[str, int], list[Found]] = {}
    for number in range(sets):
        rng = np.random.default_rng([seed, recordings, number])
        data = simulate(recordings, rng)
        for minutes in MINUTES:
            for method, found in trials(data, minutes, rng):
                kept.setdefault((method, minutes), []).append(found)
        print(f"{recordings} recordings: {number + 1} of {sets}", end="\r", flush=True)
        if time.monotonic() > until:
            break
    yield from tabulate(recordings, number + 1, kept)


def tabulate(recordings: int, sets: int, kept: dict[tuple[str, int], list[Found]]) -> Iterator[dict[str, Any]]:
    """Rows of each design and kind of measure, from the estimates of all data sets."""
    for (method, minutes), found in sorted(kept.items()):
        if method == CHILDREN:  # of the population, whose mean is that of all data sets
            population = np.mean([truth for _, _, _, truth in found], axis=0)
            found = [(*each[:3], population) for each in found]
        every = np.stack([compare(*each) for each in found])
        for kind, belongs in KINDS.items():
            columns = [k for k, name in enumerate(NAMES) if belongs(name)]
            held, held_alone, width, width_alone, bias, bias_alone, machine = np.moveaxis(every[:, :, columns], 1, 0)
            if np.isnan(width).all():  # two clips of each recording
                continue
            yield {
                "sets": sets,
                "recordings": recordings,
                "method": method,
                "annotated_minutes": minutes,
                "of": kind,
                "no_interval": np.isnan(width).mean(),
                "coverage": held[~np.isnan(width)].mean(),
                "coverage_clips_alone": held_alone[~np.isnan(width_alone)].mean(),
                "width": np.nanmedian(width),
                "width_clips_alone": np.nanmedian(width_alone),
                "bias": bias.mean(axis=0).tolist(),
                "bias_clips_alone": bias_alone.mean(axis=0).tolist(),
                "bias_machine": machine.mean(axis=0).tolist(),
            }


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The rows for docs/estimates.md: percentages; bias is the mean over measures of its size."""
    heads = ("recordings", "clips", "minutes", "of", "coverage", "alone", "width", "alone", "bias", "machine", "none")
    yield f"| {' | '.join(heads)} |"
    yield "| ---: | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row in rows:
        shares = [row[f"{name}{of}"] for name in ("coverage", "width") for of in ("", "_clips_alone")]
        shares += [np.nanmean(np.abs(row[name])) for name in ("bias", "bias_machine")]
        shares.append(row["no_interval"])
        names = [row[name] for name in ("recordings", "method", "annotated_minutes", "of")]
        decimals = (1, 1, 0, 0, 1, 1, 1)
        shown = [f"{100 * share:.{digits}f}" for share, digits in zip(shares, decimals, strict=True)]
        yield f"| {' | '.join([*map(str, names), *shown])} |"


def main() -> None:
    """Run the study, print the table and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=200, help="data sets for each number of recordings")
    parser.add_argument("--recordings", type=int, nargs="*", default=[FEW, MANY])
    parser.add_argument("--minutes", type=float, default=1e6, help="end after so many minutes, with the sets done")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    until = time.monotonic() + 60 * options.minutes
    rows = [row for each in options.recordings for row in study(each, options.sets, options.seed, until)]
    print("\n".join(table(rows)))
    write_results(options, rows)


if __name__ == "__main__":
    main()
