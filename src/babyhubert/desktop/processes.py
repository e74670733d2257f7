"""Processes of the commands of a workspace: begun, stopped, and recognised by a later server.

A command is a process of its own, so that a server that ends or dies does not end a run of hours. Its number is
stored; a later server takes a live process of that number for the command only if the results folder is locked, since
systems use numbers again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from babyhubert.desktop import commands
from babyhubert.errors import ConfigError
from babyhubert.files import make_folder, path_below, write_json
from babyhubert.runs.folder import RunFolder

_LAST_LINES = 12
_READ_BYTES = 16_384
_NEW_S = 120.0
"""A process this new may not have locked its folder yet."""


class Processes:
    """Processes of the commands of a workspace, by name of the analysis.

    Args:
        folder: Folder for numbers and output.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = make_folder(folder)
        self._own: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def start(self, name: str, words: list[str], output: Path) -> None:
        """Start a command.

        Args:
            name: Name of the analysis.
            words: Arguments of the command.
            output: Its results folder.

        Raises:
            ConfigError: one is running.
        """
        with self._lock:
            if self.is_running(name, output):
                raise ConfigError(f"'{name}' is running")
            log = self._log(name)
            with log.open("wb") as printed:
                process = subprocess.Popen(
                    commands.as_process(words),
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    env=os.environ | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
                    start_new_session=os.name != "nt",
                )
            self._own[name] = process
            write_json(self._record(name), {"process": process.pid, "began": time.time()})

    def stop(self, name: str, output: Path) -> None:
        """Ask the command to stop; what is finished stays, and starting again continues."""
        with self._lock:
            if not self.is_running(name, output):
                return
            number = self._own[name].pid if name in self._own else self._stored(name)[0]
            with suppress(OSError):
                os.kill(number, signal.SIGTERM if os.name == "nt" else signal.SIGINT)

    def is_running(self, name: str, output: Path) -> bool:
        """True while the command runs, of this server or of an earlier one."""
        if name in self._own:
            return self._own[name].poll() is None
        number, began = self._stored(name)
        if not number or not _is_alive(number):
            return False
        return time.time() - began < _NEW_S or _is_locked(output)

    def exit_code(self, name: str) -> int | None:
        """Exit code of the last command of this server; None if it runs or was another server's."""
        return self._own[name].poll() if name in self._own else None

    def last_lines(self, name: str) -> list[str]:
        """The end of what the command printed, without lines of progress."""
        try:
            with self._log(name).open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - _READ_BYTES))
                text = file.read().decode("utf-8", errors="replace")
        except OSError:
            return []
        lines = [line.rstrip() for line in text.splitlines()]
        return [line for line in lines if line and " x real time" not in line][-_LAST_LINES:]

    def _stored(self, name: str) -> tuple[int, float]:
        try:
            record = json.loads(self._record(name).read_text(encoding="utf-8"))
            return int(record["process"]), float(record["began"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0.0

    def _record(self, name: str) -> Path:
        return path_below(self._folder, name, ".json")

    def _log(self, name: str) -> Path:
        return path_below(self._folder, name, ".txt")


def _is_locked(output: Path) -> bool:
    return RunFolder(output, "analyze").is_held()


def _is_alive(number: int) -> bool:
    if os.name == "nt":
        found = subprocess.run(
            ["tasklist", "/FI", f"PID eq {number}", "/NH"], capture_output=True, text=True, check=False
        )
        return str(number) in found.stdout
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
