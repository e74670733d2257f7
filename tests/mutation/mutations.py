"""Mutated copies of valid files, and what every reader must do with them: succeed or raise an error of ours, soon."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from babyhubert.errors import BabyHubertError

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_NASTY_NUMBERS = (
    b"0",
    b"-1",
    b"1e15",
    b"1e400",
    b"nan",
    b"inf",
    b"-inf",
    b"99999999999999999999",
    b"",
    b"0x10",
    b"1,5",
)
_NASTY_TEXT = (
    b"\x00",
    b"\n",
    b"\r\n",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b",",
    b";",
    b"\t",
    b'"',
    b"=1+1",
    b"../../x",
    b" ",
)
LONGEST_CALL_S = 20

mutation_settings = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@st.composite
def mutated(draw: st.DrawFn, original: bytes, *, text: bool = False) -> bytes:
    """One to three changes of a file: flipped bits, cut, zeroed, doubled or removed stretches, foreign bytes.

    Args:
        draw: Hypothesis draws with it.
        original: The valid file.
        text: Also numbers replaced by impossible ones, lines swapped, doubled and removed, separators put in.

    """
    content = original
    for _ in range(draw(st.integers(1, 3))):
        ways = [_flip, _cut, _zero, _double, _remove, _insert]
        if text:
            ways += [_renumber, _renumber, _swap_lines, _insert_text]
        content = draw(st.sampled_from(ways))(draw, content)
    return content


def _stretch(draw: st.DrawFn, content: bytes) -> tuple[int, int]:
    start = draw(st.integers(0, max(0, len(content) - 1)))
    return start, min(len(content), start + draw(st.sampled_from([1, 2, 4, 16, 200, 4096, len(content) // 3 + 1])))


def _flip(draw: st.DrawFn, content: bytes) -> bytes:
    if not content:
        return content
    at, bit = draw(st.integers(0, len(content) - 1)), draw(st.integers(0, 7))
    return content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :]


def _cut(draw: st.DrawFn, content: bytes) -> bytes:
    return content[: draw(st.integers(0, len(content)))]


def _zero(draw: st.DrawFn, content: bytes) -> bytes:
    start, end = _stretch(draw, content)
    return content[:start] + bytes(end - start) + content[end:]


def _double(draw: st.DrawFn, content: bytes) -> bytes:
    start, end = _stretch(draw, content)
    return content[:end] + content[start:end] + content[end:]


def _remove(draw: st.DrawFn, content: bytes) -> bytes:
    start, end = _stretch(draw, content)
    return content[:start] + content[end:]


def _insert(draw: st.DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, len(content)))
    return content[:at] + draw(st.binary(min_size=1, max_size=64)) + content[at:]


def _renumber(draw: st.DrawFn, content: bytes) -> bytes:
    places = [match.span() for match in _NUMBER.finditer(content)]
    if not places:
        return content
    start, end = draw(st.sampled_from(places))
    return content[:start] + draw(st.sampled_from(_NASTY_NUMBERS)) + content[end:]


def _swap_lines(draw: st.DrawFn, content: bytes) -> bytes:
    lines = content.split(b"\n")
    one, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _insert_text(draw: st.DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, len(content)))
    return content[:at] + draw(st.sampled_from(_NASTY_TEXT)) + content[at:]


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in the main thread of a system that has alarms; elsewhere, no limit."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(_number: int, _frame: FrameType | None) -> None:
        message = f"still reading after {seconds} s"
        raise TimeoutError(message)

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def survives(call: Callable[[], object]) -> None:
    """Call a reader: any result is fine, so is an error of ours; any other error, or a hang, fails the test."""
    with _time_limit(LONGEST_CALL_S), suppress(BabyHubertError):
        call()
