"""Where annotated material comes from: the data layouts that fine-tuning reads, and which rows of them belong where.

- a folder with recordings anywhere below it and their annotations below ``rttm/`` (what the simulator writes);
- a list ``train.txt`` in a folder with ``wav/`` and ``rttm/``, as published for VTC: one recording a line;
- a table, CSV or Parquet, with a row a segment: the simulator's ``segments.csv``, the published splits of the
  addressee corpus, TinyVox's ``metadata.csv``, or any with the columns below;
- a ChildProject project (``metadata/``, ``recordings/``, ``annotations/``);
- a CHAT transcript (``.cha``), or a folder of them without ``rttm/``, of CHILDES or PhonBank.

All become :class:`SourceRow` objects by recording. ``uem/`` beside the annotations, a UEM file, or the ranges of a
ChildProject set say which stretches were annotated. Ids are text from beginning to end, so ``0007`` stays ``0007``.
"""

from __future__ import annotations

import csv
import fnmatch
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
from pydantic import Field

from babyhubert.annotation.chat import Participant, Transcript, Utterance, read_transcript
from babyhubert.annotation.intervals import Intervals, union
from babyhubert.annotation.rttm import read_lines, rttm_uri
from babyhubert.annotation.tables import read_annotations, read_segments
from babyhubert.annotation.uem import read_uem
from babyhubert.audio.discovery import RecordingFile, discover
from babyhubert.config import Config
from babyhubert.errors import AnnotationError, AudioError
from babyhubert.timebase import ms_to_samples, seconds_to_samples

RECORDING_COLUMNS = ("recording_id", "uid", "uri")
PATH_COLUMNS = ("path", "file_path", "audio_path", "audio_filename", "recording_filename", "original_audio_path")
CHILD_COLUMNS = ("child_pseudoid", "child_id")
SPEAKER_COLUMNS = ("speaker_id", "speaker")
SECOND_COLUMNS = (("start_s", "end_s"), ("start_time_s", "end_time_s"))
DURATION_COLUMNS = (("start_time_s", "duration_s"),)
MILLISECOND_COLUMNS = (("segment_onset", "segment_offset"), ("onset", "offset"))
_CUT_OUT = "audio_filename"
"""TinyVox's column of files that hold one utterance each; its times count in the original recordings."""
IPA_COLUMN = "ipa_words"
"""What was pronounced in a row of a CHAT transcript: words in IPA whose phones no space separates."""
NO_PHONES_COLUMN = "no_phones"
"""Why such a row has none."""
_NO_NAMES = frozenset({"", "child", "chi", "target_child", "target child"})


class DataSource(Config):
    """Where material is.

    Attributes:
        path: A folder, a ``.txt`` list, a ``.csv`` or ``.parquet`` table, a ChildProject project, a CHAT transcript
            ``.cha`` or a folder of them.
        audio: Where the recordings of a list, a table or transcripts are; the folder it stands in when absent.
        select: Recordings to take, as shell patterns of their ids; all when empty.
        uem: UEM file or folder of them: what was annotated. Outside, nothing is learnt and nothing scored.
        recording_column: Column of a table that names the recording, where several could.
        group_column: Column that says which rows may not be separated by a split (child, speaker).
        without_speakers: CSV whose column ``speaker_id`` names speakers to leave out, those of a test set for example;
            for tasks that learn utterances.
        annotation_set: Set of a ChildProject project.
        tier: Phonetic tier of CHAT transcripts. ``pho`` is what was actually said; ``mod`` what should have been.
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


Sources = str | DataSource | Sequence[str | DataSource]


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
    split_seed: int = 0


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
    """

    file: RecordingFile
    rows: tuple[SourceRow, ...]
    annotated: Intervals | None = None
    group: str | None = None
    untimed: tuple[SourceRow, ...] = ()


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


