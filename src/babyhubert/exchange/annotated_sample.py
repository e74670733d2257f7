"""A reference that people made of clips drawn at random, beside the run whose totals it corrects.

``sample.json`` of the reference names the clips that were drawn, ``annotated.uem`` the stretches that were annotated.
Only clips that are annotated from end to end count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.annotation.intervals import Intervals
from babyhubert.annotation.uem import read_uem
from babyhubert.audio.names import rttm_uri
from babyhubert.errors import AnnotationError
from babyhubert.exchange.clip_choice import speech_within
from babyhubert.exchange.clip_counts import Clips
from babyhubert.exchange.clips import CLIPS_TABLE, SAMPLE_FILE, read_json
from babyhubert.exchange.collect import read_clips
from babyhubert.exchange.recordings import UEM_NAME

FAIR_METHODS = ("random", "periodic")
_LATEST_MS = 1 << 40


@dataclass(frozen=True, eq=False)
class AnnotatedSample:
    """The annotated clips of a reference.

    Attributes:
        folder: The reference.
        clips: By recording.
        segments: Fingerprint of each recording's segments when the clips were drawn, if known.
        drawn: Clips that were drawn.
        annotated: Clips of these that were annotated.
    """

    folder: Path
    clips: Mapping[str, Clips]
    segments: Mapping[str, str]
    drawn: int
    annotated: int


def read_annotated_sample(reference: Path) -> AnnotatedSample:
    """Read a reference that ``babyhubert sample --collect`` wrote.

    Raises:
        AnnotationError: not such a folder; its clips were not drawn at random; fewer than two clips are annotated.
    """
    about = _read_about(reference)
    settings = about.get("settings")
    method = settings.get("method") if isinstance(settings, dict) else None
    if method not in FAIR_METHODS:
        raise AnnotationError(
            f"{reference / SAMPLE_FILE}: clips drawn by method {method} do not stand for the recordings; estimates "
            f"need clips of 'babyhubert sample --method {' or '.join(FAIR_METHODS)}'"
        )
    drawn = _drawn_clips(reference, about)
    uem = reference / UEM_NAME
    if not uem.is_file():
        raise AnnotationError(f"{uem}: missing; write the reference again with 'babyhubert sample --collect'")
    stretches = read_uem(uem)
    clips = {name: _covered(own, stretches.get(rttm_uri(name))) for name, own in drawn.items()}
    clips = {name: own for name, own in clips.items() if len(own.onset)}
    annotated = sum(len(own.onset) for own in clips.values())
    if not annotated:
        raise AnnotationError(f"{uem}: covers none of the clips in {reference / SAMPLE_FILE}; they are of other clips")
    if annotated < 2:
        raise AnnotationError(f"{reference}: one annotated clip gives no interval; annotate two or more")
    known = about.get("segments")
    segments = {str(name): str(one) for name, one in known.items()} if isinstance(known, dict) else {}
    return AnnotatedSample(reference, clips, segments, sum(len(own) for own in drawn.values()), annotated)


def _read_about(reference: Path) -> dict[str, Any]:
    path = reference / SAMPLE_FILE
    if not path.is_file():
        raise AnnotationError(
            f"{reference}: holds no {SAMPLE_FILE}, which tells how the clips were drawn; give the folder that "
            "'babyhubert sample --collect CLIPS -o REFERENCE' wrote"
        )
    about = read_json(path)
    if not isinstance(about, dict):
        raise AnnotationError(f"{path}: damaged; write the reference again with 'babyhubert sample --collect'")
    return about


def _drawn_clips(reference: Path, about: Mapping[str, Any]) -> dict[str, list[tuple[int, int]]]:
    if "clips" not in about and (reference / CLIPS_TABLE).is_file():  # collected into the folder of the clips
        rows: Any = [(clip.recording_id, clip.onset, clip.offset) for clip in read_clips(reference)]
    else:
        rows = about.get("clips")
    path = reference / SAMPLE_FILE
    found: dict[str, list[tuple[int, int]]] = {}
    for row in rows if isinstance(rows, list) else ():
        match row:
            case [str(name), int(onset), int(offset)] if 0 <= onset < offset < _LATEST_MS:
                found.setdefault(name, []).append((onset, offset))
            case _:
                raise AnnotationError(f"{path}: {str(row)[:80]} is no clip (recording, onset and offset in ms)")
    if not found:
        raise AnnotationError(
            f"{path}: names no clips; write the reference again with 'babyhubert sample --collect CLIPS -o REFERENCE'"
        )
    return found


def _covered(clips: list[tuple[int, int]], stretches: Intervals | None) -> Clips:
    """The clips that lie within annotated stretches, to a millisecond."""
    onset, offset = np.array(sorted(set(clips)), dtype=np.int64).T
    if stretches is None:
        return Clips(onset[:0], offset[:0])
    inside = speech_within(stretches, onset, offset - onset) * 1000 >= offset - onset - 1
    return Clips(onset[inside], offset[inside])
