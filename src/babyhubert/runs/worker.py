"""Execution in a worker process: the job is made once, then recordings are processed one at a time.

A worker runs in the folder of the command, so that the same paths mean the same files. Before its first recording it
checks that its results would be those of the main process: same versions, same model, same settings.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from distributed import get_worker

from babyhubert.audio.discovery import RecordingFile
from babyhubert.errors import BabyHubertError, ConfigError, DiskFullError, on_command_line, one_line
from babyhubert.runs.distribution import RecordingJob

_SECONDS_BETWEEN_REPORTS = 1.0

_jobs: dict[str, RecordingJob] = {}
_making = threading.Lock()


@dataclass(frozen=True)
class Ticket:
    """Information that a worker needs about a run.

    Attributes:
        run: Name of the run, and of the topic of its progress.
        make: Makes the job; pickled by reference, so that settings travel and models do not.
        identity: Hash of the job, as in the main process.
        versions: Versions of the software there.
        folder: Working folder of the command.
        threads: Threads of torch; None leaves them as the worker was started.
    """

    run: str
    make: Callable[[], RecordingJob]
    identity: str
    versions: Mapping[str, str]
    folder: str
    threads: int | None


@dataclass(frozen=True)
class Report:
    """Result of a recording in a worker.

    Attributes:
        kind: ``done``; ``failed``: this recording; ``full``: the disk; ``unfit``: the worker, whatever the recording.
        message: One line, except for ``done``.
    """

    kind: Literal["done", "failed", "full", "unfit"]
    message: str = ""


def process_recording(ticket: Ticket, file: RecordingFile) -> Report:
    """Process one recording in this worker."""
    progress = _Reporter(ticket.run, file.recording_id)
    try:
        job = _job(ticket)
    except Exception as error:  # whatever it is, every other recording would meet it too
        text = on_command_line(error) if isinstance(error, BabyHubertError) else f"{type(error).__name__}: {error}"
        return Report("unfit", f"the worker on {platform.node()} cannot start: {' '.join(text.split())}")
    try:
        job.process([file], progress)
    except DiskFullError as error:
        return Report("full", str(error))
    except Exception as error:  # one bad recording never stops the others
        return Report("failed", one_line(file.path, error))
    return Report("done") if progress.error is None else Report("failed", progress.error)


def forget_run(run: str) -> None:
    """Release a run's model, in workers that outlive the run."""
    with _making:
        _jobs.pop(run, None)


def decisive_versions() -> dict[str, str]:
    """Versions on which results depend."""
    from babyhubert.runs.record import software_versions

    return {name: version for name, version in software_versions().items() if name in ("babyhubert", "torch")}


def _job(ticket: Ticket) -> RecordingJob:
    with _making:
        if ticket.run not in _jobs:
            _jobs[ticket.run] = _make(ticket)
        return _jobs[ticket.run]


def _make(ticket: Ticket) -> RecordingJob:
    try:
        os.chdir(ticket.folder)
    except OSError as error:
        raise ConfigError(
            f"{ticket.folder}: not there ({error.strerror}); all workers must see the same disks"
        ) from None
    for name, here in decisive_versions().items():
        if here != ticket.versions[name]:
            raise ConfigError(f"it has {name} {here} where this command has {ticket.versions[name]}; use the same")
    if ticket.threads is not None:
        import torch

        torch.set_num_threads(ticket.threads)
    job = ticket.make()
    if job.identity != ticket.identity:
        raise ConfigError(
            "its results would differ: it sees another model or other inputs under the same names, or has another "
            "kind of device (then --speed exact)"
        )
    return job


class _Reporter:
    """Progress of one recording, sent to the main process about once a second. It is a `RunProgress`."""

    def __init__(self, topic: str, recording_id: str) -> None:
        self.error: str | None = None
        self._topic = topic
        self._id = recording_id
        self._worker = get_worker()
        self._heard = 0
        self._last = time.monotonic()
        self._tell(began=True)

    def start(self, recordings: int, samples: int, skipped: int) -> None:
        """Do nothing: the main process knows it."""

    def advance(self, recording_id: str, samples: int) -> None:
        """Add samples that have been read."""
        self._heard += samples
        if time.monotonic() - self._last > _SECONDS_BETWEEN_REPORTS:
            self._last = time.monotonic()
            self._tell()

    def done(self, recording_id: str, error: str | None) -> None:
        """Count the recording as complete or failed."""
        self.error = error
        self._tell()

    def shorten(self, samples: int) -> None:
        """Do nothing: the main process knows it."""

    def note(self, text: str) -> None:
        """Do nothing: a worker has no messages."""

    def _tell(self, *, began: bool = False) -> None:
        message: dict[str, Any] = {"id": self._id, "heard": self._heard, "began": began}
        self._worker.log_event(self._topic, message)
