"""Length of an MP3 file.

An MP3 has no length: encoders store one in a first silent frame (the Xing or Info header), and without it decoders
extrapolate from the bit rate of the first frame. That is wrong by any factor for variable bit rates, and two files
joined end to end still carry the length of the first alone. If the header is missing or contradicts the file's size,
the frame headers are counted (about a second for 16 h) and libsndfile is given a corrected one.

Input: a path. Output: the bytes to put before the file so that a decoder reads all of it, and a warning, if any.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_BITRATES_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_V1 = (44_100, 48_000, 32_000)
_SYNC_SEARCH = 256 * 1024
_JOINED = 1.05
"""A file larger than its header announces by this factor holds more than the header counts."""
_CUT = 0.98
_PLACES, _PLACE_FRAMES, _PLACE_BYTES = 32, 12, 16_384


@dataclass(frozen=True)
class FrameHeader:
    """The four bytes that start every Layer III frame."""

    offset: int
    version: int  # 1, 2 or 25 (2.5)
    sample_rate: int
    mono: bool
    size: int

    @property
    def samples(self) -> int:
        """Samples of one frame."""
        return 1152 if self.version == 1 else 576

    @property
    def side_size(self) -> int:
        """Bytes of side information."""
        return {(1, False): 32, (1, True): 17, (2, False): 17, (2, True): 9}[min(self.version, 2), self.mono]

    @property
    def tag_offset(self) -> int:
        """Offset of a Xing or Info tag: after the header and the side information."""
        return self.offset + 4 + self.side_size


@dataclass(frozen=True)
class Mp3Repair:
    """Replacement of the file's first bytes for the decoder.

    Attributes:
        head: Bytes to give the decoder first.
        replaces: Number of the file's own first bytes that they replace.
        warning: One line for the user, or None.
    """

    head: bytes
    replaces: int
    warning: str | None = None


def examine(path: Path) -> tuple[Mp3Repair | None, str | None]:
    """Return a repair if the length header is missing or contradicted, and a warning about a truncated file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        first = first_frame(data, 0)
        if first is None:
            return None, None
        found = announced(data, first)
        if found is None:
            return Mp3Repair(length_header(data, first, _count_frames(data, first)), first.offset), None
        size, tag = found
        held = len(data) - first.offset
        if (size and held > size * _JOINED) or _understates(data, first, announced_frames(data, tag)):
            return _with_count(data, first, tag), None
        if size and held < size * _CUT:
            return None, f"truncated: the file holds {held / size:.0%} of the bytes that its header announces"
        return None, None


def first_frame(data: mmap.mmap, start: int) -> FrameHeader | None:
    """The first frame that is followed by another, near an offset."""
    position = _after_id3(data, start)
    limit = min(len(data) - 4, position + _SYNC_SEARCH)
    while 0 <= position < limit:
        header = _parse(data, position)
        if header is not None and (
            position + header.size + 4 > len(data) or _parse(data, position + header.size) is not None
        ):
            return header
        position = data.find(b"\xff", position + 1, limit)
    return None


def _after_id3(data: mmap.mmap, position: int) -> int:
    while data[position : position + 3] == b"ID3" and position + 10 <= len(data):
        a, b, c, d = data[position + 6 : position + 10]
        position += 10 + (a << 21 | b << 14 | c << 7 | d)
    return position


def _parse(data: mmap.mmap | bytes, offset: int) -> FrameHeader | None:
    if data[offset] != 0xFF:
        return None
    second, third, fourth = data[offset + 1], data[offset + 2], data[offset + 3]
    shape = _shape(second, third)
    if shape is None:
        return None
    version, rate, size = shape
    return FrameHeader(offset, version, rate, fourth >> 6 == 3, size)


def _shape(second: int, third: int) -> tuple[int, int, int] | None:
    """Version, sample rate and frame size, or None where the bytes are not a Layer III header."""
    version = {0b11: 1, 0b10: 2, 0b00: 25}.get(second >> 3 & 0b11)
    bitrate_index, rate_index = third >> 4, third >> 2 & 0b11
    if second >> 5 != 0b111 or version is None or second >> 1 & 0b11 != 0b01:
        return None
    if bitrate_index in (0, 15) or rate_index == 3:
        return None
    rate = _RATES_V1[rate_index] // {1: 1, 2: 2, 25: 4}[version]
    kbps = (_BITRATES_V1 if version == 1 else _BITRATES_V2)[bitrate_index]
    return version, rate, (144 if version == 1 else 72) * kbps * 1000 // rate + (third >> 1 & 1)


def announced(data: mmap.mmap, first: FrameHeader) -> tuple[int, int] | None:
    """Bytes (0 if unknown) and the tag's offset, from a Xing or Info header; None without a frame count."""
    tag = first.tag_offset
    if data[tag : tag + 4] not in (b"Xing", b"Info"):
        return None
    flags = struct.unpack(">I", data[tag + 4 : tag + 8])[0]
    if not flags & 1:
        return None
    size = struct.unpack(">I", data[tag + 12 : tag + 16])[0] if flags & 2 else 0
    return size, tag


@lru_cache(maxsize=8)
def size_table(version: int, sample_rate: int) -> tuple[int, ...]:
    """Frame size by the second and third header bytes, 0 where they do not continue this stream."""
    sizes = [0] * 65536
    for key in range(0xE000, 65536):
        shape = _shape(key >> 8, key & 0xFF)
        if shape is not None and shape[:2] == (version, sample_rate):
            sizes[key] = shape[2]
    return tuple(sizes)


