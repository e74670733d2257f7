"""Voice types, addressees and phonemes of many recordings in one run, recording by recording.

It writes exactly what the three commands write, into their own tables and records, so that each continues where the
other stopped. A recording is decoded once. Heads that share an encoder and its windows share its pass: frame outputs
of addressee and phonemes are stored in a file until the segments are known.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.columns import command_of
from babyhubert.audio.channels import Channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.encoder.heads import ADDRESSEE, PHONEMES, VOICE_TYPE, is_unlabelled
from babyhubert.encoder.loading import load_checkpoint
from babyhubert.errors import ConfigError
from babyhubert.files import path_below
from babyhubert.frame_store import FrameWriter
from babyhubert.inference.batching import build_engine
from babyhubert.inference.engine import Engine
from babyhubert.inference.speed import Speed
from babyhubert.inference.task_model import FrameOutputs, LoadedModel, TaskChoice, load_task_model
from babyhubert.inference.throughput import EncoderPass
from babyhubert.progress import RunProgress
from babyhubert.runs.decoded import DecodedRecording, Opener
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome
from babyhubert.runs.pipeline import Failures, FrameRun, OneByOneRun, RecordingState
from babyhubert.runs.shard import Shard
from babyhubert.runs.streaming import Reading, Sink, run_recordings
from babyhubert.shipped import SMALL_MODEL
from babyhubert.tasks.classification.outputs import ClassificationRun
from babyhubert.tasks.classification.prediction import UtteranceClassifier
from babyhubert.tasks.input_segments import OutputSegments
from babyhubert.tasks.phonemes.outputs import PhonemeRun
from babyhubert.tasks.phonemes.prediction import PhonemeRecogniser
from babyhubert.tasks.registry import PUBLISHED, write_task_tables
from babyhubert.tasks.utterance_outputs import UtteranceRun
from babyhubert.tasks.voice_type import outputs as segment_run
from babyhubert.tasks.voice_type.outputs import SegmentRun
from babyhubert.tasks.voice_type.prediction import (
    SHIPPED_MODEL_NAME,
    VoiceTypeClassifier,
    VoiceTypeSettings,
)

COMMAND = "analyze"
_DECODED, _FRAMES = "decoded", "frames"
"""Folders of temporary files for a later pass over the same recording."""

_FRAMES_AT_ONCE = 3_000


@dataclass(frozen=True)
class AnalyzeModels:
    """Sources of the models of a run.

    Attributes:
        voice_type: Model of `segment`; None: the one of the package.
        utterances: Models of the utterance-level tasks, by task: classification and ctc.
    """

    voice_type: str | None = None
    utterances: Mapping[str, str] = field(default_factory=dict)


def choose_models(
    model: str | None = None, voice_type: str | None = None, addressee: str | None = None, phonemes: str | None = None
) -> AnalyzeModels:
    """Choose models by task: those given, else the common one for every head that it has.

    Args:
        model: The common one; None: there is none, or, if no model is given, those of the package.
        voice_type: Model for voice types.
        addressee: Model for addressees.
        phonemes: Model for phonemes.

    Raises:
        CheckpointError: the common model cannot be read.
        ConfigError: it has no head that is still required.
    """
    named = {VOICE_TYPE: voice_type, ADDRESSEE: addressee, PHONEMES: phonemes}
    sources = {task: source for task, source in named.items() if source is not None}
    if model is None and not sources:
        return replace(choose_models(SMALL_MODEL.name), voice_type=None)
    if model is not None:
        heads = load_checkpoint(model).heads
        kinds = {name: head.kind for name, head in heads.items() if not is_unlabelled(head)}
        own = [name for name, kind in kinds.items() if kind != "frames" and name not in sources]
        own += [VOICE_TYPE] if "frames" in kinds.values() and VOICE_TYPE not in sources else []
        if not own:
            known = ", ".join(heads)
            raise ConfigError(f"--model {model}: it has no head that is not named otherwise (heads: {known})")
        sources |= dict.fromkeys(own, model)
    order = [*PUBLISHED, *sorted(set(sources) - set(PUBLISHED))]
    return AnalyzeModels(
        sources.get(VOICE_TYPE), {task: sources[task] for task in order if task in sources and task != VOICE_TYPE}
    )


def open_analyze_run(
    output: Path,
    models: AnalyzeModels,
    settings: Callable[..., VoiceTypeSettings],
    *,
    beam: int = 0,
    syllables: bool = False,
    speed: Speed = "exact",
    batch_size: int | None = None,
    channel: Channel = "mean",
    device: str = "auto",
    part: Shard | None = None,
) -> AnalyzeRun:
    """Open a run of ``analyze`` with its models loaded, in this process or in a worker.

    Args:
        output: The output folder.
        models: Sources of the models.
        settings: Gives windows, thresholds and clean-up for a voice-type model's ``window_settings``.
        beam: Prefixes kept by the beam search for phonemes; 0 decodes greedily.
        syllables: True to write syllables as well.
        speed: ``exact``, ``balanced`` or ``fast``.
        batch_size: Windows in one call; None chooses.
        channel: Channel choice.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        part: The shard of the run.

    Raises:
        CheckpointError: no such model, or it lacks a head.
        ConfigError: impossible settings, or a missing device.
    """
    voice_source = models.voice_type or SMALL_MODEL.name
    voice_task = VOICE_TYPE
    if models.voice_type is not None:
        voice_task = TaskChoice("frames", preferred=VOICE_TYPE).of(load_checkpoint(voice_source).heads, voice_source)
    wanted = {voice_task: voice_source, **models.utterances}
    loaded: dict[str, LoadedModel] = {}
    for task, source in wanted.items():
        alike = [other for other in wanted if wanted[other] == source]
        loaded[task] = (
            loaded[alike[0]] if alike[0] in loaded else load_task_model(source, alike, device=device, speed=speed)
        )
    voices = loaded[voice_task]
    if models.voice_type is None:
        voices = replace(voices, name=SHIPPED_MODEL_NAME)
    classifier = VoiceTypeClassifier.of(voices)
    classifier = replace(
        classifier, settings=settings(window_settings=classifier.window_settings), batch_size=batch_size
    )
    segments = OutputSegments(output)
    utterance_runs: list[UtteranceRun[Any]] = []
    for task in models.utterances:
        folder, kind = RunFolder(output, task), loaded[task].network.head(task).kind
        if kind == "classification":
            classifies = UtteranceClassifier.of(loaded[task], task).with_changes(batch_size=batch_size)
            utterance_runs.append(ClassificationRun(folder, classifies, segments, channel))
        else:
            recogniser = PhonemeRecogniser.of(loaded[task], task).with_changes(batch_size=batch_size, beam=beam)
            utterance_runs.append(PhonemeRun(folder, recogniser, segments, channel, syllables=syllables))
    voice_run = SegmentRun(RunFolder(output, segment_run.COMMAND), classifier, channel)
    return AnalyzeRun(RunFolder(output, COMMAND, part), classifier, voice_run, utterance_runs, channel)


class AnalyzeRun(OneByOneRun):
    """One run of ``analyze`` over recordings into a folder: the runs of other commands, recording by recording.

    Args:
        folder: The output folder, locked while the run is executed; the folders of the other runs are not.
        classifier: The voice-type model.
        voices: The run of `segment`.
        utterance_runs: The runs of the utterance-level tasks.
        channel: Channel choice.
    """

    def __init__(
        self,
        folder: RunFolder,
        classifier: VoiceTypeClassifier,
        voices: SegmentRun,
        utterance_runs: Sequence[UtteranceRun[Any]],
        channel: Channel,
    ) -> None:
        super().__init__(folder)
        self._classifier = classifier
        self._voices = voices
        self._utterance_runs = list(utterance_runs)
        self._channel = channel
        self._execution = [utterance_run for utterance_run in utterance_runs if self._shares(utterance_run)]
        self._runs: list[FrameRun] = [voices, *utterance_runs]

    def settings(self) -> dict[str, Any]:
        """Everything that decides a result, by command."""
        return {run.folder.command: run.settings() for run in self._runs}

    def about(self) -> dict[str, Any]:
        """Content of the tables besides recordings, by command."""
        return {"commands": {run.folder.command: run.about() for run in self._runs}}

    def outputs(self, recording_id: str) -> list[Path]:
        """The files of one recording, of all commands."""
        return [path for run in self._runs for path in run.outputs(recording_id)]

    def state(self, file: RecordingFile) -> RecordingState:
        """The work that is left for a recording: none where every command has completed it."""
        states = [run.state(file) for run in self._runs]
        faults = tuple(fault for state in states for fault in state.faults)
        return RecordingState("none" if all(state.work == "none" for state in states) else "process", faults)

    def before(self, files: Sequence[RecordingFile], *, force: bool) -> None:
        """Remove what a killed run left to wait, and with ``force`` the records of the commands."""
        if self.folder.part is None:  # another shard's may be in use
            for folder in (_DECODED, _FRAMES):
                shutil.rmtree(self.folder.state / folder, ignore_errors=True)
        if force:
            for file in files:
                for run in self._runs:
                    run.folder.forget(file.recording_id)

    def process_one(self, file: RecordingFile, progress: RunProgress) -> str | None:
        """Make everything of a recording complete that is not; the one-line error of the first thing that failed."""
        audio = DecodedRecording(path_below(self.folder.state / _DECODED, file.recording_id, ".npy"))
        once = _OnePass(progress)
        errors: list[str] = []
        with audio as opener:
            for run in self._runs:
                work = run.state(file).work
                if work == "remake":
                    run.remake(file)
                elif work == "process":
                    errors += [error for _, error in self._process(run, file, once, opener)]
                if errors and run is self._voices:  # without segments there are no utterances to predict
                    break
        return errors[0] if errors else None

    def _process(self, run: FrameRun, file: RecordingFile, progress: RunProgress, opener: Opener) -> Failures:
        if run is self._voices and self._execution:
            return run_recordings(self._engine, [file], self._open_shared, self._channel, progress, opener)
        return run.process([file], progress, opener)

    def write_tables(self, outcome: Outcome) -> Outcome:
        """The tables of every command."""
        return write_tables(self.folder, self.about(), outcome)

    @property
    def passes(self) -> Sequence[EncoderPass]:
        """The passes of all commands; those that share one count once."""
        return [each for run in self._runs if run not in self._execution for each in run.passes]

    @property
    def bytes_per_second(self) -> int:
        """Maximum bytes on disk of the results of a second of audio."""
        return sum(run.bytes_per_second for run in self._runs)

    @property
    def folders(self) -> list[RunFolder]:
        """The output folder, once for each command."""
        return [run.folder for run in self._runs]

    @property
    def commands(self) -> list[str]:
        """Commands whose outputs are made."""
        return [run.folder.command for run in self._runs]

    @property
    def one_pass(self) -> list[str]:
        """Commands that one pass of an encoder serves together with `segment`."""
        return [utterance_run.folder.command for utterance_run in self._execution]

    def _shares(self, utterance_run: UtteranceRun[Any]) -> bool:
        own, voices = utterance_run.model, self._classifier
        return (
            own.loaded.network is voices.model
            and own.windows == "grid"
            and own.plan == voices.settings.plan
            and voices.settings.blend == "crop"
            and own.loaded.window_settings[own.task].normalise == voices.window_settings.normalise
        )

    @cached_property
    def _outputs(self) -> FrameOutputs:
        tasks = (self._classifier.model.frames_task, *(utterance_run.model.task for utterance_run in self._execution))
        return FrameOutputs(self._classifier.model, tasks, normalise=self._classifier.window_settings.normalise)

    @cached_property
    def _engine(self) -> Engine:
        """The engine of the pass that several commands share."""
        classifier = self._classifier
        plan, size = classifier.settings.plan, classifier.batch_size
        encoder, precision = classifier.model.encoder, classifier.precision
        return build_engine(self._outputs, encoder, precision, plan, size, model=classifier.name)

    def _open_shared(self, file: RecordingFile) -> Sink:
        columns = self._outputs.columns
        waiting = {
            utterance_run.folder.command: (utterance_run, columns[utterance_run.model.task])
            for utterance_run in self._execution
            if not utterance_run.is_complete(file)
        }
        kept = self.folder.state / _FRAMES
        return _SharedSink(
            file, self._voices.open_sink(file), columns[self._classifier.model.frames_task], waiting, kept
        )


class _OnePass:
    """Counts the samples of a recording once, for any number of passes over it."""

    def __init__(self, progress: RunProgress) -> None:
        self._progress = progress
        self._told = self._pass = 0

    def start(self, recordings: int, samples: int, skipped: int) -> None:
        pass

    def advance(self, recording_id: str, samples: int) -> None:
        self._pass += samples
        more = max(self._pass - self._told, 0)
        self._told += more
        self._progress.advance(recording_id, more)

    def done(self, recording_id: str, error: str | None) -> None:
        self._pass = 0

    def shorten(self, samples: int) -> None:
        pass

    def note(self, text: str) -> None:
        self._progress.note(text)


class _SharedSink:
    """Frame outputs of several heads: voice types as they arrive, the others from a file once segments are known."""

    def __init__(
        self,
        file: RecordingFile,
        voices: Sink,
        voice_columns: slice,
        waiting: Mapping[str, tuple[UtteranceRun[Any], slice]],
        folder: Path,
    ) -> None:
        self._file = file
        self._voices = voices
        self._voice_columns = voice_columns
        self._waiting = waiting
        self._writers = {
            name: FrameWriter(path_below(folder / name, file.recording_id, ".npy"), np.float32) for name in waiting
        }

    def add(self, first: int, values: NDArray[np.float32]) -> None:
        self._voices.add(first, values[:, self._voice_columns])
        for name, (_, columns) in self._waiting.items():
            self._writers[name].append(values[:, columns])

    def finish(self, reading: Reading) -> None:
        self._voices.finish(reading)
        for name, (utterance_run, columns) in self._waiting.items():
            writer = self._writers[name]
            writer.finish((columns.stop - columns.start,))
            try:
                sink = utterance_run.open_sink(self._file, reading.samples)
                for first, values in _stretches(np.load(writer.path, mmap_mode="r")):
                    sink.add(first, values)
                sink.finish(reading)
            finally:
                with suppress(OSError):
                    writer.path.unlink(missing_ok=True)

    def abandon(self) -> None:
        self._voices.abandon()
        for writer in self._writers.values():
            writer.abandon()


def _stretches(frames: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for first in range(0, len(frames), _FRAMES_AT_ONCE):
        yield first, np.asarray(frames[first : first + _FRAMES_AT_ONCE])


def write_tables(folder: RunFolder, about: Mapping[str, Any], outcome: Outcome) -> Outcome:
    """Write the tables of every command that took part, as the command itself would.

    Args:
        folder: The folder, locked by the caller.
        about: Result of `AnalyzeRun.about`.
        outcome: Outcome of the run.

    Returns:
        The outcome, with damaged results among the failures.
    """
    folders = {
        name: RunFolder(folder.output, name, typed=command_of(name, each)) for name, each in about["commands"].items()
    }
    done = {command: {record["path"] for record in its.records()} for command, its in folders.items()}
    damaged: list[tuple[Path, str]] = []
    notes: dict[str, None] = {}
    for command, own in about["commands"].items():
        failures = tuple(
            (path, error)
            for path, error in outcome.failures
            if str(path) not in done[command] or all(str(path) in paths for paths in done.values())
        )
        written = write_task_tables(folders[command], own, replace(outcome, failures=failures))
        damaged += [failure for failure in written.failures if failure not in failures]
        notes.update(dict.fromkeys(written.notes))
    return outcome.with_damaged(damaged, notes)
