"""The class of each utterance of many recordings, into an output folder: ``classify``, and ``addressee``.

``OUT/<task>/<id>.csv`` holds the segments with the class and the probabilities, ``OUT/rttm_<task>.csv`` all of them in
one table. Records of different tasks do not mix: each task is a command of its own to the folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.columns import layout_of_all
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.table_columns import UTTERANCE
from babyhubert.annotation.text import CsvTable
from babyhubert.audio.channels import Channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.encoder.context import Pooling
from babyhubert.files import csv_text, path_below, write_text
from babyhubert.inference.speed import Speed
from babyhubert.inference.task_model import TaskChoice, load_task_model
from babyhubert.inference.utterance_predictor import Prediction, only_task, plan_utterances
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome
from babyhubert.runs.shard import Shard
from babyhubert.tasks.classification.prediction import UtteranceClassifier
from babyhubert.tasks.input_segments import segments_source
from babyhubert.tasks.utterance_outputs import UtteranceRun, report_utterance_run
from babyhubert.timebase import format_length, format_seconds

COLUMNS = UTTERANCE.columns
"""Columns of every table of utterances; the task's own follows."""

PUBLISHED_COUNTS = {"addressee": "adult_segments"}
"""Key, in a recording's record, of the number of utterances to predict."""


def open_classification_run(
    output: Path,
    model: str,
    *,
    task: str | None = None,
    segments: Path | None = None,
    published: bool = False,
    window_s: float | None = None,
    overlap: float | None = None,
    pooling: Pooling | None = None,
    speed: Speed = "exact",
    batch_size: int | None = None,
    channel: Channel = "mean",
    device: str = "auto",
    part: Shard | None = None,
) -> ClassificationRun:
    """Open a run of ``classify`` with its model loaded, in this process or in a worker.

    Args:
        output: The output folder.
        model: A model with a head of the kind ``classification``.
        task: Name of the head; None: the only one of this kind.
        segments: A segments file or a folder of them; None: the results of `segment` in the output folder.
        published: Windows and rules of the published tool.
        window_s: Length of windows; None: the model's own.
        overlap: Fraction that windows share; None: the mode's, or the model's own.
        pooling: Frames that decide; None: the published tool's if its rules are requested, else the model's own.
        speed: ``exact``, ``balanced`` or ``fast``.
        batch_size: Windows in one call; None chooses.
        channel: Channel choice.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        part: The shard of the run.

    Raises:
        CheckpointError: no such model, or it has no such head.
        AnnotationError: the segments cannot be read.
        ConfigError: several such heads, impossible windows, or a missing device.
    """
    loaded = load_task_model(model, TaskChoice("classification", task), device=device, speed=speed)
    name = only_task(loaded)
    planned = plan_utterances(loaded, name, published=published, window_s=window_s, overlap=overlap, pooling=pooling)
    classifier = UtteranceClassifier(*planned, batch_size, task=name)
    folder = RunFolder(output, name, part, classifier.filled_column.command)
    return ClassificationRun(folder, classifier, segments_source(output, segments), channel)


class ClassificationRun(UtteranceRun[NDArray[np.float64]]):
    """One run of a classification task over recordings into a folder."""

    model: UtteranceClassifier

    def outputs(self, recording_id: str) -> list[Path]:
        """The table of one recording."""
        return [_table_of(self.folder, recording_id)]

    def write(
        self, file: RecordingFile, segments: Segments, predictions: Mapping[int, Prediction[NDArray[np.float64]]]
    ) -> dict[str, Any]:
        """Write all segments of a recording, with class and probabilities of the predicted ones."""
        (path,) = self.outputs(file.recording_id)
        table = self.model.annotated(segments, predictions)
        write_text(path, format_classes(file.recording_id, table, self.model.column, self.model.labels))
        asked = int(self.model.has_input_voice(segments).sum())
        counted = PUBLISHED_COUNTS.get(self.model.task, "asked_segments")
        return {"segments": len(segments), counted: asked, "not_run": asked - len(predictions)}

    def about(self) -> dict[str, Any]:
        """Content of the tables besides recordings, with the column of the task."""
        return {**super().about(), "column": self.model.column}

    def write_tables(self, outcome: Outcome) -> Outcome:
        """Write the table over all complete recordings, ``failures.csv`` and ``run.json``."""
        return write_tables(self.folder, self.about(), outcome)


def write_tables(folder: RunFolder, about: Mapping[str, Any], outcome: Outcome) -> Outcome:
    """Write the tables of all complete recordings.

    Args:
        folder: The folder, locked by the caller.
        about: Result of `ClassificationRun.about`.
        outcome: Outcome of the run.

    Returns:
        The outcome, with damaged results among the failures.
    """
    columns = (*COLUMNS, about["column"])
    header = (*layout_of_all(folder.command).columns, about["column"])
    table = folder.output / f"rttm_{folder.command}.csv"
    damaged = folder.combine(table, csv_text([header]), partial(_table_of, folder), partial(_rows_of_all, columns))
    return report_utterance_run(folder, about, outcome, damaged)


def format_classes(recording_id: str, table: Segments, column: str, labels: tuple[str, ...]) -> str:
    """Segments with their class, then ``confidence`` (probability of the class) and ``p_<class>``.

    Segments of other voices have an empty class; segments that no model was run for have no probabilities.
    """
    lines: list[Iterable[object]] = [(*COLUMNS, column, "confidence", *(f"p_{label}" for label in labels))]
    probabilities = np.stack([table.columns[f"p_{label}"] for label in labels], axis=1)
    classes = table.columns[column]
    for (start, end, label), chosen, values in zip(table, classes, probabilities, strict=True):
        known = np.isfinite(values).all()
        numbers = [f"{value:.4f}" for value in (values.max(), *values)] if known else [""] * (len(values) + 1)
        lines.append((recording_id, format_seconds(start), format_length(start, end), label, chosen, *numbers))
    return csv_text(lines)


def _table_of(folder: RunFolder, recording_id: str) -> Path:
    return path_below(folder.output / folder.command, recording_id, ".csv")


def _rows_of_all(columns: Sequence[str], _recording_id: str, path: Path) -> str:
    rows = (row for _, row in CsvTable(path))
    return csv_text([row["uid" if name not in row else name] for name in columns] for row in rows)
