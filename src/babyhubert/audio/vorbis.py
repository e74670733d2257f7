"""Exact positions in Ogg Vorbis.

libsndfile seeks in Vorbis only to within a block or so: the result is off by 128 samples in either direction,
depending on the previous position. Without seeking it is exact, and so is the sample count at the end of every page.
So a position is reached by opening the stream anew at the page before it. Input: a path, the header and the pages of a
stretch without a hole. Output: a :class:`VorbisSource`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.libsndfile import SndfileSource
from babyhubert.audio.ogg_pages import Page, with_granule
from babyhubert.audio.source import Lost
from babyhubert.audio.spliced import Part, Stretch
from babyhubert.errors import AudioError

_BEYOND = 1 << 50
"""A sample count that no stream reaches: with it, libsndfile reads a last page to its end."""
_LONGEST_BLOCK = 8192
_STEP = 1 << 16


class VorbisSource:
    """An open stretch of Ogg Vorbis."""

    def __init__(self, path: Path, header: Sequence[Page], pages: Sequence[Page]) -> None:
        """Open a stretch and find its first sample.

        Args:
            path: The file.
            header: The pages of its header.
            pages: Pages without a hole, at least one of them with a sample count.

        Raises:
            AudioError: nothing can be decoded.
        """
        self._path = path
        self._header: list[Part] = [Stretch(page.offset, page.stop) for page in header]
        self._pages = [*pages]
        self._counted = [index for index, page in enumerate(pages) if page.granule >= 0]
        if not self._counted:
            raise AudioError(f"{path}: no page says where it belongs")
        self._granules = [pages[index].granule for index in self._counted]
        self.problem: str | None = None
        self.lost: Lost = ()
        self.first = self._start_of(0)
        """Sample count of the stream at its first sample here."""
        self._source = self._opened(0)
        self._position = 0
        self.header = replace(self._source.header, frames=max(0, self._granules[-1] - self.first), length="exact")

    def _start_of(self, entry: int) -> int:
        """Sample count of the stream at the first sample that decoding from a page on gives."""
        following = next(index for index in self._counted if index >= entry)
        pages = self._pages[entry : following + 1]
        source = SndfileSource(self._path, [*self._header, *self._shown(pages)])
        count = 0
        try:
            while taken := len(source.read(_STEP)):
                count += taken
        finally:
            source.close()
        return max(0, self._pages[following].granule - count)

    def _opened(self, entry: int) -> SndfileSource:
        return SndfileSource(self._path, [*self._header, *self._shown(self._pages[entry:])])

    def _shown(self, pages: list[Page]) -> list[Part]:
        with self._path.open("rb") as file:
            file.seek(pages[-1].offset)
            last = file.read(pages[-1].stop - pages[-1].offset)
        return [Stretch(pages[0].offset, pages[-1].offset), with_granule(last, _BEYOND)]

    @property
    def seeks(self) -> bool:
        """True."""
        return True

    def seek(self, frame: int) -> None:
        """Set the position of the next read to ``frame``."""
        frame = min(frame, self.header.frames)
        known = bisect_right(self._granules, self.first + frame - _LONGEST_BLOCK) - 1
        known = min(known, len(self._granules) - 3)  # the count of a last page is that of a trimmed end
        entry = self._counted[known] + 1 if known >= 0 else 0
        before = self._granules[known] - self.first if known >= 0 else 0
        if frame < self._position or before > self._position:
            self._source.close()
            self._source = self._opened(entry)
            self._position = self._start_of(entry) - self.first if entry else 0
        while self._position < frame and len(self.read(min(_STEP, frame - self._position))):
            pass

    def read(self, frames: int) -> NDArray[np.float32]:
        """Next frames, float32, shape (n, channels)."""
        samples = self._source.read(max(0, min(frames, self.header.frames - self._position)))
        self._position += len(samples)
        return samples

    def close(self) -> None:
        """Close the file."""
        self._source.close()