def read_sources(sources: Sources) -> list[tuple[DataSource, SourceRecording]]:
    """Recordings of one source or of several, each with the source it is from, sorted by id.

    Raises:
        AnnotationError: nothing there, malformed, an annotation names a recording that is not there, or two sources
            have a recording of the same name.
    """
    several = [sources] if isinstance(sources, str | DataSource) else list(sources)
    if not several:
        raise AnnotationError("the list of sources is empty")
    found: dict[str, tuple[DataSource, SourceRecording]] = {}
    for source in (DataSource(path=each) if isinstance(each, str) else each for each in several):
        for recording in read_source(source):
            name = recording.file.recording_id
            if name in found:
                raise AnnotationError(
                    f"{name}: two sources have a recording of this name ({found[name][1].file.path}, "
                    f"{recording.file.path}); rename one, or take it out with select"
                )
            found[name] = (source, recording)
    return [found[name] for name in sorted(found)]


def read_source(source: DataSource) -> list[SourceRecording]:
    """Recordings of a source with their rows, sorted by id.

    Raises:
        AnnotationError: nothing there, malformed, or an annotation names a recording that is not there.
        MissingExtraError: CHAT transcripts without pylangacq.
    """
    path = Path(source.path)
    if path.is_dir() and (path / "metadata" / "recordings.csv").is_file():
        found = _read_project(path, source)
    elif path.is_dir() and not (path / "rttm").is_dir() and (transcripts := _transcripts_below(path)):
        found = _read_transcripts(path, transcripts, source)
    elif path.is_dir():
        found = _read_folder(path, source, None)
    elif path.suffix.lower() == ".cha" and path.is_file():
        found = _read_transcripts(path.parent, [path], source)
    elif path.suffix == ".txt":
        found = _read_list(path, source)
    elif path.suffix in (".csv", ".parquet"):
        found = _read_table(path, source)
    elif path.exists():
        raise AnnotationError(f"{path}: a folder, a .txt list, a .csv or .parquet table, a .cha transcript is needed")
    else:
        raise AnnotationError(f"{path}: no such file or folder")
    if source.uem is not None:
        found = _with_uem(found, Path(source.uem))
    if not found:
        patterns = f" that match {', '.join(source.select)}" if source.select else ""
        raise AnnotationError(f"{path}: no annotated recordings{patterns}")
    return sorted(found, key=lambda recording: recording.file.recording_id)


def column_of(fields: Mapping[str, str], names: Sequence[str], where: str) -> str:
    """The first of some columns that a row has.

    Raises:
        AnnotationError: it has none.
    """
    for name in names:
        if name in fields:
            return fields[name] or ""
    raise AnnotationError(f"{where}: no column {' or '.join(names)} (there are {', '.join(fields)})")


def hold_out(
    groups: Sequence[str], validation_share: float, test_share: float, seed: int
) -> tuple[frozenset[str], frozenset[str]]:
    """Groups for validation and for a later test, drawn from a seed; at least one each where a share is not 0.

    Raises:
        AnnotationError: too few groups to hold any out.
    """
    distinct = sorted(set(groups))
    counts = [max(1, round(share * len(distinct))) if share else 0 for share in (validation_share, test_share)]
    if sum(counts) >= len(distinct):
        raise AnnotationError(
            f"{len(distinct)} groups (children, speakers or recordings) are too few to hold out {sum(counts)}; name "
            "validation material instead of a share"
        )
    order = [distinct[index] for index in np.random.default_rng(seed).permutation(len(distinct))]
    return frozenset(order[: counts[0]]), frozenset(order[counts[0] : sum(counts)])


def _read_folder(folder: Path, source: DataSource, only: Sequence[str] | None) -> list[SourceRecording]:
    """Recordings below a folder that have annotations below ``rttm/`` (or ``annotations/``)."""
    annotations = _annotations_of(folder, only)
    annotations = {uri: segments for uri, segments in annotations.items() if _selected(uri, source.select)}
    files = _by_name(discover([Path(source.audio) if source.audio else folder]), set(annotations))
    _refuse_missing(folder, annotations, files)
    uem = folder / "uem"
    found = [
        SourceRecording(
            files[uri],
            tuple(
                SourceRow(start, end, {"label": label}, f"{folder / 'rttm'}, {uri}") for start, end, label in segments
            ),
        )
        for uri, segments in annotations.items()
    ]
    return _with_uem(found, uem) if uem.is_dir() and source.uem is None else found


