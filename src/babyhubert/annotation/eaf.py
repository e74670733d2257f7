"""ELAN's ``.eaf`` files, written through pympi.

Times are whole milliseconds. Voices are top-level tiers; values of a voice's segments (``xds@FA0``) are on tiers
below, one value per segment (symbolic association), as in ACLEW transcripts. The text of a segment is its
transcription, so it stays empty if there is none: ChildProject's importer would take any text as one. Characters that
XML cannot hold are escaped as in web addresses (:mod:`babyhubert.annotation.escapes`) and read back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from babyhubert.annotation import eaf_base
from babyhubert.annotation.escapes import CONTROL, NOT_XML, escape, unescape
from babyhubert.annotation.text import shortened
from babyhubert.annotation.tiers import Piece, Tier
from babyhubert.audio.names import rttm_uri
from babyhubert.errors import AnnotationError
from babyhubert.files import atomic_path
from babyhubert.timebase import LONGEST_RECORDING_S

if TYPE_CHECKING:
    from pympi.Elan import Eaf

    from babyhubert.annotation.formats import WrittenRecording

_MIME_TYPES = {
    ".wav": "audio/x-wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/x-flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".mp4": "video/mp4",
}
_VOICE_TYPE_OF_TIER = "transcription"
_NO_DATE = "1970-01-01T00:00:00+00:00"
"""Constant date, so that the same annotations give the same bytes; ELAN sets the date when a file is saved."""


def write_eaf(path: Path, tiers: Sequence[Tier], media: Path | None = None, base: Path | None = None) -> None:
    """Write tiers, linked to a recording by its absolute and its relative path.

    Args:
        path: The file.
        tiers: Parents before their dependents.
        media: The recording.
        base: File of ELAN's whose other content is kept: see :mod:`babyhubert.annotation.eaf_base`.

    Raises:
        OutputError: the file cannot be written.
        AnnotationError: the base cannot be read.
    """
    from pympi.Elan import Eaf

    eaf = Eaf(author="babyhubert")
    eaf.adocument["DATE"] = _NO_DATE
    eaf.add_linguistic_type(_VOICE_TYPE_OF_TIER)
    identifiers: dict[str, dict[tuple[int, int], str]] = {}
    for tier in tiers:
        if tier.parent is None:
            identifiers[tier.name] = _add_voice(eaf, tier)
        else:
            _add_dependent(eaf, tier, identifiers[tier.parent])
    eaf.remove_tier("default")
    eaf.linguistic_types.pop("default-lt")
    if media is not None:
        mime = _MIME_TYPES.get(media.suffix.lower(), "unknown")
        eaf.add_linked_file(media.absolute().as_uri(), _relative_url(media, path.parent), mime)
    eaf.properties = [("lastUsedAnnotationId", eaf.maxaid)]
    with atomic_path(path) as temporary:
        eaf.to_file(str(temporary))
        if base is not None:
            eaf_base.keep_content_of(base, temporary)


def write_tiers(path: Path, tiers: Sequence[Tier], recording: WrittenRecording) -> None:
    """Write one recording's tiers, as :mod:`babyhubert.annotation.formats` asks for it."""
    write_eaf(path, tiers, recording.audio, recording.base)


def why_not_rewritten(path: Path) -> str | None:
    """As :func:`babyhubert.annotation.eaf_base.why_not_rewritten`."""
    return eaf_base.why_not_rewritten(path)


def read_tiers(path: Path, recording_id: str) -> list[Tier]:
    """As :func:`read_eaf_tiers`."""
    return read_eaf_tiers(path, recording_id)


