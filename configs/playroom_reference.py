"""Write the reference that thresholds of the package's model are chosen on: scenes, meetings, and held-out sounds.

Of the sounds, those of the kind `baby-cry` are a child's where they are loud; in all others nobody speaks. Every kind
also becomes one longer recording, with a quiet room between its clips, as in a day.

    python playroom_reference.py sounds/held-out simulated/validation/rttm real/ami/rttm -o reference --days days
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

CRIES = "baby-cry"
STEP_S = 0.01
QUIETER_DB = 20.0
RATE, ROOM_S, ROOM_LEVEL = 16_000, 12, 1e-3

Stretch = tuple[float, float]


def main() -> None:
    """Copy the RTTM files, and write one for every sound and every day of sounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sounds", type=Path, help="folder with a sub-folder a kind of sound")
    parser.add_argument("rttm", type=Path, nargs="*", help="folders of RTTM files to copy")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--days", type=Path, required=True, help="folder for the longer recordings")
    options = parser.parse_args()
    for folder in (options.output, options.days):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in options.rttm:
        for path in sorted(folder.glob("*.rttm")):
            shutil.copy(path, options.output)
    for kind in sorted(path for path in options.sounds.iterdir() if path.is_dir()):
        clips = sorted(kind.iterdir())
        found = [cries(clip) if kind.name == CRIES else [] for clip in clips]
        for clip, stretches in zip(clips, found, strict=True):
            write_rttm(options.output, clip.stem, stretches)
        write_rttm(options.output, f"day-{kind.name}", write_day(options.days / f"day-{kind.name}.flac", clips, found))


def cries(clip: Path) -> list[Stretch]:
    """Stretches within 20 dB of the clip's loudest (95th percentile, over 0.1 s): onset and duration, s."""
    audio, rate = soundfile.read(clip)
    step = round(STEP_S * rate)
    power = np.square(audio[: len(audio) // step * step].reshape(-1, step)).mean(axis=1)
    smooth = np.convolve(power, np.full(10, 0.1), "same")
    loud = smooth > 10 ** (-QUIETER_DB / 10) * np.percentile(smooth, 95)
    edges = np.diff(np.concatenate(([False], loud, [False])).astype(int))
    stretches = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    return [(first * STEP_S, (last - first) * STEP_S) for first, last in stretches]


def write_day(path: Path, clips: Sequence[Path], found: Sequence[Sequence[Stretch]]) -> list[Stretch]:
    """Write the clips one after the other, faint noise between them; their stretches in this recording."""
    room = ROOM_LEVEL * np.random.default_rng(0).standard_normal(ROOM_S * RATE)
    parts: list[NDArray[np.float64]] = [room]
    stretches, at = [], len(room)
    for clip, own in zip(clips, found, strict=True):
        audio, _ = soundfile.read(clip)
        stretches += [(at / RATE + onset, duration) for onset, duration in own]
        parts += [audio + np.resize(room, len(audio)), room]
        at += len(audio) + len(room)
    soundfile.write(path, np.clip(np.concatenate(parts), -1, 1), RATE)
    return stretches


def write_rttm(folder: Path, name: str, stretches: Sequence[Stretch]) -> None:
    """Write an RTTM file of the key child; an empty one if there are no stretches."""
    lines = [
        f"SPEAKER {name} 1 {onset:.2f} {duration:.2f} <NA> <NA> KCHI <NA> <NA>\n" for onset, duration in stretches
    ]
    (folder / f"{name}.rttm").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
