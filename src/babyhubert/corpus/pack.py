"""Segments become shards: a few flat files that training maps into memory.

Which segment goes into which shard is settled before any audio is read, so shards are made in any order, by any number
of processes, and a run that was killed goes on with the shards that are not whole. Recordings keep the order of the
inventory: each is then decoded from front to back, in one or two shards; training shuffles anyway.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from pydantic import Field

import babyhubert
from babyhubert.annotation.frames import FRAME_RECEPTIVE_FIELD
from babyhubert.audio.channels import Channel, parse_channel
from babyhubert.audio.recording import Recording, open_recording
from babyhubert.config import Config
from babyhubert.corpus.inventory import InventoryRow, StepSummary, one_line, read_inventory
from babyhubert.corpus.lengths import SEGMENTS
from babyhubert.corpus.parquet import read_table
from babyhubert.corpus.shards import (
    FULL_SCALE,
    INDEX_TYPES,
    Pack,
    Shard,
    file_sha256,
    frame_counts,
    write_index,
    write_pack_facts,
)
from babyhubert.corpus.spans import Spans, read_spans
from babyhubert.errors import CorpusError, DiskFullError, OutputError
from babyhubert.files import atomic_path, make_folder, remove_leftovers, write_json, write_text
from babyhubert.inference.recordings import NoProgress, RunProgress
from babyhubert.timebase import SAMPLE_RATE
from babyhubert.training.processes import Place

PACK = "pack"


class PackSettings(Config):
    """``[pack]``.

    Attributes:
        shard_mb: Size of a shard in 10^6 bytes, roughly (a segment is never cut).
        validation_share: Share of recordings held out; at least one where there are two or more.
        seed: Decides which.
        channel: What to take of several channels: mean, first, loudest, or a number.
    """

    shard_mb: float = Field(default=500.0, gt=0)
    validation_share: float = Field(default=0.01, ge=0, lt=1)
    seed: int = 0
    channel: str = "mean"


@dataclass(frozen=True)
class _Row:
    """A segment that is to be packed."""

    recording: InventoryRow
    start: int
    samples: int
    split: str


def pack_segments(
    corpus: Path,
    settings: PackSettings,
    *,
    place: Place | None = None,
    force: bool = False,
    progress: RunProgress | None = None,
) -> tuple[Pack | None, StepSummary]:
    """Write ``pack/`` from ``segments.parquet``.

    Returns:
        The pack (None in a process that leaves the last step to another), and how it went.

    Raises:
        CorpusError: nothing to pack, a table is missing, or the folder holds a pack of other segments.
        OutputError: another run is writing here.
        DiskFullError: the disk is full.
    """
    place, progress = place or Place.from_environment(), progress or NoProgress()
    rows = read_inventory(corpus)
    spans = read_spans(corpus / SEGMENTS, {row.recording_id: row.samples for row in rows}, disjoint=True)
    planned = _plan(rows, spans, settings)
    if not planned:
        raise CorpusError(f"{corpus / SEGMENTS}: no segment to pack; look at the regions and segments steps")
    writer = _Writer(corpus / PACK, settings, planned, parse_channel(settings.channel))
    with _alone(make_folder(corpus / PACK / "shards").parent, place):
        writer.make_room(force)
        if place.world == 1:
            remove_leftovers(writer.folder)
        writer.write(place, progress)
        records = writer.records()
        if records is None:
            return None, StepSummary(len(rows), (), 0.0, 0.0, {})
        return writer.conclude(records, rows)


def _plan(rows: list[InventoryRow], spans: Spans, settings: PackSettings) -> list[list[_Row]]:
    """Rows of every shard."""
    held_out = _held_out([row.recording_id for row in rows if row.recording_id in spans], settings)
    limit = settings.shard_mb * 1e6 / 2
    shards: list[list[_Row]] = []
    filled = limit
    for recording in rows:
        starts, ends = spans.get(recording.recording_id, (np.zeros(0, np.int64), np.zeros(0, np.int64)))
        split = "validation" if recording.recording_id in held_out else "train"
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            if end - start < FRAME_RECEPTIVE_FIELD:
                continue
            if filled >= limit:
                shards.append([])
                filled = 0
            shards[-1].append(_Row(recording, start, end - start, split))
            filled += end - start
    return shards


def _held_out(names: list[str], settings: PackSettings) -> set[str]:
    """Recordings whose hash falls below the share: adding recordings never moves one from one split to the other."""
    if settings.validation_share == 0 or len(names) < 2:
        return set()
    keys = {
        name: int(hashlib.sha256(f"{settings.seed} {name}".encode()).hexdigest()[:12], 16) / 16**12 for name in names
    }
    found = {name for name, key in keys.items() if key < settings.validation_share}
    return found or {min(keys, key=lambda name: keys[name])}


class _Writer:
    """Writes the shards of a plan."""

    def __init__(self, folder: Path, settings: PackSettings, planned: list[list[_Row]], channel: Channel) -> None:
        self.folder, self.settings, self.planned, self.channel = folder, settings, planned, channel
        content = [
            [[row.recording.recording_id, row.recording.identity, row.start, row.samples, row.split] for row in shard]
            for shard in planned
        ]
        self.key = hashlib.sha256(json.dumps([content, settings.channel], sort_keys=True).encode()).hexdigest()[:16]

    def make_room(self, force: bool) -> None:
        """Refuse a folder that holds a pack of something else, or take its mark away."""
        path = self.folder / "pack.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8")).get("source")
        except FileNotFoundError:
            return
        except (OSError, ValueError, AttributeError):
            found = None
        if found == self.key:
            return
        if not force:
            raise CorpusError(
                f"{path}: a pack of other segments or settings stands here; --force replaces it (labels made for it "
                "will not fit the new one)"
            )
        path.unlink()

    def write(self, place: Place, progress: RunProgress) -> None:
        """Make this process's shards that are not whole."""
        mine = range(place.rank, len(self.planned), place.world)
        missing = [number for number in mine if not self._is_whole(number)]
        sizes = {number: sum(row.samples for row in self.planned[number]) for number in missing}
        progress.start(len(missing), sum(sizes.values()), len(mine) - len(missing))
        for number in missing:
            self._write_shard(number, progress)
            progress.done(f"{number:05d}", None)

    def records(self) -> list[dict[str, Any]] | None:
        """Records of all shards, or None where one is not there yet."""
        found = [self._record(number) for number in range(len(self.planned))]
        return None if any(record is None for record in found) else [record for record in found if record is not None]

    def conclude(self, records: list[dict[str, Any]], rows: list[InventoryRow]) -> tuple[Pack, StepSummary]:
        """Write the index and, last, ``pack.json``."""
        tables = [
            read_table(self._path(number, ".parquet"), tuple(INDEX_TYPES)) for number in range(len(self.planned))
        ]
        columns: dict[str, Any] = {
            name: [value for table in tables for value in table[name]]
            if kind == "string"
            else np.concatenate([table[name] for table in tables])
            for name, kind in INDEX_TYPES.items()
        }
        failures = list(dict.fromkeys((Path(path), error) for record in records for path, error in record["failures"]))
        if not len(columns["samples"]):
            raise CorpusError(f"{self.folder}: no recording could be packed; the first says: {failures[0][1]}")
        write_index(self.folder / "index.parquet", columns)
        hours = {
            split: float(columns["samples"][np.array(columns["split"], dtype=object) == split].sum()) / 16_000 / 3600
            for split in ("train", "validation")
        }
        recordings = len(set(columns["recording_id"]))
        facts = {
            "source": self.key,
            "settings": self.settings.model_dump(),
            "recordings": recordings,
            "hours": hours,
            "segments": len(columns["samples"]),
            "left_out": [error for _, error in failures],
            "software": {"babyhubert": babyhubert.__version__, "numpy": np.__version__},
        }
        shards = [Shard(**record["shard"]) for record in records]
        write_pack_facts(self.folder, shards, facts)
        write_text(
            self.folder / "failures.csv",
            "path,error\n" + "".join(f"{json.dumps(str(path))},{json.dumps(error)}\n" for path, error in failures),
        )
        planned = sum(row.samples for shard in self.planned for row in shard) / SAMPLE_RATE / 3600
        told = {"shards": len(shards), "hours to train on": hours["train"], "hours held out": hours["validation"]}
        summary = StepSummary(recordings, failures, planned, sum(hours.values()), told)
        return Pack.open(self.folder), summary

    def _write_shard(self, number: int, progress: RunProgress) -> None:
        index: dict[str, list[Any]] = {name: [] for name in INDEX_TYPES}
        failures: list[tuple[str, str]] = []
        offset = frames = 0
        path = self._path(number, ".i16")
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            for recording, group in groupby(self.planned[number], key=lambda row: row.recording):
                wanted = list(group)
                try:
                    segments = _read_segments(recording, wanted, self.channel)
                    for row in wanted:
                        pcm = next(segments)
                        file.write(pcm.tobytes())
                        count = int(frame_counts(np.array([row.samples]))[0])
                        values = (recording.recording_id, row.start, row.samples, number, offset, frames, row.split)
                        for name, value in zip(INDEX_TYPES, values, strict=True):
                            index[name].append(value)
                        offset, frames = offset + row.samples, frames + count
                        progress.advance(f"{number:05d}", row.samples)
                except (DiskFullError, OSError):
                    raise
                except Exception as error:  # one bad recording never stops the others
                    failures.append((str(recording.path), one_line(recording.path, error)))
        shard = Shard(number, offset, frames, len(index["start"]), file_sha256(path))
        write_index(self._path(number, ".parquet"), index)
        write_json(self._path(number, ".json"), {"source": self.key, "failures": failures, "shard": vars(shard)})

    def _is_whole(self, number: int) -> bool:
        record = self._record(number)
        path = self._path(number, ".i16")
        if record is None or record["failures"] or not path.is_file():
            return False  # what failed before is tried again
        return file_sha256(path) == record["shard"]["sha256"]

    def _record(self, number: int) -> dict[str, Any] | None:
        try:
            record = json.loads(self._path(number, ".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, Mapping) and record.get("source") == self.key else None  # type: ignore[return-value]

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / "shards" / f"{number:05d}{suffix}"


def _read_segments(recording: InventoryRow, rows: list[_Row], channel: Channel) -> Iterator[NDArray[np.int16]]:
    """Audio of a recording's segments, int16, one after the other.

    Raises:
        CorpusError: the recording has changed, or ends before a segment does.
    """
    recording.require_unchanged()
    with open_recording(recording.path, channel) as audio:
        for row in rows:
            yield _as_int16(_whole(audio, row))


def _whole(audio: Recording, row: _Row) -> NDArray[np.float32]:
    samples = audio.read(row.start, row.start + row.samples)
    if len(samples) != row.samples:
        end = (row.start + row.samples) / SAMPLE_RATE
        raise CorpusError(
            f"{row.recording.path}: ends before {end:.3f} s, where a segment does; run 'corpus scan' again"
        )
    return samples


def _as_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.round(np.clip(samples, -1, 1) * np.float32(FULL_SCALE)).astype("<i2")


@contextmanager
def _alone(folder: Path, place: Place) -> Iterator[None]:
    """One run of a rank at a time in a pack folder."""
    lock = FileLock(folder / f".lock-{place.rank}")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OutputError(f"{folder}: another run is packing here; wait for it") from None
    try:
        yield
    finally:
        lock.release()
