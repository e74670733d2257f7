"""Names of the columns of tables, in one place: which recording, from when to when, whose voice, which child.

Tables come from several tools, and each names the same things differently; ``onset`` is seconds in one and
milliseconds in another. A layout says which columns belong together and in which unit their times are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from babyhubert.annotation.text import parse_ends, parse_milliseconds, parse_span
from babyhubert.errors import AnnotationError
from babyhubert.timebase import ms_to_samples


@dataclass(frozen=True)
class Stretch:
    """Two columns that say from when to when something is.

    Attributes:
        start: Column of the start.
        second: Column of the end, or of the duration.
        unit: Of both.
        lasting: The second is a duration.
    """

    start: str
    second: str
    unit: Literal["s", "ms"] = "s"
    lasting: bool = False

    def __post_init__(self) -> None:
        if self.lasting and self.unit == "ms":
            raise ValueError("no table gives durations in milliseconds")

    def is_in(self, columns: Collection[str]) -> bool:
        """True for a table that has both columns."""
        return self.start in columns and self.second in columns

    def parse(self, row: Mapping[str, str], where: str) -> tuple[int, int]:
        """First sample, and the one after the last.

        Raises:
            AnnotationError: no times of a recording; the message begins with ``where``.
        """
        if self.unit == "s":
            return (parse_span if self.lasting else parse_ends)(row[self.start], row[self.second], where)
        onset, offset = (parse_milliseconds(row[name], name, where) for name in (self.start, self.second))
        if offset < onset:
            raise AnnotationError(f"{where}: ends at {offset} ms, before it starts at {onset} ms")
        return ms_to_samples(onset), ms_to_samples(offset)


@dataclass(frozen=True)
class Layout:
    """Columns of a table of segments. Tables of this package name a recording by ``recording_id``.

    Attributes:
        recording: Column of the recording's name; None in a table of one recording.
        stretch: Columns of its times.
        label: Column of the voice.
    """

    recording: str | None
    stretch: Stretch
    label: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Their names in order."""
        recording = () if self.recording is None else (self.recording,)
        return (*recording, self.stretch.start, self.stretch.second, self.label)


COMBINED = Layout("uid", Stretch("start_time_s", "duration_s", lasting=True), "label")
"""VTC's table of many recordings, as published; with ``addressee``, that of the addressee model."""

UTTERANCE = Layout("recording_id", COMBINED.stretch, "label")
"""Tables of utterances of this package."""

TRUTH = Layout("recording_id", Stretch("start_s", "end_s"), "label")
"""Truth of simulated scenes, and tables for training."""

CHILDPROJECT = Layout(None, Stretch("segment_onset", "segment_offset", "ms"), "speaker_type")
"""ChildProject's ``csv`` format; of many recordings with a column ``recording_filename``."""

BABAR = Layout("filename", Stretch("onset", "offset"), "speaker")
"""Utterances of the phoneme recogniser, as published."""

SYMBOLS = Layout("recording_id", BABAR.stretch, BABAR.label)
"""Utterances of other recognisers, and times of phonemes."""

LENA = Layout("recording_id", Stretch("startTime", "endTime"), "spkr")
"""Names of the attributes in LENA's files."""

TINYVOX = Stretch("onset", "offset", "ms")
"""Times in TinyVox's list of utterances."""

STRETCHES = (
    TRUTH.stretch,
    Stretch("start_time_s", "end_time_s"),
    COMBINED.stretch,
    CHILDPROJECT.stretch,
    TINYVOX,
)
"""Times in tables for training, the first that a table has."""

RECORDING_FILENAME = "recording_filename"
RECORDINGS = ("recording_id", "uid", "uri")
"""Columns of a recording's name in tables for training."""


def recording_of(row: Mapping[str, str], where: str) -> str:
    """Recording that a row of a table names.

    Raises:
        AnnotationError: no column of a recording's name; the message begins with ``where``.
    """
    name = next((name for name in RECORDINGS if name in row), None)
    if name is None:
        raise AnnotationError(f"{where}: no column recording_id")
    return row[name]


PATHS = ("path", "file_path", "audio_path", "audio_filename", RECORDING_FILENAME, "original_audio_path")
"""Columns of a recording's file there."""

LISTED_RECORDINGS = ("recording_id", RECORDING_FILENAME, "uid", "filename")
"""Columns of a recording's name, with or without suffix, in tables that say something of each recording."""

CHILDREN = ("child_pseudoid", "child_id")
SPEAKERS = ("speaker_id", "speaker")
UTTERANCES = ("utterance_id", "audio_filename")
"""Columns of the name of an utterance that is a recording of its own."""

TRANSCRIPTIONS = ("phones", "phonemes")
VOICES = ("label", "speaker_type", "speaker")
"""Columns of a voice in tables of transcriptions."""
