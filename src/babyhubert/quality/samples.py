"""Faults that show in single samples: clipping, dropouts, repeated blocks, silent and cancelling channels.

Input: all channels at the recording's own rate, before mixing and resampling, which would hide them. Output: one value
per second, so that memory stays small for any length (a day has 57,600 seconds).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.signal_checks import CLIPPED, STEP, alive_channels, cancels
from babyhubert.quality.repeats import RepeatSearch

_FLAT = 0.97
_FLAT_STEP = 0.002
_FLAT_RATE = 16_000
_CORNER_STEP = 0.01
_CORNERS = 0.02
_HOLES_SECONDS = 30
_HOLE_RATE = 400
"""Dropouts are searched in levels of 2.5 ms."""
_HOLE_BELOW_FLOOR_DB = 12.0
_HOLE_LEVEL_DBFS = -85.0
_RECORDED_DBFS = -95.0
_FLOOR_PERCENTILE = 5
_HOLE_EDGE_DB = 10.0
_SHORTEST_HOLE = 3
_LONGEST_HOLE = 800
_EDGE = 4
"""Levels from an edge to where the sound must be back: coding spreads edges over 10 ms."""
_NOTHING_DB = -120.0


@dataclass
class SecondValues:
    """Values of each second of a recording; the last one may be shorter.

    Attributes:
        flat: Share of samples that are flat at the second's peak.
        peak: Largest magnitude, of full scale.
        full: Share of samples at full scale.
        lost: Samples within dropouts, as a share.
        holes: Dropouts that begin in the second.
        repeated: Share of samples that are an exact copy of samples shortly before.
        repeats: Repeated blocks that begin in the second.
        constant: True if all samples of the second are equal: digital silence.
        cancelled: True if the channels cancel each other out.
        power: Mean power of each channel over the recording, (C,).
    """

    flat: NDArray[np.float32]
    peak: NDArray[np.float32]
    full: NDArray[np.float32]
    lost: NDArray[np.float32]
    holes: NDArray[np.int32]
    repeated: NDArray[np.float32]
    repeats: NDArray[np.int32]
    constant: NDArray[np.bool_]
    cancelled: NDArray[np.bool_]
    power: NDArray[np.float64]

    @property
    def silent_channels(self) -> list[int]:
        """Channels without sound beside others that have some."""
        alive = alive_channels(self.power)
        return [] if len(alive) == 0 else sorted(set(range(len(self.power))) - set(alive.tolist()))


@dataclass
class SampleChecks:
    """Accumulates the values of every second; an observer of `Recording.blocks`.

    Attributes:
        sample_rate: Hz.
        channel: ``mean``, or the index of the channel in use.
    """

    sample_rate: int
    channel: str | int = "mean"
    _waiting: list[NDArray[np.float32]] = field(default_factory=list)
    _held: int = 0
    _seconds: list[dict[str, NDArray[np.generic]]] = field(default_factory=list)
    _lost: list[tuple[NDArray[np.float32], NDArray[np.int32]]] = field(default_factory=list)
    _squares: NDArray[np.float64] | None = None
    _frames: int = 0

    def __post_init__(self) -> None:
        self._repeats = RepeatSearch(self.sample_rate)

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next frames of all channels, float32 (n, C)."""
        self._waiting.append(samples)
        self._held += len(samples)
        if self._held >= _HOLES_SECONDS * self.sample_rate:
            frames = np.concatenate(self._waiting)
            complete = len(frames) // (_HOLES_SECONDS * self.sample_rate) * _HOLES_SECONDS * self.sample_rate
            for start in range(0, complete, _HOLES_SECONDS * self.sample_rate):
                self._measure(frames[start : start + _HOLES_SECONDS * self.sample_rate])
            self._waiting, self._held = [frames[complete:]], len(frames) - complete

    def finish(self) -> SecondValues:
        """Values of all seconds, after the last frames."""
        if self._held:
            self._measure(np.concatenate(self._waiting))
            self._waiting, self._held = [], 0
        repeated, repeats = self._repeats.finish()
        joined = {name: np.concatenate([each[name] for each in self._seconds]) for name in self._seconds[0]}
        power = self._squares / self._frames if self._squares is not None else np.zeros(1)
        return SecondValues(**joined, repeated=repeated, repeats=repeats, power=power)  # type: ignore[arg-type]

    def _measure(self, frames: NDArray[np.float32]) -> None:
        """Measure up to 30 s of frames, (n, C)."""
        squares = np.einsum("nc,nc->c", frames, frames, dtype=np.float64)
        self._squares = squares if self._squares is None else self._squares + squares
        self._frames += len(frames)
        used = frames if isinstance(self.channel, str) else frames[:, self.channel : self.channel + 1]
        mono = np.ascontiguousarray(used.mean(axis=1, dtype=np.float32) if used.shape[1] > 1 else used[:, 0])
        lost, holes = _dropouts(mono, self.sample_rate)
        self._repeats.add(mono)
        complete = len(frames) // self.sample_rate * self.sample_rate
        for begin, end, length in ((0, complete, self.sample_rate), (complete, len(frames), len(frames) - complete)):
            if begin < end:
                rows = slice(begin // self.sample_rate, -(-end // self.sample_rate))
                self._seconds.append(
                    {
                        **_second_values(used[begin:end], mono[begin:end], length, self.sample_rate),
                        "cancelled": _cancelled(frames[begin:end], length),
                        "lost": lost[rows],
                        "holes": holes[rows],
                    }
                )


def _second_values(
    used: NDArray[np.float32], mono: NDArray[np.float32], length: int, rate: int
) -> dict[str, NDArray[np.generic]]:
    """Clipping and silence of stretches of one length, from the channels in use, (n, C)."""
    flat, peak, full = (np.zeros(len(mono) // length, dtype=np.float32) for _ in range(3))
    for index in range(used.shape[1]):
        size = np.abs(used[:, index]).reshape(-1, length)
        highest = size.max(axis=1)
        peak = np.maximum(peak, highest)
        full = np.maximum(full, (size >= CLIPPED).mean(axis=1, dtype=np.float32))
        flat = np.maximum(flat, _flat_share(np.ascontiguousarray(used[:, index]).reshape(-1, length), highest, rate))
    rows = mono.reshape(-1, length)
    constant = rows.max(axis=1) - rows.min(axis=1) <= 2 * STEP
    return {"flat": np.maximum(flat, full), "peak": peak, "full": full, "constant": constant}


def _flat_share(rows: NDArray[np.float32], highest: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Share of samples at a row's peak that are flat and bounded by a corner, as only clipping makes them.

    Samples are taken 1/16,000 s apart. Round peaks, as of a hum, are flat too, but without corners. Rows that are
    nearly silent have none.
    """
    taken = rows[:, :: max(1, round(rate / _FLAT_RATE))]
    if taken.shape[1] < 3:
        return np.zeros(len(rows), dtype=np.float32)
    step = np.abs(np.diff(taken, axis=1))
    flat = (np.abs(taken[:, 1:]) >= _FLAT * highest[:, None]) & (step <= _FLAT_STEP * highest[:, None])
    steep = step >= _CORNER_STEP * highest[:, None]
    corners = (flat[:, 1:] & steep[:, :-1]).sum(axis=1) + (flat[:, :-1] & steep[:, 1:]).sum(axis=1)
    count = (flat[:, 1:] & flat[:, :-1]).sum(axis=1)  # a pointed peak may have two equal samples, never three
    clipped = (corners >= _CORNERS * count) & (highest > 64 * STEP)
    return np.where(clipped, count / step.shape[1], 0).astype(np.float32)


def _cancelled(frames: NDArray[np.float32], length: int) -> NDArray[np.bool_]:
    count = frames.shape[1]
    if count == 1:
        return np.zeros(len(frames) // length, dtype=np.bool_)
    rows = frames.reshape(-1, length, count)
    power = np.einsum("knc,knc->kc", rows, rows, dtype=np.float64) / length
    mean = rows.mean(axis=2)
    return cancels(np.einsum("kn,kn->k", mean, mean, dtype=np.float64) / length, power)


def _dropouts(mono: NDArray[np.float32], rate: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Share of each second within dropouts, and dropouts that begin in it.

    A microphone never falls below its own noise: a dropout is 8 ms to 2 s, at least 12 dB below the quietest
    twentieth of the surrounding 30 s, with steep edges. Levels are those of the first difference, which leaves
    rumble out.
    """
    seconds = -(-len(mono) // rate)
    shares, counts = np.zeros(seconds, dtype=np.float32), np.zeros(seconds, dtype=np.int32)
    length = rate // _HOLE_RATE
    steps = (len(mono) - 1) // length
    if steps < 2 * _SHORTEST_HOLE:
        return shares, counts
    difference = np.diff(mono)[: steps * length].reshape(steps, length)
    power = np.einsum("kn,kn->k", difference, difference, dtype=np.float64) / length
    level = np.maximum(10 * np.log10(np.maximum(power, 1e-30)), _NOTHING_DB)
    sounding = level > _RECORDED_DBFS
    if sounding.mean() < 0.5:  # noise-gated or nearly silent: nothing tells a dropout from a pause
        return shares, counts
    floor = np.percentile(level[sounding], _FLOOR_PERCENTILE)
    low = level < min(floor - _HOLE_BELOW_FLOOR_DB, _HOLE_LEVEL_DBFS)
    edges = np.diff(np.concatenate(([0], low.astype(np.int8), [0])))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    inside = (
        (starts >= _EDGE)
        & (ends <= steps - _EDGE)
        & (ends - starts >= _SHORTEST_HOLE)
        & (ends - starts <= _LONGEST_HOLE)
    )
    starts, ends = starts[inside], ends[inside]
    before, after = level[starts - _EDGE], level[ends + _EDGE - 1]
    steep = (before > level[starts] + _HOLE_EDGE_DB) & (after > level[ends - 1] + _HOLE_EDGE_DB)
    for start, end in zip((starts[steep] * length).tolist(), (ends[steep] * length).tolist(), strict=True):
        counts[start // rate] += 1
        for second in range(start // rate, (end - 1) // rate + 1):
            shares[second] += (min(end, (second + 1) * rate) - max(start, second * rate)) / rate
    return shares, counts
