"""Commands on finished results that the page runs to their end: exports, clips, and the page that corrects clips."""

from __future__ import annotations

import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from babyhubert.desktop import commands
from babyhubert.errors import ConfigError, OutputError

_ADDRESS = "http://127.0.0.1:"


def finish(words: list[str]) -> str:
    """Run a command to its end.

    Returns:
        Its last line.

    Raises:
        OutputError: it failed; with its last line.
    """
    process = _begin(words)
    printed, _ = process.communicate()
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    if process.returncode:
        raise OutputError(f"{commands.as_typed(words)}: {lines[-1] if lines else 'ended with an error'}")
    return lines[-1] if lines else ""


class ReviewServers:
    """Servers of ``babyhubert review``, one for each folder of clips; they end with this one."""

    def __init__(self) -> None:
        self._open: dict[tuple[Path, str], tuple[subprocess.Popen[str], str]] = {}
        self._lock = threading.Lock()

    def address(self, clips: Path, annotator: str) -> str:
        """Address of the page for some clips; its server is started if it does not run.

        Raises:
            ConfigError: there are no clips.
            OutputError: the server ends with an error.
        """
        if not (clips / "sample.json").is_file():
            raise ConfigError(f"{clips}: no clips yet; draw some first")
        with self._lock:
            process, address = self._open.get((clips, annotator), (None, ""))
            if process is not None and process.poll() is None:
                return address
            self._open[clips, annotator] = process, address = _start(commands.review(clips, annotator))
        return address

    def close(self) -> None:
        """End all servers."""
        for process, _ in self._open.values():
            process.terminate()
        for process, _ in self._open.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)


def _begin(words: list[str]) -> subprocess.Popen[str]:
    """Process of a command whose output, errors among it, is read as text."""
    return subprocess.Popen(
        commands.as_process(words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def _start(words: list[str]) -> tuple[subprocess.Popen[str], str]:
    """Process of a command that serves a page, and the page's address."""
    process = _begin(words)
    assert process.stdout is not None
    line = ""
    for line in process.stdout:
        if line.startswith(_ADDRESS):
            threading.Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would stop the server
            return process, line.strip()
    process.wait()
    raise OutputError(f"{commands.as_typed(words)}: {line.strip() or 'ended with an error'}")
