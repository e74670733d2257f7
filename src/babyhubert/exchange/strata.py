"""Clips drawn where they tell most: strata of a run's time by predicted volubility and hour, with unequal chances.

All recordings are divided into cells of the length of a clip. Cells with similar numbers of predicted segments make a
stratum, divided further by hour where there are clips enough. Clips are allocated to strata in proportion to the size
and the standard deviation of each (Neyman allocation: Cochran 1977, section 5.5), and drawn in a stratum with equal
chance. The chances are recorded, so that the estimates stay unbiased.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.errors import ConfigError
from babyhubert.exchange.clip_choice import recording_generator
from babyhubert.timebase import SAMPLES_PER_MS

_MOST_LEVELS = 5
_MOST_PARTS = 4
_CLIPS_EACH = 3
"""Clips of a stratum on average, from which strata are made: two are needed for a variance."""

_FEWEST = 2
_FEWEST_CELLS = 4
_HOUR_MS = 3_600_000

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of one length in all recordings.

    Attributes:
        recording: Recording of each of N cells, int64, shape (N,).
        onset: First millisecond, int64, shape (N,).
        count: Predicted segments that begin in it, int64, shape (N,).
    """

    recording: Counts
    onset: Counts
    count: Counts

    @classmethod
    def of(
        cls, recordings: Iterable[tuple[str, int, NDArray[np.int64]]], length_ms: int, seed: int
    ) -> tuple[Cells, list[str]]:
        """Divide recordings into cells; each begins with a random part of what is left over.

        Args:
            recordings: Id, length in ms, and first samples of predicted segments.
            length_ms: Length of a cell.
            seed: Seed of the random parts.

        Returns:
            The cells; ids of the recordings that have any.
        """
        names, onsets, counts = [], [], []
        for name, duration_ms, starts in recordings:
            number, spare = divmod(duration_ms, length_ms)
            if not number:
                continue
            first = int(recording_generator(seed, name).integers(0, spare + 1))
            edges = first + np.arange(number + 1) * length_ms
            names.append(name)
            onsets.append(edges[:-1])
            counts.append(np.histogram(starts // SAMPLES_PER_MS, np.append(edges[:-1], edges[-1] - 0.5))[0])
        owner = np.repeat(np.arange(len(names)), [len(each) for each in onsets])
        return cls(owner, _joined(onsets), _joined(counts)), names


@dataclass(frozen=True)
class Stratum:
    """A stratum of time.

    Attributes:
        name: Predicted segments in a clip, and hours since the beginning where it is divided by these.
        cells: Cells in it, int64.
        clips: Clips to draw.
    """

    name: str
    cells: Counts
    clips: int

    @property
    def inclusion(self) -> float:
        """Probability that a moment of the stratum is in a clip."""
        return self.clips / len(self.cells)

    def as_record(self) -> dict[str, Any]:
        """For ``sample.json``."""
        return {"name": self.name, "cells": len(self.cells), "clips": self.clips, "inclusion": self.inclusion}


@dataclass(frozen=True)
class Draw:
    """Clips that were drawn from strata.

    Attributes:
        recordings: Ids of the recordings they were drawn from.
        strata: The strata.
        clips: First millisecond and stratum of each clip, by recording, in order of time.
    """

    recordings: Sequence[str]
    strata: Sequence[Stratum]
    clips: Mapping[str, Sequence[tuple[int, int]]]

    def as_record(self) -> dict[str, Any]:
        """For ``sample.json``."""
        return {"drawn_from": list(self.recordings), "strata": [stratum.as_record() for stratum in self.strata]}


def draw(recordings: Iterable[tuple[str, int, NDArray[np.int64]]], length_ms: int, each: int, seed: int) -> Draw:
    """Draw clips from strata of all recordings together.

    Args:
        recordings: Id, length in ms, and first samples of the predicted segments, of each.
        length_ms: Length of a clip.
        each: Clips a recording, on average.
        seed: Seed of the random choice, which depends on all recordings.

    Raises:
        ConfigError: no recording is as long as a clip.
    """
    cells, names = Cells.of(recordings, length_ms, seed)
    if not names:
        raise ConfigError(f"no recording has room for a clip of {length_ms / 1000:g} s; choose a shorter --length")
    strata = stratify(cells, min(each * len(names), len(cells.onset)))
    rng = recording_generator(seed, "\n".join(names))
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in names}
    for number, stratum in enumerate(strata):
        for cell in rng.choice(stratum.cells, stratum.clips, replace=False).tolist():
            found[names[int(cells.recording[cell])]].append((int(cells.onset[cell]), number))
    return Draw(names, strata, {name: sorted(clips) for name, clips in found.items()})


def stratify(cells: Cells, clips: int) -> list[Stratum]:
    """Divide cells into strata for so many clips, and allocate the clips."""
    wanted = max(clips // _CLIPS_EACH, 1)
    levels = _levels(cells, min(wanted, _MOST_LEVELS))
    parts = min(max(wanted // len(levels), 1), _MOST_PARTS)
    divided = [(level, part) for level in levels for part in _by_hour(cells, level, parts)]
    shares = allocate([cells.count[part] for _, part in divided], clips)
    return [
        Stratum(_name(cells, part, len(part) < len(level)), part, share)
        for (level, part), share in zip(divided, shares, strict=True)
    ]


def _levels(cells: Cells, number: int) -> list[Counts]:
    """Cells by predicted volubility, bounds at equal steps of the cumulated root of the frequency.

    This is the rule of Dalenius and Hodges (Cochran 1977, section 5A.7).
    """
    values, place, frequency = np.unique(cells.count, return_inverse=True, return_counts=True)
    width = np.diff(values, prepend=values[0] - 1)
    reached = np.cumsum(np.sqrt(frequency * width))
    level = np.minimum((reached - 1e-9) * number // reached[-1], number - 1)[place]
    return _large_enough([np.flatnonzero(level == one) for one in range(number)])


def _by_hour(cells: Cells, level: Counts, parts: int) -> list[Counts]:
    """A level in equal parts by the time since the beginning of the recording."""
    order = level[np.lexsort((cells.recording[level], cells.onset[level]))]
    return _large_enough(np.array_split(order, parts))


def _large_enough(groups: Iterable[Counts]) -> list[Counts]:
    """The groups in their order; one that is too small is joined to the one before it."""
    found: list[Counts] = []
    for group in groups:
        if found and (len(group) < _FEWEST_CELLS or len(found[-1]) < _FEWEST_CELLS):
            found[-1] = np.concatenate((found[-1], group))
        elif len(group):
            found.append(group)
    return found


def allocate(counts: Sequence[Counts], clips: int) -> list[int]:
    """Clips of each stratum: in proportion to its size and standard deviation, two at least where there are as many.

    The variance is that of the machine's counts, and once more their mean: what a machine misses and makes up varies
    with the number that there is. The whole numbers are those of least variance (Wright 2012).

    Args:
        counts: Predicted segments in each cell of every stratum.
        clips: Clips to allocate; no more than there are cells.
    """
    size = np.array([len(each) for each in counts])
    weight = size * np.sqrt([each.var() + each.mean() for each in counts])
    weight = np.maximum(weight, 1e-6 * size)  # where nothing is predicted, last
    number = np.minimum(size, _FEWEST if clips >= _FEWEST * len(size) else 0)
    while number.sum() < clips:
        gain = weight / np.sqrt(np.maximum(number * (number + 1), 0.5))
        number[int(np.argmax(np.where(number < size, gain, -1)))] += 1
    return [int(each) for each in number]


def _name(cells: Cells, part: Counts, divided: bool) -> str:
    low, high = (int(side) for side in (cells.count[part].min(), cells.count[part].max()))
    segments = f"{low} segments" if low == high else f"{low} to {high} segments"
    if not divided:
        return segments
    first, last = cells.onset[part].min() / _HOUR_MS, cells.onset[part].max() / _HOUR_MS
    return f"{segments}, {first:.1f} to {last:.1f} h"


def _joined(parts: Sequence[NDArray]) -> Counts:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)
