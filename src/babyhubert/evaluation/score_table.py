"""Scores in rows and columns: as a table on the terminal, as JSON and as CSV.

Every evaluation presents its figures through this module, so that percentages, intervals and undefined scores look the
same everywhere: a dash on the terminal, null in JSON, an empty field in CSV.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from babyhubert.evaluation.detection import BootstrapIntervals
from babyhubert.files import csv_text, write_json, write_text

SCORES = ("precision", "recall", "f1")
NOTHING = "none"
"""Name of a confusion table's last column: no class."""


def percent(share: float) -> str:
    """A fraction as a percentage with one decimal; a dash if it is undefined."""
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def decimal(value: float) -> str:
    """A number for a CSV with five decimals; empty for NaN."""
    return "" if math.isnan(value) else f"{value:.5f}"


def number(value: float) -> float | None:
    """A number as a JSON value: None for NaN."""
    return None if math.isnan(value) else float(value)


def span(ends: Sequence[float] | NDArray[np.float64], show: Callable[[float], str] = percent) -> str:
    """An interval as ``62.1 to 70.4``."""
    return f"{show(ends[0])} to {show(ends[1])}"


def span_or_dash(ends: Sequence[float] | NDArray[np.float64], show: Callable[[float], str] = percent) -> str:
    """An interval, or one dash if it is undefined."""
    return "-" if math.isnan(ends[0]) else span(ends, show)


@dataclass(frozen=True)
class Column:
    """One column of a table on the terminal.

    Attributes:
        heading: Heading of the column.
        cells: One text per row.
        left: True to align left: names, not numbers.
    """

    heading: str
    cells: Sequence[str]
    left: bool = False


def shares(heading: str, values: Iterable[float]) -> Column:
    """A column of percentages."""
    return Column(heading, [percent(value) for value in values])


def spans(confidence: float, cells: Iterable[str]) -> Column:
    """A column of intervals."""
    return Column(f"{100 * confidence:g} % interval", list(cells))


def table_of(title: str, columns: Iterable[Column], breaks: Collection[int] = ()) -> Table:
    """A table for the terminal, by columns.

    Args:
        title: Title above the table.
        columns: Columns with equal numbers of cells.
        breaks: Rows that have a line above them.
    """
    columns = list(columns)
    left = {place for place, column in enumerate(columns) if column.left}
    rows = zip(*(column.cells for column in columns), strict=True)
    return table_of_rows(title, [column.heading for column in columns], rows, left, breaks)


def table_of_rows(
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    left: Collection[int] = (0,),
    breaks: Collection[int] = (),
) -> Table:
    """A table for the terminal, by rows; one that is short has empty cells at its end.

    Args:
        title: Title above the table.
        headings: Headings of the columns.
        rows: Texts of the rows.
        left: Columns that are aligned left: names, not numbers.
        breaks: Rows that have a line above them.
    """
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place in left else "right")
    for place, row in enumerate(rows):
        if place in breaks:
            table.add_section()
        table.add_row(*row)
    return table


def confusion(
    title: str,
    names: tuple[Sequence[str], Sequence[str]],
    counts: NDArray[np.int64],
    show: Callable[[int], str] = str,
) -> Table:
    """Counts, shape (R, C), of reference (rows) and prediction (columns), with the names of both."""
    rows = ((name, *map(show, row)) for name, row in zip(names[0], counts.tolist(), strict=True))
    return table_of_rows(title, ("", *names[1]), rows)


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall and F1 of each class and their means over classes.

    Attributes:
        labels: Classes.
        scores: Shape (C, 3).
        macro: Shape (3,).
        intervals: Their intervals, if there are any.
    """

    labels: Sequence[str]
    scores: NDArray[np.float64]
    macro: NDArray[np.float64]
    intervals: BootstrapIntervals | None = None

    def table(self, title: str, reference: Iterable[str], predicted: Iterable[str]) -> Table:
        """Scores in percent with the interval of F1, and the amount of each class on either side."""
        precision, recall, f1 = np.vstack([self.scores, self.macro]).T.tolist()
        columns = [Column("class", [*self.labels, "mean"], left=True), shares("F1 %", f1)]
        if self.intervals is not None:
            columns.append(spans(self.intervals.confidence, map(span, self._ends()[:, 2])))
        columns += [shares("precision %", precision), shares("recall %", recall)]
        columns += [Column("reference", [*reference, ""]), Column("predicted", [*predicted, ""])]
        return table_of(title, columns, {len(self.labels)})

    def json(self, row: int) -> dict[str, Any]:
        """Scores of one class; None if undefined."""
        return scores_json(self.scores[row], None if self.intervals is None else self.intervals.classes[row])

    def mean_json(self) -> dict[str, Any]:
        """Means over the classes."""
        return scores_json(self.macro, None if self.intervals is None else self.intervals.macro)

    def csv_rows(self) -> Iterator[Sequence[str]]:
        """Header, one row per class, and the means."""
        yield ("class", *SCORES, "f1_low", "f1_high")
        ends = self._ends()[:, 2]
        for label, scores, pair in zip(
            (*self.labels, "mean"), np.vstack([self.scores, self.macro]), ends, strict=True
        ):
            yield (label, *map(decimal, (*scores, *pair)))

    def _ends(self) -> NDArray[np.float64]:
        """Ends for each class and the mean, shape (C + 1, 3, 2); NaN without intervals."""
        if self.intervals is None:
            return np.full((len(self.labels) + 1, 3, 2), np.nan)
        return np.concatenate([self.intervals.classes, self.intervals.macro[None]])


def scores_json(scores: NDArray[np.float64], ends: NDArray[np.float64] | None = None) -> dict[str, Any]:
    """Precision, recall and F1 with their intervals, None if undefined."""
    content: dict[str, Any] = dict(zip(SCORES, map(number, scores.tolist()), strict=True))
    for name, pair in zip(SCORES, () if ends is None else ends.tolist(), strict=False):
        content[f"{name}_interval"] = [number(end) for end in pair]
    return content


def bootstrap_json(intervals: BootstrapIntervals | None, over: str) -> dict[str, Any] | None:
    """Origin of the intervals."""
    if intervals is None:
        return None
    return {"over": over, "resamples": intervals.resamples, "confidence": intervals.confidence}


def write_scores(
    output: Path, content: Mapping[str, Any], tables: Mapping[str, Iterable[Iterable[object]]]
) -> list[Path]:
    """Write ``evaluation.json`` and CSV tables, by name, into a folder; return the files.

    Raises:
        OutputError: it cannot be written.
    """
    write_json(output / "evaluation.json", content)
    for name, rows in tables.items():
        write_text(output / name, csv_text(rows))
    return [output / name for name in ("evaluation.json", *tables)]
