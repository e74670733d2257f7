"""Segments as CSV, and annotations of whole folders whatever their format.

Three CSV layouts are read, told apart by their header, and two are written:

- ``uid,start_time_s,duration_s,label`` (VTC's combined table; seconds, three decimals; many recordings);
- ``segment_onset,segment_offset,speaker_type`` (ChildProject's own ``csv`` format; integer milliseconds; one
  recording, named by the file; CHI there is the key child);
- ``recording_id,start_s,end_s,label`` (what the simulator writes; seconds; many recordings; read only).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from babyhubert.annotation.its import read_its
from babyhubert.annotation.rttm import parse_span, read_lines, read_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError
from babyhubert.files import write_text
from babyhubert.timebase import format_seconds, ms_to_samples, samples_to_ms

TO_CHILDPROJECT = {"KCHI": "CHI"}
"""Labels that ChildProject spells differently; all others pass unchanged."""

_FROM_CHILDPROJECT = {name: label for label, name in TO_CHILDPROJECT.items()}
_Row = tuple[str, int, int, str]


def format_childproject_csv(segments: Segments) -> str:
    """ChildProject's ``csv`` format. Without segments it is the header alone: annotated, and silent."""
    lines = ["segment_onset,segment_offset,speaker_type\n"]
    lines += [
        f"{samples_to_ms(start)},{samples_to_ms(end)},{TO_CHILDPROJECT.get(label, label)}\n"
        for start, end, label in segments
    ]
    return "".join(lines)


def write_childproject_csv(path: Path, segments: Segments) -> None:
    """Write one recording's segments in ChildProject's ``csv`` format."""
    write_text(path, format_childproject_csv(segments))


def format_combined_rows(uid: str, segments: Segments) -> str:
    """Rows ``uid,start_time_s,duration_s,label`` of one recording, for a table of many."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for start, end, label in segments:
        duration = samples_to_ms(end) - samples_to_ms(start)
        writer.writerow((uid, format_seconds(start), format_seconds(ms_to_samples(duration)), label))
    return buffer.getvalue()


COMBINED_HEADER = "uid,start_time_s,duration_s,label\n"


def read_segments(path: Path, recording_id: str | None = None) -> dict[str, Segments]:
    """Segments of every recording in an RTTM, CSV or LENA .its file, told apart by suffix and header.

    Args:
        path: The file.
        recording_id: Name of the recording for files that do not carry one; the file's stem when absent. Such a file
            gives an entry even when it holds no segment.

    Raises:
        AnnotationError: unreadable, an unknown format or header, or a malformed row (named).

    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".rttm":
        return read_rttm(path) or {recording_id or path.stem: Segments.empty()}
    if suffix == ".csv":
        return _read_csv(path, recording_id or path.stem)
    if suffix == ".its":
        return {recording_id or path.stem: read_its(path)}
    raise AnnotationError(
        f"{path}: unknown kind of segments file {suffix or 'without suffix'}; .rttm, .csv or .its expected"
    )


def read_annotations(path: Path) -> dict[str, Segments]:
    """Segments of a file, or of all RTTM (else all CSV, else all LENA .its) files below a folder.

    A file that names no recording in its lines (an empty RTTM, a ChildProject CSV) takes its path below the folder,
    without suffix, as the id.

    Raises:
        AnnotationError: nothing there, no segments file below it, or one recording annotated by two files.

    """
    path = Path(path)
    if path.is_file():
        return read_segments(path)
    if not path.is_dir():
        raise AnnotationError(f"{path}: no such file or folder")
    kinds = (sorted(path.rglob(f"*.{kind}")) for kind in ("rttm", "csv", "its"))
    files = next((files for files in kinds if files), [])
    if not files:
        raise AnnotationError(f"{path}: no .rttm, .csv or .its file in this folder")
    found: dict[str, Segments] = {}
    origin: dict[str, Path] = {}
    for file in files:
        own_id = file.relative_to(path).with_suffix("").as_posix()
        for uri, segments in read_segments(file, own_id).items():
            if uri in found:
                raise AnnotationError(f"{uri}: annotated by both {origin[uri]} and {file}; keep one")
            found[uri], origin[uri] = segments, file
    return found


def _read_csv(path: Path, recording_id: str) -> dict[str, Segments]:
    reader = csv.DictReader(read_lines(path))
    columns = set(reader.fieldnames or ())
    for needed, parse, names_recordings in _LAYOUTS:
        if needed <= columns:
            rows = [parse(row, recording_id, f"{path}, line {reader.line_num}") for row in reader]
            return _group(rows, None if names_recordings else recording_id)
    known = "; ".join(",".join(sorted(needed)) for needed, _, _ in _LAYOUTS)
    header = ",".join(reader.fieldnames or ()) or "nothing"
    raise AnnotationError(f"{path}: unknown header {header!r}; one of these sets of columns is needed: {known}")


def _group(rows: Iterable[_Row], always: str | None) -> dict[str, Segments]:
    grouped: dict[str, list[tuple[int, int, str]]] = {} if always is None else {always: []}
    for uid, start, end, label in rows:
        grouped.setdefault(uid, []).append((start, end, label))
    return {uid: Segments.from_rows(spans) for uid, spans in grouped.items()}


def _combined_row(row: Mapping[str, str], _: str, where: str) -> _Row:
    start, end = parse_span(row["start_time_s"], row["duration_s"], where)
    return row["uid"], start, end, row["label"]


def _recording_row(row: Mapping[str, str], _: str, where: str) -> _Row:
    start, _zero = parse_span(row["start_s"], "0", where)
    end, _zero = parse_span(row["end_s"], "0", where)
    if end < start:
        raise AnnotationError(f"{where}: ends at {row['end_s']} s, before it starts at {row['start_s']} s")
    return row["recording_id"], start, end, row["label"]


def _childproject_row(row: Mapping[str, str], recording_id: str, where: str) -> _Row:
    try:
        onset, offset = int(row["segment_onset"]), int(row["segment_offset"])
    except (ValueError, TypeError):
        raise AnnotationError(
            f"{where}: segment_onset {row['segment_onset']!r} and segment_offset {row['segment_offset']!r} "
            "must be whole milliseconds"
        ) from None
    if onset < 0 or offset < onset:
        raise AnnotationError(f"{where}: segment from {onset} to {offset} ms is negative or ends before it starts")
    label = _FROM_CHILDPROJECT.get(row["speaker_type"], row["speaker_type"])
    return recording_id, ms_to_samples(onset), ms_to_samples(offset), label


_LAYOUTS: tuple[tuple[set[str], Callable[[Mapping[str, str], str, str], _Row], bool], ...] = (
    ({"uid", "start_time_s", "duration_s", "label"}, _combined_row, True),
    ({"recording_id", "start_s", "end_s", "label"}, _recording_row, True),
    ({"segment_onset", "segment_offset", "speaker_type"}, _childproject_row, False),
)
