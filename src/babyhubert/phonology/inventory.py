"""Phoneme inventories: the 57 published symbols or a lab's own, and the mapping of other symbols to them.

A transcription consists of symbols separated by spaces; ``|`` marks word boundaries and is no sound. A symbol outside
the inventory is an error that names it, unless it is mapped: by hand (``phone_map``), or by :func:`simplify`, which
drops stress, length and ties and splits affricates and diphthongs, since the published inventory has neither.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from babyhubert.encoder.flavours.babar import BLANK
from babyhubert.encoder.flavours.babar import LABELS as PUBLISHED_LABELS
from babyhubert.errors import AnnotationError, ConfigError

BOUNDARY = "|"

_EQUIVALENTS = {"g": "ɡ", "ɝ": "ɜɹ", "ɚ": "əɹ", "r̩": "ɹ", "ʧ": "tʃ", "ʤ": "dʒ", "ʦ": "ts", "ʣ": "dz", "ɫ": "l"}
"""Other spellings of the same sounds; r-coloured vowels become vowel and ɹ."""

_SOUNDLESS_MARKS = "ˈˌːˑ.ʰʲʷˠ˞\u0361\u035c\u0329\u032f\u031a\u030d"
"""Marks without a sound of their own: stress, length, syllable dots, secondary articulations, ties, syllabic,
unreleased.
"""

_BETWEEN = frozenset("ˈˌ.‿^+|‖↑↓↗↘‹›")
"""Signs between the phones of a word in IPA: stress, syllables, links, pauses, compounds, intonation, groups."""

_TIES = ("\u0361", "\u035c")
_MARK_CATEGORIES = ("Mn", "Lm", "Sk", "No")
"""Unicode's categories of signs that belong to the letter before: combining and raised ones, tone letters."""


@dataclass(frozen=True)
class Inventory:
    """Symbols by output.

    Attributes:
        labels: Symbols and, last, the blank.
        phone_map: Mapping of other symbols to space-separated symbols of the inventory; ``""`` for nothing.
        simplified: True if symbols outside it go through :func:`simplify`.
    """

    labels: tuple[str, ...] = PUBLISHED_LABELS
    phone_map: Mapping[str, str] = field(default_factory=dict)
    simplified: bool = False

    def __post_init__(self) -> None:
        for source, target in self.phone_map.items():
            for symbol in target.split():
                if symbol not in self.symbols:
                    raise ConfigError(f"phone_map: {source!r} stands for {symbol!r}, which is not in the inventory")

    @property
    def symbols(self) -> tuple[str, ...]:
        """The labels without the blank."""
        return self.labels[:-1]

    @property
    def blank(self) -> int:
        """Output of the blank."""
        return len(self.labels) - 1

    def encode(self, phones: str) -> list[int] | tuple[str, ...]:
        """Outputs of a transcription, or, as a tuple, those of its symbols that are not in the inventory."""
        index = {symbol: number for number, symbol in enumerate(self.symbols)}
        outputs: list[int] = []
        unknown: list[str] = []
        for symbol in phones.split():
            found = [BOUNDARY] if symbol == BOUNDARY else self._found(unicodedata.normalize("NFC", symbol), index)
            if found is None:
                unknown.append(symbol)
            else:
                outputs += [index[part] for part in found if part != BOUNDARY]
        return tuple(unknown) if unknown else outputs

    def split(self, words: str) -> str:
        """Words in IPA, phones unseparated, as a transcription.

        A phone is a letter with its marks, or letters that a tie joins; several are one where they are a symbol of the
        inventory or of ``phone_map`` together, the longest first (``tʃ`` where there is such a symbol).
        """
        known = {unicodedata.normalize("NFC", symbol) for symbol in (*self.symbols, *self.phone_map)}
        return f" {BOUNDARY} ".join(" ".join(_joined(phones_of(word), known)) for word in words.split())

    def _found(self, symbol: str, index: Mapping[str, int]) -> Sequence[str] | None:
        if symbol in self.phone_map:
            return self.phone_map[symbol].split()
        if symbol in index:
            return [symbol]
        return simplify(symbol, self.symbols) if self.simplified else None


