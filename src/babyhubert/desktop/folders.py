"""Recordings of this machine: folders to choose from, what is in them, and files that are dropped on the page."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from babyhubert.audio.discovery import AUDIO_SUFFIXES, discover, left_out
from babyhubert.audio.preflight import check_recordings
from babyhubert.desktop.workspace import Workspace, safe_name
from babyhubert.errors import ConfigError
from babyhubert.files import make_folder, temporary_beside
from babyhubert.timebase import SAMPLE_RATE

_MOST_NAMES = 2_000
_MOST_TOLD = 20


def browse(path: str) -> dict[str, Any]:
    """Sub-folders and recordings directly in a folder, for choosing one.

    Args:
        path: The folder; empty for the home folder.

    Raises:
        ConfigError: it is no folder, or may not be read.
    """
    folder = Path(path).expanduser() if path else Path.home()
    if not folder.is_absolute() or not folder.is_dir():
        raise ConfigError(f"{path}: no such folder on this machine")
    try:
        entries = sorted((each for each in os.scandir(folder) if not each.name.startswith(".")), key=_by_name)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read ({error.strerror or error})") from error
    folders = [each.name for each in entries if _is_folder(each)]
    recordings = [each.name for each in entries if Path(each.name).suffix.lower() in AUDIO_SUFFIXES]
    return {
        "path": str(folder),
        "parent": None if folder.parent == folder else str(folder.parent),
        "folders": folders[:_MOST_NAMES],
        "recordings": recordings[:_MOST_NAMES],
        "more": max(0, len(folders) - _MOST_NAMES) + max(0, len(recordings) - _MOST_NAMES),
    }


def inspect(audio: list[str], workspace: Workspace) -> dict[str, Any]:
    """Number and hours of the recordings below some files and folders, and those that cannot be read.

    Raises:
        AudioError: there are none.
        ConfigError: a path is not absolute.
    """
    paths = absolute(audio)
    checked = check_recordings(discover(paths), workspace.folder, 0)
    others = left_out(paths)
    return {
        "recordings": len(checked.good),
        "hours": checked.total_samples / SAMPLE_RATE / 3600,
        "unreadable": [f"{file.recording_id}: {reason}" for file, reason in checked.bad][:_MOST_TOLD],
        "unreadable_count": len(checked.bad),
        "left_out": [each.name for each in others[:_MOST_TOLD]],
        "left_out_count": len(others),
        "warnings": list(checked.warnings[:_MOST_TOLD]),
    }


def absolute(audio: list[str]) -> list[Path]:
    """Paths that the page sends.

    Raises:
        ConfigError: none, or one that is not absolute.
    """
    paths = [Path(each).expanduser() for each in audio]
    if not paths:
        raise ConfigError("choose a folder of recordings, or drop files")
    for path in paths:
        if not path.is_absolute():
            raise ConfigError(f"{path}: give the whole path")
    return paths


async def keep_dropped(workspace: Workspace, batch: str, name: str, chunks: AsyncIterator[bytes]) -> Path:
    """Store a file that was dropped on the page, below the workspace; it stays on this machine.

    Args:
        workspace: The workspace.
        batch: Name of the drop: files dropped together share a folder.
        name: The file's name.
        chunks: Its content, piece by piece.

    Returns:
        The file.

    Raises:
        ConfigError: its name is not that of a recording, or the folder has a file of that name.
    """
    plain = safe_name(Path(name).name)
    if Path(plain).suffix.lower() not in AUDIO_SUFFIXES:
        known = ", ".join(sorted(suffix.removeprefix(".") for suffix in AUDIO_SUFFIXES))
        raise ConfigError(f"{name}: not known as a recording by its name; known are {known}")
    folder = make_folder(workspace.folder / "dropped" / (safe_name(batch) or "files"))
    path = folder / plain
    if path.exists():
        raise ConfigError(f"{name}: two files of this name were dropped; put them into a folder, and choose that")
    temporary = temporary_beside(path)
    try:
        with temporary.open("wb") as file:
            async for chunk in chunks:
                file.write(chunk)
        os.replace(temporary, path)  # noqa: PTH105 - replaces an existing file on every system
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    return path


def _by_name(entry: os.DirEntry[str]) -> str:
    return entry.name.casefold()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
