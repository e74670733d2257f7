"""The one time base: integer samples at 16 kHz.

Everything inside the package counts samples. Seconds and milliseconds exist only where files are read and
written and on the command line, and pass through the conversions below. One millisecond is exactly 16 samples
and one frame exactly 320, so nothing that lies on either grid is ever rounded twice.
"""

from __future__ import annotations

import math

FRAME_HOP = 320
"""Samples between frames: the product of the convolution strides 5, 2, 2, 2, 2, 2, 2."""
FRAME_RECEPTIVE_FIELD = 400
"""Samples one frame sees."""

SAMPLE_RATE = 16_000
SAMPLES_PER_MS = SAMPLE_RATE // 1000
LONGEST_RECORDING_S = 31 * 24 * 3600
"""No recording is longer: a time beyond is a mistake, such as another unit."""


def seconds_to_samples(seconds: float) -> int:
    """Nearest sample to a time in seconds (halves go up).

    Raises:
        ValueError: the time is NaN or infinite.

    """
    if not math.isfinite(seconds):
        raise ValueError(f"{seconds} is not a time")
    return math.floor(seconds * SAMPLE_RATE + 0.5)


def samples_to_seconds(samples: int) -> float:
    """Time of a sample in seconds."""
    return int(samples) / SAMPLE_RATE


def samples_to_hours(samples: float) -> float:
    """Hours of so many samples."""
    return float(samples) / SAMPLE_RATE / 3600


def ms_to_samples(milliseconds: int) -> int:
    """First sample of a millisecond."""
    return int(milliseconds) * SAMPLES_PER_MS


def samples_to_ms(samples: int) -> int:
    """Nearest millisecond to a sample (halves go up)."""
    return (int(samples) + SAMPLES_PER_MS // 2) // SAMPLES_PER_MS


def format_seconds(samples: int) -> str:
    """Time in seconds with the three decimals that RTTM and CSV files carry, rounded through integer milliseconds."""
    sign = "-" if samples < 0 else ""
    milliseconds = samples_to_ms(abs(int(samples)))
    return f"{sign}{milliseconds // 1000}.{milliseconds % 1000:03d}"


def format_length(start: int, end: int) -> str:
    """Length of a segment in seconds, such that its start and this, as files carry them, give its end as they do."""
    return format_seconds(ms_to_samples(samples_to_ms(end) - samples_to_ms(start)))


def format_clock(samples: int) -> str:
    """Duration as ``H:MM:SS`` for people, rounded to the second."""
    seconds = (int(samples) + SAMPLE_RATE // 2) // SAMPLE_RATE
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def frame_count(samples: int) -> int:
    """Frames the encoder gives for ``samples`` samples: ``(n - 400) // 320 + 1``, and 0 below 400."""
    if samples < FRAME_RECEPTIVE_FIELD:
        return 0
    return (samples - FRAME_RECEPTIVE_FIELD) // FRAME_HOP + 1


def samples_for_frames(frames: int) -> int:
    """Fewest samples that give ``frames`` frames."""
    return 0 if frames <= 0 else (frames - 1) * FRAME_HOP + FRAME_RECEPTIVE_FIELD
