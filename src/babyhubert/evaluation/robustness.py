"""Robustness of a voice-type model: false alarms in noise, near voices, and effects of its windows.

Noise test: false alarms per hour in sounds without voices, synthesised or recorded; a recorded clip is tested alone
and with a quiet room around it, as in a day. Near-voice test: predictions for people at the microphone. Window test:
the beginning of a recording and the ends of windows should not matter, so the same recording is predicted from several
starts, and the borders of segments are counted at the joins of windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, intersect, total, union
from babyhubert.annotation.raster import frames_to_segments, segments_to_frames
from babyhubert.annotation.segments import Segments
from babyhubert.errors import ConfigError
from babyhubert.evaluation.probe_sounds import PROBES, pink_noise, probe
from babyhubert.timebase import FRAME_HOP, SAMPLE_RATE

Audio = NDArray[np.float32]

PEAK_RATIO, PEAK_CHANCE = 2.0, 0.001
"""Criterion of a peak: at least twice as many borders at the joins as elsewhere, with a probability below 0.001."""

ROOM_S, ROOM_DBFS = 15, -60.0
"""Quiet room around a clip, on each side, in seconds, and its RMS level."""

_LEAST_EXPECTED = 1.0
_NEAR, _FAR = 1, 10


class Model(Protocol):
    """Interface of the model: :class:`babyhubert.tasks.voice_type.prediction.VoiceTypeClassifier` has it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes, in the order of columns."""
        ...

    def scores(self, audio: Audio, sampling_rate: int | None = None) -> NDArray[np.floating]:
        """Probabilities, (T, C), for samples at a rate in Hz."""
        ...

    def decide(self, scores: NDArray[np.floating], *, clean: bool = True) -> Segments:
        """Segments from probabilities."""
        ...


@dataclass(frozen=True)
class FalseAlarms:
    """Detections of a model in a sound without speech.

    Attributes:
        sound: Name of the sound.
        seconds: Its length.
        segments: Segments found, by class.
        found_s: Seconds found, by class.
        any_s: Seconds in which any class is detected.
    """

    sound: str
    seconds: float
    segments: dict[str, int]
    found_s: dict[str, float]
    any_s: float

    def per_hour(self, label: str) -> tuple[float, float]:
        """Seconds and segments of a class per hour."""
        hours = self.seconds / 3600
        return self.found_s[label] / hours, self.segments[label] / hours

    @property
    def any_per_hour(self) -> float:
        """Seconds of any class per hour."""
        return self.any_s / (self.seconds / 3600)


def count_alarms(sound: str, labels: Sequence[str], found: Sequence[Segments], seconds: float) -> FalseAlarms:
    """Sum of the detections in some recordings of one sound."""
    counts, lengths = dict.fromkeys(labels, 0), dict.fromkeys(labels, 0.0)
    any_samples = 0
    for segments in found:
        for label in labels:
            start, end = segments.intervals(label)
            counts[label] += len(start)
            lengths[label] += float((end - start).sum()) / SAMPLE_RATE
        any_samples += total(*union(segments.start, segments.end))
    return FalseAlarms(sound, seconds, counts, lengths, any_samples / SAMPLE_RATE)


def false_alarms(model: Model, seconds: float, level_dbfs: float, seed: int) -> list[FalseAlarms]:
    """Run a model over every sound of :data:`babyhubert.evaluation.probe_sounds.PROBES`.

    Args:
        model: The model.
        seconds: Length of each sound.
        level_dbfs: RMS level of each sound (but silence).
        seed: Seed of the sounds.
    """
    found = []
    for name in PROBES:
        sound = probe(name, round(seconds * SAMPLE_RATE), level_dbfs, seed)
        segments = model.decide(model.scores(sound, SAMPLE_RATE))
        found.append(count_alarms(name, model.labels, [segments], len(sound) / SAMPLE_RATE))
    return found


def alarms_in_clips(model: Model, kind: str, clips: Sequence[Audio], seed: int) -> list[FalseAlarms]:
    """False alarms in clips of one kind, each alone, and each with a quiet room around it.

    Args:
        model: The model.
        kind: Name of the kind.
        clips: float32, shape (n,) each, 16 kHz.
        seed: Seed of the room noise.
    """
    seconds = sum(map(len, clips)) / SAMPLE_RATE
    alone = [model.decide(model.scores(clip, SAMPLE_RATE)) for clip in clips]
    inside = []
    for number, clip in enumerate(clips):
        around, first = in_a_quiet_room(clip, np.random.default_rng([seed, number]))
        segments = model.decide(model.scores(around, SAMPLE_RATE))
        inside.append(within(segments, first, first + len(clip)))
    return [
        count_alarms(kind, model.labels, alone, seconds),
        count_alarms(f"{kind}, in a day", model.labels, inside, seconds),
    ]


def in_a_quiet_room(sound: Audio, rng: np.random.Generator) -> tuple[Audio, int]:
    """A sound with :data:`ROOM_S` of a quiet room before, behind and after it, and its first sample."""
    around = ROOM_S * SAMPLE_RATE
    room = pink_noise(len(sound) + 2 * around, rng)
    room *= np.float32(10 ** (ROOM_DBFS / 20) / np.sqrt(np.mean(np.square(room, dtype=np.float64))))
    room[around : around + len(sound)] += sound
    return room, around


def within(segments: Segments, first: int, last: int) -> Segments:
    """Part of some segments within a stretch."""
    kept = (segments.end > first) & (segments.start < last)
    return Segments(
        np.maximum(segments.start[kept], first), np.minimum(segments.end[kept], last), segments.label[kept]
    )


@dataclass(frozen=True)
class NearVoices:
    """Predictions for people of one kind, each at the microphone.

    Attributes:
        voice: Their kind: CHI, TEEN, FEM or MAL.
        speakers: Number of speakers.
        seconds: Seconds of their speech.
        shares: Fraction of that time in which each class is predicted.
    """

    voice: str
    speakers: int
    seconds: float
    shares: dict[str, float]


def near_voices(model: Model, voice: str, monologues: Sequence[tuple[Audio, Intervals]]) -> NearVoices:
    """Run a model over people who speak alone.

    Args:
        model: The model.
        voice: Kind of people.
        monologues: A recording of each, float32, shape (n,), and the stretches of speech in it.
    """
    spoken, found = 0, dict.fromkeys(model.labels, 0)
    for audio, speech in monologues:
        segments = model.decide(model.scores(audio, SAMPLE_RATE))
        spoken += total(*speech)
        for label in model.labels:
            found[label] += total(*intersect(segments.intervals(label), speech))
    shares = {label: samples / spoken if spoken else math.nan for label, samples in found.items()}
    return NearVoices(voice, len(monologues), spoken / SAMPLE_RATE, shares)


@dataclass(frozen=True)
class Shift:
    """Changes of decisions if a recording begins later.

    Attributes:
        frames: Number of frames by which it begins later.
        changed: Fraction of frames whose decision differs in any class.
        disagreement: By class, frames that differ over frames active in either; NaN if none is.
    """

    frames: int
    changed: float
    disagreement: dict[str, float]


def start_shifts(model: Model, audio: Audio, shifts: Sequence[int]) -> list[Shift]:
    """Predict a recording from several starts, each a number of frames later, and compare with the complete recording.

    Args:
        model: The model.
        audio: float32, shape (n,), 16 kHz.
        shifts: Numbers of frames skipped at the start.

    Raises:
        ConfigError: a shift that leaves no frame.
    """
    whole = _decided(model, audio)
    results = []
    for shift in shifts:
        if not 0 < shift < len(whole):
            raise ConfigError(f"a shift of {shift} frames of a recording of {len(whole)}: at least 1, and some left")
        later = _decided(model, audio[shift * FRAME_HOP :])
        earlier = whole[shift : shift + len(later)]
        differs, active = (earlier != later), (earlier | later).sum(axis=0)
        shares = np.where(active > 0, differs.sum(axis=0) / np.maximum(active, 1), np.nan)
        changed = float(differs.any(axis=1).mean())
        results.append(Shift(shift, changed, dict(zip(model.labels, shares.tolist(), strict=True))))
    return results


def _decided(model: Model, audio: Audio) -> NDArray[np.bool_]:
    """Decisions after post-processing, bool, (T, C)."""
    scores = model.scores(audio, SAMPLE_RATE)
    segments = model.decide(scores)
    columns = [segments_to_frames(*segments.intervals(label), len(scores)) for label in model.labels]
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Peak:
    """Number of events that coincide with the joins of windows.

    Attributes:
        what: Kind of events.
        count: Number of events.
        at_joins: Number of events on a join.
        expected: Expected number if joins were like any other frame.
        chance: Probability of as many or more by chance (binomial).
    """

    what: str
    count: int
    at_joins: int
    expected: float
    chance: float

    @property
    def ratio(self) -> float:
        """Ratio of observed to expected; NaN if none is expected."""
        return self.at_joins / self.expected if self.expected else math.nan

    @property
    def verdict(self) -> str:
        """``peaks``, ``no peak``, or ``too few`` to tell."""
        if self.expected < _LEAST_EXPECTED and self.chance >= PEAK_CHANCE:
            return "too few"
        peaks = self.ratio >= PEAK_RATIO and self.chance < PEAK_CHANCE
        return "peaks" if peaks else "no peak"


def join_peaks(model: Model, audio: Audio, hop_frames: int) -> list[Peak]:
    """Test if borders and lengths of segments coincide with the joins of windows more than by chance.

    Counted before post-processing, which would blur them. Borders: beginnings and ends of all classes, against a
    uniform spread over the positions within a hop. Lengths: those within a frame of a multiple of the hop, against
    those 2 to 10 frames away from one.

    Args:
        model: The model.
        audio: float32, shape (n,), 16 kHz.
        hop_frames: Frames between the starts of windows.
    """
    scores = model.scores(audio, SAMPLE_RATE)
    raw = model.decide(scores, clean=False)
    borders, lengths = [], []
    for label in model.labels:
        on = segments_to_frames(*raw.intervals(label), len(scores))
        start, end = (edge // FRAME_HOP for edge in frames_to_segments(on))
        borders.append(np.concatenate([start[start > 0], end[end < len(scores)]]))
        lengths.append(end - start)
    return [border_peak(np.concatenate(borders), hop_frames), length_peak(np.concatenate(lengths), hop_frames)]


def border_peak(borders: NDArray[np.int64], hop: int) -> Peak:
    """Borders (frame numbers) that fall on a multiple of the hop, against one in ``hop``."""
    at = int((borders % hop == 0).sum())
    return Peak("borders", len(borders), at, len(borders) / hop, binomial_tail(at, len(borders), 1 / hop))


def length_peak(lengths: NDArray[np.int64], hop: int) -> Peak:
    """Lengths (frames) within a frame of a multiple of the hop, against their neighbours."""
    multiple = np.maximum(np.round(lengths / hop), 1).astype(np.int64) * hop
    away = np.abs(lengths - multiple)
    reach = min(_FAR, (hop - 1) // 2)
    near, beside = int((away <= _NEAR).sum()), int(((away > _NEAR) & (away <= reach)).sum())
    share = (2 * _NEAR + 1) / (2 * reach + 1) if reach > _NEAR else 1.0
    expected = beside * share / (1 - share) if share < 1 else math.nan
    return Peak("lengths", len(lengths), near, expected, binomial_tail(near, near + beside, share))


def binomial_tail(least: int, trials: int, share: float) -> float:
    """Probability of at least ``least`` hits in ``trials``, each with probability ``share``."""
    if least <= 0 or share >= 1:
        return 1.0
    if least > trials or share <= 0:
        return 0.0
    hits = np.arange(least, trials + 1)
    steps = np.log(trials - hits[1:] + 1) - np.log(hits[1:]) + math.log(share) - math.log1p(-share)
    first = (
        math.lgamma(trials + 1)
        - math.lgamma(least + 1)
        - math.lgamma(trials - least + 1)
        + least * math.log(share)
        + (trials - least) * math.log1p(-share)
    )
    return float(min(1.0, np.exp(first + np.concatenate([[0.0], np.cumsum(steps)])).sum()))
