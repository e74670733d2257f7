"""Conversion of a segments table to tiers, as annotation tools show it, and back.

ELAN and Praat have one line of disjoint, non-empty pieces per tier, in milliseconds or seconds. A label becomes a
tier; if segments of one label overlap, a second tier takes the overlapping ones, and so on, so that nothing is merged
or lost. Columns such as the addressee become tiers below a voice's tier (``xds@FA0``).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.codes import (
    CHILDPROJECT_TIERS,
    TierNaming,
    label_of_tier,
    parent_of_tier,
    refuse_ambiguous,
    tier_names,
)
from babyhubert.annotation.columns import COLUMNS, CONFIDENCE_TIER, Column, described, is_column_name, other_column
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.errors import counted
from babyhubert.timebase import ms_to_samples, samples_to_ms


class Piece(NamedTuple):
    """One piece of a tier: start and end in whole milliseconds, and its text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Tier:
    """A line of pieces that do not overlap, sorted.

    Attributes:
        name: Such as ``FA0`` or ``xds@FA0``.
        pieces: Each at least 1 ms long.
        parent: The tier whose pieces these describe, each at exactly the times of one of them.
    """

    name: str
    pieces: tuple[Piece, ...]
    parent: str | None = None


@dataclass(frozen=True)
class TierLayout:
    """Tiers of one recording, and the segments that do not fit.

    Attributes:
        tiers: Parents before their dependents.
        extra: Tiers that were added because segments of one label overlap.
        too_short: Number of segments shorter than a millisecond: no tier can hold them.
        misread: Labels that would be read back as another label, or as none.
        own: Tiers ``...@voice`` of tasks that are not published.
    """

    tiers: tuple[Tier, ...]
    extra: tuple[str, ...]
    too_short: int
    misread: tuple[str, ...]
    own: tuple[str, ...] = ()

    def notes(self) -> Iterator[str]:
        """Notes for the user, one sentence each."""
        if self.extra:
            yield f"overlapping segments of one label are on further tiers: {', '.join(self.extra)}"
        unknown = [name for name in self.extra if name not in CHILDPROJECT_TIERS]
        if unknown:
            yield f"ChildProject's importer does not know {', '.join(unknown)}: give it the csv format"
        if self.own:
            yield (
                f"ChildProject's .eaf importer may fail on {', '.join(self.own)}, which it does not know: "
                "give it what 'export --to childproject' writes"
            )
        if self.misread:
            yield f"tiers named like these mean something else to annotation tools: {', '.join(self.misread)}"
        if self.too_short:
            yield f"{counted(self.too_short, 'segment')} shorter than 1 ms left out: tiers cannot hold them"


def lay_out(
    segments: Segments, recording_id: str, naming: TierNaming = "aclew", columns: Sequence[Column] = COLUMNS
) -> TierLayout:
    """Convert a segments table to tiers; those of the four voice types are always there, even if empty.

    Args:
        segments: The table.
        recording_id: Whose it is, for messages.
        naming: Names of the voices' tiers.
        columns: Columns that become tiers below them, where the table has them.

    Raises:
        AnnotationError: a label CHI, see :mod:`babyhubert.annotation.codes`.
    """
    refuse_ambiguous(segments.label, recording_id)
    tiers: list[Tier] = []
    extra: list[str] = []
    too_short = 0
    for label in (*VOICE_TYPES, *(label for label in segments.labels if label not in VOICE_TYPES)):
        rows = segments.of(label)
        start = np.array([samples_to_ms(sample) for sample in rows.start.tolist()], dtype=np.int64)
        end = np.array([samples_to_ms(sample) for sample in rows.end.tolist()], dtype=np.int64)
        too_short += int((start == end).sum())
        lines = _disjoint_lines(start, end)
        texts = _tier_texts(rows, columns)
        for number, (name, line) in enumerate(zip(tier_names(label, naming), lines, strict=False)):
            extra += [name] if number else []
            tiers += _with_dependents(name, texts, start, end, line, columns)
    names = frozenset(tier.name for tier in tiers)
    misread = tuple(
        label for label in segments.labels if label_of_tier(next(tier_names(label, naming)), names, columns) != label
    )
    begins = tuple(column.tier for column in described(columns) if column.tier.endswith("@"))
    own = tuple(tier.name for tier in tiers if tier.parent is not None and tier.name.startswith(begins))
    return TierLayout(tuple(tiers), tuple(extra), too_short, misread, own if begins else ())


