"""Teacher features of a pack's segments, in batches whose composition cannot change a feature.

Only segments of exactly equal length share a batch: with padding, the group norm of HuBERT and WavLM base models would
mix the padding into every frame. Segments of equal length are grouped within a shard, so a shard's batches are the
same for any number of processes and after any interruption.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from babyhubert.compute.processes import RankInfo
from babyhubert.corpus.shards import Pack
from babyhubert.errors import CorpusError
from babyhubert.timebase import SAMPLE_RATE, samples_to_seconds
from babyhubert.units.teachers import Teacher


class BatchFeatures(NamedTuple):
    """Rows of a pack, (B,), and their features, float32 (B, T, D), on the teacher's device."""

    rows: NDArray[np.int64]
    features: Tensor


def equal_length_batches(pack: Pack, rows: NDArray[np.int64], seconds: float) -> Iterator[NDArray[np.int64]]:
    """Rows grouped by exact length, short ones first; rows without a frame are skipped.

    Args:
        pack: The material.
        rows: Rows of the segments, int64.
        seconds: Most audio in a batch; a longer segment is a batch of its own.
    """
    rows = rows[pack.frames[rows] > 0]
    rows = rows[np.argsort(pack.samples[rows], kind="stable")]
    borders = np.flatnonzero(np.diff(pack.samples[rows])) + 1
    for equal in np.split(rows, borders):
        if len(equal):
            size = max(1, int(seconds * SAMPLE_RATE) // int(pack.samples[equal[0]]))
            yield from (equal[begin : begin + size] for begin in range(0, len(equal), size))


def teach(pack: Pack, rows: NDArray[np.int64], teacher: Teacher, seconds: float) -> Iterator[BatchFeatures]:
    """Features of segments, one batch at a time; memory is bounded by ``seconds`` and the longest segment.

    Raises:
        CorpusError: features are not finite (the segment is named), or the audio is cut short.
    """
    for batch in equal_length_batches(pack, rows, seconds):
        audio = np.stack([_complete_audio(pack, int(row)) for row in batch])
        features = teacher.features(torch.from_numpy(audio))
        finite = torch.isfinite(features).all(dim=2).all(dim=1).cpu().numpy()
        if not finite.all():
            where = segment_name(pack, int(batch[np.argmin(finite)]))
            raise CorpusError(
                f"teacher {teacher.name}: features of {where} are not finite; check that segment's audio and the "
                "teacher's weights"
            )
        yield BatchFeatures(batch, features)


def segment_name(pack: Pack, row: int) -> str:
    """Name of a segment for messages: recording and times."""
    begin = int(pack.start[row])
    end = begin + int(pack.samples[row])
    times = f"{samples_to_seconds(begin):.3f} to {samples_to_seconds(end):.3f} s"
    return f"recording {pack.recordings[pack.recording[row]]}, {times}"


def shards_of(pack: Pack, place: RankInfo) -> list[int]:
    """Shards of one of several processes: the largest remaining one goes to the process with the least, the same
    everywhere.
    """
    load = [0] * place.world
    mine = []
    for shard in sorted(pack.shards, key=lambda shard: (-shard.samples, shard.number)):
        rank = load.index(min(load))
        load[rank] += shard.samples
        if rank == place.rank:
            mine.append(shard.number)
    return sorted(mine)


def samples_in(pack: Pack, shards: Sequence[int]) -> int:
    """Samples of some shards together."""
    return sum(shard.samples for shard in pack.shards if shard.number in set(shards))


def _complete_audio(pack: Pack, row: int) -> NDArray[np.float32]:
    audio = pack.audio(row)
    if len(audio) != pack.samples[row]:
        raise CorpusError(
            f"{pack.folder}: the index puts {segment_name(pack, row)} beyond the end of its shard; run 'babyhubert "
            "corpus pack' again"
        )
    return audio
