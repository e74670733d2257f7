"""Distribution of the recordings of a run: to this process or to workers.

A command gives a *job*, which makes the complete outputs of any recording, independent of all others. The distribution
does not affect any result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from babyhubert.audio.discovery import RecordingFile
from babyhubert.progress import RunProgress
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Planned


class RecordingJob(Protocol):
    """Work of a command on recordings."""

    @property
    def folder(self) -> RunFolder:
        """Folder of outputs and records."""

    @property
    def identity(self) -> str:
        """Hash of all settings that affect a result; the same in every process of a run."""

    def process(self, files: Sequence[RecordingFile], progress: RunProgress) -> object:
        """Make the complete outputs of recordings, then their records.

        ``progress.done`` is called for each recording exactly once, with one line if it failed.

        Raises:
            DiskFullError: the disk is full.
        """


class Distribution(Protocol):
    """Method of distributing the recordings of a run."""

    def run(self, job: RecordingJob, recordings: Sequence[Planned], progress: RunProgress) -> None:
        """Process all recordings; ``progress`` is notified of each exactly once.

        Raises:
            DiskFullError: the disk is full.
            BabyHubertError: workers are unavailable or unsuitable.
        """


class InProcess:
    """Execution in this process: one recording after the other on a CPU, several side by side on a GPU."""

    def run(self, job: RecordingJob, recordings: Sequence[Planned], progress: RunProgress) -> None:
        """Process all recordings."""
        job.process([planned.file for planned in recordings], progress)


IN_PROCESS: Distribution = InProcess()
