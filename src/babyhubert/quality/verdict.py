"""Verdict on a recording: faults with their degree, the stretches they cover, and what to do about them.

Input: values of every second and minute. Output: figures, findings and bad stretches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, close_gaps, total
from babyhubert.audio.signal_checks import named_channels
from babyhubert.quality.hum import MAINS_HZ
from babyhubert.quality.limits import Limits
from babyhubert.quality.minutes import MINUTE, MinuteChecks
from babyhubert.quality.samples import SecondValues
from babyhubert.timebase import SAMPLE_RATE, format_clock, samples_to_hours

Severity = Literal["fault", "note"]

UNUSABLE = ("silent", "cancelled", "clipped", "dropouts", "repeated", "muffled", "noisy")
"""Kinds of stretches that do not count as usable. Still stretches count: a sleeping child is silent."""

_USUAL_SPEECH_DBFS = -30.0
"""Level of speech where a recording has none: about that of the recorders of daylong recordings."""
_DEAD = 0.9
"""Share of digital silence above which nothing else is said of the sound."""
_NARROW_HZ = 4_000
_SPOKEN_MINUTES = 3
"""Steps of speech that a minute needs to tell the level of speech."""


@dataclass(frozen=True)
class Finding:
    """A fault of a recording, or a note about it.

    Attributes:
        kind: Name, as in the column ``faults``.
        severity: ``fault`` or ``note``.
        told: A sentence with the degree and the remedy.
    """

    kind: str
    severity: Severity
    told: str


@dataclass(frozen=True)
class Assessment:
    """Result for a recording.

    Attributes:
        figures: Measures by column of ``quality.csv``.
        findings: Faults first.
        stretches: Bad stretches by kind, in samples.
    """

    figures: dict[str, Any]
    findings: tuple[Finding, ...]
    stretches: dict[str, Intervals]

    @property
    def unusable(self) -> Intervals:
        """Union of the stretches that do not count as usable."""
        return joined([self.stretches[kind] for kind in UNUSABLE if kind in self.stretches])


def joined(stretches: list[Intervals]) -> Intervals:
    """Union of several sets of stretches."""
    if not stretches:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return close_gaps(np.concatenate([each[0] for each in stretches]), np.concatenate([each[1] for each in stretches]))


@dataclass(frozen=True)
class Measured:
    """Everything that was measured of a recording.

    Attributes:
        samples: Length at 16 kHz.
        seconds: Values of every second.
        checks: Values of every minute.
        voices: True if voices were detected by a model.
        announced_s: Duration according to the metadata, seconds; None if unknown.
    """

    samples: int
    seconds: SecondValues
    checks: MinuteChecks
    voices: bool = False
    announced_s: float | None = None

    def minute(self, name: str) -> NDArray[np.float64]:
        """A value of every minute."""
        return np.array(getattr(self.checks.values, name), dtype=np.float64)


def assess(measured: Measured, limits: Limits) -> Assessment:
    """Find the faults of a recording."""
    speech = _speech_level(measured)
    stretches = {kind: found for kind, found in _stretches(measured, speech, limits).items() if len(found[0])}
    figures = _figures(measured, stretches, speech, limits)
    findings = [*_found(measured, figures, limits)]
    findings.sort(key=lambda finding: finding.severity != "fault")
    result = Assessment(figures, tuple(findings), stretches)
    hours = samples_to_hours(measured.samples)
    figures["usable_h"] = hours - samples_to_hours(total(*result.unusable))
    return result


def _speech_level(measured: Measured) -> float:
    """Usual level of speech: the median over the minutes with some, dBFS; -30 where there are none."""
    spoken = (measured.minute("speech_steps") >= _SPOKEN_MINUTES) & (
        measured.minute("speech") > measured.minute("floor") + 6
    )
    return float(np.median(measured.minute("speech")[spoken])) if spoken.any() else _USUAL_SPEECH_DBFS


def _stretches(measured: Measured, speech: float, limits: Limits) -> dict[str, Intervals]:
    seconds = measured.seconds
    silent = _runs(seconds.constant, SAMPLE_RATE, measured.samples)
    clipped = _runs(seconds.flat >= limits.clipped_share, SAMPLE_RATE, measured.samples)
    by_minute = _minute_masks(measured, speech, limits)
    return {
        "silent": silent,
        "cancelled": _runs(seconds.cancelled, SAMPLE_RATE, measured.samples),
        "clipped": clipped,
        "dropouts": _runs(seconds.lost > 0, SAMPLE_RATE, measured.samples),
        "repeated": _runs(seconds.repeated > 0, SAMPLE_RATE, measured.samples),
        **{kind: _runs(mask, MINUTE, measured.samples) for kind, mask in by_minute.items()},
    }


def _minute_masks(measured: Measured, speech: float, limits: Limits) -> dict[str, NDArray[np.bool_]]:
    floor, active = measured.minute("floor"), measured.minute("active")
    sounding = measured.minute("level") > limits.sounding_dbfs
    still = sounding & (active < limits.still_steps)
    noisy = sounding & (speech - floor < limits.noise_db)
    if sounding.any() and _dynamics(measured, sounding) < limits.dynamics_db:
        noisy |= sounding & (floor > limits.drowned_floor_dbfs)
    long = measured.minute("samples") >= limits.shortest_s * SAMPLE_RATE
    muffled = sounding & ~still & long & (measured.minute("treble") < limits.treble_db)
    long_still = _runs(still & ~noisy, 1, len(still))
    kept = long_still[1] - long_still[0] >= limits.still_minutes
    mask = np.zeros(len(still), dtype=np.bool_)
    for start, end in zip(long_still[0][kept].tolist(), long_still[1][kept].tolist(), strict=True):
        mask[start:end] = True
    return {"noisy": noisy, "muffled": muffled, "still": mask}


def _dynamics(measured: Measured, sounding: NDArray[np.bool_]) -> float:
    """Level of the loudest hundredth over the floor, dB: the 90th percentile over minutes."""
    over = measured.minute("top") - measured.minute("floor")
    return float(np.percentile(over[sounding], 90))


def _runs(mask: NDArray[np.bool_], length: int, samples: int) -> Intervals:
    """Runs of True, of cells of so many samples, within a recording."""
    edges = np.diff(np.concatenate(([0], mask.astype(np.int8), [0])))
    start, end = np.flatnonzero(edges == 1) * length, np.flatnonzero(edges == -1) * length
    return start.astype(np.int64), np.minimum(end, samples).astype(np.int64)


def _share(stretches: dict[str, Intervals], kind: str, samples: int) -> float:
    return total(*stretches[kind]) / samples if kind in stretches else 0.0


def _figures(measured: Measured, stretches: dict[str, Intervals], speech: float, limits: Limits) -> dict[str, Any]:
    seconds, minutes = measured.seconds, measured.checks.values
    samples, hours = measured.samples, samples_to_hours(measured.samples)
    loud = measured.minute("level") > limits.sounding_dbfs
    moving = measured.minute("active") >= limits.still_steps
    still, sounding = loud & ~moving, loud & moving
    hum = measured.minute("mains") > 0
    mains = max(MAINS_HZ, key=lambda hertz: minutes.mains.count(hertz)) if hum.any() else None
    pitch = measured.checks.speed
    return {
        "duration_h": hours,
        "level_dbfs": _power_mean(measured.minute("level"), measured.minute("samples")),
        "peak_dbfs": _decibels(float(seconds.peak.max(initial=0))),
        "speech_dbfs": speech,
        "floor_dbfs": float(np.median(measured.minute("floor"))),
        "snr_db": _snr(measured),
        "silent_share": _share(stretches, "silent", samples),
        "clipped_share": _share(stretches, "clipped", samples),
        "dropouts_per_h": float(seconds.holes.sum()) / hours,
        "repeats_per_h": float(seconds.repeats.sum()) / hours,
        "cancelled_share": _share(stretches, "cancelled", samples),
        "silent_channels": " ".join(map(str, seconds.silent_channels)),
        "treble_db": float(np.median(measured.minute("treble")[sounding])) if sounding.any() else math.nan,
        "muffled_share": _share(stretches, "muffled", samples),
        "bandwidth_hz": measured.checks.bandwidth_hz,
        "hum_hz": mains or math.nan,
        "hum_dbfs": _power_mean(measured.minute("hum")[hum], measured.minute("samples")[hum])
        if hum.any()
        else -math.inf,
        "hum_share": float(hum.mean()),
        "line_hz": measured.checks.clock.frequency() or math.nan,
        "pitch_low_hz": pitch.pitch(5),
        "pitch_median_hz": pitch.pitch(50),
        "still_share": float(still.mean()),
        "noisy_share": _share(stretches, "noisy", samples),
        "dynamics_db": _dynamics(measured, loud) if loud.any() else math.nan,
        "announced_h": math.nan if measured.announced_s is None else measured.announced_s / 3600,
    }


def _snr(measured: Measured) -> float:
    """Power of voices over that of the rest, dB: noise is taken off the voices; NaN without any."""
    steps, samples = measured.minute("speech_steps"), measured.minute("samples")
    spoken = 10 ** (measured.minute("speech") / 10) * steps
    rest = np.maximum(samples / (SAMPLE_RATE / 10) - steps, 0)
    noise = 10 ** (measured.minute("noise") / 10) * rest
    if steps.sum() < _SPOKEN_MINUTES or rest.sum() == 0 or noise.sum() <= 0:
        return math.nan
    background = noise.sum() / rest.sum()
    return float(10 * np.log10(max(spoken.sum() / steps.sum() - background, 1e-3 * background) / background))


def _power_mean(decibels: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    return float(10 * np.log10(np.average(10 ** (decibels / 10), weights=weights)))


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def _found(measured: Measured, figures: dict[str, Any], limits: Limits) -> Iterator[Finding]:
    yield from _file_faults(measured, figures, limits)
    yield from _sound_faults(measured, figures, limits)
    yield from _speed_faults(measured, figures, limits)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.1 else f"{100 * share:.2g}%"


def _file_faults(measured: Measured, figures: dict[str, Any], limits: Limits) -> Iterator[Finding]:
    """Faults of recorder and file: silence, channels, clipping, dropouts, repeats."""
    silent = figures["silent_share"]
    if silent >= 1 - 1e-9 or silent > limits.silent_share:
        told = (
            f"digital silence in {_percent(silent)} of it: look for a muted recorder, an empty export, or a lost file"
        )
        yield Finding("silent", "fault", told)
    channels = measured.seconds.silent_channels
    if channels:
        name = named_channels(np.array(channels))
        yield Finding("silent_channel", "fault", f"{name} without sound: check the plug; use --channel with another")
    if figures["cancelled_share"] > limits.cancelled_share:
        told = (
            f"the channels cancel each other out in {_percent(figures['cancelled_share'])} of it (opposite phase): "
            "use --channel 0 or 1, not the mean"
        )
        yield Finding("opposite_phase", "fault", told)
    clipped = figures["clipped_share"]
    if clipped:
        told = f"clipped in {_percent(clipped)} of its seconds: lower the recorder's gain; loud voices are distorted"
        yield Finding("clipped", _severity(clipped >= limits.clipped_seconds), told)
    for kind, name, remedy in (
        ("dropouts", "dropouts", "replace the card or the cable; the sound in them is lost"),
        ("repeated", "repeated blocks", "replace the card or the recorder; the sound they hide is lost"),
    ):
        count = int((measured.seconds.holes if kind == "dropouts" else measured.seconds.repeats).sum())
        rate = figures["dropouts_per_h" if kind == "dropouts" else "repeats_per_h"]
        if rate >= limits.lost_per_hour and count > 1:
            yield Finding(kind, "fault", f"{count} {name} ({rate:.0f} an hour): {remedy}")
        elif count:
            yield Finding(kind, "note", f"{count} {name}")


def _sound_faults(measured: Measured, figures: dict[str, Any], limits: Limits) -> Iterator[Finding]:
    """Faults of place and microphone: not worn, noise, muffled, hum."""
    minutes = len(measured.checks.values.samples)
    still, noisy, muffled = figures["still_share"], figures["noisy_share"], figures["muffled_share"]
    dead = figures["silent_share"] > _DEAD
    if not dead and minutes >= limits.still_minutes and still >= limits.still_share and noisy < limits.noisy_share:
        told = (
            f"nothing but the recorder's own noise in {_percent(still)} of its minutes: it was probably not worn (a "
            "drawer, a bag); leave it out"
        )
        yield Finding("not_worn", "fault", told)
    if noisy and not dead:
        remedy = "counts there are too low; leave those stretches out (quality.uem)"
        severity = _severity(noisy >= limits.noisy_share)
        yield Finding("noisy", severity, f"background as loud as speech in {_percent(noisy)} of it: {remedy}")
    elif figures["snr_db"] < limits.snr_db:
        yield Finding("low_snr", "note", f"speech only {figures['snr_db']:.0f} dB above the background")
    if muffled:
        told = f"muffled in {_percent(muffled)} of it (hardly anything above 2.5 kHz): the microphone was covered"
        remedy = "check the pocket of the vest"
        yield Finding("muffled", _severity(muffled >= limits.muffled_share), f"{told}; {remedy}")
    elif 0 < figures["bandwidth_hz"] <= _NARROW_HZ and not dead:
        told = f"no voices above {figures['bandwidth_hz'] / 1000:g} kHz: a telephone, 8 kHz or strong compression"
        yield Finding("narrow_band", "note", told)
    yield from _hum_fault(figures, limits)


def _severity(fault: bool) -> Severity:
    return "fault" if fault else "note"


def _hum_fault(figures: dict[str, Any], limits: Limits) -> Iterator[Finding]:
    if figures["hum_share"] < 0.5:
        return
    below = figures["speech_dbfs"] - figures["hum_dbfs"]
    share = _percent(figures["hum_share"])
    told = f"mains hum at {figures['hum_hz']:.0f} Hz, {below:.0f} dB below the speech, in {share} of it"
    if below < limits.hum_db:
        yield Finding(
            "hum", "fault", f"{told}: record on battery, away from chargers; a high-pass at 150 Hz helps little"
        )
    else:
        yield Finding("hum", "note", told)


def _speed_faults(measured: Measured, figures: dict[str, Any], limits: Limits) -> Iterator[Finding]:
    announced = measured.announced_s
    length = measured.samples / SAMPLE_RATE
    if announced and abs(length / announced - 1) > limits.length_share:
        told = (
            f"{format_clock(measured.samples)} long, but the metadata says "
            f"{format_clock(round(announced * SAMPLE_RATE))} (factor {length / announced:.3f}): "
            "wrong sampling rate in the header, or a part is missing"
        )
        yield Finding("duration", "fault", told)
    line = figures["line_hz"]
    if not math.isnan(line):
        factors = [line / mains for mains in MAINS_HZ]
        nearest = min(factors, key=lambda factor: abs(math.log(factor)))
        if all(abs(factor - 1) > limits.speed_step for factor in factors):
            told = (
                f"a hum at {line:.1f} Hz instead of 50 or 60: played at {nearest:.3f} times its speed, or a motor; "
                "check the sampling rate"
            )
            yield Finding("speed", "fault", told)
    factor = measured.checks.speed.factor()
    if factor is not None:
        told = (
            f"voices are {'lower' if factor < 1 else 'higher'} than people's (5% below "
            f"{figures['pitch_low_hz']:.0f} Hz, median {figures['pitch_median_hz']:.0f} Hz): check the sampling rate, "
            f"it may run at {factor:g} times its speed"
        )
        yield Finding("pitch", "fault", told)
