"""Segments as pandas data frames, and back: times in seconds, every column kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.codes import FROM_CHILDPROJECT
from babyhubert.annotation.one_recording import choose_recording
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.table_columns import (
    BABAR,
    CHILDPROJECT,
    COMBINED,
    LISTED_RECORDINGS,
    TRUTH,
    Layout,
    Stretch,
)
from babyhubert.audio.discovery import without_suffix
from babyhubert.errors import AnnotationError, MissingExtraError
from babyhubert.timebase import LONGEST_RECORDING_S, SAMPLE_RATE, SAMPLES_PER_MS

if TYPE_CHECKING:
    from pandas import DataFrame

_LAYOUTS = (TRUTH, COMBINED, CHILDPROJECT, BABAR)
_RECORDING = LISTED_RECORDINGS[0]
_FRAME = "the data frame"


def to_data_frame(segments: Segments, recording_id: str | None) -> DataFrame:
    """See :meth:`babyhubert.annotation.segments.Segments.to_pandas`."""
    try:
        from pandas import DataFrame
    except ImportError:
        raise MissingExtraError("a data frame", "table") from None
    start, end, label = TRUTH.stretch.start, TRUTH.stretch.second, TRUTH.label
    own: dict[str, Any] = {} if recording_id is None else {_RECORDING: np.full(len(segments), recording_id, object)}
    own |= {start: segments.start / SAMPLE_RATE, end: segments.end / SAMPLE_RATE, label: segments.label}
    twice = next((name for name in segments.columns if name in own), None)
    if twice is not None:
        raise AnnotationError(
            f"the column {twice} of these segments has the name of another in data frames; rename it"
        )
    return DataFrame(own | dict(segments.columns))


def from_data_frame(frame: DataFrame, recording_id: str | None) -> Segments:
    """See :meth:`babyhubert.annotation.segments.Segments.from_pandas`."""
    layout = next((each for each in _LAYOUTS if {*each.columns} - {each.recording} <= {*frame.columns}), None)
    if layout is None:
        known = "; ".join(",".join(name for name in each.columns if name != each.recording) for each in _LAYOUTS)
        raise AnnotationError(
            f"{_FRAME} has the columns {', '.join(map(str, frame.columns))}; one of these sets is needed: {known}"
        )
    names = next((name for name in LISTED_RECORDINGS if name in frame.columns), None)
    frame = _rows_of(frame, names, recording_id)
    start, end = _times(frame, layout.stretch)
    labels, voices = _labels(frame, layout)
    taken = {layout.stretch.start, layout.stretch.second, layout.label, names}
    columns = {str(name): frame[name].to_numpy()[voices] for name in frame.columns if name not in taken}
    return Segments(start[voices], end[voices], labels[voices], columns)


def _rows_of(frame: DataFrame, names: str | None, recording_id: str | None) -> DataFrame:
    """Rows of one recording."""
    if names is None:
        if recording_id is not None:
            raise AnnotationError(
                f"{_FRAME} has no column of recordings, so that no rows of {recording_id} can be told"
            )
        return frame
    recordings = frame[names].astype(str).map(without_suffix)
    if recordings.empty:
        return frame
    return frame[recordings == choose_recording(set(recordings), recording_id, _FRAME)]


def _times(frame: DataFrame, stretch: Stretch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends in samples.

    Raises:
        AnnotationError: a time that no recording has.
    """
    start, second = (_samples(frame, name, stretch.unit) for name in (stretch.start, stretch.second))
    end = start + second if stretch.lasting else second
    if np.any(end < start):
        row = int(np.argmax(end < start))
        raise AnnotationError(f"{_FRAME}, row {row}: ends at {end[row] / SAMPLE_RATE:g} s, before it starts")
    return start, end


def _samples(frame: DataFrame, name: str, unit: str) -> NDArray[np.int64]:
    try:
        values = frame[name].to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise AnnotationError(f"{_FRAME}: {name} holds something that is no number; convert it first") from None
    samples = values * (SAMPLE_RATE if unit == "s" else SAMPLES_PER_MS)
    wrong = ~((samples >= 0) & (samples <= LONGEST_RECORDING_S * SAMPLE_RATE))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise AnnotationError(f"{_FRAME}, row {row}: {name} is {values[row]:g}, no time of a recording in {unit}")
    return np.floor(samples + 0.5).astype(np.int64)


def _labels(frame: DataFrame, layout: Layout) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Labels, and the rows that have one; ChildProject's names of voices are replaced by those used here."""
    values = frame[layout.label]
    present = values.notna().to_numpy(dtype=bool)
    labels = values.astype(str).to_numpy(dtype=object)
    if layout is CHILDPROJECT:
        present = present & (labels != "NA")
        labels = np.array([FROM_CHILDPROJECT.get(label, label) for label in labels], dtype=object)
    elif not present.all():
        raise AnnotationError(f"{_FRAME}, row {int(np.argmin(present))}: no {layout.label}")
    return labels, present