def _annotations_of(folder: Path, only: Sequence[str] | None) -> dict[str, Iterable[tuple[int, int, str]]]:
    if not (folder / "rttm").is_dir():
        raise AnnotationError(
            f"{folder}: no rttm folder here, no metadata/recordings.csv and no .cha transcripts; a data folder holds "
            "recordings and rttm/"
        )
    if only is None:
        return dict(read_annotations(folder / "rttm"))
    found: dict[str, Iterable[tuple[int, int, str]]] = {}
    for uri in only:
        file = folder / "rttm" / f"{uri}.rttm"
        segments = read_segments(file, uri)
        others = set(segments) - {uri}
        if others:
            raise AnnotationError(f"{file}: names recording {sorted(others)[0]!r}, not {uri!r}")
        found[uri] = segments[uri]
    return found


def _read_list(path: Path, source: DataSource) -> list[SourceRecording]:
    names = [line.strip() for line in read_lines(path) if line.strip()]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise AnnotationError(f"{path}: names {twice[0]!r} twice")
    return _read_folder(path.parent, source, names)


def _read_table(path: Path, source: DataSource) -> list[SourceRecording]:
    rows = read_rows(path)
    column = _recording_column(path, rows, source)
    named: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for line, fields in rows:
        name = fields[column]
        if not name:
            raise AnnotationError(f"{path}, line {line}: no recording in column {column}")
        if _selected(name, source.select) or _selected(Path(name).stem, source.select):
            named.setdefault(name, []).append((line, fields))
    root = Path(source.audio) if source.audio else path.parent
    files = _files_of_table(path, root, list(named), column in PATH_COLUMNS)
    whole = column == _CUT_OUT or not _has_times(rows)
    return [
        SourceRecording(files[name], tuple(_row(path, line, fields, whole) for line, fields in its_rows))
        for name, its_rows in named.items()
    ]


def _recording_column(path: Path, rows: Sequence[tuple[int, Mapping[str, str]]], source: DataSource) -> str:
    there = rows[0][1] if rows else {}
    if source.recording_column is not None:
        column_of(there, (source.recording_column,), str(path))
        return source.recording_column
    known = (*PATH_COLUMNS[:1], *RECORDING_COLUMNS, *PATH_COLUMNS[1:])
    found = next((name for name in known if name in there), None)
    if found is None:
        raise AnnotationError(
            f"{path}: no column says which recording a row is of; one of {', '.join(known)} is needed"
        )
    return found


def _files_of_table(path: Path, root: Path, names: Sequence[str], are_paths: bool) -> dict[str, RecordingFile]:
    if are_paths and all((root / name).is_file() for name in names):
        return {name: RecordingFile(Path(name).with_suffix("").as_posix().lstrip("/"), root / name) for name in names}
    known = {Path(name).with_suffix("").as_posix() if are_paths else name: name for name in names}
    files = _by_name(discover([root]), {rttm_uri(name) for name in known})
    _refuse_missing(path, known, {name: 1 for name in known if rttm_uri(name) in files})
    return {name: files[rttm_uri(key)] for key, name in known.items()}


