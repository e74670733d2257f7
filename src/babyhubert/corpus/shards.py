"""Packed training material on disk: audio of all segments in a few flat files, and the labels that belong to it.

A *pack* is a folder::

    pack.json           what it was made from, its shards with their sizes and SHA-256
    index.parquet       one row a segment (columns of `INDEX_TYPES`), in the order of the shards
    shards/00000.i16    16 kHz mono audio, little-endian int16, one segment after the other

*Labels* of a pack are another folder, so that one pack serves several teachers::

    labels.json         which pack, which teacher, which k-means
    shards/00000.u16    little-endian uint16, frames of one segment after the other, in the order of the shard

Everything is memory-mapped: opening costs the index, reading a crop costs its bytes.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.parquet import read_table, write_table
from babyhubert.annotation.raster import frame_counts
from babyhubert.audio.pcm import FULL_SCALE
from babyhubert.errors import CorpusError
from babyhubert.files import write_json
from babyhubert.hashing import file_sha256, fingerprint
from babyhubert.timebase import samples_to_hours

PACK_FORMAT = 1
LABELS_FORMAT = 1
INDEX_TYPES = {
    "recording_id": "string",
    "start": "int64",
    "samples": "int64",
    "shard": "int32",
    "offset": "int64",
    "frame_offset": "int64",
    "split": "string",
}
"""A segment: where it lies in its recording (samples), its length, its shard, where it begins there in samples and in
frames, and ``train`` or ``validation``."""

_OPEN_FILES = 16

Split = Literal["train", "validation"]


@dataclass(frozen=True)
class Shard:
    """A flat file: its number, content, and checksum."""

    number: int
    samples: int
    frames: int
    segments: int
    sha256: str

    @property
    def audio_name(self) -> str:
        """Name of its audio file."""
        return f"{self.number:05d}.i16"

    @property
    def labels_name(self) -> str:
        """Name of its label file."""
        return f"{self.number:05d}.u16"


@dataclass(frozen=True, eq=False)
class Pack:
    """An open pack. Rows are segments, in the order of the shards; arrays have shape (segments,).

    Attributes:
        folder: Its folder.
        shards: Its files.
        recordings: Distinct recording ids.
        recording: Index into ``recordings``, int32.
        start: First sample in the recording, int64.
        samples: Length, int64.
        frames: Frames of that length, int64.
        shard: Number of the shard, int32.
        offset: First sample in the shard, int64.
        frame_offset: First frame in the shard's labels, int64.
        validation: True for held-out segments, bool.
        facts: Further content of ``pack.json``.
    """

    folder: Path
    shards: tuple[Shard, ...]
    recordings: tuple[str, ...]
    recording: NDArray[np.int32]
    start: NDArray[np.int64]
    samples: NDArray[np.int64]
    frames: NDArray[np.int64]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    frame_offset: NDArray[np.int64]
    validation: NDArray[np.bool_]
    facts: Mapping[str, Any]
    _maps: FlatFiles = field(repr=False)

    @classmethod
    def open(cls, folder: Path | str) -> Pack:
        """Open a pack; the sizes of all files are checked, their checksums are not (:meth:`verify` does).

        Raises:
            CorpusError: not a pack, empty, or a shard is missing or of another size than recorded.
        """
        folder = Path(folder)
        facts = read_facts(folder / "pack.json", PACK_FORMAT, "babyhubert corpus pack")
        shards = tuple(Shard(**shard) for shard in facts.pop("shards"))
        if not shards:
            raise CorpusError(f"{folder}: the pack holds no segments; look at the steps before it")
        maps = FlatFiles(folder / "shards", "<i2", {s.number: (s.audio_name, s.samples) for s in shards})
        table = read_table(folder / "index.parquet", tuple(INDEX_TYPES))
        recordings, recording = np.unique(np.array(table["recording_id"], dtype=object), return_inverse=True)
        pack = cls(
            folder,
            shards,
            tuple(recordings),
            recording.astype(np.int32),
            table["start"],
            table["samples"],
            frame_counts(table["samples"]),
            table["shard"],
            table["offset"],
            table["frame_offset"],
            np.array(table["split"], dtype=object) == "validation",
            facts,
            maps,
        )
        if len(pack) != sum(shard.segments for shard in shards):
            raise CorpusError(f"{folder}: index.parquet and pack.json disagree; run 'babyhubert corpus pack' again")
        return pack

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def fingerprint(self) -> str:
        """Hash of the audio and its layout: labels store the hash of their pack."""
        return fingerprint([[shard.number, shard.segments, shard.sha256] for shard in self.shards])

    @property
    def hours(self) -> float:
        """Hours of audio."""
        return samples_to_hours(self.samples.sum())

    def rows(self, split: Split) -> NDArray[np.int64]:
        """Rows of a split, ascending."""
        return np.flatnonzero(self.validation == (split == "validation"))

    def rows_of(self, shard: int) -> NDArray[np.int64]:
        """Rows of a shard, ascending."""
        return np.flatnonzero(self.shard == shard)

    def pcm(self, row: int, start: int = 0, samples: int | None = None) -> NDArray[np.int16]:
        """Samples ``[start, start + samples)`` of a segment as they are stored: int16, a view of the file."""
        samples = int(self.samples[row]) - start if samples is None else samples
        if start < 0 or samples < 0 or start + samples > self.samples[row]:
            raise ValueError(f"samples {start} to {start + samples} are not inside segment {row}")
        begin = int(self.offset[row]) + start
        return self._maps[int(self.shard[row])][begin : begin + samples]

    def audio(self, row: int, start: int = 0, samples: int | None = None) -> NDArray[np.float32]:
        """The same as float32 in [-1, 1]."""
        return self.pcm(row, start, samples).astype(np.float32) / np.float32(FULL_SCALE)

    def verify(self) -> None:
        """Compare the checksum of every shard.

        Raises:
            CorpusError: one differs.
        """
        for shard in self.shards:
            path = self.folder / "shards" / shard.audio_name
            if file_sha256(path) != shard.sha256:
                raise CorpusError(f"{path}: damaged (its checksum differs); delete it and run 'corpus pack' again")


@dataclass(frozen=True, eq=False)
class Labels:
    """One unit for every frame of a pack.

    Attributes:
        folder: Their folder.
        pack: The pack they belong to.
        clusters: Number K of units; labels lie in [0, K).
        facts: Content of ``labels.json``: teacher, k-means and their hashes.
    """

    folder: Path
    pack: Pack
    clusters: int
    facts: Mapping[str, Any]
    _maps: FlatFiles = field(repr=False)

    @classmethod
    def open(cls, folder: Path | str, pack: Pack) -> Labels:
        """Open the labels of a pack.

        Raises:
            CorpusError: no labels, labels of another pack, or a file that is missing or does not fit the audio's size.
        """
        folder = Path(folder)
        facts = read_facts(folder / "labels.json", LABELS_FORMAT, "babyhubert units assign")
        if facts["pack"] != pack.fingerprint:
            raise CorpusError(
                f"{folder}: these labels belong to another pack ({facts['pack']}) than {pack.folder} "
                f"({pack.fingerprint}); run 'babyhubert units assign' for this pack"
            )
        sizes = {s.number: (s.labels_name, s.frames) for s in pack.shards}
        return cls(folder, pack, int(facts["clusters"]), facts, FlatFiles(folder / "shards", "<u2", sizes))

    def units(self, row: int, start: int = 0, frames: int | None = None) -> NDArray[np.uint16]:
        """Labels of frames ``[start, start + frames)`` of a segment: uint16, a view of the file."""
        frames = int(self.pack.frames[row]) - start if frames is None else frames
        if start < 0 or frames < 0 or start + frames > self.pack.frames[row]:
            raise ValueError(f"frames {start} to {start + frames} are not inside segment {row}")
        begin = int(self.pack.frame_offset[row]) + start
        return self._maps[int(self.pack.shard[row])][begin : begin + frames]

    def shard(self, number: int) -> NDArray[np.uint16]:
        """All labels of a shard, uint16, a view of the file."""
        return self._maps[number]


class FlatFiles:
    """Numbered files of one dtype, mapped when first read; the least recently used are unmapped.

    Args:
        folder: Their folder.
        dtype: Type of every value.
        files: Name and number of values by number.

    Raises:
        CorpusError: a file is missing or of another size.
    """

    def __init__(self, folder: Path, dtype: str, files: Mapping[int, tuple[str, int]]) -> None:
        self._folder, self._dtype, self._files = folder, np.dtype(dtype), dict(files)
        self._open: OrderedDict[int, NDArray] = OrderedDict()
        for name, values in self._files.values():
            require_size(folder / name, values * self._dtype.itemsize)

    def __getitem__(self, number: int) -> NDArray:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        name, values = self._files[number]
        if values == 0:
            return np.zeros(0, dtype=self._dtype)
        self._open[number] = np.memmap(self._folder / name, dtype=self._dtype, mode="r", shape=(values,))
        if len(self._open) > _OPEN_FILES:
            self._open.popitem(last=False)
        return self._open[number]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}  # a worker process opens its own


def require_size(path: Path, size: int) -> None:
    """Check a file's size in bytes.

    Raises:
        CorpusError: the file is missing, or has another size.
    """
    try:
        found = path.stat().st_size
    except OSError:
        raise CorpusError(f"{path}: missing; run the command that makes it again") from None
    if found != size:
        raise CorpusError(
            f"{path}: {found} bytes instead of {size}: cut short or replaced; delete it and run the command that "
            "makes it again"
        )


def read_facts(path: Path, version: int, command: str) -> dict[str, Any]:
    """The JSON object that describes a folder.

    Raises:
        CorpusError: missing, unreadable, or of another format version.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CorpusError(f"{path}: missing or not finished; '{command}' writes it when it is done") from None
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: cannot be read as JSON ({error}); run '{command}' again") from error
    if not isinstance(facts, dict) or facts.get("format") != version:
        raise CorpusError(f"{path}: not of format {version}; run '{command}' of this version again")
    return facts


def write_pack_facts(folder: Path, shards: Sequence[Shard], facts: Mapping[str, Any]) -> None:
    """Write ``pack.json``, last of all: a pack with this file is complete."""
    content = {"format": PACK_FORMAT, **facts, "shards": [vars(shard) for shard in shards]}
    write_json(folder / "pack.json", content)


def write_index(path: Path, columns: Mapping[str, Any]) -> None:
    """Write index rows (columns of `INDEX_TYPES`)."""
    write_table(path, columns, INDEX_TYPES)
