"""Praat's TextGrids in their text forms, long and short.

Times are seconds. Every tier covers the complete recording: gaps are intervals without text, so an interval *is* a
segment only if it has a text; the writer inserts the tier's name if there is no transcription.

Praat reads such a file as a sequence of numbers and quoted texts, and ignores everything else as comments. So does
this reader, and it checks that there are as many as the file announces. Control characters in names and texts are
escaped as in web addresses (:mod:`babyhubert.annotation.escapes`) and read back.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from babyhubert.annotation.codes import label_of_tier, parent_of_tier
from babyhubert.annotation.escapes import CONTROL, NOT_XML, escape, unescape
from babyhubert.annotation.text import read_bytes
from babyhubert.annotation.tiers import Piece, Tier
from babyhubert.errors import AnnotationError
from babyhubert.files import write_text
from babyhubert.timebase import LONGEST_RECORDING_S, samples_to_ms

if TYPE_CHECKING:
    from babyhubert.annotation.formats import WrittenRecording

_MOST_BYTES = 1 << 28
_TOKEN = re.compile(
    r'"(?P<text>[^"]*(?:""[^"]*)*)"'
    r"|(?P<flag><exists>|<absent>)"
    r"|(?<!\S)(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?!\S)"
    r"|![^\n]*"
    r'|[^\s"]+'
    r'|(?P<open>")'
)
_TOUCHING_MS = 1
"""Limit of an overlap of intervals that is due to rounding."""


def write_textgrid(path: Path, tiers: Sequence[Tier], duration_ms: int) -> None:
    """Write tiers in Praat's long text format, UTF-8.

    Args:
        path: The file.
        tiers: At least one; Praat opens no TextGrid without tiers.
        duration_ms: Length of the recording; a segment beyond it extends the file.

    Raises:
        OutputError: the file cannot be written.
    """
    ends = [piece.end for tier in tiers for piece in tier.pieces]
    end = max([duration_ms, 1, *ends])
    names = frozenset(tier.name for tier in tiers)
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0 ",
        f"xmax = {_seconds(end)} ",
        "tiers? <exists> ",
        f"size = {len(tiers)} ",
        "item []: ",
    ]
    for number, tier in enumerate(tiers, start=1):
        lines += _tier_lines(number, tier, label_of_tier(tier.name, names) or tier.name, end)
    write_text(path, "\n".join([*lines, ""]))


def write_tiers(path: Path, tiers: Sequence[Tier], recording: WrittenRecording) -> None:
    """Write one recording's tiers, as :mod:`babyhubert.annotation.formats` asks for it."""
    write_textgrid(path, tiers, samples_to_ms(recording.samples))


def read_tiers(path: Path, recording_id: str) -> list[Tier]:
    """As :func:`read_textgrid_tiers`; such a file names no recording."""
    return read_textgrid_tiers(path)


def why_not_rewritten(path: Path) -> str | None:
    """Reason why writing a file's tiers anew would lose something; None if nothing would be lost.

    Raises:
        AnnotationError: see :func:`read_textgrid_tiers`.
    """
    text = _decode(path, read_bytes(path, _MOST_BYTES))
    return "it has a tier of points" if '"TextTier"' in text else None


def _tier_lines(number: int, tier: Tier, filler: str, end: int) -> Iterator[str]:
    pieces = list(_without_gaps(tier.pieces, filler, end))
    yield f"    item [{number}]:"
    yield '        class = "IntervalTier" '
    yield f"        name = {_quoted(escape(tier.name, CONTROL))} "
    yield "        xmin = 0 "
    yield f"        xmax = {_seconds(end)} "
    yield f"        intervals: size = {len(pieces)} "
    for place, piece in enumerate(pieces, start=1):
        yield f"        intervals [{place}]:"
        yield f"            xmin = {_seconds(piece.start)} "
        yield f"            xmax = {_seconds(piece.end)} "
        yield f"            text = {_quoted(escape(piece.text, NOT_XML))} "


def _without_gaps(pieces: Sequence[Piece], filler: str, end: int) -> Iterator[Piece]:
    reach = 0
    for piece in pieces:
        if piece.start > reach:
            yield Piece(reach, piece.start, "")
        yield Piece(piece.start, piece.end, piece.text.strip() or filler)
        reach = piece.end
    if reach < end:
        yield Piece(reach, end, "")


def _seconds(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds}.{rest:03d}".rstrip("0") if rest else str(seconds)


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def read_textgrid_tiers(path: Path) -> list[Tier]:
    """Read every interval tier of a file, in order, without the intervals that have no text.

    Raises:
        AnnotationError: unreadable, not a TextGrid, binary, or inconsistent with its announced sizes.
    """
    tokens = _Tokens(path, _decode(path, read_bytes(path, _MOST_BYTES)))
    if not tokens.begin_a_textgrid():
        raise AnnotationError(f"{path}: not a TextGrid; save it in Praat with 'Save as text file'")
    tokens.number("xmin"), tokens.number("xmax")
    tiers = []
    for number in range(1, tokens.size("tiers") + 1 if tokens.exists() else 1):
        tier = _read_tier(tokens, f"tier {number}")
        tiers += [] if tier is None else [tier]
    tokens.finish()
    return tiers