def read_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV or Parquet table as text, with their line (CSV) or row numbers.

    Raises:
        AnnotationError: not such a table, or empty.
    """
    if path.suffix == ".parquet":
        rows = list(enumerate(_parquet_rows(path), start=1))
    else:
        reader = csv.DictReader(read_lines(path))
        rows = [(reader.line_num, {k: v or "" for k, v in row.items() if k is not None}) for row in reader]
    if not rows:
        raise AnnotationError(f"{path}: a table without rows")
    return rows


def _parquet_rows(path: Path) -> list[dict[str, str]]:
    from babyhubert.corpus.parquet import read_table, table_columns

    names = table_columns(path)
    columns = read_table(path, names)
    texts = [["" if value is None else str(value) for value in columns[name]] for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*texts, strict=True)]


def _has_times(rows: Sequence[tuple[int, Mapping[str, str]]]) -> bool:
    there = rows[0][1]
    return any(set(pair) <= set(there) for pair in (*SECOND_COLUMNS, *DURATION_COLUMNS, *MILLISECOND_COLUMNS))


def _row(path: Path, line: int, fields: Mapping[str, str], whole: bool) -> SourceRow:
    where = f"{path}, line {line}"
    start, end = (0, None) if whole else _span(fields, where)
    return SourceRow(start, end, fields, where)


def _span(fields: Mapping[str, str], where: str) -> tuple[int, int]:
    for pairs, to_samples, lasting in (
        (SECOND_COLUMNS, seconds_to_samples, False),
        (DURATION_COLUMNS, seconds_to_samples, True),
        (MILLISECOND_COLUMNS, lambda value: ms_to_samples(round(value)), False),
    ):
        for first, second in pairs:
            if first in fields and second in fields:
                begin, other = _number(fields[first], first, where), _number(fields[second], second, where)
                start, end = to_samples(begin), to_samples(begin + other if lasting else other)
                if start < 0 or end < start:
                    raise AnnotationError(f"{where}: from {fields[first]} to {fields[second]} is no stretch of time")
                return start, end
    raise AnnotationError(f"{where}: no columns with start and end")


def _number(text: str, column: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise AnnotationError(f"{where}: {column} is {text!r}, not a number")
    return value


def _read_project(folder: Path, source: DataSource) -> list[SourceRecording]:
    """A ChildProject set: its ranges are what was annotated, its converted CSV files hold the segments."""
    if source.annotation_set is None:
        sets = sorted({fields.get("set", "") for _, fields in read_rows(folder / "metadata" / "annotations.csv")})
        raise AnnotationError(f"{folder}: say which annotation_set of this project to take ({', '.join(sets)})")
    children = {
        fields["recording_filename"]: fields.get("child_id") or None
        for _, fields in read_rows(folder / "metadata" / "recordings.csv")
    }
    entries: dict[str, list[dict[str, str]]] = {}
    for _, fields in read_rows(folder / "metadata" / "annotations.csv"):
        chosen = fields.get("set") == source.annotation_set and not fields.get("error")
        if chosen and _selected(fields["recording_filename"], source.select):
            entries.setdefault(fields["recording_filename"], []).append(fields)
    return [_project_recording(folder, source, name, children.get(name), ranges) for name, ranges in entries.items()]


def _project_recording(
    folder: Path, source: DataSource, name: str, child: str | None, ranges: Sequence[Mapping[str, str]]
) -> SourceRecording:
    candidates = [Path(source.audio)] if source.audio else []
    candidates += [folder / "recordings" / "converted" / "standard", folder / "recordings" / "raw"]
    file = next((root / name for root in candidates if (root / name).is_file()), None)
    if file is None:
        raise AnnotationError(f"{folder}: recording {name} is in none of {', '.join(map(str, candidates))}")
    rows: list[SourceRow] = []
    spans: list[tuple[int, int]] = []
    for entry in ranges:
        where = f"{folder / 'metadata' / 'annotations.csv'}, {name}"
        spans.append(
            (
                ms_to_samples(round(_number(entry["range_onset"], "range_onset", where))),
                ms_to_samples(round(_number(entry["range_offset"], "range_offset", where))),
            )
        )
        converted = folder / "annotations" / str(source.annotation_set) / "converted" / entry["annotation_filename"]
        rows += [_project_row(converted, line, fields) for line, fields in _rows_or_none(converted)]
    annotated = union(*np.array(spans, dtype=np.int64).T)
    return SourceRecording(RecordingFile(Path(name).with_suffix("").as_posix(), file), tuple(rows), annotated, child)


def _rows_or_none(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows of a converted file; a header alone says that nobody spoke."""
    reader = csv.DictReader(read_lines(path))
    return [(reader.line_num, {k: v or "" for k, v in row.items() if k is not None}) for row in reader]


