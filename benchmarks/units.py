"""Does memory stay within the option, however long the corpus? Fits and labels a made-up pack, a process each.

    python benchmarks/units.py --hours 1000 --memory-gb 2 -o units.json

The index is that of a whole corpus (segments of 2 to 28 s in shards of 5 h). All shards are the same noise: one file
of 0.6 GB under many names, so that every sample is really read but little disk is needed. The teacher costs next to
nothing (rows of a table, chosen by the audio, as wide as a base model's layers), because its own memory and time are
not what is measured. Fitting hears every shard; labelling does the share of one of ``--processes``.

"program" is memory before work starts; "anonymous" is the peak of memory that the process owns (Linux: RssAnon, 50
times a second), which is what the option speaks of; "resident" also counts pages of mapped audio, which the system
takes back at will, and here counts them once for each name of the one file, so it may exceed the machine's memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from babyhubert.annotation.raster import frame_counts
from babyhubert.compute.processes import RankInfo
from babyhubert.corpus.shards import Pack, Shard, write_index, write_pack_facts
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD
from babyhubert.units.assign import assign
from babyhubert.units.kmeans import FitSettings, KMeans, fit_units
from babyhubert.units.teachers import Teacher
from results import write_results

RATE = 16_000
SHARD_HOURS = 5
TABLE_ROWS = 4096


def main() -> None:
    """Measure and print."""
    options = parse()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch)
        write_pack(folder / "pack", options.hours)
        work = {"fit": (folder, options.memory_gb, options.clusters, options.width)}
        work["assign"] = (folder, options.processes, options.width)
        results = {}
        for name, arguments in work.items():
            results[name] = in_own_process({"fit": run_fit, "assign": run_assign}[name], *arguments)
            print(name, json.dumps(results[name]), flush=True)
    write_results(options, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1000.0, help="audio of the pack, a multiple of 5")
    parser.add_argument("--memory-gb", type=float, default=2.0, help="the option of 'units fit'")
    parser.add_argument("--clusters", type=int, default=500)
    parser.add_argument("--width", type=int, default=768, help="of the teacher's features")
    parser.add_argument("--processes", type=int, default=100, help="labelling is shared by so many; one is measured")
    parser.add_argument("--folder", help="where 0.6 GB are put; default: the system's")
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


def write_pack(folder: Path, hours: float) -> None:
    """Shards that are all the same file, with an index of all their segments."""
    (folder / "shards").mkdir(parents=True)
    drawn = np.random.default_rng(0)
    total = SHARD_HOURS * 3600 * RATE
    lengths = drawn.integers(2 * RATE, 28 * RATE, size=total // (2 * RATE))
    lengths = lengths[np.cumsum(lengths) <= total]
    frames = frame_counts(lengths)
    samples, segments, shards = int(lengths.sum()), len(lengths), max(1, round(hours / SHARD_HOURS))
    first = folder / "shards" / "00000.i16"
    with first.open("wb") as file:
        for begin in range(0, samples, RATE * 600):
            part = drawn.integers(-9_000, 9_000, size=min(RATE * 600, samples - begin), dtype=np.int16)
            file.write(part.astype("<i2").tobytes())
    names = [Shard(n, samples, int(frames.sum()), segments, f"{n:064x}") for n in range(shards)]
    for shard in names[1:]:
        os.link(first, folder / "shards" / shard.audio_name)
    columns = {
        "recording_id": [f"day{n:05d}" for n in range(shards) for _ in range(segments)],
        "start": np.tile(np.cumsum(lengths) - lengths, shards),
        "samples": np.tile(lengths, shards),
        "shard": np.repeat(np.arange(shards, dtype=np.int32), segments),
        "offset": np.tile(np.cumsum(lengths) - lengths, shards),
        "frame_offset": np.tile(np.cumsum(frames) - frames, shards),
        "split": ["validation" if row % 100 == 0 else "train" for row in range(shards * segments)],
    }
    write_index(folder / "index.parquet", columns)
    write_pack_facts(folder, names, {})


class TableTeacher(Teacher):
    """Rows of a random table, chosen by the loudest sample of each frame."""

    def __init__(self, width: int) -> None:
        super().__init__("table", {"kind": "table", "width": width}, width, torch.device("cpu"))
        self.table = torch.randn(TABLE_ROWS, width, generator=torch.Generator().manual_seed(0))

    def _features(self, waveforms: torch.Tensor) -> torch.Tensor:
        seen = waveforms.unfold(1, FRAME_RECEPTIVE_FIELD, FRAME_HOP)[..., ::50].amax(dim=2)
        return self.table[(seen * 1e6).long() % TABLE_ROWS]


def run_fit(folder: Path, memory_gb: float, clusters: int, width: int) -> dict[str, Any]:
    pack = Pack.open(folder / "pack")
    settings = FitSettings(teacher="table", memory_gb=memory_gb, clusters=clusters, frames=10**9)
    found = fit_units(pack, folder / "kmeans", settings, teacher=TableTeacher(width), place=RankInfo())
    assert found is not None
    return {"hours": pack.hours, "frames_seen": found.facts["frames_seen"], "sampled": found.facts["frames_sampled"]}


def run_assign(folder: Path, processes: int, width: int) -> dict[str, Any]:
    pack = Pack.open(folder / "pack")
    kmeans = KMeans.load(folder / "kmeans")
    assign(pack, kmeans, folder / "labels", teacher=TableTeacher(width), place=RankInfo(0, processes, 0))
    done = sum(path.stat().st_size // 2 for path in (folder / "labels" / "shards").glob("*.u16"))
    return {"hours": pack.hours, "frames_labelled": done}


def in_own_process(function: Any, *arguments: Any) -> dict[str, Any]:
    """Run a function in a fresh process; its result with its memory and time."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (function, *arguments))


def measured(function: Any, *arguments: Any) -> dict[str, Any]:
    program = memory()
    peak = dict(program)
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            for name, value in memory().items():
                peak[name] = max(peak[name], value)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began, cpu = time.monotonic(), time.process_time()
    try:
        result = function(*arguments)
    finally:
        stop.set()
        watcher.join()
    return {
        **result,
        "program_gb": program["RssAnon"],
        "peak_anonymous_gb": peak["RssAnon"],
        "peak_resident_gb": peak["VmRSS"],
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
    }


def memory() -> dict[str, float]:
    """Resident memory of this process in 10^9 bytes, all of it and the part that it owns."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    sizes = dict(line.split(":", 1) for line in lines)
    return {name: round(int(sizes[name].split()[0]) * 1024 / 1e9, 3) for name in ("RssAnon", "VmRSS")}


if __name__ == "__main__":
    main()