def _read_tier(tokens: _Tokens, place: str) -> Tier | None:
    kind, name = tokens.text(f"{place}, its class"), unescape(tokens.text(f"{place}, its name"), CONTROL)
    place = f"{place} ({name})"
    if kind not in ("IntervalTier", "TextTier"):
        raise AnnotationError(f"{tokens.path}, {place}: unknown class {kind[:80]!r}")
    tokens.number(f"{place}, xmin"), tokens.number(f"{place}, xmax")
    pieces: list[Piece] = []
    for number in range(1, tokens.size(f"{place}, its parts") + 1):
        where = f"{place}, part {number}"
        start = tokens.number(where)
        end = tokens.number(where) if kind == "IntervalTier" else start
        text = tokens.text(where)
        if kind == "IntervalTier" and text.strip():
            pieces.append(_piece(start, end, unescape(text, NOT_XML), f"{tokens.path}, {where}"))
            if len(pieces) > 1 and pieces[-1].start < pieces[-2].end - _TOUCHING_MS:
                raise AnnotationError(f"{tokens.path}, {where}: begins at {start} s, before the one before it ends")
    if kind == "TextTier":
        return None
    if not name.strip():
        raise AnnotationError(f"{tokens.path}, {place}: the tier has no name; give it one in Praat")
    return Tier(name, tuple(pieces), parent_of_tier(name))


def _piece(start: float, end: float, text: str, where: str) -> Piece:
    if end < start:
        raise AnnotationError(f"{where}: ends at {end} s, before it starts at {start} s")
    if end > LONGEST_RECORDING_S:
        raise AnnotationError(
            f"{where}: {end} s is longer than any recording lasts ({LONGEST_RECORDING_S // 86400} days)"
        )
    piece = Piece(_ms(start), _ms(end), text)
    if piece.start < 0:
        raise AnnotationError(f"{where}: an interval starts at {start} s, before the recording")
    return piece


def _ms(seconds: float) -> int:
    """Nearest millisecond (halves go up)."""
    return math.floor(max(seconds, -LONGEST_RECORDING_S) * 1000 + 0.5)


def _decode(path: Path, content: bytes) -> str:
    if content.startswith(b"ooBinaryFile"):
        raise AnnotationError(f"{path}: a binary TextGrid; open it in Praat and save it with 'Save as text file'")
    try:
        utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise AnnotationError(f"{path}: not a TextGrid in UTF-8 or UTF-16; save it as a text file in Praat") from None


class _Tokens:
    """The numbers and texts of a file, in order."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._length = len(text)
        self._found = (match for match in _TOKEN.finditer(text) if match.lastgroup)

    def begin_a_textgrid(self) -> bool:
        """Read the first two tokens, which identify the file."""
        kind, name = (match and match["text"] for match in (next(self._found, None), next(self._found, None)))
        return kind in ("ooTextFile", "ooTextFile short") and name == "TextGrid"

    def text(self, what: str) -> str:
        """Read the next token, a text."""
        return self._next("text", what).replace('""', '"')

    def number(self, what: str) -> float:
        """Read the next token, a number."""
        value = float(self._next("number", what))
        if not math.isfinite(value):
            raise AnnotationError(f"{self.path}, {what}: a number that is too large")
        return value

    def size(self, what: str) -> int:
        """Read the next token, a number of items that follow; each takes a few characters."""
        value = self.number(what)
        if not value.is_integer() or not 0 <= value <= self._length:
            raise AnnotationError(f"{self.path}, {what}: {value:g} cannot be their number in a file of this size")
        return int(value)

    def exists(self) -> bool:
        """Read the next token, which tells if there are tiers."""
        return self._next("flag", "tiers") == "<exists>"

    def finish(self) -> None:
        """Raise if something follows."""
        if next(self._found, None) is not None:
            raise AnnotationError(f"{self.path}: holds more than it announces; open it in Praat and save it again")

    def _next(self, kind: str, what: str) -> str:
        match = next(self._found, None)
        if match is None:
            raise AnnotationError(f"{self.path}: ends before {what}: it was cut short; save it in Praat again")
        if match.lastgroup != kind:
            there = "a quote that is not closed" if match.lastgroup == "open" else match[0][:40]
            raise AnnotationError(f"{self.path}, {what}: a {kind} is needed, not {there}; is it a TextGrid?")
        return match[kind]
