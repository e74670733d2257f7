"""Repair of FLAC files that libFLAC does not read to their end: damaged inside, or several files joined.

Damaged frames are replaced by frames of silence, numbered in sequence, so that a decoder reads straight through and
seeks as in an intact file. Input: a path. Output: the pieces of the recording.
"""

from __future__ import annotations

import itertools
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from babyhubert.audio.flac_frames import Stream, StreamInfo, crc8, crc16, find_streams, read_header, read_info
from babyhubert.audio.pieces import Piece
from babyhubert.audio.spliced import Part, Stretch

_PROBES = 32
_PROBE_BYTES = 1 << 17
_SILENT_BLOCK = 4096


def find_pieces(path: Path) -> list[Piece]:
    """Return the streams of a FLAC file, repaired; empty if no frame is intact."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [_repaired(stream, joined=index > 0) for index, stream in enumerate(find_streams(data))]


def is_one_stream(path: Path) -> bool:
    """True if sampled frames are numbered as those of one stream."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        mark = data.find(b"fLaC", 0, _PROBE_BYTES)
        info = read_info(data, mark) if mark >= 0 else None
        if info is None:
            return False
        spacing = (len(data) - _PROBE_BYTES) // _PROBES
        if spacing <= _PROBE_BYTES:
            return data.find(b"fLaC", mark + 4) < 0
        samples = [next(_positions(data, info, spacing * index), -1) for index in range(_PROBES)]
        samples += list(_positions(data, info, len(data) - _PROBE_BYTES))
        known = [sample for sample in samples if sample >= 0]
        rising = all(later > earlier for earlier, later in itertools.pairwise(known))
        return rising and not (info.total and known and known[-1] >= info.total)


def _positions(data: mmap.mmap, info: StreamInfo, start: int) -> Iterator[int]:
    """First samples of the frames that begin in the bytes from ``start`` on."""
    stop = min(len(data), start + _PROBE_BYTES)
    position = data.find(b"\xff", start, stop)
    while position >= 0:
        header = read_header(data, position)
        if header is not None and header.channels == info.channels and header.bits in (0, info.bits):
            yield header.number * (1 if header.varies else info.block or header.size)
        position = data.find(b"\xff", position + 1, stop)


def _repaired(stream: Stream, joined: bool) -> Piece:
    """A stream with frames of silence in place of damaged or missing ones."""
    info, parts, lost, reached = stream.info, [], [], 0
    for frame in stream.frames:
        if frame.sample > reached:
            parts += _silence(info, frame.varies, reached, frame.sample)
            lost.append((reached, frame.sample))
        parts.append(Stretch(frame.offset, frame.end))
        reached = frame.sample + frame.size
    end = _end(stream, reached)
    if end > reached:
        parts += _silence(info, stream.frames[0].varies, reached, end)
        lost.append((reached, end))
    shown = (info.as_bytes(end), *_merged(parts))
    return Piece(shown, info.sample_rate, info.channels, end, tuple(lost), info.total, joined=joined)


def _end(stream: Stream, reached: int) -> int:
    """End of the stream: the announced one if the file has enough bytes, also damaged ones; else the last frame."""
    missing = max(0, stream.info.total - reached)
    last = stream.frames[-1]
    bytes_a_sample = (last.end - stream.frames[0].offset) / max(1, last.sample + last.size - stream.frames[0].sample)
    held = stream.stop - last.end
    block = stream.info.block or last.size
    if missing and held >= 0.9 * missing * bytes_a_sample:
        return stream.info.total
    frames = int(held / (bytes_a_sample * block))
    return reached + min(missing, max(0, frames - 1) * block)


def _merged(parts: list[Part]) -> Iterator[Part]:
    """Merge neighbouring parts."""
    waiting: Part = b""
    for part in parts:
        if isinstance(waiting, bytes) and isinstance(part, bytes):
            waiting += part
        elif isinstance(waiting, Stretch) and isinstance(part, Stretch) and waiting.stop == part.start:
            waiting = Stretch(waiting.start, part.stop)
        else:
            yield waiting
            waiting = part
    yield waiting


def _silence(info: StreamInfo, varies: bool, start: int, stop: int) -> list[Part]:
    """Encode zeros for the samples ``[start, stop)`` as frames."""
    block = info.block or _SILENT_BLOCK
    frames = []
    for sample in range(start, stop, block):
        size = min(block, stop - sample)
        head = bytes([0xFF, 0xF8 | varies, 0x70, (info.channels - 1) << 4])
        head += _coded(sample if varies else sample // block) + struct.pack(">H", size - 1)
        head += bytes([crc8(head)])
        body = head + bytes(-(-info.channels * (8 + info.bits) // 8))
        frames.append(body + struct.pack(">H", crc16(body)))
    return [b"".join(frames)]


def _coded(number: int) -> bytes:
    """Encode a number of up to 36 bits as in a frame header."""
    if number < 0x80:
        return bytes([number])
    extra = next(count for count in range(1, 7) if number < 1 << (6 - count + 6 * count) or count == 6)
    tail = [0x80 | number >> 6 * place & 0x3F for place in reversed(range(extra))]
    lead = (0xFF00 >> (extra + 1)) & 0xFF
    return bytes([lead | number >> 6 * extra, *tail])
