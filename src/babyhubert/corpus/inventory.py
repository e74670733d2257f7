"""Inventory of a folder of recordings: length, level, clipping and silence of each.

Input: recordings. Output: ``inventory.parquet``, one row per recording, from which the later steps take paths and
lengths. Every recording is decoded once from end to end, so its length is the decoded one, and an unreadable recording
is found now. A run that was stopped continues with the remaining recordings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.annotation.parquet import read_table, table_columns, write_table
from babyhubert.audio.channels import Channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.identity import identity_before, require_same
from babyhubert.audio.preflight import PreflightReport
from babyhubert.audio.recording import open_recording
from babyhubert.audio.signal_checks import CLIPPED
from babyhubert.corpus.summary import StepSummary, write_summary
from babyhubert.errors import CorpusError
from babyhubert.files import file_identity
from babyhubert.hashing import fingerprint
from babyhubert.progress import NoProgress, RunProgress
from babyhubert.runs.distribution import IN_PROCESS, Distribution
from babyhubert.runs.folder import RunFolder, reading_warnings, record_warnings
from babyhubert.runs.journal import Outcome
from babyhubert.runs.kept import without_damaged
from babyhubert.runs.pipeline import OneByOneRun
from babyhubert.runs.plan import plan_run
from babyhubert.runs.shard import Shard
from babyhubert.timebase import SAMPLE_RATE, samples_to_hours

SCAN = "scan"
"""Command that makes the inventory: its records store the measurements of each recording."""

INVENTORY = "inventory.parquet"
INVENTORY_TYPES = {
    "recording_id": "string",
    "path": "string",
    "samples": "int64",
    "duration_s": "double",
    "sample_rate": "int64",
    "channels": "int64",
    "container": "string",
    "codec": "string",
    "bytes": "int64",
    "mtime_ns": "int64",
    "sample_sha256": "string",
    "level_dbfs": "double",
    "peak_dbfs": "double",
    "clipped_share": "double",
    "silent_share": "double",
    "offset": "double",
    "channel": "string",
    "warnings": "string",
}
"""``level_dbfs``: root mean square; ``clipped_share``: fraction of samples of at least 0.999 of full scale;
``silent_share``: fraction of seconds whose root mean square is below -60 dBFS (of a recording below a second: all
of it); ``offset``: mean sample (0 in a healthy recording); ``channel``: the channel in use, which later steps take
as well. All are measured on the input of training: that channel, at 16 kHz.
"""

_VERSION = 2
_SILENT_POWER = 10 ** (-60 / 10)
_BLOCK_SAMPLES = 30 * SAMPLE_RATE


@dataclass(frozen=True)
class InventoryRow:
    """A recording of an inventory."""

    recording_id: str
    path: Path
    samples: int
    identity: dict[str, Any]
    channel: str

    def require_unchanged(self) -> None:
        """Check that the file is still the one that was scanned.

        Raises:
            CorpusError: the file is missing or was replaced.
        """
        try:
            found = file_identity(self.path)
        except OSError as error:
            reason = error.strerror or error
            raise CorpusError(f"{self.path}: was there when the inventory was made ({reason}); restore it") from None
        if any(found[name] != value for name, value in self.identity.items()):
            raise CorpusError(f"{self.path}: has changed since the inventory was made; run 'corpus scan' again")


class ScanRun(OneByOneRun):
    """Measures recordings, each into its record.

    Args:
        folder: Folder of the corpus.
        channel: Choice among several channels.
    """

    tables_when_broken_off = False  # an inventory that lacks recordings would be taken for the whole corpus

    def __init__(self, folder: RunFolder, channel: Channel = "mean") -> None:
        super().__init__(folder)
        self._channel = channel

    def settings(self) -> dict[str, Any]:
        """Everything that decides a result, the recording aside."""
        return {"channel": str(self._channel), "version": _VERSION}

    @property
    def identity(self) -> str:
        """Hash of the settings; results outlive versions of the package, because they cost a pass over all audio."""
        return fingerprint(self.settings())

    def result(self, file: RecordingFile) -> str:
        """Hash of everything that decides a row of the inventory, the path among it."""
        return fingerprint({**self.settings(), "path": str(file.path.absolute())})

    def about(self) -> dict[str, Any]:
        """Content of the tables besides recordings."""
        return {"channel": str(self._channel)}

    def outputs(self, recording_id: str) -> list[Path]:
        """No files: the record holds all that was measured."""
        return []

    def process_one(self, file: RecordingFile, progress: RunProgress) -> None:
        """Measure a recording."""
        self.folder.forget(file.recording_id)
        record = _measure(file, self._channel, progress)
        self.folder.complete(file.recording_id, {**record, "result": self.result(file)})

    def write_tables(self, outcome: Outcome) -> Outcome:
        """The inventory, ``scan.json`` and ``failures.csv``."""
        return write_tables(self.folder, self.about(), outcome)


def open_scan_run(output: Path, channel: Channel) -> ScanRun:
    """Open the run in a worker process, without a lock."""
    return ScanRun(RunFolder(output, SCAN), channel)


def scan(
    checked: PreflightReport,
    output: Path,
    *,
    channel: Channel = "mean",
    force: bool = False,
    progress: RunProgress | None = None,
    distribution: Distribution = IN_PROCESS,
    part: Shard | None = None,
) -> StepSummary:
    """Measure every recording and write the inventory.

    Args:
        checked: Recordings that were found, from `audio.preflight`.
        output: Folder of the corpus.
        channel: Choice among several channels.
        force: Measure recordings again that were measured before.
        progress: Called with the progress.
        distribution: Distribution over processes.
        part: Measure only this shard, and write no inventory (`merge` does).

    Raises:
        DiskFullError: the disk is full.
        OutputError: another run is writing to this folder.
    """
    run = ScanRun(RunFolder(output, SCAN, part), channel)
    plan = plan_run(part, [(file, info.n_samples) for file, info in checked.good], checked.bad)
    with run.folder:
        outcome = run.execute_plan(plan, progress or NoProgress(), force=force, distribution=distribution)
        return _summary(run.folder, outcome)


def write_tables(folder: RunFolder, about: Mapping[str, Any], outcome: Outcome) -> Outcome:
    """Write the inventory of all recordings, ``scan.json`` and ``failures.csv``.

    Args:
        folder: The folder, locked by the caller.
        about: Result of `ScanRun.about`.
        outcome: Outcome of the scan.

    Returns:
        The outcome, recordings whose record is damaged among the failures.
    """
    outcome = without_damaged(folder, outcome, command="corpus scan")
    summary = _summary(folder, outcome)
    folder.write_failures(outcome.failures)
    _write(folder.output / INVENTORY, _rows(folder, outcome))
    write_summary(folder.output / "scan.json", about, summary)
    return outcome


def _summary(folder: RunFolder, outcome: Outcome) -> StepSummary:
    rows = _rows(folder, outcome)
    hours = samples_to_hours(sum(row["samples"] for row in rows))
    facts = {
        "hours silent": samples_to_hours(sum(row["silent_share"] * row["samples"] for row in rows)),
        "recordings clipped in more than 0.1% of samples": sum(row["clipped_share"] > 1e-3 for row in rows),
        "recordings with a constant offset above 1% of full scale": sum(abs(row["offset"]) > 0.01 for row in rows),
        "recordings below -50 dBFS": sum(row["level_dbfs"] < -50 for row in rows),
        "recordings below 16 kHz": sum(row["sample_rate"] < SAMPLE_RATE for row in rows),
    }
    warnings = reading_warnings(folder.output, [folder.command], outcome.complete)
    return StepSummary(len(rows), outcome.failures, hours, hours, facts, warnings)


def _rows(folder: RunFolder, outcome: Outcome) -> list[dict[str, Any]]:
    found = [folder.record(file.recording_id) for file in outcome.complete]
    return [
        row | {name: _level(row[name]) for name in ("level_dbfs", "peak_dbfs")} for row in found if row is not None
    ]


def _level(kept: float | None) -> float:
    """Decibels of a record: JSON has no infinity for silence."""
    return -math.inf if kept is None else kept


def read_inventory(corpus: Path) -> list[InventoryRow]:
    """Recordings of a corpus folder, in the order they were found.

    Raises:
        CorpusError: no inventory there, or it is damaged or empty.
    """
    path = corpus / INVENTORY
    columns = ["recording_id", "path", "samples", "channel", "bytes", "mtime_ns"]
    if path.is_file() and "sample_sha256" in table_columns(path):  # earlier versions wrote none
        columns.append("sample_sha256")
    table = read_table(path, columns)
    rows = [
        InventoryRow(name, Path(file), int(samples), _identity(*identity), chosen)
        for name, file, samples, chosen, *identity in zip(*table.values(), strict=True)
    ]
    if not rows:
        raise CorpusError(f"{path}: no recording in it; look at failures.csv beside it")
    return rows


def _identity(size: int, mtime_ns: int, *sample_sha256: str) -> dict[str, Any]:
    return {
        "bytes": int(size),
        "mtime_ns": int(mtime_ns),
        **dict(zip(("sample_sha256",), sample_sha256, strict=False)),
    }


def _measure(file: RecordingFile, channel: Channel, progress: RunProgress) -> dict[str, Any]:
    identity = identity_before(file.path)
    squares = total = peak = 0.0
    samples = clipped = silent = seconds = 0
    with open_recording(file.path, channel) as recording:
        for block in recording.blocks(_BLOCK_SAMPLES):
            values = block.samples.astype(np.float64)
            squares += float(np.square(values).sum())  # a BLAS product would depend on the number of threads
            total += float(values.sum())
            magnitude = np.abs(values)
            peak = max(peak, float(magnitude.max()))
            clipped += int((magnitude >= CLIPPED).sum())
            whole = values[: len(values) // SAMPLE_RATE * SAMPLE_RATE].reshape(-1, SAMPLE_RATE)
            silent += int((np.square(whole).mean(axis=1) < _SILENT_POWER).sum())
            seconds += len(whole)
            samples += len(values)
            progress.advance(file.recording_id, len(values))
        info, warnings = recording.info, recording.warnings
    require_same(file.path, identity)
    return {
        "path": str(file.path.absolute()),
        "samples": samples,
        "duration_s": samples / SAMPLE_RATE,
        "sample_rate": info.sample_rate,
        "channels": info.channels,
        "container": info.container,
        "codec": info.codec,
        **identity,
        "audio": identity,
        "level_dbfs": _decibels(math.sqrt(squares / samples)),
        "peak_dbfs": _decibels(peak),
        "clipped_share": clipped / samples,
        "silent_share": silent / seconds if seconds else float(squares / samples < _SILENT_POWER),
        "offset": total / samples,
        "channel": str(channel),
        "warnings": list(warnings),
    }


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    told = [{**row, "warnings": "; ".join(record_warnings(row))} for row in rows]
    write_table(path, {name: [row[name] for row in told] for name in INVENTORY_TYPES}, INVENTORY_TYPES)
