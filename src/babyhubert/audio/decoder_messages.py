"""Messages that a C decoder prints on its own, kept off the terminal and counted.

libmpg123 prints about damaged frames on the standard error of C, without the name of the file, and its caller is told
nothing. While it decodes, that stream is another one; Python's own, and file descriptor 2, stay as they are. Threads
may decode at once: a count is certain only if no other decoder was running meanwhile, which :func:`alone` ensures.
Where C has no such variable (Windows), messages stay where they are. Input: calls of a decoder. Output: the number of
errors that it printed.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO

_ERROR = b"error:"
_UNBUFFERED = 2


@dataclass(eq=False)
class Heard:
    """Errors printed while a decoder was running, and True if they can only be its own."""

    errors: int = 0
    certain: bool = True


class _Stream:
    """The stream that takes the place of C's standard error."""

    def __init__(self) -> None:
        self._c = ctypes.CDLL(None)
        self._variable = ctypes.c_void_p.in_dll(self._c, "__stderrp" if sys.platform == "darwin" else "stderr")
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._c.fdopen.restype = ctypes.c_void_p
        self._c.fdopen.argtypes = [ctypes.c_int, ctypes.c_char_p]
        self._c.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t]
        self._own = self._c.fdopen(os.dup(self._file.fileno()), b"a")
        if not self._own:
            raise OSError("no stream for the messages of decoders")
        self._c.setvbuf(self._own, None, _UNBUFFERED, 0)
        self._before: int | None = None

    def take(self) -> None:
        if self._before is None:
            self._before, self._variable.value = self._variable.value, self._own

    def give_back(self) -> None:
        if self._before is not None:
            self._variable.value, self._before = self._before, None
            self._file.truncate(0)

    def errors(self) -> int:
        size = os.fstat(self._file.fileno()).st_size
        if not size:
            return 0
        self._file.seek(0)
        return self._file.read(size).count(_ERROR)


class _Gate:
    """Decoders that are running now."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._running: list[Heard] = []
        self._alone = False
        self._stream: _Stream | bool | None = None

    def _opened(self) -> _Stream | None:
        if self._stream is None:
            try:
                self._stream = _Stream()
            except (AttributeError, OSError, ValueError, TypeError):
                self._stream = False
        return self._stream if isinstance(self._stream, _Stream) else None

    @contextmanager
    def run(self, exclusive: bool) -> Iterator[Heard]:
        heard = Heard()
        with self.changed:
            self.changed.wait_for(lambda: not self._alone and not (exclusive and self._running))
            self._alone = exclusive
            self._running.append(heard)
            for each in self._running if len(self._running) > 1 else ():
                each.certain = False
            stream = self._opened()
            before = 0
            if stream is not None:
                stream.take()
                before = stream.errors()
        try:
            yield heard
        finally:
            with self.changed:
                heard.errors = 0 if stream is None else stream.errors() - before
                self._running.remove(heard)
                self._alone = False
                if stream is not None and not self._running:
                    stream.give_back()
                self.changed.notify_all()

    def after_fork(self) -> None:
        """Start anew in a forked process, in which no decoder is running."""
        if isinstance(self._stream, _Stream):
            self._stream.give_back()
        self.__init__()  # type: ignore[misc]


_GATE = _Gate()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_GATE.after_fork)


def counted() -> AbstractContextManager[Heard]:
    """A block in which a decoder runs, others beside it; its :class:`Heard` is filled when it ends."""
    return _GATE.run(exclusive=False)


def alone() -> AbstractContextManager[Heard]:
    """The same, with no other decoder beside it."""
    return _GATE.run(exclusive=True)
