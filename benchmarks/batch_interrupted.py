"""What an interrupted batch run leaves: the same tables as an undisturbed one.

Many recordings are made, some broken in different ways. One run goes undisturbed in one process. Another has two
workers: one worker is killed (SIGKILL), later the whole command, and the same command is then given again. Tables must
agree byte for byte, and every broken file must be named exactly once.

    python benchmarks/batch_interrupted.py --recordings 200 --folder /tmp/interrupted -o interrupted.json
"""

from __future__ import annotations

import argparse
import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import soundfile

from results import write_results

RATE = 16_000
TABLES = ("rttm.csv", "failures.csv", "thresholds.toml")


def main() -> None:
    """Interrupt, continue, compare."""
    options = parse()
    audio = options.folder / "audio"
    broken = make_recordings(audio, options.recordings, options.broken, options.longest)
    run = [sys.executable, "-m", "babyhubert", "segment", str(audio), "--device", "cpu", "-o"]
    if options.model:
        run[-1:-1] = ["--model", str(options.model)]
    undisturbed, disturbed = options.folder / "undisturbed", options.folder / "disturbed"
    once = finish([*run, str(undisturbed)])
    many = [*run, str(disturbed), "--workers", str(options.workers)]
    process = subprocess.Popen(many, stderr=subprocess.PIPE, text=True)
    wait_for(disturbed, options.recordings // 5, process)
    victim = next(workers_of(process.pid))
    victim.send_signal(signal.SIGKILL)
    wait_for(disturbed, options.recordings // 2, process)
    complete = records(disturbed)
    process.send_signal(signal.SIGKILL)
    said = process.communicate()[1]
    time.sleep(3)
    status = subprocess.run(
        [sys.executable, "-m", "babyhubert", "status", str(disturbed)], capture_output=True, text=True, check=False
    )
    again = finish(many)
    left_over = [str(path) for path in disturbed.rglob(".partial-*")]
    named = [Path(row["path"]).name for row in csv.DictReader((disturbed / "failures.csv").open(encoding="utf-8"))]
    result = {
        "recordings": options.recordings,
        "broken": len(broken),
        "audio_hours": sum(soundfile.info(p).duration for p in audio.rglob("*.wav") if p.name not in broken) / 3600,
        "undisturbed": once,
        "killed": {"complete": complete, "said": said.splitlines()[-3:], "status": status.stdout.splitlines()[:4]},
        "continued": again,
        "tables_equal": {name: same(undisturbed / name, disturbed / name) for name in TABLES},
        "files_equal": contents(undisturbed) == contents(disturbed),
        "broken_named_once": sorted(named) == sorted(broken),
        "left_over": left_over,
    }
    print(json.dumps(result, indent=2))
    write_results(options, result)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=200, help="those that are broken included")
    parser.add_argument("--broken", type=int, default=12)
    parser.add_argument("--longest", type=float, default=60.0, help="seconds; the shortest have 2")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", type=Path, help="model folder; default: the one of the package")
    parser.add_argument("--folder", type=Path, required=True, help="new folder for audio and results")
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


def make_recordings(folder: Path, count: int, broken: int, longest: float) -> list[str]:
    """Voices of many lengths, some in sub-folders; returns the names of those that are broken."""
    random = np.random.default_rng(0)
    names = []
    for number in range(count):
        path = folder / f"child{number % 7}" / f"day {number:03}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        time_s = np.arange(round(random.uniform(2, longest) * RATE)) / RATE
        pitch = random.uniform(120, 400)
        loud = np.sin(2 * np.pi * random.uniform(0.1, 0.6) * time_s) > 0
        sound = 0.3 * np.sin(2 * np.pi * (pitch * time_s + 8 * np.sin(2 * np.pi * 0.7 * time_s))) * loud
        soundfile.write(path, sound + 0.003 * random.standard_normal(len(sound)), RATE)
        if number % (count // broken) == 1 and len(names) < broken:
            spoil(path, len(names) % 4)
            names.append(path.name)
    return names


def spoil(path: Path, how: int) -> None:
    """Break a file: empty, text, noise without a header, or a header that promises what no decoder can give."""
    if how == 3:
        content = bytearray(path.read_bytes()[:4000])
        content[20:22] = (0x7FFF).to_bytes(2, "little")  # a codec that nobody has
    else:
        content = bytearray([b"", b"not audio\n", bytes(np.random.default_rng(1).bytes(5000))][how])
    path.write_bytes(content)


def finish(command: list[str]) -> dict[str, object]:
    """Run a command to its end."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stdout.splitlines()[-1:] or done.stderr.splitlines()[-1:]
    return {"seconds": round(time.perf_counter() - began, 1), "code": done.returncode, "said": last}


def workers_of(pid: int) -> Iterator[psutil.Process]:
    """The worker processes of a command."""
    for child in psutil.Process(pid).children(recursive=True):
        if any("spawn_main" in part for part in child.cmdline()):
            yield child


def records(output: Path) -> int:
    """Recordings that are complete."""
    return sum(1 for _ in (output / ".babyhubert/segment/records").rglob("[!.]*.json"))


def wait_for(output: Path, count: int, process: subprocess.Popen[str]) -> None:
    while records(output) < count:
        if process.poll() is not None:
            raise SystemExit(f"the run ended too early: {process.communicate()}")
        time.sleep(0.05)


def same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file a user sees, but for the one that tells of times."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".babyhubert" not in path.parts and path.name != "run.json"
    }


if __name__ == "__main__":
    main()
