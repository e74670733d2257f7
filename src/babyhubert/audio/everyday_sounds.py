"""Everyday sounds without speech, synthesised: animals, engines, weather, doors, dishes, toys.

They are simple on purpose and vary without end: a model should learn from them that loud, harmonic, rhythmic or
swelling sounds need not be voices. Every function returns float32 samples at 16 kHz of any level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from babyhubert.timebase import SAMPLE_RATE

Sound = NDArray[np.float32]

_NYQUIST = SAMPLE_RATE / 2
_FADE = SAMPLE_RATE // 100
_TABLE = 8192


def synthesised_sound(kind: str, samples: int, rng: np.random.Generator) -> Sound:
    """A sound of one of :data:`KINDS` at an RMS level of 1, float32, (samples,).

    Raises:
        KeyError: no such kind.
    """
    sound = KINDS[kind](samples, rng)
    level = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if samples else 0.0
    return (sound / max(level, 1e-9)).astype(np.float32)


def animal(samples: int, rng: np.random.Generator) -> Sound:
    """An animal that calls repeatedly with nearly the same call: a bark, a crow, a mew, a bleat, a chirp."""
    out = np.zeros(samples)
    call = _draw_call(rng)
    pause_s = float(np.exp(rng.uniform(np.log(0.08), np.log(2.5))))
    at = int(rng.uniform(0, pause_s + 0.5) * SAMPLE_RATE)
    if at >= samples:
        at = 0
    while at < samples:
        for _ in range(int(rng.integers(1, 5))):
            sound = call(rng) * rng.uniform(0.5, 1.0)
            _add(out, at, sound)
            at += len(sound) + int(pause_s * rng.uniform(0.5, 1.5) * SAMPLE_RATE)
        at += int(rng.exponential(1.0) * SAMPLE_RATE)
    return out.astype(np.float32)


def _draw_call(rng: np.random.Generator) -> Callable[[np.random.Generator], NDArray[np.float64]]:
    """A call whose pitch contour, resonances, roughness and breath are those of one animal."""
    length_s = float(np.exp(rng.uniform(np.log(0.06), np.log(1.6))))
    lowest = float(np.exp(rng.uniform(np.log(90), np.log(3500 if rng.random() < 0.25 else 1000))))
    contour = lowest * 2 ** np.cumsum(rng.uniform(-0.6, 0.6, int(rng.integers(2, 7))))
    resonances = np.sort(np.exp(rng.uniform(np.log(300), np.log(6000), int(rng.integers(1, 5)))))
    rough_hz, roughness = rng.uniform(15, 90), float(rng.choice([0.0, rng.uniform(0.2, 1.0)]))
    breath, subharmonic = float(rng.choice([rng.uniform(0, 0.2), rng.uniform(0.2, 2.0)])), rng.random() < 0.3
    attack_s, tilt = rng.uniform(0.003, 0.1), rng.uniform(0.2, 1.6)

    def call(rng: np.random.Generator) -> NDArray[np.float64]:
        length = max(int(length_s * rng.uniform(0.85, 1.15) * SAMPLE_RATE), 400)
        seconds = np.arange(length) / SAMPLE_RATE
        knots = np.linspace(0, length, len(contour))
        hertz = np.interp(np.arange(length), knots, contour) * rng.uniform(0.96, 1.04)
        source = _buzz(np.clip(hertz, 60, 7000), tilt)
        if subharmonic:
            source += 0.6 * _buzz(np.clip(hertz / 2, 60, 7000), tilt)
        source += breath * source.std() * rng.standard_normal(length)
        source *= 1 - roughness * (0.5 + 0.5 * np.sin(2 * np.pi * rough_hz * seconds + rng.uniform(0, 6)))
        sound = _resonate(source, resonances, rng)
        envelope = np.minimum(seconds / attack_s, 1) * np.minimum((seconds[-1] - seconds) / (0.3 * length_s), 1)
        return sound * envelope / max(float(np.abs(sound).max()), 1e-9)

    return call


def engine(samples: int, rng: np.random.Generator) -> Sound:
    """A motor: pulses at a rate that is revved at times, rough, over noise: cars, saws, mixers, helicopters.

    Some are revved by an octave and more, louder as they turn faster, and some switched on and off, as tools are.
    """
    octaves = float(rng.choice([rng.uniform(0, 0.4), rng.uniform(0.4, 1.2)]))
    rate = _wander(samples, float(np.exp(rng.uniform(np.log(12), np.log(250)))), octaves, rng)
    uneven = _wander(samples, 1.0, rng.uniform(0, 0.15), rng, knots_a_second=40)
    source = _buzz(np.clip(rate * uneven, 5, 1000), rng.uniform(0.0, 1.2))
    source = source / source.std() + rng.uniform(0.1, 2.0) * rng.standard_normal(samples)
    phase = np.cumsum(rate) / SAMPLE_RATE
    source *= 1 + rng.uniform(0, 0.9) * np.sin(2 * np.pi * phase / float(rng.integers(1, 5)))
    sound = _resonate(source, np.exp(rng.uniform(np.log(80), np.log(5000), int(rng.integers(1, 6)))), rng)
    sound *= (rate / rate.max()) ** float(rng.choice([0.0, rng.uniform(0.5, 3.0)]))
    if rng.random() < 0.3:
        sound *= _switched(samples, rng)
    return (sound * _swell(samples, rng)).astype(np.float32)


def weather(samples: int, rng: np.random.Generator) -> Sound:
    """Rain, sea, wind, a tap: coloured noise that swells, with drops."""
    sound = _noise(samples, float(rng.uniform(0.0, 2.0)), rng)
    if rng.random() < 0.5:
        sound = _resonate(sound, np.exp(rng.uniform(np.log(200), np.log(6000), 2)), rng) + 0.3 * sound
    sound = sound / sound.std() * _swell(samples, rng)
    return (sound + rng.uniform(0, 1) * _unit(_clicks(samples, rng.uniform(5, 200), rng))).astype(np.float32)


def crackling(samples: int, rng: np.random.Generator) -> Sound:
    """A fire, paper, steps in leaves: bursts and clicks of very different strength, over some noise."""
    sound = _unit(_clicks(samples, rng.uniform(2, 80), rng))
    hiss = _noise(samples, float(rng.uniform(0.0, 2.0)), rng)
    return (sound + rng.uniform(0.05, 0.8) * _unit(hiss)).astype(np.float32)


def ticking(samples: int, rng: np.random.Generator) -> Sound:
    """The same click at a steady rate: clocks, drips, a hammer, a typewriter, hands that clap."""
    out = np.zeros(samples)
    clicks = [_impact(rng) for _ in range(int(rng.integers(1, 3)))]
    period = float(np.exp(rng.uniform(np.log(0.09), np.log(1.3)))) * SAMPLE_RATE
    jitter = float(rng.choice([0.0, rng.uniform(0, 0.2)]))
    for number, at in enumerate(np.arange(rng.uniform(0, period), samples, period)):
        click = clicks[number % len(clicks)]
        _add(out, int(at + jitter * period * rng.random()), click * rng.uniform(0.8, 1.0))
    return (out + 1e-3 * rng.standard_normal(samples)).astype(np.float32)


def dishes(samples: int, rng: np.random.Generator) -> Sound:
    """Doors, dishes, blocks, cutlery: impacts at any time, single and in clusters."""
    out = 1e-3 * rng.standard_normal(samples)
    rate = float(np.exp(rng.uniform(np.log(0.3), np.log(8))))
    at = rng.exponential(0.5 / rate) * SAMPLE_RATE
    while at < samples:
        _add(out, int(at), _impact(rng) * 10 ** (-rng.uniform(0, 24) / 20))
        at += rng.exponential(1 / rate) * SAMPLE_RATE
    return out.astype(np.float32)


def toy(samples: int, rng: np.random.Generator) -> Sound:
    """Beeps, sirens, squeaks: tones that jump, slide or warble, with the harmonics of a small loudspeaker."""
    steps = max(int(samples / SAMPLE_RATE * rng.uniform(0.5, 10)), 1)
    notes = 2 ** rng.uniform(np.log2(180), np.log2(3500), int(rng.integers(1, 6)))
    tune = notes[rng.integers(len(notes), size=steps + 1)]
    places = np.linspace(0, steps, samples, endpoint=False)
    slides = rng.random() < 0.4
    hertz = np.interp(places, np.arange(steps + 1), tune) if slides else tune[places.astype(np.int64)]
    hertz = hertz * (
        1 + rng.uniform(0, 0.15) * np.sin(2 * np.pi * rng.uniform(2, 30) * np.arange(samples) / SAMPLE_RATE)
    )
    on = (rng.random(steps + 1) < rng.uniform(0.4, 1.0)).astype(np.float64)
    if not on.any():
        on[0] = 1.0
    held = on[places.astype(np.int64)] * (places % 1 < rng.uniform(0.3, 1.0))
    gate = np.convolve(held, np.full(_FADE, 1 / _FADE), "same")
    return (_buzz(hertz, float(rng.uniform(0.3, 2.5))) * gate + 1e-3 * rng.standard_normal(samples)).astype(np.float32)


KINDS: Mapping[str, Callable[[int, np.random.Generator], Sound]] = MappingProxyType(
    {
        "animal": animal,
        "engine": engine,
        "rain": weather,
        "crackling": crackling,
        "ticking": ticking,
        "dishes": dishes,
        "toy": toy,
    }
)
"""Sounds by kind."""


def _buzz(hertz: NDArray[np.float64], tilt: float) -> NDArray[np.float64]:
    """A harmonic tone of a changing pitch, its partials falling as 1 / n^tilt, none above 8 kHz."""
    partials = np.arange(1, int(np.clip(_NYQUIST / max(float(hertz.max()), 1.0), 1, 60)) + 1)
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=np.complex128)
    spectrum[partials] = -0.5j * _TABLE * partials**-tilt
    turns = np.cumsum(hertz) / SAMPLE_RATE
    return np.fft.irfft(spectrum)[(turns % 1 * _TABLE).astype(np.int64)]


def _resonate(
    source: NDArray[np.float64], hertz: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Band-passes side by side at some frequencies, each with a width and a gain of its own."""
    size = 1 << (max(len(source), 2) - 1).bit_length()
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 1.0)
    response = np.zeros(len(frequency), dtype=np.complex128)
    for centre in hertz:
        sharpness = 1 / rng.uniform(0.08, 0.5)
        response += rng.uniform(0.3, 1.0) / (1 + 1j * sharpness * (frequency / centre - centre / frequency))
    return np.fft.irfft(np.fft.rfft(source, size) * response, size)[: len(source)]


