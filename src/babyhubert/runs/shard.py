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


@dataclass(frozen=True, order=True)
class Part:
    """The ``number``-th (from 1) of ``parts`` shares."""

    parts: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``I/N``.

        Raises:
            ConfigError: not of that form, or I is not from 1 to N.
        """
        number, separator, parts = text.partition("/")
        if separator and number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts):
            return cls(int(parts), int(number))
        raise ConfigError(f"--shard {text}: write it as I/N, such as 1/4, with I from 1 to N")

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"

    def share(self, lengths: Mapping[str, int]) -> set[str]:
        """The recordings of this part: ids, of all recordings and their lengths in samples.

        The parts' total lengths differ by the longest recording at most.
        """
        loads = [(0, 0, part) for part in range(1, self.parts + 1)]
        mine: set[str] = set()
        for name in sorted(lengths, key=lambda name: (-lengths[name], name)):
            samples, recordings, part = heapq.heappop(loads)
            heapq.heappush(loads, (samples + lengths[name], recordings + 1, part))
            if part == self.number:
                mine.add(name)
        return mine
