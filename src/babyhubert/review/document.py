"""The annotations of a clip as the page edits them: segments with their tier, note and state of the clip.

Tiers of a file that are not voices, or describe none, stay as they are. A segment stays on its own tier (``FA1`` of
two women, both FEM), so that a file that ELAN or Praat wrote loses nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from babyhubert.annotation.codes import TierNaming, label_of_tier, parent_of_tier, tier_names
from babyhubert.annotation.columns import Column
from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.annotation.tiers import Piece, Tier, undescribed_columns, values_below
from babyhubert.errors import AnnotationError
from babyhubert.exchange.clips import TO_DO, UNFINISHED

CODE_TIER = "code"
NOTES_TIER = "notes"
_LONGEST_LABEL = 60


@dataclass(frozen=True)
class ReviewSegment:
    """One segment; times in whole milliseconds of the clip's sound.

    Attributes:
        start: First millisecond.
        end: The one after the last.
        label: Voice.
        tier: Tier that it is on; empty for a new one, which gets one when it is written.
        text: Transcription.
        values: Values of columns, such as ``addressee``, ``unsure`` and ``note``; empty ones are left out.
    """

    start: int
    end: int
    label: str
    tier: str = ""
    text: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """Annotations of a clip.

    Attributes:
        segments: Sorted by start, end and label.
        status: Text of the tier ``code`` over the stretch to annotate.
        note: Remark on the clip.
    """

    segments: tuple[ReviewSegment, ...] = ()
    status: str = TO_DO
    note: str = ""

    @property
    def is_done(self) -> bool:
        """True if a person said that the clip is annotated from end to end."""
        return self.status.strip() not in ("", TO_DO, UNFINISHED)


@dataclass(frozen=True)
class ClipTiers:
    """Tiers of a clip's file, told apart.

    Attributes:
        tiers: All, as they were read.
        stretch: First and last millisecond to annotate, in the clip.
        columns: Columns that tiers below those of voices fill.
    """

    tiers: tuple[Tier, ...]
    stretch: tuple[int, int]
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, tiers: Iterable[Tier], stretch: tuple[int, int], columns: Sequence[Column]) -> ClipTiers:
        """Tell tiers apart, with columns for tiers ``name@voice`` that nothing describes."""
        tiers = tuple(tiers)
        return cls(tiers, stretch, (*columns, *undescribed_columns(tiers, columns)))

    def label(self, name: str) -> str | None:
        """Voice of a tier; None if it is that of none."""
        names = frozenset(tier.name.strip() for tier in self.tiers)
        tier = next((tier for tier in self.tiers if tier.name == name), None)
        below = (tier is not None and tier.parent) or parent_of_tier(name, self.columns)
        return None if below else label_of_tier(name, names, self.columns)

    def voices(self) -> list[tuple[Tier, str]]:
        """Tiers of voices with their labels, in order."""
        labelled = ((tier, self.label(tier.name)) for tier in self.tiers)
        return [(tier, label) for tier, label in labelled if label is not None]

    def document(self) -> Document:
        """The annotations."""
        below: dict[str, list[Tier]] = {}
        for tier in self.tiers:
            below.setdefault(tier.name.strip(), []).append(tier)
        segments = [one for tier, label in self.voices() for one in _segments(tier, label, below, self.columns)]
        return Document(
            tuple(sorted(segments, key=_order)), self._text(CODE_TIER) or TO_DO, self._text(NOTES_TIER) or ""
        )

    def with_document(self, document: Document, naming: TierNaming = "aclew") -> tuple[Tier, ...]:
        """Tiers of a changed document, in the order of those that were read."""
        placed = self._place(document.segments, naming)
        tiers: list[Tier] = []
        kept = {CODE_TIER: document.status, NOTES_TIER: document.note}
        for tier in self._top_level(placed):
            if tier.name in placed:
                tiers.append(Tier(tier.name, tuple(_piece(one) for one in placed[tier.name])))
                tiers += self._below(tier.name, placed[tier.name])
            elif tier.name.strip().lower() in kept:
                tiers.append(self._over_stretch(tier, kept.pop(tier.name.strip().lower())))
            else:
                tiers.append(tier)
                tiers += [one for one in self.tiers if one.parent == tier.name]
        missing = [(name, text) for name, text in kept.items() if text]
        return (*(self._over_stretch(Tier(name, ()), text) for name, text in missing), *tiers)

    def why_not_rewritten(self) -> str | None:
        """Reason why :meth:`with_document` would lose something; None if nothing."""
        names = [tier.name for tier in self.tiers]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            return f"two tiers are called {twice}"
        voices = {tier.name for tier, _ in self.voices()}
        known = {f"{column.tier}{voice}".strip() for column in self.columns for voice in voices}
        return next(
            (
                f"tier {tier.name} is below {tier.parent} and no column of a task"
                for tier in self.tiers
                if tier.parent in voices and tier.name.strip() not in known
            ),
            None,
        )

    def _text(self, name: str) -> str | None:
        """Text of the pieces that a tier about the recording has within the stretch."""
        tier = next((tier for tier in self.tiers if tier.name.strip().lower() == name), None)
        if tier is None:
            return None
        return "\n".join(piece.text for piece in tier.pieces if self._is_inside(piece) and piece.text.strip())

    def _is_inside(self, piece: Piece) -> bool:
        return piece.start < self.stretch[1] and piece.end > self.stretch[0]

    def _over_stretch(self, tier: Tier, text: str) -> Tier:
        """The tier with this text within the stretch; as it was where it says so already."""
        if (self._text(tier.name.strip().lower()) or "") == text:
            return tier
        inside = [piece for piece in tier.pieces if self._is_inside(piece)]
        start = min([self.stretch[0], *(piece.start for piece in inside)])
        end = max([self.stretch[1], *(piece.end for piece in inside)])
        others = [piece for piece in tier.pieces if not self._is_inside(piece)]
        return replace(tier, pieces=tuple(sorted([*others, *([Piece(start, end, text)] if text else [])])))

    def _top_level(self, placed: Mapping[str, object]) -> list[Tier]:
        all_names = {tier.name for tier in self.tiers}
        known = [
            tier if tier.parent is None else replace(tier, parent=None)
            for tier in self.tiers
            if (tier.parent or parent_of_tier(tier.name, self.columns)) not in all_names
        ]
        names = {tier.name for tier in known}
        return [*known, *(Tier(name, ()) for name in placed if name not in names)]

    def _place(self, segments: Sequence[ReviewSegment], naming: TierNaming) -> dict[str, list[ReviewSegment]]:
        """Segments by tier: on their own where there is room, else on the first of their voice that has some."""
        placed: dict[str, list[ReviewSegment]] = {tier.name: [] for tier, _ in self.voices()}
        for one in sorted(segments, key=lambda one: (not one.tier, *_order(one))):
            own = [one.tier] if one.tier and self.label(one.tier) == one.label else []
            of_voice = [tier.name for tier, label in self.voices() if label == one.label]
            new = (name for name in tier_names(one.label, naming) if self._is_free(name, one.label))
            name = next(
                name for name in itertools.chain(own, of_voice, new) if _has_room(placed.setdefault(name, []), one)
            )
            placed[name].append(one)
        used = {tier.name for tier in self.tiers}
        return {name: sorted(ones, key=_order) for name, ones in placed.items() if ones or name in used}

    def _is_free(self, name: str, label: str) -> bool:
        return not any(tier.name == name and self.label(name) != label for tier in self.tiers)

    def _below(self, parent: str, segments: Sequence[ReviewSegment]) -> Iterator[Tier]:
        """Tiers with the values of a voice's segments."""
        names = {tier.name.strip(): tier for tier in self.tiers}
        for column in self.columns:
            name = f"{column.tier}{parent}"
            pieces = tuple(
                Piece(one.start, one.end, column.code_of(value))
                for one in segments
                if (value := one.values.get(column.name, ""))
            )
            if pieces or name.strip() in names:
                yield Tier(names[name.strip()].name if name.strip() in names else name, pieces, parent)


