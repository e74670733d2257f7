"""Does cost grow as it should? Runs ``babyhubert segment`` on generated recordings, a process each measurement.

First over one recording of each length, then over many short ones. Writes peak memory, wall and CPU seconds, and with
``--plot`` a figure: time must be a straight line through what starting costs, memory a flat one. The model's weights
are random: cost does not depend on them.

    python benchmarks/long_recording.py --hours 0.02 1 4 16 --recordings 1 10 100 -o long.json --plot long.png
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.encoder.multitask import VoiceTypeModel
from results import write_results

RATE = 16_000
SHORT_HOURS = 10 / 3600


def main() -> None:
    """Measure and print."""
    options = parse()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        model = write_model(Path(scratch) / "model", options.size)
        for hours in options.hours:
            audio = write_recording(Path(scratch) / f"{hours:g}h.{options.format}", hours)
            cost = segment(audio, model, Path(scratch) / f"out{hours:g}", options)
            results.append({"hours": hours, "recordings": 1, **cost})
            print(json.dumps(results[-1]), flush=True)
            write_results(options, results)
            audio.unlink()
        for count in options.recordings:
            folder = Path(scratch) / f"many{count}"
            folder.mkdir()
            write_recording(folder / f"0.{options.format}", SHORT_HOURS)
            for number in range(1, count):
                os.link(folder / f"0.{options.format}", folder / f"{number}.{options.format}")
            cost = segment(folder, model, Path(scratch) / f"outmany{count}", options)
            results.append({"hours": count * SHORT_HOURS, "recordings": count, **cost})
            print(json.dumps(results[-1]), flush=True)
            write_results(options, results)
    if options.plot:
        plot(results, len(options.hours), options.plot)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 4.0, 16.0])
    parser.add_argument("--format", choices=("wav", "flac", "mp3"), default="wav")
    parser.add_argument("--size", default="nano", help="encoder size: nano, small, base, large")
    parser.add_argument("--recordings", type=int, nargs="*", default=[], help="numbers of recordings of 10 s")
    parser.add_argument("--speed", default="exact")
    parser.add_argument("--folder", help="where recordings of up to 2 GB are put; default: the system's")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--plot", type=Path, help="figure, PNG or SVG")
    return parser.parse_args()


def write_model(folder: Path, size: str) -> Path:
    generator = torch.Generator().manual_seed(0)
    model = VoiceTypeModel(initialise(HubertEncoder(HubertConfig.of_size(size)), generator))
    save_model_folder(folder, model.to_checkpoint(), {})
    return folder


def write_recording(path: Path, hours: float) -> Path:
    """Noise whose level wanders, one block at a time."""
    rng = np.random.default_rng(0)
    block = rng.standard_normal(60 * RATE).astype(np.float32)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        left = round(hours * 3600) * RATE
        while left > 0:
            file.write(block[:left] * np.float32(rng.uniform(0.01, 0.1)))
            left -= len(block)
    return path


SEGMENT = """
import sys
from pathlib import Path
from babyhubert.cli.app import main
from memory import peak_mb
memory = sys.argv.pop(1)
try:
    main()
finally:
    Path(memory).write_text(str(peak_mb()))
"""


def segment(audio: Path, model: Path, output: Path, options: argparse.Namespace) -> dict[str, Any]:
    memory = output.with_suffix(".memory")
    began = time.perf_counter()
    arguments = ["segment", str(audio), "-o", str(output), "--model", str(model), "--speed", options.speed]
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-c", SEGMENT, str(memory), *arguments],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"segment ended with {process.returncode}")
    records = json.loads((output / "run.json").read_text(encoding="utf-8"))["recordings"]
    cpu = usage.ru_utime + usage.ru_stime
    audio_s = sum(record["duration_s"] for record in records)
    return {
        "peak_mb": int(memory.read_text(encoding="utf-8")),
        "process_s": round(wall, 2),
        "cpu_s": round(cpu, 1),
        "audio_s_per_cpu_s": round(audio_s / cpu, 1),
    }


def plot(results: list[dict[str, Any]], lengths: int, path: Path) -> None:
    """Time and memory, left against the length of one recording, right against the number of short ones."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, 2, sharex="col")
    sides = [("hours", "length of one recording (h)", results[:lengths])]
    sides.append(("recordings", "number of recordings of 10 s", results[lengths:]))
    for column, (key, label, rows) in zip(axes.T, sides, strict=True):
        for axis, value, unit in zip(column, ("cpu_s", "peak_mb"), ("CPU time (s)", "peak memory (MB)"), strict=True):
            axis.plot([one[key] for one in rows], [one[value] for one in rows], "o-")
            axis.set_ylabel(unit)
            axis.set_ylim(0, 1.15 * max(one[value] for one in rows))
            axis.grid(alpha=0.3)
        column[-1].set_xlabel(label)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
