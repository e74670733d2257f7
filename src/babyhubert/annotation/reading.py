"""Segments from a file or folder of any known annotation format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from babyhubert.annotation.audacity import read_audacity
from babyhubert.annotation.csv_tables import read_csv_segments
from babyhubert.annotation.its import read_its
from babyhubert.annotation.rttm import read_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.audio.names import rttm_uri
from babyhubert.errors import AnnotationError

_SUFFIXES = (".rttm", ".csv", ".its", ".eaf", ".TextGrid", ".txt")
"""In the order in which a folder that holds several kinds is read: the first kind found is the one."""


def read_segments(path: Path, recording_id: str | None = None) -> dict[str, Segments]:
    """Segments of every recording in a file, whose format is told by its suffix (and header).

    Read are RTTM, CSV, LENA .its, ELAN .eaf, Praat TextGrid and Audacity labels (.txt).

    Args:
        path: The file.
        recording_id: Name of the recording for files that do not carry one; the file's stem when absent. Such a file
            gives an entry even when it holds no segment.

    Raises:
        AnnotationError: unreadable, an unknown format or header, or a malformed row (named).

    """
    path = Path(path)
    name = recording_id or path.stem
    match path.suffix.lower():
        case ".rttm":
            return read_rttm(path) or {rttm_uri(name): Segments.empty()}
        case ".csv":
            return read_csv_segments(path, name)
        case ".its":
            return {name: read_its(path)}
        case ".eaf":
            from babyhubert.annotation.eaf import read_eaf_tiers
            from babyhubert.annotation.tiers import segments_of

            return {name: segments_of(read_eaf_tiers(path))}
        case ".textgrid":
            from babyhubert.annotation.textgrid import read_textgrid_tiers
            from babyhubert.annotation.tiers import segments_of

            return {name: segments_of(read_textgrid_tiers(path))}
        case ".txt":
            return {name: read_audacity(path)}
    raise AnnotationError(
        f"{path}: unknown kind of segments file {path.suffix or 'without suffix'}; {_listed(_SUFFIXES)} expected"
    )


def read_annotations(path: Path) -> dict[str, Segments]:
    """Segments of a file, of a set of a ChildProject project, or of all files of one kind below a folder.

    The kind is the first found of RTTM, CSV, LENA .its, .eaf, TextGrid, .txt (Audacity). A file that names no
    recording in its lines (an empty RTTM, a ChildProject CSV) takes its path below the folder, without suffix, as the
    id. Of the output of a run, its ``rttm`` folder is read. Of a project (or a folder ``annotations/<set>`` in one)
    the converted annotations are read, as its index ``metadata/annotations.csv`` lists them.

    Raises:
        AnnotationError: nothing there, no segments file below it, or one recording annotated by two files.

    """
    found: dict[str, Segments] = {}
    for _, part in read_each(path):
        if isinstance(part, AnnotationError):
            raise part
        found.update(part)
    return found


def read_each(path: Path) -> Iterator[tuple[Path, dict[str, Segments] | AnnotationError]]:
    """What :func:`read_annotations` reads, file by file; a file that cannot be read gives its error instead.

    Raises:
        AnnotationError: nothing there, or no segments file below it.

    """
    from babyhubert.annotation.childproject import find_set, read_each_of_set

    path = Path(path)
    if path.is_file() or (path.is_symlink() and not path.exists()):
        yield path, _attempt(path, None)
        return
    if not path.is_dir():
        raise AnnotationError(f"{path}: no such file or folder")
    project_set = find_set(path)
    if project_set is not None:
        yield from read_each_of_set(project_set)
        return
    path = path / "rttm" if (path / "rttm").is_dir() else path
    origin: dict[str, Path] = {}
    for file in _segment_files(path):
        part = _attempt(file, file.relative_to(path).with_suffix("").as_posix())
        if not isinstance(part, AnnotationError):
            twice = next((uri for uri in part if uri in origin), None)
            if twice is not None:
                part = AnnotationError(f"{twice}: annotated by both {origin[twice]} and {file}; keep one")
            else:
                origin.update(dict.fromkeys(part, file))
        yield file, part


def _segment_files(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.rglob("*") if not file.is_dir() and not file.name.startswith("."))
    for suffix in _SUFFIXES:
        chosen = [file for file in files if file.suffix.lower() == suffix.lower()]
        if chosen:
            return chosen
    raise AnnotationError(f"{folder}: no {_listed(_SUFFIXES)} file in this folder")


def _attempt(path: Path, recording_id: str | None) -> dict[str, Segments] | AnnotationError:
    try:
        return read_segments(path, recording_id)
    except AnnotationError as error:
        return error


def _listed(suffixes: tuple[str, ...]) -> str:
    return f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
