"""Read-ahead: the next block is decoded while the current one is computed.

Input: one or several iterables. Output: the same items in the same order, produced in background threads through
bounded queues. Decoders and resamplers release the interpreter lock, so on two cores decoding takes no extra time.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.05
_LONGEST_JOIN_SECONDS = 10.0


@dataclass(frozen=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True)
class _End:
    error: BaseException | None = None


def prefetch(items: Iterable[T], depth: int = 2) -> Generator[T, None, None]:
    """Yield the items of an iterable, produced up to ``depth`` ahead by a daemon thread.

    The thread starts with the first item requested. It ends with the last item, and also when this generator is closed
    or abandoned; a generator given as ``items`` is then closed too. An exception of ``items`` is raised here after the
    items before it.

    Raises:
        ValueError: ``depth`` is below 1.
    """
    if depth < 1:
        raise ValueError(f"depth is {depth}: at least 1")
    return _consume(items, depth)


def side_by_side(sources: Iterable[Iterable[T]], together: int, depth: int = 2) -> Generator[Iterator[T], None, None]:
    """Yield an iterator over the items of each source, in order; threads produce those of the next sources meanwhile.

    Consume each iterator completely before the next one.

    Args:
        sources: Functions that give the items. An iterator may raise only after its first item.
        together: Number of sources that are produced at once, at least 1.
        depth: Number of items of each that are produced ahead.
    """
    remaining = iter(sources)
    begun: deque[tuple[Generator[T, None, None], Iterator[T]]] = deque()
    try:
        while True:
            for source in islice(remaining, together - len(begun)):
                ahead = prefetch(source, depth)
                begun.append((ahead, chain(list(islice(ahead, 1)), ahead)))  # its first item starts its thread
            if not begun:
                return
            ahead, items = begun.popleft()
            with closing(ahead):
                yield items
    finally:
        for ahead, _ in begun:
            ahead.close()


def _consume(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    waiting: queue.Queue[_Item[T] | _End] = queue.Queue(maxsize=depth)
    stopped = threading.Event()
    thread = threading.Thread(target=_produce, args=(items, waiting, stopped), name="prefetch", daemon=True)
    thread.start()
    try:
        while isinstance(message := waiting.get(), _Item):
            yield message.value
        if message.error is not None:
            raise message.error
    finally:
        stopped.set()
        thread.join(_LONGEST_JOIN_SECONDS)


def _produce(items: Iterable[T], waiting: queue.Queue[_Item[T] | _End], stopped: threading.Event) -> None:
    end = _End()
    try:
        iterator = iter(items)
        try:
            while not stopped.is_set():
                try:
                    value = next(iterator)
                except StopIteration:
                    break
                _put(waiting, _Item(value), stopped)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
    except BaseException as error:  # handed to the consumer, whatever it is
        end = _End(error)
    _put(waiting, end, stopped)


def _put(waiting: queue.Queue[_Item[T] | _End], message: _Item[T] | _End, stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            waiting.put(message, timeout=_POLL_SECONDS)
        except queue.Full:
            continue
        return
