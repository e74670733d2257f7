"""Representations of many recordings: frames of any layers, or one vector per segment, as ``.npy`` files.

Complete recordings: ``layer<k>/<id>.npy``, shape (T, D), written while they are computed. Segments: ``layer<k>.npy``,
shape (N, D), whose row i is the mean over the frames of row i of ``segments.csv`` beside it. A segment's vector is the
mean of exactly those rows that the recording's file would have, so it includes context.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.table_columns import TRUTH
from babyhubert.audio.channels import Channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.names import spellings
from babyhubert.audio.preflight import PreflightReport
from babyhubert.compute.device import resolve_device
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.loading import load_encoder, model_hash, model_settings_hash, resolve_model
from babyhubert.encoder.precision import Precision
from babyhubert.errors import ComputationError, ConfigError
from babyhubert.files import atomic_path, csv_text, path_below, write_text
from babyhubert.frame_store import FrameWriter
from babyhubert.inference.batching import build_engine
from babyhubert.inference.engine import Engine, FrameSource
from babyhubert.inference.speed import SPEEDS, Speed
from babyhubert.inference.throughput import EncoderPass
from babyhubert.inference.windows import WindowPlan
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome
from babyhubert.runs.kept import without_damaged
from babyhubert.runs.pipeline import FrameRun
from babyhubert.runs.provenance import mixture_notes, result_fingerprint
from babyhubert.runs.record import run_record
from babyhubert.runs.shard import Shard
from babyhubert.runs.streaming import Reading, Sink
from babyhubert.tasks.input_segments import refuse_strangers
from babyhubert.tasks.segment_means import NeededFrames, SegmentMeans, segment_frames
from babyhubert.timebase import format_seconds, frame_count, seconds_to_samples

_LOG = logging.getLogger(__name__)

FrameType = Literal["float16", "float32"]


@dataclass(frozen=True)
class EmbedSettings:
    """Settings that affect a representation besides the model.

    Attributes:
        layers: 0 is the input of the first transformer block, k the output of the k-th (as ``hidden_states`` in
            transformers).
        plan: Windows; each frame is taken from the window in which it is farthest from an edge.
        dtype: Stored type.
    """

    layers: tuple[int, ...]
    plan: WindowPlan = field(default_factory=lambda: WindowPlan.from_overlap(20.0, 0.2))
    dtype: FrameType = "float32"


@dataclass(frozen=True, eq=False)
class Embedder:
    """An encoder for inference over recordings.

    Attributes:
        encoder: In evaluation mode, on its device.
        name: Its source.
        hash: SHA-256 of its weights file.
        batch_size: Windows in one call; None chooses.
        precision: Its precision.
        settings_hash: Hash of the settings that its folder stores beside the weights.
    """

    encoder: HubertEncoder
    name: str
    hash: str
    batch_size: int | None = None
    precision: Precision = "exact"
    settings_hash: str = ""

    @classmethod
    def load(
        cls, source: str | Path, *, device: str = "auto", batch_size: int | None = None, speed: Speed = "exact"
    ) -> Embedder:
        """Load any encoder: a model folder, a checkpoint of any published layout, a hub repository."""
        path = resolve_model(str(source))
        encoder = load_encoder(path, device=resolve_device(device))
        precision = SPEEDS[speed].prepare(encoder)
        weights = model_hash(path)
        where = next(encoder.parameters()).device
        _LOG.info("encoder %s: speed %s (%s), on %s, SHA-256 %s", source, speed, precision, where, weights)
        return cls(encoder, str(source), weights, batch_size, precision, model_settings_hash(path))

    @property
    def device(self) -> torch.device:
        """Device of the encoder."""
        return next(self.encoder.parameters()).device

    def check_layers(self, layers: Sequence[int]) -> None:
        """Raise ConfigError for a layer the encoder does not have."""
        for layer in layers:
            if not 0 <= layer <= self.encoder.config.blocks:
                raise ConfigError(f"layer {layer}: this encoder has layers 0 to {self.encoder.config.blocks}")

    def engine(self, settings: EmbedSettings) -> Engine:
        """Engine that gives frames of shape (T, L, D) for the requested layers."""
        device = self.device

        @torch.inference_mode()
        def hidden_states(waveforms: Tensor) -> Tensor:
            output = self.encoder(waveforms.to(device, non_blocking=True), layers=settings.layers)
            return torch.stack([output.hidden[layer] for layer in settings.layers], dim=2)

        plan, size = settings.plan, self.batch_size
        return build_engine(hidden_states, self.encoder, self.precision, plan, size, model=self.name)


def open_embed_run(
    output: Path,
    model: str,
    *,
    layers: tuple[int, ...] | None,
    plan: WindowPlan,
    dtype: FrameType = "float32",
    batch_size: int | None = None,
    channel: Channel = "mean",
    segments: Path | None = None,
    device: str = "auto",
    speed: Speed = "exact",
    part: Shard | None = None,
) -> EmbedRun:
    """Open a run of ``embed`` with its encoder loaded, in this process or in a worker.

    Args:
        output: The output folder.
        model: As `Embedder.load` takes it.
        layers: As in `EmbedSettings`; None takes the last.
        plan: Windows.
        dtype: Stored type.
        batch_size: Windows in one call; None chooses.
        channel: Channel choice.
        segments: A file or folder of segments: one vector for each.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        speed: ``exact``, ``balanced`` or ``fast``: here only the arithmetic, the latter two alike.
        part: The shard of the run.

    Raises:
        AnnotationError: the segments cannot be read.
        CheckpointError: no such model.
        ConfigError: missing layers or a missing device.
    """
    tables = None if segments is None else read_annotations(segments)
    embedder = Embedder.load(model, device=device, batch_size=batch_size, speed=speed)
    settings = EmbedSettings((embedder.encoder.config.layers,) if layers is None else layers, plan, dtype)
    return EmbedRun(RunFolder(output, "embed", part), embedder, settings, channel, tables)


class EmbedRun(FrameRun):
    """One run of ``embed`` over recordings into a folder.

    Args:
        folder: The output folder, locked while the run is executed.
        embedder: The encoder.
        settings: Layers, windows, storage.
        channel: Channel choice.
        segments: If given, one vector per segment; by recording id.
    """

    def __init__(
        self,
        folder: RunFolder,
        embedder: Embedder,
        settings: EmbedSettings,
        channel: Channel = "mean",
        segments: Mapping[str, Segments] | None = None,
    ) -> None:
        embedder.check_layers(settings.layers)
        super().__init__(folder, channel)
        self._embedder = embedder
        self.choices = settings
        self._segments = segments
        self._record: dict[str, Any] = {
            "model_sha256": embedder.hash,
            "model_settings": embedder.settings_hash,
            "layers": list(settings.layers),
            "plan": settings.plan.describe(),
            "dtype": settings.dtype,
            "precision": embedder.precision,
            "channel": str(channel),
            "pool": None if segments is None else "mean",
        }
        if embedder.encoder.config.normalise:
            self._record["normalise"] = True

    def prepare(self, checked: PreflightReport) -> None:
        """Refuse segments of recordings that were not given.

        Raises:
            AnnotationError: there are some.
        """
        if self._segments is not None:
            refuse_strangers(self._segments, {file.recording_id for file, _ in (*checked.good, *checked.bad)})

    def wants(self, file: RecordingFile) -> bool:
        """True if the complete recording is requested, or it has segments."""
        return self._segments is None or any(name in self._segments for name in spellings(file.recording_id))

    def stream(self, files: Sequence[RecordingFile]) -> tuple[FrameSource, Callable[[RecordingFile], Sink]]:
        """The engine of the encoder, for the windows that hold a segment where there are segments."""
        if self._segments is None:
            return self._engine, self._open_sink
        spans = {file.recording_id: segment_frames(self._segments_of(file)) for file in files}
        return replace(self._engine, wanted=NeededFrames(spans)), self._open_sink

    def settings(self) -> dict[str, Any]:
        """Everything that decides a result, the segments aside."""
        return self._record

    def result(self, file: RecordingFile) -> str:
        """Hash of everything that decides a recording's result, its segments among it."""
        rows = [] if self._segments is None else [list(row) for row in self._segments_of(file)]
        return result_fingerprint({**self._record, "segments": rows})

    def write_tables(self, outcome: Outcome) -> Outcome:
        """Joined vectors, failures, ``run.json``."""
        return write_tables(self.folder, self.about(), outcome)

    @property
    def passes(self) -> Sequence[EncoderPass]:
        """The pass over all windows; where only segments are wanted, it takes less."""
        model = self._embedder
        return (EncoderPass(model.encoder, model.precision, self.choices.plan, model.batch_size),)

    @property
    def bytes_per_second(self) -> int:
        """Bytes on disk of the frames of a second of audio; the vectors of segments are few."""
        frame = len(self.choices.layers) * self.width * np.dtype(self.choices.dtype).itemsize
        return 50 * frame if self._segments is None else 0

    def about(self) -> dict[str, Any]:
        """Content of the tables besides recordings."""
        return {
            "model": {"source": self._embedder.name, "sha256": self._embedder.hash},
            "device": str(self._embedder.device),
            "settings": self._record,
            "width": self.width,
        }

    def vectors(self, recording_id: str) -> list[Path]:
        """The vectors of one recording, a file a layer."""
        if self._segments is None:
            return [path_below(self.folder.output / f"layer{k}", recording_id, ".npy") for k in self.choices.layers]
        return _pooled(self.folder, self.choices.layers, recording_id)

    def outputs(self, recording_id: str) -> list[Path]:
        """The files of one recording, one per layer."""
        segments = [] if self._segments is None else [_pooled_segments(self.folder, recording_id)]
        return [*self.vectors(recording_id), *segments]

    @property
    def width(self) -> int:
        """Number of values of a vector."""
        return self._embedder.encoder.config.hidden_size

    def complete(self, file: RecordingFile, about: Mapping[str, Any], reading: Reading) -> None:
        """Mark a recording as complete."""
        record = {
            **self.record_head(file, self._embedder.device),
            "audio": dict(reading.audio),
            **self.made_with(),
            **about,
            **reading.as_record(),
        }
        self.folder.complete(file.recording_id, record, self.outputs(file.recording_id))

    def forget(self, file: RecordingFile) -> None:
        """Remove a recording's mark before its files are replaced."""
        self.folder.forget(file.recording_id)

    @cached_property
    def _engine(self) -> Engine:
        return self._embedder.engine(self.choices)

    def _open_sink(self, file: RecordingFile) -> Sink:
        return _FrameSink(self, file) if self._segments is None else _PoolSink(self, file, self._segments_of(file))

    def _segments_of(self, file: RecordingFile) -> Segments:
        assert self._segments is not None
        return self._segments[next(name for name in spellings(file.recording_id) if name in self._segments)]


