"""Corrected clips as a reference in recording time, for ``babyhubert evaluate``.

A clip whose file is byte for byte unchanged was not annotated: counting it would score the predictions against
themselves. Annotators write ``done`` on the tier ``code`` of a clip without corrections. Only the stretch to annotate
counts, not the context around it, as ``annotated.uem`` records.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.annotation.columns import (
    COLUMNS,
    Column,
    columns_beside,
    layout_of_all,
    layout_of_symbols,
    other_column,
    write_columns,
)
from babyhubert.annotation.csv_tables import write_childproject_csv
from babyhubert.annotation.formats import format_of
from babyhubert.annotation.intervals import Intervals, union
from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import CsvTable
from babyhubert.annotation.tiers import column_texts
from babyhubert.annotation.uem import UEM_NAME
from babyhubert.errors import AnnotationError, ConfigError, UnsafeNameError, some_names
from babyhubert.exchange.clips import CLIPS_TABLE, SAMPLE_FILE, UNFINISHED, read_json, within
from babyhubert.exchange.export import format_uem
from babyhubert.exchange.recordings import Failure
from babyhubert.files import csv_text, path_below, require_safe_name, write_json, write_text
from babyhubert.hashing import file_sha256
from babyhubert.timebase import format_length, format_seconds, ms_to_samples

ANNOTATORS = "annotators"
"""Folder of the people who correct copies of the clips' files, a folder each."""

_NEEDED = ("clip", "recording_id", "segment_onset", "segment_offset", "audio_onset", "annotation_sha256")


@dataclass(frozen=True)
class Clip:
    """A row of ``clips.csv``; times in milliseconds of the recording, the stratum if it was drawn from one."""

    folder: Path
    name: str
    recording_id: str
    onset: int
    offset: int
    audio_onset: int
    sha256: str
    method: str = ""
    stratum: int | None = None

    @property
    def drawn(self) -> list[Any]:
        """As ``sample.json`` lists it: recording, onset, offset, and the stratum if it was drawn from one."""
        stratum = [] if self.stratum is None else [self.stratum]
        return [self.recording_id, self.onset, self.offset, *stratum]

    @property
    def file(self) -> Path:
        """The annotation file.

        Raises:
            UnsafeNameError: the table names a file outside the folder of the clips.
        """
        return path_below(self.folder, self.name)


def annotation_file(clip: Clip, annotator: str = "") -> Path:
    """The annotation file of a clip, or that of one of several people who correct copies.

    Args:
        clip: The clip.
        annotator: Name that the person gave to ``babyhubert review``; empty: the clip's own file.

    Raises:
        UnsafeNameError: the table or the name leads outside the folder of the clips.
        ConfigError: the name cannot be that of a folder.
    """
    if not annotator:
        return clip.file
    if "/" in annotator or "\\" in annotator or annotator.startswith(".") or not annotator.isprintable():
        raise ConfigError(f"--annotator {annotator!r}: a name without / and \\ that does not begin with a dot")
    require_safe_name(annotator)
    return path_below(clip.folder / ANNOTATORS, f"{annotator}/{clip.name}")


@dataclass
class CollectSummary:
    """Result of collecting clips.

    Attributes:
        clips: Clips read.
        samples: Their length without context.
        untouched: Clips skipped because they are unchanged.
        unfinished: Clips skipped because the person who reviews them has not said that they are done.
        failures: Clips that cannot be read.
        uem: The UEM file.
    """

    clips: int = 0
    samples: int = 0
    untouched: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    uem: Path = Path()