def _understates(data: mmap.mmap, first: FrameHeader, frames: int) -> bool:
    """True if the file holds many more frames than announced; they are counted only if that is likely."""
    most = frames * _JOINED + _PLACE_FRAMES
    return _likely_frames(data, first) > most and _count_frames(data, first) > most


def _likely_frames(data: mmap.mmap, first: FrameHeader) -> float:
    """Estimate the number of frames in the file from the sizes of some of them."""
    sizes, held, per_byte = size_table(first.version, first.sample_rate), len(data) - first.offset, []
    for place in range(_PLACES):
        position, count = first.offset + held * place // _PLACES, 0
        begin = position = data.find(b"\xff", position, position + _PLACE_BYTES)
        while 0 <= position < len(data) - 4 and count < _PLACE_FRAMES and data[position] == 0xFF:
            size = sizes[data[position + 1] << 8 | data[position + 2]]
            if not size and count:
                break
            if not size:
                begin = position = data.find(b"\xff", position + 1, begin + _PLACE_BYTES)
                continue
            position, count = position + size, count + 1
        if count == _PLACE_FRAMES:
            per_byte.append(count / (position - begin))
    return held * sum(per_byte) / len(per_byte) if per_byte else 0.0


def _count_frames(data: mmap.mmap, first: FrameHeader) -> int:
    sizes, position, end, count = size_table(first.version, first.sample_rate), first.offset, len(data), 0
    while position + 4 <= end:
        size = sizes[data[position + 1] << 8 | data[position + 2]] if data[position] == 0xFF else 0
        if size:
            count += position + size <= end
            position += size
            continue
        position = data.find(b"\xff", position + 1)
        if position < 0:
            break
    return count


def length_header(data: mmap.mmap, first: FrameHeader, frames: int) -> bytes:
    """A silent frame that carries a length, to be inserted before the first frame."""
    second, third, fourth = data[first.offset + 1], data[first.offset + 2], data[first.offset + 3]
    index = 9  # 128 or 80 kbit/s: room for the tag at every rate
    head = bytes([0xFF, second | 1, index << 4 | third & 0b1100, fourth])
    shape = _shape(head[1], head[2])
    assert shape is not None  # built from a valid header
    frame = bytearray(shape[2])
    frame[:4] = head
    tag = first.tag_offset - first.offset
    frame[tag : tag + 12] = b"Xing" + struct.pack(">II", 1, frames)
    return bytes(frame)


def silent_frame(data: mmap.mmap, first: FrameHeader) -> bytes:
    """A frame of silence of the same kind as another."""
    second, third, fourth = data[first.offset + 1], data[first.offset + 2], data[first.offset + 3]
    head = bytes([0xFF, second | 1, 9 << 4 | third & 0b1100, fourth])
    shape = _shape(head[1], head[2])
    assert shape is not None  # built from a valid header
    return head + bytes(shape[2] - 4)


def silenced_frame(data: mmap.mmap, offset: int, held: int) -> tuple[bytes, int] | None:
    """A frame that needs more bytes of the frames before it than are at hand, made silent; None if they suffice.

    Its bytes stay where they are, because later frames use them.

    Args:
        data: The file.
        offset: Where the frame begins.
        held: Bytes of sound in the frames before it.

    Returns:
        The frame, and the bytes of sound at hand after it.
    """
    header = _parse(data, offset) if offset + 8 <= len(data) else None
    if header is None or offset + header.size > len(data):
        return None
    side = offset + (4 if data[offset + 1] & 1 else 6)
    needed = data[side] << 1 | data[side + 1] >> 7 if header.version == 1 else data[side]
    if needed <= held:
        return None
    begin, end = side + header.side_size, offset + header.size
    kept = held << 7 if header.version == 1 else held << 8  # decoders drop bytes that the next frame does not refer to
    silent = kept.to_bytes(2, "big") + bytes(header.side_size - 2)
    return data[offset:side] + silent + data[begin:end], held + max(0, end - begin)


def announced_frames(data: mmap.mmap, tag: int) -> int:
    """The frame count of a Xing or Info header."""
    return int(struct.unpack(">I", data[tag + 8 : tag + 12])[0])


def encoder_delay(data: mmap.mmap, first: FrameHeader) -> int:
    """Samples that the encoder inserted before the sound, from its tag; 0 if unknown."""
    at = first.tag_offset + 120 + 21
    tag = data[at : at + 2]
    named = data[first.tag_offset + 120 : first.tag_offset + 124] in (b"LAME", b"Lavc", b"Lavf")
    return tag[0] << 4 | tag[1] >> 4 if named and len(tag) == 2 else 0


def with_count(data: mmap.mmap, first: FrameHeader, tag: int, frames: int, held: int) -> bytes:
    """The bytes from the first frame up to and including the count of its header, with another count."""
    head = bytearray(data[first.offset : tag + 16])
    flags = struct.unpack(">I", data[tag + 4 : tag + 8])[0]
    at = tag - first.offset + 8
    head[at : at + 4] = struct.pack(">I", frames)
    if flags & 2:
        head[at + 4 : at + 8] = struct.pack(">I", held)
    return bytes(head)


def _with_count(data: mmap.mmap, first: FrameHeader, tag: int) -> Mp3Repair:
    """The file's own header with the counted length instead of the announced one."""
    counted = _count_frames(data, first) - 1  # the header's own frame is not audio
    said = announced_frames(data, tag)
    head = with_count(data, first, tag, counted, len(data) - first.offset)
    warning = (
        f"header announces {said * first.samples / first.sample_rate / 3600:.2g} h but the file holds "
        f"{counted * first.samples / first.sample_rate / 3600:.2g} h (joined files?): reading all of it"
    )
    return Mp3Repair(data[: first.offset] + head, tag + 16, warning)
