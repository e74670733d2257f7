"""What sharing recordings out costs, and what a second worker brings.

The same recordings, four ways in turn: the engine called directly, which gives scores and writes nothing; the run of
``segment`` in this process; and the same run on one and on two workers of a cluster that runs already, one thread
each. Wall time is told, and CPU time of all processes, which depends less on what else the machine does.

    python benchmarks/batch_overhead.py --recordings 24 --seconds 60 --rounds 3 -o overhead.json
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import dask
import numpy as np
import psutil
import soundfile
import torch
from distributed import LocalCluster

from babyhubert.audio.discovery import discover
from babyhubert.audio.preflight import PreflightReport, check_recordings
from babyhubert.runs.dask_workers import DaskWorkers
from babyhubert.runs.distribution import IN_PROCESS, Distribution
from babyhubert.runs.pools import PLAIN_ALLOCATOR, ClusterPool
from babyhubert.tasks.voice_type.outputs import open_segment_run
from babyhubert.tasks.voice_type.prediction import VoiceTypeSettings, load_model
from results import write_results

RATE = 16_000


def main() -> None:
    """Measure and print."""
    options = parse()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        checked = make_recordings(folder / "audio", options)
        measured: dict[str, list[dict[str, float]]] = {}
        for number in range(options.rounds):
            for name, seconds in measure(options, folder / f"round{number}", checked).items():
                measured.setdefault(name, []).append(seconds)
    medians = {
        name: {key: float(np.median([one[key] for one in rounds])) for key in rounds[0]}
        for name, rounds in measured.items()
    }
    direct = medians["engine directly"]
    result = {
        "audio_s": checked.total_samples / RATE,
        "rounds": measured,
        "median": medians,
        "overhead_wall": {name: one["wall_s"] / direct["wall_s"] - 1 for name, one in medians.items()},
        "overhead_cpu": {name: one["cpu_s"] / direct["cpu_s"] - 1 for name, one in medians.items()},
        "two_workers_over_one": medians["1 worker"]["wall_s"] / medians["2 workers"]["wall_s"],
        "load": os.getloadavg(),
    }
    print(json.dumps(result, indent=2))
    write_results(options, result)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", help="model folder; default: the one of the package")
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


def make_recordings(folder: Path, options: argparse.Namespace) -> PreflightReport:
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(options.recordings):
        sound = 0.1 * random.standard_normal(round(options.seconds * RATE)).astype(np.float32)
        soundfile.write(folder / f"{number:03}.wav", sound, RATE)
    return check_recordings(discover([folder]), folder, 0)


def measure(options: argparse.Namespace, folder: Path, checked: PreflightReport) -> dict[str, dict[str, float]]:
    """Seconds of each way, each into a folder of its own."""
    classifier = load_model(options.model, device="cpu")
    classifier.scores(checked.good[0][0].path)  # the first call of anything also warms it up

    def directly() -> None:
        for file, _ in checked.good:
            classifier.scores(file.path)

    def run(output: Path, distribution: Distribution, make: Callable, some: PreflightReport = checked) -> None:
        job = make()
        with job.folder:
            summary = job.execute(some, distribution=distribution)
        if summary.done != len(some.good):
            raise SystemExit(f"{output}: {summary}")

    exactly = partial(VoiceTypeSettings.for_speed, "exact")
    found = {"engine directly": timed(directly)}
    make = partial(open_segment_run, folder / "process", options.model, exactly, device="cpu")
    found["this process"] = timed(partial(run, folder / "process", IN_PROCESS, make))
    for workers in (1, 2):
        name = f"{workers} worker" + "s" * (workers > 1)
        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": PLAIN_ALLOCATOR}),
            local_cluster(workers) as cluster,
        ):
            pool = ClusterPool(cluster.scheduler_address, threads=1)
            warming = replace(checked, good=checked.good[: 2 * workers])
            for output, some in ((folder / f"warm{workers}", warming), (folder / f"workers{workers}", checked)):
                make = partial(open_segment_run, output, options.model, exactly, device="cpu")
                found[name] = timed(partial(run, output, DaskWorkers(pool, make), make, some))
    return found


def local_cluster(workers: int) -> LocalCluster:
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=None,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    )


def timed(work: Callable[[], None]) -> dict[str, float]:
    """Wall seconds, and CPU seconds of this process and its children."""
    processor, began = cpu_seconds(), time.perf_counter()
    work()
    return {"wall_s": time.perf_counter() - began, "cpu_s": cpu_seconds() - processor}


def cpu_seconds() -> float:
    this = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in (this, *this.children(recursive=True)))


if __name__ == "__main__":
    main()
