"""Packing of integer columns into short text for the page: variable-length bytes, then base64.

Times are stored as differences, so that one of a day's 20,000 segments takes about five characters. ``page.js`` holds
the reader of each format.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def pack_bytes(values: NDArray) -> str:
    """One byte per value (0 to 255), base64."""
    return base64.b64encode(np.asarray(values).astype(np.uint8).tobytes()).decode("ascii")


def pack_integers(values: Iterable[int]) -> str:
    """Integers of any sign and size: zigzag, seven bits per byte with the lowest first, base64."""
    packed = bytearray()
    for value in values:
        rest = value << 1 if value >= 0 else (-value << 1) - 1
        while rest > 127:
            packed.append(rest & 127 | 128)
            rest >>= 7
        packed.append(rest)
    return base64.b64encode(bytes(packed)).decode("ascii")


def pack_spans(start: NDArray[np.int64], end: NDArray[np.int64]) -> str:
    """Spans in order of start: for each the gap since the end before it, and its length."""
    gaps = np.diff(np.concatenate(([0], np.stack((start, end), axis=1).ravel())))
    return pack_integers(gaps.tolist())
