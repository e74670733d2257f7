"""Repair of MP3 files with stretches without frames, or with another stream after the first.

A decoder searches for the next frame and continues as if nothing had been lost, or gives up. Here silent frames
replace the lost ones: as many as the header announces, or as many as fit into the bytes. A following stream of another
rate is a piece of its own. Input: a path. Output: the pieces of the recording.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from babyhubert.audio import mp3
from babyhubert.audio.pieces import Piece
from babyhubert.audio.source import Source
from babyhubert.audio.spliced import Part, Stretch
from babyhubert.errors import AudioError

_TAGS = (b"TAG", b"ID3", b"APE", b"LYR")
_DECODER_DELAY = 529
_PROBES, _TAIL_BYTES = 16, 32_768
_CONFIRMED_BY = 2
"""Frames that must follow the first one after a stretch without frames."""


def is_one_stream(path: Path) -> bool:
    """True if sampled frames are of one kind."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        spacing = max(1, len(data) // _PROBES)
        places = [*range(0, len(data), spacing), max(0, len(data) - _TAIL_BYTES)]
        found = [mp3.first_frame(data, place) for place in places]
    return len({(frame.version, frame.sample_rate) for frame in found if frame is not None}) <= 1


@dataclass
class _Walk:
    """The frames of one stream: their number, and the gaps between them, each after a number of frames."""

    first: mp3.FrameHeader
    frames: int = 0
    gaps: list[tuple[int, int, int]] = field(default_factory=list)
    stop: int = 0
    cut: bool = False  # within its last frame


