"""One run at a time in an output folder, or one a part where a run is shared out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from babyhubert.batch.parts import Part
from babyhubert.errors import OutputError
from babyhubert.files import explain_os_error, make_folder

_GATE_SECONDS = 30


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


class FolderLock:
    """Lets one run have a whole output folder, or several runs one part each.

    Who wants in passes a gate, one at a time and for an instant; behind it the locks of all others can be looked at
    without anyone taking that look for a run.

    Args:
        output: The output folder.
        state: The folder of its locks.
        command: Who wants in; parts of different commands do not disturb each other.
        part: The part; None for the whole folder.
    """

    def __init__(self, output: Path, state: Path, command: str, part: Part | None) -> None:
        self._output = output
        self._state = state
        self._parts = state / "parts" / command
        self._part = part
        self._gate = FileLock(state / "gate.lock")
        self._held = FileLock(state / "lock" if part is None else self._parts / _part_name(part))

    def acquire(self) -> None:
        """Take it, or fail at once.

        Raises:
            OutputError: another run has the folder or this part of it, or it cannot be written.
        """
        make_folder(self._parts)
        try:
            with self._gate.acquire(timeout=_GATE_SECONDS):
                self._refuse_others()
                if not _take(self._held):
                    raise OutputError(f"{self._output}: another run is writing here; wait for it or choose another")
        except Timeout:
            raise OutputError(f"{self._output}: many runs are starting here at once; try again") from None
        except OSError as error:
            raise explain_os_error(self._output, error) from error

    def release(self) -> None:
        """Give it back."""
        self._held.release()

    def is_held(self) -> bool:
        """Whether a run has it now, as far as this machine can tell."""
        if not self._state.is_dir():
            return False
        with suppress(Timeout, OSError), self._gate.acquire(timeout=_GATE_SECONDS):
            return not _is_free(self._held)
        return False

    def _refuse_others(self) -> None:
        """Fail where a run is at work that goes not together with this one: one over the whole, or in other parts."""
        if self._part is None:
            others = sorted((self._state / "parts").glob("*/*.lock"))
        else:
            fellows = _part_name(self._part).partition("-")[2]
            others = [path for path in self._parts.glob("*.lock") if path.name.partition("-")[2] != fellows]
            others.append(self._state / "lock")
        for path in others:
            if not _is_free(FileLock(path)):
                who = "another run" if path.stem == "lock" else f"shard {path.stem.replace('-of-', '/')}"
                raise OutputError(f"{self._output}: {who} is writing here; wait for it or choose another")


def _part_name(part: Part) -> str:
    return f"{part.number}-of-{part.parts}.lock"


def _take(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _is_free(lock: FileLock) -> bool:
    if not _take(lock):
        return False
    lock.release()
    return True
