"""A small formant synthesiser: speakers of all ages who babble, talk and cry, with known phones.

Source and filter: a band-limited glottal saw-tooth (which has the -6 dB per octave of a glottal pulse after radiation)
with jitter, shimmer and breath passes a cascade of five resonators whose frequencies glide between phone targets;
frication and bursts are noise with a spectrum of their own. Filters are applied in the frequency domain on overlapping
20-ms frames, so that a whole utterance is a few array operations. It is more like speech to a machine than to a
person: enough to test every step from segments to phones with exact ground truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.simulation.phone_table import (
    BABBLE_CONSONANTS,
    BABBLE_VOWELS,
    CODAS,
    CONSONANTS,
    PHONES,
    VOWELS,
)
from babyhubert.simulation.utterances import Cast, Utterance
from babyhubert.timebase import SAMPLE_RATE

Voice = Literal["toddler", "child", "woman", "man"]

_HOP = 160
_WINDOW = 2 * _HOP
_FFT = 512
_BANDWIDTHS = (70.0, 100.0, 140.0, 200.0, 280.0)
_HIGHER_FORMANTS = (3500.0, 4500.0)


class Gesture(NamedTuple):
    """A stretch with constant targets, as a component of a phone."""

    seconds: float
    formants: tuple[float, float, float]
    voice: float
    breath: float
    noise: float
    noise_centre: float
    noise_width: float


class _Ranges(NamedTuple):
    """Ranges of the parameters of one kind of speaker."""

    pitch_hz: tuple[float, float]
    tract_scale: tuple[float, float]
    tempo: tuple[float, float]


_RANGES: dict[Voice, _Ranges] = {
    "toddler": _Ranges((320, 430), (1.50, 1.70), (0.65, 0.85)),
    "child": _Ranges((240, 305), (1.28, 1.42), (0.80, 1.00)),
    "woman": _Ranges((175, 225), (1.13, 1.22), (0.90, 1.20)),
    "man": _Ranges((90, 135), (0.95, 1.05), (0.90, 1.20)),
}


@dataclass(frozen=True)
class SyntheticSpeaker:
    """A random speaker.

    Attributes:
        speaker_id: Name.
        voice: Kind of speaker.
        pitch_hz: Habitual fundamental frequency.
        tract_scale: Resonances relative to a man's.
        tempo: Speaking rate, 1 is typical of adults.
        breath: Aspiration noise relative to the voice.
        jitter: Standard deviation of the pitch perturbation, relative.
        shimmer: Standard deviation of the amplitude of glottal cycles, relative.
        liveliness: Size of pitch movements, relative.
    """

    speaker_id: str
    voice: Voice
    pitch_hz: float
    tract_scale: float
    tempo: float
    breath: float
    jitter: float
    shimmer: float
    liveliness: float

    @classmethod
    def draw(cls, speaker_id: str, voice: Voice, rng: np.random.Generator) -> SyntheticSpeaker:
        """Draw a new speaker of a kind."""
        ranges = _RANGES[voice]
        return cls(
            speaker_id=speaker_id,
            voice=voice,
            pitch_hz=float(rng.uniform(*ranges.pitch_hz)),
            tract_scale=float(rng.uniform(*ranges.tract_scale)),
            tempo=float(rng.uniform(*ranges.tempo)),
            breath=float(rng.uniform(0.02, 0.12)),
            jitter=float(rng.uniform(0.004, 0.015)),
            shimmer=float(rng.uniform(0.02, 0.08)),
            liveliness=float(rng.uniform(0.06, 0.14)),
        )

    def utter(self, rng: np.random.Generator, *, to_child: bool = False) -> Utterance:
        """Babble (toddlers, sometimes a cry or squeal) or say a made-up phrase.

        Args:
            rng: Source of everything that varies.
            to_child: Speak as adults do to small children: higher, slower, livelier, shorter.
        """
        if self.voice == "toddler":
            kind = rng.random()
            if kind < 0.12:
                return self._cry(rng)
            if kind < 0.20:
                return self._squeal(rng)
            return self._say(_babble(rng), rng, stretch=1.0 / self.tempo, raised=1.0, movement=1.5)
        most = 6 if to_child or self.voice == "child" else 12
        phones = _phrase(int(rng.integers(2, most + 1)), rng)
        if to_child:
            return self._say(phones, rng, stretch=1.25 / self.tempo, raised=1.2, movement=2.0)
        return self._say(phones, rng, stretch=1.0 / self.tempo, raised=1.0, movement=1.0)

    def _say(
        self, phones: list[str], rng: np.random.Generator, *, stretch: float, raised: float, movement: float
    ) -> Utterance:
        gestures: list[Gesture] = []
        phone_seconds = []
        for position, symbol in enumerate(phones):
            longer = 1.4 if position >= len(phones) - 2 else 1.0
            made = _gestures(symbol, stretch * longer * float(rng.uniform(0.8, 1.25)))
            gestures += made
            phone_seconds.append(sum(gesture.seconds for gesture in made))
        seconds = np.array([gesture.seconds for gesture in gestures])
        length = int(seconds.sum() * SAMPLE_RATE)
        pitch = _intonation(length, self.pitch_hz * raised, self.liveliness * movement, rng)
        waveform = self._synthesise(gestures, pitch, rng)
        ends = np.minimum(np.round(np.cumsum(phone_seconds) * SAMPLE_RATE).astype(np.int64), length)
        return Utterance.from_clean(waveform, tuple(phones), ends)

    def _cry(self, rng: np.random.Generator) -> Utterance:
        """Some long, rough, rising and falling expirations with a short breath between them."""
        pieces = []
        for _ in range(rng.integers(1, 4)):
            seconds = float(rng.uniform(0.5, 1.2))
            length = int(seconds * SAMPLE_RATE)
            knots = self.pitch_hz * np.array([1.05, 1.35, 1.4, 1.25, 1.0]) * rng.uniform(0.9, 1.15)
            vowel = PHONES[str(rng.choice(["a", "æ"]))]
            gesture = Gesture(seconds, vowel.formants, 1.0, 0.25, 0.0, 1000.0, 1000.0)
            pitch = np.interp(np.linspace(0, 1, length), (0, 0.2, 0.5, 0.8, 1), knots)
            pieces += [self._synthesise([gesture], pitch, rng, roughness=3.0)]
            pieces += [np.zeros(int(rng.uniform(0.1, 0.25) * SAMPLE_RATE), dtype=np.float32)]
        return Utterance.from_clean(np.concatenate(pieces), manner="cry")

    def _squeal(self, rng: np.random.Generator) -> Utterance:
        """One high glide."""
        seconds = float(rng.uniform(0.3, 0.9))
        length = int(seconds * SAMPLE_RATE)
        knots = self.pitch_hz * rng.uniform(1.5, 2.4, size=3)
        vowel = PHONES[str(rng.choice(["i", "a", "ɛ"]))]
        gesture = Gesture(seconds, vowel.formants, 1.0, 0.1, 0.0, 1000.0, 1000.0)
        pitch = np.interp(np.linspace(0, 1, length), (0, 0.5, 1), knots)
        return Utterance.from_clean(self._synthesise([gesture], pitch, rng), manner="other")

    def _synthesise(
        self, gestures: list[Gesture], pitch: NDArray[np.float64], rng: np.random.Generator, roughness: float = 1.0
    ) -> NDArray[np.float32]:
        """Sound of gestures along a pitch contour (Hz a sample): float32, shape (len(pitch),)."""
        length = len(pitch)
        edges = np.round(np.cumsum([gesture.seconds for gesture in gestures]) * SAMPLE_RATE).astype(np.int64)
        at_sample = np.minimum(np.searchsorted(edges, np.arange(length), side="right"), len(gestures) - 1)
        tracks = np.array([(g.voice, g.breath, g.noise) for g in gestures], dtype=np.float32)[at_sample]
        voice, breath, noise = (_ramp(track) for track in tracks.T)

        glottal = _glottal(pitch, self.jitter * roughness, self.shimmer * roughness, rng)
        air = rng.standard_normal(length, dtype=np.float32)
        source = voice * (glottal + self.breath * air) + breath * 0.3 * air
        frames = length // _HOP + 2
        at_frame = at_sample[np.minimum(np.arange(frames) * _HOP, length - 1)]
        voiced = _filter(source, self._tract(gestures, at_frame))
        sounding = voice > 0.5
        reference = float(np.sqrt(np.mean(np.square(voiced[sounding])))) if sounding.any() else 1.0
        if not noise.any():
            return voiced / reference
        spectrum = self._frication(gestures, at_frame)
        hiss = _filter(rng.standard_normal(length, dtype=np.float32) * noise, spectrum)
        return voiced / reference + hiss

    def _tract(self, gestures: list[Gesture], at_frame: NDArray[np.int64]) -> NDArray[np.complex64]:
        """Transfer function of the vocal tract: complex64, shape (frames, bins)."""
        targets = np.array([g.formants for g in gestures])[at_frame]
        kernel = np.hanning(7)[1:-1]
        kernel /= kernel.sum()
        padded = np.pad(targets, ((2, 2), (0, 0)), mode="edge")
        gliding = np.stack([np.convolve(track, kernel, mode="valid") for track in padded.T], axis=1)
        formants = np.concatenate([gliding, np.broadcast_to(_HIGHER_FORMANTS, (len(gliding), 2))], axis=1)
        formants = np.minimum(formants * self.tract_scale, 7600.0)
        return _resonances(formants, np.array(_BANDWIDTHS) * self.tract_scale)

    def _frication(self, gestures: list[Gesture], at_frame: NDArray[np.int64]) -> NDArray[np.float32]:
        """Magnitude of the frication filter with unit power: float32, shape (frames, bins)."""
        hertz = np.linspace(0, SAMPLE_RATE / 2, _FFT // 2 + 1)
        centre = np.minimum([g.noise_centre * self.tract_scale**0.5 for g in gestures], 7000.0)[:, None]
        width = np.array([g.noise_width for g in gestures])[:, None]
        shape = np.exp(-0.5 * np.square((hertz - centre) / width))
        shape /= np.sqrt(np.mean(np.square(shape), axis=1, keepdims=True))
        return shape.astype(np.float32)[at_frame]


class SyntheticVoices:
    """A fresh family of synthetic people for every recording.

    Args:
        other_children: Most other children of a recording (at least one lives in each).
        women: Women of a recording.
        men: Men of a recording.
    """

    def __init__(self, other_children: int = 2, women: int = 2, men: int = 1) -> None:
        self.other_children, self.women, self.men = other_children, women, men

    def cast(self, index: int, rng: np.random.Generator) -> Cast:
        """Draw the people of recording ``index``; their names carry it."""

        def draw(voice: Voice, count: int, name: str) -> tuple[SyntheticSpeaker, ...]:
            names = (f"syn{index:04d}{name}{k}" for k in range(1, count + 1))
            return tuple(SyntheticSpeaker.draw(who, voice, rng) for who in names)

        (key_child,) = draw("toddler", 1, "key")
        siblings = int(rng.integers(1, self.other_children + 1))
        return Cast(
            key_child=key_child,
            other_children=draw("child", siblings, "child"),
            women=draw("woman", self.women, "woman"),
            men=draw("man", self.men, "man"),
            television=draw("woman", 1, "tvwoman") + draw("man", 1, "tvman"),
        )


def _babble(rng: np.random.Generator) -> list[str]:
    """Canonical (ba ba ba) or variegated (ba di) syllables, now and then a lone vowel."""
    syllables = int(rng.integers(1, 7))
    if syllables == 1 and rng.random() < 0.5:
        return [str(rng.choice(BABBLE_VOWELS))]
    same = rng.random() < 0.6
    consonant, vowel = str(rng.choice(BABBLE_CONSONANTS)), str(rng.choice(BABBLE_VOWELS))
    phones = []
    for _ in range(syllables):
        if not same:
            consonant, vowel = str(rng.choice(BABBLE_CONSONANTS)), str(rng.choice(BABBLE_VOWELS))
        phones += [consonant, vowel]
    return phones


def _phrase(syllables: int, rng: np.random.Generator) -> list[str]:
    """Made-up words: CV and CVC syllables, a few without onset."""
    phones: list[str] = []
    for _ in range(syllables):
        if rng.random() < 0.88:
            phones.append(str(rng.choice([c for c in CONSONANTS if c != "ŋ"])))
        phones.append(str(rng.choice(VOWELS)))
        if rng.random() < 0.35:
            phones.append(str(rng.choice(CODAS)))
    return phones


def _gestures(symbol: str, stretch: float) -> list[Gesture]:
    """The gestures of a phone, ``stretch`` times its typical duration."""
    phone = PHONES[symbol]
    seconds = phone.seconds * stretch
    if phone.manner == "stop":
        closure = Gesture(
            seconds - 0.012, phone.formants, phone.voice, 0.0, 0.0, phone.noise_centre, phone.noise_width
        )
        burst = closure._replace(seconds=0.012, noise=phone.noise)
        if phone.voice:
            return [closure, burst]
        aspiration = closure._replace(seconds=0.3 * seconds, breath=0.6)
        return [closure._replace(seconds=0.7 * seconds - 0.012), burst, aspiration]
    breath = 0.8 if symbol == "h" else 0.0
    return [Gesture(seconds, phone.formants, phone.voice, breath, phone.noise, phone.noise_centre, phone.noise_width)]


def _intonation(length: int, pitch_hz: float, movement: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Declination with an accent every quarter second or so: Hz, shape (length,)."""
    knots = max(3, int(length / SAMPLE_RATE / 0.25) + 1)
    contour = np.linspace(0.06, -0.06, knots) + movement * rng.standard_normal(knots).clip(-2, 2)
    where = np.linspace(0, knots - 1, length)
    left = np.minimum(where.astype(np.int64), knots - 2)
    part = 0.5 - 0.5 * np.cos(np.pi * (where - left))
    return pitch_hz * np.exp(contour[left] * (1 - part) + contour[left + 1] * part)


