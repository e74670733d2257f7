"""One run at a time in an output folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from babyhubert.errors import OutputError


@contextmanager
def exclusive(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock file, or fail at once where another run holds it.

    Args:
        lock: The lock file; its folder exists.
        busy: What to say then.

    Raises:
        OutputError: another run holds it.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise OutputError(busy) from None
    try:
        yield
    finally:
        held.release()
