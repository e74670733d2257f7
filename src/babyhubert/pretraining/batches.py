"""Which crops of which segments make up every batch of a run: a pure function of the seed.

Segments of similar length go together and are cropped to the shortest of them, so no batch is ever padded: nothing
but speech is encoded, group-norm statistics are clean, and attention needs no mask. Crops begin on multiples of 320
samples, where frames begin, so label i of the crop is exactly label ``start / 320 + i`` of the segment.

Batches form one endless stream, epoch after epoch; a step takes the next ones, however many processes there are, and
no batch is taken twice. The place in the stream (:class:`Cursor`) is all that a resumed run needs to know.
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

from babyhubert.annotation.frames import FRAME_HOP, frame_count, samples_for_frames
from babyhubert.config import Config
from babyhubert.corpus.shards import FULL_SCALE, Labels, Pack
from babyhubert.errors import CorpusError
from babyhubert.pretraining.masking import MaskSettings, span_mask
from babyhubert.timebase import SAMPLE_RATE, seconds_to_samples
from babyhubert.training.processes import Place

_VALIDATION_STREAM = 2**32 - 1
"""Stands where the epoch stands in training, so that validation draws from a generator of its own."""


class BatchSettings(Config):
    """``[batches]``: the published values are the defaults.

    Attributes:
        seconds: Audio of one batch of one process before cropping, at most.
        shortest_s: Segments below are not used.
        longest_s: Segments above are not used.
        buckets: Classes of length, of equal width; segments are shuffled within theirs.
    """

    seconds: float = Field(default=175.0, gt=0)
    shortest_s: float = Field(default=2.0, gt=0)
    longest_s: float = Field(default=30.0, gt=0)
    buckets: int = Field(default=1000, ge=1)


class Cursor(NamedTuple):
    """A place in the stream of batches: the next batch is number ``batch`` of ``epoch``."""

    epoch: int = 0
    batch: int = 0


class Request(NamedTuple):
    """A batch to be read: its rows, and where its random numbers come from."""

    rows: NDArray[np.int64]
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Crops of equal length, with what is to be predicted.

    Attributes:
        pcm: Audio as stored, int16, (B, n).
        units: Labels, int64, (B, T(n)).
        mask: Masked frames, bool, (B, T(n)).
        positions: Masked frames as indices into the B * T(n) frames, int64, (M,), ascending.
    """

    pcm: Tensor
    units: Tensor
    mask: Tensor
    positions: Tensor

    @classmethod
    def of(cls, pcm: NDArray[np.int16], units: NDArray[np.int64], mask: NDArray[np.bool_]) -> Batch:
        """A batch on the CPU; positions follow from the mask."""
        positions = np.flatnonzero(mask)
        return cls(*(torch.from_numpy(values) for values in (pcm, units, mask, positions)))

    @property
    def seconds(self) -> float:
        """Audio in it."""
        return self.pcm.numel() / SAMPLE_RATE

    @property
    def masked(self) -> int:
        """Masked frames."""
        return len(self.positions)

    def pin_memory(self) -> Batch:
        """In memory that accelerators copy from without waiting (called by torch's loader)."""
        return Batch(*(tensor.pin_memory() for tensor in self._tensors()))

    def to(self, device: torch.device) -> Batch:
        """On a device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self._tensors()))

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.pcm, self.units, self.mask, self.positions


def waveforms(pcm: Tensor) -> Tensor:
    """Stored samples as the encoder takes them: float32 in [-1, 1]."""
    return pcm.float() / FULL_SCALE


class BatchPlan:
    """The batches of every epoch over some rows of a pack.

    Args:
        rows: Rows of the pack, int64.
        samples: Length of each, int64.
        settings: Batch size and limits.
        seed: Decides shuffles, crops and masks.

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
        bucket = (lengths - shortest) * settings.buckets // (longest - shortest + 1)
        order = np.argsort(bucket, kind="stable")
        self.rows, self._samples, self._bucket = kept[order], lengths[order], bucket[order]
        self._most = int(settings.seconds * SAMPLE_RATE)
        self._seed = seed

    def epoch(self, number: int) -> list[NDArray[np.int64]]:
        """Rows of each batch of an epoch, batches in the order they are taken. Every row occurs once."""
        rng = np.random.default_rng([self._seed, number])
        order = np.lexsort((rng.random(len(self.rows)), self._bucket))
        batches = self._cut(order)
        return [batches[index] for index in rng.permutation(len(batches))]

    def validation(self) -> list[Request]:
        """The same batches, crops and masks whenever they are asked for, longest first."""
        batches = self._cut(np.lexsort((self.rows, self._samples)))
        return [Request(rows, (self._seed, _VALIDATION_STREAM, number)) for number, rows in enumerate(batches)][::-1]

    def stream(self, cursor: Cursor = Cursor()) -> Iterator[tuple[Cursor, Request]]:  # noqa: B008 (immutable)
        """Batches from a place on, without end, each with the place of the one after it."""
        epoch, first = cursor
        while True:
            batches = self.epoch(epoch)
            for number in range(first, len(batches)):
                after = Cursor(epoch, number + 1) if number + 1 < len(batches) else Cursor(epoch + 1, 0)
                yield after, Request(batches[number], (self._seed, epoch, number))
            epoch, first = epoch + 1, 0

    def steps(self, cursor: Cursor, place: Place, accumulate: int) -> Iterator[tuple[Cursor, list[Request]]]:
        """Steps of all processes from a place on: where the stream stands after each, and this one's batches of it.

        The batches of a step are dealt out in turn, so that none is taken twice.
        """
        stream = self.stream(cursor)
        while True:
            step = list(islice(stream, place.world * accumulate))
            yield step[-1][0], [request for _, request in step[place.rank :: place.world]]

    def _cut(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Fill batches in an order, as many rows as fit; a row longer than a batch is a batch."""
        lengths = self._samples[order]
        ends = np.cumsum(lengths)
        cuts, begin = [], 0
        while begin < len(order):
            before = ends[begin] - lengths[begin]
            end = max(int(np.searchsorted(ends, before + self._most, side="right")), begin + 1)
            cuts.append(self.rows[order[begin:end]])
            begin = end
        return cuts


class BatchReader(torch.utils.data.Dataset[Batch]):
    """Reads requested batches from a pack and its labels. Random numbers come from the request alone.

    Args:
        labels: Labels of a pack.
        mask: How to mask.
        fixed_crops: Crop around the middle instead of at random (validation).
    """

    def __init__(self, labels: Labels, mask: MaskSettings, *, fixed_crops: bool = False) -> None:
        self._pack: Pack = labels.pack
        self._labels = labels
        self._mask = mask
        self._fixed = fixed_crops

    def __getitem__(self, request: Request) -> Batch:
        rows = request.rows
        rng = np.random.default_rng(list(request.seed))
        frames = frame_count(int(self._pack.samples[rows].min()))
        samples = samples_for_frames(frames)
        room = (self._pack.samples[rows] - samples) // FRAME_HOP + 1
        first = room // 2 if self._fixed else rng.integers(0, room)
        pcm = np.stack([self._pack.pcm(row, start * FRAME_HOP, samples) for row, start in _pairs(rows, first)])
        units = np.stack([self._labels.units(row, start, frames) for row, start in _pairs(rows, first)])
        return Batch.of(pcm, units.astype(np.int64), span_mask(len(rows), frames, self._mask, rng))


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
