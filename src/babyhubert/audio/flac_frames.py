"""Search for the frames of a FLAC file, one by one.

A FLAC frame stores its position in the recording and carries two checksums. libFLAC nevertheless gives up at the first
damaged frame, and stops at the end of the first of several joined files. Here all intact frames are found, whatever
lies between them. Input: the bytes of a file. Output: its :class:`Stream` objects.
"""

from __future__ import annotations

import io
import mmap
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import soundfile
from numpy.typing import NDArray

from babyhubert.audio.libsndfile import ForwardSound

_SCAN_BYTES = 1 << 24
_CHECKED_BYTES = 1 << 24
_RATES = {1: 88_200, 2: 176_400, 3: 192_000, 4: 8_000, 5: 16_000, 6: 22_050, 7: 24_000, 8: 32_000, 9: 44_100}
_RATES |= {10: 48_000, 11: 96_000}
_BITS = {1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}
_MOST_TRIES = 64
_NEEDED_WITHOUT_HEADER = 3
"""Number of consecutive frames of one shape that are accepted if the stream information is damaged."""


@dataclass(frozen=True)
class StreamInfo:
    """Stream information: the first block of a FLAC file."""

    sample_rate: int
    channels: int
    bits: int
    block: int  # samples of every frame but the last; 0 where they vary
    total: int  # samples, 0 where not said
    largest_frame: int  # bytes, an upper bound

    def as_bytes(self, total: int) -> bytes:
        """File head with this information and nothing else."""
        shape = self.sample_rate << 44 | (self.channels - 1) << 41 | (self.bits - 1) << 36 | total
        smallest, largest = (self.block, self.block) if self.block else (16, 65_535)
        info = struct.pack(">HH", smallest, largest) + bytes(6) + shape.to_bytes(8, "big") + bytes(16)
        return b"fLaC\x80\x00\x00\x22" + info


@dataclass(frozen=True)
class Frame:
    """One frame: its bytes ``[offset, end)`` and its samples ``[sample, sample + size)``."""

    offset: int
    end: int
    sample: int
    size: int
    varies: bool  # numbered by samples instead of frames


@dataclass(frozen=True)
class Stream:
    """One FLAC stream of a file.

    Attributes:
        info: Stream information of its header, or of its frames if the header is damaged.
        frames: All frames that are intact, in order.
        stop: Offset behind its last byte.
    """

    info: StreamInfo
    frames: tuple[Frame, ...]
    stop: int


def find_streams(data: mmap.mmap) -> list[Stream]:
    """All streams of a file that hold at least one intact frame."""
    starts = [(position, info) for position in _magic(data) if (info := read_info(data, position)) is not None]
    bounds = [*(position for position, _ in starts), len(data)]
    streams = []
    if bounds[0] > 0:
        streams.append(_frames_without_header(data, 0, bounds[0]))
    for (position, info), stop in zip(starts, bounds[1:], strict=True):
        streams.append(_frames_of(data, info, position + 42, stop))
    return [stream for stream in streams if stream is not None and stream.frames]


def _magic(data: mmap.mmap) -> Iterator[int]:
    position = data.find(b"fLaC")
    while position >= 0:
        yield position
        position = data.find(b"fLaC", position + 4)


def read_info(data: mmap.mmap | bytes, position: int) -> StreamInfo | None:
    """Read the stream information after a ``fLaC`` mark; None if it is implausible."""
    head = data[position : position + 42]
    if len(head) < 42 or head[4] & 0x7F or head[5:8] != b"\x00\x00\x22":
        return None
    smallest, largest = struct.unpack_from(">HH", head, 8)
    largest_bytes = int.from_bytes(head[15:18], "big")
    shape = int.from_bytes(head[18:26], "big")
    rate, channels, bits = shape >> 44, (shape >> 41 & 7) + 1, (shape >> 36 & 31) + 1
    if not rate or bits < 4 or largest < 16:
        return None
    block = largest if smallest == largest else 0
    bound = largest * channels * (bits + 1) // 8 + 64
    return StreamInfo(rate, channels, bits, block, shape & (2**36 - 1), max(bound, largest_bytes))


def _frames_without_header(data: mmap.mmap, start: int, stop: int) -> Stream | None:
    """Frames before the first valid header that have the most common shape."""
    found = [(offset, header) for offset in _sync_marks(data, start, stop) if (header := read_header(data, offset))]
    shapes = Counter(
        (header.sample_rate, header.channels, header.bits, 0 if header.varies else header.size)
        for _, header in found
        if header.sample_rate and header.bits
    )
    if not shapes or shapes.most_common(1)[0][1] < _NEEDED_WITHOUT_HEADER:
        return None
    rate, channels, bits, block = shapes.most_common(1)[0][0]
    bound = (block or 65_535) * channels * (bits + 1) // 8 + 64
    return _frames_of(data, StreamInfo(rate, channels, bits, block, 0, bound), start, stop)


