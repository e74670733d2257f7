"""Who does the recordings of a run: this process, or workers.

A command gives a *job*: it makes the outputs of any recording whole, each independent of all others. How recordings
are shared out changes nothing in any result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from babyhubert.audio.discovery import RecordingFile
from babyhubert.progress import RunProgress
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Planned


class RecordingJob(Protocol):
    """What a command does with recordings."""

    @property
    def folder(self) -> RunFolder:
        """Where the outputs and records go."""

    @property
    def identity(self) -> str:
        """Hash of everything that decides a result; the same in every process of a run."""

    def process(self, files: Sequence[RecordingFile], progress: RunProgress) -> object:
        """Make the outputs of recordings whole, then their records.

        ``progress.done`` is told of each recording exactly once, with one line where it failed.

        Raises:
            DiskFullError: the disk is full.
        """


class Distribution(Protocol):
    """How the recordings of a run are shared out."""

    def run(self, job: RecordingJob, recordings: Sequence[Planned], progress: RunProgress) -> None:
        """Process all recordings; ``progress`` is told of each exactly once.

        Raises:
            DiskFullError: the disk is full.
            BabyHubertError: workers cannot be had or do not fit.
        """


class InProcess:
    """In this process: one recording after the other on a CPU, several side by side on a GPU."""

    def run(self, job: RecordingJob, recordings: Sequence[Planned], progress: RunProgress) -> None:
        """Process all recordings."""
        job.process([planned.file for planned in recordings], progress)


IN_PROCESS: Distribution = InProcess()
