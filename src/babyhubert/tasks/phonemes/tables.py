"""Transcriptions of utterances from tables, and the matching of predictions to references.

A table is a CSV file with ``phones`` (or ``phonemes``), symbols separated by spaces, and columns that identify the
utterance:

- ``utterance_id`` or ``audio_filename``: an utterance with a name of its own (often a file of its own);
- ``recording_id,start_s,end_s`` (what the simulator writes), ``filename,onset,offset`` in seconds (what phoneme
  recognition writes, as published) or ``uid,start_time_s,duration_s``: a stretch of a recording.

All other columns are kept, for grouping. Predictions on a stretch belong to the reference utterance that they overlap
most; several of one utterance are joined in order of time.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from babyhubert.annotation.table_columns import (
    BABAR,
    COMBINED,
    SYMBOLS,
    TRANSCRIPTIONS,
    TRUTH,
    UTTERANCE,
    UTTERANCES,
    VOICES,
    Layout,
)
from babyhubert.annotation.text import CsvTable
from babyhubert.audio.discovery import without_suffix
from babyhubert.audio.names import check_names, match_names
from babyhubert.errors import AnnotationError, some_names
from babyhubert.files import files_below
from babyhubert.phonology.inventory import BOUNDARY, Inventory, read_inventory, simplify

PUBLISHED_PHONEMES = Inventory().symbols
"""The 57 phonemes of the published recogniser."""

UNKNOWN = "?"
"""A transcription with this symbol is partly unknown, and is not scored."""

_LAYOUTS = (TRUTH, BABAR, SYMBOLS, COMBINED, UTTERANCE)


@dataclass(frozen=True)
class Utterance:
    """One transcribed utterance.

    Attributes:
        name: Name of the utterance, or of its recording if ``span`` gives the stretch.
        span: First sample and sample after the last; None for an utterance with a name of its own.
        phones: Symbols, normalised (see :func:`split_phones`).
        speaker: Its voice type, if the table has it.
        columns: The complete row.
    """

    name: str
    span: tuple[int, int] | None
    phones: tuple[str, ...]
    speaker: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """A reference utterance and its prediction.

    Attributes:
        reference: None if predictions match no reference utterance: all their symbols are inserted.
        predicted: Symbols; empty without a prediction.
        answered: True if there is a prediction, even an empty one.
        recording: The recording (or the utterance's own name).
    """

    reference: Utterance | None
    predicted: tuple[str, ...]
    answered: bool
    recording: str


@dataclass(frozen=True)
class Pairing:
    """Scored and skipped utterances.

    Attributes:
        pairs: Scored pairs.
        unknown: Reference utterances with an unknown symbol: not scored, nor are predictions there.
        other_speakers: Reference utterances of other speakers than the requested ones: not scored.
        without_reference: Predicted recordings or utterances that the reference does not name: skipped.
        ignored: Predictions that match no reference utterance, if those are not counted.
    """

    pairs: tuple[Pair, ...]
    unknown: int
    other_speakers: int
    without_reference: tuple[str, ...]
    ignored: int


def split_phones(text: str, rewrite: Mapping[str, Sequence[str]] | None = None) -> tuple[str, ...]:
    """Symbols of a transcription: composed Unicode, ``g`` as ɡ (U+0261), word boundaries dropped, then rewritten."""
    symbols = unicodedata.normalize("NFC", text).replace("g", "ɡ").split()
    found: list[str] = []
    for symbol in symbols:
        if symbol != BOUNDARY:
            found += (symbol,) if rewrite is None else rewrite.get(symbol, (symbol,))
    return tuple(found)


def read_rewriting(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a table ``from,to`` of symbols to rewrite on both sides before scoring; ``to`` may hold several, or none.

    Raises:
        AnnotationError: unreadable, or without these columns.
    """
    rows, columns = _read_table(path)
    if not {"from", "to"} <= set(columns):
        raise AnnotationError(f"{path}: a table with the columns from,to is needed; it has {','.join(columns)}")
    found: dict[str, tuple[str, ...]] = {}
    for _, row in rows:
        for symbol in split_phones(row["from"]):
            found[symbol] = split_phones(row["to"])
    return found


def read_symbols(path: Path | None) -> tuple[str, ...]:
    """Symbols of a model's inventory (see :func:`babyhubert.phonology.inventory.read_inventory`); None: the published.

    Raises:
        ConfigError: unreadable, empty, or a symbol twice.
    """
    return PUBLISHED_PHONEMES if path is None else read_inventory(path)[:-1]


def simplified(utterances: Iterable[Utterance], inventory: Sequence[str]) -> list[Utterance]:
    """Split symbols outside an inventory if the parts are in it.

    Affricates and diphthongs become two symbols, stress and length go; symbols that cannot be split stay unchanged.
    """
    parts: dict[str, tuple[str, ...]] = {symbol: (symbol,) for symbol in (*inventory, UNKNOWN)}
    found = []
    for utterance in utterances:
        for symbol in utterance.phones:
            if symbol not in parts:
                taken_apart = simplify(symbol, inventory)
                parts[symbol] = (symbol,) if taken_apart is None else tuple(taken_apart)
        phones = tuple(part for symbol in utterance.phones for part in parts[symbol])
        found.append(replace(utterance, phones=phones))
    return found


def read_transcriptions(path: Path, rewrite: Mapping[str, Sequence[str]] | None = None) -> list[Utterance]:
    """Read the utterances of a CSV file, or of all below a folder (of its ``phonemes`` folder, if it has one).

    Raises:
        AnnotationError: no file, an unknown header, or a malformed row (named).
    """
    path = Path(path)
    if path.is_file():
        return _read_utterances(path, rewrite)
    folder = path / "phonemes" if (path / "phonemes").is_dir() else path
    files = files_below(folder, ".csv") if folder.is_dir() else []
    if not files:
        raise AnnotationError(f"{path}: no such file, or no .csv file in this folder")
    return [utterance for file in files for utterance in _read_utterances(file, rewrite)]


def pair_transcriptions(
    reference: Sequence[Utterance],
    predicted: Sequence[Utterance],
    speakers: Collection[str] | None = None,
    *,
    count_unmatched: bool = True,
) -> Pairing:
    """Find the reference utterance of every prediction.

    Args:
        reference: Every one is scored (but for other speakers and unknown symbols); one without prediction counts as
            empty.
        predicted: In any order.
        speakers: Voice types to score, if tables have them; None: all.
        count_unmatched: True to count predictions that match no reference utterance as insertions.

    Raises:
        AnnotationError: the names of both have nothing in common, one reference utterance occurs twice, or predictions
            of a recording have no times though the reference has.
    """
    kept, others = _of_speakers(reference, speakers)
    if reference and not kept:
        found = sorted({str(utterance.speaker) for utterance in reference})
        raise AnnotationError(
            f"no reference utterance is of {', '.join(speakers or ())}; the reference has "
            f"{some_names(found, most=8)}; choose with --speakers, or 'all'"
        )
    predicted, _ = _of_speakers(predicted, speakers)
    by_name = _grouped(kept)
    given = _grouped(predicted)
    matched = match_names(by_name, given)
    given = {matched.get(name, name): group for name, group in given.items()}
    if given:
        check_names(by_name, given)
    pairs: list[Pair] = []
    ignored = 0
    for name, group in by_name.items():
        answers, loose = _assign(name, group, given.get(name, []))
        for utterance, parts in zip(group, answers, strict=True):
            if UNKNOWN not in utterance.phones:
                pairs.append(Pair(utterance, _joined(parts), bool(parts), name))
        if loose and count_unmatched:
            pairs.append(Pair(None, _joined(loose), True, name))
        elif loose:
            ignored += len(loose)
    unknown = sum(UNKNOWN in utterance.phones for utterance in kept)
    return Pairing(tuple(pairs), unknown, others, tuple(sorted(set(given) - set(by_name))), ignored)


def _assign(
    name: str, group: Sequence[Utterance], predicted: Sequence[Utterance]
) -> tuple[list[list[Utterance]], list[Utterance]]:
    """Predictions of each reference utterance of a recording, and those that match none."""
    answers: list[list[Utterance]] = [[] for _ in group]
    loose = []
    if any(utterance.span is None for utterance in group):
        if len(group) > 1:
            raise AnnotationError(f"{name}: occurs {len(group)} times in the reference; names must be unique")
        return [list(predicted)], []
    begins, ends = np.array([utterance.span for utterance in group], dtype=np.int64).T
    for utterance in predicted:
        if utterance.span is None:
            raise AnnotationError(f"{name}: the reference says when each utterance is, a prediction does not")
        start, end = utterance.span
        shared = np.minimum(ends, end) - np.maximum(begins, start)
        most = int(shared.argmax())
        if shared[most] > 0:
            answers[most].append(utterance)
        else:
            loose.append(utterance)
    return answers, loose


def _joined(parts: Iterable[Utterance]) -> tuple[str, ...]:
    ordered = sorted(parts, key=lambda part: part.span or (0, 0))
    return tuple(phone for part in ordered for phone in part.phones)


def _grouped(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        groups.setdefault(utterance.name, []).append(utterance)
    return groups


def _of_speakers(utterances: Sequence[Utterance], speakers: Collection[str] | None) -> tuple[list[Utterance], int]:
    kept = [u for u in utterances if speakers is None or u.speaker is None or u.speaker in speakers]
    return kept, len(utterances) - len(kept)


def _read_utterances(path: Path, rewrite: Mapping[str, Sequence[str]] | None) -> list[Utterance]:
    rows, columns = _read_table(path)
    text = next((name for name in TRANSCRIPTIONS if name in columns), None)
    own = next((name for name in UTTERANCES if name in columns), None)
    layout = next((one for one in _LAYOUTS if set(one.columns[:3]) <= set(columns)), None)
    if text is None or (own is None and layout is None):
        known = "; ".join([*UTTERANCES, *(",".join(one.columns[:3]) for one in _LAYOUTS)])
        raise AnnotationError(
            f"{path}: header {','.join(columns) or 'empty'}; needed are phones (or phonemes) and one of: {known}"
        )
    speaker = next((name for name in VOICES if name in columns), None)
    found = []
    for line, row in rows:
        name, span = (row[own], None) if own else _read_stretch(row, layout, f"{path}, line {line}")
        if not name.strip():
            raise AnnotationError(f"{path}, line {line}: names no recording or utterance")
        voice = row[speaker] if speaker else None
        voice = "KCHI" if voice == "CHI" and speaker == "speaker_type" else voice
        found.append(Utterance(without_suffix(name), span, split_phones(row[text], rewrite), voice, row))
    return found


def _read_stretch(row: Mapping[str, str], layout: Layout | None, where: str) -> tuple[str, tuple[int, int]]:
    assert layout is not None
    return row[layout.columns[0]], layout.stretch.parse(row, where)


def _read_table(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    table = CsvTable(path)
    return [(line, {key: value for key, value in row.items() if key}) for line, row in table], table.columns
