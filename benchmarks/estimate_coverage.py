"""Coverage of the intervals of `estimate` on simulated days, whose true totals are known, one row per design.

Each data set has recordings of eight hours in cells of 15 s. A voice's volubility varies by recording, by hour and by
minute; every utterance is found with a probability of its recording's own, perhaps under another label, and there
are false alarms. No sound is made. A row has, over data sets and voice types, the share of 95 % intervals that hold
the truth, their median width relative to the truth, the same for the annotated clips alone, and the mean error of
both and of the machine.

    python benchmarks/estimate_coverage.py --sets 200 -o benchmarks/results/estimate-coverage.json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.evaluation.estimation import ClipDesign, Estimate, estimate
from results import write_results

CELL_S, CELLS = 15, 8 * 240
FEW, MANY = 5, 40
SOME_RECORDINGS = 3
EACH, SOME = "random, each recording", "random, 3 of 5 recordings"
VOICES = ("KCHI", "OCH", "MAL", "FEM")
PER_HOUR = (160.0, 70.0, 50.0, 130.0)
CONFUSION = np.array(
    [[0.72, 0.07, 0.00, 0.03], [0.14, 0.50, 0.01, 0.06], [0.00, 0.00, 0.70, 0.06], [0.03, 0.04, 0.06, 0.72]]
)
"""Share of the utterances of a voice (row) that the machine finds as each voice; it misses the rest."""

FALSE_PER_HOUR = (12.0, 12.0, 20.0, 20.0)
MINUTES_EACH = (0.018, 0.017, 0.020, 0.021)
"""Mean length of an utterance of each voice."""

Values = NDArray[np.float64]
Indices = NDArray[np.int64]
Draw = tuple[Indices, Indices, Indices, Indices, int]


@dataclass(frozen=True)
class Day:
    """Amounts in each cell, of each recording: shape (recordings, cells, 8), counts and then minutes."""

    people: Values
    machine: Values


def simulate(recordings: int, rng: np.random.Generator) -> Day:
    """Draw a data set."""
    true = np.zeros((recordings, CELLS, 4))
    found = np.zeros_like(true)
    minute = np.exp(rng.normal(0, 0.8, (recordings, CELLS // 4)).repeat(4, axis=1))
    hour = np.exp(rng.normal(0, 0.7, (recordings, 8)).repeat(CELLS // 8, axis=1))
    for voice, each in enumerate(PER_HOUR):
        own = np.exp(rng.normal(0, 0.6, (recordings, 8)).repeat(CELLS // 8, axis=1))
        rate = each * CELL_S / 3600 * minute * hour * own * rng.gamma(4, 0.25, recordings)[:, None] / 2
        skill = rng.beta(12, 3, recordings)[:, None] / 0.8
        missed = 1.0
        for label in np.flatnonzero(CONFUSION[voice]):
            share = np.minimum(
                CONFUSION[voice, label] * skill, 0.95 * CONFUSION[voice, label] / CONFUSION[voice].sum()
            )
            part = rng.poisson(rate * share)
            true[:, :, voice] += part
            found[:, :, label] += part
            missed = missed - share
        true[:, :, voice] += rng.poisson(rate * missed)
        noise = rng.gamma(2, 0.5, recordings)[:, None] * FALSE_PER_HOUR[voice] * CELL_S / 3600
        found[:, :, voice] += rng.poisson(noise, (recordings, CELLS))
    return Day(_with_minutes(true, rng), _with_minutes(found, rng))


def _with_minutes(counts: Values, rng: np.random.Generator) -> Values:
    lengths, some = np.zeros_like(counts), counts > 0
    lengths[some] = rng.gamma(4 * counts[some], 0.25)
    return np.concatenate([counts, lengths * np.array(MINUTES_EACH)], axis=2)


def drawn(method: str, day: Day, minutes: int, rng: np.random.Generator) -> Draw:
    """Draw clips: recording, first cell and stratum of each, stratum lengths, and cells in a clip."""
    recordings = len(day.people)
    each = max(minutes // recordings, 1)
    cells = minutes * 60 // CELL_S // (each * recordings)
    places = CELLS // cells
    if method == "stratified":
        return _stratified(day, each * recordings, cells, rng)
    if method == "random":
        spots = np.argsort(rng.random((recordings, places)), axis=1)[:, :each]
        start = spots * cells
    else:
        part = CELLS // each
        start = rng.integers(0, part - cells + 1, (recordings, 1)) + np.arange(each) * part
    recording = np.arange(recordings).repeat(each)
    return recording, start.ravel(), recording, np.full(recordings, CELLS), cells


def _stratified(day: Day, count: int, cells: int, rng: np.random.Generator) -> Draw:
    """Strata of all recordings' time by what the machine found, as many clips from each: unequal probabilities."""
    worth = day.machine[:, :, 4:].sum(axis=2).reshape(len(day.people), -1, cells).sum(axis=2).ravel()
    strata = 4 if count >= 12 else 2
    share = np.array([0.5, 0.25, 0.15, 0.1]) if strata == 4 else np.array([0.7, 0.3])
    bounds = np.round(np.cumsum(share) * len(worth)).astype(int)
    order = np.argsort(worth + rng.random(len(worth)) * 1e-9)
    spots, stratum = [], []
    for number, (first, last) in enumerate(zip([0, *bounds[:-1]], bounds, strict=True)):
        few = count // strata
        spots.append(rng.choice(order[first:last], few, replace=False))
        stratum += [number] * few
    spot = np.concatenate(spots)
    per = CELLS // cells
    sizes = np.diff([0, *bounds]) * cells
    return spot // per, spot % per * cells, np.array(stratum), sizes, cells


