"""The frame grid: conversion between samples and frames, defined only here.

The encoder's seven convolutions have a total stride of 320 samples and a receptive field of 400, so frame ``i``
*depends on* samples ``[320 i, 320 i + 400)``. A frame *owns* the cell ``[320 i, 320 (i + 1))``: cells tile the
recording, so labels and decisions refer to cells. One rasteriser (segments to frames) and its inverse (frames to
segments) serve training, inference, tuning and evaluation.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD

RasterRule = Literal["cell", "published"]


def frame_counts(samples: NDArray[np.int64]) -> NDArray[np.int64]:
    """:func:`frame_count` of many lengths at once: int64, of the same shape."""
    samples = np.asarray(samples, dtype=np.int64)
    return np.where(samples < FRAME_RECEPTIVE_FIELD, 0, (samples - FRAME_RECEPTIVE_FIELD) // FRAME_HOP + 1)


def frame_spans(
    start: NDArray[np.int64], end: NDArray[np.int64], n_frames: int, rule: RasterRule = "cell"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and past-the-last frame that each segment turns on, clipped to ``[0, n_frames]``.

    Args:
        start: First sample of each segment, int64, shape (S,).
        end: Sample after the last of each segment, int64, shape (S,).
        n_frames: Number of frames of the grid.
        rule: ``"cell"``: both ends go to the nearest cell boundary, so ``frames_to_segments`` gives them back with at
            most 160 samples (10 ms) of error and none on the grid; a segment too short for that turns on the cell that
            contains its middle; an empty one turns on no cell. ``"published"``: VTC-2's training rule, a frame is on
            if its 400 samples share one sample with the segment *closed at both ends*, which dilates every segment by
            about 15 ms before and 10 ms after.
    """
    start = np.asarray(start, dtype=np.int64)
    end = np.asarray(end, dtype=np.int64)
    if rule == "published":
        first = -((FRAME_RECEPTIVE_FIELD - 1 - start) // FRAME_HOP)
        stop = end // FRAME_HOP + 1
    elif rule == "cell":
        first = (start + FRAME_HOP // 2) // FRAME_HOP
        stop = (end + FRAME_HOP // 2) // FRAME_HOP
        vanishing = (stop <= first) & (end > start)
        middle = (start + end) // 2 // FRAME_HOP
        first = np.where(vanishing, middle, first)
        stop = np.where(vanishing, middle + 1, stop)
    else:
        raise ValueError(f"unknown rasteriser rule {rule!r}: 'cell' or 'published'")
    return np.clip(first, 0, n_frames), np.clip(stop, 0, n_frames)


def segments_to_frames(
    start: NDArray[np.int64], end: NDArray[np.int64], n_frames: int, rule: RasterRule = "cell"
) -> NDArray[np.bool_]:
    """Rasterise the union of segments onto the frame grid: bool, shape (n_frames,). See :func:`frame_spans`."""
    first, stop = frame_spans(start, end, n_frames, rule)
    keep = stop > first
    steps = np.zeros(n_frames + 1, dtype=np.int64)
    np.add.at(steps, first[keep], 1)
    np.add.at(steps, stop[keep], -1)
    return np.cumsum(steps[:n_frames]) > 0


def frames_to_segments(active: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Convert runs of active frames to samples: a run of frames ``a..b`` becomes ``[320 a, 320 (b + 1))``.

    Args:
        active: bool, shape (T,).

    Returns:
        Start and end samples, int64, shape (S,) each, ascending, disjoint and not touching.
    """
    edges = np.diff(np.concatenate(([False], np.asarray(active, dtype=bool), [False])).astype(np.int8))
    return np.flatnonzero(edges == 1) * FRAME_HOP, np.flatnonzero(edges == -1) * FRAME_HOP
