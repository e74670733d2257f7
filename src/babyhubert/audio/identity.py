"""Identity of a recording's file, to detect that it was changed or replaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babyhubert.errors import AudioError
from babyhubert.files import file_identity


def same_content(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Compare identities: True if two files have the same content, whenever they were written.

    Identities of earlier versions have no hash: then size and time decide.
    """
    if "sample_sha256" not in one or "sample_sha256" not in other:
        return all(one.get(name) == other.get(name) for name in ("bytes", "mtime_ns"))
    return all(one[name] == other[name] for name in ("bytes", "sample_sha256"))


def identity_before(path: Path) -> dict[str, Any]:
    """Return the identity of a recording that is about to be read.

    Raises:
        AudioError: the file does not exist, or cannot be read.
    """
    try:
        return file_identity(path)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror or error})") from error


def require_same(path: Path, identity: Mapping[str, Any]) -> None:
    """Check that a recording is still the same file as before it was read.

    Raises:
        AudioError: it was replaced or written to meanwhile.
    """
    if identity_before(path) != identity:
        raise AudioError(
            f"{path}: was changed or replaced while it was read; run the same command again when it is complete"
        )
