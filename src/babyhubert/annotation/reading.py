"""Reading of segments from a file or folder of any known annotation format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from babyhubert.annotation.formats import SUFFIXES, format_of, listed_suffixes
from babyhubert.annotation.recording_rows import Parts, refuse_failures
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import unreadable
from babyhubert.errors import AnnotationError


def read_segments(path: Path, recording_id: str | None = None) -> dict[str, Segments]:
    """Read the segments of every recording in a file; its suffix (and header) determine the format.

    Read are the formats of :mod:`babyhubert.annotation.formats`.

    Args:
        path: The file.
        recording_id: Name of the recording for files that do not carry one; the file's stem when absent. Such a file
            gives an entry even when it holds no segment.

    Raises:
        AnnotationError: unreadable, an unknown format or header, or a malformed row (named).
    """
    return refuse_failures(_read_parts(Path(path), recording_id))


def _read_parts(path: Path, recording_id: str | None) -> Parts:
    """Read a file like :func:`read_segments`, with an error in place of a recording with a malformed row."""
    return format_of(path).read(path, recording_id or path.stem)


def read_annotations(path: Path) -> dict[str, Segments]:
    """Read the segments of a file, of a set of a ChildProject project, or of all files of one kind below a folder.

    The kind is the first found in the order of :mod:`babyhubert.annotation.formats`. A file that names no recording
    in its lines (an empty RTTM, a ChildProject CSV) takes its path below the folder, without suffix, as the id. Of the
    output of a run, its ``rttm`` folder is read. Of a project (or a folder ``annotations/<set>`` in one) the converted
    annotations are read, as its index ``metadata/annotations.csv`` lists them.

    Raises:
        AnnotationError: no such path, no segments file below it, or one recording annotated by two files.
    """
    found: dict[str, Segments] = {}
    for _, part in read_each(path):
        if isinstance(part, AnnotationError):
            raise part
        found.update(part)
    return found


def read_each(path: Path) -> Iterator[tuple[Path, dict[str, Segments] | AnnotationError]]:
    """Read file by file what :func:`read_annotations` reads; a file that cannot be read yields its error instead.

    Raises:
        AnnotationError: no such path, or no segments file below it.
    """
    from babyhubert.annotation.childproject import find_set, read_each_of_set

    path = Path(path)
    if not path.is_dir():
        if not (path.exists() or path.is_symlink()):
            raise AnnotationError(f"{path}: no such file or folder")
        yield from ((path, part) for part in _attempt(path, None))
        return
    project_set = find_set(path)
    if project_set is not None:
        yield from read_each_of_set(project_set)
        return
    path = path / "rttm" if (path / "rttm").is_dir() else path
    origin: dict[str, Path] = {}
    files, closed = _segment_files(path)
    yield from closed
    for file in files:
        for part in _attempt(file, file.relative_to(path).with_suffix("").as_posix()):
            twice = None if isinstance(part, AnnotationError) else next((uri for uri in part if uri in origin), None)
            if twice is not None:
                part = AnnotationError(f"{twice}: annotated by both {origin[twice]} and {file}; keep one")
            elif not isinstance(part, AnnotationError):
                origin.update(dict.fromkeys(part, file))
            yield file, part


def _segment_files(folder: Path) -> tuple[list[Path], list[tuple[Path, AnnotationError]]]:
    """Files of the first kind found, and an error for each folder that cannot be read."""
    closed: list[tuple[Path, AnnotationError]] = []

    def note(error: OSError) -> None:
        closed.append((Path(error.filename or folder), unreadable(Path(error.filename or folder), error)))

    files = sorted(
        Path(root) / name for root, _, names in os.walk(folder, onerror=note) for name in names if name[:1] != "."
    )
    for suffix in SUFFIXES:
        chosen = [file for file in files if file.suffix.lower() == suffix.lower()]
        if chosen:
            return chosen, closed
    if closed:
        raise closed[0][1]
    raise AnnotationError(f"{folder}: no {listed_suffixes()} file in this folder")


def _attempt(path: Path, recording_id: str | None) -> Iterator[dict[str, Segments] | AnnotationError]:
    """The recordings of a file that can be read, then the error of each that cannot."""
    try:
        parts = _read_parts(path, recording_id)
    except AnnotationError as error:
        yield error
        return
    whole = {name: part for name, part in parts.items() if not isinstance(part, AnnotationError)}
    if whole:
        yield whole
    yield from (part for part in parts.values() if isinstance(part, AnnotationError))
