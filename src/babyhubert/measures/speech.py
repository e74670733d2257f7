"""Amounts of speech: by voice type, by adults together, by addressee, and phonetic content of the child's speech.

Every function takes the bounds of hours and gives one number per hour; with the bounds ``[0, length]`` that is one
number for the recording. Segments are counted in the hour in which they start; durations are cut at its bounds, so
that hours add up to the recording.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.columns import ADDRESSEE
from babyhubert.annotation.intervals import close_gaps
from babyhubert.annotation.segments import Segments
from babyhubert.measures.result_tables import Utterance
from babyhubert.measures.results import ADULTS
from babyhubert.measures.turns import count_by_hour, hour_of

Counts = NDArray[np.int64]
Values = NDArray[np.float64]


def samples_by_hour(start: NDArray[np.int64], end: NDArray[np.int64], edges: NDArray[np.int64]) -> Counts:
    """Samples of intervals within each hour, summed, int64 (H,); samples after the last bound are in the last hour."""
    if len(edges) < 2:
        return np.empty(0, dtype=np.int64)
    bounds = edges.astype(np.int64)
    bounds[-1] = max(int(bounds[-1]), int(end.max(initial=0)))
    return np.diff(_summed_up_to(end, bounds) - _summed_up_to(start, bounds))


def _summed_up_to(position: NDArray[np.int64], bounds: NDArray[np.int64]) -> Counts:
    """Sum over positions of the smaller of the position and each bound, int64, of the shape of ``bounds``."""
    ordered = np.sort(position)
    below = np.searchsorted(ordered, bounds)
    total = np.concatenate(([0], np.cumsum(ordered)))
    return np.asarray(total[below] + bounds * (len(ordered) - below), dtype=np.int64)


def sum_by_hour(onset: NDArray[np.int64], value: NDArray, edges: NDArray[np.int64]) -> Values:
    """Sum of the values of events that start in each hour, float64 (H,)."""
    if len(edges) < 2:
        return np.empty(0)
    return np.bincount(hour_of(onset, edges), weights=value, minlength=len(edges) - 1).astype(np.float64)


def ratio(top: NDArray, bottom: NDArray) -> Values:
    """Quotient ``top / bottom``, NaN if the denominator is 0."""
    top, bottom = np.asarray(top, dtype=float), np.asarray(bottom, dtype=float)
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def voice_measures(segments: Segments, edges: NDArray[np.int64], gap: int) -> dict[str, NDArray]:
    """Segments of one voice type: number, duration, and vocalisations.

    Args:
        segments: Segments of one label.
        edges: Bounds of the hours in samples.
        gap: Segments closer than this number of samples are one vocalisation.

    Returns:
        ``segments`` and ``vocalisations`` (counts), ``samples`` (of speech), ``mean`` and ``vocalisation_mean``
        (samples; NaN if there is none).
    """
    start, end = segments.start, segments.end
    first, last = close_gaps(start, end, gap)
    count, vocalisations = count_by_hour(start, edges), count_by_hour(first, edges)
    return {
        "segments": count,
        "samples": samples_by_hour(start, end, edges),
        "mean": ratio(sum_by_hour(start, end - start, edges), count),
        "vocalisations": vocalisations,
        "vocalisation_mean": ratio(sum_by_hour(first, last - first, edges), vocalisations),
    }


def time_with(segments: Segments, labels: Sequence[str], edges: NDArray[np.int64]) -> Counts:
    """Samples in which at least one of these voices speaks."""
    return samples_by_hour(*segments.where(np.isin(segments.label.astype(str), labels)).intervals(), edges)


def time_addressed(addressed: Segments, edges: NDArray[np.int64]) -> dict[str, Counts]:
    """Samples in which at least one adult speaks to the key child (``kcds``), to adults (``ads``), to others."""
    kinds = np.array([str(value).upper() for value in addressed.columns[ADDRESSEE.name]], dtype=object)
    groups = {"kcds": kinds == "KCDS", "ads": kinds == "ADS"}
    groups["other"] = ~(groups["kcds"] | groups["ads"])
    return {name: time_with(addressed.where(keep.astype(bool)), ADULTS, edges) for name, keep in groups.items()}


def class_measures(
    classified: Segments, column: str, classes: Sequence[str], edges: NDArray[np.int64]
) -> dict[str, dict[str, NDArray]]:
    """Segments of each class: ``count``, ``samples`` (summed), and their ``share`` of the samples of all classes."""
    values = classified.columns[column].astype(str)
    found: dict[str, dict[str, NDArray]] = {}
    for name in classes:
        own = classified.where(values == name)
        samples = samples_by_hour(own.start, own.end, edges)
        found[name] = {"count": count_by_hour(own.start, edges), "samples": samples}
    total = sum((each["samples"] for each in found.values()), np.zeros(max(len(edges) - 1, 0)))
    return {name: {**each, "share": ratio(each["samples"], total)} for name, each in found.items()}


def symbol_counts(utterances: Sequence[Utterance], edges: NDArray[np.int64]) -> dict[str, Values]:
    """Utterances, and symbols in them."""
    onset = np.array([utterance.start for utterance in utterances], dtype=np.int64)
    symbols = np.array([len(utterance.phonemes) for utterance in utterances], dtype=float)
    return {
        "utterances": sum_by_hour(onset, np.ones(len(onset)), edges),
        "symbols": sum_by_hour(onset, symbols, edges),
    }


def utterance_counts(utterances: Sequence[Utterance], edges: NDArray[np.int64]) -> dict[str, Values]:
    """Utterances, those with phones, those with a canonical syllable; phones, syllables, canonical syllables."""
    onset = np.array([utterance.start for utterance in utterances], dtype=np.int64)
    values = {
        "utterances": [1 for _ in utterances],
        "linguistic": [bool(utterance.phonemes) for utterance in utterances],
        "canonical_utterances": [utterance.canonical > 0 for utterance in utterances],
        "phonemes": [len(utterance.phonemes) for utterance in utterances],
        "syllables": [utterance.syllables for utterance in utterances],
        "canonical_syllables": [utterance.canonical for utterance in utterances],
    }
    return {name: sum_by_hour(onset, np.array(value, dtype=float), edges) for name, value in values.items()}
