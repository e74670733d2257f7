"""Annotated material as fine-tuning knows it: where it is, and the rows and recordings that come out.

:mod:`babyhubert.material.sources` reads it from the layouts that there are.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Discriminator, Field, PositiveInt, SerializerFunctionWrapHandler, Tag, model_serializer

from babyhubert.annotation.intervals import Intervals
from babyhubert.audio.discovery import RecordingFile
from babyhubert.config import Config, Seed


class DataSource(Config):
    """Where material is.

    Attributes:
        path: A folder, a ``.txt`` list, a ``.csv`` or ``.parquet`` table, a ChildProject project, a CHAT transcript
            ``.cha`` or a folder of them.
        audio: Where the recordings of a list, a table or transcripts are; the folder it stands in when absent.
        select: Recordings to take, as shell patterns of their ids; all when empty.
        uem: UEM file or folder of them: what was annotated. Outside, nothing is learnt and nothing scored.
        recording_column: Column of a table that names the recording, where several could.
        group_column: Column that says which rows may not be separated by a split (child, speaker). Voice type, which
            learns whole recordings, wants one value for all rows of a recording.
        without_speakers: CSV whose column ``speaker_id`` names speakers to leave out, of a test set or of doubtful
            labels for example. Rows then need a column ``speaker_id`` or ``speaker``. For voice type, which learns
            whole recordings, what they say counts as not annotated.
        annotation_set: Set of a ChildProject project.
        tier: Phonetic tier of CHAT transcripts. ``pho`` is what was actually said; ``mod`` what should have been.
        times: How often its material stands in training, as if there were so many copies of it: little but fitting
            material beside much that fits less. Validation hears everything once.
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
    times: PositiveInt = 1

    @model_serializer(mode="wrap")
    def _without_what_is_younger_than_runs(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Runs that were begun before there was ``times`` go on: their fingerprint knows nothing of it."""
        content = serialise(self)
        if self.times == 1:
            del content["times"]
        return content


def _kind_of(value: Any) -> str:
    return "path" if isinstance(value, str) else "list" if isinstance(value, list | tuple) else "table"


_Source = Annotated[str, Tag("path")] | Annotated[DataSource, Tag("table")]
_One = Annotated[_Source, Discriminator(_kind_of)]
Sources = Annotated[_Source | Annotated[Sequence[_One], Tag("list")], Discriminator(_kind_of)]
"""A path, a table of :class:`DataSource`, or a list of such; an error is told for the kind that is there."""


class DataSettings(Config):
    """Material of a task: what to train on and what to validate on.

    Attributes:
        train: A source, or its path alone; or several.
        validation: The same; absent, a share of the training groups (children, speakers, else recordings) is held out.
        validation_share: Share of the groups held out for validation.
        test_share: Share of the groups that neither training nor validation sees.
        split_seed: Decides which.
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
        rows: What is annotated in it, perhaps nothing.
        annotated: Stretches that were annotated; None: all of it.
        group: What a split may not separate, where that is one for the whole recording.
        untimed: Rows whose place in it is not known; told, never used.
        times: How often it stands in training.
    """

    file: RecordingFile
    rows: tuple[SourceRow, ...]
    annotated: Intervals | None = None
    group: str | None = None
    untimed: tuple[SourceRow, ...] = ()
    times: int = 1


@dataclass
class LeftOut:
    """What did not enter the material, and why; told to the user and written beside the run."""

    items: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, item: str) -> None:
        """Note one piece."""
        self.items.setdefault(reason, []).append(item)

    def __str__(self) -> str:
        return "; ".join(
            f"{len(items)} left out: {reason} (first: {items[0]})" for reason, items in self.items.items()
        )


def is_selected(name: str, patterns: Sequence[str]) -> bool:
    """Whether a recording's name fits one of some shell patterns, or there are none."""
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
