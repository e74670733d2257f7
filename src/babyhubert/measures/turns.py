"""Conversational turns by three published rules, and the number expected by chance.

All rules walk through segments in the order of the files: by onset, then end, then label. The time of a turn is the
onset of its second speaker.

- **LENA** (LENA Pro, 'Conversational Turns Report'): a key-child segment and an adult segment make a turn when less
  than 5 s and no other speaker lie between them; turns are counted in pairs, so child-adult-child is one turn and
  child-adult-child-adult two; turns do not cross a pause of 5 s without any speech.
- **simple_CTC** (ChildProject): every change between the key child and anybody else (FEM, MAL, OCH) whose second
  segment starts less than 1 s after the first ended.
- **floor transfers** (gap and overlap, as chattr defines transitions: Casillas and Scaff 2021): every change between
  the key child and an adult, ignoring other children, with at most 2 s of gap or 1 s of overlap.

Chance: within every hour the key child's segments are moved along a circle by one random shift; the speech of the
others, and the amount of speech of each in that hour, stay the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.timebase import SAMPLE_RATE, ms_to_samples

LENA_PAUSE = 5 * SAMPLE_RATE
"""Samples of silence that end a conversation, and a turn."""

SIMPLE_INTERVAL = SAMPLE_RATE
"""Samples within which ChildProject's simple_CTC expects the second speaker."""

_ORDER = tuple(sorted(VOICE_TYPES))  # the order in which files list segments of equal times
_CHILD = _ORDER.index("KCHI")
_OTHER_CHILD = _ORDER.index("OCH")
_SMALLEST_SHIFT = 60 * SAMPLE_RATE


class Speech(NamedTuple):
    """Segments of the four voice types in the order of files: samples, int64 (S,), and voices, int8 (S,)."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    voice: NDArray[np.int8]


@dataclass(frozen=True)
class TurnRules:
    """Settings of the gap-and-overlap rule, in samples."""

    gap: int = ms_to_samples(2000)
    overlap: int = ms_to_samples(1000)

    def named(self) -> dict[str, Callable[[Speech], NDArray[np.int64]]]:
        """The rules by the names in columns; each gives the onsets of turns, int64, ascending."""
        return {
            "lena": lena_turns,
            "simple_ctc": simple_turns,
            "floor": lambda speech: floor_transfers(speech, self.gap, self.overlap).onset,
        }


class FloorTransfers(NamedTuple):
    """Changes between key child and adult: onset of the second speaker and its offset from the first one's end.

    Attributes:
        onset: Samples, int64 (N,).
        offset: Samples, int64 (N,); negative if the second began before the first ended.
        child: True if the key child is the second, bool (N,).
    """

    onset: NDArray[np.int64]
    offset: NDArray[np.int64]
    child: NDArray[np.bool_]


def speech_of(segments: Segments) -> Speech:
    """The segments of the four voice types; other labels take no part in turns."""
    labels = segments.label.astype(str)
    voice = np.searchsorted(_ORDER, labels)
    known = np.isin(labels, _ORDER)
    return Speech(segments.start[known], segments.end[known], voice[known].astype(np.int8))


def lena_turns(speech: Speech, pause: int = LENA_PAUSE) -> NDArray[np.int64]:
    """Onsets of turns by LENA's rule, int64.

    Consecutive segments of one party without a pause between are one contribution; contributions of the key child and
    of adults that follow each other within less than ``pause`` form a chain; a chain of n has n // 2 turns.
    """
    if not len(speech.start):
        return np.empty(0, dtype=np.int64)
    party = np.where(speech.voice == _CHILD, 0, np.where(speech.voice == _OTHER_CHILD, 1, 2))
    covered_until = np.maximum.accumulate(speech.end)
    silence = speech.start[1:] - covered_until[:-1] >= pause
    opens = np.flatnonzero(np.concatenate(([True], silence | (party[1:] != party[:-1]))))
    start, end, party = speech.start[opens], np.maximum.reduceat(speech.end, opens), party[opens]
    talks = party != 1
    linked = talks[1:] & talks[:-1] & (party[1:] != party[:-1]) & (start[1:] - end[:-1] < pause)
    # Of every run of links the first, third, ... counts, since a turn uses up both of its contributions.
    place = np.arange(len(linked))
    run_start = np.maximum.accumulate(np.where(linked & ~np.concatenate(([False], linked[:-1])), place, -1))
    counted = linked & ((place - run_start) % 2 == 0)
    return start[1:][counted]


def simple_turns(speech: Speech, interval: int = SIMPLE_INTERVAL) -> NDArray[np.int64]:
    """Onsets of turns by ChildProject's simple_CTC, int64."""
    child = speech.voice == _CHILD
    counted = (child[1:] != child[:-1]) & (speech.start[1:] - speech.end[:-1] < interval)
    return speech.start[1:][counted]


def floor_transfers(speech: Speech, gap: int, overlap: int) -> FloorTransfers:
    """Changes between the key child and an adult within a maximum gap or overlap in samples."""
    kept = speech.voice != _OTHER_CHILD
    start, end, child = speech.start[kept], speech.end[kept], speech.voice[kept] == _CHILD
    offset = start[1:] - end[:-1]
    counted = (child[1:] != child[:-1]) & (offset <= gap) & (offset >= -overlap)
    return FloorTransfers(start[1:][counted], offset[counted], child[1:][counted])


def shuffled(speech: Speech, edges: NDArray[np.int64], generator: np.random.Generator) -> Speech:
    """Shift the key child's segments along a circle within each hour.

    Args:
        speech: Segments with voices.
        edges: Bounds of the hours in samples, int64 (H + 1,).
        generator: Source of one shift per hour: uniform, at least a minute (a quarter of a short hour) either way.
    """
    if len(edges) < 2:
        return speech
    length = np.diff(edges)
    smallest = np.minimum(_SMALLEST_SHIFT, length // 4)
    shift = generator.integers(smallest, length - smallest, endpoint=True)
    child = speech.voice == _CHILD
    hour = hour_of(speech.start[child], edges)
    start, end = speech.start.copy(), speech.end.copy()
    since = np.minimum(start[child] - edges[hour], length[hour] - 1)
    moved = edges[hour] + (since + shift[hour]) % length[hour]
    end[child] += moved - start[child]
    start[child] = moved
    order = np.lexsort((speech.voice, end, start))
    return Speech(start[order], end[order], speech.voice[order])


def hour_of(position: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """The hour of each sample, int64; samples after the last bound belong to the last hour."""
    return np.clip(np.searchsorted(edges, position, side="right") - 1, 0, len(edges) - 2)


def count_by_hour(onset: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of onsets in each hour, int64 (H,)."""
    return np.bincount(hour_of(onset, edges), minlength=len(edges) - 1) if len(edges) > 1 else np.empty(0, np.int64)


def chance_turns(
    speech: Speech, edges: NDArray[np.int64], rules: TurnRules, shuffles: int, generator: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Turns in shuffled speech: for each rule int64 (shuffles, H)."""
    counts = {name: np.zeros((shuffles, len(edges) - 1), dtype=np.int64) for name in rules.named()}
    for row in range(shuffles):
        drawn = shuffled(speech, edges, generator)
        for name, rule in rules.named().items():
            counts[name][row] = count_by_hour(rule(drawn), edges)
    return counts
