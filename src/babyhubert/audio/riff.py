"""WAV headers that do not tell the truth, and the PCM behind them.

The sizes in a WAV header are 32-bit. Recorders that pass 4 GiB let them wrap around, recorders that lose power leave
0 or 0xFFFFFFFF, and interrupted copies leave a size that the file no longer has. Decoders believe the header and give
a fraction of the day without a word. Here the header is compared with the file's real size. In: a path. Out: the
layout of its audio data, and a :class:`PcmSource` that reads it whatever the header says.
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


@dataclass(frozen=True)
class WavLayout:
    """Where the audio of a WAV file lies.

    Attributes:
        format_tag: 1 for integer PCM, 3 for float, others are compressed.
        sample_rate: Hz.
        channels: Number of channels.
        frame_bytes: Bytes of one frame (or of one compressed block).
        data_offset: First byte of audio.
        data_bytes: Bytes of audio that the file really holds.
        bytes_per_second: As announced, for durations of compressed audio.
        misread: Whether a reader that believes the header would miss audio.
        warning: One line for the user, or None when header and file agree.
    """

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
        """Whether :class:`PcmSource` can read it."""
        widths = {_FORMAT_PCM: (1, 2, 3, 4), _FORMAT_FLOAT: (4, 8)}.get(self.format_tag, ())
        return self.channels > 0 and self.sample_rate > 0 and self.frame_bytes / self.channels in widths


def read_layout(path: Path) -> WavLayout | None:
    """Layout of a RIFF/WAVE file, or None for any other file (RF64 included: its sizes are 64-bit).

    Raises:
        AudioError: it is a WAV file without a format or without audio data.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return None
        form, data_offset, announced = _find_chunks(file, path, size)
        held, misread, clause = _compare(file, data_offset, announced, size)
    tag, channels, rate, byte_rate, frame_bytes = struct.unpack_from("<HHIIH", form)
    if tag == _FORMAT_EXTENSIBLE and len(form) >= 26:
        tag = struct.unpack_from("<H", form, 24)[0]
    warning = _sentence(clause, announced, held, byte_rate) if clause else None
    return WavLayout(tag, rate, channels, frame_bytes, data_offset, held, byte_rate, misread, warning)


def _find_chunks(file: BinaryIO, path: Path, size: int) -> tuple[bytes, int, int]:
    """The format chunk, the offset of the audio and its announced size."""
    form, position = b"", 12
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        name_and_size = file.read(8)
        if len(name_and_size) < 8:
            break
        name, length = struct.unpack("<4sI", name_and_size)
        if name == b"data":
            if len(form) < 16:
                raise AudioError(f"{path} is a WAV file without a format header: export it again from its recorder")
            return form, position + 8, length
        if name == b"fmt ":
            form = file.read(min(length, 64))
        position += 8 + length + length % 2
    raise AudioError(f"{path} is a WAV file of {size} bytes without audio data: copy it again from the recorder")


def _compare(file: BinaryIO, data_offset: int, announced: int, size: int) -> tuple[int, bool, str]:
    """Bytes of audio held, whether header-believers miss some, and the kind of disagreement ('' for none)."""
    available = size - data_offset
    if available <= 0:
        return 0, False, ""
    if announced == _UNKNOWN_SIZE:
        return available, True, "open"
    if announced > available:
        return available, False, "truncated"
    if available - announced >= _WRAP:
        return _unwrapped(announced, available), True, "wrong"
    if _rest_is_chunks(file, data_offset + announced, size):
        return announced, False, ""
    if announced == 0:
        return available, True, "open"
    if available - announced <= _STRAY_BYTES:
        return announced, False, ""
    return available, True, "wrong"


def _unwrapped(announced: int, available: int) -> int:
    """A size that wrapped around 4 GiB, put back; everything available when it did not wrap but is plainly wrong."""
    whole = announced + (available - announced) // _WRAP * _WRAP
    return whole if available - whole <= _STRAY_BYTES else available


def _rest_is_chunks(file: BinaryIO, position: int, size: int) -> bool:
    """Whether well-formed chunks fill the file from ``position`` to its end."""
    position += position % 2
    for _ in range(_MAX_CHUNKS):
        if position >= size:
            return True
        file.seek(position)
        head = file.read(8)
        if len(head) < 8 or not all(32 <= byte < 127 for byte in head[:4]):
            return False
        length = struct.unpack("<I", head[4:])[0]
        position += 8 + length + length % 2
        if position > size + 1:
            return False
    return False


def _sentence(kind: str, announced: int, held: int, byte_rate: int) -> str:
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
            container="WAV",
            codec=(floats if layout.format_tag == _FORMAT_FLOAT else integers)[self._width],
            sample_rate=layout.sample_rate,
            channels=layout.channels,
            frames=layout.data_bytes // layout.frame_bytes,
            warnings=(layout.warning,) if layout.warning else (),
        )

    @property
    def seeks(self) -> bool:
        """Always cheap."""
        return True

    def seek(self, frame: int) -> None:
        """Make ``frame`` the next one read."""
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
        """Release the file."""
        self._file.close()
