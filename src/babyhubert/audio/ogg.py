"""Repair of Ogg files (Opus, Vorbis, FLAC) with lost or damaged pages, and of joined ones.

Every page of an Ogg file is numbered, carries a checksum and stores the sample count of the stream at its end.
Decoders skip lost pages silently, and everything after them comes too early. Here each stretch between lost pages is
read separately and placed at its stored position. Input: a path. Output: the pieces of the recording.
"""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from babyhubert.audio.ogg_pages import FIRST, LAST, NO_GRANULE, Page, all_pages, pages_in, with_checksum
from babyhubert.audio.pieces import Piece
from babyhubert.audio.source import Source
from babyhubert.audio.spliced import Part, Stretch
from babyhubert.audio.vorbis import VorbisSource
from babyhubert.errors import AudioError

_PROBES = 32
_FIRST_PAGES = 6
_PROBE_BYTES = 1 << 17
_OPUS_RATE = 48_000
_LONGEST_HOLE_SECONDS = 48 * 3600
"""Longer gaps are not holes but wrong numbers."""


@dataclass
class _Link:
    """One stream of a file: the pages of its header, and its other pages in runs without a hole."""

    header: list[Page] = field(default_factory=list)
    runs: list[list[Page]] = field(default_factory=list)


def find_pieces(path: Path, measure: Callable[[Piece], Source]) -> list[Piece]:
    """Return the pieces of an Ogg file; empty if it needs no repair.

    Args:
        path: The file.
        measure: Opens the decoder of a piece, which gives its length.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        links = _links(data)
        if len(links) == 1 and _is_plain(data, links[0]):
            return []
        found = [list(_pieces(path, data, link, measure)) for link in links]
    found = [pieces for pieces in found if pieces]
    return [*found[0], *(replace(p, joined=n == 0) for one in found[1:] for n, p in enumerate(one))] if found else []


def is_one_stream(path: Path) -> bool:
    """True if sampled pages belong to one stream and are in order."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        spacing = max(_PROBE_BYTES, (len(data) - _PROBE_BYTES) // _PROBES)
        places = [*range(0, len(data), spacing), max(0, len(data) - _PROBE_BYTES)]
        found = [page for place in places for page in pages_in(data, place, min(len(data), place + _PROBE_BYTES))]
        ordered = sorted({page.offset: page for page in found}.values(), key=lambda page: page.offset)
    if not _starts_well(ordered[:_FIRST_PAGES]):
        return False
    if any(page.flags & FIRST for page in ordered[1:]) or len({page.serial for page in ordered}) > 1:
        return False
    return all(later.number > earlier.number for earlier, later in itertools.pairwise(ordered))


def _starts_well(pages: list[Page]) -> bool:
    """True if the first pages follow each other (pages lost here also change the length)."""
    return all(
        _follows(later, earlier) and later.offset == earlier.stop for earlier, later in itertools.pairwise(pages)
    )