def read_clips(folder: Path) -> list[Clip]:
    """Read the list of clips of a folder that ``babyhubert sample`` wrote.

    Raises:
        AnnotationError: no such list, or a row of it is malformed (named).
    """
    path = folder / CLIPS_TABLE
    if not path.exists():
        raise AnnotationError(f"{folder}: holds no {CLIPS_TABLE}; give a folder that 'babyhubert sample' wrote")
    table = CsvTable(path)
    absent = [name for name in _NEEDED if name not in table.columns]
    if absent:
        raise AnnotationError(
            f"{path}: column {absent[0]} is missing; restore the file that 'babyhubert sample' wrote"
        )
    clips = []
    for line, row in table:
        try:
            onset, offset, audio_onset = (int(row[name]) for name in _NEEDED[2:5])
            stratum = int(row["stratum"]) if row.get("stratum") else None
        except ValueError:
            raise AnnotationError(
                f"{path}, line {line}: times must be whole milliseconds, strata whole numbers"
            ) from None
        if not 0 <= audio_onset <= onset < offset:
            raise AnnotationError(f"{path}, line {line}: {onset} to {offset} ms is no clip")
        about = (row["annotation_sha256"], row.get("method", ""), stratum)
        clips.append(Clip(folder, row["clip"], row["recording_id"], onset, offset, audio_onset, *about))
    return clips


def collect(folder: Path, output: Path, *, include_untouched: bool = False, annotator: str = "") -> CollectSummary:
    """Write ``rttm/``, ``csv/``, ``annotated.uem`` and ``sample.json`` of the clips that were annotated.

    Where somebody said to whom adults speak, also ``rttm_addressee.csv``; likewise ``rttm_<task>.csv`` of any
    other task that sorts segments into classes; and ``phonemes/`` where somebody wrote what the child said.

    Args:
        folder: The clips.
        output: Folder for the reference.
        include_untouched: Count clips whose file is unchanged as annotated and correct.
        annotator: Take the files of this person, see :func:`annotation_file`.

    Raises:
        AnnotationError: see :func:`read_clips`; two clips of a recording overlap; no clip was annotated; a person who
            annotated none.
    """
    _check_annotator(folder, annotator)
    summary = CollectSummary(uem=output / UEM_NAME)
    segments: dict[str, list[Segments]] = {}
    stretches: dict[str, list[Clip]] = {}
    for clip in read_clips(folder):
        try:
            require_safe_name(clip.recording_id)
            file = annotation_file(clip, annotator)
            if annotator and not file.is_file():
                file = clip.file  # of which the person would have made a copy
                if not include_untouched:
                    summary.untouched.append(str(file))
                    continue
            if not include_untouched and file.is_file() and file_sha256(file) == clip.sha256:
                summary.untouched.append(str(file))
                continue
            if _is_unfinished(file, clip):
                summary.unfinished.append(str(file))
                continue
            part = _in_recording_time(clip, file)
        except (AnnotationError, UnsafeNameError, OSError) as error:
            summary.failures.append(Failure(clip.name, str(error)))
            continue
        segments.setdefault(clip.recording_id, []).append(part)
        stretches.setdefault(clip.recording_id, []).append(clip)
        summary.clips += 1
        summary.samples += ms_to_samples(clip.offset - clip.onset)
    whole = {name: Segments.concatenate(parts) for name, parts in segments.items()}
    scored = {name: _stretch(clips) for name, clips in stretches.items()}
    if whole:
        _write(output, whole, scored, columns_beside(folder))
        _write_sample(folder, output)
    return summary


def _write_sample(folder: Path, output: Path) -> None:
    """Write ``sample.json`` with the clips that were drawn, annotated or not: what the reference is a sample of."""
    about = read_json(folder / SAMPLE_FILE)
    if output.resolve() == folder.resolve():
        return
    if not isinstance(about, dict):
        (output / SAMPLE_FILE).unlink(missing_ok=True)  # of an earlier reference here
        return
    write_json(output / SAMPLE_FILE, {**about, **drawn_clips(folder)})


def drawn_clips(folder: Path) -> dict[str, Any]:
    """The clips that were drawn and the methods, one in general, as ``sample.json`` of a reference lists them.

    Raises:
        AnnotationError: see :func:`read_clips`.
    """
    clips = read_clips(folder)
    return {"clips": [clip.drawn for clip in clips], "methods": sorted({clip.method for clip in clips if clip.method})}


