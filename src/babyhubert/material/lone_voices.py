"""Training windows in which a recorded voice sounds alone, made in the way of windows without speech.

Cries and other sounds of a child are often the only sound of a minute. If in training all windows with one sound over
a faint floor are without speech, that style alone decides, and the model misses lone cries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from babyhubert.audio.discovery import discover
from babyhubert.config import Config
from babyhubert.errors import ConfigError
from babyhubert.material.audio_store import AudioStore
from babyhubert.material.augmentation import (
    Probability,
    Range,
    Waveforms,
    add_at_snr,
    coloured_noise,
    gains_to,
    warp,
    within,
)
from babyhubert.material.made_up_sounds import NonSpeech
from babyhubert.timebase import FRAME_HOP, SAMPLE_RATE, frame_count

SOUNDING_DB = 20.0
"""Frames at most so far below a recording's loud ones (95th percentile) have the voice."""
SILENT_DB = 35.0
"""Frames at least so far below have none; those between the two count as not annotated."""

_SMOOTHED_FRAMES = 5
_STRETCH = (0.87, 1.15)
_FLOOR_DB = (10.0, 60.0)
_LOUD = 95
"""Percentile of a recording's frames whose level is that of its loud parts."""

_FADE = SAMPLE_RATE // 100
_AROUND = 15 * SAMPLE_RATE


class LoneVoicesSettings(Config):
    """``[voice_type.alone]``.

    Attributes:
        probability: Share of windows.
        folders: By class, a folder or folders of recordings in which a voice of that class is the only sound.
        shortest_s: Length of the shortest stretch of a recording, s; shorter recordings are used whole.
        level_dbfs: Range of the level of the window.
        behind: Share of these windows with everyday sounds of ``nobody`` behind the voice.
        snr_db: Range of the voice's power over theirs, dB.
    """

    probability: Probability = 0.05
    folders: Annotated[Mapping[str, str | Sequence[str]], Field(min_length=1)]
    shortest_s: Annotated[float, Field(gt=0)] = 1.0
    level_dbfs: Range = (-70.0, -20.0)
    behind: Probability = 0.3
    snr_db: Range = (0.0, 25.0)


