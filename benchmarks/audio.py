"""How fast recordings are read, and what a late seek costs: ours against soundfile's plain decoding, in one run.

    python benchmarks/audio.py --minutes 20 -o audio.json

Ours gives 16 kHz mono with sample-exact positions; the plain way only decodes, so a ratio near 1 means that
resampling, mixing and positions cost next to nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from babyhubert.audio.recording import open_recording

RATE = 16_000
KINDS = [("wav", 16_000, 1), ("wav", 44_100, 2), ("flac", 16_000, 1), ("mp3", 44_100, 2), ("opus", 16_000, 1)]
SEEKS = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    seconds = options.minutes * 60
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, rate, channels in KINDS:
            path = write(Path(folder) / f"x{rate}-{channels}.{kind}", rate, channels, options.minutes)
            ours = median(lambda path=path: read_all(path), options.rounds)
            plain = median(lambda path=path: decode(path), options.rounds)
            early = median(lambda path=path: seek(path, 60), options.rounds) / SEEKS
            late = median(lambda path=path: seek(path, seconds - 60), options.rounds) / SEEKS
            rows.append(
                {
                    "kind": f"{kind} {rate} Hz x {channels}",
                    "times_real_time": round(seconds / ours),
                    "plain_decoding_over_ours": round(plain / ours, 2),
                    "ms_for_4_s_near_the_start": round(1000 * early, 2),
                    "ms_for_4_s_near_the_end": round(1000 * late, 2),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    if options.output:
        text = json.dumps({"minutes": options.minutes, "cores": os.cpu_count(), "results": rows}, indent=2)
        options.output.write_text(text + "\n", encoding="utf-8")


def write(path: Path, rate: int, channels: int, minutes: int) -> Path:
    kind = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    minute = np.random.default_rng(0).standard_normal((60 * rate, channels)).astype(np.float32) * 0.05
    with soundfile.SoundFile(path, "w", rate, channels, **kind) as file:
        for _ in range(minutes):
            file.write(minute)
    return path


def read_all(path: Path) -> None:
    with open_recording(path) as recording:
        for _ in recording.blocks():
            pass


def decode(path: Path) -> None:
    with soundfile.SoundFile(path) as file:
        while len(file.read(file.samplerate * 10, dtype="float32")):
            pass


def seek(path: Path, second: int) -> None:
    with open_recording(path) as recording:
        for number in range(SEEKS):
            start = (second + number % 7) * RATE
            recording.read(start, start + 4 * RATE)


def median(action: Callable[[], None], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


if __name__ == "__main__":
    main()
