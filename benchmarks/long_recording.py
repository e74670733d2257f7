"""Does memory grow with a recording's length? Runs ``babyhubert segment`` on generated recordings, a process each.

    python benchmarks/long_recording.py --hours 1 4 16 --format wav --size nano --overlap 0 -o long.json

Writes peak memory, wall and CPU seconds of every length. The model's weights are random: cost does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.tasks.voice_type import VoiceTypeModel
from results import write_results

RATE = 16_000


def main() -> None:
    """Measure and print."""
    options = parse()
    results = []
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        model = write_model(Path(scratch) / "model", options.size)
        for hours in options.hours:
            audio = write_recording(Path(scratch) / f"{hours:g}h.{options.format}", hours)
            results.append({"hours": hours, **segment(audio, model, Path(scratch) / f"out{hours:g}", options)})
            print(json.dumps(results[-1]), flush=True)
            audio.unlink()
    write_results(options, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 4.0, 16.0])
    parser.add_argument("--format", choices=("wav", "flac", "mp3"), default="wav")
    parser.add_argument("--size", default="nano", help="encoder size: nano, small, base, large")
    parser.add_argument("--overlap", default="0.75")
    parser.add_argument("--folder", help="where recordings of up to 2 GB are put; default: the system's")
    parser.add_argument("-o", "--output", type=Path)
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
        for _ in range(round(hours * 60)):
            file.write(block * np.float32(rng.uniform(0.01, 0.1)))
    return path


def segment(audio: Path, model: Path, output: Path, options: argparse.Namespace) -> dict[str, Any]:
    code = "from babyhubert.cli.app import main; main()"
    arguments = ["segment", str(audio), "-o", str(output), "--model", str(model), "--overlap", options.overlap]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"segment ended with {process.returncode}")
    record = json.loads((output / "run.json").read_text(encoding="utf-8"))["recordings"][0]
    cpu = usage.ru_utime + usage.ru_stime
    return {
        "peak_mb": round(usage.ru_maxrss / 1024),
        "wall_s": record["seconds"],
        "cpu_s": round(cpu, 1),
        "times_real_time": record["times_real_time"],
        "audio_s_per_cpu_s": round(record["duration_s"] / cpu, 1),
    }


if __name__ == "__main__":
    main()
