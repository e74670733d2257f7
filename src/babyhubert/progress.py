"""How a long run tells somebody how far it is."""

from __future__ import annotations

from typing import Protocol


class RunProgress(Protocol):
    """Told how far a run is; shows it to somebody."""

    def start(self, recordings: int, samples: int, skipped: int) -> None:
        """So many recordings (or shards) and samples are to be done; so many were complete before."""

    def advance(self, recording_id: str, samples: int) -> None:
        """So many more samples of a recording have been read."""

    def done(self, recording_id: str, error: str | None) -> None:
        """A recording is complete, or failed."""

    def shorten(self, samples: int) -> None:
        """So many samples of what was announced will not be read."""

    def note(self, text: str) -> None:
        """Something happened that is worth a line."""


class NoProgress:
    """Shows nothing."""

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