@dataclass(frozen=True)
class Header:
    """Fields of a frame header, verified by its checksum; 0 means 'as in the stream information'."""

    number: int
    size: int
    varies: bool
    sample_rate: int
    channels: int
    bits: int


def read_header(data: mmap.mmap | bytes, offset: int) -> Header | None:
    """Read the frame header at an offset; None if there is none."""
    head = data[offset : offset + 16]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    size_code, rate_code, channel_code, bits_code = head[2] >> 4, head[2] & 15, head[3] >> 4, head[3] >> 1 & 7
    if not size_code or rate_code == 15 or channel_code > 10 or bits_code == 3:
        return None
    number, position = _coded_number(head, 4)
    if number is None:
        return None
    size, position = _block_size(head, size_code, position)
    rate, position = _rate(head, rate_code, position)
    if position >= len(head) or crc8(head[:position]) != head[position]:
        return None
    channels = channel_code + 1 if channel_code < 8 else 2
    return Header(number, size, bool(head[1] & 1), rate, channels, _BITS.get(bits_code, 0))


def _coded_number(head: bytes, position: int) -> tuple[int | None, int]:
    """The number of a frame or sample, coded as UTF-8 does but up to 36 bits."""
    first = head[position]
    if first < 0x80:
        return first, position + 1
    extra = next((count for count in range(1, 7) if not first << (count + 1) & 0x80), 0)
    if first < 0xC0 or not extra or position + extra >= len(head):
        return None, position
    value = first & (0x3F >> extra)
    for byte in head[position + 1 : position + 1 + extra]:
        if byte & 0xC0 != 0x80:
            return None, position
        value = value << 6 | byte & 0x3F
    return value, position + 1 + extra


def _block_size(head: bytes, code: int, position: int) -> tuple[int, int]:
    if code == 1:
        return 192, position
    if code <= 5:
        return 576 << (code - 2), position
    if code >= 8:
        return 256 << (code - 8), position
    width = code - 5
    return int.from_bytes(head[position : position + width], "big") + 1, position + width


def _rate(head: bytes, code: int, position: int) -> tuple[int, int]:
    if code < 12:
        return _RATES.get(code, 0), position
    width = 1 if code == 12 else 2
    value = int.from_bytes(head[position : position + width], "big")
    return value * {12: 1000, 13: 1, 14: 10}[code], position + width


def _sync_marks(data: mmap.mmap, start: int, stop: int) -> Iterator[int]:
    """Offsets where a frame may begin."""
    everything = np.frombuffer(data, dtype=np.uint8)
    try:
        for begin in range(start, stop, _SCAN_BYTES):
            end = min(stop, begin + _SCAN_BYTES + 1)
            part = everything[begin:end]
            marks = np.flatnonzero((part[:-1] == 0xFF) & (part[1:] & 0xFE == 0xF8)) + begin
            del part
            yield from marks.tolist()
    finally:
        del everything


def _frames_of(data: mmap.mmap, info: StreamInfo, start: int, stop: int) -> Stream:
    if not info.block:
        info = _with_true_block(data, info, start, stop)
    found: list[Frame] = []
    reached = 0
    for offset in _sync_marks(data, start, stop):
        header = read_header(data, offset)
        if header is None or not _fits(header, info):
            continue
        sample = header.number if header.varies else header.number * (info.block or header.size)
        if sample >= reached and (not info.total or sample + header.size <= info.total):
            found.append(Frame(offset, stop, sample, header.size, header.varies))
            reached = sample + header.size
    for index in range(len(found) - 1):
        found[index] = replace(found[index], end=found[index + 1].offset)
    return Stream(info, tuple(_intact(data, info, found)), stop)


def _with_true_block(data: mmap.mmap, info: StreamInfo, start: int, stop: int) -> StreamInfo:
    """Resolve the numbering: frames may be counted in frames even if the stream information gives two block sizes."""
    sizes: Counter[int] = Counter()
    for offset in _sync_marks(data, start, stop):
        header = read_header(data, offset)
        if header is not None and _fits(header, info):
            if header.varies:
                return info
            sizes[header.size] += 1
        if sum(sizes.values()) >= 100:
            break
    return replace(info, block=sizes.most_common(1)[0][0]) if sizes else info