def write_tables(folder: RunFolder, about: Mapping[str, Any], outcome: Outcome) -> Outcome:
    """Write the tables of all complete recordings: joined vectors, failures, ``run.json``.

    Args:
        folder: The folder, locked by the caller.
        about: Result of `EmbedRun.about`.
        outcome: Outcome of the run.

    Returns:
        The outcome, with damaged results among the failures.
    """
    if about["settings"]["pool"] is not None:
        layers = about["settings"]["layers"]
        outcome = without_damaged(
            folder, outcome, lambda name: [*_pooled(folder, layers, name), _pooled_segments(folder, name)]
        )
        _join(folder, about, [file.recording_id for file in outcome.complete])
    outcome = outcome.with_damaged([], mixture_notes(folder))
    folder.write_failures(outcome.all_failures)
    frames = "row i sees samples 320 i to 320 i + 399 at 16 kHz; layer 0 is the input of the first block"
    folder.write_run(run_record(folder.command, about, outcome, folder.records(), {"frames": frames}))
    return outcome


def _join(folder: RunFolder, about: Mapping[str, Any], names: Sequence[str]) -> None:
    """One table of segments and one array per layer, of all recordings in order."""
    layers, dtype = about["settings"]["layers"], about["settings"]["dtype"]
    lines: list[Iterable[object]] = [("row", *TRUTH.columns, "frames")]
    row = 0
    for name in names:
        table = _read_pooled_segments(folder, name)
        first, stop = segment_frames(table)
        duration = (folder.record(name) or {})["duration_s"]
        heard = np.minimum(stop, frame_count(seconds_to_samples(duration))) - first
        for segment, frames in zip(table, heard.tolist(), strict=True):
            times = format_seconds(segment.start), format_seconds(segment.end)
            lines.append((row, name, *times, segment.label, frames))
            row += 1
    for index, layer in enumerate(layers):
        with FrameWriter(folder.output / f"layer{layer}.npy", dtype) as vectors:
            for name in names:
                vectors.append(np.load(_pooled(folder, layers, name)[index]))
            vectors.finish((about["width"],))
    write_text(folder.output / "segments.csv", csv_text(lines))


