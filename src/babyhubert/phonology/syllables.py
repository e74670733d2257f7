"""Phonemes into syllables and into a string of consonants and vowels, as published for BabAR, for any IPA symbol.

Sonority comes from articulatory features (panphon: Mortensen et al. 2016), so that inventories other than the
published one need no table. Vowels are the nuclei; between two of them the boundary falls before the least sonorous
phoneme (the first of equals); a sequence with one vowel or none is one syllable.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from babyhubert.errors import MissingExtraError

VOWEL, GLIDE, LIQUID, NASAL, FRICATIVE, STOP = 6, 5, 4, 3, 2, 1
"""Sonority. A symbol that is not IPA counts as a fricative."""

GLIDES = frozenset("jwɥh")
"""Published: h is one of them, and all count as V."""

BOUNDARY = "|"


@dataclass(frozen=True)
class Syllables:
    """Syllables of an utterance.

    Attributes:
        text: Phonemes with spaces between, ``|`` between syllables.
        syllables: Number of syllables.
        phonemes: Number of phonemes.
        cv: V for vowels and glides, C for the rest, no spaces.
    """

    text: str
    syllables: int
    phonemes: int
    cv: str


def available() -> bool:
    """True if panphon is installed."""
    return find_spec("panphon") is not None


def syllables_of(phonemes: Sequence[str]) -> Syllables:
    """Syllables of an utterance.

    Raises:
        MissingExtraError: panphon is not installed.
    """
    heights = [sonority(phoneme) for phoneme in phonemes]
    parts = syllabify(phonemes, heights)
    cv = "".join("V" if height >= GLIDE else "C" for height in heights)
    return Syllables(BOUNDARY.join(" ".join(part) for part in parts), len(parts), len(phonemes), cv)


def syllabify(phonemes: Sequence[str], heights: Sequence[int]) -> list[tuple[str, ...]]:
    """Split phonemes before the least sonorous one between two vowels; adjacent vowels are split.

    Args:
        phonemes: In order.
        heights: Sonority of each.
    """
    if not phonemes:
        return []
    nuclei = [place for place, height in enumerate(heights) if height == VOWEL]
    starts = [0]
    for left, right in pairwise(nuclei):
        between = range(left + 1, right)
        starts.append(min(between, key=heights.__getitem__) if between else right)
    return [tuple(phonemes[start:end]) for start, end in pairwise([*starts, len(phonemes)])]


@lru_cache(maxsize=4096)
def sonority(phoneme: str) -> int:
    """From stop (1) to vowel (6), by the features of the symbol's first segment.

    Raises:
        MissingExtraError: panphon is not installed.
    """
    if phoneme in GLIDES:
        return GLIDE
    segments = _features().word_fts(phoneme)
    if not segments:
        return FRICATIVE
    features = segments[0]
    if features["syl"] > 0:
        return VOWEL
    if features["nas"] > 0:
        return NASAL
    if features["son"] > 0 and features["cont"] > 0:
        return LIQUID
    return FRICATIVE if features["cont"] > 0 else STOP


@lru_cache(maxsize=1)
def _features() -> Any:
    with warnings.catch_warnings():  # panphon's dependencies warn of their own futures
        warnings.simplefilter("ignore")
        try:
            import panphon
        except ImportError:
            raise MissingExtraError("syllables", "phones") from None
        return panphon.FeatureTable()
