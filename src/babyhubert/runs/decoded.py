"""Storage of a decoded recording for several models: its samples are in a file while all of them run.

Memory stays bounded and the samples are exactly those of decoding. A recording that is as fast to read as such a file
(16 kHz wav) is read again instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from babyhubert.audio.channels import Channel
from babyhubert.audio.identity import identity_before, require_same
from babyhubert.audio.recording import Block, Recording, open_recording
from babyhubert.frame_store import FrameWriter
from babyhubert.timebase import SAMPLE_RATE


class OpenedAudio(Protocol):
    """Interface of an open recording for a run."""

    @property
    def channel(self) -> str | int:
        """The channel in use."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the recording."""

    def blocks(self, block_samples: int) -> Iterator[Block]:
        """The complete recording, in order."""


Opener = Callable[[Path, Channel], AbstractContextManager[OpenedAudio]]


@contextmanager
def open_directly(path: Path, channel: Channel) -> Iterator[Recording]:
    """The recording itself, decoded as it is read."""
    with open_recording(path, channel) as recording:
        yield recording


@dataclass(frozen=True)
class _Kept:
    channel: str | int
    warnings: tuple[str, ...]
    file: Path

    def blocks(self, block_samples: int) -> Iterator[Block]:
        samples = np.load(self.file, mmap_mode="r")
        for start in range(0, len(samples), block_samples):
            yield Block(start, np.array(samples[start : start + block_samples]))


class _Keeping:
    """A recording whose samples are stored as they are read; complete only if it is read to its end."""

    def __init__(self, recording: Recording, file: Path) -> None:
        self._recording = recording
        self._file = file

    @property
    def channel(self) -> str | int:
        return self._recording.channel

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._recording.warnings

    def blocks(self, block_samples: int) -> Iterator[Block]:
        with FrameWriter(self._file, np.float32) as writer:
            for block in self._recording.blocks(block_samples):
                writer.append(block.samples)
                yield block
            writer.finish(())


class DecodedRecording:
    """A recording that is decoded at its first reading. A context manager, which deletes the file at the end.

    Args:
        file: File of the samples, ending in ``.npy``.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept: _Kept | None = None
        self._identity: dict[str, Any] | None = None

    def __enter__(self) -> Opener:
        return self._open

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    @contextmanager
    def _open(self, path: Path, channel: Channel) -> Iterator[OpenedAudio]:
        if self._identity is None:
            self._identity = identity_before(path)
        require_same(path, self._identity)
        if self._kept is not None:
            yield self._kept
            return
        with open_recording(path, channel) as recording:
            if recording.info.container == "WAV" and recording.info.sample_rate == SAMPLE_RATE:
                yield recording
                return
            yield _Keeping(recording, self._file)
            if self._file.is_file():
                self._kept = _Kept(recording.channel, recording.warnings, self._file)
