"""Streaming of many recordings through one engine: decoding ahead in a thread, one sink per recording.

A *sink* takes a recording's frames as they arrive and completes its outputs at the end. The sink is specific to a
command; everything else about running over a folder is here. A failed recording does not affect the others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.channels import Channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.identity import identity_before, require_same
from babyhubert.audio.prefetch import prefetch
from babyhubert.errors import DiskFullError, one_line
from babyhubert.inference.engine import Failed, Finished, Frames, FrameSource
from babyhubert.progress import NoProgress, RunProgress
from babyhubert.runs.decoded import Opener, open_directly
from babyhubert.timebase import SAMPLE_RATE, samples_to_seconds

_LOG = logging.getLogger(__name__)

BLOCK_SAMPLES = 10 * SAMPLE_RATE
_BLOCKS_AHEAD = 8


class Sink(Protocol):
    """Receiver of one recording's frames."""

    def add(self, first: int, values: NDArray[np.float32]) -> None:
        """Take frames, shape (T, ...), of which the first is frame ``first`` of the recording."""

    def finish(self, reading: Reading) -> None:
        """End of the recording: complete its outputs."""

    def abandon(self) -> None:
        """Failure of the recording: delete its files."""


@dataclass(frozen=True)
class Reading:
    """Information about the reading of a recording.

    Attributes:
        samples: Its length at 16 kHz, as decoded.
        channel: The channel in use, for the record.
        warnings: Warnings of the reader, a sentence each.
        audio: Identity of the file that was read (`files.file_identity`).
        seconds: Wall time from its first block to its last frame. On an accelerator, recordings that are read side by
            side share it.
    """

    samples: int = 0
    channel: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    audio: Mapping[str, Any] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """Fields for a recording's record."""
        duration = samples_to_seconds(self.samples)
        return {
            "duration_s": duration,
            "channel": self.channel,
            "warnings": list(self.warnings),
            "seconds": round(self.seconds, 3),
            "times_real_time": round(duration / self.seconds, 1) if self.seconds > 0 else None,
        }


def run_recordings(
    engine: FrameSource,
    files: Sequence[RecordingFile],
    open_sink: Callable[[RecordingFile], Sink],
    channel: Channel = "mean",
    progress: RunProgress | None = None,
    opener: Opener = open_directly,
) -> list[tuple[Path, str]]:
    """Run an engine over recordings, each into a sink of its own.

    A recording that cannot be read, or whose outputs cannot be written, is abandoned and reported; the others
    continue. A full disk ends the run, because it would fail them all.

    Returns:
        Path and one-line error of each recording that failed.

    Raises:
        DiskFullError: the disk is full.
    """
    progress = progress or NoProgress()
    by_id = {file.recording_id: file for file in files}
    streams = {file.recording_id: _Stream(file, channel, progress, opener) for file in files}
    sinks: dict[str, Sink] = {}
    failures: dict[str, str] = {}

    def take(key: str, event: Frames | Finished | Failed) -> None:
        if isinstance(event, Failed):
            raise event.error
        sink = sinks.get(key) or sinks.setdefault(key, open_sink(by_id[key]))
        if isinstance(event, Frames):
            sink.add(event.first, event.values)
        else:
            reading = streams[key].reading(event.samples)
            sink.finish(reading)
            del sinks[key]
            length = samples_to_seconds(reading.samples)
            _LOG.info("%s: %.1f s of audio in %.1f s, channel %s", key, length, reading.seconds, reading.channel)
            progress.done(key, None)

    try:
        for event in engine.run((key, stream.blocks()) for key, stream in streams.items()):
            key = str(event.key)
            if key in failures:
                continue
            try:
                take(key, event)
            except DiskFullError:
                raise
            except Exception as error:  # one bad recording never stops the others
                failures[key] = one_line(by_id[key].path, error)
                _LOG.info("failed: %s", failures[key], exc_info=error)
                progress.done(key, failures[key])
                if key in sinks:
                    sinks.pop(key).abandon()
    finally:
        for sink in sinks.values():
            sink.abandon()
    return [(by_id[key].path, message) for key, message in failures.items()]


class _Stream:
    """A recording's blocks, and the information found while reading them."""

    def __init__(self, file: RecordingFile, channel: Channel, progress: RunProgress, opener: Opener) -> None:
        self._opener = opener
        self._file = file
        self._channel = channel
        self._progress = progress
        self._reading = Reading()
        self._began = 0.0

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        self._began = time.perf_counter()
        path = self._file.path
        identity = identity_before(path)
        with self._opener(path, self._channel) as recording:
            for block in prefetch(recording.blocks(BLOCK_SAMPLES), depth=_BLOCKS_AHEAD):
                self._progress.advance(self._file.recording_id, len(block.samples))
                yield block.samples
            warnings = tuple(recording.warnings)
            self._reading = Reading(channel=str(recording.channel), warnings=warnings, audio=identity)
        require_same(path, identity)

    def reading(self, samples: int) -> Reading:
        return replace(self._reading, samples=samples, seconds=time.perf_counter() - self._began)
