"""The segments table of one recording: start, end and label.

It has columns rather than rows, because a day has tens of thousands of segments; times are integer samples at 16 kHz,
half-open. Files of many recordings are plain dictionaries ``{recording id: Segments}``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, union
from babyhubert.timebase import samples_to_seconds

if TYPE_CHECKING:
    from pandas import DataFrame

VOICE_TYPES = ("KCHI", "OCH", "MAL", "FEM")
"""Key child, other child, male adult, female adult: the published order, used wherever classes become columns."""


class Segment(NamedTuple):
    """One row of a :class:`Segments` table, in samples."""

    start: int
    end: int
    label: str

    @property
    def start_s(self) -> float:
        """Start in seconds."""
        return samples_to_seconds(self.start)

    @property
    def end_s(self) -> float:
        """End in seconds."""
        return samples_to_seconds(self.end)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return samples_to_seconds(self.end - self.start)


@dataclass(frozen=True, eq=False, repr=False)
class Segments:
    """Labelled segments of one recording, sorted by start, then end, then label.

    Times are samples at 16 kHz; what is printed, and data frames, have seconds. ``len``, iteration, indices, slices
    and boolean masks work as for arrays.

    Example:
        >>> segments = babyhubert.load_model()("day1.wav")
        >>> for segment in segments:
        ...     print(segment.start_s, segment.end_s, segment.label)
        >>> segments.of("KCHI").to_pandas()

    Attributes:
        start: First sample, int64, shape (S,).
        end: Sample after the last, int64, shape (S,); never before ``start``.
        label: One string a segment, object array, shape (S,).
        columns: Further columns by name (scores, speaker, addressee ...), arrays of shape (S,).

    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    label: NDArray[np.object_]
    columns: Mapping[str, NDArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        start = np.asarray(self.start, dtype=np.int64)
        end = np.asarray(self.end, dtype=np.int64)
        label = np.empty(len(start), dtype=object)
        label[:] = list(self.label)
        if not len(start) == len(end) == len(label):
            raise ValueError(f"{len(start)} starts, {len(end)} ends and {len(label)} labels do not make a table")
        if np.any(end < start):
            row = int(np.flatnonzero(end < start)[0])
            raise ValueError(f"segment {row} ends at sample {end[row]}, before it starts at {start[row]}")
        in_order = bool(np.all(start[1:] > start[:-1]))  # as most tables are, without ties
        order = np.arange(len(start)) if in_order else np.lexsort((label.astype(str), end, start))
        for name, values in (("start", start), ("end", end), ("label", label)):
            object.__setattr__(self, name, values[order])
        object.__setattr__(self, "columns", {name: np.asarray(c)[order] for name, c in self.columns.items()})

    @classmethod
    def empty(cls) -> Segments:
        """A table without rows."""
        return cls.from_rows(())

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[int, int, str]]) -> Segments:
        """A table from ``(start, end, label)`` rows in samples, in any order."""
        rows = list(rows)
        start, end, label = zip(*rows, strict=True) if rows else ((), (), ())
        return cls(np.array(start, dtype=np.int64), np.array(end, dtype=np.int64), np.array(label, dtype=object))

    @classmethod
    def from_intervals(cls, by_label: Mapping[str, Intervals]) -> Segments:
        """A table from one interval set a label."""
        if not by_label:
            return cls.empty()
        start = np.concatenate([s for s, _ in by_label.values()])
        end = np.concatenate([e for _, e in by_label.values()])
        label = np.repeat(np.array(list(by_label), dtype=object), [len(s) for s, _ in by_label.values()])
        return cls(start, end, label)

    @classmethod
    def concatenate(cls, tables: Iterable[Segments]) -> Segments:
        """Join the rows of several tables of one recording; a column that one of them lacks is an empty text there."""
        tables = [table for table in tables if len(table)]
        if not tables:
            return cls.empty()
        columns = {}
        for name in dict.fromkeys(name for table in tables for name in table.columns):
            parts = [table.columns.get(name, np.full(len(table), "", dtype=object)) for table in tables]
            columns[name] = np.concatenate(parts)
        start, end, label = (np.concatenate([getattr(t, side) for t in tables]) for side in ("start", "end", "label"))
        return cls(start, end, label, columns)

    def __len__(self) -> int:
        return len(self.start)

    def __iter__(self) -> Iterator[Segment]:
        for start, end, label in zip(self.start.tolist(), self.end.tolist(), self.label, strict=True):
            yield Segment(start, end, label)

    @overload
    def __getitem__(self, rows: int) -> Segment: ...
    @overload
    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.integer]) -> Segments: ...
    def __getitem__(self, rows: int | slice | NDArray[np.bool_] | NDArray[np.integer]) -> Segment | Segments:
        if isinstance(rows, int | np.integer):
            return Segment(int(self.start[rows]), int(self.end[rows]), self.label[rows])
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Segments(self.start[rows], self.end[rows], self.label[rows], columns)

    def __repr__(self) -> str:
        from babyhubert.annotation.segments_display import text_table

        return text_table(self)

    def _repr_html_(self) -> str:
        from babyhubert.annotation.segments_display import html_table

        return html_table(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Segments):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def labels(self) -> tuple[str, ...]:
        """The distinct labels, sorted."""
        return tuple(sorted(set(self.label)))

    def where(self, keep: NDArray[np.bool_]) -> Segments:
        """Select the rows for which ``keep`` (bool, shape (S,)) is true."""
        return self[keep]

    def of(self, label: str) -> Segments:
        """The rows of one label."""
        return self.where(self._is(label))

    def intervals(self, label: str | None = None) -> Intervals:
        """The union of one label's segments (of all segments without a label), sorted and disjoint."""
        keep = slice(None) if label is None else self._is(label)
        return union(self.start[keep], self.end[keep])

    def _is(self, label: str) -> NDArray[np.bool_]:
        """Mask of the rows of one label, compared as objects, since NumPy's own texts end before a NUL."""
        return np.asarray(self.label == np.array(label, dtype=object), dtype=bool)

    def to_pandas(self, recording_id: str | None = None) -> DataFrame:
        """Make a data frame: ``start_s``, ``end_s`` (seconds, exact to the sample), ``label``, then all columns.

        Args:
            recording_id: Value of a first column ``recording_id``, to join tables of several recordings.

        Raises:
            MissingExtraError: pandas is not installed.
            AnnotationError: a column has the name of one of these.
        """
        from babyhubert.annotation.data_frames import to_data_frame

        return to_data_frame(self, recording_id)

    @classmethod
    def from_pandas(cls, frame: DataFrame, recording_id: str | None = None) -> Segments:
        """Read a data frame of one recording: of :meth:`to_pandas`, or of any table that this package writes.

        Known are ``start_s,end_s,label``, ``start_time_s,duration_s,label``, ChildProject's
        ``segment_onset,segment_offset,speaker_type`` (milliseconds; CHI is the key child) and BabAR's
        ``onset,offset,speaker`` (seconds). Other columns are kept.

        Args:
            frame: The table.
            recording_id: Take this recording's rows of a table of several.

        Raises:
            AnnotationError: unknown columns, an impossible time, or several recordings and none named.
        """
        from babyhubert.annotation.data_frames import from_data_frame

        return from_data_frame(frame, recording_id)

    def to_rttm(self, path: str | os.PathLike[str], recording_id: str | None = None) -> None:
        """Write an RTTM file, in seconds with three decimals; columns have no place in it.

        Args:
            path: The file; replaced if it exists.
            recording_id: Name of the recording in its lines; the file's stem if None.

        Raises:
            AnnotationError: a label CHI, which other tools read as another child.
            OutputError: the file cannot be written.
        """
        from pathlib import Path

        from babyhubert.annotation.rttm import write_rttm

        write_rttm(Path(path), recording_id or Path(path).stem, self)

    @classmethod
    def from_rttm(cls, path: str | os.PathLike[str], recording_id: str | None = None) -> Segments:
        """Read the segments of one recording from an RTTM file. An empty file is that of a silent recording.

        Args:
            path: The file.
            recording_id: The recording, if the file has several.

        Raises:
            AnnotationError: unreadable, malformed (the line is named), or several recordings and none named.
        """
        from babyhubert.annotation.one_recording import read_rttm_of

        return read_rttm_of(path, recording_id)

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str], recording_id: str | None = None) -> Segments:
        """Read the segments of one recording from a CSV of any layout that :meth:`from_pandas` knows.

        Other columns are kept as texts.

        Args:
            path: The file.
            recording_id: The recording, if the file has several.

        Raises:
            AnnotationError: unreadable, unknown columns, malformed (the line is named), or several recordings and none
                named.
        """
        from babyhubert.annotation.one_recording import read_csv_of

        return read_csv_of(path, recording_id)
