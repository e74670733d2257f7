"""Progress display of long runs over shards of packed material."""

from __future__ import annotations

from babyhubert.cli.progress import RunProgressDisplay


class ShardProgressDisplay(RunProgressDisplay):
    """Shows shards done, audio done, speed and time left. Use as a context manager."""

    _noun = "shard"
