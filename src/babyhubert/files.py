"""Atomic output: every file is written under a temporary name beside its path and renamed when complete.

So a file under its final name is complete, whatever ended the program before.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from babyhubert.errors import AnnotationError, DiskFullError, OutputError, UnsafeNameError
from babyhubert.hashing import sampled_sha256

_TEMPORARY = re.compile(r"\.babyhubert-partial-[0-9a-f]{8}(\..*)?")
_LONGEST_SUFFIX = 32
_LONGEST_PART = 255
_LONGEST_NAME = 2000
_SHOWN = 80


def explain_os_error(path: Path, error: OSError) -> OutputError:
    """One sentence about a failed write: path, reason, remedy."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFullError(f"{path}: the disk is full; free some space and run the same command again to continue")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return OutputError(f"{path}: no permission to write here; choose another output folder")
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        return OutputError(f"{path}: a file stands where a folder is needed; choose another output folder")
    return OutputError(f"{path}: cannot be written ({error.strerror or error})")


def make_folder(folder: Path) -> Path:
    """Create a folder and its parents.

    Raises:
        OutputError: it cannot be created.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(folder, error) from error
    return folder


def path_below(folder: Path, name: str, suffix: str = "") -> Path:
    """Path of the file ``folder/name + suffix``, for a name from a file or a command line: all are made here.

    Args:
        folder: The folder; it need not exist.
        name: Parts joined by forward slashes, as in the ids of recordings.
        suffix: Suffix such as ``.csv``, appended to the name.

    Raises:
        UnsafeNameError: see :func:`require_safe_name`; or a symbolic link below the folder leads out of it.
    """
    require_safe_name(name, suffix)
    folder = Path(folder)
    path = folder / f"{name}{suffix}"
    if "/" in name and not Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(folder)):
        raise UnsafeNameError(f"{path}: a symbolic link leads out of {folder}; remove the link")
    return path


def require_safe_name(name: str, suffix: str = "") -> None:
    """Refuse an id that cannot name a file below a folder.

    Raises:
        UnsafeNameError: it is empty, absolute, begins with a drive, has an empty part or ``.`` or ``..``, or cannot be
            a file's name (NUL, no valid Unicode, too long).
    """
    why = _why_unsafe(name, suffix)
    if why is not None:
        shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
        raise UnsafeNameError(f"{shown!r} cannot be the name of a recording's files: {why}")


def _why_unsafe(name: str, suffix: str) -> str | None:
    """The reason why a name cannot be used below a folder, or None."""
    if not name:
        return "it is empty; name the recording"
    if "\0" in name:
        return "it holds a NUL; rename the recording"
    if re.match(r"[A-Za-z]:", name):
        return "it begins with the letter of a drive; give the path below the folder of recordings"
    parts = re.split(r"[/\\]", name)  # Windows divides at both
    if not parts[0]:
        return "it is an absolute path; give the path below the folder of recordings"
    if ".." in parts:
        return "'..' leads out of the folder; give the path below the folder of recordings"
    if "" in parts or "." in parts:
        return "one of its parts is empty or '.'; leave that part out"
    try:
        sizes = [len(os.fsencode(part)) for part in (*parts[:-1], parts[-1] + suffix)]
    except UnicodeEncodeError:
        return "it is not valid Unicode; rename the recording"
    if max(sizes) > _LONGEST_PART or sum(sizes) + len(sizes) > _LONGEST_NAME:
        return f"it is too long (at most {_LONGEST_PART} bytes a part, {_LONGEST_NAME} in all); shorten it"
    return None


def temporary_beside(path: Path) -> Path:
    """A new name in the folder of ``path``, by which :func:`remove_leftovers` recognises temporary files.

    It keeps the suffix, for writers that choose a format by suffix, and is short even for a long name.
    """
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    return path.with_name(f".babyhubert-partial-{secrets.token_hex(4)}{suffix}")


@contextmanager
def atomic_path(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A temporary path in the folder of ``path`` that is renamed to it when the block ends without an error.

    Args:
        path: The final name.
        durable: Wait until the content is on the disk before it takes the name, so that a power cut leaves no empty
            file.

    Raises:
        OutputError: the folder cannot be made, the disk is full, writing is not permitted.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = temporary_beside(path)
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - replaces an existing file on every system
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise explain_os_error(path, error) from error
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if is_disk_full(error):
            raise explain_os_error(path, OSError(errno.ENOSPC, str(error))) from error
        raise


def is_disk_full(error: BaseException) -> bool:
    """True for the errors of libraries written in Rust, which carry the system's number in their text alone."""
    return any(f"(os error {number})" in str(error) for number in (errno.ENOSPC, errno.EDQUOT))


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a UTF-8 text file with line feeds as line ends on every system.

    Bytes of file names that are not text (as on old disks) are written as escapes.
    """
    with atomic_path(path, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, with the header as the first: commas, line feeds, quotes only if needed.

    A text that a spreadsheet would run as a formula is written with a leading ``'`` (see :func:`guard`).
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([guard(field) for field in row] for row in rows)
    return text.getvalue()


_FORMULA = re.compile(r"'*[=+\-@\t]")


def guard(field: object) -> object:
    """Protect a CSV field from spreadsheets, which run texts that begin with ``= + - @`` or a tab, by a leading ``'``.

    Numbers stay as they are, whatever their sign, and so do ``-``, ``--`` and the like. Carriage returns, which would
    end the row, become line feeds.
    """
    if not isinstance(field, str):
        return field
    field = field.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{field}" if _runs(field) else field


def without_guard(field: str) -> str:
    """Restore the text that was given to :func:`guard`."""
    return field[1:] if field.startswith("'") and _runs(field[1:]) else field


def _runs(field: str) -> bool:
    if not _FORMULA.match(field):
        return False
    with suppress(ValueError):
        return not math.isfinite(float(field))
    return bool(field.strip("=+-@"))


def write_json(path: Path, content: Mapping[str, Any], *, durable: bool = False) -> None:
    """Write a JSON object, indented, keys in their order; NaN and infinities become null."""
    text = json.dumps(finite(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n", durable=durable)


def finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON does not have, by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def files_below(folder: Path, suffix: str) -> list[Path]:
    """All files below a folder whose names end in ``suffix``, lower or upper case, in order of their paths.

    Links to folders are not followed.

    Raises:
        AnnotationError: a folder cannot be read, so that its files would be missed.
    """

    def refuse(error: OSError) -> None:
        if isinstance(error, FileNotFoundError):
            return
        raise AnnotationError(
            f"{error.filename}: this folder cannot be read ({error.strerror or error}); change its permissions"
        ) from error

    found = [Path(root) / name for root, _, names in os.walk(folder, onerror=refuse) for name in names]
    return sorted(path for path in found if path.name.lower().endswith(suffix) and not path.is_dir())


def is_temporary(path: Path) -> bool:
    """True for a file that is being written, or was left by a killed run."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(folder: Path, *below: str) -> None:
    """Delete files with names of :func:`temporary_beside` that killed runs left; call it while no run is writing.

    Args:
        folder: Folder to search, without its sub-folders, which may belong to others.
        below: Patterns of sub-folders that belong to the output, such as ``layer*``, searched with all below them.
    """
    _remove_temporary(folder)
    for pattern in below:
        for owned in folder.glob(pattern):
            for name, _, _ in os.walk(owned):
                _remove_temporary(Path(name))


def _remove_temporary(folder: Path) -> None:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not _TEMPORARY.fullmatch(entry.name):
                continue
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    Path(entry.path).unlink()


def file_identity(path: Path) -> dict[str, Any]:
    """Size, modification time and a hash of parts of a file, to detect that a recording was replaced.

    Raises:
        OSError: it cannot be read.
    """
    status = path.stat()
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sample_sha256": sampled_sha256(path)}


@contextmanager
def exclusive(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock file, or fail at once if another run holds it.

    Args:
        lock: The lock file; its folder exists.
        busy: Message in that case.

    Raises:
        OutputError: another run holds it.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise OutputError(busy) from None
    try:
        yield
    finally:
        held.release()
