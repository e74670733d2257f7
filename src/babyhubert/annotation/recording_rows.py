"""Rows of a file of many recordings, gathered by recording; what is wrong with one does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from babyhubert.annotation.escapes import CONTROL
from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError

Parts = dict[str, "Segments | AnnotationError"]


class RecordingRows:
    """Segments of recordings as their rows come.

    Args:
        columns: Names of further columns, one text a row each.
    """

    def __init__(self, columns: tuple[str, ...] = ()) -> None:
        self._columns = columns
        self._rows: dict[str, list[tuple[int, int, str]]] = {}
        self._values: dict[str, list[tuple[str, ...]]] = {}
        self._failures: dict[str, AnnotationError] = {}
        self._where = ""

    @contextmanager
    def of(self, recording_id: str, where: str) -> Iterator[None]:
        """What goes wrong with a row is the recording's first error, and the next row may come.

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
        """A recording is there, if without segments.

        Raises:
            AnnotationError: it cannot have such a name.
        """
        if CONTROL.search(recording_id):
            raise AnnotationError(f"{self._where}: {recording_id!r} cannot be the name of a recording")
        self._rows.setdefault(recording_id, [])
        self._values.setdefault(recording_id, [])

    def add(self, recording_id: str, start: int, end: int, label: str, values: tuple[str, ...] = ()) -> None:
        """One segment.

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
    """The parts where all are whole.

    Raises:
        AnnotationError: one of them is an error.
    """
    found = {}
    for name, part in parts.items():
        if isinstance(part, AnnotationError):
            raise part
        found[name] = part
    return found