def _project_row(path: Path, line: int, fields: dict[str, str]) -> SourceRow:
    where = f"{path}, line {line}"
    start, end = _span(fields, where)
    voice = fields.get("speaker_type", "")
    return SourceRow(start, end, {**fields, "label": "KCHI" if voice == "CHI" else voice}, where)


def _transcripts_below(folder: Path) -> list[Path]:
    """CHAT transcripts, without hidden files and folders."""
    below = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() == ".cha")
    return [folder / path for path in sorted(below) if not any(part.startswith(".") for part in path.parts)]


def _read_transcripts(folder: Path, paths: Sequence[Path], source: DataSource) -> list[SourceRecording]:
    named = {path.relative_to(folder).with_suffix("").as_posix(): path for path in paths}
    chosen = {
        name: path
        for name, path in named.items()
        if _selected(name, source.select) or _selected(path.stem, source.select)
    }
    read = {name: read_transcript(path, source.tier) for name, path in chosen.items()}
    _refuse_missing_tier(folder, source.tier, list(read.values()))
    root = Path(source.audio) if source.audio else folder
    recordings = _by_bare_name(root, chosen)
    return [
        _transcribed(
            name, chosen[name], transcript, _audio_of(name, chosen[name], transcript, root, recordings), source
        )
        for name, transcript in read.items()
    ]


def _refuse_missing_tier(folder: Path, tier: str, transcripts: Sequence[Transcript]) -> None:
    there = {name for transcript in transcripts for one in transcript.utterances for name in one.tiers}
    if transcripts and tier not in there:
        others = ", ".join(f"%{name}" for name in sorted(there)) or "none"
        raise AnnotationError(
            f"{folder}: no utterance has a tier %{tier} (tiers there: {others}); "
            'say with tier = "..." which one holds what was pronounced (%mod is what should have been)'
        )


def _by_bare_name(root: Path, transcripts: Mapping[str, Path]) -> dict[str, list[RecordingFile]]:
    """Recordings below a folder by the last part of their name, without regard to case."""
    found: dict[str, list[RecordingFile]] = {}
    try:
        for file in discover([root]) if transcripts else []:
            found.setdefault(PurePosixPath(file.recording_id).name.casefold(), []).append(file)
    except AudioError as error:
        first = next(iter(transcripts.values()))
        raise AnnotationError(
            f'{first}: no recording of it found: {error}; say where recordings are with audio = "..."'
        ) from error
    return found


def _audio_of(
    name: str, path: Path, transcript: Transcript, root: Path, recordings: Mapping[str, Sequence[RecordingFile]]
) -> Path:
    """The recording of a transcript: of the name that it gives, else of its own, in a folder like its own if any."""
    wanted = list(dict.fromkeys([transcript.media or path.stem, path.stem]))
    same = next((recordings[bare.casefold()] for bare in wanted if bare.casefold() in recordings), [])
    folder = PurePosixPath(name).parent
    beside = [file for file in same if PurePosixPath(file.recording_id).parent == folder]
    found = beside or same
    if not found:
        raise AnnotationError(
            f"{path}: its recording {' or '.join(wanted)} is not below {root}; put it beside the transcript, say with "
            'audio = "..." where it is, or leave the transcript out with select'
        )
    if len(found) > 1:
        raise AnnotationError(
            f"{path}: its recording may be {found[0].path} or {found[1].path}; put it beside the transcript"
        )
    return found[0].path