def _segments(
    tier: Tier, label: str, below: Mapping[str, Sequence[Tier]], columns: Sequence[Column]
) -> Iterator[ReviewSegment]:
    values: list[dict[str, str]] = [{} for _ in tier.pieces]
    for column, found in values_below(tier, below, columns):
        for number, value in found:
            values[number][column] = value
    for piece, own in zip(tier.pieces, values, strict=True):
        if piece.end <= piece.start:
            continue
        text = "" if piece.text.strip() in (label, tier.name.strip()) else piece.text
        yield ReviewSegment(piece.start, piece.end, label, tier.name, text, own)


def _piece(one: ReviewSegment) -> Piece:
    return Piece(one.start, one.end, one.text)


def _order(one: ReviewSegment) -> tuple[int, int, str]:
    return one.start, one.end, one.label


def _has_room(placed: Sequence[ReviewSegment], one: ReviewSegment) -> bool:
    return all(other.end <= one.start or one.end <= other.start for other in placed)


def check_segments(segments: Iterable[ReviewSegment], length_ms: int, tiers: ClipTiers, where: str) -> None:
    """Refuse segments that a clip's file cannot hold.

    Raises:
        AnnotationError: times outside the clip, or a label that would be read back as another.
    """
    for one in segments:
        if not 0 <= one.start < one.end <= length_ms:
            raise AnnotationError(f"{where}: {one.start} to {one.end} ms is no segment of a clip of {length_ms} ms")
        if one.label in VOICE_TYPES:
            continue
        fits = one.label.strip() == one.label and one.label.isprintable() and 0 < len(one.label) <= _LONGEST_LABEL
        if not fits or one.label not in {label for _, label in tiers.voices()}:
            raise AnnotationError(f"{where}: {one.label[:_LONGEST_LABEL]!r} is no voice of this clip")
