"""A file with some of its bytes replaced, for decoders that need one without gaps.

A damaged or joined recording is given to its decoder as a list of parts: stretches of the file as they are, and
replacement bytes for a wrong header or a lost frame. Nothing is copied; memory holds only the replacement bytes.
Input: a path and parts. Output: a :class:`SplicedFile` that reads and seeks like an open file.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stretch:
    """Bytes ``[start, stop)`` of the file itself."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


Part = bytes | Stretch


class SplicedFile:
    """A read-only file made of parts."""

    def __init__(self, path: Path, parts: Sequence[Part]) -> None:
        self._parts = [part for part in parts if len(part)]
        self._starts = [0]
        for part in self._parts:
            self._starts.append(self._starts[-1] + len(part))
        self._position = 0
        self._file = path.open("rb")

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset of the spliced file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Position in the spliced file."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Bytes from the current position."""
        stop = self._starts[-1] if size < 0 else min(self._starts[-1], self._position + size)
        taken = []
        while self._position < stop:
            piece = self._from_one_part(stop)
            if not piece:
                break
            taken.append(piece)
            self._position += len(piece)
        return b"".join(taken)

    def _from_one_part(self, stop: int) -> bytes:
        index = bisect_right(self._starts, self._position) - 1
        part, inside = self._parts[index], self._position - self._starts[index]
        size = min(stop, self._starts[index + 1]) - self._position
        if isinstance(part, bytes):
            return part[inside : inside + size]
        self._file.seek(part.start + inside)
        return self._file.read(size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
