"""Faint noise around a recording that is shorter than a window.

The first layer of an encoder normalises over its window, so a clip of three seconds alone looks different from the
same three seconds in a day, and a model trained on long windows answers differently. A clip in the middle of a window
of room noise is what the day would have been if nothing else had sounded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from babyhubert.material.augmentation import coloured_noise
from babyhubert.timebase import FRAME_HOP, SAMPLES_PER_MS

LOUDEST_DBFS = -60.0
"""Level of the noise, RMS: that of a quiet room, or of the clip's quietest tenth if that is lower."""

_STEP = 100 * SAMPLES_PER_MS
_QUIETEST_PERCENTILE = 10


def frames_before(samples: int, length: int) -> int:
    """Frames between the start of a window of ``length`` samples and a recording of ``samples`` in its middle."""
    return (length - samples) // 2 // FRAME_HOP


def surrounded(recording: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """A window of ``length`` samples with a shorter recording in its middle, on the frame grid: float32 (length,).

    The noise is always the same (pink, of a fixed seed), so results repeat.
    """
    window = coloured_noise(1, length, (1.0, 1.0), np.random.default_rng(0))[0]
    window *= np.float32(_noise_rms(recording) / np.sqrt(np.mean(np.square(window), dtype=np.float64)))
    start = frames_before(len(recording), length) * FRAME_HOP
    window[start : start + len(recording)] = recording
    return window


def _noise_rms(recording: NDArray[np.float32]) -> float:
    steps = recording[: max(len(recording) // _STEP, 1) * _STEP]
    power = np.square(steps, dtype=np.float64).reshape(-1, min(_STEP, len(steps))).mean(axis=1)
    return min(10 ** (LOUDEST_DBFS / 20), float(np.sqrt(np.percentile(power, _QUIETEST_PERCENTILE))))
