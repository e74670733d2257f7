"""Matching of ids with the recordings of a list.

Ids come from paths below the given folder, so the same recording is ``day1``, ``sub/day1`` or
``recordings/raw/sub/day1`` in different runs, and RTTM files replace white space. Two ids match if one is the end of
the other's path; if two candidates remain, neither is chosen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Generic, TypeVar

from babyhubert.errors import AnnotationError, some_names

ItemT = TypeVar("ItemT")

_NOT_IN_RTTM = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]")


class RecordingNames(Generic[ItemT]):
    """Lookup of items by recording id.

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
        """Return the item whose id equals this one, ends in it, or is its end; None if there is none, or more than
        one.
        """
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


def _bare_name(uri: str) -> str:
    """A name without its folders, as the package's RTTM files carry it: other tools keep its blanks."""
    return rttm_uri(uri.rpartition("/")[2])


def match_names(reference: Collection[str], prediction: Collection[str]) -> dict[str, str]:
    """Match predictions without a reference of their id to the single reference of their name, if it has no
    prediction.
    """
    unmatched = sorted(set(prediction) - set(reference))
    names = Counter(map(_bare_name, unmatched))
    waiting: dict[str, list[str]] = {}
    for uri in set(reference) - set(prediction):
        waiting.setdefault(_bare_name(uri), []).append(uri)
    matched = {}
    for uri in unmatched:
        name = _bare_name(uri)
        candidates = waiting.get(name, [])
        if names[name] == 1 and len(candidates) == 1:
            matched[uri] = candidates[0]
    return matched


def check_names(reference: Collection[str], prediction: Collection[str]) -> None:
    """Raise if there is nothing to score.

    Raises:
        AnnotationError: no reference, or no prediction carries the name of one.
    """
    if not reference:
        raise AnnotationError("the reference names no recording: there is nothing to score")
    if prediction and not set(prediction) & set(reference):
        raise AnnotationError(
            "no prediction carries the name of a reference recording: the reference has "
            f"{some_names(sorted(reference))}, the predictions have {some_names(sorted(prediction))}; "
            "make the ids equal"
        )


def rttm_uri(recording_id: str) -> str:
    """The id as an RTTM can carry it: white space, which separates fields, and control characters become ``_``."""
    return _NOT_IN_RTTM.sub("_", recording_id)
