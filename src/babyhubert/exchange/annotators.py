"""Several people's references of the same clips, combined by a choice that the user states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.exchange.annotated_sample import AnnotatedSample
from babyhubert.exchange.clip_counts import Clips

AnnotatorChoice = Literal["mean", "first"]
ANNOTATOR_CHOICES: tuple[AnnotatorChoice, ...] = ("mean", "first")
"""``mean``: the mean of all in the clips that all annotated. ``first``: each clip by the first who annotated it."""

Rows = NDArray[np.int64]


def combine(samples: Sequence[AnnotatedSample], choice: AnnotatorChoice | None) -> AnnotatedSample:
    """Combine references of the same clips.

    Args:
        samples: One or more, in the order in which ``first`` prefers them.
        choice: How; needed with more than one.

    Raises:
        ConfigError: more than one and no choice.
        AnnotationError: they are of other clips, or fewer than two clips are left.
    """
    first = samples[0]
    if len(samples) == 1:
        return first
    if choice is None:
        raise ConfigError(
            f"{len(samples)} references: choose how to combine them with --annotators: mean (of all, in the clips "
            "that all annotated) or first (each clip by the first who annotated it)"
        )
    for other in samples[1:]:
        if other.drawn != first.drawn:
            raise AnnotationError(
                f"{other.folder}: is of other clips than {first.folder}; annotators are combined only over the clips "
                "of one 'babyhubert sample'"
            )
    clips, shares, strata = {}, {}, {}
    for name in dict.fromkeys(name for sample in samples for name in sample.clips):
        rows, share = _rows([_of(sample, name) for sample in samples], choice)
        if len(rows):
            clips[name], shares[name] = Clips(rows[:, 0], rows[:, 1]), share
            strata[name] = rows[:, 2]
    annotated = sum(len(own.onset) for own in clips.values())
    if annotated < 2:
        raise AnnotationError(
            f"{first.folder}: {annotated} clips were annotated by all {len(samples)}, which gives no interval; choose "
            "--annotators first, or let all annotate the same clips"
        )
    combined = None if first.strata is None else replace(first.strata, of_clip=strata)
    folders = tuple(folder for sample in samples for folder in sample.folders)
    return replace(first, folders=folders, clips=clips, shares=shares, annotated=annotated, strata=combined)


def _of(sample: AnnotatedSample, name: str) -> Rows:
    """Onset, offset and stratum of the clips of a recording that one person annotated, shape (C, 3)."""
    clips = sample.clips.get(name)
    if clips is None:
        return np.zeros((0, 3), dtype=np.int64)
    stratum = np.zeros(len(clips.onset), dtype=np.int64) if sample.strata is None else sample.strata.of_clip[name]
    return np.column_stack([clips.onset, clips.offset, stratum])


def _rows(each: Sequence[Rows], choice: AnnotatorChoice) -> tuple[Rows, NDArray[np.float64]]:
    """The clips to count, shape (C, 3), and the share of each person in each clip, shape (people, C)."""
    every = np.unique(np.concatenate(each), axis=0)
    did = np.array([[any((own == row).all(axis=1)) for row in every] for own in each]).reshape(len(each), len(every))
    if choice == "mean":
        both = did.all(axis=0)
        return every[both], np.full((len(each), int(both.sum())), 1 / len(each))
    share = np.zeros(did.shape)
    share[did.argmax(axis=0), np.arange(len(every))] = 1
    return every, share