def _fits(header: Header, info: StreamInfo) -> bool:
    if header.sample_rate not in (0, info.sample_rate) or header.bits not in (0, info.bits):
        return False
    if header.channels != info.channels:
        return False
    if header.varies or not info.block or header.size == info.block:
        return True
    return not info.total or header.number * info.block + header.size == info.total


def _intact(data: mmap.mmap, info: StreamInfo, frames: list[Frame]) -> list[Frame]:
    """Frames with a correct checksum, without the bytes that follow if frames after them are damaged."""
    kept = []
    followers = [frame.sample for frame in frames[1:]] + [-1]
    batch = max(1, _CHECKED_BYTES // info.largest_frame)
    for first in range(0, len(frames), batch):
        some = frames[first : first + batch]
        lengths = [min(frame.end - frame.offset, info.largest_frame) for frame in some]
        right = _checksums_are_zero(data, some, lengths)
        for frame, is_right, follower in zip(some, right, followers[first : first + batch], strict=True):
            if is_right and frame.end - frame.offset <= info.largest_frame:
                kept.append(frame)
            elif follower != frame.sample + frame.size and (end := _true_end(data, info, frame)) is not None:
                kept.append(replace(frame, end=end))
    return kept


def _checksums_are_zero(data: mmap.mmap, frames: list[Frame], lengths: list[int]) -> NDArray[np.bool_]:
    """True if the CRC-16 over each frame, its own checksum included, is 0: two bytes per step, all frames at once."""
    width = max(lengths) + max(lengths) % 2
    table = np.zeros((len(frames), width), dtype=np.uint8)
    for row, (frame, length) in enumerate(zip(frames, lengths, strict=True)):
        table[row, width - length :] = np.frombuffer(data[frame.offset : frame.offset + length], dtype=np.uint8)
    words = np.ascontiguousarray(table.view(">u2").astype(np.uint16).T)
    crc = np.zeros(len(frames), dtype=np.uint16)
    for word in words:
        crc = _CRC_OF_TWO[crc ^ word]
    return crc == 0


def _true_end(data: mmap.mmap, info: StreamInfo, frame: Frame) -> int | None:
    """End of a frame that is followed by something other than a frame; None if it is damaged."""
    content = data[frame.offset : min(frame.end, frame.offset + info.largest_frame)]
    crc, tries = 0, 0
    for position, byte in enumerate(content):
        before, crc = crc, _CRC16[(crc >> 8) ^ byte] ^ (crc << 8 & 0xFFFF)
        if crc == 0 and before != 0 and position > 6:
            tries += 1
            if _decodes(info, content[: position + 1], frame.size):
                return frame.offset + position + 1
            if tries == _MOST_TRIES:
                return None
    return None


def _decodes(info: StreamInfo, content: bytes, size: int) -> bool:
    """True if libFLAC decodes these bytes as one frame of ``size`` samples."""
    try:
        with ForwardSound(io.BytesIO(info.as_bytes(0) + content)) as sound:
            return len(sound.read(size, dtype="int32", always_2d=True)) == size
    except (soundfile.SoundFileError, RuntimeError):
        return False


def _crc_table(polynomial: int, bits: int) -> list[int]:
    top, mask, table = 1 << (bits - 1), (1 << bits) - 1, []
    for value in range(256):
        crc = value << (bits - 8)
        for _ in range(8):
            crc = (crc << 1 ^ polynomial if crc & top else crc << 1) & mask
        table.append(crc)
    return table


_CRC8 = _crc_table(0x07, 8)
_CRC16 = _crc_table(0x8005, 16)


def _crc_of_two() -> NDArray[np.uint16]:
    single = np.array(_CRC16, dtype=np.uint16)
    values = np.arange(65_536, dtype=np.uint32)
    once = single[values >> 8].astype(np.uint32) ^ (values << 8 & 0xFFFF)
    return (single[once >> 8].astype(np.uint32) ^ (once << 8 & 0xFFFF)).astype(np.uint16)


_CRC_OF_TWO = _crc_of_two()


def crc8(content: bytes) -> int:
    """The checksum of a frame header."""
    crc = 0
    for byte in content:
        crc = _CRC8[crc ^ byte]
    return crc


def crc16(content: bytes) -> int:
    """The checksum of a frame."""
    crc = 0
    for byte in content:
        crc = _CRC16[(crc >> 8) ^ byte] ^ (crc << 8 & 0xFFFF)
    return crc