def _pooled(folder: RunFolder, layers: Sequence[int], recording_id: str) -> list[Path]:
    """Vectors of one recording's segments, a file per layer."""
    return [path_below(folder.state / "pooled" / f"layer{k}", recording_id, ".npy") for k in layers]


def _pooled_segments(folder: RunFolder, recording_id: str) -> Path:
    """The segments of these vectors, so that the table needs no other file."""
    return path_below(folder.state / "pooled" / "segments", recording_id, ".json")


def _read_pooled_segments(folder: RunFolder, recording_id: str) -> Segments:
    rows = json.loads(_pooled_segments(folder, recording_id).read_text(encoding="utf-8"))
    return Segments.from_rows([tuple(row) for row in rows])


class _FrameSink:
    """All frames of a recording, a file per layer."""

    def __init__(self, run: EmbedRun, file: RecordingFile) -> None:
        self._run = run
        self._file = file
        run.forget(file)
        self._writers = [FrameWriter(path, run.choices.dtype) for path in run.vectors(file.recording_id)]

    def add(self, first: int, values: NDArray[np.float32]) -> None:
        for index, writer in enumerate(self._writers):
            writer.append(_stored(values[:, index], self._run.choices.dtype, self._file))

    def finish(self, reading: Reading) -> None:
        for writer in self._writers:
            writer.finish((self._run.width,))
        self._run.complete(self._file, {"frames": self._writers[0].rows}, reading)

    def abandon(self) -> None:
        for writer in self._writers:
            writer.abandon()


