"""To whom adults speak, in many recordings, into the output folder that ``babyhubert addressee`` promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import CsvTable
from babyhubert.audio.channels import Channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.encoder.context import Pooling
from babyhubert.encoder.heads import ADDRESSEE
from babyhubert.files import csv_text, path_below, write_text
from babyhubert.inference.speed import Speed
from babyhubert.inference.task_model import load_task_model
from babyhubert.inference.utterance_predictor import Judged, plan_utterances
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome
from babyhubert.runs.provenance import mixture_notes, stale_notes
from babyhubert.runs.shard import Part
from babyhubert.tasks.addressee.prediction import AddresseeClassifier
from babyhubert.tasks.input_segments import segments_source
from babyhubert.tasks.utterance_outputs import UtteranceRun, run_record
from babyhubert.timebase import format_length, format_seconds

COMMAND = "addressee"
TABLE = "rttm_addressee.csv"
FOLDER = "addressee"
COLUMNS = ("uid", "start_time_s", "duration_s", "label", "addressee")


def open_addressee_run(
    output: Path,
    model: str,
    *,
    segments: Path | None = None,
    published: bool = False,
    window_s: float | None = None,
    overlap: float | None = None,
    pooling: Pooling | None = None,
    speed: Speed = "exact",
    batch_size: int | None = None,
    channel: Channel = "mean",
    device: str = "auto",
    part: Part | None = None,
) -> AddresseeRun:
    """A run of ``addressee`` with its model loaded, in this process or in a worker.

    Args:
        output: The output folder.
        model: A model with an addressee head.
        segments: A segments file or a folder of them; None: what `segment` left in the output folder.
        published: Windows and rules of the published tool.
        window_s: Length of windows; None: the model's own.
        overlap: Share that windows have in common; None: the mode's, or the model's own.
        pooling: Frames that decide; None: the published tool's if its rules are asked for, else the model's own.
        speed: ``exact``, ``balanced`` or ``fast``.
        batch_size: Windows in one call; None chooses.
        channel: Channel choice.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        part: The share of the recordings that the run does.

    Raises:
        CheckpointError: no such model, or it has no addressee head.
        AnnotationError: the segments cannot be read.
        ConfigError: impossible windows, or a device that there is not.
    """
    loaded = load_task_model(model, (ADDRESSEE,), device=device, speed=speed)
    planned = plan_utterances(
        loaded, ADDRESSEE, published=published, window_s=window_s, overlap=overlap, pooling=pooling
    )
    classifier = AddresseeClassifier(*planned, batch_size)
    return AddresseeRun(RunFolder(output, COMMAND, part), classifier, segments_source(output, segments), channel)


class AddresseeRun(UtteranceRun[NDArray[np.float64]]):
    """One run of ``addressee`` over recordings into a folder."""

    model: AddresseeClassifier

    def outputs(self, recording_id: str) -> list[Path]:
        """The table of one recording."""
        return [_table_of(self.folder, recording_id)]

    def write(
        self, file: RecordingFile, segments: Segments, judged: Mapping[int, Judged[NDArray[np.float64]]]
    ) -> dict[str, Any]:
        """All segments of a recording, with the addressee and the probabilities of the adults'."""
        (path,) = self.outputs(file.recording_id)
        table = self.model.annotated(segments, judged)
        write_text(path, format_addressees(file.recording_id, table, self.model.labels))
        adults = int(np.isin(segments.label.astype(str), self.model.voices).sum())
        return {"segments": len(segments), "adult_segments": adults, "not_run": adults - len(judged)}

    def write_tables(self, outcome: Outcome) -> Outcome:
        """The published table over all complete recordings, ``failures.csv`` and ``run.json``."""
        return write_tables(self.folder, self.about(), outcome)


def write_tables(folder: RunFolder, about: Mapping[str, Any], outcome: Outcome) -> Outcome:
    """Write everything that is made of all complete recordings.

    Args:
        folder: The folder, held.
        about: What `AddresseeRun.about` said.
        outcome: How the run ended.

    Returns:
        How it ended, what was found damaged among the failures.
    """
    header = ",".join(COLUMNS) + "\n"
    damaged = folder.combine(folder.output / TABLE, header, partial(_table_of, folder), _published_rows)
    outcome = outcome.with_damaged(damaged, [*mixture_notes(folder), *stale_notes(folder.output)])
    folder.write_failures(outcome.failures)
    folder.write_run(run_record(folder, about, outcome))
    return outcome


def format_addressees(uid: str, table: Segments, labels: tuple[str, ...]) -> str:
    """The published columns, then ``confidence`` (probability of the addressee) and ``p_<class>``.

    Children's segments have an empty addressee; what no model was run for has no probabilities.
    """
    lines: list[Iterable[object]] = [(*COLUMNS, "confidence", *(f"p_{label}" for label in labels))]
    probabilities = np.stack([table.columns[f"p_{label}"] for label in labels], axis=1)
    addressees = table.columns["addressee"]
    for (start, end, label), addressee, values in zip(table, addressees, probabilities, strict=True):
        known = np.isfinite(values).all()
        numbers = [f"{value:.4f}" for value in (values.max(), *values)] if known else [""] * (len(values) + 1)
        lines.append((uid, format_seconds(start), format_length(start, end), label, addressee, *numbers))
    return csv_text(lines)


def _table_of(folder: RunFolder, recording_id: str) -> Path:
    return path_below(folder.output / FOLDER, recording_id, ".csv")


def _published_rows(_recording_id: str, path: Path) -> str:
    return csv_text([row[name] for name in COLUMNS] for _, row in CsvTable(path))
