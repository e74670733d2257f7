"""Syllables as published, against sonorities written out by hand for the published inventory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("panphon")

from babyhubert.encoder.flavours.babar import LABELS
from babyhubert.phonology.syllables import sonority, syllables_of

CLASSES = {
    6: "a e i o u y æ õ ø ĩ œ œ̃ ũ ɐ ɐ̃ ɑ ɑ̃ ɔ ɔ̃ ə ɛ ɛ̃ ɜ ɨ ɪ ʊ ʌ",
    5: "j w ɥ h",
    4: "l r ɹ ɾ ʎ",
    3: "m n ŋ ɲ",
    2: "f s v x z ç ð ʁ ʃ ʒ θ",
    1: "b d k p t ɡ",
}
BY_HAND = {phoneme: level for level, text in CLASSES.items() for phoneme in text.split()}


def test_the_published_inventory_has_27_vowels_and_30_consonants_of_known_sonority():
    assert set(BY_HAND) == set(LABELS[:-1])
    assert {phoneme: sonority(phoneme) for phoneme in LABELS[:-1]} == BY_HAND
    assert sum(level == 6 for level in BY_HAND.values()) == 27


@pytest.mark.parametrize(
    ("phonemes", "syllables", "cv"),
    [
        ("", "", ""),
        ("b a b a", "b a|b a", "CVCV"),
        ("s t ɹ", "s t ɹ", "CCC"),
        ("a i", "a|i", "VV"),
        ("a n d a", "a n|d a", "VCCV"),
        ("a s t ɹ a", "a s|t ɹ a", "VCCCV"),
        ("a t p a", "a|t p a", "VCCV"),
        ("m a j a", "m a|j a", "CVVV"),
        ("h ɛ l o", "h ɛ|l o", "VVCV"),
        ("b ɔ̃ ʒ u ʁ", "b ɔ̃|ʒ u ʁ", "CVCVC"),
    ],
)
def test_examples(phonemes, syllables, cv):
    found = syllables_of(phonemes.split())
    assert (found.text, found.cv) == (syllables, cv)
    assert found.phonemes == len(phonemes.split())
    assert found.syllables == (syllables.count("|") + 1 if syllables else 0)


@given(st.lists(st.sampled_from(LABELS[:-1]), max_size=20))
def test_syllables_keep_every_phoneme_and_hold_one_vowel_each(phonemes):
    found = syllables_of(phonemes)
    assert found.text.replace("|", " ").split() == phonemes
    vowels = sum(BY_HAND[phoneme] == 6 for phoneme in phonemes)
    assert found.syllables == (max(vowels, 1) if phonemes else 0)
    if vowels > 1:
        parts = [part.split() for part in found.text.split("|")]
        assert all(sum(BY_HAND[p] == 6 for p in part) == 1 for part in parts)


def test_symbols_outside_the_inventory():
    assert [sonority(p) for p in ("ʏ", "ts", "aː", "?")] == [6, 1, 6, 2]
