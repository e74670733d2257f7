"""Search for the pages of an Ogg file, one by one, with verification.

Input: the bytes of a file. Output: its intact :class:`Page` objects, whatever lies between them.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

FIRST, LAST = 2, 4
"""Flags of the first and the last page of a stream."""
NO_GRANULE = -1
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Page:
    """A page: its bytes ``[offset, stop)`` and the fields of its head."""

    offset: int
    stop: int
    flags: int
    granule: int
    serial: int
    number: int
    packets: int  # that end in it


def pages_in(data: mmap.mmap, start: int, stop: int) -> list[Page]:
    """The pages that begin in a part of a file."""
    pages, position = [], data.find(b"OggS", start, stop)
    while 0 <= position < stop:
        page = page_at(data, position)
        if page is not None:
            pages.append(page)
        position = data.find(b"OggS", page.stop if page else position + 4, stop)
    return pages


def page_at(data: mmap.mmap, offset: int) -> Page | None:
    """The page at an offset, or None if there is none or it is damaged."""
    head = data[offset : offset + 27]
    if len(head) < 27 or head[:5] != b"OggS\0":
        return None
    flags, granule, serial, number, stored, count = struct.unpack_from("<BqIIIB", head, 5)
    lacing = data[offset + 27 : offset + 27 + count]
    stop = offset + 27 + count + sum(lacing)
    if stop > len(data) or len(lacing) < count:
        return None
    if checksum(head[:22] + bytes(4) + data[offset + 26 : stop]) != stored:
        return None
    return Page(offset, stop, flags, granule, serial, number, count - lacing.count(255))


def checksum(content: bytes) -> int:
    """Ogg's CRC-32, which is zlib's with mirrored bits and without its two complements."""
    mirrored = zlib.crc32(content.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def all_pages(data: mmap.mmap) -> Iterator[Page]:
    """Every intact page."""
    position = data.find(b"OggS")
    while position >= 0:
        page = page_at(data, position)
        if page is not None:
            yield page
        position = data.find(b"OggS", page.stop if page else position + 4)


def with_granule(page: bytes, granule: int) -> bytes:
    """A page with another sample count, and not the last of its stream."""
    changed = bytearray(page)
    changed[5] &= ~LAST
    struct.pack_into("<q", changed, 6, granule)
    return with_checksum(changed)


def with_checksum(page: bytearray) -> bytes:
    """A page with its checksum corrected."""
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", checksum(bytes(page)))
    return bytes(page)
