"""A reference that people made of clips drawn at random, beside the run whose totals it corrects.

``sample.json`` of the reference names the clips that were drawn, ``annotated.uem`` the stretches that were annotated.
Only clips that are annotated from end to end count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals
from babyhubert.annotation.uem import UEM_NAME, read_uem
from babyhubert.audio.names import rttm_uri
from babyhubert.errors import AnnotationError
from babyhubert.exchange.clip_choice import FAIR_METHODS, speech_within
from babyhubert.exchange.clip_counts import Clips
from babyhubert.exchange.clips import CLIPS_TABLE, SAMPLE_FILE, read_json
from babyhubert.exchange.collect import drawn_clips

_LATEST_MS = 1 << 40

DrawnClip = tuple[int, int, int]
"""Onset and offset in ms, and stratum; 0 for clips that were not drawn from strata."""


@dataclass(frozen=True, eq=False)
class Strata:
    """Strata of time that clips were drawn from, of several recordings together.

    Attributes:
        names: Their names.
        cells: Size of each, in cells of one length, shape (H,).
        recordings: Ids of the recordings they were made of.
        of_clip: Stratum of each annotated clip, by recording, int64, shape (C,).
    """

    names: Sequence[str]
    cells: NDArray[np.float64]
    recordings: frozenset[str]
    of_clip: Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class AnnotatedSample:
    """The annotated clips of a reference.

    Attributes:
        folder: The reference.
        clips: By recording.
        segments: Fingerprint of each recording's segments when the clips were drawn, if known.
        drawn: Clips that were drawn: recording, onset, offset and stratum.
        annotated: Number of these that were annotated.
        strata: Strata that they were drawn from; None: each recording by itself.
        folders: A folder for each person who annotated them.
        shares: Share of each person in what is counted, by recording, shape (people, C); absent for one person.
    """

    folder: Path
    clips: Mapping[str, Clips]
    segments: Mapping[str, str]
    drawn: frozenset[tuple[str, int, int, int]]
    annotated: int
    strata: Strata | None
    folders: tuple[Path, ...]
    shares: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def read_annotated_sample(reference: Path) -> AnnotatedSample:
    """Read a reference that ``babyhubert sample --collect`` wrote.

    Raises:
        AnnotationError: not such a folder; its clips were not drawn at random, or in two ways; fewer than two clips
            are annotated, or none of a stratum.
    """
    about = _read_about(reference)
    method = _method(reference / SAMPLE_FILE, about)
    drawn = _drawn_clips(reference, about, method)
    uem = reference / UEM_NAME
    if not uem.is_file():
        raise AnnotationError(f"{uem}: missing; write the reference again with 'babyhubert sample --collect'")
    stretches = read_uem(uem)
    inside = {name: _covered(own, stretches.get(rttm_uri(name))) for name, own in drawn.items()}
    inside = {name: own for name, own in inside.items() if len(own)}
    annotated = sum(map(len, inside.values()))
    if not annotated:
        raise AnnotationError(f"{uem}: covers none of the clips in {reference / SAMPLE_FILE}; they are of other clips")
    if annotated < 2:
        raise AnnotationError(f"{reference}: one annotated clip gives no interval; annotate two or more")
    known = about.get("segments")
    segments = {str(name): str(one) for name, one in known.items()} if isinstance(known, dict) else {}
    clips = {name: Clips(own[:, 0], own[:, 1]) for name, own in inside.items()}
    listed = frozenset((name, *clip) for name, own in drawn.items() for clip in own)
    strata = None if method != "stratified" else _read_strata(reference, about, drawn, inside)
    return AnnotatedSample(reference, clips, segments, listed, annotated, strata, (reference,))


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
    if "clips" not in about and (reference / CLIPS_TABLE).is_file():  # collected into the folder of the clips
        about |= drawn_clips(reference)
    return about


def _method(path: Path, about: Mapping[str, Any]) -> str:
    settings, listed = about.get("settings"), about.get("methods")
    asked = settings.get("method") if isinstance(settings, dict) else None
    methods = sorted({str(asked), *(str(one) for one in listed)} if isinstance(listed, list) else {str(asked)})
    if len(methods) > 1:
        raise AnnotationError(
            f"{path}: clips of {len(methods)} methods ({', '.join(methods)}), which have no common weights; collect "
            "those of each method from a folder of their own"
        )
    if methods[0] not in FAIR_METHODS:
        raise AnnotationError(
            f"{path}: clips drawn by method {methods[0]} do not stand for the recordings; estimates need clips of "
            f"'babyhubert sample --method {' or '.join(FAIR_METHODS)}'"
        )
    return methods[0]


def _drawn_clips(reference: Path, about: Mapping[str, Any], method: str) -> dict[str, list[DrawnClip]]:
    rows = about.get("clips")
    path = reference / SAMPLE_FILE
    found: dict[str, list[DrawnClip]] = {}
    for row in rows if isinstance(rows, list) else ():
        match row:
            case [str(name), int(onset), int(offset), *stratum] if 0 <= onset < offset < _LATEST_MS:
                found.setdefault(name, []).append((onset, offset, _stratum(path, row, stratum, method)))
            case _:
                raise AnnotationError(f"{path}: {str(row)[:80]} is no clip (recording, onset and offset in ms)")
    if not found:
        raise AnnotationError(
            f"{path}: names no clips; write the reference again with 'babyhubert sample --collect CLIPS -o REFERENCE'"
        )
    return found


def _stratum(path: Path, row: object, found: list[Any], method: str) -> int:
    match found:
        case [int(stratum)] if method == "stratified" and 0 <= stratum < _LATEST_MS:
            return stratum
        case [] if method != "stratified":
            return 0
    raise AnnotationError(
        f"{path}: the clip {str(row)[:80]} does not fit method {method} (only clips of strata name one); write the "
        "reference again with 'babyhubert sample --collect'"
    )


def _covered(clips: list[DrawnClip], stretches: Intervals | None) -> NDArray[np.int64]:
    """The clips that lie within annotated stretches, to a millisecond, shape (C, 3)."""
    rows = np.array(sorted(set(clips)), dtype=np.int64)
    if stretches is None:
        return rows[:0]
    length = rows[:, 1] - rows[:, 0]
    return rows[speech_within(stretches, rows[:, 0], length) * 1000 >= length - 1]


def _read_strata(
    reference: Path,
    about: Mapping[str, Any],
    drawn: Mapping[str, list[DrawnClip]],
    inside: Mapping[str, NDArray[np.int64]],
) -> Strata:
    path = reference / SAMPLE_FILE
    try:
        names = [str(one["name"]) for one in about["strata"]]
        cells = np.array([float(one["cells"]) for one in about["strata"]])
        recordings = frozenset(str(name) for name in about["drawn_from"])
    except (KeyError, TypeError, ValueError):
        raise AnnotationError(
            f"{path}: does not describe the strata of its clips; write the reference again with 'babyhubert sample "
            "--collect'"
        ) from None
    number = np.bincount([stratum for own in drawn.values() for _, _, stratum in own], minlength=len(names))
    if len(number) > len(names) or np.any(number > cells) or not set(drawn) <= recordings:
        raise AnnotationError(f"{path}: its clips are not of the strata that it describes")
    annotated = np.bincount(np.concatenate([own[:, 2] for own in inside.values()]), minlength=len(names))
    absent = np.flatnonzero((annotated == 0) & (number > 0))
    if len(absent):
        name, onset = next((r, o) for r, own in drawn.items() for o, _, stratum in own if stratum == absent[0])
        raise AnnotationError(
            f"{reference}: no clip of the stratum '{names[absent[0]]}' is annotated, and no other stands for it; "
            f"annotate one, such as that of {name} at {onset / 1000:g} s"
        )
    return Strata(names, cells, recordings, {name: own[:, 2] for name, own in inside.items()})
