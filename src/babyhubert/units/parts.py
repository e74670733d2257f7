"""Resumable work over shards: one result file per shard, and a record of its inputs beside it.

A part is complete if its record has the fingerprint of the present work and its file the recorded checksum. The file
is written first, the record last, both atomically; any other part is made again. Several processes share a folder of
parts; the one that finds all of them complete, alone under a lock, continues with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from babyhubert.errors import CorpusError
from babyhubert.files import atomic_path, explain_os_error, make_folder, write_json
from babyhubert.hashing import file_sha256

STATE_FOLDER = ".babyhubert"


@dataclass(frozen=True)
class Parts:
    """The parts of one piece of work.

    Attributes:
        folder: Their folder.
        suffix: Suffix of the result files, such as ``.u16``; records end in ``.json``.
        fingerprint: Hash of all settings and inputs that affect the results.
    """

    folder: Path
    suffix: str
    fingerprint: str

    def path(self, shard: int) -> Path:
        """The result of a shard."""
        return self.folder / f"{shard:05d}{self.suffix}"

    def record(self, shard: int) -> dict[str, Any] | None:
        """Record of a shard, or None if there is none, or it belongs to other work."""
        try:
            record = json.loads(self.path(shard).with_suffix(".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        fits = isinstance(record, dict) and record.get("fingerprint") == self.fingerprint
        return record if fits and "sha256" in record else None

    def is_complete(self, shard: int) -> bool:
        """True if a shard's result is stored, belongs to this work, and is undamaged."""
        record = self.record(shard)
        return record is not None and self.path(shard).is_file() and file_sha256(self.path(shard)) == record["sha256"]

    def write(self, shard: int, values: NDArray, facts: Mapping[str, Any] | None = None) -> None:
        """Write a shard's result as flat values in memory order, then its record.

        Raises:
            OutputError: the disk is full or not writable.
        """
        path = self.path(shard)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(np.ascontiguousarray(values).data.cast("B") if values.size else b"")
        content = {"fingerprint": self.fingerprint, "sha256": file_sha256(path), **(facts or {})}
        write_json(path.with_suffix(".json"), content)

    def read_into(self, shard: int, target: NDArray) -> None:
        """Fill a C-contiguous array with a shard's values.

        Raises:
            CorpusError: the file has another size.
        """
        path = self.path(shard)
        if path.stat().st_size != target.nbytes:
            raise CorpusError(f"{path}: not {target.nbytes} bytes; delete it and run the same command again")
        if target.size:
            with path.open("rb") as file:
                file.readinto(target.data.cast("B"))

    def missing(self, shards: Sequence[int]) -> list[int]:
        """Shards whose result must still be made."""
        return [shard for shard in shards if not self.is_complete(shard)]


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Hold the lock of an output folder: one process at a time, the others wait.

    Raises:
        OutputError: the folder cannot be written.
    """
    lock = FileLock(make_folder(output / STATE_FOLDER) / "lock")
    try:
        lock.acquire()
    except OSError as error:
        raise explain_os_error(output, error) from error
    try:
        yield
    finally:
        lock.release()
