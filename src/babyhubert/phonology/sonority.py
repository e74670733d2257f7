"""Canonical syllables of a string of phones, by a table of sonority: needs no feature library."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from babyhubert.phonology import syllables
from babyhubert.phonology.syllables import FRICATIVE, GLIDE, LIQUID, NASAL, STOP, VOWEL

_SONORITY = {
    symbol: sonority
    for sonority, symbols in (
        (VOWEL, "aeiouyæøœɐɑɒɔəɘɚɛɜɝɞɤɨɪɯɵɶʉʊʌʏ"),
        (GLIDE, "jwɥhɰʍɦ"),
        (LIQUID, "lɹrɾʎɫɭɻʀ"),
        (NASAL, "mnŋɲɱɳɴ"),
        (FRICATIVE, "fvθðszʃʒçxʁɸβɣχħʕʂʐɕʑʝ"),
        (STOP, "pbtdkɡgʔcɟqɢʈɖ"),
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
    return _SONORITY.get(first, FRICATIVE)


def syllabify(phones: Sequence[str]) -> list[tuple[str, ...]]:
    """Syllables of a string of phones, in order; none of an empty string."""
    return syllables.syllabify(phones, [sonority(phone) for phone in phones])


def is_canonical(syllable: Sequence[str]) -> bool:
    """True if a syllable contains a vowel and a true consonant."""
    levels = [sonority(phone) for phone in syllable if phone not in _NO_TRUE_CONSONANT]
    return VOWEL in levels and any(level < GLIDE for level in levels)
