"""Training windows without speech: silence, noise, tones, melodies and everyday sounds, synthesised or recorded.

Without them a model never sees a recorder that was switched off or left in an empty room, and may find voices there,
since normalisation over the window amplifies whatever there is. Melodies are included because a musical toy is
harmonic, moves in pitch and has pauses, as a child's voice does. Animals, engines and rain are included because any
loud sound alone in a window is otherwise taken for the child who wears the recorder. The same sounds in the background
of windows with voices carry no label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from babyhubert.audio.discovery import discover
from babyhubert.audio.everyday_sounds import KINDS, synthesised_sound
from babyhubert.config import Config
from babyhubert.errors import ConfigError
from babyhubert.material.audio_store import AudioStore
from babyhubert.material.augmentation import (
    FactorRange,
    Probability,
    Range,
    Waveforms,
    add_at_snr,
    coloured_noise,
    gains_to,
    warp,
    within,
)
from babyhubert.material.settings import is_selected
from babyhubert.timebase import SAMPLE_RATE

_LOWEST_NOTE_HZ = 65.4  # C2; notes are counted in semitones from here
_NOTES = 48
_FADE_S = 0.005


class BackgroundSettings(Config):
    """Everyday sounds in the background of a fraction of the windows with voices; the labels stay the same.

    Attributes:
        probability: Share of windows.
        snr_db: Range of the window's power over the sounds', dB.
    """

    probability: Probability = 0.3
    snr_db: Range = (-5.0, 20.0)


class NonSpeechSettings(Config):
    """``[voice_type.nobody]``: the shares add up to at most 1; the rest is coloured noise.

    Attributes:
        probability: Share of windows.
        level_dbfs: Range of the level of all but silence.
        silent_share: Share of these windows that are zeros throughout.
        tones_share: Share that are steady tones with harmonics: hum, a fan.
        melodies_share: Share that are melodies.
        sounds_share: Share that are made-up everyday sounds (:mod:`babyhubert.audio.everyday_sounds`).
        recorded_share: Share that are recorded sounds.
        folder: Recordings without speech, anywhere below it; ``recorded_share`` needs it.
        select: Recordings to use, as shell patterns of their ids (the path below the folder); all if empty.
        recorded_speed: Range of a recorded sound's change of speed and pitch: a larger dog, a slower engine.
        reversed_share: Share of recorded sounds that run backwards. No voice comes of it, and there are more kinds.
        background: The same everyday sounds, made up and recorded, behind windows with voices.
    """

    probability: Probability = 0.05
    level_dbfs: Range = (-80.0, -20.0)
    silent_share: Probability = 0.25
    tones_share: Probability = 0.25
    melodies_share: Probability = 0.0
    sounds_share: Probability = 0.0
    recorded_share: Probability = 0.0
    folder: str | None = None
    select: Sequence[str] = ()
    recorded_speed: FactorRange = (0.85, 1.2)
    reversed_share: Probability = 0.0
    background: BackgroundSettings | None = None

    @model_validator(mode="after")
    def _shares_of_one(self) -> Self:
        total = sum(self.shares)
        if total > 1 + 1e-9:
            raise ValueError(
                f"silent_share, tones_share, melodies_share, sounds_share and recorded_share are {total:g} together: "
                "at most 1"
            )
        if self.recorded_share and self.folder is None:
            raise ValueError("recorded_share needs folder, the recordings without speech")
        return self

    @property
    def shares(self) -> tuple[float, float, float, float, float]:
        """Shares in the order of the kinds."""
        return self.silent_share, self.tones_share, self.melodies_share, self.sounds_share, self.recorded_share


@dataclass(frozen=True, eq=False)
class NonSpeech:
    """Windows without voices, and sounds behind windows with voices, with the recordings opened.

    Attributes:
        settings: Settings.
        recorded: Recordings without speech; None: there are none.
    """

    settings: NonSpeechSettings
    recorded: AudioStore | None = None

    @classmethod
    def prepare(cls, settings: NonSpeechSettings, cache: Path) -> NonSpeech:
        """Open and decode the folder, if there is one.

        Raises:
            AudioError: no readable recording there.
            ConfigError: no recording is selected.
        """
        if settings.folder is None:
            return cls(settings)
        files = [file for file in discover([settings.folder]) if is_selected(file.recording_id, settings.select)]
        if not files:
            raise ConfigError(f"voice_type.nobody.select: no recording below {settings.folder} fits {settings.select}")
        return cls(settings, AudioStore.build(files, cache))

    def windows(self, count: int, samples: int, rng: np.random.Generator) -> Waveforms:
        """Sounds without speech, (count, samples)."""
        settings = self.settings
        kind = np.searchsorted(np.cumsum(settings.shares), rng.random(count), side="right")  # beyond them noise
        sounds = coloured_noise(count, samples, (0.0, 2.0), rng)
        hums = np.flatnonzero(kind == 1)
        sounds[hums] = steady_tones(len(hums), samples, rng)
        for row in np.flatnonzero(kind == 2):
            sounds[row] = melody(samples, rng)
        for row in np.flatnonzero((kind == 3) | (kind == 4)):
            floor = _unit(sounds[row]) * 10 ** (-rng.uniform(10, 60) / 20)
            sounds[row] = floor + self._everyday(samples, recorded=bool(kind[row] == 4), rng=rng)
        gains = gains_to(within(settings.level_dbfs, count, rng), sounds)
        return sounds * np.where(kind == 0, 0.0, gains).astype(np.float32)[:, None]

    def behind(self, waveforms: Waveforms, rng: np.random.Generator) -> Waveforms:
        """Windows, a fraction of them with everyday sounds added: (B, n)."""
        settings = self.settings.background
        if settings is None:
            return waveforms
        rows = np.flatnonzero(rng.random(len(waveforms)) < settings.probability)
        snr_db = within(settings.snr_db, len(rows), rng)
        changed = waveforms.copy()
        changed[rows] = add_at_snr(waveforms[rows], self.sounds(len(rows), waveforms.shape[1], rng), snr_db)
        return changed

    def sounds(self, count: int, samples: int, rng: np.random.Generator) -> Waveforms:
        """Everyday sounds, made up and recorded in the ratio of their shares: (count, samples), of any level."""
        made, recorded = self.settings.sounds_share, self.settings.recorded_share
        share = recorded / (made + recorded) if made + recorded else float(self.recorded is not None)
        sounds = np.zeros((count, samples), dtype=np.float32)
        for row in range(count):
            sounds[row] = self._everyday(samples, recorded=bool(rng.random() < share), rng=rng)
        return sounds

    def _everyday(self, samples: int, *, recorded: bool, rng: np.random.Generator) -> Waveforms:
        """One to three sounds, throughout or for a while, of different loudness."""
        out = np.zeros(samples, dtype=np.float32)
        for _ in range(int(rng.integers(1, 4))):
            length = samples if rng.random() < 0.4 else max(int(samples * rng.uniform(0.03, 1.0)), 400)
            sound = self._recorded_sound(length, rng) if recorded else _made(length, rng)
            if rng.random() < 0.5:
                fade = int(min(rng.uniform(0.005, 1.0) * SAMPLE_RATE, len(sound) / 2))
                ramp = np.minimum(np.arange(len(sound)) / fade, 1).astype(np.float32)
                sound = sound * ramp * ramp[::-1]
            begin = int(rng.integers(max(samples - len(sound), 0) + 1))
            piece = sound[: samples - begin] * np.float32(10 ** (-rng.uniform(0, 20) / 20))
            out[begin : begin + len(piece)] += piece
        return out

    def _recorded_sound(self, samples: int, rng: np.random.Generator) -> Waveforms:
        """A stretch of a recording, at most so long, faster, slower or backwards; sometimes repeated to the length."""
        assert self.recorded is not None
        settings = self.settings
        index = int(rng.integers(len(self.recorded.lengths)))
        length = int(self.recorded.lengths[index])
        wanted = min(length, samples)
        start = int(rng.integers(length - wanted + 1))
        sound = self.recorded.read(index, start, start + wanted)
        speed = float(within(settings.recorded_speed, 1, rng)[0])
        sound = warp(sound, max(int(wanted / speed), 1), pitch=speed)
        if settings.reversed_share and rng.random() < settings.reversed_share:
            sound = sound[::-1]
        if len(sound) < samples and rng.random() < 0.5:
            sound = np.resize(sound, samples)
        return _unit(sound)


def _made(samples: int, rng: np.random.Generator) -> Waveforms:
    return synthesised_sound(tuple(KINDS)[rng.integers(len(KINDS))], samples, rng)


def _unit(sound: Waveforms) -> Waveforms:
    """A sound at an RMS level of 1 over its non-silent part; silence stays silence."""
    audible = np.abs(sound) > 1e-3 * np.abs(sound).max(initial=0.0)
    level = np.sqrt(np.square(sound[audible], dtype=np.float64).mean()) if audible.any() else 1.0
    return sound / np.float32(max(level, 1e-9))


def steady_tones(count: int, samples: int, rng: np.random.Generator, harmonics: int = 8) -> Waveforms:
    """Low tones (30 to 500 Hz) with harmonics of random strength and phase, swelling slowly: (count, samples)."""
    time = np.arange(samples) / SAMPLE_RATE
    lowest = 30 * (500 / 30) ** rng.random((count, 1))
    total = np.zeros((count, samples))
    for number in range(1, harmonics + 1):
        strength, phase = rng.exponential(1 / number, (count, 1)), rng.random((count, 1))
        total += strength * _sine(number * lowest * time + phase)
    swell = 1 + rng.uniform(0, 0.9, (count, 1)) * _sine(rng.uniform(0.1, 4, (count, 1)) * time)
    return (total * swell).astype(np.float32)


def melody(samples: int, rng: np.random.Generator) -> Waveforms:
    """One to three voices of a music box, whistle, organ or similar instrument, over some noise.

    Each voice has its own timbre and moves over a scale of its own in a common beat, with rests.
    """
    beat = 60 / rng.uniform(50, 220)
    total = np.zeros(samples)
    for _ in range(int(rng.integers(1, 4))):
        partials = np.arange(1, int(rng.integers(2, 11)), int(rng.choice([1, 1, 2])))
        strengths = partials ** -rng.uniform(0.3, 2.5) * rng.uniform(0.3, 1.0, len(partials))
        fading_s = float(rng.choice([rng.uniform(0.05, 0.6), rng.uniform(0.6, 4.0)]))  # plucked, or held
        scale = np.sort(rng.choice(12, int(rng.integers(4, 9)), replace=False))
        length, rests = beat * float(rng.choice([0.5, 1.0, 2.0, 4.0])), float(rng.uniform(0, 0.4))
        held, loudness = length * float(rng.uniform(0.5, 3.0)), float(rng.uniform(0.3, 1.0))
        step = int(rng.integers(_NOTES))
        for start in np.arange(rng.uniform(0, length), samples / SAMPLE_RATE, length):
            step = int(np.clip(step + rng.integers(-4, 5), 0, _NOTES - 1))
            if rng.random() < rests:
                continue
            octave, degree = divmod(step, len(scale))
            semitones = 12 * (octave % 5) + scale[degree]
            hertz = _LOWEST_NOTE_HZ * 2 ** (semitones / 12)
            begin = int(start * SAMPLE_RATE)
            note = _note(hertz * partials, strengths, min(int(held * SAMPLE_RATE), samples - begin), fading_s, rng)
            total[begin : begin + len(note)] += loudness * note
    noise = coloured_noise(1, samples, (0.0, 2.0), rng)[0]
    loudest = max(float(np.sqrt(np.mean(total**2))), 1e-6)
    floor = loudest * 10 ** (-rng.uniform(15, 60) / 20) / max(float(np.sqrt(np.mean(noise**2))), 1e-9)
    return (total + floor * noise).astype(np.float32)


def _note(
    hertz: NDArray[np.float64], strengths: NDArray[np.float64], samples: int, fading_s: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Partials below the highest frequency, swelling in 5 ms or more and fading exponentially."""
    time = np.arange(samples) / SAMPLE_RATE
    there = hertz < SAMPLE_RATE / 2
    waves = _sine(hertz[there, None] * time + rng.random((int(there.sum()), 1)))
    fade = np.minimum(time / rng.uniform(_FADE_S, 0.05), 1) * np.minimum((time[-1:] - time) / _FADE_S, 1)
    return (strengths[there] @ waves) * np.exp(-time / fading_s) * fade


def _sine(cycles: NDArray[np.float64]) -> Waveforms:
    """Sine of a phase in cycles, float32: several times faster than float64, and exact enough for a waveform."""
    return np.sin((2 * np.pi * (cycles - np.floor(cycles))).astype(np.float32))
