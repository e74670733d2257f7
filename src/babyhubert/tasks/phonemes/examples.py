"""Training examples of phonemes: utterances alone or joined, once or in two passes, and the batches made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.material.augmentation import Augmentation
from babyhubert.material.batch import Batch
from babyhubert.material.utterances import WindowBatch
from babyhubert.tasks.phonemes.settings import ConsistencySettings, JoinSettings
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD, seconds_to_samples

NO_FRAME = -100
"""Target of frames that a batch's shorter utterances do not have."""
_NORMALISE_EPS = 1e-7
_OVERHANG = FRAME_RECEPTIVE_FIELD - FRAME_HOP
"""Samples that the last frame of an utterance sees after its own cell."""

Outputs = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Examples:
    """Windows that were read, and what is said in them.

    Attributes:
        read: The windows.
        phones: Outputs of each, (N,).
        parts: Utterances in each, (B,); None: one.
        aligned: Outputs of the frames of each, (T,), where they are known.
    """

    read: WindowBatch
    phones: Sequence[Outputs]
    parts: Outputs | None = None
    aligned: Sequence[Outputs] | None = None

    def changed(self, augmentation: Augmentation, rng: np.random.Generator) -> Examples:
        """Apply the changes that keep times."""
        waveforms = augmentation(self.read.waveforms, self.read.lengths, rng)
        return replace(self, read=replace(self.read, waveforms=waveforms))


