"""Which recording of a list an id means.

Ids come from paths below whatever folder was given, so the same recording is ``day1``, ``sub/day1`` or
``recordings/raw/sub/day1`` in different runs, and RTTM files replace white space. One is the end of the other's path;
where that leaves two candidates, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from babyhubert.annotation.rttm import rttm_uri

ItemT = TypeVar("ItemT")


class RecordingNames(Generic[ItemT]):
    """Finds items by recording id.

    Args:
        items: Pairs of id and item; ids differ.
    """

    def __init__(self, items: Iterable[tuple[str, ItemT]]) -> None:
        self._exact: dict[str, ItemT] = {}
        self._by_end: dict[str, list[ItemT]] = {}
        for recording_id, item in items:
            for name in dict.fromkeys((recording_id, rttm_uri(recording_id))):
                self._exact.setdefault(name, item)
                for end in _ends(name):
                    same = self._by_end.setdefault(end, [])
                    if not any(other is item for other in same):
                        same.append(item)

    def find(self, recording_id: str) -> ItemT | None:
        """The item whose id is this one, ends in it, or is its end; None where there is none, or more than one."""
        for name in (recording_id, rttm_uri(recording_id)):
            if name in self._exact:
                return self._exact[name]
            longer = self._by_end.get(name, [])
            if longer:
                return longer[0] if len(longer) == 1 else None
            for end in _ends(name):
                if end in self._exact:
                    return self._exact[end]
        return None


def _ends(name: str) -> list[str]:
    """A path without its first part, without its first two parts, and so on."""
    parts = name.split("/")
    return ["/".join(parts[first:]) for first in range(1, len(parts))]
