"""Packs made on the spot: a few shards of sounds that differ from instant to instant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from making import babble
from numpy.typing import NDArray
from torch import Tensor

from babyhubert.annotation.raster import frame_counts
from babyhubert.corpus.shards import Pack, Shard, write_index, write_pack_facts
from babyhubert.hashing import file_sha256
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD, frame_count
from babyhubert.units.teachers import Teacher

LENGTHS = ((6_400, 16_000, 399, 16_000), (8_000, 9_001, 16_000), (12_345, 400))
"""Samples of each segment of each shard; one is too short for a frame."""


def write_pack(
    folder: Path, lengths: Sequence[Sequence[int]] = LENGTHS, held_out: Sequence[int] = (1,), seed: int = 0
) -> Path:
    """A pack; ``held_out`` are the rows of the validation split. Recording ids are r0, r1, ... one a segment."""
    (folder / "shards").mkdir(parents=True)
    shards, row = [], 0
    columns: dict[str, list] = {name: [] for name in ("recording_id", "start", "samples", "shard", "split")}
    columns |= {"offset": [], "frame_offset": []}
    for number, shard in enumerate(lengths):
        samples = np.array(shard, dtype=np.int64)
        frames = frame_counts(samples)
        path = folder / "shards" / f"{number:05d}.i16"
        np.concatenate([sound(n, seed + row + i) for i, n in enumerate(shard)]).astype("<i2").tofile(path)
        columns["recording_id"] += [f"r{row + i}" for i in range(len(shard))]
        columns["start"] += [1_600 * (row + i) for i in range(len(shard))]
        columns["samples"] += list(shard)
        columns["shard"] += [number] * len(shard)
        columns["split"] += ["validation" if row + i in held_out else "train" for i in range(len(shard))]
        columns["offset"] += (np.cumsum(samples) - samples).tolist()
        columns["frame_offset"] += (np.cumsum(frames) - frames).tolist()
        shards.append(Shard(number, int(samples.sum()), int(frames.sum()), len(shard), file_sha256(path)))
        row += len(shard)
    write_index(folder / "index.parquet", columns)
    write_pack_facts(folder, shards, {})
    return folder


def sound(samples: int, seed: int) -> NDArray[np.int16]:
    """Tones that drift, louder and fainter, in faint noise."""
    noise = np.random.default_rng(seed).standard_normal(samples) * 0.003
    tones = babble(samples + 16_000 * seed, 16_000, seed)[-samples:]
    return np.round((tones + noise) * 32_767).clip(-32_767, 32_767).astype(np.int16)


class StandIn(Teacher):
    """A teacher made of a function from waveforms (B, n) to features (B, T, D); counts the waveforms it was given."""

    def __init__(self, function: Callable[[Tensor], Tensor], dim: int, name: str = "stand-in") -> None:
        super().__init__(name, {"kind": name}, dim, torch.device("cpu"))
        self.function, self.heard = function, 0

    def _features(self, waveforms: Tensor) -> Tensor:
        self.heard += len(waveforms)
        return self.function(waveforms)


def spectrum(waveforms: Tensor) -> Tensor:
    """Eight values a frame: log power in bands of what the frame sees."""
    seen = waveforms.unfold(1, FRAME_RECEPTIVE_FIELD, FRAME_HOP)
    assert seen.shape[1] == frame_count(waveforms.shape[1])
    power = torch.fft.rfft(seen).abs()[..., 1:].unflatten(-1, (8, -1)).square().mean(-1)
    return torch.log(power + 1e-6)


def open_pack(folder: Path, **changes) -> Pack:
    return Pack.open(write_pack(folder, **changes))