def _transcribed(name: str, path: Path, transcript: Transcript, audio: Path, source: DataSource) -> SourceRecording:
    rows: list[SourceRow] = []
    untimed: list[SourceRow] = []
    for one in transcript.utterances:
        fields = {**_voice(name, transcript, one.speaker), **_pronounced(one, source.tier)}
        start, end = one.span or (0, 0)
        (untimed if one.span is None else rows).append(SourceRow(start, end, fields, f"{path}, line {one.line}"))
    annotated = union(*np.array([(row.start, row.end) for row in rows], dtype=np.int64).T)
    return SourceRecording(RecordingFile(name, audio), tuple(rows), annotated, untimed=tuple(untimed))


def _voice(name: str, transcript: Transcript, speaker: Participant) -> dict[str, str]:
    child = _child_of(name, transcript, speaker)
    return {
        "transcript": name,
        "child_id": child,
        "speaker_id": child if speaker.is_target_child else f"{child}/{speaker.code}",
        "speaker": speaker.code,
        "role": speaker.role,
        "label": "KCHI" if speaker.is_target_child else speaker.code,
    }


def _pronounced(utterance: Utterance, tier: str) -> dict[str, str]:
    if utterance.phonetic is None:
        return {IPA_COLUMN: "", NO_PHONES_COLUMN: f"no %{tier} tier"}
    if not utterance.is_intelligible:
        return {IPA_COLUMN: "", NO_PHONES_COLUMN: "unintelligible to the transcriber (xxx, yyy, *)"}
    return {IPA_COLUMN: " ".join(utterance.phonetic_words)}


def _child_of(name: str, transcript: Transcript, speaker: Participant) -> str:
    """Whose recording it is: corpus and name of the target child; without a name, its folder or else itself."""
    children = [one for one in (speaker, *transcript.participants) if one.is_target_child]
    child = next((one for one in children if one.name.casefold() not in _NO_NAMES), None)
    if child is not None:
        return f"{child.corpus}/{child.name}"
    folder = PurePosixPath(name).parent.as_posix()
    return name if folder == "." else folder


def _with_uem(recordings: Sequence[SourceRecording], path: Path) -> list[SourceRecording]:
    stretches: dict[str, Intervals] = {}
    for file in sorted(path.rglob("*.uem")) if path.is_dir() else [path]:
        stretches |= read_uem(file)
    found = []
    for recording in recordings:
        uri = rttm_uri(recording.file.recording_id)
        own = stretches.get(uri, stretches.get(uri.rpartition("/")[2]))
        if own is None:
            raise AnnotationError(f"{path}: says nothing about recording {uri}, which is annotated")
        found.append(replace(recording, annotated=own))
    return found


def _by_name(files: Sequence[RecordingFile], names: set[str]) -> dict[str, RecordingFile]:
    """Files by the name that annotations use: their id, or their bare name (``wav/x.wav`` is annotated as ``x``)."""
    found = {}
    for file in files:
        uri = rttm_uri(file.recording_id)
        found[uri if uri in names else uri.rpartition("/")[2]] = file
    return found


def _refuse_missing(where: Path, wanted: Mapping[str, object], there: Mapping[str, object]) -> None:
    missing = sorted(set(wanted) - set(there))
    if missing:
        raise AnnotationError(
            f"{where}: {len(missing)} annotations name recordings that are not there (first: {missing[0]})"
        )


def _selected(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


Relabel = Callable[[str, str], str | None]


def relabeller(labels: Sequence[str], label_map: Mapping[str, str], task: str) -> Relabel:
    """A function from a row's label and place to the task's label, or None for one that is mapped to nothing.

    The function raises AnnotationError for a label that is neither the task's nor mapped.
    """

    def relabel(label: str, where: str) -> str | None:
        found = label_map.get(label, label)
        if found in labels:
            return found
        if found == "" and label in label_map:
            return None
        raise AnnotationError(
            f"{where}: label {label!r} is none of {', '.join(labels)}; say what it means with "
            f'[{task}.label_map] "{label}" = "..." ("" leaves it out)'
        )

    return relabel
