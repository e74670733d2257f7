"""ChildProject projects: annotations read from their sets, and sets written ready for ChildProject's importer.

A project holds ``metadata/recordings.csv``, audio below ``recordings/raw``, and sets of annotations:
``annotations/<set>/raw`` as they came, ``annotations/<set>/converted`` as its importer made them, listed with the
stretches they cover in ``metadata/annotations.csv``, which only the importer may change. What we write is therefore
``raw`` (ChildProject's ``csv`` format, one file a recording, sub-folders as below ``recordings/raw``),
``metannots.yml``, and ``import.csv``, the table that its command ``import-annotations`` asks for. Not used: the
ChildProject package, which is tested against instead.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from babyhubert.annotation.codes import ADDRESSEE_TO_CODE, TO_CHILDPROJECT, refuse_ambiguous
from babyhubert.annotation.intervals import Intervals, union
from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.annotation.text import read_lines
from babyhubert.annotation.tiers import column_texts
from babyhubert.errors import AnnotationError, UnsafeNameError
from babyhubert.files import csv_text, path_below, write_text
from babyhubert.timebase import ms_to_samples, samples_to_ms

_INDEX = Path("metadata") / "annotations.csv"
_RECORDINGS = Path("metadata") / "recordings.csv"
_NOTHING = ("", "NA")


@dataclass(frozen=True)
class AnnotationSet:
    """One set of annotations in a project, such as ``vtc`` or ``eaf/2021``."""

    project: Path
    name: str


@dataclass(frozen=True)
class ProjectRecording:
    """A row of ``metadata/recordings.csv``.

    Attributes:
        filename: The audio below ``recordings/raw``, with forward slashes.
        duration_ms: Its length; None where the table does not say.
    """

    filename: str
    duration_ms: int | None

    @property
    def recording_id(self) -> str:
        """The filename without its suffix, as recordings are called everywhere here."""
        return PurePosixPath(self.filename).with_suffix("").as_posix()


def is_project(folder: Path) -> bool:
    """Whether a folder is a ChildProject project."""
    return (folder / _RECORDINGS).is_file()


def find_set(path: Path) -> AnnotationSet | None:
    """The set that a folder means: a project that has one set, or ``annotations/<set>`` in a project.

    None for any other folder, also for ``annotations/<set>/raw``, whose files are read as they are.

    Raises:
        AnnotationError: a project with no imported set, or with several.
    """
    path = Path(path).absolute()
    if is_project(path):
        names = sorted({row["set"] for row in _index(path)})
        if len(names) == 1:
            return AnnotationSet(path, names[0])
        if not names:
            raise AnnotationError(f"{path}: no annotations were imported; give a folder annotations/<set>/raw in it")
        raise AnnotationError(f"{path}: holds several sets ({', '.join(names)}); give {path / 'annotations'}/<set>")
    for project in path.parents:
        if is_project(project) and path.is_relative_to(project / "annotations"):
            parts = path.relative_to(project / "annotations").parts
            parts = parts[:-1] if parts[-1:] == ("converted",) else parts
            name = "/".join(parts)
            if any(row["set"] == name for row in _index(project)):
                return AnnotationSet(project, name)
    return None


def read_each_of_set(chosen: AnnotationSet) -> Iterator[tuple[Path, dict[str, Segments] | AnnotationError]]:
    """Segments of one recording after the other; an error instead where one of its files cannot be read.

    A recording that was annotated and holds nothing has an empty table; one that was not annotated is absent.
    """
    folder = path_below(chosen.project / "annotations", chosen.name) / "converted"
    files: dict[str, list[str]] = {}
    for row in _rows_of(chosen):
        files.setdefault(_recording_id(row), []).append(row["annotation_filename"])
    for recording_id, names in files.items():
        path = folder
        try:
            parts = []
            for name in names:
                path = path_below(folder, name)
                parts.append(read_segments(path, recording_id)[recording_id])
            yield path, {recording_id: Segments.concatenate(parts)}
        except AnnotationError as error:
            yield path, error
        except UnsafeNameError as error:
            yield folder, AnnotationError(f"{chosen.project / _INDEX}: {error}")


def annotated_stretches(chosen: AnnotationSet) -> dict[str, Intervals]:
    """The stretches of each recording that the set covers, in samples: what may be scored.

    Raises:
        AnnotationError: a range in the index is not in whole milliseconds.
    """
    spans: dict[str, list[tuple[int, int]]] = {}
    for row in _rows_of(chosen):
        try:
            onset, offset = (int(float(row[side])) for side in ("range_onset", "range_offset"))
        except (KeyError, ValueError):
            raise AnnotationError(
                f"{chosen.project / _INDEX}: range of {row['annotation_filename']} is not in milliseconds"
            ) from None
        spans.setdefault(_recording_id(row), []).append((ms_to_samples(onset), ms_to_samples(offset)))
    return {recording_id: union(*np.array(rows, dtype=np.int64).T) for recording_id, rows in spans.items()}


def read_project_recordings(project: Path) -> list[ProjectRecording]:
    """The recordings that a project lists; rows without audio (``NA``) are left out.

    Raises:
        AnnotationError: no such table, no column ``recording_filename``, a duration that is none, or two recordings
            with one name.
    """
    path = project / _RECORDINGS
    rows = _read_table(path, ("recording_filename",))
    found: dict[str, ProjectRecording] = {}
    for number, row in enumerate(rows, start=2):
        filename = row["recording_filename"].strip()
        if filename in _NOTHING:
            continue
        recording = ProjectRecording(filename, _duration(row.get("duration", ""), f"{path}, line {number}"))
        other = found.setdefault(recording.recording_id, recording)
        if other is not recording:
            raise AnnotationError(
                f"{path}, line {number}: {filename} and {other.filename} are both called {other.recording_id}; "
                "keep one row"
            )
    return list(found.values())


def project_audio(project: Path, recording: ProjectRecording) -> Path:
    """Where a recording's audio stands in a project, whether its content is here or not."""
    return path_below(project / "recordings" / "raw", recording.filename)


