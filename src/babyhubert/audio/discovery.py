"""Finding recordings on the command line and giving each an id.

All output about a recording carries its id: the path below the given folder, without the extension, with forward
slashes. Ids must be valid in RTTM files (no white space) and on disks that ignore case, so clashes are an error before
any work is done. Input: files and folders. Output: a list of :class:`RecordingFile`; no file is opened.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from babyhubert.audio.media import SUFFIXES as MEDIA_SUFFIXES
from babyhubert.audio.names import rttm_uri
from babyhubert.errors import AudioError, some_names

AUDIO_SUFFIXES = MEDIA_SUFFIXES | frozenset(
    {".wav", ".wave", ".rf64", ".w64", ".bwf", ".aif", ".aiff", ".aifc", ".au", ".caf", ".flac", ".ogg", ".oga"}
    | {".opus", ".mp3", ".sph"}
)
"""Extensions that make a file in a folder a recording, lower case."""


_BESIDE_RECORDINGS = frozenset(
    {".csv", ".tsv", ".txt", ".rttm", ".uem", ".eaf", ".pfsx", ".etf", ".textgrid", ".its", ".cha", ".cex", ".json"}
    | {".jsonl", ".yaml", ".yml", ".toml", ".xml", ".md", ".rst", ".pdf", ".doc", ".docx", ".odt", ".xls", ".xlsx"}
    | {".ods", ".html", ".htm", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".npy", ".npz", ".parquet", ".pt", ".log"}
    | {".py", ".r", ".rmd", ".sh", ".ipynb", ".srt", ".vtt", ".lab", ".ini", ".db", ".bak", ".zip", ".gz", ".tar"}
)
"""Extensions of other files that are expected in such folders, lower case."""
_NAMED = 10


@dataclass(frozen=True)
class RecordingFile:
    """A recording and its id, such as ``sub/day.1`` for ``sub/day.1.wav`` in the folder that was given."""

    recording_id: str
    path: Path


def discover(
    inputs: Sequence[Path | str], *, known: Mapping[str, str] = MappingProxyType({}), tell_apart: bool = False
) -> list[RecordingFile]:
    """Recordings among files and folders, in the order given and sorted within each folder.

    Folders are searched below, without hidden files and folders. A file given twice counts once. A file given directly
    counts whatever its extension. A folder that cannot be read counts as a recording, so that it is reported like any
    recording that cannot be read.

    Args:
        inputs: The files and folders.
        known: Ids that recordings keep, by :func:`file_key`.
        tell_apart: Give files of one folder whose names differ in the suffix alone an id each (``day1_wav``,
            ``day1_m4a``), instead of refusing them.

    Raises:
        AudioError: an input does not exist, a folder holds no audio, or two files would get the same id.
    """
    found: dict[str, RecordingFile] = {}
    for given in map(Path, inputs):
        for file in _recordings_of(given):
            found.setdefault(key := file_key(file.path), replace(file, recording_id=known.get(key, file.recording_id)))
    files = list(found.values())
    if tell_apart:
        files = _told_apart(files, known)
    _refuse_clashes(files)
    return files


def left_out(inputs: Sequence[Path | str]) -> list[Path]:
    """Files in the given folders whose names are neither those of recordings nor those of files expected beside them.

    Tables, annotations, texts and pictures are expected; any other file may be a recording that would be missed
    unnoticed.
    """
    closed: list[Path] = []
    found = [path for given in map(Path, inputs) if os.path.isdir(given) for path in _files_below(given, closed)]  # noqa: PTH112 - see _recordings_of
    return sorted({path for path in found if path.suffix.lower() not in AUDIO_SUFFIXES | _BESIDE_RECORDINGS})


def skipped_note(files: Sequence[Path]) -> str:
    """Sentence that counts and names them; if there are many, only the first."""
    names = ", ".join(str(path) for path in files[:_NAMED]) + (", ..." if len(files) > _NAMED else "")
    count = "1 file was" if len(files) == 1 else f"{len(files)} files were"
    return f"{count} left out, not known as audio by name: {names}; name a file itself to have it read"


def without_suffix(name: str) -> str:
    """An id without the suffix of an audio file."""
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in AUDIO_SUFFIXES else name


def require_there(inputs: Iterable[str | Path]) -> None:
    """Refuse files and folders that do not exist, before anything that takes time.

    Raises:
        AudioError: one of them does not exist.
    """
    for given in map(Path, inputs):
        if not _may_exist(given):
            raise AudioError(f"{given} does not exist: check the path")


def _recordings_of(given: Path) -> Iterator[RecordingFile]:
    if not os.path.isdir(given):  # noqa: PTH112 - a path's own method raises where a folder above it is closed
        require_there([given])
        yield RecordingFile(given.stem, given)
        return
    closed: list[Path] = []
    paths = [*_audio_below(given, closed), *closed]
    if not paths:
        others = left_out([given])
        note = f" ({skipped_note(others)})" if others else ""
        raise AudioError(f"{given} holds no audio files: give a folder with recordings ({_some_suffixes()}){note}")
    for path in sorted(paths, key=lambda path: path.relative_to(given).parts):
        name = path.relative_to(given)
        yield RecordingFile(f"{name.as_posix()}/" if path in closed else name.with_suffix("").as_posix(), path)


def _may_exist(path: Path) -> bool:
    """False if a path certainly does not exist; true also if an unreadable folder hides it."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True


