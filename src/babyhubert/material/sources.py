"""Reading of annotated material in the data layouts that fine-tuning supports, and its split.

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

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from babyhubert.annotation.intervals import Intervals, union
from babyhubert.annotation.reading import read_annotations, read_segments
from babyhubert.annotation.table_columns import PATHS, RECORDING_FILENAME, RECORDINGS, SPEAKERS, STRETCHES
from babyhubert.annotation.text import CsvTable, parse_number, read_lines, read_speaker_ids, shortened
from babyhubert.annotation.uem import read_uem
from babyhubert.audio.discovery import RecordingFile, discover
from babyhubert.audio.names import RecordingNames, rttm_uri
from babyhubert.errors import AnnotationError
from babyhubert.files import files_below, path_below
from babyhubert.material.chat_sources import read_transcripts, transcripts_below
from babyhubert.material.settings import DataSource, SkippedMaterial, SourceRecording, SourceRow, Sources, is_selected
from babyhubert.timebase import LONGEST_RECORDING_S, SAMPLE_RATE, ms_to_samples, seconds_to_samples

EXCLUDED_SPEAKER = "said by a speaker who is left out"
"""Reason for skipping rows of ``without_speakers``."""
_CUT_OUT = "audio_filename"
"""TinyVox's column of files that hold one utterance each; its times refer to the original recordings."""


def read_sources(sources: Sources, left_out: SkippedMaterial) -> list[tuple[DataSource, SourceRecording]]:
    """Recordings of one source or of several, each with the source it is from, sorted by id.

    Args:
        sources: The sources.
        left_out: Receives the recordings of a folder without annotations.

    Raises:
        AnnotationError: the source is empty or malformed, an annotation names a missing recording, or two sources have
            a recording of the same name.
    """
    several = [sources] if isinstance(sources, str | DataSource) else list(sources)
    if not several:
        raise AnnotationError("the list of sources is empty")
    found: dict[str, tuple[DataSource, SourceRecording]] = {}
    for source in (DataSource(path=each) if isinstance(each, str) else each for each in several):
        for recording in read_source(source, left_out):
            name = recording.file.recording_id
            if name in found:
                raise AnnotationError(
                    f"{name}: two sources have a recording of this name ({found[name][1].file.path}, "
                    f"{recording.file.path}); rename one, or take it out with select"
                )
            found[name] = (source, replace(recording, times=source.times))
    return [found[name] for name in sorted(found)]


def read_source(source: DataSource, left_out: SkippedMaterial | None = None) -> list[SourceRecording]:
    """Recordings of a source with their rows, sorted by id.

    Args:
        source: The source.
        left_out: Receives the recordings of a folder without annotations.

    Raises:
        AnnotationError: the source is empty or malformed, or an annotation names a missing recording.
        MissingExtraError: CHAT transcripts without pylangacq.
    """
    path = Path(source.path)
    if path.is_dir() and (path / "metadata" / "recordings.csv").is_file():
        found = _read_project(path, source)
    elif path.is_dir() and not (path / "rttm").is_dir() and (transcripts := transcripts_below(path)):
        found = read_transcripts(path, transcripts, source)
    elif path.is_dir() and source.fields and not (path / "rttm").is_dir():
        found = _read_sounds(path, source)
    elif path.is_dir():
        found = _read_folder(path, source, None, left_out)
    elif path.suffix.lower() == ".cha" and path.is_file():
        found = read_transcripts(path.parent, [path], source)
    elif path.suffix == ".txt":
        found = _read_list(path, source)
    elif path.suffix in (".csv", ".parquet"):
        found = _read_table(path, source)
    elif path.exists():
        raise AnnotationError(f"{path}: a folder, a .txt list, a .csv or .parquet table, a .cha transcript is needed")
    else:
        raise AnnotationError(f"{path}: no such file or folder")
    if source.fields or source.where:
        found = [replace(each, rows=tuple(_chosen_rows(each.rows, source, left_out))) for each in found]
        found = [each for each in found if each.rows or not source.where]
    if source.uem is not None:
        found = _with_uem(found, Path(source.uem))
    if not found:
        patterns = f" that match {', '.join(source.select)}" if source.select else ""
        raise AnnotationError(f"{path}: no annotated recordings{patterns}")
    if source.group_column is not None:
        found = [_grouped(recording, source.group_column) for recording in found]
    return sorted(found, key=lambda recording: recording.file.recording_id)


