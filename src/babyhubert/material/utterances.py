"""Training utterances: their positions, their windows, and their order in an epoch.

Shared by the utterance-level tasks (addressee, phonemes). Training batches hold windows of nearly equal length, so
that little is padding; validation batches hold windows of exactly equal length, so that no result depends on other
rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals
from babyhubert.annotation.raster import frame_counts
from babyhubert.audio.discovery import RecordingFile
from babyhubert.errors import AnnotationError
from babyhubert.material.audio_store import AudioStore
from babyhubert.material.augmentation import Augmentation, Warps, warp
from babyhubert.material.batch import Batch
from babyhubert.material.settings import DataSettings, SkippedMaterial, SourceRecording, SourceRow, Sources
from babyhubert.material.sources import EXCLUDED_SPEAKER, excluded_speakers, hold_out, is_by, read_sources
from babyhubert.material.windows import Samples, Windows, shifted
from babyhubert.timebase import FRAME_RECEPTIVE_FIELD, SAMPLE_RATE

POOL_BATCHES = 50
"""Batches among which windows are sorted by length."""

Place = Callable[[Samples, Samples, Samples], Windows]
"""From start, end, and length of the recording, (S,) each, to windows."""


@dataclass(frozen=True)
class Row:
    """A row of a source with its recording and the group that a split keeps together."""

    recording: SourceRecording
    row: SourceRow
    group: str

    @property
    def name(self) -> str:
        """Name of the row for messages."""
        return self.row.where

    @property
    def place(self) -> tuple[Path, int, int | None]:
        """Position of its sound: file, first sample, and sample after the last."""
        return self.recording.file.path, self.row.start, self.row.end


@dataclass(frozen=True, eq=False)
class Utterances:
    """Utterances of many recordings.

    Attributes:
        store: Audio of the recordings.
        recording: Index of each one's recording, (S,).
        start: First sample, (S,).
        end: Sample after the last, (S,).
        windows: Window of each.
        times: Number of copies of each in an epoch of training, (S,).
    """

    store: AudioStore
    recording: Samples
    start: Samples
    end: Samples
    windows: Windows
    times: Samples

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def place(cls, rows: Sequence[Row], store: AudioStore, place: Place) -> Utterances:
        """Build utterances of rows whose recordings are in a store, with windows by a rule.

        Raises:
            AnnotationError: an utterance lies outside its recording.
        """
        index = {recording_id: number for number, recording_id in enumerate(store.recording_ids)}
        recording = np.array([index[row.recording.file.recording_id] for row in rows], dtype=np.int64)
        lengths = store.lengths[recording]
        start = np.array([row.row.start for row in rows], dtype=np.int64)
        end = np.array([-1 if row.row.end is None else row.row.end for row in rows], dtype=np.int64)
        end = np.minimum(np.where(end < 0, lengths, end), lengths)
        for outside in np.flatnonzero(end <= start).tolist():
            raise AnnotationError(
                f"{rows[outside].name}: nothing of it lies in its recording, which is "
                f"{lengths[outside] / SAMPLE_RATE:.3f} s long ({rows[outside].recording.file.path})"
            )
        times = np.array([row.recording.times for row in rows], dtype=np.int64)
        return cls(store, recording, start, end, place(start, end, lengths), times)

    def where(self, keep: NDArray[np.bool_]) -> Utterances:
        """Select utterances by a mask, bool (S,)."""
        parts = (self.recording[keep], self.start[keep], self.end[keep], self.windows[keep], self.times[keep])
        return Utterances(self.store, *parts)

    @property
    def seconds(self) -> float:
        """Seconds of audio in the utterances themselves."""
        return float((self.end - self.start).sum()) / SAMPLE_RATE

    def read(self, rows: Samples) -> WindowBatch:
        """Read the windows of some utterances, unchanged."""
        return self._read(self.recording[rows], self.windows[rows], Warps.none(len(rows)))

    def read_changed(
        self, rows: Samples, augmentation: Augmentation, context: int | None, rng: np.random.Generator
    ) -> WindowBatch:
        """Read windows for training: moved at random by windows of ``context`` (None: not moved), warped and
        augmented.
        """
        read = self.read_warped(rows, augmentation, context, rng)
        return replace(read, waveforms=augmentation(read.waveforms, read.lengths, rng))

    def read_warped(
        self, rows: Samples, augmentation: Augmentation, context: int | None, rng: np.random.Generator
    ) -> WindowBatch:
        """Read windows for training: moved and warped, not yet augmented otherwise."""
        windows, recording = self.windows[rows], self.recording[rows]
        if context is not None:
            windows = shifted(windows, self.store.lengths[recording], context, rng)
        return self._read(recording, windows, augmentation.warps(len(rows), rng))

    def _read(self, recording: Samples, windows: Windows, warps: Warps) -> WindowBatch:
        lengths = np.maximum(np.rint(windows.width / warps.tempo).astype(np.int64), FRAME_RECEPTIVE_FIELD)
        waveforms = np.zeros((len(recording), int(lengths.max())), dtype=np.float32)
        places = zip(recording.tolist(), windows.start.tolist(), windows.stop.tolist(), strict=True)
        for number, (index, start, stop) in enumerate(places):
            audio = self.store.read(index, start, stop)
            if warps.tempo[number] != 1.0 or warps.pitch[number] != 1.0:
                audio = warp(audio, int(lengths[number]), float(warps.pitch[number]))
            waveforms[number, : len(audio)] = audio
        frames = frame_counts(lengths)
        first = np.clip(np.rint(windows.first_frame / warps.tempo).astype(np.int64), 0, frames - 1)
        stop = np.clip(np.rint(windows.stop_frame / warps.tempo).astype(np.int64), first + 1, frames)
        return WindowBatch(waveforms, lengths, first, stop)


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """Windows that were read.

    Attributes:
        waveforms: float32, (B, n), zeros after each one's end.
        lengths: Samples of each, (B,).
        first_frame: First frame of the utterance in its window, (B,).
        stop_frame: Frame after its last.
    """

    waveforms: NDArray[np.float32]
    lengths: Samples
    first_frame: Samples
    stop_frame: Samples

    def batch(self, targets: Mapping[str, NDArray], weight: float) -> Batch:
        """Convert to a batch of the training loop."""
        whole = bool((self.lengths == self.waveforms.shape[1]).all())
        return Batch(
            torch.from_numpy(self.waveforms),
            None if whole else torch.from_numpy(self.lengths),
            {name: torch.from_numpy(values) for name, values in targets.items()},
            weight,
            float(self.lengths.sum()) / SAMPLE_RATE,
        )


class EpochOrder:
    """Batches of every epoch: each utterance with its number of copies, similar lengths together.

    Args:
        lengths: Samples of each window, (S,).
        times: Number of copies of each in an epoch, (S,).
        batch_size: Utterances of a batch; the last one of an epoch may hold fewer.
        seed: Seed of all epochs.
    """

    def __init__(self, lengths: Samples, times: Samples, batch_size: int, seed: int) -> None:
        self._lengths, self._size, self._seed = lengths, batch_size, seed
        self._rows = np.repeat(np.arange(len(lengths)), times)
        self.batches = max(1, -(-len(self._rows) // batch_size))
        self._epoch = lru_cache(maxsize=2)(self._order)

    def batch(self, number: int) -> Samples:
        """Utterances of a batch, counted from the first of the first epoch."""
        epoch, within = divmod(number, self.batches)
        return self._epoch(epoch)[within]

    def _order(self, epoch: int) -> list[Samples]:
        rng = np.random.default_rng([self._seed, 2, epoch])
        order = self._rows[rng.permutation(len(self._rows))]
        pool = POOL_BATCHES * self._size
        batches = []
        for begin in range(0, len(order), pool):
            part = order[begin : begin + pool]
            part = part[np.argsort(self._lengths[part], kind="stable")]
            batches += [part[first : first + self._size] for first in range(0, len(part), self._size)]
        return [batches[index] for index in rng.permutation(len(batches))]


def equal_length_batches(lengths: Samples, batch_size: int) -> Iterator[Samples]:
    """Batches of windows of one length that contain every utterance once."""
    order = np.argsort(lengths, kind="stable")
    edges = np.flatnonzero(np.diff(lengths[order])) + 1
    for run in np.split(order, edges):
        for first in range(0, len(run), batch_size):
            yield run[first : first + batch_size]


def split_rows(
    data: DataSettings,
    task: str,
    wanted: Callable[[SourceRow], bool],
    group_columns: Sequence[str],
    left_out: SkippedMaterial,
) -> tuple[list[Row], list[Row]]:
    """Read rows and split them into training and validation.

    Args:
        data: Settings of the material.
        task: Its name, for messages.
        wanted: Selects the rows of the task.
        group_columns: Columns of the groups that a split keeps together, unless a source names its own; without any of
            them, recordings are kept together.
        left_out: Receives rows held out for a test and rows without times.

    Raises:
        AnnotationError: no material, none for validation, or the same for both.
    """
    train = _rows(data.train, wanted, group_columns, left_out)
    if not train:
        raise AnnotationError(
            f"{task}: no utterance to train on ({str(left_out) or 'none is of the voices it is about'})"
        )
    groups = [row.group for row in train]
    if data.validation is not None:
        validation = _rows(data.validation, wanted, group_columns, left_out)
        _refuse_common(train, validation)
        held, test = frozenset[str](), hold_out(groups, 0.0, data.test_share, data.split_seed)[1]
    elif data.validation_share:
        held, test = hold_out(groups, data.validation_share, data.test_share, data.split_seed)
        validation = [row for row in train if row.group in held]
    else:
        raise AnnotationError(f"no validation material: give {task}.data.validation or {task}.data.validation_share")
    for row in train:
        if row.group in test:
            left_out.add("held out for a test", row.name)
    train = [row for row in train if row.group not in held | test]
    if not train or not validation:
        raise AnnotationError(f"{task}: no utterance to {'validate' if train else 'train'} on")
    return train, validation


def build_store(rows: Sequence[Row], cache: Path) -> AudioStore:
    """Open the audio of the recordings that rows are in."""
    files: dict[str, RecordingFile] = {row.recording.file.recording_id: row.recording.file for row in rows}
    return AudioStore.build(list(files.values()), cache)


def _rows(
    sources: Sources, wanted: Callable[[SourceRow], bool], group_columns: Sequence[str], left_out: SkippedMaterial
) -> list[Row]:
    rows = []
    found = read_sources(sources, left_out)
    absent = excluded_speakers(source for source, _ in found)
    for source, recording in found:
        names = (source.group_column,) if source.group_column else group_columns
        speakers = absent[source.without_speakers or ""]
        for row in filter(wanted, recording.untimed):
            left_out.add("no time mark", row.where)
        for row in filter(wanted, recording.rows):
            if is_by(row, speakers):
                left_out.add(EXCLUDED_SPEAKER, row.where)
            elif not _is_annotated(row, recording.annotated):
                left_out.add("in a stretch that was not annotated", row.where)
            else:
                rows.append(Row(recording, row, _group(recording, row, names)))
    return rows


def _is_annotated(row: SourceRow, annotated: Intervals | None) -> bool:
    """True if the middle of an utterance was annotated; the start, if it has no end."""
    if annotated is None:
        return True
    start, end = annotated
    middle = row.start if row.end is None else (row.start + row.end) // 2
    return bool(((start <= middle) & (middle < end)).any())


def _refuse_common(train: Sequence[Row], validation: Sequence[Row]) -> None:
    places = {row.place for row in train}
    for row in validation:
        if row.place in places:
            raise AnnotationError(f"{row.name}: is in training and in validation material")


def _group(recording: SourceRecording, row: SourceRow, names: Sequence[str]) -> str:
    found = next((row.fields[name] for name in names if row.fields.get(name)), None)
    return found or recording.group or recording.file.recording_id
