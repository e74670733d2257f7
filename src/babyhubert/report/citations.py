"""Papers to cite for models and methods, and their BibTeX; the only place that knows them.

Which models a paper belongs to is told by words in the model's name, description and lineage. A model in which none of
them occurs has no paper here: none is guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Citation:
    """One paper or software.

    Attributes:
        key: BibTeX key.
        kind: BibTeX entry type.
        authors: ``(family name, given names)``; a group has no given names.
        year: Year.
        title: Title, capitals that must stay in braces.
        fields: Further BibTeX fields in order.
    """

    key: str
    kind: str
    authors: tuple[tuple[str, str], ...]
    year: str
    title: str
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def short(self) -> str:
        """As in a sentence: ``Charlot et al., 2025``."""
        names = [family for family, _ in self.authors]
        who = names[0] if len(names) == 1 else f"{names[0]} & {names[1]}" if len(names) == 2 else f"{names[0]} et al."
        return f"{who}, {self.year}" if self.year else who

    @property
    def plain_title(self) -> str:
        """The title without braces."""
        return self.title.replace("{", "").replace("}", "")

    def full(self) -> str:
        """Entry of a reference list."""
        most = 6
        names = [f"{family}, {_initials(given)}" if given else family for family, given in self.authors]
        listed = "; ".join(names if len(names) <= most else [*names[:most], "et al."])
        told = dict(self.fields)
        where = told.get("journal", "")
        if where and "volume" in told:
            where += f" {told['volume']}"
        if "eprint" in told:
            where = f"arXiv:{told['eprint']}"
        doi = f"https://doi.org/{told['doi']}" if "doi" in told else ""
        ends = [text for text in (where, told.get("note", ""), doi) if text]
        year = f" ({self.year})." if self.year else "."
        stop = "" if listed.endswith(".") and not self.year else year
        return f"{listed}{stop} {self.plain_title}. {'. '.join(ends)}".strip().rstrip(".") + "."

    def bibtex(self) -> str:
        """The BibTeX entry."""
        authors = " and ".join(f"{family}, {given}" if given else f"{{{family}}}" for family, given in self.authors)
        fields = [("title", self.title), ("author", _ascii(authors)), ("year", self.year), *self.fields]
        width = max(len(name) for name, value in fields if value)
        lines = [f"  {name:<{width}} = {{{value}}}" for name, value in fields if value]
        return f"@{self.kind}{{{self.key},\n" + ",\n".join(lines) + "\n}\n"


def _initials(given: str) -> str:
    """``Kaveri K.`` as ``K. K.``; ``Yao-Hung Hubert`` as ``Y.-H. H.``."""
    return " ".join("-".join(f"{part[0]}." for part in name.split("-")) for name in given.split())


def _ascii(text: str) -> str:
    return text.replace("é", r"{\'e}")


def _arxiv(number: str) -> tuple[tuple[str, str], ...]:
    return (("eprint", number), ("archivePrefix", "arXiv"))


def software(version: str) -> Citation:
    """This package in a version, as `CITATION.cff` names it."""
    return Citation(
        "babyhubert_software",
        "misc",
        (("The BabyHuBERT developers", ""),),
        "",
        "{BabyHuBERT}: speech representations and voice types for child-centred daylong recordings",
        (("note", f"Software, version {version}"),),
    )


BABYHUBERT = Citation(
    "charlot2025babyhubert",
    "misc",
    (
        ("Charlot", "Théo"),
        ("Kunze", "Tarek"),
        ("Poli", "Maxime"),
        ("Cristia", "Alejandrina"),
        ("Dupoux", "Emmanuel"),
        ("Lavechin", "Marvin"),
    ),
    "2025",
    "{BabyHuBERT}: Multilingual Self-Supervised Learning for Segmenting Speakers in Child-Centered Long-Form "
    "Recordings",
    _arxiv("2509.15001"),
)
CONTEXT = Citation(
    "charlot2026context",
    "misc",
    (
        ("Charlot", "Théo"),
        ("Kunze", "Tarek"),
        ("Sheth", "Kaveri K."),
        ("Cristia", "Alejandrina"),
        ("Lavechin", "Marvin"),
    ),
    "2026",
    "Context-aware child-directed speech detection from long-form recordings",
    _arxiv("2606.01134"),
)
BABAR = Citation(
    "lavechin2026babar",
    "misc",
    (("Lavechin", "Marvin"), ("Bergelson", "Elika"), ("Levy", "Roger")),
    "2026",
    "{BabAR}: from phoneme recognition to developmental measures of young children's speech production",
    _arxiv("2603.05213"),
)
HUBERT = Citation(
    "hsu2021hubert",
    "article",
    (
        ("Hsu", "Wei-Ning"),
        ("Bolte", "Benjamin"),
        ("Tsai", "Yao-Hung Hubert"),
        ("Lakhotia", "Kushal"),
        ("Salakhutdinov", "Ruslan"),
        ("Mohamed", "Abdelrahman"),
    ),
    "2021",
    "{HuBERT}: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units",
    (
        ("journal", "IEEE/ACM Transactions on Audio, Speech, and Language Processing"),
        ("volume", "29"),
        ("pages", "3451--3460"),
        ("doi", "10.1109/TASLP.2021.3122291"),
    ),
)
WAVLM = Citation(
    "chen2022wavlm",
    "article",
    (
        ("Chen", "Sanyuan"),
        ("Wang", "Chengyi"),
        ("Chen", "Zhengyang"),
        ("Wu", "Yu"),
        ("Liu", "Shujie"),
        ("Chen", "Zhuo"),
        ("Li", "Jinyu"),
        ("Kanda", "Naoyuki"),
        ("Yoshioka", "Takuya"),
        ("Xiao", "Xiong"),
        ("Wu", "Jian"),
        ("Zhou", "Long"),
        ("Ren", "Shuo"),
        ("Qian", "Yanmin"),
        ("Qian", "Yao"),
        ("Wu", "Jian"),
        ("Zeng", "Michael"),
        ("Yu", "Xiangzhan"),
        ("Wei", "Furu"),
    ),
    "2022",
    "{WavLM}: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing",
    (
        ("journal", "IEEE Journal of Selected Topics in Signal Processing"),
        ("volume", "16"),
        ("doi", "10.1109/JSTSP.2022.3188113"),
    ),
)
PPI = Citation(
    "angelopoulos2023ppi",
    "misc",
    (("Angelopoulos", "Anastasios N."), ("Duchi", "John C."), ("Zrnic", "Tijana")),
    "2023",
    "{PPI++}: Efficient Prediction-Powered Inference",
    _arxiv("2311.01453"),
)

PAPERS = (BABYHUBERT, CONTEXT, BABAR, HUBERT, WAVLM, PPI)

_WORDS = (
    (BABYHUBERT, ("babyhubert", "coml/vtc-2", "vtc 2", "vtc-2")),
    (CONTEXT, ("coml/addressee", "addressee model of")),
    (BABAR, ("babar",)),
    (WAVLM, ("wavlm",)),
)
_HUB = ("coml/", "marvinlvn/")
"""Owners of the released models on the hub, lower case."""
_OF_CARD = ("description", "trained_on", "lineage", "licence")


def citations_of(model: Mapping[str, Any]) -> tuple[Citation, ...]:
    """Papers of a model, by its source and its card.

    Args:
        model: ``source`` and ``card``, as runs record them.
    """
    card, source = model.get("card"), str(model.get("source", ""))
    told = [source] if source.lower().startswith(_HUB) else []  # a path says nothing of what the model is
    if isinstance(card, Mapping):
        told += [json.dumps(card[name], ensure_ascii=False) for name in _OF_CARD if name in card]
    text = " ".join(told).lower()
    found = [citation for citation, words in _WORDS if any(word in text for word in words)]
    return tuple(found)


def bibliography(citations: Iterable[Citation]) -> str:
    """BibTeX of several, each once."""
    return "\n".join(citation.bibtex() for citation in dict.fromkeys(citations))
