"""Annotation formats that are read and written: one line each, and a module with the reader and the writer.

The module of a format holds ``read_file(path, recording_id)``, which gives segments (or an error) by recording, and
``write_file(path, recording)``, which gives what a user must know of what was written. The module of a format made of
tiers holds ``read_tiers(path, recording_id)`` and ``write_tiers(path, tiers, recording)`` in their place. A new format
is a module and a line in ``FORMATS``. Modules are named, not imported: a list of names costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from babyhubert.errors import AnnotationError

if TYPE_CHECKING:
    from babyhubert.annotation.codes import TierNaming
    from babyhubert.annotation.columns import Column
    from babyhubert.annotation.recording_rows import Parts
    from babyhubert.annotation.segments import Segments
    from babyhubert.annotation.tiers import Tier


@dataclass(frozen=True)
class WrittenRecording:
    """One recording's annotations, and what some formats say of the recording besides.

    Attributes:
        recording_id: Its id.
        segments: Who speaks when.
        samples: Its length at 16 kHz; 0 where that is not known.
        audio: Its audio file, if known.
        naming: Names of tiers.
        columns: Columns that become tiers below those of voices; None: the published ones.
        confidence: RTTM's ninth field holds the confidence of segments that have one.
        base: File of the same format whose other content, such as ELAN's vocabularies, is kept.
    """

    recording_id: str
    segments: Segments
    samples: int = 0
    audio: Path | None = None
    naming: TierNaming = "aclew"
    columns: Sequence[Column] | None = None
    confidence: bool = False
    base: Path | None = None


class _SegmentsModule(Protocol):
    def read_file(self, path: Path, recording_id: str) -> Parts: ...

    def write_file(self, path: Path, recording: WrittenRecording) -> Iterable[str]: ...


class _TiersModule(Protocol):
    def read_tiers(self, path: Path, recording_id: str) -> list[Tier]: ...

    def write_tiers(self, path: Path, tiers: Sequence[Tier], recording: WrittenRecording) -> None: ...

    def why_not_rewritten(self, path: Path) -> str | None: ...


@dataclass(frozen=True)
class AnnotationFormat:
    """One format.

    Attributes:
        name: Name in commands, and of the folder that holds its files.
        suffix: End of its files' names; compared without regard to case.
        program: Name of the program or of the kind of table, for help texts; empty where the name says it.
        module: Module in this package.
        tiers: Made of tiers of disjoint pieces, so it can hold a tier that says something of the recording.
        written: Has a writer.
    """

    name: str
    suffix: str
    program: str
    module: str
    tiers: bool = False
    written: bool = True

    def read(self, path: Path, recording_id: str) -> Parts:
        """Segments of each recording in a file, or its error.

        Args:
            path: The file.
            recording_id: Name of the recording in files that do not carry one.

        Raises:
            AnnotationError: no recording of the file can be read.
        """
        if not self.tiers:
            return cast(_SegmentsModule, self._module()).read_file(path, recording_id)
        from babyhubert.annotation.columns import columns_beside
        from babyhubert.annotation.tiers import segments_of

        tiers = self.read_tiers(path, recording_id)
        return {recording_id: segments_of(tiers, columns_beside(path))}

    def write(self, path: Path, recording: WrittenRecording) -> list[str]:
        """Write one recording's file; sentences that a user must know.

        Raises:
            AnnotationError: the format cannot hold a label.
            OutputError: the file cannot be written.
        """
        if not self.tiers:
            return list(cast(_SegmentsModule, self._module()).write_file(path, recording))
        from babyhubert.annotation.columns import COLUMNS
        from babyhubert.annotation.tiers import lay_out

        columns = COLUMNS if recording.columns is None else recording.columns
        layout = lay_out(recording.segments, recording.recording_id, recording.naming, columns)
        self.write_tiers(path, layout.tiers, recording)
        return list(layout.notes())

    def write_tiers(self, path: Path, tiers: Sequence[Tier], recording: WrittenRecording) -> None:
        """Write tiers that are laid out already, parents before their dependents."""
        self._tiers_module().write_tiers(path, tiers, recording)

    def read_tiers(self, path: Path, recording_id: str) -> list[Tier]:
        """Tiers of a file of a format that is made of them.

        Raises:
            AnnotationError: it cannot be read.
        """
        return self._tiers_module().read_tiers(path, recording_id)

    def why_not_rewritten(self, path: Path) -> str | None:
        """Reason why writing the tiers of a file anew would lose something; None if nothing would be lost.

        Raises:
            AnnotationError: it cannot be read.
        """
        return self._tiers_module().why_not_rewritten(path)

    def _tiers_module(self) -> _TiersModule:
        return cast(_TiersModule, self._module())

    def _module(self) -> object:
        return import_module(f"babyhubert.annotation.{self.module}")


FORMATS = (
    AnnotationFormat("rttm", ".rttm", "", "rttm"),
    AnnotationFormat("csv", ".csv", "", "csv_tables"),
    AnnotationFormat("its", ".its", "LENA", "its", written=False),
    AnnotationFormat("eaf", ".eaf", "ELAN", "eaf", tiers=True),
    AnnotationFormat("textgrid", ".TextGrid", "Praat", "textgrid", tiers=True),
    AnnotationFormat("chat", ".cha", "CHILDES", "chat_voices", written=False),
    AnnotationFormat("audacity", ".txt", "labels", "audacity"),
    AnnotationFormat("vtt", ".vtt", "WebVTT captions", "webvtt"),
)
"""In the order in which a folder that holds several kinds is read: the first kind found is the one."""

WRITTEN = {one.name: one for one in sorted(FORMATS, key=lambda one: not one.tiers) if one.written}
"""Formats with a writer by name, those of annotation programs first."""

SUFFIXES = tuple(one.suffix for one in FORMATS)


def format_of(path: Path) -> AnnotationFormat:
    """The format that a file's suffix tells.

    Raises:
        AnnotationError: a suffix of none.
    """
    found = next((one for one in FORMATS if one.suffix.lower() == path.suffix.lower()), None)
    if found is None:
        kind = path.suffix or "without suffix"
        raise AnnotationError(f"{path}: unknown kind of segments file {kind}; {listed_suffixes()} expected")
    return found


def listed_suffixes() -> str:
    """All suffixes, for a message."""
    return f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"


def listed_programs(formats: Iterable[AnnotationFormat]) -> str:
    """Names with their programs, for a help text: ``eaf (ELAN), rttm``."""
    return ", ".join(f"{one.name} ({one.program})" if one.program else one.name for one in formats)
