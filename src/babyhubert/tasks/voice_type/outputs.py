"""Voice types of many recordings, written into the output folder of ``babyhubert segment``.

Frame scores are stored (float16) beside the record of each recording, so that other thresholds or minimum durations
take seconds. A recording with complete outputs and the same settings is skipped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.csv_tables import write_childproject_csv
from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.audio.channels import Channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.prefetch import prefetch
from babyhubert.errors import ConfigError
from babyhubert.files import make_folder, path_below
from babyhubert.frame_store import FrameWriter
from babyhubert.inference.calibration import read_calibration
from babyhubert.inference.confidence import SegmentCalibration, read_confidence, settings_of, with_confidence
from babyhubert.inference.engine import FrameSource
from babyhubert.inference.quiet import LoudWindows, check_margin
from babyhubert.inference.speed import Speed
from babyhubert.inference.throughput import EncoderPass
from babyhubert.runs.decoded import open_directly
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome
from babyhubert.runs.kept import KeptResult
from babyhubert.runs.pipeline import FrameRun
from babyhubert.runs.provenance import result_fingerprint, segments_fingerprint
from babyhubert.runs.shard import Shard
from babyhubert.runs.streaming import BLOCK_SAMPLES, Reading, Sink
from babyhubert.tasks.voice_type.prediction import SCORE_DTYPE, VoiceTypeClassifier, VoiceTypeSettings, load_model
from babyhubert.tasks.voice_type.tables import write_tables
from babyhubert.timebase import FRAME_HOP, frame_count, samples_to_seconds

COMMAND = "segment"
SCORE_FORMAT = 1
_FRAMES_AT_ONCE = 100_000


@dataclass(frozen=True)
class SegmentOutputs:
    """Output besides segments.

    Attributes:
        probabilities: Also ``probs/<id>.npy`` and ``probs/format.json``.
        raw: Also ``raw_rttm/<id>.rttm`` and ``raw_rttm.csv``: segments before gaps are closed and short ones dropped.
        calibration: Result of ``tune --calibrate``, which corrects the probabilities. Segments are computed from
            uncorrected scores.
        confidence: A column ``confidence`` in ``csv/<id>.csv`` and ``rttm.csv``.
        rttm_confidence: The same in the ninth field of ``rttm/<id>.rttm``.
        confidence_from: Result of ``tune confidence``, which makes confidences probabilities; None: that of the model,
            if it brings one.

    Raises:
        ConfigError: a calibration without probabilities, or confidences, to correct.
    """

    probabilities: bool = False
    raw: bool = False
    calibration: Path | None = None
    confidence: bool = True
    rttm_confidence: bool = False
    confidence_from: Path | None = None

    def __post_init__(self) -> None:
        if self.confidence_from is not None and not self.confidence:
            raise ConfigError(f"--confidence-from {self.confidence_from}: corrects confidences; drop --no-confidence")
        if self.calibration is not None and not self.probabilities:
            raise ConfigError(
                f"--calibration {self.calibration}: corrects probabilities, and none are written; add --save-probs"
            )


def open_segment_run(
    output: Path,
    model: str | None,
    settings: Callable[..., VoiceTypeSettings],
    *,
    task: str | None = None,
    speed: Speed = "exact",
    batch_size: int | None = None,
    channel: Channel = "mean",
    outputs: SegmentOutputs = SegmentOutputs(),
    skip_quiet_db: float | None = None,
    device: str = "auto",
    part: Shard | None = None,
) -> SegmentRun:
    """Open a run of ``segment`` with its model loaded, in this process or in a worker.

    Args:
        output: The output folder.
        model: As `load_model` takes it.
        task: As `load_model` takes it.
        settings: Gives windows, thresholds and clean-up for a model's ``window_settings``.
        speed: ``exact``, ``balanced`` or ``fast``.
        batch_size: Windows in one call; None chooses.
        channel: Channel choice.
        outputs: Output besides segments.
        skip_quiet_db: See :class:`SegmentRun`.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        part: The shard of the run.

    Raises:
        CheckpointError: no such model, or it has no voice-type head.
        ConfigError: missing thresholds or a missing device, a calibration for other classes, or an impossible margin.
    """
    if skip_quiet_db is not None:
        check_margin(skip_quiet_db)  # before a model is loaded
    classifier = load_model(model, task=task, device=device, speed=speed)
    classifier = classifier.with_settings(settings(window_settings=classifier.window_settings))
    if batch_size is not None:
        classifier = classifier.with_batch_size(batch_size)
    return SegmentRun(RunFolder(output, COMMAND, part), classifier, channel, outputs, skip_quiet_db)


class SegmentRun(FrameRun):
    """One run of ``segment`` over recordings into a folder.

    Args:
        folder: The output folder, locked while the run is executed.
        classifier: The model and its settings.
        channel: Channel choice.
        outputs: Output besides segments.
        skip_quiet_db: Skip windows without a step of at least this many decibels above the recording's noise floor;
            frames without another window get scores of 0. None: encode all.
    """

    def __init__(
        self,
        folder: RunFolder,
        classifier: VoiceTypeClassifier,
        channel: Channel = "mean",
        outputs: SegmentOutputs = SegmentOutputs(),
        skip_quiet_db: float | None = None,
    ) -> None:
        super().__init__(folder, channel)
        self._skip_quiet_db = skip_quiet_db
        self._classifier = classifier
        self._outputs = outputs
        given = outputs.calibration
        self._calibration = None if given is None else read_calibration(given, classifier.labels)
        self._confidence = _confidence_of(classifier, outputs)
        settings = classifier.settings
        self._score_settings = {
            "format": SCORE_FORMAT,
            "model_sha256": classifier.hash,
            "model_settings": classifier.settings_hash,
            "plan": settings.plan.describe(),
            "blend": settings.blend,
            "precision": classifier.precision,
            "channel": str(channel),
            **({} if skip_quiet_db is None else {"skip_quiet_db": skip_quiet_db}),
        }
        self._settings = {
            **self._score_settings,
            "thresholds": classifier.thresholds,
            "minimum_samples": {"on": settings.minimum.on, "off": settings.minimum.off},
            **({"simultaneous": classifier.simultaneous} if classifier.simultaneous else {}),
            **({"calibration": self._calibration.to_dict()} if self._calibration else {}),
            **self._confidence_settings(),
        }

    def _confidence_settings(self) -> dict[str, Any]:
        if not self._outputs.confidence:
            return {}
        in_rttm = {"rttm": True} if self._outputs.rttm_confidence else {}
        return {"confidence": {**settings_of(self._confidence), **in_rttm}}

    def stream(self, files: Sequence[RecordingFile]) -> tuple[FrameSource, Callable[[RecordingFile], Sink]]:
        """The engine of the model, with quiet windows skipped if requested."""
        engine = self._classifier.engine()
        if self._skip_quiet_db is not None:
            engine = replace(engine, wanted=LoudWindows(self._reader(files), self._skip_quiet_db))
        return engine, self.open_sink

    def settings(self) -> dict[str, Any]:
        """Everything that decides a result."""
        return self._settings

    def write_tables(self, outcome: Outcome) -> Outcome:
        """Tables, thresholds, failures, ``run.json``."""
        return write_tables(self.folder, self.about(), outcome)

    def kept(self, file: RecordingFile, found: KeptResult) -> bool:
        """Stored result of an earlier run for a recording."""
        scores, record = self.scores_path(file.recording_id), found.record or {}
        usable = record.get("scores") == result_fingerprint(self._score_settings)
        return usable and scores.is_file() and scores not in found.damaged

    def remake(self, file: RecordingFile) -> None:
        """Decide again on kept scores, and write the outputs."""
        record = self.folder.record(file.recording_id)
        assert record is not None
        scores: NDArray[np.float16] = np.load(self.scores_path(file.recording_id), mmap_mode="r")
        kept = (*Reading().as_record(), "audio", "device", "made_with", "skipped_s")
        self.write_outputs(file, scores, {key: record[key] for key in kept if key in record})

    @property
    def skips_quiet(self) -> bool:
        """True if quiet windows are skipped."""
        return self._skip_quiet_db is not None

    @property
    def passes(self) -> Sequence[EncoderPass]:
        """The pass over all windows; without those that are skipped as quiet it takes less."""
        model = self._classifier
        return (EncoderPass(model.model.encoder, model.precision, model.settings.plan, model.batch_size),)

    @property
    def bytes_per_second(self) -> int:
        """Bytes on disk of the results of a second of audio: scores, and segments in several formats."""
        return 50 * np.dtype(SCORE_DTYPE).itemsize * len(self._classifier.labels) + 100

    def about(self) -> dict[str, Any]:
        """Content of the tables besides recordings."""
        return {
            "model": {
                "source": self._classifier.name,
                "sha256": self._classifier.hash,
                "classes": list(self._classifier.labels),
                "card": dict(self._classifier.card),
            },
            "device": str(self._classifier.device),
            "settings": {
                **self._settings,
                "speed": self._classifier.speed,
                "thresholds_from": self._classifier.settings.thresholds,
                **self._confidence_origin(),
            },
            "kind": "frames",
            "result": self.identity,
            "raw": self._outputs.raw,
            "probabilities": self._outputs.probabilities,
        }

    def _confidence_origin(self) -> dict[str, Any]:
        """Origin of a calibration of confidences, for ``run.json``."""
        if not self._outputs.confidence or self._confidence is None:
            return {}
        given = self._outputs.confidence_from
        source = self._classifier.name if given is None else str(given)
        return {"confidence_from": {"source": source, **self._confidence.about}}

    def scores_path(self, recording_id: str) -> Path:
        """Path of a recording's frame scores: ``.npy``, float16, shape (T, C)."""
        return path_below(self.folder.state / "scores", recording_id, ".npy")

    def write_outputs(self, file: RecordingFile, scores: NDArray[np.float16], about: Mapping[str, Any]) -> None:
        """Compute and write all outputs of one recording, its record last; extras of an earlier run are renewed.

        Args:
            file: The recording.
            scores: Its frame scores, from `scores_path`.
            about: Fields of its record: ``audio``, the identity of the file of the scores, and the information about
                its reading.
        """
        name, output = file.recording_id, self.folder.output
        self.folder.forget(name)
        segments = self._classifier.decide(scores)
        if self._outputs.confidence:
            segments = with_confidence(segments, scores, self._classifier.labels, self._confidence)
        written = [self.scores_path(name), *self._always(name)]
        write_rttm(written[1], name, segments, confidence=self._outputs.rttm_confidence)
        write_childproject_csv(written[2], segments)
        raw, probabilities = path_below(output / "raw_rttm", name, ".rttm"), path_below(output / "probs", name, ".npy")
        if self._outputs.raw or raw.exists():
            write_rttm(raw, name, self._classifier.decide(scores, clean=False))
            written.append(raw)
        if self._outputs.probabilities or probabilities.exists():
            self._write_probabilities(scores, self.scores_path(name), probabilities)
            written.append(probabilities)
        record = {
            **self.record_head(file, self._classifier.device),
            "scores": result_fingerprint(self._score_settings),
            "segments": len(segments),
            "speech_s": _speech_seconds(segments, self._classifier.labels),
            "segments_sha256": segments_fingerprint(segments),
            **({"confidence": settings_of(self._confidence)["kind"]} if self._outputs.confidence else {}),
            **self.made_with(),
            **about,
        }
        self.folder.complete(name, record, written)

    def forget(self, file: RecordingFile) -> None:
        """Remove a recording's mark before its scores are replaced."""
        self.folder.forget(file.recording_id)

    def open_sink(self, file: RecordingFile) -> Sink:
        """Open the sink that takes a recording's probabilities and completes its outputs."""
        return _ScoreSink(self, file, len(self._classifier.labels))

    def _reader(self, files: Sequence[RecordingFile]) -> Callable[[str], Iterator[NDArray[np.float32]]]:
        """Blocks of a recording, read independently of those for the engine."""
        paths = {file.recording_id: file.path for file in files}

        def read(recording_id: str) -> Iterator[NDArray[np.float32]]:
            with open_directly(paths[recording_id], self.channel) as recording:
                for block in prefetch(recording.blocks(BLOCK_SAMPLES)):
                    yield block.samples

        return read

    def _always(self, name: str) -> list[Path]:
        """Files that are written for every recording: RTTM, and CSV."""
        output = self.folder.output
        return [path_below(output / "rttm", name, ".rttm"), path_below(output / "csv", name, ".csv")]

    def outputs(self, recording_id: str) -> list[Path]:
        """The files of one recording: RTTM, CSV, and further requested output."""
        output, paths = self.folder.output, self._always(recording_id)
        if self._outputs.raw:
            paths.append(path_below(output / "raw_rttm", recording_id, ".rttm"))
        if self._outputs.probabilities:
            paths.append(path_below(output / "probs", recording_id, ".npy"))
        return paths

    def _write_probabilities(self, scores: NDArray[np.float16], kept: Path, target: Path) -> None:
        if self._calibration is None:
            _link_or_copy(kept, target)
            return
        writer = FrameWriter(target, SCORE_DTYPE)
        try:
            for first in range(0, len(scores), _FRAMES_AT_ONCE):
                writer.append(self._calibration.apply(scores[first : first + _FRAMES_AT_ONCE]))
            writer.finish(scores.shape[1:])
        finally:
            writer.abandon()


