"""Days of who speaks when, by people and by a machine that errs, without sound: the truth for studies of estimates.

Speech comes in conversations, in which two voices take turns, and alone. Volubility varies by recording, hour and
minute. The machine finds each utterance with a probability of its recording's own, perhaps under another label and
with other ends, and makes some up; it closes pauses shorter than 0.1 s, as people do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import close_gaps
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.timebase import SAMPLE_RATE, SAMPLES_PER_MS

HOURS = 8
MINUTES = 60 * HOURS
SAMPLES = MINUTES * 60 * SAMPLE_RATE

PAIRS = np.array([[0, 3], [0, 2], [0, 1], [3, 2], [1, 3]])
PAIR_SHARES = np.array([0.5, 0.12, 0.12, 0.16, 0.1])
CONVERSATIONS_PER_HOUR = 55.0
TURNS_MEAN = 5.0
ALONE_PER_HOUR = np.array([100.0, 50.0, 22.0, 65.0])
MEAN_S = np.array([1.08, 1.02, 1.2, 1.26])
CONFUSION = np.array(
    [[0.72, 0.07, 0.00, 0.03], [0.14, 0.50, 0.01, 0.06], [0.00, 0.00, 0.70, 0.06], [0.03, 0.04, 0.06, 0.72]]
)
"""Share of the utterances of a voice (row) that the machine finds as each voice; it misses the rest."""

FALSE_PER_HOUR = np.array([12.0, 12.0, 20.0, 20.0])
_PAUSE = SAMPLE_RATE // 10

Utterances = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]
"""Starts and lengths in seconds, and voices."""


@dataclass(frozen=True, eq=False)
class Day:
    """One recording: segments by people and by the machine."""

    people: Segments
    machine: Segments


def simulate_day(rng: np.random.Generator) -> Day:
    """Draw a recording."""
    level = np.exp(rng.normal(0, 0.8, MINUTES) + rng.normal(0, 0.7, HOURS).repeat(60)) * rng.gamma(4, 0.25) / 2.4
    start, length, voice = (
        np.concatenate(each) for each in zip(_conversations(level, rng), _alone(level, rng), strict=True)
    )
    skill = rng.beta(12, 3) / 0.8
    share = np.minimum(CONFUSION * skill, 0.95 * CONFUSION / CONFUSION.sum(axis=1, keepdims=True))
    reached = np.cumsum(share, axis=1)[voice]
    found = (rng.random(len(voice))[:, None] >= reached).sum(axis=1)
    kept = found < len(VOICE_TYPES)
    jitter = rng.normal(0, 0.1, (2, kept.sum()))
    begins = start[kept] + jitter[0]
    lasts = np.maximum(length[kept] + jitter[1] - jitter[0], 0.1)
    made_up = _made_up(rng)
    machine = tuple(np.concatenate(each) for each in zip((begins, lasts, found[kept]), made_up, strict=True))
    return Day(_segments(start, length, voice), _segments(*machine))


def _conversations(level: NDArray[np.float64], rng: np.random.Generator) -> Utterances:
    number = rng.poisson(CONVERSATIONS_PER_HOUR / 60 * level)
    first = 60 * (np.repeat(np.arange(MINUTES), number) + rng.random(number.sum()))
    turns = 1 + rng.geometric(1 / (TURNS_MEAN - 1), len(first))
    owner = np.repeat(np.arange(len(first)), turns)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(turns) - turns, turns)
    pair = PAIRS[rng.choice(len(PAIRS), len(first), p=PAIR_SHARES)]
    side = (place + rng.integers(0, 2, len(first))[owner]) % 2
    voice = pair[owner, side]
    length = rng.gamma(4, MEAN_S[voice] / 4)
    gap = rng.gamma(1.2, 0.7, len(owner)) - 0.25
    before = np.cumsum(length + gap) - (length + gap)
    return first[owner] + before - before[np.cumsum(turns) - turns][owner], length, voice


def _alone(level: NDArray[np.float64], rng: np.random.Generator) -> Utterances:
    number = rng.poisson(ALONE_PER_HOUR[:, None] / 60 * level)
    voice, minute = (np.repeat(each.ravel(), number.ravel()) for each in np.indices(number.shape))
    return 60 * (minute + rng.random(len(minute))), rng.gamma(4, MEAN_S[voice] / 4), voice


def _made_up(rng: np.random.Generator) -> Utterances:
    number = rng.poisson(rng.gamma(2, 0.5) * FALSE_PER_HOUR * HOURS)
    voice = np.repeat(np.arange(len(VOICE_TYPES)), number)
    return 3600 * HOURS * rng.random(len(voice)), rng.gamma(2, 0.4, len(voice)), voice


def _segments(start: NDArray[np.float64], length: NDArray[np.float64], voice: NDArray[np.int64]) -> Segments:
    """Segments on whole milliseconds, disjoint within a voice."""
    first, last = (
        np.clip(np.round(side * 1000).astype(np.int64) * SAMPLES_PER_MS, 0, SAMPLES)
        for side in (start, start + length)
    )
    return Segments.from_intervals(
        {name: close_gaps(first[voice == k], last[voice == k], _PAUSE) for k, name in enumerate(VOICE_TYPES)}
    )
