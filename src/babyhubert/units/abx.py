"""ABX error of units, computed by fastabx: how often a sound's units are nearer to another phone's than to its own.

Items are lines ``#file onset offset #phone prev-phone next-phone speaker`` (seconds), as in the ZeroSpeech challenge.
Units of a recording are placed on one 50 Hz line from its beginning; items that are not completely inside a pack's
segments, or shorter than a frame, are skipped and counted. fastabx needs Python 3.12.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.text import CsvTable
from babyhubert.corpus.shards import Labels
from babyhubert.errors import AnnotationError, ConfigError, CorpusError
from babyhubert.timebase import FRAME_HOP, SAMPLE_RATE
from babyhubert.units.phones import match_recordings

COLUMNS = ("#file", "onset", "offset", "#phone", "prev-phone", "next-phone", "speaker")
_FREQUENCY = SAMPLE_RATE // FRAME_HOP
_NO_UNIT = -1


@dataclass(frozen=True)
class AbxErrors:
    """ABX error rates, 0 to 1 (0.5 is chance), with phonetic context held equal.

    Attributes:
        within_speaker: All three sounds by one speaker.
        across_speaker: X by another speaker than A and B; None if the items have one speaker only.
        items: Number of items used.
        left_out: Number of items that the labels do not cover, or shorter than a frame.
    """

    within_speaker: float
    across_speaker: float | None
    items: int
    left_out: int


def abx_errors(labels: Labels, item: Path, seed: int = 0) -> AbxErrors:
    """ABX errors of units, with distances of 0 and 1 between units summed over time-warped sounds.

    Groups are sampled as in ZeroSpeech: at most 10 of A, B and X each, at most 5 speakers of X.

    Raises:
        ConfigError: Python is older than 3.12 or fastabx is not installed.
        AnnotationError: the item file cannot be read.
        CorpusError: no item is covered by the labels.
    """
    fastabx = _fastabx()
    rows = read_items(item)
    lines = unit_lines(labels, sorted({row["#file"] for row in rows}), str(item))
    covered = [row for row in rows if is_covered(row, lines)]
    if not covered:
        raise CorpusError(f"{item}: no item is completely within the labelled segments; look at its times")
    with tempfile.TemporaryDirectory() as scratch:
        names = {name: f"f{index}" for index, name in enumerate(lines)}
        items, units = Path(scratch) / "items.item", Path(scratch) / "units.jsonl"
        _write_items(items, covered, names)
        _write_units(units, lines, names)
        within = _score(fastabx, items, units, ["prev-phone", "next-phone", "speaker"], None, seed)
        several = len({row["speaker"] for row in covered}) > 1
        across = _score(fastabx, items, units, ["prev-phone", "next-phone"], ["speaker"], seed) if several else None
    return AbxErrors(within, across, len(covered), len(rows) - len(covered))


def read_items(path: Path) -> list[dict[str, str]]:
    """Read the lines of an item file by column.

    Raises:
        AnnotationError: unreadable, a column is missing, or a time is invalid.
    """
    table = CsvTable(path, delimiter=" ")
    missing = [name for name in COLUMNS if name not in table.columns]
    rows = [row for _, row in table]
    if missing or not rows:
        raise AnnotationError(
            f"{path}: no ABX items; the first line must be '{' '.join(COLUMNS)}', the others one sound each"
        )
    for line, row in enumerate(rows, start=2):
        try:
            float(row["onset"]), float(row["offset"])
        except (TypeError, ValueError):
            raise AnnotationError(f"{path}, line {line}: onset and offset must be times in seconds") from None
    return rows


def unit_lines(labels: Labels, files: list[str], where: str) -> dict[str, NDArray[np.int64]]:
    """Units of recordings on a 50 Hz line from their beginning, int64; -1 outside segments.

    Raises:
        CorpusError: none of the files is in the pack.
    """
    pack = labels.pack
    lines = {}
    for recording, name in match_recordings(pack, files, where).items():
        rows = np.flatnonzero((pack.recording == recording) & (pack.frames > 0)).tolist()
        begins = [(int(pack.start[row]) + FRAME_HOP // 2) // FRAME_HOP for row in rows]
        ends = [begin + int(pack.frames[row]) for begin, row in zip(begins, rows, strict=True)]
        line = np.full(max(ends, default=0), _NO_UNIT, dtype=np.int64)
        for begin, end, row in zip(begins, ends, rows, strict=True):
            line[begin:end] = labels.units(row)
        lines[name] = line
    return lines


def is_covered(row: dict[str, str], lines: dict[str, NDArray[np.int64]]) -> bool:
    """True for an item with at least one frame, and a unit on each; frames as fastabx counts them."""
    line = lines.get(row["#file"])
    begin = math.ceil(float(row["onset"]) * _FREQUENCY - 0.5)
    end = math.floor(float(row["offset"]) * _FREQUENCY - 0.5) + 1
    return line is not None and 0 <= begin < end <= len(line) and bool((line[begin:end] != _NO_UNIT).all())


def _score(fastabx: Any, items: Path, units: Path, by: list[str], across: list[str] | None, seed: int) -> float:
    dataset = fastabx.Dataset.from_item_and_units(items, units, _FREQUENCY)
    subsampler = fastabx.Subsampler(10, 5 if across else None, seed)
    task = fastabx.Task(dataset, on="#phone", by=by, across=across, subsampler=subsampler)
    return float(fastabx.Score(task, "identical").collapse(levels=[("next-phone", "prev-phone"), "speaker"]))


def _write_items(path: Path, rows: list[dict[str, str]], names: dict[str, str]) -> None:
    lines = [" ".join([names[row["#file"]], *(row[name] for name in COLUMNS[1:])]) for row in rows]
    path.write_text("\n".join([" ".join(COLUMNS), *lines]) + "\n", encoding="utf-8")


def _write_units(path: Path, lines: dict[str, NDArray[np.int64]], names: dict[str, str]) -> None:
    text = [json.dumps({"audio": names[name], "units": line.tolist()}) for name, line in lines.items()]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


def _fastabx() -> Any:
    try:
        import fastabx  # type: ignore[import-not-found, unused-ignore]
    except (ImportError, SyntaxError):  # an older Python cannot even parse it
        version = ".".join(map(str, sys.version_info[:2]))
        raise ConfigError(
            f"--abx needs fastabx, which needs Python 3.12 or later (this is {version}): in such an environment, "
            "pip install babyhubert fastabx"
        ) from None
    return fastabx