def read_eaf_tiers(path: Path, recording_id: str = "") -> list[Tier]:
    """Read every tier of a file, in order, with times of the recording, even if ELAN plays it from a later time on.

    Annotations without times are spread evenly between neighbours with times, as ELAN shows them.

    Args:
        path: The file.
        recording_id: Selects one of several linked recordings, if ELAN plays them from different times on.

    Raises:
        AnnotationError: unreadable, not an .eaf file, or an annotation without, or with impossible, times.
    """
    root = eaf_base.read_document(path)
    offset = _media_offset(root.findall("HEADER/MEDIA_DESCRIPTOR"), recording_id, path)
    units = [header.get("TIME_UNITS", "milliseconds") for header in root.findall("HEADER")]
    if any(unit != "milliseconds" for unit in units):
        raise AnnotationError(f"{path}: times are in {units[0][:40]}; save it with milliseconds in ELAN")
    return _Document(path, root, offset).tiers()


def _media_offset(media: Sequence[Element], recording_id: str, path: Path) -> int:
    """Milliseconds of the recording before time 0 of the tiers."""
    offsets = [_time(one.get("TIME_ORIGIN", "0"), f"{path}, TIME_ORIGIN") for one in media]
    if len(set(offsets)) <= 1:
        return offsets[0] if offsets else 0
    urls = [unquote(one.get("RELATIVE_MEDIA_URL") or one.get("MEDIA_URL") or "").replace("\\", "/") for one in media]
    named = {Path(url).stem: None for url in urls}
    wanted = recording_id.rpartition("/")[2]
    for meant in (
        [rttm_uri(Path(url).stem) == rttm_uri(wanted) for url in urls],
        [one.get("MIME_TYPE", "").startswith("audio/") for one in media],
    ):
        chosen = {offset for offset, chosen in zip(offsets, meant, strict=True) if chosen}
        if len(chosen) == 1:
            return chosen.pop()
    raise AnnotationError(
        f"{path}: its media ({', '.join(named)}) begin at different times ({', '.join(map(str, offsets))} ms); keep "
        "the one that is annotated in ELAN, under Edit, Linked Files"
    )


def _time(text: str, where: str) -> int:
    """Time in milliseconds."""
    if not re.fullmatch("[+-]?[0-9]{1,18}", text.strip()):
        raise AnnotationError(f"{where}: {shortened(text)} is no time in milliseconds")
    if not 0 <= int(text) <= 1000 * LONGEST_RECORDING_S:
        raise AnnotationError(
            f"{where}: {int(text)} ms is no time of a recording (0 to {LONGEST_RECORDING_S // 86400} days)"
        )
    return int(text)


