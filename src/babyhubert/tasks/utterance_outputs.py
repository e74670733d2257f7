"""One run, over many recordings, of a model that judges utterances; what it writes of each is its command's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.columns import described
from babyhubert.annotation.segments import Segments
from babyhubert.audio.channels import Channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.preflight import PreflightReport
from babyhubert.audio.recording import probe
from babyhubert.errors import AnnotationError, BabyHubertError
from babyhubert.files import make_folder
from babyhubert.inference.utterance_predictor import Judged, Judging, UtteranceModel
from babyhubert.inference.utterances import Utterances
from babyhubert.progress import NoProgress, RunProgress
from babyhubert.runs.decoded import Opener, open_directly
from babyhubert.runs.distribution import IN_PROCESS, Distribution
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome, RunJournal, plan_run
from babyhubert.runs.kept import KeptResult, fault_notes, kept_result, refuse_other_recordings
from babyhubert.runs.provenance import provenance, result_fingerprint, segments_fingerprint
from babyhubert.runs.record import RunSummary, run_facts, told_recordings
from babyhubert.runs.streaming import Reading, run_recordings
from babyhubert.tasks.input_segments import SegmentsSource
from babyhubert.tasks.registry import PUBLISHED, check_folder_name

Result = TypeVar("Result")


class UtteranceRun(ABC, Generic[Result]):
    """One run over recordings into a folder.

    Args:
        folder: The output folder, held while the run is executed.
        model: The model and its settings.
        segments: Who speaks when.
        channel: Channel choice.

    Raises:
        ConfigError: the task's name, or what the model says of its column, cannot name outputs.
    """

    def __init__(
        self,
        folder: RunFolder,
        model: UtteranceModel[Result],
        segments: SegmentsSource,
        channel: Channel = "mean",
    ) -> None:
        if model.task not in PUBLISHED:
            check_folder_name(model.task, f"{model.loaded.name}: head {model.task!r}")
        self.column = model.filled_column
        self.folder = folder
        self.model = model
        self._segments = segments
        self._channel = channel

    @abstractmethod
    def outputs(self, recording_id: str) -> list[Path]:
        """The files of one recording."""

    @abstractmethod
    def write(self, file: RecordingFile, segments: Segments, judged: Mapping[int, Judged[Result]]) -> dict[str, Any]:
        """Write the files of one recording; what to keep in its record.

        Args:
            file: Which.
            segments: Who speaks when.
            judged: What the model says, by row of ``segments``.
        """

    @abstractmethod
    def write_tables(self, outcome: Outcome) -> Outcome:
        """Write what is made of all complete recordings; how the run ended, damaged results among the failures."""

    def execute(
        self,
        checked: PreflightReport,
        progress: RunProgress | None = None,
        *,
        force: bool = False,
        distribution: Distribution = IN_PROCESS,
    ) -> RunSummary:
        """Process every good recording that is not complete; write the tables over all that are.

        Of a folder that is held for one part, only that part is done, and no tables are written (`merge` does).
        """
        for path in self.outputs("x"):  # a file in a folder's place is told before hours of computing
            make_folder(path.parent)
        if not force:
            checked = refuse_other_recordings(self.folder, checked, progress)
        plan = plan_run(self.folder.part, [(file, info.n_samples) for file, info in checked.good], checked.bad)
        kept = {} if force else {each.file.recording_id: self.kept(each.file) for each in plan.good}
        new = [each.file.recording_id for each in plan.good if force or not kept[each.file.recording_id].is_whole]
        with RunJournal(self.folder, plan, new, self.about(), self.identity, progress or NoProgress()) as journal:
            for note in fault_notes(kept.values()):
                journal.note(note)
            try:
                distribution.run(self, journal.todo, journal)
            finally:
                outcome = journal.outcome()
                if self.folder.part is None:
                    outcome = self.write_tables(outcome)
        return RunSummary.of(outcome, self.folder.output, [self.folder.command])

    def process(
        self, files: Sequence[RecordingFile], progress: RunProgress, opener: Opener = open_directly
    ) -> list[tuple[Path, str]]:
        """Run the model over recordings and make the outputs of each whole."""
        asked = {file.recording_id: self.utterances(file.recording_id) for file in files}
        lengths = {file.recording_id: known_length(file.path) for file in files}

        def open_sink(file: RecordingFile) -> UtteranceSink[Result]:
            return self.open_sink(file, lengths[file.recording_id])

        return run_recordings(self.model.source(asked, lengths), files, open_sink, self._channel, progress, opener)

    def open_sink(self, file: RecordingFile, samples: int | None) -> UtteranceSink[Result]:
        """What takes the frames of a recording of so many samples and makes its outputs whole."""
        return UtteranceSink(self, file, self.utterances(file.recording_id), samples)

    def segments(self, recording_id: str) -> Segments:
        """Who speaks when in a recording."""
        return self._segments.of(recording_id)

    def rows(self, recording_id: str) -> NDArray[np.int64]:
        """The rows of a recording's segments that the model is asked about."""
        return self.model.asked(self.segments(recording_id))

    def left_out(self, recording_ids: Iterable[str]) -> int:
        """How many of the model's kind of utterances its rules leave out (as published, those over 30 s)."""
        tables = {name: self.segments(name) for name in recording_ids}
        return sum(int(self.model.of_its_voices(t).sum()) - len(self.rows(name)) for name, t in tables.items())

    def utterances(self, recording_id: str) -> Utterances:
        """What the model is asked about."""
        segments, rows = self.segments(recording_id), self.rows(recording_id)
        return Utterances(segments.start[rows], segments.end[rows])

    def settings(self) -> dict[str, Any]:
        """Everything that decides a result, the segments aside."""
        return {**self.model.settings(), "channel": str(self._channel)}

    @property
    def bytes_per_second(self) -> int:
        """Disk that the results of a second of audio take at most."""
        return 200

    @property
    def identity(self) -> str:
        """Hash of everything that decides a result, segments aside (each recording's record holds theirs)."""
        return result_fingerprint(self.settings())

    def about(self) -> dict[str, Any]:
        """What the tables tell besides recordings; of a task that is not published, also what its column means."""
        own = described([self.column])
        return {
            "model": self.model.loaded.describe(self.model.task),
            "device": str(self.model.device),
            "settings": self.settings(),
            "kind": self.model.loaded.network.head(self.model.task).kind,
            **({"task": self.column.as_record()} if own else {}),
        }

    def kept(self, file: RecordingFile) -> KeptResult:
        """What an earlier run left of a recording."""
        name = file.recording_id
        return kept_result(self.folder, file, self._fingerprint(name), self.outputs(name))

    def is_whole(self, file: RecordingFile) -> bool:
        """Whether a recording's outputs stand and are what this run would make."""
        return self.kept(file).is_whole

    def complete(self, file: RecordingFile, judged: Mapping[int, Judged[Result]], reading: Reading) -> None:
        """Write everything of a recording, its record last."""
        name = file.recording_id
        self.folder.forget(name)
        rows = self.rows(name)
        by_row = {int(rows[index]): each for index, each in judged.items()}
        more = self.write(file, self.segments(name), by_row)
        self.folder.complete(
            name,
            {
                "path": str(file.path),
                "absolute_path": str(file.path.absolute()),
                "audio": dict(reading.audio),
                "result": self._fingerprint(name),
                "segments_sha256": segments_fingerprint(self.segments(name)),
                "device": str(self.model.device),
                **provenance(self.about()["model"], self.settings()),
                **more,
                **reading.as_record(),
            },
            self.outputs(name),
        )

    def _fingerprint(self, recording_id: str) -> str:
        return result_fingerprint({**self.settings(), "segments": [list(row) for row in self.segments(recording_id)]})