@dataclass(frozen=True, eq=False)
class LoneVoices:
    """Recordings of single voices, opened.

    Attributes:
        settings: Settings.
        recorded: Recordings by class.
        non_speech: Everyday sounds to put behind; None: nothing is.
    """

    settings: LoneVoicesSettings
    recorded: Mapping[str, AudioStore]
    non_speech: NonSpeech | None = None

    @classmethod
    def prepare(
        cls, settings: LoneVoicesSettings, labels: Sequence[str], cache: Path, non_speech: NonSpeech | None
    ) -> Self:
        """Open and decode the folders.

        Raises:
            AudioError: no readable recording in one of them.
            ConfigError: an unknown class.
        """
        unknown = sorted(set(settings.folders) - set(labels))
        if unknown:
            raise ConfigError(f"voice_type.alone.folders: no class {unknown[0]!r}: one of {', '.join(labels)}")
        recorded = {
            label: AudioStore.build(discover([folders] if isinstance(folders, str) else list(folders)), cache)
            for label, folders in settings.folders.items()
        }
        return cls(settings, recorded, non_speech)

    def windows(
        self, count: int, samples: int, labels: Sequence[str], rng: np.random.Generator
    ) -> tuple[Waveforms, NDArray[np.float32], NDArray[np.bool_]]:
        """Windows with one class each.

        Returns:
            Waveforms (count, samples), targets (count, T, C), and mask of the frames that are annotated (count, T).
        """
        sounds = np.zeros((count, samples), dtype=np.float32)
        targets = np.zeros((count, frame_count(samples), len(labels)), dtype=np.float32)
        valid = np.ones(targets.shape[:2], dtype=bool)
        classes = list(self.recorded)
        for row in range(count):
            label = classes[int(rng.integers(len(classes)))]
            sounds[row], sounding, doubtful = self._placed(self.recorded[label], samples, rng)
            targets[row, :, labels.index(label)] = sounding
            valid[row] = ~doubtful
        sounds = self._with_sounds_behind(sounds, rng)
        floor_db, level_db = within(_FLOOR_DB, count, rng), within(self.settings.level_dbfs, count, rng)
        together = add_at_snr(sounds, coloured_noise(count, samples, (0.0, 2.0), rng), floor_db)
        return together * gains_to(level_db, together).astype(np.float32)[:, None], targets, valid

    def _placed(
        self, recorded: AudioStore, samples: int, rng: np.random.Generator
    ) -> tuple[Waveforms, NDArray[np.bool_], NDArray[np.bool_]]:
        """One to three recordings anywhere in a window; frames with the voice, and doubtful ones."""
        out = np.zeros(samples, dtype=np.float32)
        sounding, doubtful = (np.zeros(samples // FRAME_HOP, dtype=bool) for _ in range(2))
        for _ in range(int(rng.integers(1, 4))):
            sound, loudest = _stretch(recorded, samples, int(self.settings.shortest_s * SAMPLE_RATE), rng)
            begin = int(rng.integers(max(samples - len(sound), 0) // FRAME_HOP + 1)) * FRAME_HOP
            sound = sound[: samples - begin]
            loud, unsure = frames_with_voice(sound, loudest)
            out[begin : begin + len(sound)] += sound * np.float32(10 ** (-rng.uniform(0, 10) / 20))
            there = slice(begin // FRAME_HOP, begin // FRAME_HOP + len(loud))
            sounding[there] |= loud
            doubtful[there] |= unsure
        frames = frame_count(samples)
        return out, sounding[:frames], (doubtful & ~sounding)[:frames]

    def _with_sounds_behind(self, sounds: Waveforms, rng: np.random.Generator) -> Waveforms:
        rows = np.flatnonzero(rng.random(len(sounds)) < self.settings.behind)
        if self.non_speech is None or not len(rows):
            return sounds
        behind = self.non_speech.sounds(len(rows), sounds.shape[1], rng)
        sounds[rows] = add_at_snr(sounds[rows], behind, within(self.settings.snr_db, len(rows), rng))
        return sounds


def frames_with_voice(sound: Waveforms, loudest: float | None = None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Frames in which a lone voice sounds, and those in which that is doubtful, by level: bool, (T,) each.

    Args:
        sound: Samples, (n,).
        loudest: Power of the voice's loud parts; of the sound's own if None.
    """
    power = _power(sound)
    if not len(power):
        return np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)
    loudest = np.percentile(power, _LOUD) if loudest is None else loudest
    sounding = power > loudest * 10 ** (-SOUNDING_DB / 10)
    return sounding, ~sounding & (power > loudest * 10 ** (-SILENT_DB / 10))


def _power(sound: Waveforms) -> NDArray[np.float64]:
    """Power of each frame, smoothed, (T,)."""
    cells = np.square(sound[: len(sound) // FRAME_HOP * FRAME_HOP].reshape(-1, FRAME_HOP), dtype=np.float64)
    if not len(cells):
        return np.zeros(0)
    smooth = np.convolve(cells.mean(axis=1), np.full(_SMOOTHED_FRAMES, 1 / _SMOOTHED_FRAMES))
    return smooth[_SMOOTHED_FRAMES // 2 :][: len(cells)]


def _stretch(
    recorded: AudioStore, samples: int, shortest: int, rng: np.random.Generator
) -> tuple[Waveforms, float | None]:
    """A stretch of a recording, a little faster or slower, faded in and out; at least so long or all of it.

    Also gives the power of the voice around it, so that a stretch of a pause is not taken for the voice.
    """
    index = int(rng.integers(len(recorded.lengths)))
    length = int(recorded.lengths[index])
    wanted = min(length, samples, max(int(length * rng.uniform(0.3, 1.3)), shortest))
    start = int(rng.integers(length - wanted + 1))
    first = max(start - _AROUND, 0)
    around = recorded.read(index, first, min(start + wanted + _AROUND, length))
    power = _power(around)
    shorter = rng.uniform(*_STRETCH)
    sound = warp(around[start - first :][:wanted], max(int(wanted / shorter), FRAME_HOP), shorter)[:samples]
    ramp = np.linspace(0, 1, _FADE, dtype=np.float32)[: len(sound)]
    sound[: len(ramp)] *= ramp
    sound[len(sound) - len(ramp) :] *= ramp[::-1]
    return sound, float(np.percentile(power, _LOUD)) if len(power) else None
