"""ELAN's ``.eaf`` files, through pympi.

Times are whole milliseconds. Voices stand on top-level tiers; what is said of a voice's segments (``xds@FA0``) on
tiers below, one value a segment (symbolic association), as in ACLEW transcripts. A piece's text is the transcription,
so it stays empty where there is none: ChildProject's importer would take any text for one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyhubert.annotation.text import unreadable
from babyhubert.annotation.tiers import Piece, Tier
from babyhubert.errors import AnnotationError
from babyhubert.files import atomic_path

if TYPE_CHECKING:
    from pympi.Elan import Eaf

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
"""The same annotations give the same bytes; ELAN puts a date of its own when somebody saves."""


def write_eaf(path: Path, tiers: Sequence[Tier], media: Path | None = None) -> None:
    """Write tiers, linked to a recording by its absolute and its relative place.

    Args:
        path: The file.
        tiers: Parents before their dependents.
        media: The recording.

    Raises:
        OutputError: the file cannot be written.
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
    with atomic_path(path) as temporary:
        eaf.to_file(str(temporary))


def read_eaf_tiers(path: Path) -> list[Tier]:
    """Every tier of a file, in its order; pieces without times are left out.

    Raises:
        AnnotationError: unreadable, or not an .eaf file.
    """
    eaf = _open(path)
    return [_tier(eaf, name, path) for name in eaf.tiers]


def _open(path: Path) -> Eaf:
    from pympi.Elan import Eaf

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a newer version of the format, which adds nothing we read
            return Eaf(str(path))
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # pympi raises whatever its parsing runs into
        raise AnnotationError(f"{path}: not an ELAN file ({type(error).__name__}: {error})") from error


def _tier(eaf: Eaf, name: str, path: Path) -> Tier:
    aligned, references, attributes, _ = eaf.tiers[name]
    times = {key: (eaf.timeslots.get(row[0]), eaf.timeslots.get(row[1])) for key, row in aligned.items()}
    pieces = [(*times[key], row[2]) for key, row in aligned.items()]
    for key, row in references.items():
        first, last = _aligned(eaf, key, f"{path}, tier {name}")
        pieces.append((eaf.timeslots.get(first), eaf.timeslots.get(last), row[1]))
    timed = _check(((start, end, text or "") for start, end, text in pieces), f"{path}, tier {name}")
    return Tier(name, timed, attributes.get("PARENT_REF"))


def _aligned(eaf: Eaf, key: str, where: str) -> tuple[str, str]:
    """Time slots of the annotation that a value stands below, over however many tiers."""
    seen: set[str] = set()
    while key in eaf.annotations and key not in seen:
        seen.add(key)
        aligned, references, *_ = eaf.tiers[eaf.annotations[key]]
        if key in aligned:
            return aligned[key][:2]
        key = references[key][0]
    raise AnnotationError(f"{where}: a value refers to annotation {key}, which is absent; save the file in ELAN again")


def _check(pieces: Iterable[tuple[Any, Any, str]], where: str) -> tuple[Piece, ...]:
    timed = sorted(Piece(start, end, text) for start, end, text in pieces if None not in (start, end))
    for piece in timed:
        if piece.end < piece.start:
            raise AnnotationError(f"{where}: a segment ends at {piece.end} ms, before it starts at {piece.start} ms")
    return tuple(timed)


def _add_voice(eaf: Eaf, tier: Tier) -> dict[tuple[int, int], str]:
    """Add a top-level tier; the annotations' identifiers by their times."""
    eaf.add_tier(tier.name, _VOICE_TYPE_OF_TIER, part=tier.name)
    identifiers = {}
    for piece in tier.pieces:
        eaf.add_annotation(tier.name, piece.start, piece.end, piece.text)
        identifiers[piece.start, piece.end] = f"a{eaf.maxaid}"
    return identifiers


def _add_dependent(eaf: Eaf, tier: Tier, identifiers: dict[tuple[int, int], str]) -> None:
    """Add a tier of values. Straight into pympi's table: its own way looks every time up in the whole parent."""
    kind = tier.name.removesuffix(str(tier.parent)).rstrip("@_").upper()
    if kind not in eaf.linguistic_types:
        eaf.add_linguistic_type(kind, "Symbolic_Association", timealignable=False)
    eaf.add_tier(tier.name, kind, parent=tier.parent, part=tier.parent)
    for piece in tier.pieces:
        key = eaf.generate_annotation_id()
        eaf.annotations[key] = tier.name
        eaf.tiers[tier.name][1][key] = (identifiers[piece.start, piece.end], piece.text, None, None)


def _relative_url(media: Path, folder: Path) -> str | None:
    """The recording's place seen from the folder of the file; None where they are on different drives."""
    try:
        relative = Path(os.path.relpath(media.absolute(), folder.absolute())).as_posix()
    except ValueError:
        return None
    return relative if relative.startswith(".") else f"./{relative}"
