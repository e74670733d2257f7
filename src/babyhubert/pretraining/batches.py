"""Batches of a run: the crops of segments in each, a pure function of the seed.

Segments of similar length are grouped and cropped to the shortest of them, or to one of a few lengths, so no batch is
ever padded: only speech is encoded, group-norm statistics are clean, and attention needs no mask. Crops begin on
multiples of 320 samples, where frames begin, so label i of the crop is exactly label ``start / 320 + i`` of the
segment.

Batches form one endless stream, epoch after epoch; a step takes the next ones, for any number of processes, and no
batch is taken twice. The position in the stream (:class:`Cursor`) is all that a resumed run needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from babyhubert.audio.pcm import FULL_SCALE
from babyhubert.compute.processes import RankInfo
from babyhubert.config import Config
from babyhubert.corpus.shards import Labels, Pack
from babyhubert.errors import CorpusError
from babyhubert.pretraining.masking import MaskSettings, most_masked, span_mask
from babyhubert.timebase import FRAME_HOP, SAMPLE_RATE, frame_count, samples_for_frames, seconds_to_samples

IGNORED = -100
"""A target that torch's cross-entropy ignores."""
_VALIDATION_STREAM = 2**32 - 1
"""Replaces the epoch in validation, so that validation draws from a generator of its own."""


class BatchSettings(Config):
    """``[batches]``: the published values are the defaults.

    Attributes:
        seconds: Audio of one batch of one process before cropping, at most.
        shortest_s: Shorter segments are not used.
        longest_s: Longer segments are not used.
        buckets: Classes of length, of equal width; segments are shuffled within theirs.
        lengths: So many lengths, spaced evenly in ratio from ``shortest_s`` to ``longest_s``, instead of buckets:
            segments are cropped to the next one below, and the batches of a length have as many rows as fit, so that
            the same few shapes recur on a GPU and are replayed (docs/speed.md). With 32 lengths 4.5% of the audio is
            cropped away. Replaces ``buckets``. If absent, as published: cropped to the shortest row.
    """

    seconds: float = Field(default=175.0, gt=0)
    shortest_s: float = Field(default=2.0, gt=0)
    longest_s: float = Field(default=30.0, gt=0)
    buckets: int = Field(default=1000, ge=1)
    lengths: int | None = Field(default=None, ge=2, le=64)


class Cursor(NamedTuple):
    """Position in the stream of batches: the next batch is number ``batch`` of ``epoch``."""

    epoch: int = 0
    batch: int = 0


class Request(NamedTuple):
    """A batch to be read: its rows, the samples that are taken of each, and the seed of its random numbers."""

    rows: NDArray[np.int64]
    samples: int
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Crops of equal length, with their targets.

    Attributes:
        pcm: Audio as stored, int16, (B, n).
        units: Labels, int64, (B, T(n)).
        mask: Masked frames, bool, (B, T(n)).
        positions: Masked frames as indices into the B * T(n) frames, ascending, then zeros, int64, (M,).
        targets: Their labels, then :data:`IGNORED`, int64, (M,).
        masked: Number of masked frames.
    """

    pcm: Tensor
    units: Tensor
    mask: Tensor
    positions: Tensor
    targets: Tensor
    masked: int

    @classmethod
    def of(
        cls, pcm: NDArray[np.int16], units: NDArray[np.int64], mask: NDArray[np.bool_], room: int | None = None
    ) -> Batch:
        """Make a batch on the CPU; positions and targets follow from the mask.

        Args:
            pcm: Audio.
            units: Labels.
            mask: Masked frames.
            room: M, constant for batches of one shape; None: the number of masked frames.
        """
        masked = np.flatnonzero(mask)
        positions = np.zeros(len(masked) if room is None else room, dtype=np.int64)
        targets = np.full_like(positions, IGNORED)
        positions[: len(masked)], targets[: len(masked)] = masked, units.ravel()[masked]
        tensors = [torch.from_numpy(values) for values in (pcm, units, mask, positions, targets)]
        return cls(tensors[0], tensors[1], tensors[2], tensors[3], tensors[4], len(masked))

    @property
    def seconds(self) -> float:
        """Seconds of audio."""
        return self.pcm.numel() / SAMPLE_RATE

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors."""
        return self.pcm, self.units, self.mask, self.positions, self.targets

    def pin_memory(self) -> Batch:
        """Copy to page-locked memory, from which accelerators copy without waiting (called by torch's loader)."""
        return self._with(*(tensor.pin_memory() for tensor in self.tensors))

    def to(self, device: torch.device) -> Batch:
        """Copy to a device."""
        return self._with(*(tensor.to(device, non_blocking=True) for tensor in self.tensors))

    def _with(self, pcm: Tensor, units: Tensor, mask: Tensor, positions: Tensor, targets: Tensor) -> Batch:
        return Batch(pcm, units, mask, positions, targets, self.masked)


