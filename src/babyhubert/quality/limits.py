"""Limits of the verdict: every threshold of `quality`, in one place.

They were set on degraded copies of clean recordings (``benchmarks/quality_faults.py``): each lies between the most
extreme value of a clean recording and the values of the degrees of a fault that are to be found. docs/quality.md has
the table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Thresholds of the faults.

    Attributes:
        clipped_share: Share of a second's samples that are flat at its peak, from which the second is clipped.
        clipped_seconds: Share of clipped seconds that makes a fault of a recording.
        silent_share: Share of digital silence that makes a fault.
        lost_per_hour: Dropouts or repeated blocks in an hour that make a fault.
        cancelled_share: Share of seconds in which channels cancel each other.
        treble_db: Level of 2.5 to 4 kHz over that of 0.3 to 1 kHz in loud steps, below which a minute is muffled.
        shortest_s: Sound below this many seconds may be low by itself (a single cry), and is not called muffled.
        muffled_share: Share of muffled minutes, of those with sound, that makes a fault.
        hum_line_db: Level of a harmonic over its neighbours from which it is a line.
        hum_lines: Lines of a mains frequency that make a hum.
        hum_db: Level of the hum below the speech (dB) down to which it is a fault.
        active_db: Level of a step over the floor of its minute from which it is active.
        sounding_dbfs: Level of a minute below which it is silent, and nothing else is said of it.
        still_steps: Active steps (0.1 s) of a minute, below which it is still.
        still_share: Share of still minutes from which a recording was not worn.
        still_minutes: Shortest stretch of still minutes that is reported.
        noise_db: Level of the usual speech over the floor of a minute, below which it is too noisy.
        dynamics_db: Level of the loudest hundredth over the floor, below which a recording is drowned in noise.
        drowned_floor_dbfs: Floor from which this is noise; a lower one is a recorder without sound around it.
        noisy_share: Share of minutes that are too noisy, which makes a fault.
        snr_db: Speech-to-noise ratio of a recording below which it is reported.
        speed_step: Relative deviation of a hum from both mains frequencies that makes a fault.
        length_share: Relative deviation from an announced duration that makes a fault.
    """

    clipped_share: float = 4e-4
    clipped_seconds: float = 0.01
    silent_share: float = 0.1
    lost_per_hour: float = 6.0
    cancelled_share: float = 0.1
    treble_db: float = -32.0
    shortest_s: float = 29.0
    muffled_share: float = 0.5
    hum_line_db: float = 8.0
    hum_lines: int = 2
    hum_db: float = 16.0
    active_db: float = 8.0
    sounding_dbfs: float = -75.0
    still_steps: int = 3
    still_share: float = 0.9
    still_minutes: int = 10
    noise_db: float = 5.0
    dynamics_db: float = 16.0
    drowned_floor_dbfs: float = -50.0
    noisy_share: float = 0.25
    snr_db: float = 5.0
    speed_step: float = 0.01
    length_share: float = 0.01


LIMITS = Limits()
