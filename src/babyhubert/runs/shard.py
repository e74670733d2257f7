"""One of several equal shares of a run, for queues that start N commands which know nothing of each other.

Every part finds the same recordings and shares them out the same way: the longest first, each to the part that has
least so far. The share depends on ids and lengths alone, neither on the order in which recordings were given nor on
what is done already.
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
class Part:
    """The ``number``-th (from 1) of ``parts`` shares."""

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
        """The recordings of this part: ids, of all recordings and their lengths in samples.

        The parts' total lengths differ by the longest recording at most.
        """
        loads = [(0, 0, part) for part in range(1, min(self.parts, len(lengths)) + 1)]  # later ones get nothing
        mine: set[str] = set()
        for name in sorted(lengths, key=lambda name: (-lengths[name], name)):
            samples, recordings, part = heapq.heappop(loads)
            heapq.heappush(loads, (samples + lengths[name], recordings + 1, part))
            if part == self.number:
                mine.add(name)
        return mine
