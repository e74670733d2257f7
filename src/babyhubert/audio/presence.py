"""Check that the content of a recording is on this disk.

Most "unreadable audio" in the field has nothing to do with audio: a wrong path, an empty copy, or a DataLad data set
whose contents were never fetched. This module looks only at the path and the first bytes, and gives the remedy in one
line. Input: a path. Output: its size in bytes, or an :class:`~babyhubert.errors.AudioError`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from babyhubert.errors import AudioError

_POINTER_BYTES = 32 * 1024
_TEXT_SAMPLE = 512
_ZEROS = 256 * 1024


def require_content(path: Path) -> int:
    """Return the size in bytes of a regular, readable, non-empty file that is not a placeholder for missing content.

    Raises:
        AudioError: missing, a folder, empty, unreadable, a dangling link, or a git-annex or git-lfs pointer.
    """
    size = _regular_size(path)
    if size == 0:
        raise AudioError(f"{path} is empty (0 bytes): copy it again from the recorder")
    head = read_head(path, _POINTER_BYTES if size <= _POINTER_BYTES else _TEXT_SAMPLE)
    if head.lstrip().startswith((b"/annex/objects/", b".git/annex/objects/")):
        raise AudioError(f"the content of {path} is not here (git-annex pointer): run 'datalad get {path}'")
    if head.startswith(b"version https://git-lfs"):
        raise AudioError(f"the content of {path} is not here (git-lfs pointer): run 'git lfs pull'")
    return size


def read_head(path: Path, size: int) -> bytes:
    """First ``size`` bytes of a file."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except PermissionError:
        raise AudioError(f"{path} may not be read by this user: change its permissions") from None
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror or error}") from None


def looks_like_text(path: Path) -> bool:
    """True if a file begins as text does (no control characters except white space)."""
    head = read_head(path, _TEXT_SAMPLE)
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)


def begins_with_zeros(path: Path) -> bool:
    """True if a file begins with so many zero bytes that no header can follow."""
    head = read_head(path, _ZEROS)
    return len(head) == _ZEROS and not any(head)


def _regular_size(path: Path) -> int:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise AudioError(absence(path)) from None
    except PermissionError:
        raise AudioError(f"{path} may not be read by this user: change its permissions") from None
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror or error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(_why_no_folder(path))
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{path} is not a regular file: save the recording to a file first")
    return status.st_size


def _why_no_folder(path: Path) -> str:
    """Reason why a folder, given or found while searching, contains no recording."""
    try:
        os.scandir(path).close()
    except PermissionError:
        return f"{path} is a folder that may not be read by this user: change its permissions"
    except OSError as error:
        return f"{path} is a folder that cannot be read: {error.strerror or error}"
    return f"{path} is a folder, not a recording: name a file inside it"


def absence(path: Path) -> str:
    """Reason why a requested path is missing, and the remedy."""
    if not path.is_symlink():
        return f"{path} does not exist: check the path"
    target = path.readlink()
    if "annex" in target.parts:
        return f"the content of {path} is not here (git-annex link): run 'datalad get {path}'"
    return f"{path} links to {target}, which does not exist: restore it, or run 'datalad get {path}' in a data set"
