"""Articulatory targets of the phones that the synthesiser can produce.

A subset (13 vowels, 22 consonants) of the 57 IPA symbols that the published phoneme recogniser knows, so that
simulated truth can train and test it. Frequencies are for a man's vocal tract; a speaker scales them. Vowel formants
are rounded from the classical measurements of American English (Peterson and Barney 1952; Hillenbrand et al. 1995).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Manner = Literal["vowel", "nasal", "stop", "fricative", "approximant"]


class Phone(NamedTuple):
    """Articulation of a phone.

    Attributes:
        manner: Kind of gestures.
        formants: First three resonances, Hz.
        seconds: Typical duration.
        voice: Amplitude of the glottal source (1 in a vowel).
        noise: RMS of frication or burst, relative to a vowel's voice.
        noise_centre: Centre of that noise, Hz.
        noise_width: Standard deviation of its spectrum, Hz.
    """

    manner: Manner
    formants: tuple[float, float, float]
    seconds: float
    voice: float
    noise: float = 0.0
    noise_centre: float = 1000.0
    noise_width: float = 1000.0


def _vowel(first: float, second: float, third: float, seconds: float = 0.12) -> Phone:
    return Phone("vowel", (first, second, third), seconds, 1.0)


PHONES: dict[str, Phone] = {
    "i": _vowel(300, 2250, 2950),
    "ɪ": _vowel(400, 1950, 2550, 0.09),
    "e": _vowel(430, 2050, 2600),
    "ɛ": _vowel(560, 1800, 2500),
    "æ": _vowel(690, 1680, 2450, 0.14),
    "a": _vowel(750, 1350, 2500, 0.14),
    "ɑ": _vowel(720, 1100, 2450, 0.14),
    "ɔ": _vowel(580, 880, 2400),
    "o": _vowel(460, 850, 2350),
    "ʊ": _vowel(450, 1050, 2300, 0.09),
    "u": _vowel(320, 900, 2250),
    "ʌ": _vowel(630, 1200, 2450, 0.10),
    "ə": _vowel(500, 1450, 2450, 0.07),
    "m": Phone("nasal", (250, 1100, 2200), 0.08, 0.45),
    "n": Phone("nasal", (250, 1500, 2500), 0.07, 0.45),
    "ŋ": Phone("nasal", (250, 2000, 2600), 0.08, 0.40),
    "p": Phone("stop", (300, 900, 2200), 0.10, 0.0, 0.35, 900, 900),
    "t": Phone("stop", (300, 1700, 2600), 0.10, 0.0, 0.40, 4500, 1500),
    "k": Phone("stop", (300, 1900, 2300), 0.10, 0.0, 0.40, 2000, 700),
    "b": Phone("stop", (250, 900, 2200), 0.07, 0.10, 0.20, 900, 900),
    "d": Phone("stop", (250, 1700, 2600), 0.07, 0.10, 0.25, 4500, 1500),
    "ɡ": Phone("stop", (250, 1900, 2300), 0.07, 0.10, 0.25, 2000, 700),
    "f": Phone("fricative", (300, 1100, 2200), 0.10, 0.0, 0.08, 5500, 2500),
    "θ": Phone("fricative", (300, 1400, 2500), 0.10, 0.0, 0.08, 6000, 2000),
    "s": Phone("fricative", (300, 1700, 2600), 0.11, 0.0, 0.25, 5800, 1000),
    "ʃ": Phone("fricative", (300, 1800, 2500), 0.11, 0.0, 0.30, 3200, 800),
    "h": Phone("fricative", (500, 1500, 2500), 0.07, 0.05),
    "v": Phone("fricative", (280, 1100, 2200), 0.06, 0.35, 0.05, 5500, 2500),
    "ð": Phone("fricative", (280, 1400, 2500), 0.06, 0.35, 0.05, 6000, 2000),
    "z": Phone("fricative", (280, 1700, 2600), 0.08, 0.30, 0.15, 5800, 1000),
    "ʒ": Phone("fricative", (280, 1800, 2500), 0.08, 0.30, 0.18, 3200, 800),
    "w": Phone("approximant", (320, 750, 2250), 0.07, 0.65),
    "j": Phone("approximant", (300, 2200, 3000), 0.07, 0.65),
    "l": Phone("approximant", (360, 1100, 2700), 0.07, 0.60),
    "ɹ": Phone("approximant", (380, 1250, 1650), 0.07, 0.60),
}
"""Every phone by its IPA symbol; ɡ is U+0261."""

VOWELS = tuple(symbol for symbol, phone in PHONES.items() if phone.manner == "vowel")
CONSONANTS = tuple(symbol for symbol, phone in PHONES.items() if phone.manner != "vowel")
CODAS = ("m", "n", "ŋ", "t", "k", "d", "s", "z", "l", "ɹ", "v")
BABBLE_CONSONANTS = ("b", "d", "m", "n", "p", "t", "ɡ", "w", "j", "h")
"""Most frequent consonants of canonical babbling."""

BABBLE_VOWELS = ("a", "æ", "ə", "ʌ", "ɛ", "u", "i")