def excluded_speakers(sources: Iterable[DataSource]) -> dict[str, frozenset[str]]:
    """Speakers to exclude, by the table that ``without_speakers`` names; none under an empty name.

    Raises:
        AnnotationError: a table cannot be read or has no column ``speaker_id``.
    """
    tables = {source.without_speakers for source in sources if source.without_speakers}
    return {"": frozenset(), **{table: read_speaker_ids(Path(table)) for table in tables}}


def is_by(row: SourceRow, speakers: frozenset[str]) -> bool:
    """True if a row is of one of these speakers.

    Raises:
        AnnotationError: there are such speakers, and the row names no speaker.
    """
    if speakers and not any(name in row.fields for name in SPEAKERS):
        raise AnnotationError(f"{row.where}: no column speaker_id, by which without_speakers leaves speakers out")
    return not speakers.isdisjoint(row.fields.get(name, "") for name in SPEAKERS)


def column_of(fields: Mapping[str, str], names: Sequence[str], where: str) -> str:
    """Return the first of some columns that a row has.

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
    """Draw groups for validation and for a later test from a seed; at least one each if a fraction is not 0.

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


def _grouped(recording: SourceRecording, column: str) -> SourceRecording:
    """The same recording with its rows' group as its own, if all rows share one."""
    groups = {column_of(row.fields, (column,), row.where) for row in recording.rows}
    return replace(recording, group=groups.pop() or None) if len(groups) == 1 else recording


def _read_sounds(folder: Path, source: DataSource) -> list[SourceRecording]:
    """Recordings of a folder without annotations: each is one row from its beginning to its end."""
    files = [file for file in discover([folder]) if is_selected(file.recording_id, source.select)]
    return [SourceRecording(file, (SourceRow(0, None, {}, str(file.path)),)) for file in files]


def _chosen_rows(
    rows: Iterable[SourceRow], source: DataSource, left_out: SkippedMaterial | None
) -> Iterator[SourceRow]:
    """Rows that ``where`` keeps, with the columns that ``fields`` gives them."""
    for row in rows:
        own = {**row.fields, **{name: value for name, value in source.fields.items() if not row.fields.get(name)}}
        if all(column_of(own, (name,), row.where) in values for name, values in source.where.items()):
            yield replace(row, fields=own)
        elif left_out is not None:
            left_out.add(f"not of the {' and '.join(source.where)} that its source names", row.where)


def _read_folder(
    folder: Path, source: DataSource, only: Sequence[str] | None, left_out: SkippedMaterial | None = None
) -> list[SourceRecording]:
    """Recordings below a folder that have annotations below ``rttm/`` (or ``annotations/``)."""
    annotations = _annotations_of(folder, only)
    annotations = {uri: segments for uri, segments in annotations.items() if is_selected(uri, source.select)}
    there = discover([Path(source.audio) if source.audio else folder])
    files = _files_named(folder, annotations, there)
    if left_out is not None:
        taken = {file.path for file in files.values()}
        for file in sorted(there, key=lambda file: file.recording_id):
            if file.path not in taken and is_selected(_bare_name(file), source.select):
                left_out.add("a recording without annotations", str(file.path))
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
        file = path_below(folder / "rttm", uri, ".rttm")
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
        if is_selected(name, source.select) or is_selected(Path(name).stem, source.select):
            named.setdefault(name, []).append((line, fields))
    root = Path(source.audio) if source.audio else path.parent
    files = _files_of_table(path, root, list(named), column in PATHS)
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
    known = (*PATHS[:1], *RECORDINGS, *PATHS[1:])
    found = next((name for name in known if name in there), None)
    if found is None:
        raise AnnotationError(
            f"{path}: no column says which recording a row is of; one of {', '.join(known)} is needed"
        )
    return found


