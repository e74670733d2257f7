"""Ctrl-C: the first ends the command in good order, the second at once, both with one line."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130
_SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def interrupts_end_in_order() -> Iterator[None]:
    """While in use, the first Ctrl-C raises KeyboardInterrupt, and a second ends this process and its workers at once.

    Interrupting code that closes workers would print its traceback. Half-written files are removed by the next run.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received = 0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal received
        received += 1
        if received > 1:
            _end("babyhubert: stopped at once; run the same command again to continue")
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if received:  # what is left to close would be open to interrupts once more
            _end("babyhubert: stopped; run the same command again to continue")
        signal.signal(signal.SIGINT, before)


def _end(message: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for process in multiprocessing.active_children():
        with suppress(Exception):
            process.kill()
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
    with suppress(OSError):
        os.write(2, f"{cursor}{message}\n".encode())
    os._exit(INTERRUPTED)
