"""Shards: equal shares of a run, for queues that start N independent commands.

Every shard finds the same recordings and divides them in the same way: the longest first, each to the shard with the
least so far. The division depends only on ids and lengths, neither on the order of the recordings nor on those already
done.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from babyhubert.errors import ConfigError

MOST_SHARDS = 100_000
_DIGITS = 20
_SHOWN = 40


@dataclass(frozen=True, order=True)
class Shard:
    """The ``number``-th (from 1) of ``parts`` shards."""

    parts: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``I/N``.

        Raises:
            ConfigError: not of that form, I is not from 1 to N, or N is absurd.
        """
        number, separator, parts = text.partition("/")
        if not (separator and number.isdecimal() and parts.isdecimal() and max(map(len, (number, parts))) <= _DIGITS):
            raise ConfigError(f"--shard {text[:_SHOWN]}: write it as I/N, such as 1/4, with I from 1 to N")
        if int(parts) > MOST_SHARDS:
            raise ConfigError(f"--shard {text}: at most {MOST_SHARDS} shards; each beyond the recordings is idle")
        if not 1 <= int(number) <= int(parts):
            raise ConfigError(f"--shard {text}: write it as I/N, such as 1/4, with I from 1 to N")
        return cls(int(parts), int(number))

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"

    def share(self, lengths: Mapping[str, int]) -> set[str]:
        """Select the ids of this shard from all recordings and their lengths in samples.

        The shards' total lengths differ by at most the longest recording.
        """
        loads = [(0, 0, part) for part in range(1, min(self.parts, len(lengths)) + 1)]  # later ones get nothing
        mine: set[str] = set()
        for name in sorted(lengths, key=lambda name: (-lengths[name], name)):
            samples, recordings, part = heapq.heappop(loads)
            heapq.heappush(loads, (samples + lengths[name], recordings + 1, part))
            if part == self.number:
                mine.add(name)
        return mine
