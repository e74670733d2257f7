"""Training material for voice type: annotated recordings, and the windows drawn from them.

A data folder holds recordings anywhere below it and their annotations as RTTM below ``rttm/`` (the simulator's output,
and the published ``wav/`` + ``rttm/`` layout). Recordings are decoded once, to int16 files that are memory-mapped, so
that drawing a window costs nothing and memory does not grow with the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from babyhubert.annotation.frames import FRAME_HOP, RasterRule, frame_count
from babyhubert.annotation.rttm import rttm_uri
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.tables import read_annotations
from babyhubert.audio.discovery import RecordingFile, discover
from babyhubert.audio.recording import open_recording
from babyhubert.errors import AnnotationError
from babyhubert.frame_store import FrameWriter
from babyhubert.tasks.voice_type import frame_targets


@dataclass(frozen=True, eq=False)
class LabelledRecording:
    """A recording ready to draw from.

    Attributes:
        recording_id: Its id.
        audio: int16, shape (n,), memory-mapped, 16 kHz.
        targets: Multi-hot, uint8, shape (T(n), C).
    """

    recording_id: str
    audio: NDArray[np.int16]
    targets: NDArray[np.uint8]

    def window(self, first_frame: int, samples: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The window that starts at a frame: samples in [-1, 1], shape (samples,), and targets, (T(samples), C)."""
        start = first_frame * FRAME_HOP
        audio = self.audio[start : start + samples].astype(np.float32) / np.float32(32768)
        return audio, self.targets[first_frame : first_frame + frame_count(samples)].astype(np.float32)


def load_labelled(
    folder: Path, labels: Sequence[str], cache: Path, *, rule: RasterRule = "cell"
) -> list[LabelledRecording]:
    """Recordings of a data folder that have annotations, decoded into ``cache``.

    Raises:
        AnnotationError: no ``rttm`` folder, no recording with an annotation, or an annotation without its recording.
        AudioError: a recording cannot be read.
    """
    folder = Path(folder)
    annotations = read_annotations(folder / "rttm")
    files = {_annotation_name(file, annotations): file for file in discover([folder])}
    missing = sorted(set(annotations) - set(files))
    if missing:
        raise AnnotationError(
            f"{folder}: {len(missing)} annotations name recordings that are not there (first: {missing[0]})"
        )
    return [_prepare(files[name], segments, labels, cache, rule) for name, segments in sorted(annotations.items())]


def draw_batches(
    recordings: Sequence[LabelledRecording],
    window_samples: int,
    batch_size: int,
    steps: int,
    rng: np.random.Generator,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Random training batches: recordings in proportion to their length, starts uniform on the frame grid.

    Yields:
        Waveforms, float32, (B, window_samples), and targets, float32, (B, T, C); ``steps`` times.
    """
    usable = [r for r in recordings if len(r.audio) >= window_samples]
    if not usable:
        raise AnnotationError(f"no recording is as long as a training window ({window_samples / 16_000} s)")
    lengths = np.array([len(r.audio) for r in usable], dtype=np.float64)
    for _ in range(steps):
        chosen = rng.choice(len(usable), size=batch_size, p=lengths / lengths.sum())
        windows = []
        for index in chosen:
            last = (len(usable[index].audio) - window_samples) // FRAME_HOP
            windows.append(usable[index].window(int(rng.integers(last + 1)), window_samples))
        yield _stack(windows)


def tile_batches(
    recordings: Sequence[LabelledRecording], window_samples: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every full window of every recording, once, in order: what validation sees is always the same."""
    frames = frame_count(window_samples)
    windows = [
        recording.window(first, window_samples)
        for recording in recordings
        for first in range(0, (len(recording.audio) - window_samples) // FRAME_HOP + 1, frames)
    ]
    for begin in range(0, len(windows), batch_size):
        yield _stack(windows[begin : begin + batch_size])


def _stack(windows: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> tuple[Tensor, Tensor]:
    waveforms, targets = zip(*windows, strict=True)
    return torch.from_numpy(np.stack(waveforms)), torch.from_numpy(np.stack(targets))


def _annotation_name(file: RecordingFile, annotations: dict[str, Segments]) -> str:
    """Annotations name a recording by its id, or by its bare name (``wav/x.wav`` is annotated as ``x``)."""
    uri = rttm_uri(file.recording_id)
    return uri if uri in annotations else uri.rpartition("/")[2]


def _prepare(
    file: RecordingFile, segments: Segments, labels: Sequence[str], cache: Path, rule: RasterRule
) -> LabelledRecording:
    path = cache / f"{file.recording_id}.npy"
    if not path.exists() or path.stat().st_mtime < file.path.stat().st_mtime:
        _decode(file.path, path)
    audio = np.load(path, mmap_mode="r")
    targets = frame_targets(segments, labels, 0, frame_count(len(audio)), rule).astype(np.uint8)
    return LabelledRecording(file.recording_id, audio, targets)


def _decode(source: Path, target: Path) -> None:
    with open_recording(source) as recording, FrameWriter(target, np.int16) as writer:
        for block in recording.blocks():
            writer.append(np.clip(np.rint(block.samples * 32768), -32768, 32767))
        writer.finish(())