class _ScoreSink:
    """Scores of one recording: stored as they arrive, then converted to segments. Skipped frames get zeros."""

    def __init__(self, run: SegmentRun, file: RecordingFile, classes: int) -> None:
        self._run = run
        self._file = file
        self._classes = classes
        self._frames = 0
        self._skipped = 0
        self._writer = FrameWriter(run.scores_path(file.recording_id), SCORE_DTYPE)

    def add(self, first: int, values: NDArray[np.float32]) -> None:
        self._skip_to(first)
        self._writer.append(values)
        self._frames += len(values)

    def finish(self, reading: Reading) -> None:
        self._skip_to(frame_count(reading.samples))
        self._run.forget(self._file)
        self._writer.finish((self._classes,))
        scores = np.load(self._writer.path, mmap_mode="r")
        about = {"audio": dict(reading.audio), **reading.as_record()}
        if self._run.skips_quiet:
            about["skipped_s"] = samples_to_seconds(self._skipped * FRAME_HOP)
        self._run.write_outputs(self._file, scores, about)

    def abandon(self) -> None:
        self._writer.abandon()

    def _skip_to(self, frame: int) -> None:
        while self._frames < frame:
            zeros = np.zeros((min(frame - self._frames, _FRAMES_AT_ONCE), self._classes), dtype=np.float32)
            self._writer.append(zeros)
            self._frames += len(zeros)
            self._skipped += len(zeros)


def _confidence_of(classifier: VoiceTypeClassifier, outputs: SegmentOutputs) -> SegmentCalibration | None:
    """The meaning of scores that is asked for, or that the model brings."""
    if not outputs.confidence:
        return None
    if outputs.confidence_from is not None:
        return read_confidence(outputs.confidence_from, classifier.labels)
    return classifier.confidence


def _speech_seconds(segments: Segments, classes: Sequence[str]) -> dict[str, float]:
    """Seconds of each class: its segments do not overlap."""
    lengths = segments.end - segments.start
    return {name: samples_to_seconds(int(lengths[segments.label == name].sum())) for name in classes}


def _link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name without storing it twice, if the file system can."""
    make_folder(target.parent)
    with suppress(FileNotFoundError):
        target.unlink()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
