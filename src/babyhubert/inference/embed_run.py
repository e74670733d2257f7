"""Representations of many recordings: frames of any layers, or one vector a segment, as ``.npy`` files.

Whole recordings: ``layer<k>/<id>.npy``, shape (T, D), written while it is computed. Segments: ``layer<k>.npy``, shape
(N, D), whose row i is the mean over the frames of row i of ``segments.csv`` beside it. A segment's vector is the mean
of exactly those rows that the whole recording's file would hold, so the model hears what surrounds it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from babyhubert.annotation.frames import FRAME_HOP, frame_count, frame_spans
from babyhubert.annotation.rttm import rttm_uri
from babyhubert.annotation.segments import Segments
from babyhubert.audio.channels import Channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.preflight import PreflightReport
from babyhubert.device import resolve_device, windows_per_batch
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.loading import load_encoder, model_hash, resolve_model
from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.files import atomic_path, make_folder, write_json, write_text
from babyhubert.frame_store import FrameWriter
from babyhubert.hashing import fingerprint
from babyhubert.inference.engine import Engine
from babyhubert.inference.recordings import Reading, Sink, run_recordings
from babyhubert.inference.windows import WindowPlan
from babyhubert.progress import NoProgress, RunProgress
from babyhubert.run_folder import RunFolder, file_identity
from babyhubert.run_record import RunSummary, software_versions
from babyhubert.timebase import format_seconds, seconds_to_samples

FrameType = Literal["float16", "float32"]


@dataclass(frozen=True)
class EmbedSettings:
    """What changes a representation besides the model.

    Attributes:
        layers: 0 is the input of the first transformer block, k the output of the k-th (as ``hidden_states`` in
            transformers).
        plan: Windows; each frame is taken from the window in whose middle it lies deepest.
        dtype: What is stored.
    """

    layers: tuple[int, ...]
    plan: WindowPlan = field(default_factory=lambda: WindowPlan.from_overlap(20.0, 0.2))
    dtype: FrameType = "float32"


@dataclass(frozen=True, eq=False)
class Embedder:
    """An encoder ready to run over recordings.

    Attributes:
        encoder: In evaluation mode, on its device.
        name: Where it came from.
        hash: SHA-256 of its weights file.
        batch_size: Windows in one call; None chooses.
    """

    encoder: HubertEncoder
    name: str
    hash: str
    batch_size: int | None = None

    @classmethod
    def load(cls, source: str | Path, *, device: str = "auto", batch_size: int | None = None) -> Embedder:
        """Load any encoder: a model folder, a checkpoint of any published layout, a hub repository."""
        path = resolve_model(str(source))
        encoder = load_encoder(path, device=resolve_device(device))
        return cls(encoder, str(source), model_hash(path), batch_size)

    @property
    def device(self) -> torch.device:
        """Where the encoder runs."""
        return next(self.encoder.parameters()).device

    def check_layers(self, layers: Sequence[int]) -> None:
        """Raise ConfigError for a layer the encoder does not have."""
        for layer in layers:
            if not 0 <= layer <= self.encoder.config.layers:
                raise ConfigError(f"layer {layer}: this encoder has layers 0 to {self.encoder.config.layers}")

    def engine(self, settings: EmbedSettings, wanted: _Wanted | None = None) -> Engine:
        """The engine that gives frames of shape (T, L, D) for the layers asked for."""
        size = self.batch_size or windows_per_batch(self.device, settings.plan.length, self.encoder.config.conv_dim[0])
        mix = self.device.type != "cpu"

        @torch.inference_mode()
        def hidden_states(waveforms: Tensor) -> Tensor:
            output = self.encoder(waveforms.to(self.device, non_blocking=True), layers=settings.layers)
            return torch.stack([output.hidden[layer] for layer in settings.layers], dim=2)

        return Engine(hidden_states, settings.plan, size, "crop", mix, wanted)


class _Wanted:
    """Tells which stretches of frames hold one of any segment."""

    def __init__(self, spans: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]) -> None:
        self._spans = spans

    def __call__(self, key: Hashable, begin: int, end: int) -> bool:
        first, stop = self._spans[str(key)]
        return bool(np.any((first < end) & (stop > begin)))


class EmbedRun:
    """One run of ``embed`` over recordings into a folder.

    Args:
        folder: The output folder, held while the run is executed.
        embedder: The encoder.
        settings: Layers, windows, storage.
        channel: Channel choice.
        segments: Where given, one vector a segment; by recording id.
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
        self._folder = folder
        self._embedder = embedder
        self._settings = settings
        self._channel = channel
        self._segments = segments
        self._record = {
            "model_sha256": embedder.hash,
            "layers": list(settings.layers),
            "plan": settings.plan.describe(),
            "dtype": settings.dtype,
            "channel": str(channel),
            "pool": None if segments is None else "mean",
        }

    def execute(
        self, checked: PreflightReport, progress: RunProgress | None = None, *, force: bool = False
    ) -> RunSummary:
        """Process every good recording that is not complete; join pooled vectors into one table."""
        progress = progress or NoProgress()
        began = datetime.now(UTC)
        infos = dict(checked.good)
        if self._segments is None:  # a file in a folder's place is told before hours of computing
            for layer in self._settings.layers:
                make_folder(self._folder.output / f"layer{layer}")
        tables = self._tables(list(infos), [file for file, _ in checked.bad])
        files = [file for file in infos if tables is None or file.recording_id in tables]
        new = [file for file in files if force or not self._is_whole(file)]
        progress.start(len(new), sum(infos[file].n_samples for file in new), len(files) - len(new))
        spans = {} if tables is None else {name: _spans(table) for name, table in tables.items()}
        engine = self._embedder.engine(self._settings, None if tables is None else _Wanted(spans))

        def open_sink(file: RecordingFile) -> Sink:
            if tables is None:
                return _FrameSink(self, file)
            return _PoolSink(self, file, spans[file.recording_id])

        failures = [(file.path, error) for file, error in checked.bad]
        failures += run_recordings(engine, new, open_sink, self._channel, progress)
        if tables is not None:
            self._join([file.recording_id for file in files if self._is_whole(file)], tables)
        self._folder.write_failures(failures)
        write_json(self._folder.output / "run.json", self._run_record(failures, began))
        failed_now = len(failures) - len(checked.bad)
        return RunSummary(len(new) - failed_now, len(files) - len(new), failures)

    def outputs(self, recording_id: str) -> list[Path]:
        """The files of one recording, one a layer."""
        if self._segments is None:
            return [self._folder.output / f"layer{k}" / f"{recording_id}.npy" for k in self._settings.layers]
        return [self._folder.state / "pooled" / f"layer{k}" / f"{recording_id}.npy" for k in self._settings.layers]

    @property
    def settings(self) -> EmbedSettings:
        """The run's settings."""
        return self._settings

    @property
    def width(self) -> int:
        """Values a vector."""
        return self._embedder.encoder.config.hidden_size

    def complete(self, file: RecordingFile, about: Mapping[str, Any]) -> None:
        """Mark a recording as complete."""
        record = {"path": str(file.path), "audio": file_identity(file.path), "result": self._fingerprint(file)}
        self._folder.complete(file.recording_id, {**record, **about})

    def forget(self, file: RecordingFile) -> None:
        """Take a recording's mark back before its files are replaced."""
        self._folder.forget(file.recording_id)

    def _fingerprint(self, file: RecordingFile) -> str:
        rows = [] if self._segments is None else [list(row) for row in self._segments_of(file) or ()]
        return fingerprint({**self._record, "segments": rows})

    def _segments_of(self, file: RecordingFile) -> Segments | None:
        assert self._segments is not None
        names = (file.recording_id, rttm_uri(file.recording_id))
        return next((self._segments[name] for name in names if name in self._segments), None)

    def _tables(self, files: Sequence[RecordingFile], bad: Sequence[RecordingFile]) -> dict[str, Segments] | None:
        if self._segments is None:
            return None
        found = {file.recording_id: self._segments_of(file) for file in files}
        tables = {name: table for name, table in found.items() if table is not None}
        given = {file.recording_id for file in (*files, *bad)}
        absent = sorted(set(self._segments) - given - {rttm_uri(name) for name in given})
        if absent:
            raise AnnotationError(
                f"the segments name {len(absent)} recordings that were not given (first: {absent[0]}); "
                "give their audio or take them out"
            )
        return tables

    def _is_whole(self, file: RecordingFile) -> bool:
        record = self._folder.record(file.recording_id)
        return (
            record is not None
            and record.get("audio") == file_identity(file.path)
            and record.get("result") == self._fingerprint(file)
            and all(path.exists() for path in self.outputs(file.recording_id))
        )

    def _join(self, names: Sequence[str], tables: Mapping[str, Segments]) -> None:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(("row", "recording_id", "start_s", "end_s", "label", "frames"))
        row = 0
        for name in names:
            first, stop = _spans(tables[name])
            duration = (self._folder.record(name) or {})["duration_s"]
            heard = np.minimum(stop, frame_count(seconds_to_samples(duration))) - first
            for segment, frames in zip(tables[name], heard.tolist(), strict=True):
                times = format_seconds(segment.start), format_seconds(segment.end)
                writer.writerow((row, name, *times, segment.label, frames))
                row += 1
        for index, layer in enumerate(self._settings.layers):
            with FrameWriter(self._folder.output / f"layer{layer}.npy", self._settings.dtype) as vectors:
                for name in names:
                    vectors.append(np.load(self.outputs(name)[index]))
                vectors.finish((self.width,))
        write_text(self._folder.output / "segments.csv", buffer.getvalue())

    def _run_record(self, failures: Sequence[tuple[Path, str]], began: datetime) -> dict[str, Any]:
        return {
            "command": "embed",
            "began": began.isoformat(timespec="seconds"),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": software_versions(),
            "model": {"source": self._embedder.name, "sha256": self._embedder.hash},
            "device": str(self._embedder.device),
            "settings": self._record,
            "frames": "row i sees samples 320 i to 320 i + 399 at 16 kHz; layer 0 is the input of the first block",
            "recordings": [
                {key: value for key, value in record.items() if key not in ("audio", "result")}
                for record in self._folder.records()
            ],
            "failures": [{"path": str(path), "error": error} for path, error in failures],
        }


