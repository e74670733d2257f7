"""The rule by which an id names a recording of a list, in one place.

Ids come from paths below the given folder, so the same recording is ``day1``, ``sub/day1`` or
``recordings/raw/sub/day1`` in different runs, RTTM files replace white space, Windows divides folders by backslashes,
and systems spell an ``é`` differently (NFC, NFD). An id means, in this order:

1. the recording of this very id;
2. those whose id is the same but for these spellings;
3. those whose path ends in it (``day1`` means ``sub/day1``);
4. those whose path is its end (``raw/sub/day1`` means ``sub/day1``), the longest first;
5. those of the same last part (``a/day1`` means ``b/day1``).

The first of these that names any decides; several recordings there are ambiguous, and none is chosen. Callers say how
far they go: names with ``"fewer"`` folders than the ids (1 to 3), ``"fewer or more"`` (1 to 4), or ``"other"`` (all),
for two lists that are known to be of the same recordings.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Generic, Literal, TypeVar

from babyhubert.errors import AnnotationError, BabyHubertError, some_names

ItemT = TypeVar("ItemT")
Folders = Literal["fewer", "fewer or more", "other"]

_NOT_IN_RTTM = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]")


class RecordingNames(Generic[ItemT]):
    """Lookup of items by recording id, see the module.

    Args:
        items: Pairs of id and item; ids differ.
        folders: Folders that names may have.
    """

    def __init__(self, items: Iterable[tuple[str, ItemT]], folders: Folders = "fewer or more") -> None:
        self._items = dict(items)
        self._folders = folders
        self._by_spelling: dict[str, list[str]] = {}
        self._by_end: dict[str, list[str]] = {}
        for recording_id in self._items:
            name = _spelling(recording_id)
            self._by_spelling.setdefault(name, []).append(recording_id)
            for end in _ends(name):
                self._by_end.setdefault(end, []).append(recording_id)

    def ids(self, recording_id: str) -> Sequence[str]:
        """Ids of the items that an id may mean: none, one, or several, of which none is to be preferred."""
        if recording_id in self._items:
            return [recording_id]
        name = _spelling(recording_id)
        found = self._by_spelling.get(name) or self._by_end.get(name)
        if not found and self._folders != "fewer":
            found = next((same for end in _ends(name) if (same := self._by_spelling.get(end))), None)
        if not found and self._folders == "other":
            found = self._by_end.get(name.rpartition("/")[2])
        return found or []

    def candidates(self, recording_id: str) -> list[ItemT]:
        """The items that an id may mean, as :meth:`ids`."""
        return [self._items[found] for found in self.ids(recording_id)]

    def find(self, recording_id: str) -> ItemT | None:
        """Return the item that an id means; None if there is none, or more than one."""
        found = self.candidates(recording_id)
        return found[0] if len(found) == 1 else None

    def find_each(
        self, names: Iterable[str], where: str, error: type[BabyHubertError] = AnnotationError
    ) -> dict[str, ItemT]:
        """The item that each name means, without the names that mean none.

        Args:
            names: Different names.
            where: Begins the message: the file that holds the names.
            error: Kind of the error.

        Raises:
            BabyHubertError: two names mean one item, or a name may mean several.
        """
        found: dict[str, ItemT] = {}
        given_by: dict[str, str] = {}
        for name in names:
            ids = self.ids(name)
            if len(ids) > 1:
                raise error(f"{where}: '{name}' may mean {some_names(ids)}; write the complete id")
            for recording_id in ids:
                other = given_by.setdefault(recording_id, name)
                if other != name:
                    raise error(f"{where}: '{other}' and '{name}' both mean the recording '{recording_id}'; keep one")
                found[name] = self._items[recording_id]
        return found


def spellings(recording_id: str) -> tuple[str, str]:
    """Names of a recording in a file that is of no other folder: its id, and its id as an RTTM carries it."""
    return recording_id, rttm_uri(recording_id)


def _spelling(recording_id: str) -> str:
    return rttm_uri(unicodedata.normalize("NFC", recording_id)).replace("\\", "/")


def _ends(name: str) -> list[str]:
    """A path without its first part, without its first two parts, and so on."""
    parts = name.split("/")
    return ["/".join(parts[first:]) for first in range(1, len(parts))]


def match_names(reference: Collection[str], prediction: Collection[str]) -> dict[str, str]:
    """Predictions without a reference of their id, and the reference without a prediction that each alone means."""
    unmatched = sorted(set(prediction) - set(reference))
    waiting = RecordingNames(((uri, uri) for uri in sorted(set(reference) - set(prediction))), "other")
    meant = {uri: found for uri in unmatched if (found := waiting.find(uri)) is not None}
    claims = Counter(meant.values())
    return {uri: found for uri, found in meant.items() if claims[found] == 1}


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
