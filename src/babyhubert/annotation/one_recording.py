"""Segments of one recording from files that may hold several."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeVar

from babyhubert.annotation import csv_tables, rttm
from babyhubert.annotation.recording_rows import refuse_failures
from babyhubert.annotation.segments import Segments
from babyhubert.audio.names import spellings
from babyhubert.errors import AnnotationError, some_names

ValueT = TypeVar("ValueT")


def read_rttm_of(path: str | os.PathLike[str], recording_id: str | None) -> Segments:
    """See :meth:`babyhubert.annotation.segments.Segments.from_rttm`."""
    path = Path(path)
    return _chosen(rttm.read_rttm(path), recording_id, str(path))


def read_csv_of(path: str | os.PathLike[str], recording_id: str | None) -> Segments:
    """See :meth:`babyhubert.annotation.segments.Segments.from_csv`."""
    path = Path(path)
    parts = refuse_failures(csv_tables.read_file(path, recording_id or path.stem))
    return _chosen(parts, recording_id, str(path))


def _chosen(parts: Mapping[str, Segments], recording_id: str | None, source: str) -> Segments:
    if not parts:
        return Segments.empty()
    return parts[choose_recording(parts, recording_id, source)]


def choose_recording(names: Collection[str], recording_id: str | None, source: str) -> str:
    """Name, as a file or table spells it, of the recording to take.

    Args:
        names: Names in the file.
        recording_id: The recording; None: the only one.
        source: The file or table, for messages.

    Raises:
        AnnotationError: no such recording, or several and none is named.
    """
    if recording_id is not None:
        found = next((name for name in spellings(recording_id) if name in names), None)
        if found is None:
            raise AnnotationError(f"{source}: no recording {recording_id}; it has {some_names(sorted(names))}")
        return found
    if len(names) > 1:
        raise AnnotationError(
            f"{source}: {len(names)} recordings ({some_names(sorted(names))}); name one: recording_id="
        )
    return next(iter(names))
