"""The published metric by group of recordings, and intervals over children instead of recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from babyhubert.evaluation.detection import (
    BootstrapIntervals,
    DetectionReport,
    GroupScores,
    bootstrap_counts,
    score_group,
)
from babyhubert.evaluation.recording_table import (
    RecordingTable,
    column_of,
    in_order,
    members,
    read_recording_table,
)


@dataclass(frozen=True, eq=False)
class GroupedScoring:
    """A report with the table of its recordings.

    Attributes:
        report: The scores.
        table: Columns by recording; None without a table.
        units: Unit of each recording in resampling; None: each recording is a unit.
    """

    report: DetectionReport
    table: RecordingTable | None
    units: Sequence[str] | None

    @classmethod
    def read(cls, report: DetectionReport, path: Path | None, over: str | None) -> GroupedScoring:
        """Build from a table of recordings and its column of units to resample.

        Raises:
            AnnotationError: the table cannot be read.
            ConfigError: no such column, or a table of other recordings.
        """
        if path is None:
            return cls(report, None, None)
        table = read_recording_table(path)
        return cls(report, table, None if over is None else column_of(table, report.recordings, over))

    def intervals(self, rng: np.random.Generator, resamples: int, confidence: float) -> BootstrapIntervals | None:
        """Over everything; None with no resamples, or one unit."""
        return self.report.bootstrap(rng, resamples, confidence, self.units) if resamples else None

    def groups(self, column: str, rng: np.random.Generator, resamples: int, confidence: float) -> list[GroupScores]:
        """Scores of the recordings with each value of a column.

        Raises:
            ConfigError: no such column, or a table of other recordings.
        """
        assert self.table is not None
        rows = members(column_of(self.table, self.report.recordings, column))
        scores = []
        for group in in_order(rows):
            counts = self.report.counts[rows[group]]
            units = None if self.units is None else [self.units[row] for row in rows[group]]
            intervals = bootstrap_counts(counts, rng, resamples, confidence, units) if resamples else None
            scores.append(score_group(self.report, column, group, rows[group], intervals))
        return scores