def waveforms(pcm: Tensor) -> Tensor:
    """Stored samples as input of the encoder: float32 in [-1, 1]."""
    return pcm.float() / FULL_SCALE


class BatchPlan:
    """The batches of every epoch over some rows of a pack.

    Args:
        rows: Rows of the pack, int64.
        samples: Length of each, int64.
        settings: Batch size and limits.
        seed: Seed of shuffles, crops and masks.

    Attributes:
        rows: Rows in use, by ascending length bucket.
        unused: Number of rows outside the limits.

    Raises:
        CorpusError: no row is within the limits.
    """

    def __init__(
        self, rows: NDArray[np.int64], samples: NDArray[np.int64], settings: BatchSettings, seed: int
    ) -> None:
        shortest, longest = seconds_to_samples(settings.shortest_s), seconds_to_samples(settings.longest_s)
        usable = (samples >= shortest) & (samples <= longest)
        if not usable.any():
            raise CorpusError(
                f"none of {len(rows)} segments is between {settings.shortest_s:g} and {settings.longest_s:g} s long; "
                "look at the segments step, or change batches.shortest_s and batches.longest_s"
            )
        self.unused = int((~usable).sum())
        kept, lengths = rows[usable], samples[usable]
        self._lengths = None if settings.lengths is None else _evenly_in_ratio(shortest, longest, settings.lengths)
        if self._lengths is None:
            bucket = (lengths - shortest) * settings.buckets // (longest - shortest + 1)
        else:
            bucket = np.searchsorted(self._lengths, lengths, side="right") - 1
        order = np.argsort(bucket, kind="stable")
        self.rows, self._bucket = kept[order], bucket[order]
        self._samples_of = np.zeros(int(kept.max()) + 1, dtype=np.int64)
        self._samples_of[kept] = lengths
        self._most = int(settings.seconds * SAMPLE_RATE)
        self._seed = seed

    def epoch(self, number: int) -> list[NDArray[np.int64]]:
        """Rows of each batch of an epoch, batches in the order they are taken. Every row occurs once."""
        rng = np.random.default_rng([self._seed, number])
        order = np.lexsort((rng.random(len(self.rows)), self._bucket))
        batches = self._cut(order)
        return [batches[index] for index in rng.permutation(len(batches))]

    def validation(self) -> list[Request]:
        """Batches of the validation split, always with the same crops and masks, longest first."""
        batches = self._cut(np.lexsort((self.rows, self._samples_of[self.rows])))
        requests = [self._request(rows, _VALIDATION_STREAM, number) for number, rows in enumerate(batches)]
        return sorted(requests, key=lambda request: request.samples, reverse=True)

    def stream(self, cursor: Cursor = Cursor()) -> Iterator[tuple[Cursor, Request]]:  # noqa: B008 (immutable)
        """Batches from a position on, without end, each with the position of the next one."""
        epoch, first = cursor
        while True:
            batches = self.epoch(epoch)
            for number in range(first, len(batches)):
                after = Cursor(epoch, number + 1) if number + 1 < len(batches) else Cursor(epoch + 1, 0)
                yield after, self._request(batches[number], epoch, number)
            epoch, first = epoch + 1, 0

    def steps(self, cursor: Cursor, place: RankInfo, accumulate: int) -> Iterator[tuple[Cursor, list[Request]]]:
        """Steps of all processes from a position on: the position after each, and this process's batches of it.

        The batches of a step are assigned in turn, so that none is taken twice.
        """
        stream = self.stream(cursor)
        while True:
            step = list(islice(stream, place.world * accumulate))
            yield step[-1][0], [request for _, request in step[place.rank :: place.world]]

    def _request(self, rows: NDArray[np.int64], epoch: int, number: int) -> Request:
        """Rows cropped to the shortest of them, or to the length below it."""
        samples = int(self._samples_of[rows].min())
        if self._lengths is not None:
            samples = int(self._lengths[np.searchsorted(self._lengths, samples, side="right") - 1])
        return Request(rows, samples_for_frames(frame_count(samples)), (self._seed, epoch, number))

    def _cut(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return self._cut_by_budget(order) if self._lengths is None else self._cut_by_length(order, self._lengths)

    def _cut_by_budget(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Batches in a given order, of as many rows as fit; a row longer than a batch is a batch of its own."""
        lengths = self._samples_of[self.rows[order]]
        ends = np.cumsum(lengths)
        cuts, begin = [], 0
        while begin < len(order):
            before = ends[begin] - lengths[begin]
            end = max(int(np.searchsorted(ends, before + self._most, side="right")), begin + 1)
            cuts.append(self.rows[order[begin:end]])
            begin = end
        return cuts

    def _cut_by_length(self, order: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Batches of as many rows as fit, length by length, longest first.

        Rows that do not fill a batch go to the next shorter length. That has room for more of them, so each of its
        full batches has a row of its own length, which decides how it is cropped. The remaining rows are one smaller
        batch.
        """
        kind, cuts, left = self._bucket[order], list[NDArray[np.int64]](), order[:0]
        for number in reversed(range(len(lengths))):
            waiting = np.concatenate([left, order[kind == number]])
            size = max(1, self._most // int(lengths[number]))
            full = len(waiting) // size * size
            cuts += list(self.rows[waiting[:full]].reshape(-1, size))
            left = waiting[full:]
        return [*cuts, self.rows[left]] if len(left) else cuts


def _evenly_in_ratio(shortest: int, longest: int, count: int) -> NDArray[np.int64]:
    return np.unique(np.geomspace(shortest, longest, count).round().astype(np.int64))


class BatchReader(torch.utils.data.Dataset[Batch]):
    """Reads requested batches from a pack and its labels. Random numbers come from the request alone.

    Args:
        labels: Labels of a pack.
        mask: Settings of the mask.
        fixed_crops: Crop around the middle instead of at random (validation).
    """

    def __init__(self, labels: Labels, mask: MaskSettings, *, fixed_crops: bool = False) -> None:
        self._pack: Pack = labels.pack
        self._labels = labels
        self._mask = mask
        self._fixed = fixed_crops

    def __getitem__(self, request: Request) -> Batch:
        rows, samples, seed = request
        rng = np.random.default_rng(list(seed))
        frames = frame_count(samples)
        room = (self._pack.samples[rows] - samples) // FRAME_HOP + 1
        first = room // 2 if self._fixed else rng.integers(0, room)
        pcm = np.stack([self._pack.pcm(row, start * FRAME_HOP, samples) for row, start in _pairs(rows, first)])
        units = np.stack([self._labels.units(row, start, frames) for row, start in _pairs(rows, first)])
        mask = span_mask(len(rows), frames, self._mask, rng)
        return Batch.of(pcm, units.astype(np.int64), mask, len(rows) * most_masked(frames, self._mask))


def _pairs(rows: NDArray[np.int64], first: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    return zip(rows.tolist(), first.tolist(), strict=True)


def load(reader: BatchReader, requests: Iterable[Request], workers: int, pin_memory: bool) -> Iterator[Batch]:
    """Batches of requests, in order, read ahead by worker processes (0: by this one)."""
    return iter(
        torch.utils.data.DataLoader(
            reader,
            sampler=_Requests(requests),
            batch_size=None,
            num_workers=workers,
            pin_memory=pin_memory,
            prefetch_factor=4 if workers else None,
        )
    )


class _Requests(torch.utils.data.Sampler[Request]):
    def __init__(self, requests: Iterable[Request]) -> None:
        self._requests = requests

    def __iter__(self) -> Iterator[Request]:
        return iter(self._requests)
