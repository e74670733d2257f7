"""Input segments of the utterance-level commands: a file, a folder, or the results of `segment`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from babyhubert.annotation.codes import refuse_ambiguous
from babyhubert.annotation.reading import read_annotations, read_segments
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.names import rttm_uri, spellings
from babyhubert.audio.preflight import PreflightReport
from babyhubert.errors import AnnotationError, some_names
from babyhubert.files import file_identity, path_below
from babyhubert.runs.folder import RunFolder

_LABELS_SHOWN = 8


def refuse_strangers(segments: Collection[str], given: Collection[str]) -> None:
    """Raise if segments belong to recordings that were not given.

    Raises:
        AnnotationError: naming the first.
    """
    absent = sorted(set(segments) - set(given) - {rttm_uri(name) for name in given})
    if absent:
        raise AnnotationError(
            f"the segments name {len(absent)} recordings that were not given (first: {absent[0]}); "
            "give their audio or take them out"
        )


class SegmentsSource(Protocol):
    """Interface of the input segments by recording."""

    def of(self, recording_id: str) -> Segments:
        """The segments of a recording; none if it is unknown."""


class FileSegments:
    """Segments of a file, or of a folder of files.

    Args:
        path: RTTM, CSV or another format of `read_annotations`.

    Raises:
        AnnotationError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tables = read_annotations(path)

    def of(self, recording_id: str) -> Segments:
        """See :class:`SegmentsSource`."""
        return next((self.tables[name] for name in spellings(recording_id) if name in self.tables), Segments.empty())

    def check_voices(self, voices: Sequence[str]) -> None:
        """Raise if a label CHI could be the requested key child.

        Raises:
            AnnotationError: there is one, and no KCHI.
        """
        there = {label: name for name, table in self.tables.items() for label in set(table.label)}
        if "KCHI" in voices and "KCHI" not in there and "CHI" in there:
            refuse_ambiguous(["CHI"], there["CHI"])

    def knows(self, recording_id: str) -> bool:
        """True if there is an entry for a recording."""
        return any(name in self.tables for name in spellings(recording_id))


class OutputSegments:
    """Results of `segment` in an output folder.

    Args:
        output: The folder.
    """

    def __init__(self, output: Path) -> None:
        self._folder = RunFolder(output, "segment")

    def of(self, recording_id: str) -> Segments:
        """See :class:`SegmentsSource`."""
        path = self._path(recording_id)
        return next(iter(read_segments(path, recording_id).values())) if path.is_file() else Segments.empty()

    def knows(self, file: RecordingFile) -> bool:
        """True if `segment` completed a recording that is still the same file."""
        record = self._folder.record(file.recording_id)
        return (
            record is not None
            and "outputs" in record
            and record.get("audio") == file_identity(file.path)
            and self._folder.fault(record, self._path(file.recording_id)) is None
        )

    def _path(self, recording_id: str) -> Path:
        return path_below(self._folder.output / "rttm", recording_id, ".rttm")


def segments_source(output: Path, given: Path | None) -> FileSegments | OutputSegments:
    """Source of a run's input segments: the given one, else the results of `segment` in the output folder.

    A table ``rttm.csv`` there without a run of `segment` counts as given.

    Raises:
        AnnotationError: the file that was given cannot be read.
    """
    table = output / "rttm.csv"
    if given is None and table.is_file() and not (RunFolder(output, "segment").state / "records").is_dir():
        given = table
    return OutputSegments(output) if given is None else FileSegments(given)


def require_segments(
    source: FileSegments | OutputSegments,
    checked: PreflightReport,
    find: Callable[[PreflightReport], Sequence[tuple[Path, str]]],
) -> tuple[PreflightReport, tuple[str, ...]]:
    """Segment the recordings that have no segments.

    Args:
        source: Source of segments.
        checked: The recordings of the run.
        find: Runs `segment` over recordings into the output folder; path and error of those that failed.

    Returns:
        The recordings, with failed ones among the bad; and notes, one line each.

    Raises:
        AnnotationError: the segments name recordings that were not given.
    """
    if isinstance(source, FileSegments):
        refuse_strangers(source.tables, {file.recording_id for file, _ in (*checked.good, *checked.bad)})
        unknown = [file.recording_id for file, _ in checked.good if not source.knows(file.recording_id)]
        return checked, tuple(
            f"{name}: no segment of it in {source.path}; taken as one without speech" for name in unknown
        )
    missing = [(file, info) for file, info in checked.good if not source.knows(file)]
    if not missing:
        return checked, ()
    failed = dict(find(replace(checked, good=missing, bad=[])))
    good = [(file, info) for file, info in checked.good if file.path not in failed]
    bad = [*checked.bad, *((file, failed[file.path]) for file, _ in missing if file.path in failed)]
    return replace(checked, good=good, bad=bad), ()


def unmatched_label_notes(
    source: FileSegments | OutputSegments, recording_ids: Sequence[str], command: str, voices: Sequence[str]
) -> Iterator[str]:
    """Notes on recordings whose segments all have other labels than those of a command.

    Results of `segment` need none: their labels are correct.

    Args:
        source: Source of segments.
        recording_ids: The recordings of the run.
        command: Its name.
        voices: Labels of the command.
    """
    if not isinstance(source, FileSegments) or not voices:
        return
    others: Counter[str] = Counter()
    nothing = []
    for name in recording_ids:
        labels = Counter(source.of(name).label.astype(str).tolist())
        if labels and not labels.keys() & set(voices):
            nothing.append(name)
        others.update({label: count for label, count in labels.items() if label not in voices})
    if not nothing:
        return
    counts = some_names([f"{label or '(none)'} ({count})" for label, count in others.most_common()], _LABELS_SHOWN)
    strange = [label for label, _ in others.most_common() if label and label not in VOICE_TYPES]
    yield (
        f"labels that '{command}' does not ask about: {counts}; it takes {', '.join(voices)}, of which {len(nothing)} "
        f"of {len(recording_ids)} recordings have none (first: {nothing[0]})"
    ) + (_renaming(strange, voices, source.path) if strange else "")


def _renaming(strange: Sequence[str], voices: Sequence[str], path: Path) -> str:
    """Remedy for unknown labels."""
    condition = "it means" if len(strange) == 1 else "they mean"
    return f"; rename {some_names(strange, _LABELS_SHOWN)} in {path} if {condition} {' or '.join(voices)}"
