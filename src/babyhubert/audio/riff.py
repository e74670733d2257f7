"""WAV, RF64 and W64 files with wrong headers, and their PCM data.

The sizes in a WAV header are 32-bit. Recorders that pass 4 GiB let them wrap around, recorders that lose power leave 0
or 0xFFFFFFFF, and interrupted copies leave a size that the file no longer has. Decoders trust the header and silently
return a fraction of the day. RF64 and W64 have 64-bit sizes, which are just as often wrong. Here the header is
compared with the file's real size. Input: a path. Output: the layouts of its audio data (several if WAV files were
joined), and a :class:`PcmSource` that reads it regardless of the header.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.source import Lost, SourceHeader, duration_phrase, to_float32
from babyhubert.errors import AudioError

_WRAP = 2**32
_UNKNOWN_SIZE = 0xFFFFFFFF
_STRAY_BYTES = 64 * 1024  # padding or tags after the audio that are not worth calling it mislabelled
_FORMAT_PCM, _FORMAT_FLOAT, _FORMAT_EXTENSIBLE = 1, 3, 0xFFFE
_MAX_CHUNKS = 1000
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")


@dataclass(frozen=True)
class WavLayout:
    """Position and format of the audio in a WAV file.

    Attributes:
        container: WAV, RF64 or W64.
        format_tag: 1 for integer PCM, 3 for float, others are compressed.
        sample_rate: Hz.
        channels: Number of channels.
        frame_bytes: Bytes of one frame (or of one compressed block).
        data_offset: First byte of audio.
        data_bytes: Bytes of audio that the file actually holds.
        bytes_per_second: As announced, for durations of compressed audio.
        misread: True if a reader that trusts the header would miss audio.
        warning: One line for the user, or None when header and file agree.
    """

    container: str
    format_tag: int
    sample_rate: int
    channels: int
    frame_bytes: int
    data_offset: int
    data_bytes: int
    bytes_per_second: int
    misread: bool
    warning: str | None

    @property
    def is_pcm(self) -> bool:
        """True if :class:`PcmSource` can read it."""
        widths = {_FORMAT_PCM: (1, 2, 3, 4), _FORMAT_FLOAT: (4, 8)}.get(self.format_tag, ())
        return self.channels > 0 and self.sample_rate > 0 and self.frame_bytes / self.channels in widths


def read_layouts(path: Path) -> list[WavLayout]:
    """Read the layouts of a WAV, RF64 or W64 file, several if such files were joined; empty for any other file.

    Raises:
        AudioError: it is a WAV file without a format or without audio data.
    """
    layouts: list[WavLayout] = []
    size, position = path.stat().st_size, 0
    with path.open("rb") as file:
        while (kind := _kind_at(file, position)) is not None:
            try:
                layout = _layout(file, path, kind, position, size)
            except AudioError:
                if layouts:
                    break
                raise
            layouts.append(layout)
            position = _next_file(file, layout.data_offset + layout.data_bytes, size)
    return layouts


def _kind_at(file: BinaryIO, position: int) -> str | None:
    """WAV, RF64 or W64 if such a file begins here, else None."""
    file.seek(position)
    head = file.read(40)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "WAV" if head[:4] == b"RIFF" else "RF64"
    return "W64" if head[:16] == _W64_RIFF and head[24:40] == b"wave" + _W64_TAIL else None


def _layout(file: BinaryIO, path: Path, kind: str, start: int, size: int) -> WavLayout:
    found = (_find_w64_chunks if kind == "W64" else _find_chunks)(file, start, size)
    if found is None:
        raise AudioError(f"{path} is a WAV file of {size} bytes without audio data: copy it again from the recorder")
    if len(found.form) < 16:
        raise AudioError(f"{path} is a WAV file without a format header: export it again from its recorder")
    held, misread, clause = _compare(file, kind, found.data_offset, found.announced, size)
    tag, channels, rate, byte_rate, frame_bytes, bits = struct.unpack_from("<HHIIHH", found.form)
    if tag == _FORMAT_EXTENSIBLE and len(found.form) >= 26:
        tag = struct.unpack_from("<H", found.form, 24)[0]
    if tag in (_FORMAT_PCM, _FORMAT_FLOAT):
        frame_bytes = frame_bytes or channels * -(-bits // 8)
        byte_rate = rate * frame_bytes
    if not byte_rate and clause:
        clause = "unknown rate"
    warning = _sentence(clause, found.announced, held, byte_rate) if clause else None
    misread = misread or found.unpadded
    return WavLayout(kind, tag, rate, channels, frame_bytes, found.data_offset, held, byte_rate, misread, warning)


@dataclass(frozen=True)
class _Chunks:
    """The format chunk, position and announced length of the audio, and True if an odd chunk lacks its pad byte."""

    form: bytes
    data_offset: int
    announced: int
    unpadded: bool = False


def _find_chunks(file: BinaryIO, start: int, size: int) -> _Chunks | None:
    form, position, long_size, unpadded = b"", start + 12, _UNKNOWN_SIZE, False
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        name_and_size = file.read(8)
        if len(name_and_size) < 8:
            break
        name, length = struct.unpack("<4sI", name_and_size)
        if name == b"data":
            announced = long_size if length == _UNKNOWN_SIZE else length
            return _Chunks(form, position + 8, announced, unpadded)
        if name == b"fmt ":
            form = file.read(min(length, 64))
        if name == b"ds64" and length >= 16:
            long_size = struct.unpack("<Q", file.read(16)[8:].ljust(8, b"\xff"))[0]
        position += 8 + length
        if length % 2 and _lacks_padding(file, position):
            unpadded = True
        else:
            position += length % 2
    return None


def _lacks_padding(file: BinaryIO, position: int) -> bool:
    """True if a chunk begins exactly here, and none a byte later, where it belongs."""
    file.seek(position)
    head = file.read(5)
    return _is_name(head[:4]) and not _is_name(head[1:5])


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)


def _find_w64_chunks(file: BinaryIO, start: int, size: int) -> _Chunks | None:
    form, position = b"", start + 40
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        head = file.read(24)
        if len(head) < 24:
            break
        name, length = head[:4] if head[4:16] == _W64_TAIL else b"", struct.unpack("<Q", head[16:])[0]
        if name == b"data":
            return _Chunks(form, position + 24, length - 24 if 24 <= length < 2**63 else 0)
        if length < 24 or position + length > size:
            break
        if name == b"fmt ":
            form = file.read(min(length - 24, 64))
        position += -(-length // 8) * 8
    return None


def _next_file(file: BinaryIO, position: int, size: int) -> int:
    """Start of the next file after the audio of one and the chunks that follow; the end if there is none."""
    for _ in range(_MAX_CHUNKS):
        for padded in (position, position + position % 2, -(-position // 8) * 8):
            if padded < size and _kind_at(file, padded) is not None:
                return padded
        position += position % 2
        file.seek(position)
        head = file.read(8)
        if len(head) < 8 or not _is_name(head[:4]):
            break
        position += 8 + struct.unpack("<I", head[4:])[0]
    return size


def _compare(file: BinaryIO, kind: str, data_offset: int, announced: int, size: int) -> tuple[int, bool, str]:
    """Bytes of audio held, True if readers that trust the header miss some, and the kind of disagreement ('' for
    none).
    """
    available = size - data_offset
    if available <= 0:
        return 0, False, ""
    if announced in (_UNKNOWN_SIZE, 2**64 - 1):
        return available, True, "open"
    if announced > available:
        return available, False, "truncated"
    if kind == "WAV" and available - announced >= _WRAP:
        return _unwrapped(announced, available), True, "wrong"
    if _rest_is_chunks(file, data_offset + announced, size):
        return announced, False, ""
    if announced == 0:
        return available, True, "open"
    if available - announced <= _STRAY_BYTES:
        return announced, False, ""
    return available, True, "wrong"


def _unwrapped(announced: int, available: int) -> int:
    """Restore a size that wrapped around 4 GiB; all available bytes if it did not wrap but is clearly wrong."""
    whole = announced + (available - announced) // _WRAP * _WRAP
    return whole if available - whole <= _STRAY_BYTES else available


def _rest_is_chunks(file: BinaryIO, position: int, size: int) -> bool:
    """True if well-formed chunks fill the file from ``position`` to its end."""
    if _next_file(file, position, size) < size:
        return True
    position += position % 2
    for _ in range(_MAX_CHUNKS):
        if position >= size:
            return True
        file.seek(position)
        head = file.read(8)
        if len(head) < 8 or not _is_name(head[:4]):
            return False
        length = struct.unpack("<I", head[4:])[0]
        position += 8 + length + length % 2
        if position > size + 1:
            return False
    return False


def _sentence(kind: str, announced: int, held: int, byte_rate: int) -> str:
    if kind == "unknown rate":
        return f"header announces {announced} bytes of audio but the file holds {held}: reading what is there"
    rate = max(byte_rate, 1)
    found = duration_phrase(held, rate)
    said = duration_phrase(announced, rate)
    if kind == "open":
        return (
            f"header announces no length (the recorder did not close the file) but it holds {found}: reading all of it"
        )
    if kind == "truncated":
        return f"truncated: header announces {said} but the file holds {found}: reading what is there"
    return f"header announces {said} but the file holds {found}: reading all of it"


class PcmSource:
    """Integer or float PCM read straight from the file, by position."""

    def __init__(self, path: Path, layout: WavLayout) -> None:
        self._layout = layout
        self._width = layout.frame_bytes // layout.channels
        self._file = path.open("rb")
        self._position = 0
        self.problem: str | None = None
        self.lost: Lost = ()
        floats = {4: "FLOAT", 8: "DOUBLE"}
        integers = {1: "PCM_U8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}
        self.header = SourceHeader(
            container=layout.container,
            codec=(floats if layout.format_tag == _FORMAT_FLOAT else integers)[self._width],
            sample_rate=layout.sample_rate,
            channels=layout.channels,
            frames=layout.data_bytes // layout.frame_bytes,
            warnings=(layout.warning,) if layout.warning else (),
        )

    @property
    def seeks(self) -> bool:
        """True."""
        return True

    def seek(self, frame: int) -> None:
        """Set the position of the next read to ``frame``."""
        self._position = min(frame, self.header.frames)

    def read(self, frames: int) -> NDArray[np.float32]:
        """Next frames, float32, shape (n, channels)."""
        wanted = max(0, min(frames, self.header.frames - self._position))
        self._file.seek(self._layout.data_offset + self._position * self._layout.frame_bytes, os.SEEK_SET)
        raw = self._file.read(wanted * self._layout.frame_bytes)
        count = len(raw) // self._layout.frame_bytes
        self._position += count
        return self._decode(raw[: count * self._layout.frame_bytes]).reshape(count, self._layout.channels)

    def _decode(self, raw: bytes) -> NDArray[np.float32]:
        if self._layout.format_tag == _FORMAT_FLOAT:
            return to_float32(np.frombuffer(raw, dtype="<f4" if self._width == 4 else "<f8"))
        if self._width == 3:
            wide = np.zeros((len(raw) // 3, 4), dtype=np.uint8)
            wide[:, 1:] = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 3)
            return to_float32(wide.view("<i4").reshape(-1))
        return to_float32(np.frombuffer(raw, dtype={1: "u1", 2: "<i2", 4: "<i4"}[self._width]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
