"""Masks of masked prediction: spans of masked frames, the same number in every row.

The published masking (torchaudio's defaults for HuBERT pre-training) has spans of 10 frames, as many as 0.8 times the
frames over the span length, with overlaps allowed; rows are then trimmed to the smallest count so that masked frames
of a batch make one rectangular array.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from babyhubert.config import Config


class MaskSettings(Config):
    """``[mask]``.

    Attributes:
        probability: Spans started, times their length, over frames. Overlaps make the masked share smaller: about
            0.5 for 0.8.
        span: Frames of a span (20 ms each).
        least: Fewest spans of a row.
    """

    probability: float = Field(default=0.8, gt=0, le=1)
    span: int = Field(default=10, ge=1)
    least: int = Field(default=2, ge=1)


def span_mask(rows: int, frames: int, settings: MaskSettings, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a mask: bool, shape (rows, frames), True where masked, equally often in every row.

    The number of spans is ``probability * frames / span`` rounded up or down at random, the same for all rows; their
    starts are drawn without replacement; frames beyond the smallest count are unmasked at random.

    Raises:
        ValueError: fewer than 2 frames, so that none could stay visible.
    """
    if frames < 2:
        raise ValueError(f"{frames} frames cannot be masked in part: 2 at least")
    span = min(settings.span, frames - 1)
    spans = max(settings.least, int(settings.probability * frames / settings.span + rng.random()))
    places = frames - span
    spans = min(spans, places)
    starts = np.zeros((rows, frames), dtype=np.int32)
    chosen = np.argpartition(rng.random((rows, places), dtype=np.float32), spans - 1, axis=1)[:, :spans]
    np.put_along_axis(starts, chosen, 1, axis=1)
    begun = np.cumsum(starts, axis=1)
    ended = np.zeros_like(begun)
    ended[:, span:] = begun[:, :-span]
    return _trim(begun > ended, rng)


def most_masked(frames: int, settings: MaskSettings) -> int:
    """Maximum number of frames of a row that :func:`span_mask` masks."""
    span = min(settings.span, frames - 1)
    spans = max(settings.least, math.ceil(settings.probability * frames / settings.span))
    return min(min(spans, frames - span) * span, frames)


def _trim(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    counts = mask.sum(axis=1)
    if counts.min() == counts.max():
        return mask
    keys = np.where(mask, rng.random(mask.shape, dtype=np.float32), np.float32(2))
    kept = np.argpartition(keys, counts.min() - 1, axis=1)[:, : counts.min()]
    trimmed = np.zeros_like(mask)
    np.put_along_axis(trimmed, kept, True, axis=1)
    return trimmed
