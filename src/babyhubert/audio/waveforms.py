"""Audio as Python code has it: a file's path, or samples in an array, a tensor or lists.

Everything becomes consecutive blocks of 16 kHz mono. Samples take the same way as a file's: the choice of the channel,
the mean of channels, and the resampling are those of :mod:`babyhubert.audio.recording`, so that a file and the samples
read from it give the same numbers.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.channels import Channel, Mixdown, settle_mix
from babyhubert.audio.recording import Recording, open_recording, warn_of_reading
from babyhubert.audio.resampling import SampleStream, resampled_length
from babyhubert.audio.source import Lost, SourceHeader, to_float32
from babyhubert.errors import AudioError, ReadingWarning
from babyhubert.timebase import SAMPLE_RATE, samples_to_seconds, seconds_to_samples

if TYPE_CHECKING:
    from torch import Tensor

AudioInput = Union[str, os.PathLike[str], NDArray[Any], Sequence[Any], "Tensor"]
"""A file's path, or samples: (n,) or (channels, n), as an array, a torch tensor or lists."""

AudioProgress = Callable[[float, float], object]
"""Called with seconds read so far, and the length in seconds."""

MOST_CHANNELS = 16
"""An array with more rows is a batch, or the wrong way round."""

_CODECS = {"u1": "PCM_U8", "i2": "PCM_16", "i4": "PCM_32", "f2": "FLOAT", "f4": "FLOAT", "f8": "DOUBLE"}
"""Types of samples that have a full scale, by kind and size."""

_ARRAY = "the samples given"


@dataclass(frozen=True)
class OpenAudio:
    """Audio that can be read once.

    Attributes:
        blocks: Consecutive samples: float32, shape (n,), 16 kHz.
        n_samples: Length at 16 kHz; an estimate where ``exact`` is False.
        exact: True if reading gives exactly ``n_samples``.
    """

    blocks: Iterator[NDArray[np.float32]]
    n_samples: int
    exact: bool


@contextmanager
def open_audio(
    audio: AudioInput,
    sampling_rate: int | None = None,
    *,
    channel: Channel = "mean",
    progress: AudioProgress | None = None,
) -> Iterator[OpenAudio]:
    """Open a file or samples as 16 kHz mono. Oddities of a file that was read are warned about at the end.

    Args:
        audio: A path; or samples, (n,) or (channels, n): float in [-1, 1], or int16, int32 or uint8, which are scaled.
        sampling_rate: Rate of the samples, Hz. Left out for a file, whose header has it.
        channel: As :func:`babyhubert.audio.recording.open_recording`.
        progress: Called after each block.

    Raises:
        AudioError: the file cannot be read, or the samples are no audio: a shape, a type without full scale, or NaN.
    """
    if isinstance(audio, str | os.PathLike):
        with open_recording(Path(audio), channel) as recording:
            _require_rate(recording, sampling_rate)
            samples, exact = recording.n_samples, recording.info.exact
            blocks = (block.samples for block in recording.blocks())
            yield OpenAudio(_reported(blocks, samples, progress), samples, exact)
            warn_of_reading(recording)
        return
    source = ArraySource(_array(audio), _rate(sampling_rate))
    mix = settle_mix(_ARRAY, source, channel)
    for note in mix.notes:
        _warn(f"{_ARRAY}: {note}")
    samples = resampled_length(source.header.frames, source.header.sample_rate)
    stream = SampleStream(Mixdown(source, mix), 0, None)
    yield OpenAudio(_reported(stream, samples, progress), samples, exact=True)


def load_audio(
    path: str | os.PathLike[str], *, start: float = 0.0, stop: float | None = None, channel: Channel = "mean"
) -> NDArray[np.float32]:
    """Read a recording, or a part of it, as 16 kHz mono.

    Any format that the commands read; an array for plots and players. Models take the path itself, and then hold only
    a window in memory.

    Example:
        >>> samples = babyhubert.load_audio("day1.wav", start=3600, stop=3630)
        >>> samples.shape
        (480000,)

    Args:
        path: The file.
        start: Begin of the part, in seconds.
        stop: End of the part, in seconds; None: the recording's end.
        channel: ``"mean"`` of all channels, ``"first"``, ``"loudest"``, or a channel's index from 0.

    Returns:
        float32, shape (n,), 16 kHz, full scale 1.

    Raises:
        AudioError: the file cannot be read, has no such channel, or ends before ``start``.
        MissingExtraError: only PyAV could read it and it is not installed.
    """
    first = _sample("start", start)
    last = None if stop is None else _sample("stop", stop)
    if last is not None and last < first:
        raise AudioError(f"{path}: stop ({stop:g} s) comes before start ({start:g} s)")
    with open_recording(Path(path), channel) as recording:
        parts = [block.samples for block in recording.blocks(start=first, stop=last)]
        samples = np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)
        if not len(samples) and first >= recording.n_samples:
            length = samples_to_seconds(recording.n_samples)
            raise AudioError(f"{path}: lasts {length:g} s, so that nothing begins at {start:g} s")
        warn_of_reading(recording)
    return samples


