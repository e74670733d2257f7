"""The measures once more, read off the definitions row by row: the oracle for the vectorised ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Row = tuple[int, int, str]
"""Start and end in samples, label."""

SECOND = 16_000
ADULTS = ("FEM", "MAL")


def party(label: str) -> str:
    return {"KCHI": "child", "OCH": "other"}.get(label, "adult")


def lena(rows: Sequence[Row], pause: int = 5 * SECOND) -> list[int]:
    """A key child and an adult, less than a pause apart, nobody else between; pairs; not across a silence."""
    contributions: list[dict] = []
    covered_until = None
    for start, end, label in rows:
        silence = covered_until is not None and start - covered_until >= pause
        if contributions and not silence and contributions[-1]["party"] == party(label):
            contributions[-1]["end"] = max(contributions[-1]["end"], end)
        else:
            contributions.append({"party": party(label), "start": start, "end": end})
        covered_until = end if covered_until is None else max(covered_until, end)
    onsets, used = [], True  # used: the contribution before cannot open a pair
    for before, after in pairwise(contributions):
        fits = {before["party"], after["party"]} == {"child", "adult"} and after["start"] - before["end"] < pause
        if fits and (used is not before):
            onsets.append(after["start"])
            used = after
    return onsets


def simple_ctc(rows: Sequence[Row], interval: int = SECOND) -> list[int]:
    onsets = []
    for before, after in pairwise(rows):
        if (before[2] == "KCHI") != (after[2] == "KCHI") and after[0] - before[1] < interval:
            onsets.append(after[0])
    return onsets


def floor(rows: Sequence[Row], gap: int = 2 * SECOND, overlap: int = SECOND) -> list[int]:
    dyad = [row for row in rows if row[2] != "OCH"]
    onsets = []
    for before, after in pairwise(dyad):
        if (before[2] == "KCHI") != (after[2] == "KCHI") and -overlap <= after[0] - before[1] <= gap:
            onsets.append(after[0])
    return onsets


def vocalisations(rows: Sequence[Row], gap: int) -> list[tuple[int, int]]:
    joined: list[list[int]] = []
    for start, end, _ in sorted(rows):
        if end == start:
            continue
        if joined and start - joined[-1][1] < max(gap, 1):
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return [(start, end) for start, end in joined]


def covered(rows: Sequence[Row], labels: Sequence[str], low: int, high: int, step: int = 16) -> int:
    """Samples in [low, high) in which one of the labels speaks, on a grid of ``step`` samples (all times on it)."""
    on = bytearray((high - low) // step)
    for start, end, label in rows:
        if label in labels:
            for cell in range(max(start, low), min(end, high), step):
                on[(cell - low) // step] = 1
    return sum(on) * step