def _check_annotator(folder: Path, annotator: str) -> None:
    people = sorted(path.name for path in (folder / ANNOTATORS).glob("*") if path.is_dir())
    if annotator and annotator not in people:
        known = f"there are {some_names(people)}" if people else "nobody reviewed these clips under a name"
        raise AnnotationError(f"{folder}: nothing of {annotator!r}; {known}")


def _is_unfinished(file: Path, clip: Clip) -> bool:
    """True for a clip that a person began to review and has not finished."""
    kind = format_of(file)
    tiers = kind.read_tiers(file, clip.recording_id) if kind.tiers else ()
    return any(
        piece.text.strip() == UNFINISHED
        for tier in tiers
        if tier.name.strip().lower() == "code"
        for piece in tier.pieces
    )


def _in_recording_time(clip: Clip, file: Path) -> Segments:
    """The segments of a clip's file inside the stretch to annotate, in samples of the recording."""
    found = read_segments(file, clip.recording_id)[clip.recording_id]
    first, last = (ms_to_samples(side - clip.audio_onset) for side in (clip.onset, clip.offset))
    inside = within(found, first, last)
    shift = ms_to_samples(clip.onset)
    return Segments(inside.start + shift, inside.end + shift, inside.label, inside.columns)


def _stretch(clips: list[Clip]) -> Intervals:
    clips = sorted(clips, key=lambda clip: clip.onset)
    for one, other in itertools.pairwise(clips):
        if other.onset < one.offset:
            raise AnnotationError(f"{one.file} and {other.file} overlap in {one.recording_id}; keep one in clips.csv")
    spans = np.array([(ms_to_samples(clip.onset), ms_to_samples(clip.offset)) for clip in clips], dtype=np.int64)
    return union(*spans.T)


def _write(
    output: Path, recordings: dict[str, Segments], stretches: dict[str, Intervals], columns: tuple[Column, ...]
) -> None:
    for name, segments in recordings.items():
        write_rttm(path_below(output / "rttm", name, ".rttm"), name, segments)
        write_childproject_csv(path_below(output / "csv", name, ".csv"), segments)
    for column in _filled(recordings, columns):
        if column.kind == "ctc":
            for name, segments in recordings.items():
                write_text(path_below(output / column.task, name, ".csv"), _symbols(name, segments, column))
            continue
        rows = (row for name, segments in recordings.items() for row in _rows(name, segments, column))
        header = csv_text([(*layout_of_all(column.task).columns, column.name)])
        write_text(output / f"rttm_{column.task}.csv", header + "".join(rows))
    write_columns(output, columns)
    write_text(output / UEM_NAME, format_uem(stretches))


def _filled(recordings: dict[str, Segments], columns: tuple[Column, ...]) -> Iterator[Column]:
    """Columns of classes and of symbols that somebody filled; tiers that nothing describes are taken for classes."""
    names = dict.fromkeys(name for segments in recordings.values() for name in segments.columns)
    known = {column.name: column for column in (*COLUMNS, *columns)}
    for name in names:
        column = known.get(name) or other_column(name)
        if column.kind != "text" and name != "transcription":
            yield column


def _symbols(name: str, segments: Segments, column: Column) -> str:
    """The table of one recording as the command that writes symbols has it."""
    asked = segments.where(column.applies_to(segments))
    rows = zip(asked, column_texts(asked, column.name), strict=True)
    spoken = ((name, format_seconds(s), format_seconds(e), label, value) for (s, e, label), value in rows)
    return csv_text([(*layout_of_symbols(column.task).columns, "phonemes"), *spoken])


def _rows(name: str, segments: Segments, column: Column) -> Iterator[str]:
    rows = zip(segments, column_texts(segments, column.name), strict=True)
    yield csv_text(
        (name, format_seconds(start), format_length(start, end), label, value) for (start, end, label), value in rows
    )
