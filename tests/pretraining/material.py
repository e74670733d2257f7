"""Packs and labels for tests: noisy tones, whose units can be learnt from what surrounds a masked frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from babyhubert.annotation.raster import frame_counts
from babyhubert.audio.pcm import to_pcm16
from babyhubert.corpus.shards import LABELS_FORMAT, Labels, Pack, Shard, write_index, write_pack_facts
from babyhubert.files import write_json
from babyhubert.hashing import file_sha256
from babyhubert.timebase import FRAME_HOP

UNITS = 8


def make_pack(folder: Path, lengths: list[int], *, seed: int = 0, shards: int = 2, held_out: int = 2) -> Pack:
    """Segments that hold one of `UNITS` tones for 0.2 s, then another; the last `held_out` are for validation."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list] = {name: [] for name in ("recording_id", "start", "samples", "shard", "offset")}
    rows |= {"frame_offset": [], "split": []}
    written = []
    (folder / "shards").mkdir(parents=True)
    for number, part in enumerate(np.array_split(np.arange(len(lengths)), shards)):
        offset = frames = 0
        with (folder / "shards" / f"{number:05d}.i16").open("wb") as file:
            for index in part.tolist():
                pcm = tones(lengths[index], rng)[0]
                file.write(pcm.tobytes())
                split = "validation" if index >= len(lengths) - held_out else "train"
                values = (f"recording-{index:03d}", 0, lengths[index], number, offset, frames, split)
                for name, value in zip(rows, values, strict=True):
                    rows[name].append(value)
                offset += lengths[index]
                frames += int(frame_counts(np.array([lengths[index]]))[0])
        sha256 = file_sha256(folder / "shards" / f"{number:05d}.i16")
        written.append(Shard(number, offset, frames, len(part), sha256))
    write_index(folder / "index.parquet", rows)
    write_pack_facts(folder, written, {})
    return Pack.open(folder)


def tones(samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Audio int16 (n,), and the tone of every sample."""
    block = 10 * FRAME_HOP
    tone = np.repeat(rng.integers(0, UNITS, samples // block + 1), block)[:samples]
    wave = 0.3 * np.sin(2 * np.pi * np.cumsum(200.0 * (tone + 1)) / 16_000) + 0.01 * rng.standard_normal(samples)
    return to_pcm16(wave), tone


def make_labels(folder: Path, pack: Pack, *, seed: int = 0, kmeans: str = "tones") -> Labels:
    """The tone at the middle of every frame, found again from the audio by counting zero crossings."""
    facts = {"format": LABELS_FORMAT, "pack": pack.fingerprint, "clusters": UNITS, "kmeans": kmeans}
    (folder / "shards").mkdir(parents=True)
    for shard in pack.shards:
        labels = [_units(pack.pcm(row), int(pack.frames[row])) for row in pack.rows_of(shard.number)]
        (folder / "shards" / shard.labels_name).write_bytes(np.concatenate(labels).astype("<u2").tobytes())
    write_json(folder / "labels.json", facts)
    return Labels.open(folder, pack)


def _units(pcm: np.ndarray, frames: int) -> np.ndarray:
    views = np.lib.stride_tricks.sliding_window_view(pcm.astype(np.float64), 400)[::FRAME_HOP][:frames]
    peak = np.abs(np.fft.rfft(views * np.hanning(400), 16_000 // 10, axis=1)).argmax(axis=1) * 10
    return np.clip(np.round(peak / 200) - 1, 0, UNITS - 1).astype(np.int64)
