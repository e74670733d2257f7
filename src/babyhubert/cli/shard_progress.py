"""Progress display of long runs over shards of packed material."""

from __future__ import annotations

from babyhubert.cli.progress import RunProgressDisplay


class ShardProgressDisplay(RunProgressDisplay):
    """Shows shards done, audio done, speed and time left. Use as a context manager."""

    def start(self, recordings: int, samples: int, skipped: int) -> None:
        """Begin with a number of shards and samples to do, and a number of shards complete before."""
        super().start(recordings, samples, 0)
        if skipped:
            self._console.print(f"{skipped} shards need no computation: kept from an earlier run")

    def _description(self) -> str:
        return f"{self._verb} {self._finished}/{self._recordings} shards"
