"""Syllables and what makes them canonical, on strings whose division the published rule decides."""

from __future__ import annotations

import unicodedata

import pytest

from babyhubert.phonology.sonority import is_canonical, sonority, syllabify

PUBLISHED_INVENTORY = (
    *("a", "b", "d", "e", "f", "h", "i", "j", "k", "l", "m", "n", "o", "p", "r", "s", "t", "u", "v", "w", "x", "y"),
    *("z", "æ", "ç", "ð", "õ", "ø", "ĩ", "ŋ", "œ", "œ̃", "ũ", "ɐ", "ɐ̃", "ɑ", "ɑ̃", "ɔ", "ɔ̃", "ə", "ɛ", "ɛ̃", "ɜ", "ɡ"),
    *("ɥ", "ɨ", "ɪ", "ɲ", "ɹ", "ɾ", "ʁ", "ʃ", "ʊ", "ʌ", "ʎ", "ʒ", "θ"),
)


@pytest.mark.parametrize(
    ("phones", "syllables"),
    [
        ("", []),
        ("b", ["b"]),
        ("s t", ["s t"]),
        ("a", ["a"]),
        ("b a b a", ["b a", "b a"]),
        ("a i", ["a", "i"]),  # adjacent vowels split
        ("a n t a", ["a n", "t a"]),  # before the least sonorous of n and t
        ("a s t a", ["a s", "t a"]),
        ("a p t a", ["a", "p t a"]),  # the first of equals
        ("s t ɹ ɑ̃ b l i", ["s t ɹ ɑ̃", "b l i"]),
        ("m a w a h a", ["m a", "w a", "h a"]),
    ],
)
def test_division_into_syllables(phones, syllables):
    assert [" ".join(syllable) for syllable in syllabify(phones.split())] == syllables


@pytest.mark.parametrize(
    ("syllable", "canonical"),
    [
        ("b a", True),
        ("a m", True),
        ("a", False),
        ("b", False),
        ("w a", False),
        ("h a", False),
        ("ʔ a", False),
        ("ʁ ɔ̃", True),
        ("h a t", True),
    ],
)
def test_canonical_needs_a_vowel_and_a_true_consonant(syllable, canonical):
    assert is_canonical(syllable.split()) is canonical


def test_the_published_inventory_has_27_vowels_and_30_consonants():
    assert len(PUBLISHED_INVENTORY) == 57
    for form in ("NFC", "NFD"):
        vowels = [phone for phone in PUBLISHED_INVENTORY if sonority(unicodedata.normalize(form, phone)) == 6]
        assert len(vowels) == 27
    glides = [phone for phone in PUBLISHED_INVENTORY if sonority(phone) == 5]
    assert glides == ["h", "j", "w", "ɥ"]
    assert sonority("ç") == sonority(unicodedata.normalize("NFD", "ç")) == 2