def _glottal(
    pitch: NDArray[np.float64], jitter: float, shimmer: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Band-limited saw-tooth along a pitch contour, its steps smoothed by a second-order polynomial (PolyBLEP)."""
    knots = len(pitch) // 80 + 2
    flutter = np.interp(np.arange(len(pitch)) / 80, np.arange(knots), rng.standard_normal(knots))
    step = pitch * (1 + jitter * flutter) / SAMPLE_RATE
    cycles = np.cumsum(step)
    number = cycles.astype(np.int64)
    phase = cycles - number
    after, before = phase / step, (phase - 1) / step
    saw = 2 * phase - 1
    saw -= np.where(phase < step, 2 * after - after**2 - 1, 0.0)
    saw -= np.where(phase > 1 - step, before**2 + 2 * before + 1, 0.0)
    return (saw * (1 + shimmer * rng.standard_normal(number[-1] + 1)[number])).astype(np.float32)


def _ramp(track: NDArray[np.float32], samples: int = 80) -> NDArray[np.float32]:
    """Amplitude steps as ramps of 5 ms, ending in silence on both sides."""
    padded = np.pad(track, samples)
    summed = np.cumsum(padded, dtype=np.float64)
    smooth = (summed[samples:] - summed[:-samples]) / samples
    return smooth[samples // 2 : samples // 2 + len(track)].clip(0).astype(np.float32)


def _resonances(formants: NDArray[np.float64], bandwidths: NDArray[np.float64]) -> NDArray[np.complex64]:
    """Cascade of second-order resonators with unit gain at 0 Hz.

    Args:
        formants: Centre frequencies in Hz, shape (T, K).
        bandwidths: Hz, shape (K,).

    Returns:
        Response at the bins of the transform, complex64, shape (T, bins).
    """
    delay = np.exp(-2j * np.pi * np.arange(_FFT // 2 + 1) / _FFT).astype(np.complex64)
    radius = np.exp(-np.pi * bandwidths / SAMPLE_RATE).astype(np.float32)
    response = np.ones((len(formants), len(delay)), dtype=np.complex64)
    for k in range(formants.shape[1]):
        turn = (2 * radius[k] * np.cos(2 * np.pi * formants[:, k] / SAMPLE_RATE)).astype(np.float32)[:, None]
        squared = radius[k] ** 2
        response *= (1 - turn + squared) / (1 - turn * delay + squared * delay**2)
    return response


def _filter(source: NDArray[np.float32], response: NDArray[np.complex64] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Filter with a response that changes every 10 ms.

    Args:
        source: float32, shape (N,).
        response: Centred on samples 0, 160, 320 ...; shape (N // 160 + 2, bins).

    Returns:
        float32, shape (N,).
    """
    frames = len(response)
    padded = np.zeros((frames + 1) * _HOP, dtype=np.float32)
    padded[_HOP : _HOP + len(source)] = source
    halves = padded.reshape(frames + 1, _HOP)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)).astype(np.float32)
    pieces = np.concatenate([halves[:-1], halves[1:]], axis=1) * window
    filtered = np.fft.irfft(np.fft.rfft(pieces, _FFT) * response, _FFT).astype(np.float32)
    columns = -(-_FFT // _HOP)
    filtered = np.pad(filtered, ((0, 0), (0, columns * _HOP - _FFT))).reshape(frames, columns, _HOP)
    output = np.zeros((frames + columns - 1, _HOP), dtype=np.float32)
    for column in range(columns):
        output[column : column + frames] += filtered[:, column]
    return output.reshape(-1)[_HOP : _HOP + len(source)]
