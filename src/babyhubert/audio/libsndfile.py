"""WAV, RF64, W64, AIFF, CAF, FLAC, OGG, Opus and MP3 through libsndfile.

libsndfile seeks to the exact sample in all of them, with two precautions: MP3 and Ogg frames depend on earlier ones
(so reading starts a little early and then continues without seeking), and a damaged stretch raises an exception that
hides the good samples before it (so they are read again in small steps). Input: a path. Output: a
:class:`SndfileSource`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from babyhubert.audio import mp3
from babyhubert.audio.decoder_messages import alone, counted
from babyhubert.audio.source import Lost, SourceHeader, merge_lost
from babyhubert.audio.spliced import Part, SplicedFile, Stretch
from babyhubert.errors import AudioError

_CONTAINERS = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "NIST"})
"""Formats that recordings have. libsndfile also knows sampler and matrix formats, for which it mistakes text or data
files.
"""

_LEANING = frozenset({"OGG", "MP3"})
_RUN_UP_SECONDS = 1.0
_CAREFUL_STEP = 1024
_FORWARD_STEP = 1 << 16
_UNKNOWN_LENGTH = 2**60
_MAX_CHANNELS = 256
_ESTIMATED = frozenset({"MPEG_LAYER_I", "MPEG_LAYER_II"})
"""Codecs whose length libsndfile derives from the first frame."""
_GRANULE = 576
_FRAME = 2 * _GRANULE


class ForwardSound(soundfile.SoundFile):
    """A sound file that is read without seeking.

    After every read of a seekable file ``soundfile`` seeks to the current position. That discards the decoder state
    that MP3 frames depend on (a click of up to a frame at every block) and makes Ogg search its pages again.
    """

    def seekable(self) -> bool:
        """Return False, so that reading does not seek."""
        return False


class SndfileSource:
    """An open recording that libsndfile can read."""

    def __init__(self, path: Path, parts: Sequence[Part] = ()) -> None:
        """Open a file.

        Args:
            path: The file.
            parts: Parts to read instead; empty for the file as it is.

        Raises:
            AudioError: libsndfile does not know the format or finds the header damaged.
        """
        self._path = path
        self._parts = tuple(parts)
        self._splice: SplicedFile | None = None
        self.problem: str | None = None
        self.lost: Lost = ()
        with counted():
            self._sound = self._open()
        try:
            warnings = self._check_and_repair()
        except BaseException:
            self.close()
            raise
        self._position = 0
        frames = self._sound.frames
        has_length = 0 <= frames < _UNKNOWN_LENGTH
        self._known = has_length and self._sound.subtype not in _ESTIMATED
        self.header = SourceHeader(
            container=self._sound.format,
            codec=self._sound.subtype,
            sample_rate=self._sound.samplerate,
            channels=self._sound.channels,
            frames=frames if has_length else self._guess(),
            length="exact" if self._known else "guessed",
            warnings=warnings,
        )

    def _open(self) -> soundfile.SoundFile:
        try:
            if not self._parts:
                return ForwardSound(str(self._path))
            if self._splice is not None:
                self._splice.close()
            self._splice = SplicedFile(self._path, self._parts)
            return ForwardSound(self._splice)
        except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
            reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
            raise AudioError(f"{self._path}: {reason or 'unknown format'}") from None

    def _check_and_repair(self) -> tuple[str, ...]:
        if self._sound.format not in _CONTAINERS:
            raise AudioError(f"{self._path}: taken for {self._sound.format}, which is not a format recordings come in")
        if not 0 < self._sound.channels <= _MAX_CHANNELS:
            raise AudioError(f"{self._path} announces {self._sound.channels} channels: its header is damaged")
        if self._sound.subtype != "MPEG_LAYER_III" or self._parts:
            return ()
        repair, warning = mp3.examine(self._path)
        if repair is not None:
            self._sound.close()
            self._parts = (repair.head, Stretch(repair.replaces, self._path.stat().st_size))
            with counted():
                self._sound = self._open()
            warning = repair.warning
        return (warning,) if warning else ()

    def _guess(self) -> int:
        """Estimate the frames from the file's size, for streams that announce none: FLAC halves speech."""
        return self._path.stat().st_size // max(1, self._sound.channels)

    @property
    def seeks(self) -> bool:
        """True: seeking uses an index, or frame headers without decoding."""
        return True

    def seek(self, frame: int) -> None:
        """Set the position of the next read to ``frame``."""
        if frame == self._position:
            return
        self.problem = None
        run_up = round(_RUN_UP_SECONDS * self.header.sample_rate) if self.header.container in _LEANING else 0
        target = min(frame, self.header.frames) if self._known else frame
        try:
            with counted():
                self._position = int(self._sound.seek(max(0, target - run_up)))
        except (soundfile.SoundFileError, RuntimeError):
            self._position = frame
            self.problem = "damaged data"
            return
        while self._position < target and len(self.read(min(target - self._position, _FORWARD_STEP))):
            pass

    def read(self, frames: int) -> NDArray[np.float32]:
        """Next frames, float32, shape (n, channels)."""
        if self.problem is not None:
            return self._nothing()
        start = self._position
        if self.header.container != "MP3":
            samples = self._decode(frames)
        else:
            with counted() as heard:
                samples = self._decode(frames)
            if heard.errors:
                self._find_damage(start, start + len(samples))
            samples = self._silenced(start, samples)
        self._position += len(samples)
        return samples

    def _decode(self, frames: int) -> NDArray[np.float32]:
        try:
            samples: NDArray[np.float32] = self._sound.read(frames, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError):
            samples = self._read_carefully(frames)
        return samples

    def _find_damage(self, start: int, stop: int) -> None:
        """Add the frames that the decoder cannot decode to the lost stretches, by decoding this part once more.

        Steps lie on a grid of the recording, so that a range and the complete recording lose the same samples.
        """
        first = start // _GRANULE * _GRANULE
        run_up = round(_RUN_UP_SECONDS * self.header.sample_rate) // _GRANULE * _GRANULE
        found = []
        try:
            with closing(SndfileSource(self._path, self._parts)) as other:
                sound = other._sound
                with alone():
                    position = int(sound.seek(max(0, first - run_up)))
                while position < stop:
                    with alone() as heard:
                        count = len(sound.read(_GRANULE))
                    if heard.errors and position >= first:
                        found.append((position, position + _GRANULE + _FRAME))
                    if not count:
                        break
                    position += count
        except (soundfile.SoundFileError, RuntimeError, AudioError):
            pass
        self.lost = merge_lost(self.lost, found)

    def _silenced(self, start: int, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        for begin, end in self.lost:
            samples[max(0, begin - start) : max(0, end - start)] = 0
        return samples

    def _read_carefully(self, frames: int) -> NDArray[np.float32]:
        """Read the part before a damaged stretch: the same frames again in small steps until one fails."""
        self.problem = "damaged data"
        self._sound.close()
        parts = [self._nothing()]
        try:
            self._sound = self._open()
            self._sound.seek(self._position)
            for _ in range(-(-frames // _CAREFUL_STEP)):
                part = self._sound.read(_CAREFUL_STEP, dtype="float32", always_2d=True)
                if not len(part):
                    break
                parts.append(part)
        except (soundfile.SoundFileError, RuntimeError, AudioError):
            pass
        return np.concatenate(parts)[:frames]

    def _nothing(self) -> NDArray[np.float32]:
        return np.zeros((0, self.header.channels), dtype=np.float32)

    def close(self) -> None:
        """Close the file."""
        self._sound.close()
        if self._splice is not None:
            self._splice.close()
