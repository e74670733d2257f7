"""Run of a command over many recordings: selection of the remaining ones, their processing, and the final tables.

A command defines the settings that affect its results, the files of a recording, and how it makes them. The rest is
the same for all commands, and is here: reuse of earlier results, the journal, the distribution over processes, and the
state after an interruption.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from babyhubert.audio.channels import Channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.preflight import PreflightReport
from babyhubert.errors import DiskFullError, OutputError, one_line
from babyhubert.files import make_folder
from babyhubert.inference.engine import FrameSource
from babyhubert.inference.throughput import EncoderPass
from babyhubert.progress import NoProgress, RunProgress
from babyhubert.runs.decoded import Opener, open_directly
from babyhubert.runs.distribution import IN_PROCESS, Distribution
from babyhubert.runs.earlier import earlier_notes, earlier_recordings
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome, RunJournal
from babyhubert.runs.kept import KeptResult, current_identity, fault_notes, kept_result, refuse_other_recordings
from babyhubert.runs.plan import NO_EARLIER, EarlierRecordings, Plan, plan_run
from babyhubert.runs.provenance import provenance, result_fingerprint
from babyhubert.runs.record import RunSummary
from babyhubert.runs.streaming import Sink, run_recordings

Failures = list[tuple[Path, str]]
"""Path and one-line error of each recording that failed."""


@dataclass(frozen=True)
class RecordingState:
    """Work that is left for one recording.

    Attributes:
        work: ``none``; ``remake``: its outputs can be made from stored results of an earlier run; ``process``: read
            the audio.
        faults: One sentence for each damaged result of an earlier run.
    """

    work: Literal["none", "remake", "process"]
    faults: tuple[str, ...] = ()


class RecordingRun(ABC):
    """One run of a command over recordings into a folder.

    Args:
        folder: The output folder, locked while the run is executed. In a folder that is locked for one shard, only
            that shard is done, and no tables are written (`merge` does).
    """

    tables_when_broken_off: ClassVar[bool] = True
    """Write the tables even if a run is interrupted: they then contain the complete recordings."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """All settings that affect a result, without those of the recording (JSON)."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """Content of the tables besides the records (JSON); tables of shards are written from it alone."""

    @abstractmethod
    def outputs(self, recording_id: str) -> list[Path]:
        """Files of this run for a recording."""

    @abstractmethod
    def process(self, files: Sequence[RecordingFile], progress: RunProgress) -> object:
        """Make the outputs of recordings complete, then their records.

        ``progress.done`` is called exactly once for each recording, with one line if it failed.

        Raises:
            DiskFullError: the disk is full.
        """

    @abstractmethod
    def write_tables(self, outcome: Outcome) -> Outcome:
        """Write the tables of all complete recordings; return the outcome, with damaged results among its failures."""

    def wants(self, file: RecordingFile) -> bool:
        """True if there is anything to do for a recording."""
        return True

    def lacks_input(self, file: RecordingFile) -> bool:
        """True if another command has to find a recording's segments first."""
        return False

    def kept(self, file: RecordingFile, found: KeptResult) -> bool:
        """True if `remake` can make a recording's outputs from stored results of an earlier run."""
        return False

    def remake(self, file: RecordingFile) -> None:
        """Make the outputs of a recording from stored results of an earlier run.

        Raises:
            OutputError: they cannot be written.
        """
        raise NotImplementedError

    def prepare(self, checked: PreflightReport) -> None:
        """Refuse recordings that do not belong to the run, before anything is written."""
        return

    def before(self, files: Sequence[RecordingFile], *, force: bool) -> None:
        """Prepare for the recordings that are about to be processed."""
        return

    def result(self, file: RecordingFile) -> str:
        """Hash of all settings that affect a recording's result."""
        return self.identity

    def audio_identity(self, file: RecordingFile) -> Mapping[str, Any] | None:
        """Identity that a stored result must have; None if the file cannot be read."""
        return current_identity(file.path)

    @property
    def identity(self) -> str:
        """Hash of all settings that affect a result; the same in every process of a run."""
        return result_fingerprint(self.settings())

    @property
    def passes(self) -> Sequence[EncoderPass]:
        """Passes of an encoder over all audio, from which the time of a run is estimated."""
        return ()

    @property
    def bytes_per_second(self) -> int:
        """Maximum bytes on disk of the results of a second of audio."""
        return 0

    @property
    def folders(self) -> Sequence[RunFolder]:
        """The output folder, once for each command whose records the run writes."""
        return [self.folder]

    def state(self, file: RecordingFile) -> RecordingState:
        """Remaining work for a recording."""
        found = kept_result(
            self.folder, file, self.result(file), self.outputs(file.recording_id), self.audio_identity(file)
        )
        if found.is_complete:
            return RecordingState("none", found.faults)
        usable = found.record is not None and self.kept(file, found)
        return RecordingState("remake" if usable else "process", found.faults)

    def is_complete(self, file: RecordingFile) -> bool:
        """True if a recording's outputs are those that this run would make."""
        return self.state(file).work == "none"

    def execute(
        self,
        checked: PreflightReport,
        progress: RunProgress | None = None,
        *,
        force: bool = False,
        distribution: Distribution = IN_PROCESS,
    ) -> RunSummary:
        """Process every readable recording that is not complete; write the tables over all that are.

        Args:
            checked: Recordings, from `audio.preflight`.
            progress: Called with the progress.
            force: Make complete results again.
            distribution: Distribution of the recordings over processes.
        """
        progress = progress or NoProgress()
        self.prepare(checked)
        for path in self.outputs("any"):  # a file in a folder's place is reported before hours of computing
            make_folder(path.parent)
        if not force:
            for folder in self.folders:
                checked = refuse_other_recordings(folder, checked, progress)
        good = [(file, info.n_samples) for file, info in checked.good if self.wants(file)]
        plan = plan_run(self.folder.part, good, checked.bad)
        earlier = NO_EARLIER
        if self.folder.part is None:
            earlier = earlier_recordings(self.folder, [planned.file for planned in (*plan.good, *plan.bad)])
        outcome = self.execute_plan(plan, progress, force=force, distribution=distribution, earlier=earlier)
        return RunSummary.of(outcome, self.folder.output, [folder.command for folder in self.folders])

    def execute_plan(
        self,
        plan: Plan,
        progress: RunProgress,
        *,
        force: bool = False,
        distribution: Distribution = IN_PROCESS,
        earlier: EarlierRecordings = NO_EARLIER,
    ) -> Outcome:
        """Process the recordings of a plan that are not complete, write the tables, and return the outcome.

        Args:
            plan: The recordings.
            progress: Called with the progress.
            force: Make complete results again.
            distribution: Distribution of the recordings over processes.
            earlier: Recordings of earlier runs that keep their state.
        """
        files = [planned.file for planned in plan.good]
        states = {file: RecordingState("process") if force else self.state(file) for file in files}
        new = [file for file in files if states[file].work == "process"]
        again = [file for file in files if states[file].work == "remake"]
        self.before(new, force=force)
        ids, quick = [file.recording_id for file in new], [file.recording_id for file in again]
        with RunJournal(self.folder, plan, ids, self.about(), self.identity, progress, quick, earlier) as journal:
            for note in fault_notes(fault for state in states.values() for fault in state.faults):
                journal.note(note)
            completed = False
            try:
                self._remake(again, journal)
                distribution.run(self, journal.todo, journal)
                completed = True
            finally:
                outcome = journal.outcome()
                if self.folder.part is None and (completed or self.tables_when_broken_off):
                    outcome = self.write_tables(outcome)
        return outcome.with_damaged((), earlier_notes(self.folder.output, outcome.earlier))

    def _remake(self, files: Sequence[RecordingFile], journal: RunJournal) -> None:
        for file in files:
            error = None
            try:
                self.remake(file)
            except DiskFullError:
                raise
            except OutputError as problem:
                error = str(problem)
            journal.settled(file.recording_id, error)

    def record_head(self, file: RecordingFile, device: object) -> dict[str, Any]:
        """First fields of a recording's record: its file, settings that affect the result, and the device."""
        return {
            "path": str(file.path),
            "absolute_path": str(file.path.absolute()),
            "result": self.result(file),
            "device": str(device),
        }

    def made_with(self) -> dict[str, Any]:
        """Model, versions and settings, for a recording's record."""
        return provenance(self.about()["model"], self.settings())


