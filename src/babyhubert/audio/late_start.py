"""Leading silence for sound that begins later than its file, so that times are those of a media player.

A camera may start its picture first, and an edit list may have an empty stretch before the sound. ELAN, Praat and
players count from the beginning of the file; decoders count from the first sample of sound. Input: a source and the
delay of its sound. Output: a source whose frame 0 is the beginning of the file.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.source import Lost, Source

_REPORTED_SECONDS = 0.1


class LateSource:
    """A source with silence before its first frame.

    Args:
        source: The sound.
        lead: Frames of silence.
    """

    def __init__(self, source: Source, lead: int) -> None:
        self._source = source
        self._lead = lead
        self._position = 0
        header, seconds = source.header, lead / source.header.sample_rate
        late = f"the sound begins {seconds:.2f} s after the file does: silence is inserted, as in media players"
        self.header = replace(
            header,
            frames=header.frames + lead,
            warnings=(*header.warnings, late) if seconds >= _REPORTED_SECONDS else header.warnings,
        )

    @property
    def problem(self) -> str | None:
        """Reason why decoding ended early, else None."""
        return self._source.problem

    @property
    def lost(self) -> Lost:
        """Stretches that could not be decoded."""
        return tuple((start + self._lead, stop + self._lead) for start, stop in self._source.lost)

    @property
    def seeks(self) -> bool:
        """True if seeking is cheap."""
        return self._source.seeks

    def seek(self, frame: int) -> None:
        """Set the position of the next read to ``frame``."""
        self._position = frame
        self._source.seek(max(0, frame - self._lead))

    def read(self, frames: int) -> NDArray[np.float32]:
        """Next frames, float32, shape (n, channels)."""
        silent = max(0, min(frames, self._lead - self._position))
        parts = [np.zeros((silent, self.header.channels), dtype=np.float32)] if silent else []
        if silent < frames or not silent:
            parts.append(self._source.read(frames - silent))
        self._position += sum(map(len, parts))
        return np.concatenate(parts)

    def close(self) -> None:
        """Close the file."""
        self._source.close()
