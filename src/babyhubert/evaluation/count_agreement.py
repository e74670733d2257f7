"""Agreement of two annotators on amounts: counts and minutes of each class, by clip and by hour.

Many studies report counts, not frames. Two annotators may agree on counts though they mark other moments, and disagree
on counts though their frames agree (one pauses where the other does not).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, intersect, total, union
from babyhubert.annotation.segments import Segments
from babyhubert.evaluation.intraclass import Correlation, absolute_agreement, consistency
from babyhubert.timebase import SAMPLE_RATE

Unit = Literal["clip", "hour"]
AMOUNTS = ("count", "minutes")

_HOUR = 3600 * SAMPLE_RATE
_MINUTE = 60 * SAMPLE_RATE


@dataclass(frozen=True, eq=False)
class Amounts:
    """Amounts of U clips or hours.

    Attributes:
        unit: ``clip`` or ``hour``.
        labels: Classes.
        samples: Annotated samples of each unit, int64, shape (U,).
        values: Counts and minutes by class and annotator, shape (2, C, U, 2).
    """

    unit: Unit
    labels: tuple[str, ...]
    samples: NDArray[np.int64]
    values: NDArray[np.float64]

    def correlations(self, confidence: float) -> dict[tuple[str, str], tuple[Correlation, Correlation]]:
        """ICC(2,1) and ICC(3,1) of each amount and class."""
        return {
            (amount, label): (
                absolute_agreement(self.values[row, column], confidence),
                consistency(self.values[row, column], confidence),
            )
            for row, amount in enumerate(AMOUNTS)
            for column, label in enumerate(self.labels)
        }

    @property
    def uneven(self) -> bool:
        """True if some units are less than 90 % as long as the longest."""
        return bool(len(self.samples) and self.samples.min() < 0.9 * self.samples.max())


def amounts_of(
    first: Mapping[str, Segments],
    second: Mapping[str, Segments],
    labels: tuple[str, ...],
    stretches: Mapping[str, Intervals],
) -> list[Amounts]:
    """Amounts by clip, and by hour where that is another division.

    Args:
        first: Segments by recording.
        second: The same of the other annotator.
        labels: Classes.
        stretches: Annotated stretches of the recordings that count: each is a clip.
    """
    clips = [(name, [span]) for name, found in stretches.items() for span in _spans(found)]
    hours = [(name, spans) for name, found in stretches.items() for spans in _by_hour(found)]
    divisions: list[tuple[Unit, list[tuple[str, list[tuple[int, int]]]]]] = [("clip", clips)]
    if hours != clips:
        divisions.append(("hour", hours))
    return [_amounts(unit, cells, (first, second), labels) for unit, cells in divisions]


def _spans(found: Intervals) -> list[tuple[int, int]]:
    return list(zip(found[0].tolist(), found[1].tolist(), strict=True))


def _by_hour(found: Intervals) -> list[list[tuple[int, int]]]:
    """Stretches cut at full hours of the recording, together for each hour."""
    cells: dict[int, list[tuple[int, int]]] = {}
    for start, end in _spans(found):
        for hour in range(start // _HOUR, (end - 1) // _HOUR + 1):
            cells.setdefault(hour, []).append((max(start, hour * _HOUR), min(end, (hour + 1) * _HOUR)))
    return [cells[hour] for hour in sorted(cells)]


def _amounts(
    unit: Unit,
    cells: Sequence[tuple[str, Sequence[tuple[int, int]]]],
    sides: tuple[Mapping[str, Segments], Mapping[str, Segments]],
    labels: tuple[str, ...],
) -> Amounts:
    values = np.zeros((len(AMOUNTS), len(labels), len(cells), len(sides)))
    samples = np.array([sum(end - start for start, end in spans) for _, spans in cells], dtype=np.int64)
    for rater, side in enumerate(sides):
        for column, label in enumerate(labels):
            for row, (name, spans) in enumerate(cells):
                own = side[name].of(label)
                values[:, column, row, rater] = _count(own.start, spans), _minutes((own.start, own.end), spans)
    return Amounts(unit, labels, samples, values)


def _count(starts: NDArray[np.int64], spans: Sequence[tuple[int, int]]) -> int:
    """Segments that begin within the stretches."""
    ordered = np.sort(starts)
    return sum(int(np.searchsorted(ordered, end) - np.searchsorted(ordered, start)) for start, end in spans)


def _minutes(found: Intervals, spans: Sequence[tuple[int, int]]) -> float:
    """Minutes within the stretches in which the class is active."""
    limits = np.array(spans, dtype=np.int64).T
    return total(*intersect(union(*found), (limits[0], limits[1]))) / _MINUTE
