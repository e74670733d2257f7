"""One vector for each segment of a recording: the mean over its frames, added up while the frames arrive."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.raster import frame_spans
from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError
from babyhubert.timebase import FRAME_HOP, format_seconds

Spans = tuple[NDArray[np.int64], NDArray[np.int64]]
"""First frame of each segment, and the frame after its last."""


def segment_frames(segments: Segments) -> Spans:
    """Frames of each segment, at least one."""
    first, stop = frame_spans(segments.start, segments.end, np.iinfo(np.int64).max)
    return first, np.maximum(stop, first + 1)


class NeededFrames:
    """Selects stretches of frames that overlap any segment; an engine's ``wanted``."""

    def __init__(self, spans: Mapping[str, Spans]) -> None:
        self._spans = spans

    def __call__(self, key: Hashable, begin: int, end: int) -> bool:
        """True if one of the frames from ``begin`` to before ``end`` belongs to a segment."""
        first, stop = self._spans[str(key)]
        return bool(np.any((first < end) & (stop > begin)))


class SegmentMeans:
    """Means over the frames of segments; one sum per segment is held.

    Args:
        segments: The segments, S of them.
        layers: Number of layers, L.
        width: Number of values of a frame, D.
    """

    def __init__(self, segments: Segments, layers: int, width: int) -> None:
        self._first, self._stop = segment_frames(segments)
        self._sums = np.zeros((len(segments), layers, width))
        self._counts = np.zeros(len(segments), dtype=np.int64)

    def add(self, first: int, values: NDArray[np.float32]) -> None:
        """Add frames, (T, L, D), of which the first is frame ``first`` of the recording."""
        begin, end = first, first + len(values)
        for row in np.flatnonzero((self._first < end) & (self._stop > begin)):
            part = values[max(self._first[row] - begin, 0) : self._stop[row] - begin]
            self._sums[row] += part.sum(axis=0, dtype=np.float64)
            self._counts[row] += len(part)

    def finish(self, samples: int, source: str) -> NDArray[np.float64]:
        """Means, (S, L, D), of a recording of so many samples.

        Raises:
            AnnotationError: a segment lies past its last frame.
        """
        if np.any(self._counts == 0):
            row = int(np.flatnonzero(self._counts == 0)[0])
            start = format_seconds(int(self._first[row]) * FRAME_HOP)
            raise AnnotationError(
                f"{source}: a segment at {start} s lies past the recording's last frame "
                f"({format_seconds(samples)} s long); correct the segments"
            )
        return self._sums / np.maximum(self._counts, 1)[:, None, None]