def find_pieces(path: Path, measure: Callable[[Piece], Source]) -> list[Piece]:
    """Return the pieces of an MP3 file; empty if it is one stream without a gap."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        first = mp3.first_frame(data, 0)
        if first is None:
            return []
        walks = [_walk(data, first)]
        while (following := _other_stream(data, walks[-1])) is not None:
            walks.append(_walk(data, following))
        _add_damaged_end(data, walks[-1])
        shown = [_shown(data, walk) for walk in walks]
    if len(walks) == 1 and not walks[0].gaps:
        return []
    pieces = []
    for walk, (parts, lost) in zip(walks, shown, strict=True):
        try:
            source = measure(Piece(tuple(parts), 0, 0, 0))
        except AudioError:
            continue
        header = source.header
        source.close()
        pieces.append(
            Piece(
                tuple(parts),
                header.sample_rate,
                header.channels,
                header.frames,
                tuple((max(0, start), min(stop, header.frames)) for start, stop in lost if start < header.frames),
                joined=walk is not walks[0],
            )
        )
    return pieces


def _walk(data: mmap.mmap, first: mp3.FrameHeader) -> _Walk:
    sizes = mp3.size_table(first.version, first.sample_rate)
    walk, position, end = _Walk(first), first.offset, len(data)
    while position + 4 <= end:
        size = sizes[data[position + 1] << 8 | data[position + 2]] if data[position] == 0xFF else 0
        if size:
            walk.frames += position + size <= end
            position += size
            continue
        following = _resume(data, sizes, position)
        if following is None:
            break
        walk.gaps.append((walk.frames, position, following))
        position = following
    walk.stop, walk.cut = min(position, end), position > end
    return walk


def _add_damaged_end(data: mmap.mmap, walk: _Walk) -> None:
    """Count the bytes after the last frame as damaged frames if that many are announced."""
    found = mp3.announced(data, walk.first)
    if found is None or not walk.frames or data[walk.stop : walk.stop + 3].startswith(_TAGS):
        return
    missing = mp3.announced_frames(data, found[1]) + 1 - walk.frames
    mean = (walk.stop - walk.first.offset) / walk.frames
    if missing > 0 and len(data) - walk.stop >= 0.9 * (missing - 1) * mean and len(data) - walk.stop > mean:
        walk.gaps.append((walk.frames, walk.stop, len(data)))
        walk.stop = len(data)


def _resume(data: mmap.mmap, sizes: tuple[int, ...], position: int) -> int | None:
    """The next offset at which frames of this stream follow each other."""
    end = len(data)
    candidate = data.find(b"\xff", position + 1)
    while candidate >= 0:
        at, found = candidate, 0
        while found <= _CONFIRMED_BY and at + 4 <= end and data[at] == 0xFF:
            size = sizes[data[at + 1] << 8 | data[at + 2]]
            if not size:
                break
            at, found = at + size, found + 1
        if found > _CONFIRMED_BY or (found and at >= end):
            return candidate
        candidate = data.find(b"\xff", candidate + 1)
    return None


def _other_stream(data: mmap.mmap, walk: _Walk) -> mp3.FrameHeader | None:
    """First frame of a stream of another kind after this one, confirmed by the frames that follow."""
    found = mp3.first_frame(data, walk.stop)
    if found is None or (found.version, found.sample_rate) == (walk.first.version, walk.first.sample_rate):
        return None
    sizes = mp3.size_table(found.version, found.sample_rate)
    return found if _resume(data, sizes, found.offset - 1) == found.offset else None


def _shown(data: mmap.mmap, walk: _Walk) -> tuple[list[Part], list[tuple[int, int]]]:
    """The parts of a stream for the decoder, and the stretches of them that are silent."""
    first = walk.first
    gaps = [gap for gap in walk.gaps if not data[gap[1] : gap[1] + 3].startswith(_TAGS)]
    missing = _missing(data, walk, gaps)
    silent = mp3.silent_frame(data, first)
    announced = mp3.announced(data, first)
    parts: list[Part] = []
    start, total = first.offset, walk.frames + sum(missing)
    if announced is None:
        parts.append(mp3.length_header(data, first, total))
    else:
        head = mp3.with_count(data, first, announced[1], total - 1, walk.stop - first.offset)
        parts, start = [head], first.offset + len(head)
    delay = mp3.encoder_delay(data, first) + _DECODER_DELAY if announced is not None else 0
    lost, added, shift = [], 0, 0 if announced is None else 1
    until = [*(begin for _, begin, _ in gaps), walk.stop][1:]
    for (frames, begin, end), count, following in zip(gaps, missing, until, strict=True):
        spoiled, resumed = _spoiled(data, end, following)
        parts += [Stretch(start, begin), silent * count, *spoiled]
        start = resumed
        place = (frames + added - shift) * first.samples - delay
        lost.append((place, place + (count + len(spoiled)) * first.samples))
        added += count
    parts.append(Stretch(start, walk.stop))
    return parts, [(begin, end) for begin, end in lost if end > begin]


def _spoiled(data: mmap.mmap, start: int, stop: int) -> tuple[list[bytes], int]:
    """Frames after a gap that need bytes from before it, made silent, and the offset after them."""
    frames: list[bytes] = []
    held = 0
    while start < stop and (silenced := mp3.silenced_frame(data, start, held)) is not None:
        frame, held = silenced
        frames.append(frame)
        start += len(frame)
    return frames, start


def _missing(data: mmap.mmap, walk: _Walk, gaps: list[tuple[int, int, int]]) -> list[int]:
    """Frames lost in each gap: by the announced count if that is larger, else by the bytes."""
    held = sum(end - begin for _, begin, end in gaps)
    if not held or not walk.frames:
        return [0] * len(gaps)
    between = sum(end - begin for _, begin, end in walk.gaps)
    mean = (walk.stop - walk.first.offset - between) / walk.frames
    by_bytes = [round((end - begin) / mean) for _, begin, end in gaps]
    announced = mp3.announced(data, walk.first)
    if announced is None or walk.cut:
        return by_bytes
    count = mp3.announced_frames(data, announced[1]) + 1 - walk.frames
    if count < 0 or count == sum(by_bytes):
        return by_bytes
    shares, given = [], 0
    reached = 0
    for _, begin, end in gaps:
        reached += end - begin
        shares.append(round(count * reached / held) - given)
        given += shares[-1]
    return shares
