"""Annotated material of fine-tuning: its settings, and the resulting rows and recordings.

:mod:`babyhubert.material.sources` reads it from the supported layouts.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Discriminator, Field, PositiveInt, Tag

from babyhubert.annotation.intervals import Intervals
from babyhubert.audio.discovery import RecordingFile
from babyhubert.config import Config, Seed


class DataSource(Config):
    """A source of annotated material.

    Attributes:
        path: A folder, a ``.txt`` list, a ``.csv`` or ``.parquet`` table, a ChildProject project, a CHAT transcript
            ``.cha`` or a folder of them.
        audio: Folder of the recordings of a list, a table or transcripts; its own folder if absent.
        select: Recordings to use, as shell patterns of their ids; all if empty.
        uem: UEM file or folder of them with the annotated stretches. Nothing outside is used for training or scores.
        recording_column: Column of a table that names the recording, if several could.
        group_column: Column of the groups that a split must keep together (child, speaker). Voice type, which trains
            on complete recordings, requires one value for all rows of a recording.
        without_speakers: CSV whose column ``speaker_id`` names speakers to exclude, for example those of a test set or
            with doubtful labels. Rows then need a column ``speaker_id`` or ``speaker``. For voice type, which trains
            on complete recordings, their speech counts as not annotated.
        annotation_set: Set of a ChildProject project.
        tier: Phonetic tier of CHAT transcripts. ``pho`` is the actual pronunciation; ``mod`` the target.
        fields: Columns that rows lack, with the value they all have: ``{ room = "kitchen" }``. With it, a folder of
            recordings without annotations is material, too: each recording is one row.
        where: Values of columns to take, others are left out: ``{ voice = ["CHI", "TEEN"] }``.
        times: Weight of its material in training, as a number of copies: useful for a little well-matched material
            beside much that matches less. Validation uses everything once.
    """

    path: str
    audio: str | None = None
    select: Sequence[str] = ()
    uem: str | None = None
    recording_column: str | None = None
    group_column: str | None = None
    without_speakers: str | None = None
    annotation_set: str | None = None
    tier: str = "pho"
    fields: Mapping[str, str] = Field(default_factory=dict)
    where: Mapping[str, Sequence[str]] = Field(default_factory=dict)
    times: PositiveInt = 1


def _kind_of(value: Any) -> str:
    return "path" if isinstance(value, str) else "list" if isinstance(value, list | tuple) else "table"


_Source = Annotated[str, Tag("path")] | Annotated[DataSource, Tag("table")]
_One = Annotated[_Source, Discriminator(_kind_of)]
Sources = Annotated[_Source | Annotated[Sequence[_One], Tag("list")], Discriminator(_kind_of)]
"""A path, a table of :class:`DataSource`, or a list of such; errors name the kind that was given."""


class DataSettings(Config):
    """Training and validation material of a task.

    Attributes:
        train: A source, or its path alone; or several.
        validation: The same; if absent, a fraction of the training groups (children, speakers, else recordings) is
            held out.
        validation_share: Fraction of the groups held out for validation.
        test_share: Fraction of the groups used neither in training nor in validation.
        split_seed: Seed of the split.
    """

    train: Sources
    validation: Sources | None = None
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    test_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    split_seed: Seed = 0


@dataclass(frozen=True)
class SourceRow:
    """One annotated stretch.

    Attributes:
        start: First sample.
        end: Sample after the last; None: to the end of the recording.
        fields: Its columns, as text.
        where: File and line, for messages.
    """

    start: int
    end: int | None
    fields: Mapping[str, str]
    where: str


@dataclass(frozen=True)
class SourceRecording:
    """A recording with its rows.

    Attributes:
        file: Its id and path.
        rows: Its annotated stretches, possibly none.
        annotated: Stretches that were annotated; None: the complete recording.
        group: Group that a split keeps together, if it is the same for the complete recording.
        untimed: Rows without times; reported, never used.
        times: Number of its copies in training.
    """

    file: RecordingFile
    rows: tuple[SourceRow, ...]
    annotated: Intervals | None = None
    group: str | None = None
    untimed: tuple[SourceRow, ...] = ()
    times: int = 1


@dataclass
class SkippedMaterial:
    """Record of skipped material with reasons; shown to the user and written beside the run."""

    items: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, item: str) -> None:
        """Add one skipped item."""
        self.items.setdefault(reason, []).append(item)

    def __str__(self) -> str:
        return "; ".join(
            f"{len(items)} left out: {reason} (first: {items[0]})" for reason, items in self.items.items()
        )


def is_selected(name: str, patterns: Sequence[str]) -> bool:
    """True if a recording's name matches one of some shell patterns, or there are none."""
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
