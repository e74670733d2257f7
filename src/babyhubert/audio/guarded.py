"""A source whose decoder is replaced when its file turns out to be damaged.

Searching for damage requires reading a file to its end, which is too slow when checking a thousand recordings. Ogg and
MP3 files are examined before their first sample is read, because their decoders skip damage silently; FLAC files when
decoding fails. Input: an open source, and a function that repairs it. Output: a source that reads all intact sound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.source import Lost, Source


class GuardedSource:
    """An open recording that is repaired when needed."""

    def __init__(self, source: Source, mend: Callable[[], Source | None], before_reading: bool) -> None:
        """Guard an open source.

        Args:
            source: The recording.
            mend: Opens the same recording repaired; None if it needs no repair, or cannot be repaired.
            before_reading: Repair before the first sample, instead of when decoding fails.
        """
        self.header = source.header
        self._source = source
        self._repair: Callable[[], Source | None] | None = mend
        self._before_reading = before_reading
        self._position = 0

    @property
    def problem(self) -> str | None:
        """Reason why decoding ended early, if it did."""
        return self._source.problem

    @property
    def lost(self) -> Lost:
        """Stretches that could not be decoded."""
        return self._source.lost

    @property
    def seeks(self) -> bool:
        """True if seeking is cheap."""
        return self._source.seeks

    def seek(self, frame: int) -> None:
        """Set the position of the next read to ``frame``."""
        if self._before_reading:
            self._replace()
        self._position = frame
        self._source.seek(frame)
        if self._source.problem is not None and self._replace():
            self._source.seek(frame)

    def read(self, frames: int) -> NDArray[np.float32]:
        """Next frames, float32, shape (n, channels)."""
        if self._before_reading:
            self._replace()
        samples = self._source.read(frames)
        if len(samples) < frames and self._ended_early(len(samples)) and self._replace():
            self._source.seek(self._position)
            samples = self._source.read(frames)
        self._position += len(samples)
        return samples

    def _ended_early(self, count: int) -> bool:
        return self._source.problem is not None or self._position + count < self.header.frames

    def _replace(self) -> bool:
        """Repair the recording, once; return True if the source was replaced."""
        mend, self._repair = self._repair, None
        repaired = mend() if mend is not None else None
        if repaired is None:
            return False
        self._source.close()
        self._source = repaired
        return True

    def close(self) -> None:
        """Close the file."""
        self._source.close()
