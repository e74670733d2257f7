"""Cache of decoded recordings: one int16 file that is memory-mapped.

Reading a window is then a copy of a slice, memory does not grow with the corpus, and thousands of short recordings
need one open file. The file's name is a hash of its sources, so tasks on the same recordings share it and a changed
recording is decoded again.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.pcm import FULL_SCALE, to_pcm16
from babyhubert.audio.prefetch import side_by_side
from babyhubert.audio.recording import open_recording
from babyhubert.compute.device import decoders
from babyhubert.errors import AudioError, BabyHubertError, ReadingWarning, one_line
from babyhubert.files import file_identity, write_json
from babyhubert.frame_store import FrameWriter
from babyhubert.hashing import fingerprint
from babyhubert.kept_files import facts_of, fault_of, sync_files

_BLOCKS_AHEAD = 32
"""Blocks of half a minute that wait for the file, of each recording that is being decoded."""


@dataclass(frozen=True, eq=False)
class AudioStore:
    """Audio of many recordings.

    Attributes:
        recording_ids: Their ids.
        bounds: First sample of each recording in the file, and the end of the last: int64, (R + 1,).
        samples: All of them, int16, memory-mapped, 16 kHz.
    """

    recording_ids: tuple[str, ...]
    bounds: NDArray[np.int64]
    samples: NDArray[np.int16]

    @classmethod
    def build(cls, files: Sequence[RecordingFile], folder: Path) -> AudioStore:
        """Decode recordings into ``folder``, or open what an earlier run decoded.

        Raises:
            AudioError: some recordings cannot be read (the first is named).
            OutputError: the folder cannot be written.
        """
        path = folder / f"{_fingerprint(files)}.npy"
        index = path.with_suffix(".json")
        names = [file.recording_id for file in files]
        kept = _kept(path, index, names)
        if kept is None:
            before = _fingerprint(files)
            bounds, told = _decode(files, path)
            content: dict[str, Any] = {"recordings": names, "bounds": bounds, "warnings": told}
            if _fingerprint(files) != before:
                path.unlink(missing_ok=True)
                raise AudioError(f"{folder}: recordings were changed while they were read; run the same command again")
            sync_files([path])
            content["file"] = facts_of(path)
            write_json(index, {**content, "checksum": fingerprint(content)}, durable=True)
        else:
            bounds, told = kept
        for line in told:
            warnings.warn(line, ReadingWarning, stacklevel=2)
        return cls(tuple(names), np.array(bounds, dtype=np.int64), np.load(path, mmap_mode="r"))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Samples of each recording, int64, (R,)."""
        return np.diff(self.bounds)

    def read(self, recording: int, start: int, stop: int) -> NDArray[np.float32]:
        """Samples ``[start, stop)`` of a recording in [-1, 1]; zeros where it has none."""
        first, end = self.bounds[recording], self.bounds[recording + 1]
        read = self.samples[first + max(start, 0) : min(first + stop, end)]
        scaled = read.astype(np.float32) * np.float32(1 / FULL_SCALE)
        if len(scaled) == stop - start:
            return scaled
        whole = np.zeros(stop - start, dtype=np.float32)
        at = max(-start, 0)
        whole[at : at + len(scaled)] = scaled
        return whole


def _kept(path: Path, index: Path, names: Sequence[str]) -> tuple[list[int], list[str]] | None:
    """Bounds and warnings of an earlier run on these recordings if complete, else None; damage gives a warning."""
    if not index.is_file():
        return None
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        checksum = content.pop("checksum")
        if checksum == fingerprint(content) and content["recordings"] == list(names):
            fault = fault_of(path, content["file"])
            if fault is None:
                return list(content["bounds"]), list(map(str, content.get("warnings", ())))
        else:
            fault = "its index is not what was written"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        fault = "its index cannot be read, or an earlier version wrote it without a checksum"
    warnings.warn(f"{path}: {fault}; the recordings are decoded again", ReadingWarning, stacklevel=3)
    return None


def _fingerprint(files: Sequence[RecordingFile]) -> str:
    facts = [[file.recording_id, file_identity(file.path)] for file in files]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _decode(files: Sequence[RecordingFile], path: Path) -> tuple[list[int], list[str]]:
    """Write the samples; return the bounds, and a line for everything that was odd about reading them."""
    bounds: list[int] = [0]
    failures: list[str] = []
    told: list[str] = []
    ahead = side_by_side(map(_blocks, files), decoders(), _BLOCKS_AHEAD)
    with FrameWriter(path, np.int16) as writer, closing(ahead) as recordings:
        for blocks in recordings:
            for block in blocks:
                if isinstance(block, _Failure):
                    failures.append(block.line)
                elif isinstance(block, str):
                    told.append(block)
                else:
                    writer.append(block)
            bounds.append(writer.rows)
        if failures:
            raise AudioError(
                f"{len(failures)} of {len(files)} recordings cannot be read; repair them or take them out of the "
                f"training material (first: {failures[0]})"
            )
        writer.finish(())
    return bounds, told


@dataclass(frozen=True)
class _Failure:
    """The reason why a recording cannot be read, in a line."""

    line: str


def _blocks(file: RecordingFile) -> Iterator[NDArray[np.int16] | str | _Failure]:
    """Samples of a recording and then a line for each warning; a failure instead of the rest if it cannot be read."""
    try:
        with open_recording(file.path) as recording:
            for block in recording.blocks():
                yield to_pcm16(block.samples)
            yield from (f"{file.path}: {line}" for line in recording.warnings)
    except BabyHubertError as error:
        yield _Failure(one_line(file.path, error))
