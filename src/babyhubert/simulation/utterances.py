"""Utterances: a clean waveform and the stretches in which it sounds.

Both sources of speech (the synthesiser and recorded utterances) give their clean waveform to
:meth:`Utterance.from_clean`; a scene places, filters and mixes the result without changing its ground truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, close_gaps
from babyhubert.timebase import SAMPLES_PER_MS

_ENERGY_WINDOW = 5 * SAMPLES_PER_MS
_LONGEST_INNER_PAUSE = 300 * SAMPLES_PER_MS
_SHORTEST_SOUND = 60 * SAMPLES_PER_MS


Manner = Literal["speech_like", "cry", "other"]


@dataclass(frozen=True, eq=False)
class Utterance:
    """One stretch of clean speech of one speaker.

    Attributes:
        waveform: float32, shape (N,), RMS 1 over its spans; begins and ends with sound.
        spans: Stretches that sound, as samples in ``[0, N]`` on whole milliseconds: pauses above 0.3 s are excluded.
        phones: IPA symbols; empty for cries and squeals, and if unknown.
        phone_start: First sample of each phone, int64, shape (P,); None where unknown.
        phone_end: Sample after the last of each phone, int64, shape (P,); None where unknown.
        manner: Manner of vocalising: ``speech_like``, ``cry``, or ``other``.
    """

    waveform: NDArray[np.float32]
    spans: Intervals
    phones: tuple[str, ...] = ()
    phone_start: NDArray[np.int64] | None = field(default=None)
    phone_end: NDArray[np.int64] | None = field(default=None)
    manner: Manner = "speech_like"

    @classmethod
    def from_clean(
        cls,
        waveform: NDArray[np.float32],
        phones: tuple[str, ...] = (),
        phone_ends: NDArray[np.int64] | None = None,
        manner: Manner = "speech_like",
    ) -> Utterance:
        """Trim silence off both ends, normalise, and find the stretches that sound.

        Args:
            waveform: Clean speech, float32, shape (N,), any level.
            phones: IPA symbols in order.
            phone_ends: Sample after the last of each phone, int64, shape (P,), phones following each other from
                sample 0; None where unknown.
            manner: Manner of vocalising.

        Raises:
            ValueError: nothing sounds.
        """
        start, end = active_spans(waveform)
        if not len(start):
            raise ValueError("the utterance is silent")
        first, last = int(start[0]), int(end[-1])
        kept = waveform[first:last]
        if len(kept) < last - first:
            kept = np.pad(kept, (0, last - first - len(kept)))
        spans = (start - first, end - first)
        kept = _at_unit_level(kept, spans)
        if phone_ends is None:
            return cls(kept, spans, phones, manner=manner)
        ends = np.clip(phone_ends - first, 0, last - first)
        starts = np.clip(np.concatenate(([0], phone_ends[:-1])) - first, 0, last - first)
        return cls(kept, spans, phones, starts, ends, manner)

    def with_waveform(self, waveform: NDArray[np.float32]) -> Utterance:
        """Replace the waveform by another of the same length, normalised; spans and phones stay."""
        return replace(self, waveform=_at_unit_level(waveform, self.spans))


def _at_unit_level(waveform: NDArray[np.float32], spans: Intervals) -> NDArray[np.float32]:
    """The waveform at an RMS level of 1 inside the spans."""
    sounding = np.concatenate([waveform[a:b] for a, b in zip(*spans, strict=True)])
    level = float(np.sqrt(np.mean(np.square(sounding, dtype=np.float64))))
    return (waveform / level).astype(np.float32)


class Speaker(Protocol):
    """Interface of a speaker."""

    @property
    def speaker_id(self) -> str:
        """Name of the speaker, unique to the person."""

    def utter(self, rng: np.random.Generator, *, to_child: bool = False) -> Utterance:
        """Produce an utterance, with the exaggerated prosody of child-directed speech on request (if available)."""


@dataclass(frozen=True)
class Cast:
    """The speakers of one recording. ``television`` are audible but never labelled."""

    key_child: Speaker
    other_children: tuple[Speaker, ...]
    women: tuple[Speaker, ...]
    men: tuple[Speaker, ...]
    television: tuple[Speaker, ...] = ()


class Voices(Protocol):
    """Source of the speakers of recordings."""

    def cast(self, index: int, rng: np.random.Generator) -> Cast:
        """Speakers of recording ``index``, different from those of its neighbours."""


def active_spans(waveform: NDArray[np.float32]) -> Intervals:
    """Stretches of a clean waveform that sound: samples, on whole milliseconds, pauses up to 0.3 s bridged.

    A waveform sounds where its 5-ms energy is above a threshold between -30 and -20 dB of its 95th percentile: the
    lower end for clean material, the upper where the material's own background (its 5th percentile) would pass.
    """
    if len(waveform) < _ENERGY_WINDOW or not np.any(waveform):
        empty = np.empty(0, dtype=np.int64)
        return empty, empty
    summed = np.concatenate(([0.0], np.cumsum(np.square(waveform, dtype=np.float64))))
    energy = summed[_ENERGY_WINDOW:] - summed[:-_ENERGY_WINDOW]
    coarse = energy[:: _ENERGY_WINDOW // 2]
    quiet, loud = np.percentile(coarse[coarse > coarse.max() * 1e-8], (5, 95))
    above = energy > np.clip(4 * quiet, loud * 1e-3, loud * 1e-2)
    edges = np.diff(np.concatenate(([False], above, [False])).astype(np.int8))
    start = np.flatnonzero(edges == 1) + _ENERGY_WINDOW // 2
    end = np.flatnonzero(edges == -1) + _ENERGY_WINDOW // 2
    start, end = close_gaps(start, end, shorter_than=_LONGEST_INNER_PAUSE)
    long_enough = end - start >= _SHORTEST_SOUND
    start, end = start[long_enough], end[long_enough]
    return start // SAMPLES_PER_MS * SAMPLES_PER_MS, -(-end // SAMPLES_PER_MS) * SAMPLES_PER_MS
