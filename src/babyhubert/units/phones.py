"""Comparison of units with phones: the phone of each frame, and the information of units about phones.

Input: labels of a pack and a table of phones with times (``recording_id,start_s,end_s,phone``). Output: the measures
of the HuBERT paper (Hsu et al. 2021, arXiv:2106.07447, section IV.E): phone purity, cluster purity, and
phone-normalised mutual information (PNMI).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.table_columns import TRUTH
from babyhubert.annotation.text import CsvTable
from babyhubert.audio.discovery import without_suffix
from babyhubert.audio.names import RecordingNames
from babyhubert.corpus.shards import Labels, Pack
from babyhubert.errors import AnnotationError, CorpusError
from babyhubert.files import csv_text, write_text
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD, format_seconds

SILENCE = "sil"
COLUMNS = (*TRUTH.columns[:3], "phone")
_NONE = -1


class PhoneSpans(NamedTuple):
    """Phones of one recording in order, not overlapping: samples, int64 (S,), and indices of phones, int64 (S,)."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    phone: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Phones with times.

    Attributes:
        phones: Names of phones; spans hold indices into them.
        spans: Phones by recording id.
    """

    phones: tuple[str, ...]
    spans: Mapping[str, PhoneSpans]

    @classmethod
    def from_spans(cls, found: Iterable[tuple[str, int, int, str]]) -> Alignment:
        """Build from (recording id, start sample, end sample, phone), in any order.

        Raises:
            AnnotationError: two phones of a recording overlap.
        """
        rows = sorted(found)
        names = tuple(sorted({phone for *_, phone in rows}))
        number = {name: index for index, name in enumerate(names)}
        grouped: dict[str, list[tuple[int, int, int]]] = {}
        for recording, start, end, phone in rows:
            grouped.setdefault(recording, []).append((start, end, number[phone]))
        spans = {}
        for recording, parts in grouped.items():
            start, end, phone = np.array(parts, dtype=np.int64).T
            if (clash := np.flatnonzero(start[1:] < end[:-1])).size:
                time = format_seconds(int(start[1:][clash[0]]))
                raise AnnotationError(f"recording {recording}: two phones overlap at {time} s; one phone at a time")
            spans[recording] = PhoneSpans(start, end, phone)
        return cls(names, spans)

    @classmethod
    def read(cls, path: Path) -> Alignment:
        """Read a table ``recording_id,start_s,end_s,phone``.

        Raises:
            AnnotationError: unreadable, a column or value is missing or impossible, phones overlap.
        """
        return cls.from_spans(_read_span(path, line, row) for line, row in read_rows(path, COLUMNS))

    def write(self, path: Path) -> None:
        """Write the table, times to the millisecond."""
        lines: list[Iterable[object]] = [COLUMNS]
        for recording, spans in self.spans.items():
            for start, end, phone in zip(*(part.tolist() for part in spans), strict=True):
                lines.append((recording, format_seconds(start), format_seconds(end), self.phones[phone]))
        write_text(path, csv_text(lines))

    def of_frames(self, pack: Pack, row: int, recording: str) -> NDArray[np.int64]:
        """Phone at the centre of each frame's samples, int64 (T,); -1 if there is none."""
        spans = self.spans[recording]
        middle = int(pack.start[row]) + FRAME_HOP * np.arange(pack.frames[row]) + FRAME_RECEPTIVE_FIELD // 2
        place = np.searchsorted(spans.end, middle, side="right")
        inside = np.minimum(place, len(spans.end) - 1)
        hit = (place < len(spans.end)) & (spans.start[inside] <= middle)
        return np.where(hit, spans.phone[inside], _NONE)


def read_rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Read the rows of a CSV table with their line numbers; every required column must be there.

    Raises:
        AnnotationError: unreadable, empty, or without one of the columns.
    """
    table = CsvTable(path)
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise AnnotationError(f"{path}: no column {', '.join(missing)}; needed: {','.join(columns)}")
    rows = [(line, {key: value for key, value in row.items() if key}) for line, row in table]
    if not rows:
        raise AnnotationError(f"{path}: the table has no rows")
    return rows


def _read_span(path: Path, line: int, row: dict[str, str]) -> tuple[str, int, int, str]:
    start, end = TRUTH.stretch.parse(row, f"{path}, line {line}")
    if not 0 <= start < end:
        raise AnnotationError(f"{path}, line {line}: a phone from {row['start_s']} to {row['end_s']} s is impossible")
    if not row["phone"].strip():
        raise AnnotationError(f"{path}, line {line}: no phone; write {SILENCE} for silence")
    return row["recording_id"], start, end, row["phone"].strip()


def match_recordings(pack: Pack, names: Iterable[str], where: str) -> dict[int, str]:
    """Match the names of a table to the recordings of a pack (by number), see :mod:`babyhubert.audio.names`.

    Folders may differ, and names may have the suffix of an audio file.

    Raises:
        CorpusError: none matches, a name may mean several recordings, or two names mean one.
    """
    known = RecordingNames(((name, number) for number, name in enumerate(pack.recordings)), "other")
    given: dict[str, str] = {}
    for name in names:
        other = given.setdefault(name if known.ids(name) else without_suffix(name), name)
        if other != name:
            raise CorpusError(f"{where}: '{other}' and '{name}' both mean one recording; keep one")
    found = {number: given[name] for name, number in known.find_each(given, where, CorpusError).items()}
    if not found:
        raise CorpusError(f"{where}: none of its recordings is in {pack.folder} ({pack.recordings[0]}, ...)")
    return found


def count_together(labels: Labels, alignment: Alignment, where: str) -> NDArray[np.int64]:
    """Count of frames for each unit and phone, int64 (K, P), over the frames that have a phone.

    Raises:
        CorpusError: the alignment has no phone on these labels.
    """
    pack = labels.pack
    names = match_recordings(pack, alignment.spans, where)
    width = len(alignment.phones)
    counts = np.zeros(labels.clusters * width, dtype=np.int64)
    for row in np.flatnonzero(np.isin(pack.recording, list(names))).tolist():
        phones = alignment.of_frames(pack, row, names[int(pack.recording[row])])
        heard = phones != _NONE
        pairs = labels.units(row)[heard].astype(np.int64) * width + phones[heard]
        counts += np.bincount(pairs, minlength=len(counts))
    if not counts.any():
        raise CorpusError(f"{where}: no phone lies on a frame of {pack.folder}; look at its times")
    return counts.reshape(labels.clusters, width)


@dataclass(frozen=True)
class Agreement:
    """Information of units about phones.

    Attributes:
        frames: Frames with a phone.
        pnmi: Mutual information of units and phones over the entropy of phones: the fraction of uncertainty about the
            phone that the unit removes.
        phone_purity: Fraction of frames whose phone is the most frequent one of their unit.
        cluster_purity: Fraction of frames whose unit is the most frequent one of their phone.
    """

    frames: int
    pnmi: float
    phone_purity: float
    cluster_purity: float

    @classmethod
    def of_counts(cls, counts: NDArray[np.int64]) -> Agreement:
        """Compute from the counts of each unit and phone, (K, P). PNMI is 0 if there is only one phone."""
        total = int(counts.sum())
        joint = counts / total
        units, phones = joint.sum(axis=1), joint.sum(axis=0)
        entropy = _entropy(phones)
        information = _entropy(units) + entropy - _entropy(joint)
        pnmi = max(information, 0.0) / entropy if entropy > 0 else 0.0
        return cls(total, pnmi, float(joint.max(axis=1).sum()), float(joint.max(axis=0).sum()))


def _entropy(probabilities: NDArray[np.float64]) -> float:
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log(positive)).sum())
