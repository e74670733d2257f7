"""Measures that are totals over time: minutes and counts, which annotated clips can stand for.

Means, shares and rates are quotients of totals; turns by chance depend on a complete hour. A test checks that the
totals are those columns of ``measures.csv`` whose hours add up to the recording, for any columns of tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from babyhubert.annotation.columns import ADDRESSEE, PHONEMES, Column
from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.measures.tables import measure_names
from babyhubert.measures.turns import TurnRules


@dataclass(frozen=True)
class Total:
    """A measure that is a total over time.

    Attributes:
        name: Its column in ``measures.csv``.
        is_time: True for minutes that cannot be more than the time there is.
        column: The column of the task whose results it counts; empty for segments alone.
    """

    name: str
    is_time: bool = False
    column: str = ""


def totals(own: Iterable[Column] = ()) -> tuple[Total, ...]:
    """All totals, minutes before counts.

    Args:
        own: Columns of tasks that are not published.
    """
    found = [*_published(), *_of_own(list(own))]
    return tuple(sorted(found, key=lambda total: not total.name.endswith("_min")))


def _published() -> Iterator[Total]:
    for voice in VOICE_TYPES:
        yield Total(f"{voice.lower()}_speech_min", is_time=True)
    yield from (Total(name, is_time=True) for name in ("adult_speech_min", "speech_min"))
    for name in ("segments", "vocalisations"):
        yield from (Total(f"{voice.lower()}_{name}") for voice in VOICE_TYPES)
    yield from (Total(f"turns_{rule}") for rule in TurnRules().named())
    yield from (Total(f"{name}_min", True, ADDRESSEE.name) for name in ("kcds", "ads", "other_addressee"))
    for name in ("utterances", "linguistic_utterances", "canonical_utterances"):
        yield Total(name, column=PHONEMES.name)
    for name in ("phonemes", "syllables", "canonical_syllables"):
        yield Total(name, column=PHONEMES.name)


def _of_own(own: list[Column]) -> Iterator[Total]:
    kinds = {column.name: column.kind for column in own}
    for (column, _), prefix in measure_names(own).items():
        names = ("min", "count") if kinds[column] == "classification" else ("utterances", "symbols")
        yield from (Total(f"{prefix}_{name}", column=column) for name in names)