class UtteranceSink(Generic[Result]):
    """Judges the utterances of one recording as its frames come, and writes them at its end."""

    def __init__(
        self, run: UtteranceRun[Result], file: RecordingFile, utterances: Utterances, samples: int | None
    ) -> None:
        self._run = run
        self._file = file
        self._judging = Judging(run.model, run.model.collector(utterances, samples))

    def add(self, first: int, values: NDArray[np.float32]) -> None:
        """Take frames, as the model's source gives them."""
        self._judging.add(first, values)

    def finish(self, reading: Reading) -> None:
        """Write the outputs.

        Raises:
            AnnotationError: a segment lies past the end of the recording.
        """
        try:
            self._judging.finish(reading.samples)
        except AnnotationError as error:
            raise AnnotationError(f"{self._file.path}: {error}") from None
        self._run.complete(self._file, self._judging.judged, reading)

    def abandon(self) -> None:
        """Nothing was written."""


def run_record(folder: RunFolder, about: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """``run.json`` of a command that judges utterances."""
    records = folder.records()
    return {
        "command": folder.command,
        **run_facts(about, outcome, records),
        **({"task": about["task"]} if "task" in about else {}),
        "recordings": told_recordings(records),
        "failures": [{"path": str(path), "error": error} for path, error in outcome.failures],
    }


def known_length(path: Path) -> int | None:
    """Samples of a recording, where its header tells them exactly."""
    try:
        info = probe(path)
    except BabyHubertError:  # told when it is read
        return None
    return info.n_samples if info.exact else None