def read_inventory(path: Path) -> tuple[str, ...]:
    """Read labels from a file: a symbol per line, or JSON ``{symbol: output}`` as of BabAR; adds the blank.

    Raises:
        ConfigError: unreadable, empty, a symbol twice, or outputs that are not 0 to N - 1.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: an inventory cannot be read from it ({error})") from error
    symbols = _from_json(path, text) if text.lstrip().startswith("{") else text.split()
    symbols = [unicodedata.normalize("NFC", symbol) for symbol in symbols if symbol != BLANK]
    if not symbols or len(set(symbols)) < len(symbols):
        raise ConfigError(f"{path}: an inventory lists each symbol once; there are {len(symbols)}")
    return (*symbols, BLANK)


def simplify(symbol: str, inventory: Sequence[str]) -> list[str] | None:
    """Convert a symbol to symbols of an inventory by dropping marks and splitting; None if that fails.

    ``tʃ`` becomes ``t ʃ``, ``aɪ`` becomes ``a ɪ``, ``iː`` becomes ``i``, ``ɝ`` becomes ``ɜ ɹ``.
    """
    plain = "".join(mark for mark in symbol if mark not in _SOUNDLESS_MARKS)
    for other, same in _EQUIVALENTS.items():
        plain = plain.replace(other, same)
    longest = sorted((unicodedata.normalize("NFC", known) for known in inventory), key=len, reverse=True)
    found: list[str] = []
    while plain:
        part = next((known for known in longest if plain.startswith(known)), None)
        if part is None:
            return None
        found.append(part)
        plain = plain.removeprefix(part)
    return found


def phones_of(word: str) -> list[str]:
    """Phones of a word in IPA: letters with their marks; signs between phones are dropped."""
    found: list[str] = []
    continues = False
    for sign in unicodedata.normalize("NFC", word):
        if sign in _BETWEEN:
            continue
        if found and (continues or unicodedata.category(sign) in _MARK_CATEGORIES):
            found[-1] += sign
        else:
            found.append(sign)
        continues = sign in _TIES
    return found


def is_mark(symbol: str) -> bool:
    """True for a symbol that belongs to the phone before it, such as length or a tilde alone."""
    return bool(symbol) and all(unicodedata.category(sign) in _MARK_CATEGORIES for sign in symbol)


def is_between(symbol: str) -> bool:
    """True for a symbol without a sound of its own: stress, boundaries and other signs between phones."""
    return not symbol.strip() or all(sign in _BETWEEN for sign in symbol)


def _joined(phones: Sequence[str], known: Collection[str]) -> list[str]:
    found: list[str] = []
    first = 0
    while first < len(phones):
        ends = range(len(phones), first + 1, -1)
        end = next((end for end in ends if "".join(phones[first:end]) in known), first + 1)
        found.append("".join(phones[first:end]))
        first = end
    return found


def refuse_unknown(unknown: Mapping[str, int], labels: Sequence[str], where: str) -> None:
    """Raise if symbols are outside the inventory, naming them.

    Raises:
        AnnotationError: there are any.
    """
    if unknown:
        named = ", ".join(f"{symbol} ({count})" for symbol, count in sorted(unknown.items(), key=lambda x: -x[1]))
        raise AnnotationError(
            f"{where}: phones outside the inventory of {len(labels) - 1}: {named}; say what they stand for in "
            "[phonemes.phone_map], set phonemes.simplify = true (which takes affricates and diphthongs apart), or "
            "give another phonemes.inventory"
        )


def _from_json(path: Path, text: str) -> list[str]:
    try:
        content = json.loads(text)
        return [symbol for symbol, _ in sorted(_checked(content).items(), key=lambda entry: entry[1])]
    except (ValueError, AttributeError) as error:
        raise ConfigError(f'{path}: not an inventory ({error}); it is {{"symbol": output, ...}}') from error


def _checked(content: dict[str, int]) -> dict[str, int]:
    if sorted(content.values()) != list(range(len(content))):
        raise ValueError(f"outputs are not 0 to {len(content) - 1}")
    return content
