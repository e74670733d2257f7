"""Peaks of a clip's sound, from which its waveform is drawn before its samples have arrived."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from babyhubert.audio.recording import open_recording
from babyhubert.timebase import SAMPLE_RATE

PEAKS_PER_SECOND = 400
_PER_PEAK = SAMPLE_RATE // PEAKS_PER_SECOND
_BLOCK = _PER_PEAK << 12


def peaks_of(sound: Path) -> bytes:
    """Greatest absolute value of each 2.5 ms, as bytes from 0 to 127, the loudest of the file being 127.

    Raises:
        AudioError: the sound cannot be read.
    """
    parts = [_greatest(block) for block in _blocks(sound)]
    peaks = np.concatenate([np.zeros(0, dtype=np.float32), *parts])
    loudest = float(peaks.max(initial=0.0)) or 1.0
    return np.round(peaks * (127 / loudest)).astype(np.uint8).tobytes()


def _blocks(sound: Path) -> Iterator[NDArray]:
    """Samples as they are stored, where they are what ``sample`` writes; else as they are read at 16 kHz, mono."""
    with open_recording(sound) as recording, soundfile.SoundFile(sound) as file:
        if (file.samplerate, file.channels, file.subtype) == (SAMPLE_RATE, 1, "PCM_16"):
            yield from file.blocks(_BLOCK, dtype="int16")
            return
        for start in range(0, recording.n_samples, _BLOCK):
            yield recording.read(start, min(start + _BLOCK, recording.n_samples))


def _greatest(block: NDArray) -> NDArray[np.float32]:
    whole = np.pad(block, (0, -len(block) % _PER_PEAK)) if len(block) % _PER_PEAK else block
    rows = whole.reshape(-1, _PER_PEAK)
    return np.maximum(rows.max(axis=1).astype(np.float32), -rows.min(axis=1).astype(np.float32))