def segments_of(tiers: Iterable[Tier], columns: Sequence[Column] = COLUMNS) -> Segments:
    """Convert tiers to a segments table; pieces of tiers that name no speaker are not part of it.

    A dependent piece belongs to the piece of its parent that contains its middle; one without such a piece describes a
    deleted segment, and is dropped with it.

    Args:
        tiers: The tiers.
        columns: Columns that tiers below those of voices fill; other tiers ``name@voice`` fill a column ``name``.
    """
    tiers = list(tiers)
    columns = (*columns, CONFIDENCE_TIER, *undescribed_columns(tiers, columns))
    names = frozenset(tier.name.strip() for tier in tiers)
    below: dict[str, list[Tier]] = {}
    for tier in tiers:
        below.setdefault(tier.name.strip(), []).append(tier)
    rows: list[tuple[int, int, str]] = []
    filled: dict[str, dict[int, str]] = {}
    for tier in tiers:
        parent = tier.parent or parent_of_tier(tier.name, columns)
        label = None if parent else label_of_tier(tier.name, names, columns)
        if label is None:
            continue
        first = len(rows)
        rows += [(ms_to_samples(piece.start), ms_to_samples(piece.end), label) for piece in tier.pieces]
        for number, piece in enumerate(tier.pieces):
            if piece.text.strip() and piece.text.strip() not in (label, tier.name.strip()):
                filled.setdefault("transcription", {})[first + number] = piece.text
        for column, values in values_below(tier, below, columns):
            filled.setdefault(column, {}).update({first + number: value for number, value in values})
    return _table(rows, filled)


def column_texts(segments: Segments, column: str) -> NDArray[np.object_]:
    """A column as texts, empty for missing values or a missing column: shape (S,)."""
    texts = np.full(len(segments), "", dtype=object)
    for row, value in enumerate(segments.columns.get(column, ())):
        texts[row] = "" if value is None or value != value else str(value)  # NaN differs from itself
    return texts


def _disjoint_lines(start: NDArray[np.int64], end: NDArray[np.int64]) -> list[list[int]]:
    """Rows (sorted by start) distributed over lines without overlap; the first line always exists."""
    lines: list[list[int]] = [[]]
    free, busy = [0], list[tuple[int, int]]()
    for row, (begins, ends) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
        if ends <= begins:
            continue
        while busy and busy[0][0] <= begins:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            heapq.heappush(free, len(lines))
            lines.append([])
        number = heapq.heappop(free)
        lines[number].append(row)
        heapq.heappush(busy, (ends, number))
    return lines


def _tier_texts(rows: Segments, columns: Iterable[Column]) -> dict[str, NDArray[np.object_]]:
    """Texts of a voice's tier (``transcription``) and of those below it, by column."""
    texts = {"transcription": column_texts(rows, "transcription")}
    for column in columns:
        texts[column.name] = column_texts(rows, column.name)
        texts[column.name][:] = [column.code_of(text) for text in texts[column.name]]
    return texts


def undescribed_columns(tiers: Iterable[Tier], columns: Iterable[Column]) -> list[Column]:
    """Columns of tiers ``name@voice`` that are none of those given."""
    known = {column.tier for column in columns} | {f"{column.name}@" for column in columns}
    begins = dict.fromkeys(tier.name.strip().partition("@")[0].strip() for tier in tiers if "@" in tier.name)
    return [other_column(name) for name in begins if f"{name}@" not in known and is_column_name(name)]


def _with_dependents(
    name: str,
    texts: Mapping[str, NDArray[np.object_]],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    line: Sequence[int],
    below: Iterable[Column],
) -> Iterator[Tier]:
    def pieces(column: str, keep: Sequence[int]) -> tuple[Piece, ...]:
        return tuple(Piece(int(start[row]), int(end[row]), texts[column][row]) for row in keep)

    yield Tier(name, pieces("transcription", line))
    for column in below:
        said = [row for row in line if texts[column.name][row]]
        if said:
            yield Tier(f"{column.tier}{name}", pieces(column.name, said), parent=name)


def values_below(
    parent: Tier, tiers: Mapping[str, Sequence[Tier]], columns: Iterable[Column]
) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Columns that tiers below ``parent`` fill, found by name, each as indices of the parent's pieces and values."""
    ends = np.array([piece.end for piece in parent.pieces], dtype=np.int64)
    found = [(column, tier) for column in columns for tier in tiers.get(f"{column.tier}{parent.name.strip()}", ())]
    for column, tier in found:
        values = []
        for piece in tier.pieces:
            middle = (piece.start + piece.end) // 2
            number = int(np.searchsorted(ends, middle, side="right"))
            if number < len(ends) and parent.pieces[number].start <= middle and piece.text.strip():
                values.append((number, column.value_of(piece.text.strip())))
        yield column.name, values


def _table(rows: Sequence[tuple[int, int, str]], columns: dict[str, dict[int, str]]) -> Segments:
    filled = {}
    for name, values in columns.items():
        column = np.full(len(rows), "", dtype=object)
        for row, value in values.items():
            column[row] = value
        if values:
            filled[name] = column
    start, end, label = zip(*rows, strict=True) if rows else ((), (), ())
    return Segments(np.array(start, dtype=np.int64), np.array(end, dtype=np.int64), np.array(label, object), filled)
