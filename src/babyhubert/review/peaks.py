"""Peaks of a clip's sound, from which its waveform is drawn before its samples have arrived."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from babyhubert.audio.recording import open_recording
from babyhubert.timebase import SAMPLE_RATE

PEAKS_PER_SECOND = 400
_PER_PEAK = SAMPLE_RATE // PEAKS_PER_SECOND
_BLOCK = _PER_PEAK << 14


def peaks_of(sound: Path) -> bytes:
    """Greatest absolute value of each 2.5 ms, as bytes from 0 to 127, the loudest of the file being 127.

    Raises:
        AudioError: the sound cannot be read.
    """
    parts = []
    with open_recording(sound) as recording:
        for start in range(0, recording.n_samples, _BLOCK):
            block = np.abs(recording.read(start, min(start + _BLOCK, recording.n_samples)))
            whole = np.pad(block, (0, -len(block) % _PER_PEAK))
            parts.append(whole.reshape(-1, _PER_PEAK).max(axis=1))
    peaks = np.concatenate([np.zeros(0, dtype=np.float32), *parts])
    loudest = float(peaks.max(initial=0.0)) or 1.0
    return np.round(peaks * (127 / loudest)).astype(np.uint8).tobytes()
