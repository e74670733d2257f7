"""Formats that libsndfile cannot open (phones, video, damaged headers), through PyAV (the ``media`` extra).

FFmpeg seeks to a packet boundary before the target, and its time stamps are as coarse as a millisecond in some
containers. Positions here are therefore counted in samples from the first decoded frame; after a seek the time stamp
is rounded to the grid of codec frames if it is too coarse to be exact. Raw AAC and AMR streams carry no index: they
are decoded from the beginning. One inexactness remains: some AAC files have bands of noise that the decoder draws
anew, so two readings of them differ there, inaudibly. Input: a path. Output: an :class:`AvSource`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.source import LengthKnowledge, Lost, SourceHeader, merge_lost, to_float32
from babyhubert.errors import AudioError, MissingExtraError

SUFFIXES = frozenset(
    {
        ".m4a",
        ".m4b",
        ".aac",
        ".mp4",
        ".3gp",
        ".3g2",
        ".amr",
        ".wma",
        ".asf",
        ".webm",
        ".mkv",
        ".mka",
        ".mov",
        ".avi",
        ".mts",
        ".awb",
        ".mp2",
        ".wv",
        ".tta",
        ".dss",
    }
)
"""File names that only PyAV can read."""

_WITHOUT_INDEX = frozenset({"aac", "amr", "amrnb", "amrwb", "mp3", "loas", "ac3", "eac3"})
_RUN_UP_SECONDS = 3.0
"""Decoded before the target of a seek: codecs depend on earlier frames, AMR on more than a second of them."""
_FORWARD_SECONDS = 10.0
"""Targets within this distance are reached by decoding instead of seeking."""
_GAP_SECONDS = 0.05
"""Longer jumps of the time stamps are lost packets and become silence."""
_MAX_BAD_RUN = 50_000
_PATIENCE_SECONDS = 60.0
"""Limit for one packet: a file of many gigabytes in which FFmpeg finds none is given up."""


class AvSource:
    """An open recording that FFmpeg can read."""

    def __init__(self, path: Path) -> None:
        """Open a file and decode its first frame (some headers announce half the true rate).

        Raises:
            AudioError: FFmpeg cannot read it, or it has no audio.
            MissingExtraError: PyAV is not installed.
        """
        self._av = _import_av(path)
        self._path = path
        self.lost: Lost = ()
        self._first_samples = self._frame_samples = 0
        self._origin: float | None = None
        self.problem: str | None = None
        self._container: Any = None
        self._start_over()
        try:
            first = self._first_frame()
            self.header = self._describe(first)
            self._note_first(first)
        except BaseException:
            self.close()
            raise
        self._start_over()

    def _start_over(self) -> None:
        if self._container is not None:
            self._container.close()
        try:
            self._container = self._av.open(str(self._path), metadata_errors="ignore", timeout=_PATIENCE_SECONDS)
        except (self._av.FFmpegError, ValueError) as error:
            raise AudioError(f"{self._path}: {_reason(error)}") from None
        if not self._container.streams.audio:
            self._container.close()
            raise AudioError(f"{self._path} has no audio track")
        self._stream = self._container.streams.audio[0]
        self._frames = self._decode()
        self._buffer: NDArray[np.float32] = np.zeros((0, 1), dtype=np.float32)
        self._position = 0
        self._silence = 0
        self._landed = self._after_damage = False
        self.problem = None

    def _first_frame(self) -> Any:
        first = self._next_frame()
        if first is None:
            raise AudioError(f"{self._path}: no audio can be decoded from it")
        return first

    def _describe(self, first: Any) -> SourceHeader:
        rate = int(first.sample_rate)
        name = self._container.format.name
        frames, length = self._length(rate, name)
        return SourceHeader(
            container=name.split(",")[0].upper(),
            codec=self._stream.codec_context.name.upper(),
            sample_rate=rate,
            channels=int(first.layout.nb_channels),
            frames=frames,
            length=length,
        )

    def _length(self, rate: int, name: str) -> tuple[int, LengthKnowledge]:
        seconds = 0.0
        if self._stream.duration is not None:
            seconds = float(self._stream.duration * self._stream.time_base)
        elif self._container.duration is not None:
            seconds = self._container.duration / self._av.time_base
        indexless = name in _WITHOUT_INDEX
        if seconds <= 0 and self._container.bit_rate:
            seconds, indexless = self._container.size * 8 / self._container.bit_rate, True
        guessed = indexless or seconds <= 0
        return max(1, round(seconds * rate)), "guessed" if guessed else "announced"

    def _note_first(self, first: Any) -> None:
        self._origin = None if first.pts is None else float(first.pts * first.time_base)
        self._first_samples = int(first.samples)
        following = self._next_frame()
        self._frame_samples = 0 if following is None else int(following.samples)

    @property
    def lead(self) -> int:
        """Frames by which the sound begins later than the file, as a media player counts.

        The clock of an MP4 begins at 0, whichever track is first; other containers may begin anywhere, and players
        take the start of their earliest track as 0. A stream without a container has no clock.
        """
        if self._origin is None or self._container.format.name in _WITHOUT_INDEX:
            return 0
        starts = [
            float(stream.start_time * stream.time_base)
            for stream in self._container.streams
            if stream.type in ("audio", "video") and stream.start_time is not None
        ]
        own_clock = self._container.format.name.startswith("mov")
        beginning = 0.0 if own_clock else max(0.0, min(starts, default=self._origin))
        return max(0, round((self._origin - beginning) * self.header.sample_rate))

    @property
    def seeks(self) -> bool:
        """True if the container has an index and time stamps to seek by."""
        return self._origin is not None and self._container.format.name not in _WITHOUT_INDEX

    def seek(self, frame: int) -> None:
        """Set the position of the next read to ``frame``."""
        rate = self.header.sample_rate
        run_up = round(_RUN_UP_SECONDS * rate)
        far = frame - self._position > _FORWARD_SECONDS * rate
        if self.seeks and frame > run_up and (frame < self._position or far):
            self._jump(frame - run_up)
        if frame < self._position:
            self._start_over()
        while self._position < frame and len(self.read(min(frame - self._position, 1 << 16))):
            pass

    def _jump(self, frame: int) -> None:
        seconds = frame / self.header.sample_rate + (self._origin or 0.0)
        try:
            self._container.seek(int(seconds / self._stream.time_base), stream=self._stream, backward=True)
        except self._av.FFmpegError:
            self._start_over()
            return
        self.problem = None
        self._frames = self._decode()
        self._buffer, self._silence, self._landed = self._buffer[:0], 0, True
        self._fill()

    def read(self, frames: int) -> NDArray[np.float32]:
        """Next frames, float32, shape (n, channels)."""
        parts: list[NDArray[np.float32]] = []
        missing = frames
        while missing > 0 and (len(self._buffer) or self._fill()):
            part = self._buffer[:missing]
            self._buffer = self._buffer[missing:]
            self._position += len(part)
            missing -= len(part)
            parts.append(part)
        if not parts:
            return np.zeros((0, self.header.channels), dtype=np.float32)
        return np.concatenate(parts)

    def _fill(self) -> bool:
        """Put the next decoded frame, or silence for lost packets, into the buffer; False at the end."""
        if self._silence == 0:
            frame = self._next_frame()
            if frame is None:
                return False
            held = self._samples_of(frame)
            if held is None:
                return False
            self._held = held
            self._place(frame)
        if self._silence:
            block = min(self._silence, 1 << 16)
            self._silence -= block
            self._buffer = np.zeros((block, self.header.channels), dtype=np.float32)
            if self._silence == 0:
                self._buffer = np.concatenate([self._buffer, self._held])
            return True
        self._buffer = self._held
        return True

    def _place(self, frame: Any) -> None:
        """Position after a seek, and the silence for packets lost before this frame."""
        stamped = self._stamp(frame)
        if stamped is None:
            return
        if self._landed:
            self._position, self._landed = stamped, False
            return
        gap = stamped - self._position
        least = self._frame_samples // 2 if self._after_damage and self._frame_samples else self._least_gap()
        self._after_damage = False
        if self.seeks and least < gap <= self.header.frames - self._position:
            self._silence = gap
            self.lost = merge_lost(self.lost, ((self._position, stamped),))

    def _least_gap(self) -> int:
        return round(_GAP_SECONDS * self.header.sample_rate)

    def _stamp(self, frame: Any) -> int | None:
        """Position of a frame by its time stamp, rounded to the grid of codec frames if the stamp is coarse."""
        if frame.pts is None or self._origin is None:
            return None
        rate = self.header.sample_rate
        exact = (float(frame.pts * frame.time_base) - self._origin) * rate
        tolerance = float(frame.time_base) * rate
        if tolerance > 1 and self._frame_samples:
            on_grid = self._first_samples + self._frame_samples * round(
                (exact - self._first_samples) / self._frame_samples
            )
            if abs(on_grid - exact) <= tolerance:
                return max(0, on_grid)
        return max(0, round(exact))

    def _samples_of(self, frame: Any) -> NDArray[np.float32] | None:
        if frame.sample_rate != self.header.sample_rate or frame.layout.nb_channels != self.header.channels:
            self.problem = f"the sound changes to {frame.sample_rate} Hz, {frame.layout.nb_channels} channels"
            return None
        values = to_float32(frame.to_ndarray())
        return np.ascontiguousarray(values.T) if frame.format.is_planar else values.reshape(-1, self.header.channels)

    def _next_frame(self) -> Any | None:
        return next(self._frames, None)

    def _decode(self) -> Iterator[Any]:
        """Decode audio frames; damaged packets are skipped."""
        bad_run = 0
        packets = self._container.demux(self._stream)
        while bad_run < _MAX_BAD_RUN:
            packet = None
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                decoded = packet.decode()
            except EOFError:
                return
            except self._av.FFmpegError as error:
                bad_run += 1
                self._after_damage = True
                if packet is None:
                    if not isinstance(error, self._av.error.InvalidDataError):
                        self.problem = _reason(error)
                        return
                    packets = self._container.demux(self._stream)
                continue
            if decoded:
                bad_run = 0
            yield from decoded
        self.problem = "damaged data"

    def close(self) -> None:
        """Close the file."""
        self._container.close()


def _import_av(path: Path) -> Any:
    try:
        import av
    except ImportError:
        raise MissingExtraError(f"reading {path.suffix.lower() or 'such'} files", "media") from None
    av.logging.set_level(av.logging.PANIC)
    return av


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
