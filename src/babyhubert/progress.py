"""Interface of progress reports of long runs."""

from __future__ import annotations

from typing import Protocol


class RunProgress(Protocol):
    """Receives the progress of a run and shows it."""

    def start(self, recordings: int, samples: int, skipped: int) -> None:
        """Begin with a number of recordings (or shards) and samples to do, and a number complete before."""

    def advance(self, recording_id: str, samples: int) -> None:
        """Add samples of a recording that have been read."""

    def done(self, recording_id: str, error: str | None) -> None:
        """Count a recording as complete or failed."""

    def shorten(self, samples: int) -> None:
        """Subtract samples that will not be read after all."""

    def note(self, text: str) -> None:
        """Show a message."""


class NoProgress:
    """Progress that is not shown."""

    def start(self, recordings: int, samples: int, skipped: int) -> None:
        """Ignore."""

    def advance(self, recording_id: str, samples: int) -> None:
        """Ignore."""

    def done(self, recording_id: str, error: str | None) -> None:
        """Ignore."""

    def shorten(self, samples: int) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""
