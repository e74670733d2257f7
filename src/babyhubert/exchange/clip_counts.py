"""Measures and confusion counted in clips of a recording, for people and machine alike.

The clips are cut out and laid on a time line of their own, with silence between them that is longer than any pause
that a measure looks across. Then :mod:`babyhubert.measures` counts them as it counts hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.measures.result_tables import Utterance
from babyhubert.measures.results import RecordingResult
from babyhubert.measures.tables import MeasureSettings, measures_between
from babyhubert.measures.turns import LENA_PAUSE
from babyhubert.timebase import SAMPLE_RATE, SAMPLES_PER_MS, ms_to_samples

NON_SPEECH = "non_speech"
CLASSES = (*VOICE_TYPES, NON_SPEECH)
"""Rows and columns of a confusion: the voice types, and time without any of them."""

SETTINGS = MeasureSettings(shuffles=0)
_SAMPLES_PER_MINUTE = 60 * SAMPLE_RATE

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips of a recording that do not overlap: bounds in whole milliseconds, ascending, int64, shape (C,)."""

    onset: NDArray[np.int64]
    offset: NDArray[np.int64]

    @property
    def samples(self) -> Intervals:
        """Bounds in samples."""
        return ms_to_samples(1) * self.onset, ms_to_samples(1) * self.offset


def tiles(samples: int, length_ms: int) -> Clips:
    """A recording divided into clips of one length, the last one perhaps shorter."""
    onset = np.arange(0, max(samples // SAMPLES_PER_MS, 1), length_ms, dtype=np.int64)
    return Clips(onset, np.minimum(onset + length_ms, max(samples // SAMPLES_PER_MS, 1)))


def measure_in_clips(result: RecordingResult, clips: Clips, names: Sequence[str]) -> Values:
    """Totals of measures in each clip, float64 (C, K); NaN for a measure whose results are not there.

    Every segment is cut at the ends of its clip. One that begins with the clip or before it counts for its time, and
    as a neighbour of others, but not in the numbers of segments: it began elsewhere.

    Args:
        result: Who speaks when in the complete recording, or in the clips.
        clips: The clips.
        names: Measures that are totals over time.
    """
    cut, edges = _cut_out(result, clips)
    measured = measures_between(cut, edges, SETTINGS, {})
    return _rounded(np.column_stack([np.asarray(measured[name], dtype=np.float64)[1::2] for name in names]))


def measure_whole(result: RecordingResult, names: Sequence[str]) -> Values:
    """The same measures in the complete recording, as in ``measures.csv``: float64 (K,)."""
    measured = measures_between(result, np.array([0, result.samples], dtype=np.int64), SETTINGS, {})
    return np.array([float(measured[name][0]) for name in names])


def _cut_out(result: RecordingResult, clips: Clips) -> tuple[RecordingResult, NDArray[np.int64]]:
    """The clips on a time line of their own, and the bounds of silences and clips in turn."""
    first, last = clips.samples
    silence = 2 * max(LENA_PAUSE, SETTINGS.rules.gap, ms_to_samples(SETTINGS.vocalisation_gap_ms))
    place = np.cumsum(last - first + silence) - (last - first)
    edges = np.concatenate(([0], np.column_stack((place, place + last - first)).ravel()))

    def moved(table: Segments) -> Segments:
        row, start, end = _pieces(table.start, table.end, first, last, place)
        return Segments(start, end, table.label[row], {name: c[row] for name, c in table.columns.items()})

    def moved_utterances(utterances: tuple[Utterance, ...]) -> tuple[Utterance, ...]:
        start, end = np.array([(one.start, one.end) for one in utterances], dtype=np.int64).reshape(-1, 2).T
        pieces = zip(*(each.tolist() for each in _pieces(start, end, first, last, place)), strict=True)
        return tuple(replace(utterances[row], start=begin, end=stop) for row, begin, stop in pieces)

    return replace(
        result,
        samples=int(edges[-1]),
        segments=_disjoint(moved(result.segments)),
        classified={name: None if one is None else moved(one) for name, one in result.classified.items()},
        transcribed={name: None if one is None else moved_utterances(one) for name, one in result.transcribed.items()},
    ), edges


def _pieces(
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    place: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, start and end of every part of a segment that lies in a clip; what began before begins a sample early."""
    from_clip = np.searchsorted(last, start, side="right")
    to_clip = np.searchsorted(first, np.maximum(end, start + 1), side="left")
    number = np.maximum(to_clip - from_clip, 0)
    row = np.repeat(np.arange(len(start)), number)
    clip = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number) + np.repeat(from_clip, number)
    shift = place[clip] - first[clip]
    begins = np.maximum(start[row], first[clip]) + shift - (start[row] <= first[clip])
    return row, begins, np.maximum(np.minimum(end[row], last[clip]) + shift, begins)


def _disjoint(segments: Segments) -> Segments:
    """The same number of segments, those of a label without overlap, as a machine's are: their time counts once."""
    start, end = segments.start.copy(), segments.end.copy()
    for label in segments.labels:
        own = np.flatnonzero(segments.label == np.array(label, dtype=object))
        reach = np.maximum.accumulate(end[own])
        start[own[1:]] = np.maximum(start[own[1:]], reach[:-1])
        end[own] = np.maximum(end[own], start[own])
    return Segments(start, end, segments.label)


def confusion_in_clips(people: Segments, machine: Segments, clips: Clips) -> tuple[Values, Values]:
    """Minutes in each clip of each true class (row) that the machine gives each class (column).

    Off the diagonal, only time counts in which the column's class is not true as well. Where several other voices
    are true at once, the time is divided equally among them, so that a column adds up to what the machine found.

    Returns:
        The confusion, shape (C, 5, 5); minutes of each true class, shape (C, 5). The last class is no voice.
    """
    first, last = clips.samples
    bounds = [first, last, *(side for one in (people, machine) for side in (one.start, one.end))]
    points = np.unique(np.concatenate(bounds))
    start, length = points[:-1], np.diff(points) / _SAMPLES_PER_MINUTE
    clip = np.searchsorted(first, start, side="right") - 1
    inside = (clip >= 0) & (start < last[np.maximum(clip, 0)])
    start, length, clip = start[inside], length[inside], clip[inside]
    true, found = (_active(one, start) for one in (people, machine))
    several = np.maximum(true[:, :-1].sum(axis=1, keepdims=True), 1)
    wrong = (true / several)[:, :, None] * (found & ~true)[:, None, :]
    right = np.eye(len(CLASSES)) * (found & true)[:, None, :]
    confusion = np.zeros((len(first), len(CLASSES), len(CLASSES)))
    np.add.at(confusion, clip, (wrong + right) * length[:, None, None])
    minutes = np.zeros((len(first), len(CLASSES)))
    np.add.at(minutes, clip, true * length[:, None])
    return _rounded(confusion), _rounded(minutes)


def _active(segments: Segments, at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Classes that are active at each sample, bool (T, 5)."""
    voices = []
    for voice in VOICE_TYPES:
        start, end = segments.intervals(voice)
        voices.append(np.searchsorted(start, at, side="right") > np.searchsorted(end, at, side="right"))
    return np.column_stack([*voices, ~np.any(voices, axis=0)])


def _rounded(values: Values) -> Values:
    """The same to far less than a sample, so that nothing is 0 and not a rounding error."""
    return np.asarray(np.round(values, 9) + 0.0, dtype=np.float64)
