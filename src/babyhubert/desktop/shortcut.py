"""Starters for people who do not open a terminal: a file on the desktop that is double-clicked."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from babyhubert.errors import ConfigError
from babyhubert.files import make_folder, write_text

NAME = "BabyHuBERT"


def install_shortcut(workspace: Path, folder: Path | None = None, system: str | None = None) -> list[Path]:
    """Write the starter of this machine's system, and return the files written.

    Windows: ``BabyHuBERT.cmd``; macOS: ``BabyHuBERT.command``; Linux: ``babyhubert.desktop``, on the desktop and in
    the menu of applications.

    Args:
        workspace: Folder of the analyses, which the starter opens.
        folder: Where to write it instead of the desktop.
        system: ``Windows``, ``Darwin`` or ``Linux``; None: this machine's.

    Raises:
        ConfigError: another system.
        OutputError: it cannot be written.
    """
    system = system or platform.system()
    words = [sys.executable, "-m", "babyhubert", "app", "--folder", str(Path(workspace).absolute())]
    desktop = Path(folder) if folder is not None else Path.home() / "Desktop"
    if system == "Windows":
        return [_windows(make_folder(desktop) / f"{NAME}.cmd", words)]
    if system == "Darwin":
        return [_macos(make_folder(desktop) / f"{NAME}.command", words)]
    if system == "Linux":
        places = [desktop] if folder is not None or desktop.is_dir() else []
        if folder is None:
            places.append(Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "applications")
        return [_linux(make_folder(place) / "babyhubert.desktop", words) for place in places]
    raise ConfigError(f"{system}: starters are known for Windows, macOS and Linux; type 'babyhubert app' there")


def _windows(path: Path, words: list[str]) -> Path:
    line = subprocess.list2cmdline(words).replace("%", "%%")
    write_text(path, f"@echo off\r\ntitle {NAME}\r\nchcp 65001 >nul\r\n{line}\r\nif errorlevel 1 pause\r\n")
    return path


def _macos(path: Path, words: list[str]) -> Path:
    import shlex

    write_text(path, f"#!/bin/sh\nexec {shlex.join(words)}\n")
    path.chmod(0o755)
    return path


def _linux(path: Path, words: list[str]) -> Path:
    lines = (
        "[Desktop Entry]",
        "Type=Application",
        f"Name={NAME}",
        "Comment=Who speaks in child-centred recordings",
        f"Exec={' '.join(map(_quoted, words))}",
        "Terminal=true",
        "Categories=Science;AudioVideo;",
    )
    write_text(path, "\n".join(lines) + "\n")
    path.chmod(0o755)
    return path


def _quoted(word: str) -> str:
    """A word of ``Exec`` as the Desktop Entry Specification asks: quotes, with escapes inside, and ``%`` doubled."""
    inside = word.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`").replace("$", "\\$").replace("%", "%%")
    return '"' + inside.replace("\\", "\\\\") + '"'
