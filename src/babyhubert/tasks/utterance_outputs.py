"""A run of an utterance-level model over many recordings; each command defines the files of a recording."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.columns import described
from babyhubert.annotation.segments import Segments
from babyhubert.audio.channels import Channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.recording import probe
from babyhubert.errors import AnnotationError, BabyHubertError
from babyhubert.inference.engine import FrameSource
from babyhubert.inference.throughput import EncoderPass
from babyhubert.inference.utterance_predictor import Prediction, PredictionCollector, UtterancePredictor
from babyhubert.inference.utterances import Utterances
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome
from babyhubert.runs.pipeline import FrameRun
from babyhubert.runs.provenance import mixture_notes, result_fingerprint, segments_fingerprint, stale_notes
from babyhubert.runs.record import run_record
from babyhubert.runs.streaming import Reading, Sink
from babyhubert.tasks.input_segments import OutputSegments, SegmentsSource
from babyhubert.tasks.registry import PUBLISHED, check_folder_name

Result = TypeVar("Result")


class UtteranceRun(FrameRun, Generic[Result]):
    """One run over recordings into a folder.

    Args:
        folder: The output folder, locked while the run is executed.
        model: The model and its settings.
        segments: Source of input segments.
        channel: Channel choice.

    Raises:
        ConfigError: the task's name, or its column in the model, cannot name outputs.
    """

    def __init__(
        self,
        folder: RunFolder,
        model: UtterancePredictor[Result],
        segments: SegmentsSource,
        channel: Channel = "mean",
    ) -> None:
        if model.task not in PUBLISHED:
            check_folder_name(model.task, f"{model.loaded.name}: head {model.task!r}")
        self.column = model.filled_column
        super().__init__(folder, channel)
        self.model = model
        self._segments = segments

    @abstractmethod
    def write(
        self, file: RecordingFile, segments: Segments, predictions: Mapping[int, Prediction[Result]]
    ) -> dict[str, Any]:
        """Write the files of one recording; return fields for its record.

        Args:
            file: The recording.
            segments: Its segments.
            predictions: Predictions, by row of ``segments``.
        """

    def stream(self, files: Sequence[RecordingFile]) -> tuple[FrameSource, Callable[[RecordingFile], Sink]]:
        """The engine of the model, for the windows that contain an utterance to predict."""
        asked = {file.recording_id: self.utterances(file.recording_id) for file in files}
        lengths = {file.recording_id: known_length(file.path) for file in files}
        return self.model.source(asked, lengths), lambda file: self.open_sink(file, lengths[file.recording_id])

    def open_sink(self, file: RecordingFile, samples: int | None) -> UtteranceSink[Result]:
        """Open the sink that takes the frames of a recording of a given length and completes its outputs."""
        return UtteranceSink(self, file, self.utterances(file.recording_id), samples)

    def segments(self, recording_id: str) -> Segments:
        """Input segments of a recording."""
        return self._segments.of(recording_id)

    def rows(self, recording_id: str) -> NDArray[np.int64]:
        """Rows of a recording's segments that the model predicts."""
        return self.model.asked(self.segments(recording_id))

    def left_out(self, recording_ids: Iterable[str]) -> int:
        """Number of the model's utterances that its rules skip (as published, those over 30 s)."""
        tables = {name: self.segments(name) for name in recording_ids}
        return sum(int(self.model.has_input_voice(t).sum()) - len(self.rows(name)) for name, t in tables.items())

    def utterances(self, recording_id: str) -> Utterances:
        """Utterances to predict."""
        segments, rows = self.segments(recording_id), self.rows(recording_id)
        return Utterances(segments.start[rows], segments.end[rows])

    def settings(self) -> dict[str, Any]:
        """All settings that affect a result, without the segments."""
        return {**self.model.settings(), "channel": str(self.channel)}

    def lacks_input(self, file: RecordingFile) -> bool:
        """True for a recording without results of `segment`, where these are the input."""
        return isinstance(self._segments, OutputSegments) and not self._segments.knows(file)

    @property
    def passes(self) -> Sequence[EncoderPass]:
        """The pass over all windows; those without an utterance are skipped, so that it takes less."""
        loaded = self.model.loaded
        return (EncoderPass(loaded.network.encoder, loaded.precision, self.model.plan, self.model.batch_size),)

    @property
    def bytes_per_second(self) -> int:
        """Maximum bytes on disk of the results of a second of audio."""
        return 200

    def about(self) -> dict[str, Any]:
        """Content of the tables besides recordings; for a task that is not published, also that of its column."""
        own = described([self.column])
        return {
            "model": self.model.loaded.describe(self.model.task),
            "device": str(self.model.device),
            "settings": self.settings(),
            "kind": self.model.loaded.network.head(self.model.task).kind,
            **({"task": self.column.as_record()} if own else {}),
        }

    def result(self, file: RecordingFile) -> str:
        """Hash of everything that decides a recording's result, its segments among it."""
        segments = [list(row) for row in self.segments(file.recording_id)]
        return result_fingerprint({**self.settings(), "segments": segments})

    def complete(self, file: RecordingFile, predictions: Mapping[int, Prediction[Result]], reading: Reading) -> None:
        """Write all files of a recording, its record last."""
        name = file.recording_id
        self.folder.forget(name)
        rows = self.rows(name)
        by_row = {int(rows[index]): each for index, each in predictions.items()}
        more = self.write(file, self.segments(name), by_row)
        record = {
            **self.record_head(file, self.model.device),
            "audio": dict(reading.audio),
            "segments_sha256": segments_fingerprint(self.segments(name)),
            **self.made_with(),
            **more,
            **reading.as_record(),
        }
        self.folder.complete(name, record, self.outputs(name))


class UtteranceSink(Generic[Result]):
    """Predicts the utterances of one recording as its frames arrive, and writes them at its end."""

    def __init__(
        self, run: UtteranceRun[Result], file: RecordingFile, utterances: Utterances, samples: int | None
    ) -> None:
        self._run = run
        self._file = file
        self._collector = PredictionCollector(run.model, run.model.collector(utterances, samples))

    def add(self, first: int, values: NDArray[np.float32]) -> None:
        """Add frames from the model's source."""
        self._collector.add(first, values)

    def finish(self, reading: Reading) -> None:
        """Write the outputs.

        Raises:
            AnnotationError: a segment lies past the end of the recording.
        """
        try:
            self._collector.finish(reading.samples)
        except AnnotationError as error:
            raise AnnotationError(f"{self._file.path}: {error}") from None
        self._run.complete(self._file, self._collector.predictions, reading)

    def abandon(self) -> None:
        """Do nothing: nothing was written."""


def known_length(path: Path) -> int | None:
    """Samples of a recording, if its header gives them exactly."""
    try:
        info = probe(path)
    except BabyHubertError:  # told when it is read
        return None
    return info.n_samples if info.exact else None


def report_utterance_run(
    folder: RunFolder, about: Mapping[str, Any], outcome: Outcome, damaged: Sequence[tuple[Path, str]]
) -> Outcome:
    """Write ``failures.csv`` and ``run.json``; return the outcome, with damaged results among the failures."""
    outcome = outcome.with_damaged(damaged, [*mixture_notes(folder), *stale_notes(folder.output)])
    folder.write_failures(outcome.all_failures)
    folder.write_run(run_record(folder.command, about, outcome, folder.records()))
    return outcome