class _FrameSink:
    """All frames of a recording, a file a layer."""

    def __init__(self, run: EmbedRun, file: RecordingFile) -> None:
        self._run = run
        self._file = file
        run.forget(file)
        self._writers = [FrameWriter(path, run.settings.dtype) for path in run.outputs(file.recording_id)]

    def add(self, first: int, values: NDArray[np.float32]) -> None:
        for index, writer in enumerate(self._writers):
            writer.append(values[:, index])

    def finish(self, reading: Reading) -> None:
        for writer in self._writers:
            writer.finish((self._run.width,))
        self._run.complete(self._file, {"frames": self._writers[0].rows, **reading.as_record()})

    def abandon(self) -> None:
        for writer in self._writers:
            writer.abandon()


class _PoolSink:
    """The mean over each segment's frames, as the frames come; holds one sum a segment."""

    def __init__(self, run: EmbedRun, file: RecordingFile, spans: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
        self._run = run
        self._file = file
        self._first, self._stop = spans
        self._sums = np.zeros((len(self._first), len(run.settings.layers), run.width))
        self._counts = np.zeros(len(self._first), dtype=np.int64)
        run.forget(file)

    def add(self, first: int, values: NDArray[np.float32]) -> None:
        begin, end = first, first + len(values)
        for row in np.flatnonzero((self._first < end) & (self._stop > begin)):
            part = values[max(self._first[row] - begin, 0) : self._stop[row] - begin]
            self._sums[row] += part.sum(axis=0, dtype=np.float64)
            self._counts[row] += len(part)

    def finish(self, reading: Reading) -> None:
        if np.any(self._counts == 0):
            row = int(np.flatnonzero(self._counts == 0)[0])
            start = format_seconds(int(self._first[row]) * FRAME_HOP)
            raise AnnotationError(
                f"{self._file.path}: a segment at {start} s lies past the recording's last frame "
                f"({format_seconds(reading.samples)} s long); correct the segments file"
            )
        means = self._sums / np.maximum(self._counts, 1)[:, None, None]
        for index, path in enumerate(self._run.outputs(self._file.recording_id)):
            with atomic_path(path) as temporary, temporary.open("wb") as stream:
                np.save(stream, means[:, index].astype(self._run.settings.dtype))
        self._run.complete(self._file, {"vectors": len(means), **reading.as_record()})

    def abandon(self) -> None:
        """Nothing was written."""


def _spans(table: Segments) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames of each segment, one at least."""
    first, stop = frame_spans(table.start, table.end, np.iinfo(np.int64).max)
    return first, np.maximum(stop, first + 1)
