"""Phonemes of many recordings, written into the output folder of ``babyhubert phonemes``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from babyhubert.annotation.columns import layout_of_symbols
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.table_columns import BABAR, SYMBOLS
from babyhubert.audio.channels import Channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.encoder.heads import PHONEMES
from babyhubert.files import csv_text, path_below, write_text
from babyhubert.inference.speed import Speed
from babyhubert.inference.task_model import TaskChoice, load_task_model
from babyhubert.inference.utterance_predictor import Prediction, only_task, plan_utterances
from babyhubert.phonology.ctc import Symbols
from babyhubert.phonology.syllables import syllables_of
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome
from babyhubert.runs.shard import Shard
from babyhubert.tasks.input_segments import SegmentsSource, segments_source
from babyhubert.tasks.phonemes.prediction import PhonemeRecogniser
from babyhubert.tasks.utterance_outputs import UtteranceRun, report_utterance_run
from babyhubert.timebase import format_seconds

COLUMNS = (*BABAR.columns, "phonemes")
"""Published columns, of the task ``phonemes``."""
SYLLABLE_COLUMNS = ("syllables", "n_syllables", "n_phonemes", "cv")
TIME_COLUMNS = (*SYMBOLS.columns[:3], "index", "phoneme", "start", "end", "confidence")


def open_phoneme_run(
    output: Path,
    model: str,
    *,
    task: str | None = None,
    segments: Path | None = None,
    beam: int = 0,
    syllables: bool = False,
    published: bool = False,
    window_s: float | None = None,
    overlap: float | None = None,
    speed: Speed = "exact",
    batch_size: int | None = None,
    channel: Channel = "mean",
    device: str = "auto",
    part: Shard | None = None,
) -> PhonemeRun:
    """Open a run of ``phonemes`` with its model loaded, in this process or in a worker.

    Args:
        output: The output folder.
        model: A model with a head of the kind ``ctc``.
        task: Name of the head; None: ``phonemes``, else the only one of this kind.
        segments: A segments file or a folder of them; None: the results of `segment` in the output folder.
        beam: Prefixes kept by the beam search; 0 decodes greedily.
        syllables: True to write syllables as well.
        published: Windows and rules of the published tool.
        window_s: Length of windows; None: the model's own.
        overlap: Fraction that windows share; None: the mode's, or the model's own.
        speed: ``exact``, ``balanced`` or ``fast``.
        batch_size: Windows in one call; None chooses.
        channel: Channel choice.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        part: The shard of the run.

    Raises:
        CheckpointError: no such model, or it has no phoneme head.
        AnnotationError: the segments cannot be read.
        ConfigError: impossible windows, or a missing device.
    """
    loaded = load_task_model(model, TaskChoice("ctc", task, PHONEMES), device=device, speed=speed)
    name = only_task(loaded)
    planned = plan_utterances(loaded, name, published=published, window_s=window_s, overlap=overlap)
    recogniser = PhonemeRecogniser(*planned, batch_size, beam, task=name)
    source = segments_source(output, segments)
    folder = RunFolder(output, name, part, recogniser.filled_column.command)
    return PhonemeRun(folder, recogniser, source, channel, syllables=syllables)


class PhonemeRun(UtteranceRun[Symbols]):
    """One run of ``phonemes`` over recordings into a folder.

    Args:
        folder: The output folder, locked while the run is executed.
        model: The model and its settings.
        segments: Source of input segments.
        channel: Channel choice.
        syllables: True to write syllables as well.
    """

    model: PhonemeRecogniser

    def __init__(
        self,
        folder: RunFolder,
        model: PhonemeRecogniser,
        segments: SegmentsSource,
        channel: Channel = "mean",
        *,
        syllables: bool = False,
    ) -> None:
        super().__init__(folder, model, segments, channel)
        self._syllables = syllables

    def outputs(self, recording_id: str) -> list[Path]:
        """The tables of one recording: utterances, phonemes with their times, and syllables if requested."""
        name = self.model.task
        folders = [name, f"{name}_timed", *([f"{name}_enriched"] if self._syllables else [])]
        return [path_below(self.folder.output / folder, recording_id, ".csv") for folder in folders]

    def write(
        self, file: RecordingFile, segments: Segments, predictions: Mapping[int, Prediction[Symbols]]
    ) -> dict[str, Any]:
        """Write the key child's utterances, or a header alone if there is none."""
        paths = self.outputs(file.recording_id)
        table = self.model.annotated(segments, predictions)
        published = self.model.windows == "published"
        name = file.recording_id + (file.path.suffix if published else "")
        columns = (*layout_of_symbols(self.model.task).columns, "phonemes")
        write_text(paths[0], format_phonemes(name, table, columns))
        write_text(paths[1], format_times(file.recording_id, table))
        if self._syllables:
            write_text(paths[2], format_syllables(name, table, columns, between=" " if published else ""))
        asked = int(self.model.has_input_voice(segments).sum())
        phonemes = sum(len(timed) for timed in table.columns["timed"])
        return {"utterances": asked, "left_out": asked - len(predictions), "phonemes": phonemes}

    def write_tables(self, outcome: Outcome) -> Outcome:
        """Write ``failures.csv`` and ``run.json``."""
        return write_tables(self.folder, self.about(), outcome)


def write_tables(folder: RunFolder, about: Mapping[str, Any], outcome: Outcome) -> Outcome:
    """Write the tables of all complete recordings.

    Args:
        folder: The folder, locked by the caller.
        about: Result of `PhonemeRun.about`.
        outcome: Outcome of the run.

    Returns:
        The outcome, with damaged results among the failures.
    """
    return report_utterance_run(folder, about, outcome, folder.damaged())


def format_phonemes(name: str, table: Segments, columns: Sequence[str] = COLUMNS) -> str:
    """One row per utterance; the first column is the name."""
    return csv_text([columns, *(_utterance(name, *row) for row in _rows(table))])


def format_syllables(name: str, table: Segments, columns: Sequence[str] = COLUMNS, between: str = "") -> str:
    """The columns of :func:`format_phonemes`, and the published columns of syllables.

    Args:
        name: First field of each row.
        table: Utterances.
        columns: Header of the first columns.
        between: Separator of the letters of ``cv``.

    Raises:
        MissingExtraError: panphon is not installed.
    """
    rows: list[Iterable[object]] = [(*columns, *SYLLABLE_COLUMNS)]
    for start, end, label, phonemes in _rows(table):
        found = syllables_of(phonemes.split())
        more = (found.text, found.syllables, found.phonemes, between.join(found.cv))
        rows.append((*_utterance(name, start, end, label, phonemes), *more))
    return csv_text(rows)


def format_times(name: str, table: Segments) -> str:
    """One row per phoneme: its utterance, its index, its times in the recording, its confidence."""
    rows: list[Iterable[object]] = [TIME_COLUMNS]
    for (start, end, _), timed in zip(table, table.columns["timed"], strict=True):
        utterance = name, format_seconds(start), format_seconds(end)
        for index, phoneme in enumerate(timed):
            times = format_seconds(phoneme.start), format_seconds(phoneme.end)
            rows.append((*utterance, index, phoneme.phoneme, *times, f"{phoneme.confidence:.4f}"))
    return csv_text(rows)


def _rows(table: Segments) -> Iterable[tuple[int, int, str, str]]:
    for (start, end, label), phonemes in zip(table, table.columns["phonemes"], strict=True):
        yield start, end, label, phonemes


def _utterance(name: str, start: int, end: int, label: str, phonemes: str) -> tuple[str, ...]:
    return name, format_seconds(start), format_seconds(end), label, phonemes