class _Document:
    """Time slots, and annotations by their id, of one file."""

    def __init__(self, path: Path, root: Element, offset: int) -> None:
        self._path = path
        self._slots: dict[str, int | None] = {}
        for slot in root.iterfind("TIME_ORDER/TIME_SLOT"):
            name, value = slot.get("TIME_SLOT_ID", ""), slot.get("TIME_VALUE")
            time = None if value is None else _time(value, f"{path}, time slot {name}")
            self._slots[name] = None if time is None else time + offset
        self._tiers = root.findall("TIER")
        self._spans: dict[str, tuple[int, int]] = {}
        self._parents: dict[str, str] = {}

    def tiers(self) -> list[Tier]:
        """The tiers with their pieces."""
        for tier in self._tiers:
            self._spans |= self._aligned(tier)
            for one in tier.iterfind("ANNOTATION/REF_ANNOTATION"):
                self._parents[one.get("ANNOTATION_ID", "")] = one.get("ANNOTATION_REF", "")
        return [self._tier(tier) for tier in self._tiers]

    def _tier(self, tier: Element) -> Tier:
        name = unescape(tier.get("TIER_ID", ""), CONTROL)
        where = f"{self._path}, tier {name}"
        if not name.strip():
            raise AnnotationError(f"{where}: has no name; give it one in ELAN")
        pieces = []
        for kind in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
            for one in tier.iterfind(f"ANNOTATION/{kind}"):
                start, end = self._span(one.get("ANNOTATION_ID", ""), where)
                text = unescape(one.findtext("ANNOTATION_VALUE") or "", NOT_XML)
                pieces.append(Piece(start, end, text))
        parent = tier.get("PARENT_REF")
        return Tier(name, tuple(sorted(pieces)), None if parent is None else unescape(parent, CONTROL))

    def _span(self, key: str, where: str) -> tuple[int, int]:
        """Times of an annotation, or of its ancestor with times, over any number of tiers."""
        seen: set[str] = set()
        while key not in self._spans and key in self._parents and key not in seen:
            seen.add(key)
            key = self._parents[key]
        if key in self._spans:
            return self._spans[key]
        raise AnnotationError(
            f"{where}: a value refers to annotation {key}, which is absent; save the file in ELAN again"
        )

    def _aligned(self, tier: Element) -> dict[str, tuple[int, int]]:
        """Times of a tier's own annotations."""
        where = f"{self._path}, tier {tier.get('TIER_ID')}"
        ends = {
            one.get("ANNOTATION_ID", ""): (one.get("TIME_SLOT_REF1", ""), one.get("TIME_SLOT_REF2", ""))
            for one in tier.iterfind("ANNOTATION/ALIGNABLE_ANNOTATION")
        }
        times = self._spread(dict(ends.values()))
        spans = {}
        for key, (first, last) in ends.items():
            start, end = (self._slots.get(slot) for slot in (first, last))
            start, end = (times.get(first) if start is None else start), (times.get(last) if end is None else end)
            if start is None or end is None:
                raise AnnotationError(f"{where}: annotation {key} has no times; align it in ELAN, or remove it")
            if end < start:
                raise AnnotationError(f"{where}: annotation {key} ends at {end} ms, before it starts at {start} ms")
            spans[key] = start, end
        return spans

    def _spread(self, following: Mapping[str, str]) -> dict[str, int]:
        """Times of the slots without any, interpolated in a row of annotations between two slots that have one."""
        times: dict[str, int] = {}
        for first, slot in following.items():
            start = self._slots.get(first)
            between: list[str] = []
            while start is not None and self._slots.get(slot) is None and slot in following and slot not in between:
                between.append(slot)
                slot = following[slot]
            end = self._slots.get(slot)
            if start is not None and end is not None:
                step = (end - start) / (len(between) + 1)
                times |= {name: round(start + place * step) for place, name in enumerate(between, start=1)}
        return times


def _add_voice(eaf: Eaf, tier: Tier) -> dict[tuple[int, int], str]:
    """Add a top-level tier; return the annotations' identifiers by their times."""
    name = escape(tier.name, CONTROL)
    eaf.add_tier(name, _VOICE_TYPE_OF_TIER, part=name)
    identifiers = {}
    for piece in tier.pieces:
        eaf.add_annotation(name, piece.start, piece.end, escape(piece.text, NOT_XML))
        identifiers[piece.start, piece.end] = f"a{eaf.maxaid}"
    return identifiers


def _add_dependent(eaf: Eaf, tier: Tier, identifiers: dict[tuple[int, int], str]) -> None:
    """Add a tier of values, directly into pympi's table: its own method searches the parent for every time."""
    kind = tier.name.removesuffix(str(tier.parent)).rstrip("@_").upper()
    if kind not in eaf.linguistic_types:
        eaf.add_linguistic_type(kind, "Symbolic_Association", timealignable=False)
    name, parent = escape(tier.name, CONTROL), escape(str(tier.parent), CONTROL)
    eaf.add_tier(name, kind, parent=parent, part=parent)
    for piece in tier.pieces:
        key = eaf.generate_annotation_id()
        eaf.annotations[key] = name
        value = escape(piece.text, NOT_XML)
        eaf.tiers[name][1][key] = (identifiers[piece.start, piece.end], value, None, None)


def _relative_url(media: Path, folder: Path) -> str | None:
    """Path of the recording relative to the file's folder; None if they are on different drives."""
    try:
        relative = Path(os.path.relpath(media.absolute(), folder.absolute())).as_posix()
    except ValueError:
        return None
    return relative if relative.startswith(".") else f"./{relative}"
