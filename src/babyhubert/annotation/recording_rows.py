"""Rows of a file of many recordings, collected by recording; an error in one does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from babyhubert.annotation.escapes import CONTROL
from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError

Parts = dict[str, "Segments | AnnotationError"]


class RecordingRows:
    """Segments of recordings, collected row by row.

    Args:
        columns: Names of further columns, one text per row each.
    """

    def __init__(self, columns: tuple[str, ...] = ()) -> None:
        self._columns = columns
        self._rows: dict[str, list[tuple[int, int, str]]] = {}
        self._values: dict[str, list[tuple[str, ...]]] = {}
        self._failures: dict[str, AnnotationError] = {}
        self._where = ""

    @contextmanager
    def of(self, recording_id: str, where: str) -> Iterator[None]:
        """Record an error in a row as the recording's first error, and continue with the next row.

        Raises:
            AnnotationError: the row names no recording.
        """
        if not recording_id.strip():
            raise AnnotationError(f"{where}: names no recording")
        self._where = where
        try:
            yield
        except AnnotationError as error:
            self._failures.setdefault(recording_id, error)

    def note(self, recording_id: str) -> None:
        """Add a recording, even without segments.

        Raises:
            AnnotationError: the name is invalid.
        """
        if CONTROL.search(recording_id):
            raise AnnotationError(f"{self._where}: {recording_id!r} cannot be the name of a recording")
        self._rows.setdefault(recording_id, [])
        self._values.setdefault(recording_id, [])

    def add(self, recording_id: str, start: int, end: int, label: str, values: tuple[str, ...] = ()) -> None:
        """Add one segment.

        Raises:
            AnnotationError: its label is empty.
        """
        if not label:
            raise AnnotationError(f"{self._where}: a segment without a label")
        self.note(recording_id)
        self._rows[recording_id].append((start, end, label))
        self._values[recording_id].append(values)

    def parts(self) -> Parts:
        """Each recording's segments with the further columns, or its error."""
        names = dict.fromkeys([*self._rows, *self._failures])
        return {name: self._failures.get(name) or self._segments(name) for name in names}

    def _segments(self, recording_id: str) -> Segments:
        rows = self._rows[recording_id]
        if not rows:
            return Segments.empty()
        start, end, label = zip(*rows, strict=True)
        columns = {
            name: np.array(values, dtype=object)
            for name, values in zip(self._columns, zip(*self._values[recording_id], strict=True), strict=True)
        }
        return Segments(np.array(start), np.array(end), np.array(label, dtype=object), columns)


def refuse_failures(parts: Mapping[str, Segments | AnnotationError]) -> dict[str, Segments]:
    """Return the parts if none is an error.

    Raises:
        AnnotationError: one of them is an error.
    """
    found = {}
    for name, part in parts.items():
        if isinstance(part, AnnotationError):
            raise part
        found[name] = part
    return found
