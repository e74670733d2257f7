"""Verification of stored files: their properties when they were written, and their faults now.

A file that exists need not be complete: a power cut empties files, a failing disk zeroes stretches of them, users
copy, cut and exchange them. So the properties of a stored file are recorded after it has reached the disk, and
compared before the file is used again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from babyhubert.files import explain_os_error
from babyhubert.hashing import file_sha256

_ALWAYS_HASHED_BYTES = 64 << 20
"""Larger files are hashed again only if their modification time has changed: reading terabytes of frames would take
hours each time a run is continued.
"""


def facts_of(path: Path) -> dict[str, Any]:
    """Length, modification time and SHA-256 of a file that is complete.

    Raises:
        OutputError: it cannot be read.
    """
    try:
        status = path.stat()
        return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": file_sha256(path)}
    except OSError as error:
        raise explain_os_error(path, error) from error


def fault_of(path: Path, facts: Mapping[str, Any]) -> str | None:
    """Difference between a file and its recorded properties, as the end of a sentence; None if it is intact."""
    try:
        status = path.stat()
        if status.st_size != facts["bytes"]:
            return f"has {status.st_size} bytes where {facts['bytes']} were written"
        unchanged = status.st_size > _ALWAYS_HASHED_BYTES and status.st_mtime_ns == facts["mtime_ns"]
        if not unchanged and file_sha256(path) != facts["sha256"]:
            return "holds something else than was written"
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return None


def sync_files(paths: Iterable[Path]) -> None:
    """Make sure that files and their names are on the disk before anything that relies on them is written.

    Raises:
        OutputError: a file cannot be written.
    """
    paths = list(paths)
    for path in paths:
        try:
            _sync(path)
        except OSError as error:
            raise explain_os_error(path, error) from error
    for folder in dict.fromkeys(path.parent for path in paths):
        with suppress(OSError):  # Windows and some network disks cannot: there, renaming is enough
            _sync(folder)


def _sync(path: Path) -> None:
    flags = os.O_RDONLY if os.name == "posix" else os.O_RDWR
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