class _PoolSink:
    """The mean over each segment's frames, accumulated as frames arrive."""

    def __init__(self, run: EmbedRun, file: RecordingFile, segments: Segments) -> None:
        self._run = run
        self._file = file
        self._segments = segments
        self._means = SegmentMeans(segments, len(run.choices.layers), run.width)
        run.forget(file)

    def add(self, first: int, values: NDArray[np.float32]) -> None:
        self._means.add(first, values)

    def finish(self, reading: Reading) -> None:
        means = self._means.finish(reading.samples, str(self._file.path))
        for index, path in enumerate(self._run.vectors(self._file.recording_id)):
            with atomic_path(path) as temporary, temporary.open("wb") as stream:
                np.save(stream, _stored(means[:, index], self._run.choices.dtype, self._file))
        path = _pooled_segments(self._run.folder, self._file.recording_id)
        write_text(path, json.dumps([list(row) for row in self._segments]))
        self._run.complete(self._file, {"vectors": len(means)}, reading)

    def abandon(self) -> None:
        """Do nothing: nothing was written."""


def _stored(values: NDArray[np.floating], dtype: FrameType, file: RecordingFile) -> NDArray[np.floating]:
    """Values in the stored type.

    Raises:
        ComputationError: some are too large for it.
    """
    with np.errstate(over="ignore"):
        kept = values.astype(dtype)
    if not np.isfinite(kept).all():
        raise ComputationError(
            f"{file.path}: this model gives values up to {np.abs(values).max():g}, which {dtype} cannot hold; "
            "use float32",
            option="--dtype float32",
        )
    return kept
