"""Level and clipping of a recording, second by second: the strip below the timeline.

Audio is streamed once and the result stored in ``OUT/.babyhubert/report/levels/``, until the file changes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.channels import Channel
from babyhubert.audio.recording import open_recording
from babyhubert.audio.signal_checks import CLIPPED
from babyhubert.files import atomic_path, file_identity, path_below
from babyhubert.runs.folder import STATE_FOLDER
from babyhubert.timebase import SAMPLE_RATE

FLOOR_DBFS = -100
_BLOCK = 60 * SAMPLE_RATE


class Levels(NamedTuple):
    """One value per second; the last second may be shorter.

    Attributes:
        level: Half decibels above -100 dBFS, uint8 (S,); 0 is digital silence, or nearly.
        clipped: Samples at full scale, uint16 (S,).
    """

    level: NDArray[np.uint8]
    clipped: NDArray[np.uint16]


def levels_of(
    folder: Path, recording_id: str, audio: Path, channel: Channel, advance: Callable[[int], None] | None = None
) -> Levels:
    """Levels of a recording: stored ones if its file is unchanged, else measured and stored.

    Args:
        folder: The output folder.
        recording_id: Name under which they are stored.
        audio: The recording.
        channel: Channel that the run used.
        advance: Called with the number of further samples read.

    Raises:
        AudioError: the file is missing or cannot be read.
        OutputError: they cannot be stored.
    """
    kept = path_below(folder / STATE_FOLDER / "report" / "levels", recording_id, ".npz")
    identity = _identity(audio, channel)
    found = _read(kept, identity)
    if found is not None:
        return found
    found = measure_levels(audio, channel, advance)
    with atomic_path(kept) as temporary:
        np.savez(temporary, level=found.level, clipped=found.clipped, identity=identity)
    return found


def measure_levels(audio: Path, channel: Channel = "mean", advance: Callable[[int], None] | None = None) -> Levels:
    """Stream a recording and measure every second of it.

    Raises:
        AudioError: the file is missing or cannot be read.
    """
    levels, clipped = [], []
    with open_recording(audio, channel) as recording:
        for block in recording.blocks(_BLOCK):
            starts = np.arange(0, len(block.samples), SAMPLE_RATE)
            lengths = np.diff(np.append(starts, len(block.samples)))
            power = np.add.reduceat(np.square(block.samples, dtype=np.float64), starts) / lengths
            levels.append(power)
            clipped.append(np.add.reduceat(np.abs(block.samples) >= CLIPPED, starts, dtype=np.int64))
            if advance is not None:
                advance(len(block.samples))
    decibels = 10 * np.log10(np.maximum(np.concatenate(levels), 1e-12))
    level = np.clip(np.round(2 * (decibels - FLOOR_DBFS)), 0, 255).astype(np.uint8)
    return Levels(level, np.minimum(np.concatenate(clipped), 65_535).astype(np.uint16))


def _identity(audio: Path, channel: Channel) -> str:
    try:
        return f"{file_identity(audio)} {channel}"
    except OSError:
        return ""


def _read(path: Path, identity: str) -> Levels | None:
    try:
        with np.load(path) as kept:
            if identity and str(kept["identity"]) == identity:
                found = Levels(kept["level"], kept["clipped"])
                return found if _is_sound(found) else None
    except (
        Exception
    ):  # numpy and zipfile raise many kinds for damaged files: whatever it is, levels are measured again
        return None
    return None


def _is_sound(found: Levels) -> bool:
    kinds = found.level.dtype == np.uint8 and found.clipped.dtype == np.uint16
    return kinds and found.level.ndim == 1 and found.level.shape == found.clipped.shape