def unread_end(path: Path) -> str | None:
    """A line about a file whose last page is incomplete, or None."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        pages = pages_in(data, max(0, len(data) - _PROBE_BYTES), len(data))
        size = len(data)
    if pages and (pages[-1].flags & LAST or pages[-1].stop == size):
        return None
    held = size - pages[-1].stop if pages else min(size, _PROBE_BYTES)
    return f"cut off or damaged: nothing can be read from its last {held} bytes, and how long it was is not known"


def _links(data: mmap.mmap) -> list[_Link]:
    """The streams of a file, one after the other; none if some run in parallel."""
    links: list[_Link] = []
    wanted, serial, last = 0, -1, None
    for page in all_pages(data):
        if page.flags & FIRST:
            if links and not links[-1].runs and page.serial != serial:
                return []
            links.append(_Link([page]))
            wanted, serial = _header_packets(data[page.offset : page.stop]) - page.packets, page.serial
            last = page
            continue
        if not links or page.serial != serial:
            continue
        link = links[-1]
        if wanted > 0 and last is not None and _follows(page, last):
            link.header.append(page)
            wanted -= page.packets
        elif wanted <= 0:
            if link.runs and last is not None and _follows(page, last):
                link.runs[-1].append(page)
            else:
                link.runs.append([page])
        last = page
    return [link for link in links if link.runs]


def _follows(page: Page, last: Page) -> bool:
    return page.number == (last.number + 1) % 2**32


def _header_packets(page: bytes) -> int:
    """Number of packets before the sound, by the first of them."""
    body = page[27 + page[26] :]
    if body.startswith(b"\x01vorbis"):
        return 3
    if body.startswith(b"\x7fFLAC"):
        return 1 + int.from_bytes(body[7:9], "big")
    return 2


def _pieces(path: Path, data: mmap.mmap, link: _Link, measure: Callable[[Piece], Source]) -> Iterator[Piece]:
    """The runs of one stream as pieces, with the holes before them."""
    first = data[link.header[0].offset : link.header[0].stop]
    pre_skip, opus = _pre_skip(first)
    reached: int | None = None
    for run in link.runs:
        joined = _follows(run[0], link.header[-1])
        parts = _parts(link.header, run, _without_pre_skip(first) if opus and not joined else None)
        opener = partial(VorbisSource, path, tuple(link.header), tuple(run)) if _is_vorbis(first) else None
        found = _measured(Piece(parts, 0, 0, 0, opener=opener), measure)
        granules = [page.granule for page in run if page.granule != NO_GRANULE]
        if found is None or not granules:
            continue
        rate, channels, frames = found
        end = (granules[-1] - pre_skip) * rate // (_OPUS_RATE if opus else rate)
        start = end - frames
        if reached is None:
            reached = start if joined else 0
        skip, gap = max(0, reached - start), max(0, start - reached)
        if gap > _LONGEST_HOLE_SECONDS * rate:
            gap = 0
        if skip < frames:
            yield Piece(parts, rate, channels, frames - skip, gap=gap, skip=skip, opener=opener)
            reached = end


def _is_plain(data: mmap.mmap, link: _Link) -> bool:
    """True if libsndfile reads a stream correctly by itself."""
    head = link.header[0]
    complete = len(link.runs) == 1 and _follows(link.runs[0][0], link.header[-1])
    return complete and not _is_vorbis(data[head.offset : head.stop])


def _parts(header: list[Page], run: list[Page], first: bytes | None) -> tuple[Part, ...]:
    """Parts of the file for the decoder of a run: the header, with its first page replaced if one is given, and the
    run.
    """
    parts: list[Part] = [Stretch(page.offset, page.stop) for page in header]
    if first is not None:
        parts[0] = first
    return (*parts, Stretch(run[0].offset, run[-1].stop))


def _is_vorbis(page: bytes) -> bool:
    return page[27 + page[26] :].startswith(b"\x01vorbis")


def _measured(piece: Piece, measure: Callable[[Piece], Source]) -> tuple[int, int, int] | None:
    """Rate, channels and frames that a decoder finds in a piece; None if it cannot read it."""
    try:
        source = measure(piece)
    except AudioError:
        return None
    source.close()
    header = source.header
    return (header.sample_rate, header.channels, header.frames) if header.length == "exact" else None


def _pre_skip(page: bytes) -> tuple[int, bool]:
    """Samples at 48 kHz that an Opus decoder drops at the beginning, and True if it is Opus."""
    body = 27 + page[26]
    if not page[body:].startswith(b"OpusHead"):
        return 0, False
    return int.from_bytes(page[body + 10 : body + 12], "little"), True


def _without_pre_skip(page: bytes) -> bytes:
    """First page of an Opus stream, changed so that no samples are dropped."""
    changed = bytearray(page)
    at = 27 + page[26] + 10
    changed[at : at + 2] = bytes(2)
    return with_checksum(changed)
