"""Phones into syllables, as published for the child phoneme recogniser BabAR, without a library of features.

Sonority rises from stop (1) over fricative, nasal, liquid and glide to vowel (6). Vowels are the nuclei; between two
of them the boundary falls before the least sonorous phone (the first of equals), so adjacent vowels make two
syllables; a string with one vowel or none is one syllable.

A syllable is canonical when it holds a vowel and a true consonant. Glides, ``h`` and the glottal stop count with the
vowels, as in BabAR's CV strings: they close nothing above the glottis (Oller 2000, The Emergence of the Speech
Capacity).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import pairwise

SYLLABLE_SEPARATOR = "|"
_VOWEL, _GLIDE, _LIQUID, _NASAL, _FRICATIVE, _STOP = 6, 5, 4, 3, 2, 1
_SONORITY = {
    symbol: sonority
    for sonority, symbols in (
        (_VOWEL, "aeiouyæøœɐɑɒɔəɘɚɛɜɝɞɤɨɪɯɵɶʉʊʌʏ"),
        (_GLIDE, "jwɥhɰʍɦ"),
        (_LIQUID, "lɹrɾʎɫɭɻʀ"),
        (_NASAL, "mnŋɲɱɳɴ"),
        (_FRICATIVE, "fvθðszʃʒçxʁɸβɣχħʕʂʐɕʑʝ"),
        (_STOP, "pbtdkɡgʔcɟqɢʈɖ"),
    )
    for symbol in symbols
}
_NO_TRUE_CONSONANT = "ʔ"


def sonority(phone: str) -> int:
    """1 (stop) to 6 (vowel), by the phone's first letter; marks of length and nasality do not change it.

    A symbol outside the IPA letters known here counts as a fricative consonant.
    """
    letters = [letter for letter in unicodedata.normalize("NFD", phone) if not unicodedata.combining(letter)]
    # NFD splits ç into c and a cedilla, which is no mark of IPA.
    first = "ç" if phone.startswith(("ç", "c\u0327")) else (letters[0] if letters else "")
    return _SONORITY.get(first, _FRICATIVE)


def syllabify(phones: Sequence[str]) -> list[tuple[str, ...]]:
    """Syllables of a string of phones, in order; none of an empty string."""
    if not phones:
        return []
    height = [sonority(phone) for phone in phones]
    nuclei = [place for place, level in enumerate(height) if level == _VOWEL]
    starts = [0]
    for left, right in pairwise(nuclei):
        between = range(left + 1, right)
        starts.append(min(between, key=height.__getitem__) if between else right)
    ends = [*starts[1:], len(phones)]
    return [tuple(phones[start:end]) for start, end in zip(starts, ends, strict=True)]


def is_canonical(syllable: Sequence[str]) -> bool:
    """Whether a syllable holds a vowel and a true consonant."""
    levels = [sonority(phone) for phone in syllable if phone not in _NO_TRUE_CONSONANT]
    return _VOWEL in levels and any(level < _GLIDE for level in levels)