def _files_of_table(path: Path, root: Path, names: Sequence[str], are_paths: bool) -> dict[str, RecordingFile]:
    if are_paths and all((root / name).is_file() for name in names):
        return {name: RecordingFile(Path(name).with_suffix("").as_posix().lstrip("/"), root / name) for name in names}
    known = {name: Path(name).with_suffix("").as_posix() if are_paths else name for name in names}
    files = _files_named(path, dict.fromkeys(known.values()), discover([root]))
    return {name: files[key] for name, key in known.items()}


def read_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Read rows of a CSV or Parquet table as text, with their line (CSV) or row numbers.

    Raises:
        AnnotationError: not such a table, or empty.
    """
    if path.suffix == ".parquet":
        rows = list(enumerate(_parquet_rows(path), start=1))
    else:
        rows = list(CsvTable(path))
    if not rows:
        raise AnnotationError(f"{path}: a table without rows")
    return rows


def _parquet_rows(path: Path) -> list[dict[str, str]]:
    from babyhubert.annotation.parquet import read_table, table_columns

    names = table_columns(path)
    columns = read_table(path, names)
    texts = [["" if value is None else str(value) for value in columns[name]] for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*texts, strict=True)]


def _has_times(rows: Sequence[tuple[int, Mapping[str, str]]]) -> bool:
    there = rows[0][1]
    return any(stretch.is_in(there) for stretch in STRETCHES)


def _row(path: Path, line: int, fields: Mapping[str, str], whole: bool) -> SourceRow:
    where = f"{path}, line {line}"
    start, end = (0, None) if whole else _span(fields, where)
    return SourceRow(start, end, fields, where)


def _span(fields: Mapping[str, str], where: str) -> tuple[int, int]:
    stretch = next((one for one in STRETCHES if one.is_in(fields)), None)
    if stretch is None:
        raise AnnotationError(f"{where}: no columns with start and end")
    first, second = fields[stretch.start], fields[stretch.second]
    begin, other = _number(first, stretch.start, where), _number(second, stretch.second, where)
    last = begin + other if stretch.lasting else other
    to_samples = seconds_to_samples if stretch.unit == "s" else _rounded_ms
    start, end = to_samples(begin), to_samples(last)
    if start < 0 or end < start:
        raise AnnotationError(f"{where}: from {first} to {second} is no stretch of time")
    if end > LONGEST_RECORDING_S * SAMPLE_RATE:
        raise AnnotationError(
            f"{where}: {stretch.second} {second} is longer than any recording lasts "
            f"({LONGEST_RECORDING_S // 86400} days)"
        )
    return start, end


def _rounded_ms(milliseconds: float) -> int:
    return ms_to_samples(round(milliseconds))


def _number(text: str, column: str, where: str) -> float:
    value = parse_number(text)
    if value is None or abs(value) > 1000 * LONGEST_RECORDING_S:
        raise AnnotationError(f"{where}: {column} is {shortened(text)}, not a number that can be a time")
    return value


def _read_project(folder: Path, source: DataSource) -> list[SourceRecording]:
    """Read a ChildProject set: its ranges are the annotated stretches, its converted CSV files hold the segments."""
    recordings, index = folder / "metadata" / "recordings.csv", folder / "metadata" / "annotations.csv"
    annotated = read_rows(index)
    sets = sorted({column_of(fields, ("set",), f"{index}, line {line}") for line, fields in annotated})
    if source.annotation_set not in sets:
        asked = (
            "say which" if source.annotation_set is None else f"no annotation_set {source.annotation_set!r}; name one"
        )
        raise AnnotationError(f"{folder}: {asked} annotation_set of this project to take ({', '.join(sets)})")
    children = {
        column_of(fields, (RECORDING_FILENAME,), f"{recordings}, line {line}"): fields.get("child_id") or None
        for line, fields in read_rows(recordings)
    }
    entries: dict[str, list[dict[str, str]]] = {}
    for line, fields in annotated:
        name = column_of(fields, (RECORDING_FILENAME,), f"{index}, line {line}")
        chosen = fields["set"] == source.annotation_set and not fields.get("error")
        if chosen and is_selected(name, source.select):
            entries.setdefault(name, []).append(fields)
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
        onset, offset = (
            ms_to_samples(round(_number(column_of(entry, (column,), where), column, where)))
            for column in ("range_onset", "range_offset")
        )
        spans.append((onset, offset))
        converted_name = column_of(entry, ("annotation_filename",), where)
        if not converted_name:
            raise AnnotationError(f"{where}: no annotation_filename (was the set converted?)")
        converted = folder / "annotations" / str(source.annotation_set) / "converted" / converted_name
        found = (_project_row(converted, line, fields, child) for line, fields in _rows_or_none(converted))
        rows += [row for row in found if row is not None]
    annotated = union(*np.array(spans, dtype=np.int64).T)
    return SourceRecording(RecordingFile(Path(name).with_suffix("").as_posix(), file), tuple(rows), annotated, child)


def _rows_or_none(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows of a converted file; a file with only a header has none."""
    return list(CsvTable(path))