def _noise(samples: int, tilt: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian noise whose power falls as 1 / f^tilt above 60 Hz."""
    size = 1 << (max(samples, 2) - 1).bit_length()
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 60.0)
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * frequency ** (-tilt / 2), size)[:samples]


def _impact(rng: np.random.Generator) -> NDArray[np.float64]:
    """One to eight inharmonic resonances that decay, struck by a burst of noise; its peak is 1."""
    length = int(rng.uniform(0.05, 0.7) * SAMPLE_RATE)
    seconds = np.arange(length) / SAMPLE_RATE
    sound = rng.uniform(0, 2) * rng.standard_normal(length) * np.exp(-seconds / rng.uniform(0.001, 0.03))
    for _ in range(int(rng.integers(1, 9))):
        hertz, decay = float(np.exp(rng.uniform(np.log(60), np.log(7000)))), float(rng.uniform(0.005, 0.25))
        sound += rng.uniform(0.1, 1.0) * np.sin(2 * np.pi * hertz * seconds) * np.exp(-seconds / decay)
    return sound / np.abs(sound).max()


def _clicks(samples: int, a_second: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Impulses at random moments, of exponentially distributed strength, through a few resonances."""
    count = int(rng.poisson(a_second * samples / SAMPLE_RATE)) + 1
    out = np.zeros(samples)
    np.add.at(
        out, rng.integers(max(samples, 1), size=count), rng.exponential(1.0, count) ** 2 * rng.choice([-1, 1], count)
    )
    return _resonate(out, np.exp(rng.uniform(np.log(500), np.log(7000), 3)), rng)


def _swell(samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A level that varies by up to some 20 dB, at a random rate."""
    knots = max(int(samples / SAMPLE_RATE * np.exp(rng.uniform(np.log(0.05), np.log(3)))), 1) + 1
    decibels = rng.uniform(-rng.uniform(0, 20), 0, knots)
    return 10 ** (np.interp(np.linspace(0, knots - 1, samples), np.arange(knots), decibels) / 20)


def _switched(samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """On and off for a second or some, with edges of 0.1 s; on at least once."""
    edge = SAMPLE_RATE // 10
    knots = max(int(samples / SAMPLE_RATE * rng.uniform(0.2, 1.5)), 1) + 1
    on = rng.random(knots) < rng.uniform(0.3, 0.9)
    on[int(rng.integers(knots))] = True
    steps = on[np.minimum((np.arange(samples) * knots) // max(samples, 1), knots - 1)].astype(np.float64)
    return np.convolve(steps, np.full(edge, 1 / edge), "same")[:samples]


def _wander(
    samples: int, middle: float, octaves: float, rng: np.random.Generator, knots_a_second: float | None = None
) -> NDArray[np.float64]:
    """A rate in Hz that varies around its centre by some octaves within seconds, or so many times a second."""
    if knots_a_second is None:
        knots_a_second = rng.uniform(0.2, 3)
    knots = max(int(samples / SAMPLE_RATE * knots_a_second), 1) + 1
    steps = np.interp(np.linspace(0, knots - 1, samples), np.arange(knots), rng.uniform(-octaves, octaves, knots))
    return middle * 2**steps


def _unit(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    return sound / max(float(sound.std()), 1e-9)


def _add(out: NDArray[np.float64], at: int, sound: NDArray[np.float64]) -> None:
    end = min(at + len(sound), len(out))
    if end > at:
        out[at:end] += sound[: end - at]
