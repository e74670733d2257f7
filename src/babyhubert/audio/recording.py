"""A recording in any storage format, as 16 kHz mono samples.

All other packages see one interface: float32 samples at 16 kHz, counted from 0, that can be streamed in blocks of
bounded size or read by range, with the same numbers either way. Names, rates, channels, damaged ends and NaN are
handled here and reported in one line each. Input: a path. Output: :class:`RecordingInfo` from the header alone, or an
open :class:`Recording`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.channels import Channel, Mix, Mixdown, SampleObserver, parse_channel, settle_mix
from babyhubert.audio.opening import open_source
from babyhubert.audio.resampling import SampleStream, resampled_length
from babyhubert.audio.signal_checks import SignalChecks
from babyhubert.audio.source import Lost, Source, lost_phrase, merge_lost
from babyhubert.errors import AudioError, ReadingWarning
from babyhubert.timebase import SAMPLE_RATE, format_clock

__all__ = [
    "Block",
    "Channel",
    "Recording",
    "RecordingInfo",
    "open_recording",
    "parse_channel",
    "probe",
    "warn_of_reading",
]

_LOG = logging.getLogger(__name__)

DEFAULT_BLOCK_SAMPLES = 30 * SAMPLE_RATE


@dataclass(frozen=True)
class RecordingInfo:
    """Header of a recording.

    Attributes:
        path: The file.
        container: Upper case, such as ``WAV``, ``MP3``, ``MOV``.
        codec: Upper case, such as ``PCM_16``, ``AAC``.
        sample_rate: Native rate, Hz.
        channels: Native number of channels.
        native_frames: Frames at the native rate, or None if only decoding can tell.
        n_samples: Length at 16 kHz, rounded half up; an estimate where ``exact`` is False.
        exact: True if reading an undamaged file gives exactly ``n_samples``.
        size_bytes: Size of the file.
        warnings: One line each, without the path.
    """

    path: Path
    container: str
    codec: str
    sample_rate: int
    channels: int
    native_frames: int | None
    n_samples: int
    exact: bool
    size_bytes: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """Consecutive samples: float32, shape (n,), from 16 kHz position ``start`` on."""

    start: int
    samples: NDArray[np.float32]


def probe(path: Path | str) -> RecordingInfo:
    """Describe a recording from its header.

    Nothing is decoded, except the first frame of formats that PyAV reads; the frames of an MP3 without a length header
    are counted.

    Raises:
        AudioError: missing, unreadable, not audio, or without a single frame.
        MissingExtraError: only PyAV could read it and it is not installed.
    """
    path = Path(path)
    source = open_source(path)
    try:
        return _describe(path, source)
    finally:
        source.close()


def warn_of_reading(recording: Recording) -> None:
    """Warn of everything that was odd about reading a recording, for callers that keep no record of it."""
    for line in recording.warnings:
        warnings.warn(f"{recording.info.path}: {line}", ReadingWarning, stacklevel=2)


def open_recording(path: Path | str, channel: Channel = "mean") -> Recording:
    """Open a recording as 16 kHz mono.

    Args:
        path: The file.
        channel: ``"mean"`` of all channels, ``"first"``, ``"loudest"`` (highest level in evenly spaced excerpts), or
            a channel's index from 0.

    Raises:
        AudioError: as :func:`probe`, or the recording has no such channel.
        MissingExtraError: only PyAV could read it and it is not installed.
    """
    path = Path(path)
    source = open_source(path)
    try:
        info = _describe(path, source)
        mix = settle_mix(path, source, channel)
        kind = f"{info.container} {info.codec}, {info.sample_rate} Hz"
        length = format_clock(info.n_samples)
        _LOG.debug("%s: %s, channel %s of %d, %s", path, kind, mix.channel, info.channels, length)
        return Recording(info, mix, source)
    except BaseException:
        source.close()
        raise


class Recording:
    """An open recording; use it as a context manager.

    Attributes:
        info: Header of the recording.
        channel: ``"mean"`` or the index of the channel in use.
        lost: Stretches read as silence because they could not be decoded, in native frames, as known so far.
    """

    def __init__(self, info: RecordingInfo, mix: Mix, source: Source) -> None:
        self.info = info
        self.channel: str | int = mix.channel
        self._mix = mix
        self._source: Source | None = source
        self._n_samples = info.n_samples
        self._notes: list[str] = list(mix.notes)
        self._nonfinite = self._impossible = 0
        self.lost: Lost = source.lost

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def n_samples(self) -> int:
        """Length at 16 kHz: as announced until :meth:`blocks` reaches the end, then the decoded one."""
        return self._n_samples

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of the header and the reading so far, one line each."""
        counted = {"NaN or infinite": self._nonfinite, "impossibly large": self._impossible}
        replaced = (
            f"{count} {kind} sample{'s' if count > 1 else ''} read as 0" for kind, count in counted.items() if count
        )
        lost = [lost_phrase(self.lost, self.info.sample_rate)] if self.lost else []
        return (*self.info.warnings, *lost, *self._notes, *replaced)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Read samples ``[start, stop)`` at 16 kHz, equal to that slice of the complete recording.

        Returns:
            float32, shape (stop - start,), fewer only where the recording ends before ``stop``.

        Raises:
            ValueError: not ``0 <= start <= stop``.
        """
        mix = Mixdown(self._opened(), self._mix)
        stream = SampleStream(mix, start, self._bounded(start, stop))
        chunks = list(stream)
        self._conclude(stream, mix, start)
        return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.float32)

    def blocks(
        self,
        block_samples: int = DEFAULT_BLOCK_SAMPLES,
        start: int = 0,
        stop: int | None = None,
        observer: SampleObserver | None = None,
    ) -> Generator[Block, None, None]:
        """Yield the recording from ``start`` to ``stop`` (default: its end) as consecutive gapless blocks.

        Every block holds ``block_samples`` samples, the last one the remaining samples. Each call reads the file
        through a handle of its own, so several may run at once and :meth:`read` does not disturb them. An observer
        gets all channels at the native rate, as they are read.

        Raises:
            ValueError: ``block_samples`` is below 1, or not ``0 <= start <= stop``.
            AudioError: nothing can be decoded.
        """
        if block_samples < 1:
            raise ValueError(f"block_samples is {block_samples}: at least 1")
        self._opened()
        return self._blocks(block_samples, start, self._bounded(start, stop), observer)

    def _blocks(
        self, block_samples: int, start: int, stop: int | None, observer: SampleObserver | None
    ) -> Generator[Block, None, None]:
        source = open_source(self.info.path)
        try:
            whole = start == 0 and (stop is None or stop >= self.info.n_samples)
            checks = SignalChecks(self.info.sample_rate) if whole else None
            mix = Mixdown(source, self._mix, checks, observer)
            stream = SampleStream(mix, start, stop)
            position = start
            for samples in _equal_parts(stream, block_samples):
                yield Block(position, samples)
                position += len(samples)
            self._settle_length(self._conclude(stream, mix, start))
            for line in checks.found() if checks else ():
                self._note(line)
        finally:
            source.close()

    def _bounded(self, start: int, stop: int | None) -> int | None:
        if start < 0 or (stop is not None and stop < start):
            raise ValueError(f"samples {start} to {stop} is not a range")
        if not self.info.exact:
            return stop
        return self.info.n_samples if stop is None else min(stop, self.info.n_samples)

    def _conclude(self, stream: SampleStream, mix: Mixdown, start: int) -> int | None:
        """Store the findings of a pass from ``start``; return the end of the recording if the pass reached it."""
        self._nonfinite = max(self._nonfinite, mix.nonfinite)
        self._impossible = max(self._impossible, mix.impossible)
        self.lost = merge_lost(self.lost, mix.lost)
        if stream.end_frame is None:
            return None
        found = resampled_length(stream.end_frame, self.info.sample_rate)
        if mix.problem or self._missing(stream.end_frame):
            reason = mix.problem or "the file is damaged or truncated"
            what = (
                f"decoding stopped at {format_clock(found)}" if found > start else "nothing can be decoded at the end"
            )
            self._note(f"{what} of {format_clock(self.info.n_samples)}: {reason}")
        return found if found > start or start == 0 else None

    def _settle_length(self, found: int | None) -> None:
        if found == 0:
            raise AudioError(f"{self.info.path}: nothing can be decoded from it; get the original again")
        self._n_samples = found or self._n_samples

    def _missing(self, end_frame: int) -> bool:
        """True if the recording ended noticeably before the end that its header announces."""
        if self.info.native_frames is None:
            return False
        tolerance = 0 if self.info.exact else self.info.sample_rate
        return end_frame < self.info.native_frames - tolerance

    def _note(self, line: str) -> None:
        if line not in self._notes:
            self._notes.append(line)

    def _opened(self) -> Source:
        if self._source is None:
            raise ValueError(f"{self.info.path} was closed: read it inside its 'with' block")
        return self._source

    def close(self) -> None:
        """Close the file; block iterators already started continue."""
        if self._source is not None:
            self._source.close()
            self._source = None


def _describe(path: Path, source: Source) -> RecordingInfo:
    header = source.header
    khz = header.sample_rate / 1000
    low_rate = (f"{khz:g} kHz: nothing above {khz / 2:g} kHz reaches the model",)
    return RecordingInfo(
        path=path,
        container=header.container,
        codec=header.codec,
        sample_rate=header.sample_rate,
        channels=header.channels,
        native_frames=None if header.length == "guessed" else header.frames,
        n_samples=resampled_length(header.frames, header.sample_rate),
        exact=header.length == "exact",
        size_bytes=path.stat().st_size,
        warnings=header.warnings + (low_rate if header.sample_rate < SAMPLE_RATE else ()),
    )


def _equal_parts(chunks: SampleStream, size: int) -> Iterator[NDArray[np.float32]]:
    """The same samples in arrays of ``size``, the last one shorter."""
    part, filled = np.empty(size, dtype=np.float32), 0
    for chunk in chunks:
        taken = 0
        while taken < len(chunk):
            count = min(size - filled, len(chunk) - taken)
            part[filled : filled + count] = chunk[taken : taken + count]
            filled, taken = filled + count, taken + count
            if filled == size:
                yield part
                part, filled = np.empty(size, dtype=np.float32), 0
    if filled:
        yield part[:filled].copy()