def _project_row(path: Path, line: int, fields: dict[str, str], child: str | None) -> SourceRow | None:
    """Row of a converted file; None if it has no speaker (``NA``, as LENA's noise and silence become)."""
    where = f"{path}, line {line}"
    voice = fields.get("speaker_type", "")
    if voice == "NA":
        return None
    start, end = _span(fields, where)
    label = "KCHI" if voice == "CHI" else voice
    return SourceRow(start, end, {"child_id": child or "", **fields, "label": label}, where)


def _with_uem(recordings: Sequence[SourceRecording], path: Path) -> list[SourceRecording]:
    stretches: dict[str, Intervals] = {}
    for file in files_below(path, ".uem") if path.is_dir() else [path]:
        stretches |= read_uem(file)
    ids = [recording.file.recording_id for recording in recordings]
    named = RecordingNames(((name, name) for name in ids), "fewer").find_each(stretches, str(path))
    given = {recording_id: stretches[name] for name, recording_id in named.items()}
    for recording_id in ids:
        if recording_id not in given:
            raise AnnotationError(f"{path}: says nothing about recording {rttm_uri(recording_id)}, which is annotated")
    return [replace(recording, annotated=given[name]) for name, recording in zip(ids, recordings, strict=True)]


def _bare_name(file: RecordingFile) -> str:
    return rttm_uri(file.recording_id).rpartition("/")[2]


def _files_named(where: Path, names: Iterable[str], files: Sequence[RecordingFile]) -> dict[str, RecordingFile]:
    """The file that each name of annotations means: its id, or its end (``wav/x.wav`` is annotated as ``x``).

    Raises:
        AnnotationError: a name means no file, or several; two names mean one.
    """
    names = list(names)
    found = RecordingNames(((file.recording_id, file) for file in files), "fewer").find_each(names, str(where))
    missing = sorted(set(names) - set(found))
    if missing:
        raise AnnotationError(
            f"{where}: {len(missing)} annotations name recordings that are not there (first: {missing[0]})"
        )
    return found


Relabel = Callable[[str, str], str | None]


def relabeller(labels: Sequence[str], label_map: Mapping[str, str], task: str) -> Relabel:
    """Build a function from a row's label and position to the task's label, or None for a label mapped to nothing.

    The function raises AnnotationError for a label that is neither the task's nor mapped.
    """

    def relabel(label: str, where: str) -> str | None:
        found = label_map.get(label, label)
        if found in labels:
            return found
        if found == "" and label in label_map:
            return None
        if label in label_map:
            raise AnnotationError(
                f"{task}.label_map makes {found!r} of {label!r}, which is none of {', '.join(labels)}"
            )
        raise AnnotationError(
            f"{where}: label {label!r} is none of {', '.join(labels)}; say what it means with "
            f'[{task}.label_map] "{label}" = "..." ("" leaves it out)'
        )

    return relabel