class FrameRun(RecordingRun):
    """A run whose recordings are processed by a model: one engine for the complete run, a sink for each recording.

    Args:
        folder: The output folder, locked while the run is executed.
        channel: Channel choice.
    """

    def __init__(self, folder: RunFolder, channel: Channel = "mean") -> None:
        super().__init__(folder)
        self.channel = channel

    @abstractmethod
    def stream(self, files: Sequence[RecordingFile]) -> tuple[FrameSource, Callable[[RecordingFile], Sink]]:
        """The engine for these recordings, and the function that opens the sink of each."""

    def process(
        self, files: Sequence[RecordingFile], progress: RunProgress, opener: Opener = open_directly
    ) -> Failures:
        """Run the model over recordings; return path and one-line error of each that failed.

        Args:
            files: The recordings.
            progress: Called exactly once for each.
            opener: Opens them; another than the default may give samples that were decoded before.

        Raises:
            DiskFullError: the disk is full.
        """
        source, open_sink = self.stream(files)
        return run_recordings(source, files, open_sink, self.channel, progress, opener)


class OneByOneRun(RecordingRun):
    """A run that processes one recording after the other."""

    @abstractmethod
    def process_one(self, file: RecordingFile, progress: RunProgress) -> str | None:
        """Make the complete outputs of a recording, then its record; return a one-line error if it failed."""

    def process(self, files: Sequence[RecordingFile], progress: RunProgress) -> None:
        """Process each recording; one that fails does not stop the others.

        Raises:
            DiskFullError: the disk is full.
        """
        for file in files:
            try:
                error = self.process_one(file, progress)
            except DiskFullError:
                raise
            except Exception as problem:  # one bad recording never stops the others
                error = one_line(file.path, problem)
            progress.done(file.recording_id, error)