class ArraySource:
    """Samples of shape (channels, n) as a decoder gives them."""

    problem: str | None = None
    lost: Lost = ()
    seeks = True

    def __init__(self, samples: NDArray[Any], sampling_rate: int) -> None:
        self._samples = samples
        self._position = 0
        channels, frames = samples.shape
        codec = _CODECS[samples.dtype.str[1:]]
        self.header = SourceHeader("ARRAY", codec, sampling_rate, channels, frames)

    def seek(self, frame: int) -> None:
        """Set the position of the next read."""
        self._position = frame

    def read(self, frames: int) -> NDArray[np.float32]:
        """Next samples, float32, shape (n, channels)."""
        part = self._samples[:, self._position : self._position + frames]
        self._position += part.shape[1]
        return to_float32(part.T)

    def close(self) -> None:
        """Do nothing: no file is open."""


def _array(audio: object) -> NDArray[Any]:
    """Samples as an array (channels, n) of a known type.

    Raises:
        AudioError: they are no audio.
    """
    detach = getattr(audio, "detach", None)  # a torch tensor, on any device
    if detach is not None:
        tensor = detach().cpu()
        audio = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    try:
        samples = np.asarray(audio)
    except ValueError:
        raise AudioError(f"{_ARRAY} are lists of different lengths: every channel needs the same number") from None
    kind = samples.dtype.newbyteorder("=").str[1:]
    if kind not in _CODECS:
        raise AudioError(
            f"{_ARRAY} are of the type {samples.dtype}, which has no full scale: give a path, floating point in "
            "[-1, 1], or int16, int32 or uint8"
        )
    samples = _channels_first(samples).astype(kind, copy=False)
    if samples.dtype.kind == "f":
        _require_finite(samples)
    return samples


def _channels_first(samples: NDArray[Any]) -> NDArray[Any]:
    """Samples as (channels, n).

    Raises:
        AudioError: no such shape.
    """
    shape = tuple(samples.shape)
    if samples.ndim == 1:
        return samples[np.newaxis]
    if samples.ndim != 2 or not shape[0]:
        raise AudioError(f"{_ARRAY} have the shape {shape}: one recording is (samples,) or (channels, samples)")
    if shape[0] > shape[1] > 0:
        raise AudioError(f"{_ARRAY} have the shape {shape}, which looks like (samples, channels): give array.T")
    if shape[0] > MOST_CHANNELS:
        raise AudioError(
            f"{_ARRAY} have the shape {shape}: {shape[0]} channels, at most {MOST_CHANNELS}; give the recordings of "
            "a batch one by one"
        )
    return samples


def _require_finite(samples: NDArray[Any]) -> None:
    finite = np.isfinite(samples).all(axis=0)
    if not finite.all():
        wrong = int(len(finite) - finite.sum())
        raise AudioError(
            f"{_ARRAY} are NaN or infinite at {wrong} of {len(finite)} positions, the first at index "
            f"{int(np.argmin(finite))}: correct what made them, or replace them (numpy.nan_to_num)"
        )


def _rate(sampling_rate: int | None) -> int:
    """Rate of samples, Hz.

    Raises:
        AudioError: no such rate.
    """
    if sampling_rate is None:
        _warn(
            f"no sampling_rate for {_ARRAY}: taken as {SAMPLE_RATE} Hz; another rate would give wrong results without "
            f"an error, so pass it (sampling_rate={SAMPLE_RATE})"
        )
        return SAMPLE_RATE
    try:
        rate = int(sampling_rate)
        fits = rate == sampling_rate and rate > 0 and not isinstance(sampling_rate, bool)
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise AudioError(f"sampling_rate is {sampling_rate!r}: a whole number of Hz, such as {SAMPLE_RATE}")
    return rate


def _warn(text: str) -> None:
    """Warn at the line of the caller's own code that gave the samples."""
    inside = (str(Path(__file__).parents[1]), contextlib.__file__)
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(inside):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, ReadingWarning, stacklevel=level)


def _require_rate(recording: Recording, sampling_rate: int | None) -> None:
    """Compare a file's rate with one that was given nevertheless.

    Raises:
        AudioError: they differ.
    """
    own = recording.info.sample_rate
    if sampling_rate is not None and sampling_rate != own:
        raise AudioError(
            f"{recording.info.path}: has {own} Hz, and sampling_rate is {sampling_rate!r}; leave it out for a file, "
            "which is resampled by itself"
        )


def _sample(name: str, seconds: float) -> int:
    try:
        sample = seconds_to_samples(seconds)
    except (TypeError, ValueError):
        sample = -1
    if sample < 0:
        raise AudioError(f"{name} is {seconds!r}: a time in seconds, from 0")
    return sample


def _reported(
    blocks: Iterable[NDArray[np.float32]], total: int, progress: AudioProgress | None
) -> Iterator[NDArray[np.float32]]:
    done = 0
    for block in blocks:
        yield block
        done += len(block)
        if progress is not None:
            progress(samples_to_seconds(done), samples_to_seconds(max(total, done)))