def joined(examples: Examples, settings: JoinSettings, blank: int, rng: np.random.Generator) -> Examples:
    """Join utterances into longer examples: their own sound one after another with silence between, and their outputs.

    Args:
        examples: Utterances in their windows.
        settings: Sizes.
        blank: Output of the frames between utterances, if those of the utterances are known.
        rng: Source of the groups, the order and the silences.
    """
    read = examples.read
    frames = read.stop_frame - read.first_frame
    groups = _groups(frames, settings, rng)
    made: list[NDArray[np.float32]] = []
    paths: list[Outputs] = []
    for group in groups:
        gaps = 1 + rng.integers(0, seconds_to_samples(settings.gap_s) // FRAME_HOP + 1, len(group))
        starts = np.cumsum([0, *(frames[group] + gaps)])
        made.append(np.zeros((starts[-1] - gaps[-1]) * FRAME_HOP + _OVERHANG, dtype=np.float32))
        paths.append(np.full(starts[-1] - gaps[-1], blank, dtype=np.int64))
        for row, start in zip(group, starts[:-1].tolist(), strict=True):
            own = _own_sound(read, row)
            made[-1][start * FRAME_HOP : start * FRAME_HOP + len(own)] = own
            if examples.aligned is not None:
                paths[-1][start : start + frames[row]] = examples.aligned[row]
    lengths = np.array([len(waveform) for waveform in made], dtype=np.int64)
    waveforms = np.zeros((len(made), int(lengths.max())), dtype=np.float32)
    for target, waveform in zip(waveforms, made, strict=True):
        target[: len(waveform)] = waveform
    stops = np.array([len(path) for path in paths], dtype=np.int64)
    return Examples(
        WindowBatch(waveforms, lengths, np.zeros_like(stops), stops),
        [np.concatenate([examples.phones[row] for row in group]) for group in groups],
        np.array([len(group) for group in groups], dtype=np.int64),
        None if examples.aligned is None else paths,
    )


def _own_sound(read: WindowBatch, row: int) -> NDArray[np.float32]:
    """Samples that an utterance's own frames see."""
    start, stop = (int(frames[row]) * FRAME_HOP for frames in (read.first_frame, read.stop_frame))
    return read.waveforms[row, start : min(stop + _OVERHANG, int(read.lengths[row]))]


def _groups(frames: Outputs, settings: JoinSettings, rng: np.random.Generator) -> list[list[int]]:
    """Utterances of each example, in random order: up to a number drawn for each, and a length for all."""
    longest = seconds_to_samples(settings.longest_s) // FRAME_HOP
    gap = seconds_to_samples(settings.gap_s) // FRAME_HOP + 1
    groups: list[list[int]] = []
    room = wanted = 0
    for row in rng.permutation(len(frames)).tolist():
        size = int(frames[row])
        if not groups or len(groups[-1]) >= wanted or size + gap > room:
            groups.append([])
            room, wanted = longest + gap, int(rng.integers(2, settings.most + 1))
        groups[-1].append(row)
        room -= size + gap
    return groups


def masked(examples: Examples, settings: ConsistencySettings, rng: np.random.Generator) -> Examples:
    """Silence stretches of each utterance: a number from 0 to ``masks`` each, of up to ``mask_s``, anywhere in it."""
    read, longest = examples.read, seconds_to_samples(settings.mask_s)
    waveforms = read.waveforms.copy()
    for row, count in enumerate(rng.integers(0, settings.masks + 1, len(waveforms)).tolist()):
        first, stop = (int(frames[row]) * FRAME_HOP for frames in (read.first_frame, read.stop_frame))
        lengths = rng.integers(1, longest + 1, count)
        for start, length in zip(rng.integers(first, stop, count).tolist(), lengths.tolist(), strict=True):
            waveforms[row, start : min(start + length, stop)] = 0.0
    return replace(examples, read=replace(read, waveforms=waveforms))


def make_batch(
    passes: Sequence[Examples],
    utterances: float,
    *,
    normalise: bool = False,
    share: float | None = None,
    weight: float | None = None,
) -> Batch:
    """Make a batch of one pass over some examples, or of two, whose rows follow one another.

    Args:
        passes: The same examples, changed in different ways.
        utterances: Number of utterances, which the sum of losses is divided by.
        normalise: Normalise each window to zero mean and unit variance.
        share: Share of the loss of frames; None: none.
        weight: Weight of the passes' consistency; None: there is one.
    """
    reads, first = [each.read for each in passes], passes[0]
    copies = len(passes)
    read = WindowBatch(
        np.concatenate([each.waveforms for each in reads]) if copies > 1 else reads[0].waveforms,
        *(np.tile(part, copies) for part in (reads[0].lengths, reads[0].first_frame, reads[0].stop_frame)),
    )
    targets: dict[str, Any] = {
        "first": read.first_frame,
        "frames": read.stop_frame - read.first_frame,
        "phones": np.tile(np.concatenate(first.phones), copies),
        "phone_counts": np.tile([len(own) for own in first.phones], copies),
    }
    if first.parts is not None:
        targets["parts"] = first.parts
    if share is not None and first.aligned is not None:
        targets["aligned"] = np.tile(in_rows(first.aligned), (copies, 1))
        targets["frame_share"] = np.array(share, dtype=np.float32)
    if weight is not None:
        targets["consistency"] = np.array(weight, dtype=np.float32)
    if normalise:
        read = replace(read, waveforms=normalised(read.waveforms, read.lengths))
    return read.batch(targets, utterances)


def stretched(path: Outputs, frames: int) -> Outputs:
    """Outputs of the frames of an utterance, (T,), at another speed, (frames,)."""
    return path[np.arange(frames) * len(path) // frames]


def in_rows(paths: Sequence[Outputs]) -> Outputs:
    """Outputs of the frames of utterances, int64 (B, longest); ``NO_FRAME`` after an utterance's end."""
    targets = np.full((len(paths), max(map(len, paths))), NO_FRAME, dtype=np.int64)
    for row, path in zip(targets, paths, strict=True):
        row[: len(path)] = path
    return targets


def normalised(waveforms: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    """Rows with zero mean and unit variance over their own samples; padding stays zero."""
    inside = np.arange(waveforms.shape[1]) < lengths[:, None]
    mean = waveforms.sum(axis=1, dtype=np.float64) / lengths
    centred = np.where(inside, waveforms - mean[:, None], 0.0)
    variance = np.square(centred).sum(axis=1) / lengths
    return (centred / np.sqrt(variance + _NORMALISE_EPS)[:, None]).astype(np.float32)
