"""Samples as 16-bit integers: full scale is 32,768 both ways, so that 16-bit audio comes back bit for bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 32_768


def to_pcm16(samples: NDArray[np.floating]) -> NDArray[np.int16]:
    """Samples in [-1, 1] as little-endian int16, rounded to the nearest and clipped: +1.0 gives 32,767."""
    scaled = np.rint(samples * np.float32(FULL_SCALE))
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype("<i2")
