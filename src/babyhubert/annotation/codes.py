"""Labels of other tools: ChildProject's codes, LENA's codes, the tiers of ACLEW transcripts.

One ambiguity affects all of them: ``CHI`` is the *key* child in ChildProject's own files, in ACLEW tiers and in CHAT,
but the *other* children in RTTM files of the first voice-type classifier (VTC 1.0), and ChildProject reads RTTM that
way. So a label ``CHI`` from an RTTM file is refused wherever it would have to mean one of the two.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Literal

from babyhubert.annotation.columns import COLUMNS, Column
from babyhubert.errors import AnnotationError

TO_CHILDPROJECT = {"KCHI": "CHI"}
"""Labels that ChildProject spells differently; all others pass unchanged."""

FROM_CHILDPROJECT = {name: label for label, name in TO_CHILDPROJECT.items()}

FROM_LENA = {"CHN": "KCHI", "CXN": "OCH", "FAN": "FEM", "MAN": "MAL"}
"""Near, clear voices; LENA's other codes (far voices, overlap, television, noise, silence) have no equivalent here."""

TO_LENA = {label: code for code, label in FROM_LENA.items()}

OTHER_LENA_CODES = frozenset(
    {"CHF", "CXF", "FAF", "FUZ", "MAF", "NOF", "NON", "OLF", "OLN", "SIL", "TVF", "TVN"},
)
"""LENA's codes other than near voices."""

TierNaming = Literal["aclew", "labels"]
TIER_NAMINGS: tuple[TierNaming, ...] = ("aclew", "labels")

OTHER_TIERS = frozenset({"code", "code_num", "context", "on_off", "notes", "comment", "comments", "default"})
"""Tiers of ACLEW templates (lower case) that describe the recording instead of a speaker."""

_ACLEW_VOICES = {
    "KCHI": re.compile(r"CHI\**|KCHI"),
    "OCH": re.compile(r"(OC|UC|FC|MC|MI|C)\d+|OCH"),
    "FEM": re.compile(r"FA\d+|MOT\**|FEM"),
    "MAL": re.compile(r"MA\d+|MAL"),
}
"""Tiers that ChildProject's importers take for a voice, and those of this package."""


CHILDPROJECT_TIERS = frozenset(
    {"CHI", "CHI*", "OC0"}
    | {f"UC{number}" for number in range(1, 7)}
    | {f"FA{number}" for number in range(9)}
    | {f"MA{number}" for number in range(6)}
)
"""Tiers of this package that ChildProject's importers (0.4.6) know: its table ends there."""


def refuse_ambiguous(labels: Iterable[str], recording_id: str) -> None:
    """Refuse a label ``CHI`` before it is written to a file in which it would mean another child.

    Raises:
        AnnotationError: there is one.
    """
    if "CHI" in labels:
        raise AnnotationError(
            f"{recording_id}: label CHI is the key child in some tools and another child in others (VTC 1.0): "
            "replace it by KCHI or OCH"
        )


def tier_names(label: str, naming: TierNaming = "aclew") -> Iterator[str]:
    """Yield names for the tiers of one label, endlessly: the first for its segments, the next for overlapping ones.

    With ``aclew`` they are those that ChildProject's importers know: CHI, CHI*; OC0, UC1 to UC6; FA0 to FA8; MA0 to
    MA5. With ``labels``, and for labels that are no voice type: the label itself, then ``label-2`` and so on.
    """
    if naming == "aclew" and label == "KCHI":
        return ("CHI" + "*" * number for number in itertools.count())
    if naming == "aclew" and label == "OCH":
        return itertools.chain(["OC0"], (f"UC{number}" for number in itertools.count(1)))
    if naming == "aclew" and label in ("FEM", "MAL"):
        return (f"{label[0]}A{number}" for number in itertools.count())
    return itertools.chain([label], (f"{label}-{number}" for number in itertools.count(2)))


def label_of_tier(name: str, all_names: Collection[str], columns: Iterable[Column] = COLUMNS) -> str | None:
    """Label of a tier's segments; None for a tier that names no speaker.

    A tier of unknown name is a label of its own, ``name-2`` belongs to ``name`` where there is such a tier.
    """
    name = name.strip()
    if name.lower() in OTHER_TIERS or parent_of_tier(name, columns) is not None:
        return None
    base, _, number = name.rpartition("-")
    if number.isdigit() and base in all_names:
        name = base
    return next((label for label, pattern in _ACLEW_VOICES.items() if pattern.fullmatch(name)), name)


def parent_of_tier(name: str, columns: Iterable[Column] = COLUMNS) -> str | None:
    """Parent tier according to a tier's name; None for an independent tier."""
    name = name.strip()
    if "@" in name:
        return name.partition("@")[2]
    begins = [column.tier for column in columns if name.startswith(column.tier)]
    return name.removeprefix(max(begins, key=len)) if begins else None