def _some_suffixes() -> str:
    return ".wav, .flac, .mp3, .m4a, .ogg, ..."


def _audio_below(folder: Path, closed: list[Path]) -> Iterator[Path]:
    """Audio files below a folder, see :func:`_files_below`."""
    return (path for path in _files_below(folder, closed) if path.suffix.lower() in AUDIO_SUFFIXES)


def _files_below(folder: Path, closed: list[Path]) -> Iterator[Path]:
    """List the files below a folder; links to folders are followed, each real folder once.

    Folders that cannot be read are added to ``closed``.
    """
    seen: set[str] = set()

    def remember(error: OSError) -> None:
        closed.append(Path(error.filename))

    for name, folders, files in os.walk(folder, onerror=remember, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(entry for entry in folders if not entry.startswith("."))
        for entry in files:
            if not entry.startswith("."):
                yield Path(name) / entry


def file_key(path: Path) -> str:
    """Real path of a file, equal for two names of the same file.

    Contents managed by git-annex are the exception: equal contents share one object, and two days with equal contents
    remain two recordings.
    """
    real = os.path.realpath(path)
    if os.path.islink(path) and "annex" in Path(real).parts:  # noqa: PTH114 - see _recordings_of
        real = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118 (stays a string)
    return os.path.normcase(real)


def _told_apart(files: list[RecordingFile], known: Mapping[str, str]) -> list[RecordingFile]:
    """The files, with the suffix in the ids of those of one folder whose names differ in it alone."""
    groups: dict[tuple[Path, str], list[RecordingFile]] = {}
    for file in files:
        groups.setdefault((file.path.parent, _compared(file.recording_id)), []).append(file)
    one = {file.path: len(group) == 1 for group in groups.values() for file in group}
    return [
        file
        if one[file.path] or file_key(file.path) in known or not file.path.suffix
        else replace(file, recording_id=f"{file.recording_id}_{file.path.suffix[1:]}")
        for file in files
    ]


def id_notes(files: Sequence[RecordingFile]) -> list[str]:
    """A note if names of files differ in the suffix alone, which is then in their ids."""
    apart = [file for file in files if file.recording_id.endswith(f"{file.path.stem}_{file.path.suffix[1:]}")]
    told = some_names([f"{file.path.name} is '{file.recording_id}'" for file in apart], 4)
    return [f"names of files that differ in the suffix alone: {told}"] if apart else []


def _compared(recording_id: str) -> str:
    """An id as disks that ignore case, and RTTM files, hold it."""
    return unicodedata.normalize("NFC", rttm_uri(recording_id)).casefold()


def _refuse_clashes(files: list[RecordingFile]) -> None:
    owners: dict[str, RecordingFile] = {}
    for file in files:
        other = owners.setdefault(_compared(file.recording_id), file)
        if other is file:
            continue
        if other.recording_id == file.recording_id:
            why = f"would both be called '{file.recording_id}'"
        else:
            why = f"have ids that differ only in case or white space ('{other.recording_id}', '{file.recording_id}')"
        apart = other.path.parent != file.path.parent and other.recording_id == file.recording_id
        remedy = "give the folder that holds both, or rename one" if apart else "rename one, or name the files to take"
        raise AudioError(f"{other.path} and {file.path} {why}: {remedy}")
