"""Alignment of transcripts without times, so that units can be measured on phones.

The methods are those of :mod:`babyhubert.phonology.forced_alignment`. They do not use units, so any units can be
compared on the result. ``uniform`` boundaries are often wrong by more than a phone, so every measure on them is far
below that of a careful alignment. ``gaussian`` uses the same features as units made of MFCC, which favours those a
little over others.

Utterances are recordings of a pack; if a recording was cut into several segments, its phones are distributed over them
in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.corpus.shards import Pack
from babyhubert.errors import CorpusError
from babyhubert.phonology.forced_alignment import Aligner, SpokenPhones, find_paths
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD
from babyhubert.units.phones import SILENCE, Alignment, match_recordings, read_rows

UNKNOWN_PHONE = "?"


@dataclass(frozen=True, eq=False)
class _Placed:
    """A recording of a pack with its phones: its id, and its segments' rows in order of time."""

    recording: str
    rows: Sequence[int]
    spoken: SpokenPhones


def align(pack: Pack, transcripts: Path, aligner: Aligner) -> Alignment:
    """Align the phones of a transcript table in time.

    Args:
        pack: Pack with the audio.
        transcripts: CSV with ``utterance_id`` (or ``recording_id``) and ``phones`` separated by blanks. Utterances
            with an unknown phone (``?``), and those with fewer frames than phones, are skipped.
        aligner: See the module.

    Raises:
        AnnotationError: the table cannot be read.
        CorpusError: it has no utterance of this pack, or nothing can be aligned.
        MissingExtraError: kaldi-native-fbank is not installed.
    """
    texts = read_transcripts(transcripts)
    names = match_recordings(pack, texts, str(transcripts))
    inventory = (*sorted({phone for name in names.values() for phone in texts[name]} - {SILENCE}), SILENCE)
    number = {name: index for index, name in enumerate(inventory)}
    said = {recording: [number[phone] for phone in texts[name]] for recording, name in names.items()}
    utterances = [one for one in _utterances(pack, said) if len(one.spoken.features) >= len(one.spoken.phones)]
    if not utterances:
        raise CorpusError(f"{transcripts}: no utterance of it has as many frames in {pack.folder} as phones")
    paths = find_paths([one.spoken for one in utterances], aligner, silence=len(inventory) - 1)
    spans = (span for found, path in zip(utterances, paths, strict=True) for span in _spans(pack, found, path))
    return Alignment.from_spans((name, start, end, inventory[phone]) for name, start, end, phone in spans)


def read_transcripts(path: Path) -> dict[str, tuple[str, ...]]:
    """Read phones by utterance id; utterances with an unknown phone or none at all are skipped.

    Raises:
        AnnotationError: the table cannot be read, or has no such columns.
    """
    rows = read_rows(path, ("phones",))
    key = "utterance_id" if "utterance_id" in rows[0][1] else "recording_id"
    read_rows(path, (key, "phones"))
    texts = {row[key]: tuple(row["phones"].split()) for _, row in rows}
    return {name: phones for name, phones in texts.items() if phones and UNKNOWN_PHONE not in phones}


def _utterances(pack: Pack, said: Mapping[int, Sequence[int]]) -> Iterator[_Placed]:
    rows_of: dict[int, list[int]] = {recording: [] for recording in said}
    for row in np.lexsort((pack.start, pack.recording)).tolist():
        if pack.frames[row] and (recording := int(pack.recording[row])) in rows_of:
            rows_of[recording].append(row)
    for recording, rows in rows_of.items():
        if rows:
            audio = [pack.audio(row) for row in rows]
            phones = np.array(said[recording], dtype=np.int64)
            yield _Placed(pack.recordings[recording], rows, SpokenPhones.from_audio(audio, phones))


def _spans(pack: Pack, utterance: _Placed, path: NDArray[np.int64]) -> Iterator[tuple[str, int, int, int]]:
    """Runs of a path as (recording id, start sample, end sample, phone), each frame centred on its samples."""
    lead = (FRAME_RECEPTIVE_FIELD - FRAME_HOP) // 2
    done = 0
    for row in utterance.rows:
        part = path[done : done + int(pack.frames[row])]
        done += len(part)
        borders = np.flatnonzero(np.diff(part)) + 1
        begins, ends = np.concatenate([[0], borders]), np.concatenate([borders, [len(part)]])
        origin = int(pack.start[row]) + lead
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            yield utterance.recording, origin + FRAME_HOP * begin, origin + FRAME_HOP * end, int(part[begin])