def study(recordings: int, sets: int, seed: int) -> Iterator[dict[str, Any]]:
    """Two rows for each design, counts and minutes, over data sets with so many recordings."""
    rng = np.random.default_rng([seed, recordings])
    kept: dict[tuple[str, int], list[Values]] = {}
    for _ in range(sets):
        day = simulate(recordings, rng)
        for method in ("random", "periodic", "stratified", *((EACH, SOME) if recordings == FEW else ())):
            for minutes in (10, 20, 40):
                kept.setdefault((method, minutes), []).extend(_trials(day, method, minutes, rng))
    for (method, minutes), trials in kept.items():
        if np.isnan(np.stack(trials)[:, 2]).all():  # two clips of each recording
            continue
        for what, columns in (("counts", slice(0, 4)), ("minutes", slice(4, 8))):
            held, held_alone, width, width_alone, bias, bias_alone, machine = np.moveaxis(
                np.stack(trials)[:, :, columns], 1, 0
            )
            yield {
                "recordings": recordings,
                "method": method,
                "annotated_minutes": minutes,
                "of": what,
                "no_interval": np.isnan(width).mean(),
                "coverage": held[~np.isnan(width)].mean(),
                "coverage_clips_alone": held_alone[~np.isnan(width_alone)].mean(),
                "width": np.nanmedian(width),
                "width_clips_alone": np.nanmedian(width_alone),
                "bias": bias.mean(axis=0).tolist(),
                "bias_clips_alone": bias_alone.mean(axis=0).tolist(),
                "bias_machine": machine.mean(axis=0).tolist(),
            }


def _trials(day: Day, method: str, minutes: int, rng: np.random.Generator) -> list[Values]:
    """Draw clips once and estimate: all recordings together, or each, from the clips of all or of some recordings."""
    recording, start, stratum, lengths, cells = drawn(method.split(",")[0], day, minutes, rng)
    at = (recording[:, None], start[:, None] + np.arange(cells))
    people, machine = (side[at].sum(axis=1) for side in (day.people, day.machine))
    clip_lengths, strata = np.full(len(start), float(cells)), lengths.astype(float)
    truths, founds = day.people.sum(axis=1), day.machine.sum(axis=1)
    truth, totals = truths.sum(axis=0), founds.sum(axis=0)
    if method == SOME:
        kept = stratum < SOME_RECORDINGS
        design = ClipDesign(stratum[kept], clip_lengths[kept], strata)
        return [_compare(estimate(design, people[kept], machine[kept], totals), truth)]
    result = estimate(ClipDesign(stratum, clip_lengths, strata), people, machine, totals)
    if method != EACH:
        return [_compare(result, truth)]
    compared = []
    for one in range(len(strata)):
        own = stratum == one
        design = ClipDesign(np.zeros(own.sum(), dtype=np.int64), clip_lengths[own], strata[[one]])
        part = estimate(design, people[own], machine[own], founds[one], coefficient=result.coefficient)
        compared.append(_compare(part, truths[one]))
    return compared


def _compare(result: Estimate, truth: Values) -> Values:
    """Intervals that hold the truth, relative widths, relative errors; shape (7, 8)."""
    both = (result.corrected, result.sample)
    held = [(one.low <= truth) & (truth <= one.high) for one in both]
    widths = [(one.high - one.low) / truth for one in both]
    errors = [one.value / truth - 1 for one in both]
    return np.stack([*held, *widths, *errors, result.machine / truth - 1])


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The rows for docs/estimates.md: percentages; bias is the mean over voice types of its size."""
    heads = ("recordings", "clips", "minutes", "of", "coverage", "alone", "width", "alone", "bias", "machine", "none")
    yield f"| {' | '.join(heads)} |"
    yield "| ---: | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row in rows:
        shares = [row[f"{name}{of}"] for name in ("coverage", "width") for of in ("", "_clips_alone")]
        shares += [np.abs(row[name]).mean() for name in ("bias", "bias_machine")]
        shares.append(row["no_interval"])
        names = [row[name] for name in ("recordings", "method", "annotated_minutes", "of")]
        decimals = (1, 1, 0, 0, 1, 1, 1)
        shown = [f"{100 * share:.{digits}f}" for share, digits in zip(shares, decimals, strict=True)]
        yield f"| {' | '.join([*map(str, names), *shown])} |"


def main() -> None:
    """Run the study, print the table and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=200, help="data sets for each number of recordings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    rows = [row for recordings in (FEW, MANY) for row in study(recordings, options.sets, options.seed)]
    print("\n".join(table(rows)))
    write_results(options, rows)


if __name__ == "__main__":
    main()
