"""Stitching of overlapping windows into one frame sequence of the recording, as the windows arrive.

Only frames that a later window may still change are held, so memory is bounded by the window.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Blend = Literal["mean", "taper", "crop"]
"""Method of joining frames that several windows cover.

``mean``: plain average, as VTC 2.2. ``taper``: average weighted by a triangle over the window, so that frames near a
window's edge, which lack context on one side, count less. ``crop``: no average, each frame from the window in which it
is farthest from an edge (for representations, whose average would be meaningless).
"""


class Stitcher:
    """Joins window outputs, given in order of their start, into consecutive frames.

    Args:
        blend: Method of joining overlapping frames.
    """

    def __init__(self, blend: Blend = "mean") -> None:
        if blend not in ("mean", "taper", "crop"):
            raise ValueError(f"unknown blend {blend!r}: 'mean', 'taper' or 'crop'")
        self._blend = blend
        self.first = 0  # frame at which the held arrays begin; everything before was handed out or skipped
        self._values: NDArray[np.float32] | None = None
        self._weights = np.empty(0, dtype=np.float32)

    def add(self, first_frame: int, values: NDArray[np.float32]) -> None:
        """Add the output of one window: float32, shape (T, ...), whose row 0 is frame ``first_frame``.

        Raises:
            ValueError: the window begins before frames already returned, or leaves a hole after those held.
        """
        offset, held = first_frame - self.first, len(self._weights)
        if not 0 <= offset <= held:
            raise ValueError(
                f"a window at frame {first_frame} does not follow on frames {self.first} to {self.reached}"
            )
        self._grow(offset + len(values), values.shape[1:])
        assert self._values is not None
        if self._blend == "crop":
            cut = (offset + held) // 2
            self._values[cut : offset + len(values)] = values[cut - offset :]
            self._weights[cut : offset + len(values)] = 1
            return
        weights = self._window_weights(len(values))
        span = slice(offset, offset + len(values))
        self._values[span] += values * weights.reshape(-1, *([1] * (values.ndim - 1)))
        self._weights[span] += weights

    @property
    def reached(self) -> int:
        """The frame after the last one that is held."""
        return self.first + len(self._weights)

    def skip_to(self, frame: int) -> None:
        """Continue at a later frame; frames between are skipped.

        Raises:
            ValueError: frames are held; take them before.
        """
        if len(self._weights) or frame < self.first:
            raise ValueError(f"cannot skip from frame {self.reached} to {frame}")
        self.first = frame

    def take(self, before_frame: int | None = None) -> NDArray[np.float32]:
        """Return finished frames: those before ``before_frame``, or all remaining ones. Float32, shape (T, ...)."""
        count = len(self._weights) if before_frame is None else min(before_frame - self.first, len(self._weights))
        if self._values is None or count <= 0:
            return np.empty((0, *(() if self._values is None else self._values.shape[1:])), dtype=np.float32)
        weights = self._weights[:count].reshape(-1, *([1] * (self._values.ndim - 1)))
        done = self._values[:count] / weights
        self._values, self._weights = self._values[count:].copy(), self._weights[count:].copy()
        self.first += count
        return done

    def _grow(self, frames: int, trailing: tuple[int, ...]) -> None:
        if self._values is None:
            self._values = np.zeros((0, *trailing), dtype=np.float32)
        missing = frames - len(self._weights)
        if missing > 0:
            self._values = np.concatenate((self._values, np.zeros((missing, *trailing), dtype=np.float32)))
            self._weights = np.concatenate((self._weights, np.zeros(missing, dtype=np.float32)))

    def _window_weights(self, frames: int) -> NDArray[np.float32]:
        if self._blend == "mean":
            return np.ones(frames, dtype=np.float32)
        ramp = np.arange(1, frames + 1, dtype=np.float32)
        return np.minimum(ramp, ramp[::-1])
