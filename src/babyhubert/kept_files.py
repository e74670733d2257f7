"""Files that are kept to be read again: what they were when they were written, and what is wrong with them now.

That a file exists does not mean that it is complete: a power cut empties files, a failing disk zeroes stretches of
them, people copy, cut and exchange them. Whoever keeps a file writes down its facts, after the file has reached the
disk, and compares them before the file is believed.
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
"""Larger files are hashed again only where their modification time has changed: reading terabytes of frames would take
hours each time a run is continued."""


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
    """The difference between a file and its facts, to be said after its path; None where it is whole."""
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
    """Make sure that files, and their names, are on the disk: what is written afterwards may rely on them.

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
