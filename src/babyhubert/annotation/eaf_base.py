"""Content of an ELAN file beside its tiers' pieces, kept when the pieces are written anew.

Vocabularies, linguistic types, tier attributes (participant, annotator, language), the licence and the header stay as
ELAN saved them; annotations get new identifiers. What could not be kept is a reason not to write such a file.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from babyhubert.annotation.text import read_bytes
from babyhubert.errors import AnnotationError

_MOST_BYTES = 1 << 28
_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"
_PIECES = ("TIME_ORDER", "TIER")
_LAST_USED = "HEADER/PROPERTY[@NAME='lastUsedAnnotationId']"


def read_document(path: Path) -> Element:
    """Root of an ELAN file.

    Raises:
        AnnotationError: it cannot be read, or is none.
    """
    try:
        root = ElementTree.fromstring(read_bytes(path, _MOST_BYTES))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise AnnotationError(f"{path}: not an ELAN file ({error})") from error
    if root.tag != "ANNOTATION_DOCUMENT" or root.find("TIER") is None:
        raise AnnotationError(f"{path}: not an ELAN file: it is a <{root.tag[:80]}> and holds no tier of ELAN's")
    return root


def why_not_rewritten(path: Path) -> str | None:
    """Reason why writing a file's tiers anew would lose something; None if nothing would be lost.

    Raises:
        AnnotationError: see :func:`read_document`.
    """
    root = read_document(path)
    if any(media.get("TIME_ORIGIN", "0") != "0" for media in root.iterfind("HEADER/MEDIA_DESCRIPTOR")):
        return "its sound begins later than its tiers"
    if root.find("REF_LINK_SET") is not None:
        return "it links annotations with one another"
    return next(_deep_tiers(root), None)


def _deep_tiers(root: Element) -> Iterator[str]:
    """Complaints about tiers whose pieces are not one value for each piece of a top-level tier."""
    parents = {tier.get("TIER_ID"): tier.get("PARENT_REF") for tier in root.iterfind("TIER")}
    for tier in root.iterfind("TIER"):
        parent = tier.get("PARENT_REF")
        if parent is not None and parents.get(parent) is not None:
            yield f"tier {tier.get('TIER_ID')} is below another that is below a voice"
        elif parent is not None and tier.find("ANNOTATION/ALIGNABLE_ANNOTATION") is not None:
            yield f"tier {tier.get('TIER_ID')} divides the segments of {parent}"


def keep_content_of(base: Path, path: Path) -> None:
    """Give a file that was just written everything of another but the pieces of its tiers.

    Args:
        base: File of ELAN's.
        path: The new file, in whose place the result is written.

    Raises:
        AnnotationError: the base cannot be read.
    """
    old, new = read_document(base), read_document(path)
    attributes = {tier.get("TIER_ID"): tier.attrib for tier in old.iterfind("TIER")}
    for tier in new.iterfind("TIER"):
        known = attributes.get(tier.get("TIER_ID"))
        if known is not None and known.get("PARENT_REF") == tier.get("PARENT_REF"):
            tier.attrib = known
    place = next(number for number, one in enumerate(old) if one.tag in _PIECES)
    for one in [one for one in old if one.tag in _PIECES]:
        old.remove(one)
    for number, one in enumerate(one for one in new if one.tag in _PIECES):
        old.insert(place + number, one)
    _add_missing(old, new, "LINGUISTIC_TYPE", "LINGUISTIC_TYPE_ID")
    _add_missing(old, new, "CONSTRAINT", "STEREOTYPE")
    if not base.parent.samefile(path.parent):  # paths to the sound are relative to the file
        _replace_header(old, new)
    last, now = old.find(_LAST_USED), new.find(_LAST_USED)
    if last is not None and now is not None:
        last.text = now.text
    ElementTree.register_namespace("xsi", _SCHEMA)
    ElementTree.ElementTree(old).write(path, encoding="UTF-8", xml_declaration=True)


def _add_missing(old: Element, new: Element, tag: str, key: str) -> None:
    """Add elements that the old document lacks behind those of their kind, where the schema wants them."""
    known = {one.get(key) for one in old.iterfind(tag)}
    behind = [number for number, one in enumerate(old) if one.tag in (*_PIECES, tag)]
    missing = [one for one in new.iterfind(tag) if one.get(key) not in known]
    for number, one in enumerate(missing, start=behind[-1] + 1):
        old.insert(number, one)


def _replace_header(old: Element, new: Element) -> None:
    here, there = old.find("HEADER"), new.find("HEADER")
    if here is not None and there is not None:
        place = list(old).index(here)
        old.remove(here)
        old.insert(place, there)
