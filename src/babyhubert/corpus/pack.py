"""Packing of segments into shards: a few flat files that training maps into memory.

Each segment is assigned to a shard before any audio is read, so shards are made in any order, by any number of
processes, and a run that was killed continues with the incomplete shards. Recordings keep the order of the inventory:
each is decoded from front to back, in one or two shards. Training shuffles anyway.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from babyhubert.annotation.parquet import read_table
from babyhubert.audio.channels import Channel, parse_channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.pcm import to_pcm16
from babyhubert.audio.recording import open_recording
from babyhubert.compute.processes import RankInfo
from babyhubert.config import Config, Seed
from babyhubert.corpus.inventory import SCAN, InventoryRow, read_inventory
from babyhubert.corpus.lengths import SEGMENTS
from babyhubert.corpus.shards import INDEX_TYPES, Pack, Shard, write_index, write_pack_facts
from babyhubert.corpus.spans import Spans, read_spans
from babyhubert.corpus.summary import StepSummary
from babyhubert.errors import CorpusError, one_line
from babyhubert.files import atomic_path, exclusive, make_folder, remove_leftovers, write_json
from babyhubert.hashing import file_sha256
from babyhubert.progress import NoProgress, RunProgress
from babyhubert.runs.folder import reading_warnings, write_failures
from babyhubert.timebase import FRAME_RECEPTIVE_FIELD, SAMPLE_RATE, frame_count, samples_to_hours
from babyhubert.version import __version__

PACK = "pack"


class PackSettings(Config):
    """``[pack]``.

    Attributes:
        shard_mb: Size of a shard in 10^6 bytes, roughly (a segment is never cut).
        validation_share: Fraction of recordings held out: at least one if there are two or more, and never all.
        seed: Seed of that choice.
        channel: Choice among several channels: mean, first, loudest, or a number. None: the channel that was scanned.
    """

    shard_mb: float = Field(default=500.0, gt=0)
    validation_share: float = Field(default=0.01, ge=0, lt=1)
    seed: Seed = 0
    channel: str | None = None


@dataclass(frozen=True, eq=False)
class _Plan:
    """Assignment of segments to shards: arrays of shape (segments,), because the published corpus has six million.

    Attributes:
        recordings: Recordings with segments, in the order of the inventory.
        held_out: Ids of recordings in the validation split.
        recording: Index into ``recordings``, ascending, int32.
        start: First sample in the recording, int64.
        samples: Length, int64.
        first: First segment of every shard, and the number of segments: int64, shape (shards + 1,).
        too_short: Segments skipped because they are shorter than a frame.
    """

    recordings: list[InventoryRow]
    held_out: set[str]
    recording: NDArray[np.int32]
    start: NDArray[np.int64]
    samples: NDArray[np.int64]
    first: NDArray[np.int64]
    too_short: int

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.first) - 1

    def samples_of(self, shard: int) -> int:
        """Samples of a shard."""
        return int(self.samples[self.first[shard] : self.first[shard + 1]].sum())

    def parts(self, shard: int) -> Iterator[tuple[InventoryRow, list[tuple[int, int]]]]:
        """Recordings of a shard, each with the start and length of its segments there."""
        low, high = self.first[shard : shard + 2].tolist()
        owners = self.recording[low:high]
        cuts = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), high - low]
        for begin, stop in pairwise(cuts):
            rows = slice(low + begin, low + stop)
            pairs = zip(self.start[rows].tolist(), self.samples[rows].tolist(), strict=True)
            yield self.recordings[owners[begin]], list(pairs)

    def key(self, channel: str) -> str:
        """Hash of everything that affects the bytes of the pack."""
        named = [[row.recording_id, row.identity, row.recording_id in self.held_out] for row in self.recordings]
        content = hashlib.sha256(json.dumps([named, channel], sort_keys=True).encode())
        for values in (self.recording, self.start, self.samples, self.first):
            content.update(values.tobytes())
        return content.hexdigest()[:16]


def pack_segments(
    corpus: Path,
    settings: PackSettings,
    *,
    place: RankInfo | None = None,
    force: bool = False,
    progress: RunProgress | None = None,
) -> tuple[Pack | None, StepSummary]:
    """Write ``pack/`` from ``segments.parquet``.

    Returns:
        The pack (None in a process that leaves the last step to another), and a summary.

    Raises:
        CorpusError: nothing to pack, a table is missing, or the folder holds a pack of other segments.
        OutputError: another run is writing to this folder.
        DiskFullError: the disk is full.
    """
    place, progress = place or RankInfo.from_environment(), progress or NoProgress()
    rows = read_inventory(corpus)
    spans = read_spans(corpus / SEGMENTS, {row.recording_id: row.samples for row in rows}, disjoint=True)
    plan = _plan(rows, spans, settings)
    if not len(plan.samples):
        raise CorpusError(f"{corpus / SEGMENTS}: no segment to pack; look at the regions and segments steps")
    writer = _Writer(corpus / PACK, settings, plan, settings.channel or rows[0].channel)
    folder = make_folder(corpus / PACK / "shards").parent
    with exclusive(folder / f".lock-{place.rank}", f"{folder}: another run is packing here; wait for it"):
        writer.make_room(force)
        if place.world == 1:
            remove_leftovers(writer.folder, "shards")
        writer.write(place, progress, force)
        records = writer.records()
        if records is None:
            return None, StepSummary(len(rows), (), 0.0, 0.0, {})
        return writer.conclude(records)


def _plan(rows: Sequence[InventoryRow], spans: Spans, settings: PackSettings) -> _Plan:
    recordings = [row for row in rows if row.recording_id in spans]
    nothing = np.zeros(0, dtype=np.int64)
    start = np.concatenate([nothing, *(spans[row.recording_id][0] for row in recordings)])
    samples = np.concatenate([nothing, *(spans[row.recording_id][1] for row in recordings)]) - start
    counts = [len(spans[row.recording_id][0]) for row in recordings]
    recording = np.repeat(np.arange(len(recordings), dtype=np.int32), counts)
    keep = samples >= FRAME_RECEPTIVE_FIELD
    first = _shard_starts(samples[keep], math.ceil(settings.shard_mb * 1e6 / 2))
    held_out = _held_out([recordings[index].recording_id for index in np.unique(recording[keep])], settings)
    return _Plan(recordings, held_out, recording[keep], start[keep], samples[keep], first, int((~keep).sum()))


def _shard_starts(samples: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """First segment of every shard and, last, the number of segments: a shard ends with the one that fills it."""
    ends = np.cumsum(samples)
    first, before = [0], 0
    while first[-1] < len(samples):
        first.append(min(int(np.searchsorted(ends, before + limit)) + 1, len(samples)))
        before = int(ends[first[-1] - 1])
    return np.array(first, dtype=np.int64)


def _held_out(names: list[str], settings: PackSettings) -> set[str]:
    """Recordings whose hash falls below the fraction: adding others then moves none from one split to the other.

    If there is none (small corpora), the one with the lowest hash; if all do, all but the one with the highest. Only
    in these two cases may added recordings move one.
    """
    if settings.validation_share == 0 or len(names) < 2:
        return set()
    keys = {
        name: int(hashlib.sha256(f"{settings.seed} {name}".encode()).hexdigest()[:12], 16) / 16**12 for name in names
    }
    ascending = sorted(names, key=lambda name: keys[name])
    below = sum(key < settings.validation_share for key in keys.values())
    return set(ascending[: min(max(below, 1), len(names) - 1)])


class _Writer:
    """Writes the shards of a plan."""

    def __init__(self, folder: Path, settings: PackSettings, plan: _Plan, channel: str) -> None:
        self.folder, self.plan = folder, plan
        self.settings = settings.model_copy(update={"channel": channel})
        self.channel: Channel = parse_channel(channel)
        self.key = plan.key(channel)

    def make_room(self, force: bool) -> None:
        """Refuse a folder that holds a pack of other content; otherwise remove its ``pack.json``."""
        path = self.folder / "pack.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8")).get("source")
        except FileNotFoundError:
            return
        except (OSError, ValueError, AttributeError):
            found = None
        if found == self.key and not force:
            return
        if not force:
            raise CorpusError(
                f"{path}: a pack of other segments or settings is here; --force replaces it (labels made for it "
                "will not fit the new one)"
            )
        path.unlink(missing_ok=True)  # another process may have been faster

    def write(self, place: RankInfo, progress: RunProgress, force: bool) -> None:
        """Make this process's incomplete shards; with ``force``, all of them."""
        mine = range(place.rank, self.plan.shards, place.world)
        missing = [number for number in mine if force or not self._is_whole(number)]
        total = sum(self.plan.samples_of(number) for number in missing)
        progress.start(len(missing), total, len(mine) - len(missing))
        for number in missing:
            self._write_shard(number, progress)
            progress.done(f"{number:05d}", None)

    def records(self) -> list[dict[str, Any]] | None:
        """Records of all shards, or None if one is missing."""
        found = [self._record(number) for number in range(self.plan.shards)]
        return None if any(record is None for record in found) else [record for record in found if record is not None]

    def conclude(self, records: list[dict[str, Any]]) -> tuple[Pack, StepSummary]:
        """Write the index and, last, ``pack.json``."""
        columns = self._index()
        failures = list(dict.fromkeys((Path(path), error) for record in records for path, error in record["failures"]))
        if not len(columns["samples"]):
            raise CorpusError(f"{self.folder}: no recording could be packed; the first says: {failures[0][1]}")
        self._remove_other_shards()
        write_index(self.folder / "index.parquet", columns)
        write_failures(self.folder / "failures.csv", failures)
        split = np.array(columns["split"], dtype=object)
        hours = {name: samples_to_hours(columns["samples"][split == name].sum()) for name in ("train", "validation")}
        recordings = len(set(columns["recording_id"]))
        shards = [Shard(**record["shard"]) for record in records]
        facts = {
            "source": self.key,
            "settings": self.settings.model_dump(),
            "recordings": recordings,
            "hours": hours,
            "segments": len(columns["samples"]),
            "too_short": self.plan.too_short,
            "left_out": [error for _, error in failures],
            "software": {"babyhubert": __version__, "numpy": np.__version__},
        }
        write_pack_facts(self.folder, shards, facts)
        told = {
            "shards": len(shards),
            "segments": len(columns["samples"]),
            "segments left out, shorter than a frame (25 ms)": self.plan.too_short,
            "hours to train on": hours["train"],
            "hours held out": hours["validation"],
            "recordings held out": len(set(np.array(columns["recording_id"], dtype=object)[split == "validation"])),
        }
        scanned = [RecordingFile(row.recording_id, row.path) for row in self.plan.recordings]
        warnings = reading_warnings(self.folder.parent, [SCAN], scanned)
        summary = StepSummary(
            recordings, failures, samples_to_hours(self.plan.samples.sum()), sum(hours.values()), told, warnings
        )
        return Pack.open(self.folder), summary

    def _index(self) -> dict[str, Any]:
        """The rows of all shards, one table."""
        tables = [read_table(self._path(number, ".parquet"), tuple(INDEX_TYPES)) for number in range(self.plan.shards)]
        return {
            name: [value for table in tables for value in table[name]]
            if kind == "string"
            else np.concatenate([table[name] for table in tables])
            for name, kind in INDEX_TYPES.items()
        }

    def _remove_other_shards(self) -> None:
        """Delete surplus shards of an earlier, larger pack."""
        for path in (self.folder / "shards").iterdir():
            if path.stem.isdecimal() and int(path.stem) >= self.plan.shards:
                path.unlink(missing_ok=True)

    def _write_shard(self, number: int, progress: RunProgress) -> None:
        index: dict[str, list[Any]] = {name: [] for name in INDEX_TYPES}
        failures: list[tuple[str, str]] = []
        offset = frames = 0
        path = self._path(number, ".i16")
        self._path(number, ".json").unlink(missing_ok=True)  # without it, the shard counts as incomplete
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            for recording, wanted in self.plan.parts(number):
                split = "validation" if recording.recording_id in self.plan.held_out else "train"
                with closing(_read_segments(recording, wanted, self.channel)) as segments:
                    for start, samples in wanted:
                        try:
                            pcm = next(segments)
                        except Exception as error:  # one bad recording never stops the others
                            failures.append((str(recording.path), one_line(recording.path, error)))
                            break
                        file.write(pcm.tobytes())
                        values = (recording.recording_id, start, samples, number, offset, frames, split)
                        for name, value in zip(INDEX_TYPES, values, strict=True):
                            index[name].append(value)
                        offset, frames = offset + samples, frames + frame_count(samples)
                        progress.advance(f"{number:05d}", samples)
        shard = Shard(number, offset, frames, len(index["start"]), file_sha256(path))
        write_index(self._path(number, ".parquet"), index)
        write_json(self._path(number, ".json"), {"source": self.key, "failures": failures, "shard": vars(shard)})

    def _is_whole(self, number: int) -> bool:
        record = self._record(number)
        path = self._path(number, ".i16")
        if record is None or record["failures"] or not path.is_file():
            return False  # what failed before is tried again
        return self._path(number, ".parquet").is_file() and file_sha256(path) == record["shard"]["sha256"]

    def _record(self, number: int) -> dict[str, Any] | None:
        try:
            record = json.loads(self._path(number, ".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, Mapping) and record.get("source") == self.key else None  # type: ignore[return-value]

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / "shards" / f"{number:05d}{suffix}"


def _read_segments(
    recording: InventoryRow, wanted: list[tuple[int, int]], channel: Channel
) -> Generator[NDArray[np.int16], None, None]:
    """Read the audio of a recording's segments (start and length), int16, one after the other.

    Raises:
        CorpusError: the recording has changed, or ends before a segment does.
    """
    recording.require_unchanged()
    with open_recording(recording.path, channel) as audio:
        for start, samples in wanted:
            found = audio.read(start, start + samples)
            if len(found) != samples:
                end = (start + samples) / SAMPLE_RATE
                raise CorpusError(
                    f"{recording.path}: ends before {end:.3f} s, where a segment does; run 'corpus scan' again"
                )
            yield to_pcm16(found)