@dataclass(frozen=True)
class SetKind:
    """What a set holds.

    Attributes:
        name: Last part of the set's name.
        columns: Columns after onset, offset and speaker type.
        segmentation: Name of the kind whose segments these are.
        flags: Fields of ``metannots.yml`` that say what is in it.
    """

    name: str
    columns: tuple[str, ...]
    segmentation: str
    flags: tuple[str, ...]


VOICE_TYPE_SET = SetKind("vtc", (), "vtc", ("has_speaker_type",))
ADDRESSEE_SET = SetKind("addressee", ("addressee",), "vtc", ("has_speaker_type", "has_addressee"))
PHONEMES_SET = SetKind("phonemes", ("phonemes", "phonetic_transcription"), "vtc", ("has_speaker_type",))


def kinds_in(segments: Segments) -> tuple[SetKind, ...]:
    """The sets that a table gives: voice types always, the others where their columns are."""
    kinds = [VOICE_TYPE_SET]
    kinds += [ADDRESSEE_SET] if "addressee" in segments.columns else []
    kinds += [PHONEMES_SET] if "phonemes" in segments.columns else []
    return tuple(kinds)


def format_set_csv(segments: Segments, kind: SetKind, recording_id: str) -> str:
    """One recording of a set in ChildProject's ``csv`` format; the header alone where it is silent.

    Phonemes are the key child's: the set holds the utterances that were transcribed, their number of phonemes (which
    is what ChildProject's column ``phonemes`` means) and the transcription. ``NA`` stands where nothing was said of a
    segment, and for labels that are no voice type.

    Raises:
        AnnotationError: a label CHI, see :mod:`babyhubert.annotation.codes`.
    """
    refuse_ambiguous(segments.label, recording_id)
    lines: list[Iterable[object]] = [("segment_onset", "segment_offset", "speaker_type", *kind.columns)]
    addressees = column_texts(segments, "addressee")
    phonemes = segments.columns.get("phonemes", np.full(len(segments), None, dtype=object))
    for (start, end, label), addressee, phones in zip(segments, addressees, phonemes, strict=True):
        speaker = TO_CHILDPROJECT.get(label, label) if label in VOICE_TYPES else "NA"
        row: list[object] = [samples_to_ms(start), samples_to_ms(end), speaker]
        if kind is ADDRESSEE_SET:
            row.append(ADDRESSEE_TO_CODE.get(addressee, addressee) or "NA")
        if kind is PHONEMES_SET:
            if label != "KCHI" or phones is None:
                continue
            row += [len(str(phones).split()), str(phones) or "NA"]
        lines.append(row)
    return csv_text(lines)


def format_metannots(fields: Mapping[str, str]) -> str:
    """``metannots.yml``: a line a field, texts quoted as JSON does, which YAML reads alike."""
    return "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items())


def write_import_table(path: Path, set_name: str, rows: Sequence[tuple[ProjectRecording, int, int]]) -> None:
    """The table for ``child-project import-annotations``: each recording, and a stretch in ms that was annotated."""
    lines: list[Iterable[object]] = [
        ("set", "recording_filename", "time_seek", "range_onset", "range_offset", "raw_filename", "format")
    ]
    for recording, onset, offset in rows:
        lines.append((set_name, recording.filename, 0, onset, offset, f"{recording.recording_id}.csv", "csv"))
    write_text(path, csv_text(lines))


def imported_before(project: Path, set_name: str) -> bool:
    """Whether a project's index already lists annotations of this set."""
    return (project / _INDEX).is_file() and any(row["set"] == set_name for row in _index(project))


def _index(project: Path) -> list[dict[str, str]]:
    path = project / _INDEX
    if not path.exists() and not path.is_symlink():
        return []
    return _read_table(path, ("set", "recording_filename", "annotation_filename"))


def _rows_of(chosen: AnnotationSet) -> list[dict[str, str]]:
    return [
        row
        for row in _index(chosen.project)
        if row["set"] == chosen.name and row["annotation_filename"] not in _NOTHING
    ]


def _recording_id(row: Mapping[str, str]) -> str:
    return PurePosixPath(row["recording_filename"]).with_suffix("").as_posix()


def _read_table(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    reader = csv.DictReader(read_lines(path), restval="")
    absent = [name for name in needed if name not in (reader.fieldnames or ())]
    if absent:
        raise AnnotationError(f"{path}: column {absent[0]} is missing; ChildProject's tables have it")
    return list(reader)


def _duration(text: str, where: str) -> int | None:
    if text.strip() in _NOTHING:
        return None
    try:
        duration = float(text)
    except ValueError:
        duration = -1.0
    if not 0 <= duration < float("inf"):
        raise AnnotationError(
            f"{where}: duration {text!r} is not in milliseconds; run 'child-project compute-durations'"
        )
    return int(duration)
