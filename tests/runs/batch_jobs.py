"""A job whose recordings do what their ids say; workers find it in this module."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from babyhubert.audio.discovery import RecordingFile
from babyhubert.errors import CheckpointError, DiskFullError
from babyhubert.progress import RunProgress
from babyhubert.runs.folder import RunFolder


class Job:
    def __init__(self, folder: RunFolder, identity: str = "same") -> None:
        self.folder = folder
        self.identity = identity

    def process(self, files: Sequence[RecordingFile], progress: RunProgress) -> None:
        for file in files:
            name = file.recording_id
            tries = self.folder.output / f"{name}.tries"
            with tries.open("a", encoding="utf-8") as log:
                log.write(f"{os.getpid()}\n")
            if name.startswith("kills") or (name.startswith("dies") and tries.read_text().count("\n") == 1):
                time.sleep(0.1)  # time for the first word to leave
                os.kill(os.getpid(), signal.SIGKILL)
            if name.startswith("full"):
                raise DiskFullError(f"{file.path}: the disk is full")
            if name.startswith("raises"):
                raise RuntimeError("what nobody foresaw")
            error = f"{file.path}: broken" if name.startswith("broken") else None
            progress.advance(name, 10)
            if error is None:
                self.folder.complete(name, {})
            progress.done(name, error)


def make(output: Path) -> Job:
    return Job(RunFolder(output, "job"))


def make_other(output: Path) -> Job:
    return Job(RunFolder(output, "job"), "other")


def cannot_make(output: Path) -> Job:
    raise CheckpointError(f"{output}: no model")
