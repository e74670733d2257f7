"""Augmentation of training windows: changes that leave their labels valid.

Every change is drawn from the generator that is passed, works on a whole batch of waveforms, (B, n) float32, and
leaves rows unchanged that were not drawn. Levels are measured over a row's own samples, so padding does not dilute
them. Time and pitch are different: they decide how much audio a window is cut from, so they are drawn before the
window (:meth:`Augmentation.warps`) and applied while the window is read (:func:`warp`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from babyhubert.audio.acoustics import convolve, room_response
from babyhubert.audio.discovery import discover
from babyhubert.config import Config
from babyhubert.material.audio_store import AudioStore
from babyhubert.timebase import SAMPLE_RATE

Waveforms = NDArray[np.float32]

_OPUS_KBIT_S = (6, 256)
"""Rates of libsndfile's compression levels 1 and 0, which it interpolates."""


def _ascending(values: Sequence[float]) -> Sequence[float]:
    if len(values) != 2 or values[0] > values[1]:
        raise ValueError("a range is two numbers, the lower one first")
    return values


def _positive(values: Sequence[float]) -> Sequence[float]:
    if values[0] <= 0:
        raise ValueError("a factor is more than 0")
    return values


def _within_two_octaves(values: Sequence[float]) -> Sequence[float]:
    if values[0] < -24 or values[1] > 24:
        raise ValueError("a change of pitch is within 24 semitones up or down")
    return values


def _rates_of_opus(values: Sequence[float]) -> Sequence[float]:
    lowest, highest = _OPUS_KBIT_S
    if values[0] < lowest or values[1] > highest:
        raise ValueError(f"Opus has {lowest} to {highest} kbit/s")
    return values


Range = Annotated[Sequence[float], AfterValidator(_ascending)]
FactorRange = Annotated[Sequence[float], AfterValidator(_ascending), AfterValidator(_positive)]
SemitoneRange = Annotated[Sequence[float], AfterValidator(_ascending), AfterValidator(_within_two_octaves)]
Probability = Annotated[float, Field(ge=0, le=1)]


class NoiseSettings(Config):
    """Noise added to a fraction of the windows.

    Attributes:
        probability: Share of windows.
        snr_db: Range of the window's power over the noise's, dB.
        tilt: Range of the exponent e of generated noise, whose power falls as 1 / f^e: 0 white, 1 pink, 2 brown.
        folder: Recordings to take noise from instead, any stretch of them.
    """

    probability: Probability = 0.5
    snr_db: Range = (5.0, 25.0)
    tilt: Range = (0.0, 2.0)
    folder: str | None = None


class ReverberationSettings(Config):
    """Reverberation of a fraction of the windows: an impulse response that decays exponentially, of unit energy.

    Attributes:
        probability: Share of windows.
        decay_s: Range of the time in which the sound falls by 60 dB.
        direct_to_reverberant_db: Range of the direct sound's energy over the room's.
    """

    probability: Probability = 0.3
    decay_s: Range = (0.15, 0.6)
    direct_to_reverberant_db: Range = (-3.0, 12.0)


class ResponseSettings(Config):
    """A microphone under cloth, or another one, around a share of the windows: a smooth change of the spectrum.

    Attributes:
        probability: Share of windows.
        spread_db: Gain at each of a few frequencies, up or down, dB; between them it changes steadily.
    """

    probability: Probability = 0.3
    spread_db: Annotated[float, Field(ge=0, le=40)] = 12.0


class ClippingSettings(Config):
    """A recorder that is overloaded, in a share of the windows: samples beyond a level are cut to it.

    Attributes:
        probability: Share of windows.
        share: Range of the share of samples that are cut.
    """

    probability: Probability = 0.1
    share: Range = (0.0002, 0.02)


class CodecSettings(Config):
    """Lossy compression of a share of the windows: Opus, written and read again, at a low rate.

    Attributes:
        probability: Share of windows.
        kbit_s: Range of the rate, 6 to 256 kbit/s.
    """

    probability: Probability = 0.2
    kbit_s: Annotated[Range, AfterValidator(_rates_of_opus)] = (10.0, 32.0)


class SpeedSettings(Config):
    """Faster and higher, or slower and lower, as with a tape.

    Attributes:
        probability: Fraction of windows.
        factor: Range of the factor on tempo and pitch.
    """

    probability: Probability = 0.5
    factor: FactorRange = (0.9, 1.1)


class TempoSettings(Config):
    """Faster or slower at the same pitch, see :func:`stretch`.

    Attributes:
        probability: Share of windows.
        factor: Range of the factor on tempo.
    """

    probability: Probability = 0.5
    factor: FactorRange = (0.9, 1.1)


class PitchSettings(Config):
    """Higher or lower, formants included, at the same tempo.

    Attributes:
        probability: Share of windows.
        semitones: Range of the change.
    """

    probability: Probability = 0.5
    semitones: SemitoneRange = (-2.0, 2.0)


class AugmentationSettings(Config):
    """Augmentation of training windows; none by default, as published.

    Attributes:
        gain_db: Level changes of up to so many dB, up or down.
        noise: Noise.
        reverberation: Rooms.
        response: Microphones and clothing.
        clipping: Overload of the recorder.
        codec: Lossy compression.
        speed: Tempo and pitch together.
        tempo: Tempo alone.
        pitch: Pitch alone.
    """

    gain_db: Annotated[float, Field(ge=0)] = 0.0
    noise: NoiseSettings | None = None
    reverberation: ReverberationSettings | None = None
    response: ResponseSettings | None = None
    clipping: ClippingSettings | None = None
    codec: CodecSettings | None = None
    speed: SpeedSettings | None = None
    tempo: TempoSettings | None = None
    pitch: PitchSettings | None = None


@dataclass(frozen=True, eq=False)
class Warps:
    """Changes of time and pitch of windows: factors, 1 for no change.

    Attributes:
        tempo: Seconds of the recording in a second of the window, float64 (B,).
        pitch: Factor on every frequency, float64 (B,).
    """

    tempo: NDArray[np.float64]
    pitch: NDArray[np.float64]

    @classmethod
    def none(cls, count: int) -> Warps:
        """No changes."""
        return cls(np.ones(count), np.ones(count))


@dataclass(frozen=True, eq=False)
class Augmentation:
    """The changes of a run, with the noise recordings opened.

    Attributes:
        settings: Settings of the changes.
        noise: Noise recordings; None: noise is generated.
    """

    settings: AugmentationSettings
    noise: AudioStore | None = None

    @classmethod
    def prepare(cls, settings: AugmentationSettings, cache: Path) -> Augmentation:
        """Open and decode the noise folder, if there is one.

        Raises:
            AudioError: no readable recording there.
        """
        folder = settings.noise.folder if settings.noise else None
        return cls(settings, None if folder is None else AudioStore.build(discover([folder]), cache))

    def warps(self, count: int, rng: np.random.Generator) -> Warps:
        """Draw changes of time and pitch of a number of windows."""
        settings, tempo, pitch = self.settings, np.ones(count), np.ones(count)
        if settings.speed is not None:
            factors = _drawn(settings.speed.factor, settings.speed.probability, count, rng, neutral=1.0)
            tempo, pitch = tempo * factors, pitch * factors
        if settings.tempo is not None:
            tempo = tempo * _drawn(settings.tempo.factor, settings.tempo.probability, count, rng, neutral=1.0)
        if settings.pitch is not None:
            semitones = _drawn(settings.pitch.semitones, settings.pitch.probability, count, rng, neutral=0.0)
            pitch = pitch * 2 ** (semitones / 12)
        return Warps(tempo, pitch)

    def __call__(self, waveforms: Waveforms, lengths: NDArray[np.int64], rng: np.random.Generator) -> Waveforms:
        """Apply reverberation, then noise, the microphone, overload and compression, then level.

        Args:
            waveforms: (B, n), zeros from each row's length on.
            lengths: Samples of each row.
            rng: Source of randomness.
        """
        settings = self.settings
        inside = np.arange(waveforms.shape[1]) < lengths[:, None]
        if settings.reverberation is not None:
            waveforms = reverberate(waveforms, settings.reverberation, rng) * inside
        if settings.noise is not None:
            rows = np.flatnonzero(rng.random(len(waveforms)) < settings.noise.probability)
            snr_db = within(settings.noise.snr_db, len(rows), rng)
            if self.noise is None:
                noise = coloured_noise(len(rows), waveforms.shape[1], settings.noise.tilt, rng)
            else:
                noise = recorded_noise(self.noise, len(rows), waveforms.shape[1], rng)
            waveforms = waveforms.copy()
            waveforms[rows] = add_at_snr(waveforms[rows], noise * inside[rows], snr_db)
        if settings.response is not None:
            waveforms = through_microphones(waveforms, settings.response, rng) * inside
        if settings.clipping is not None:
            waveforms = overload(waveforms, lengths, settings.clipping, rng)
        if settings.codec is not None:
            waveforms = compress(waveforms, settings.codec, rng) * inside
        if settings.gain_db:
            gains = 10 ** (rng.uniform(-settings.gain_db, settings.gain_db, (len(waveforms), 1)) / 20)
            waveforms = waveforms * gains.astype(np.float32)
        return waveforms


def within(bounds: Sequence[float], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Values drawn from a range, (count,)."""
    low, high = bounds
    return rng.uniform(low, high, count)


def coloured_noise(count: int, samples: int, tilt: Sequence[float], rng: np.random.Generator) -> Waveforms:
    """Noise whose power falls as 1 / f^e above 60 Hz, e drawn for each row: float32, (count, samples)."""
    size = 1 << (max(samples, 2) - 1).bit_length()
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 60.0).astype(np.float32)
    shapes = hertz[None, :] ** (-within(tilt, count, rng)[:, None] / 2).astype(np.float32)
    spectra = rng.standard_normal((count, len(hertz), 2), dtype=np.float32).view(np.complex64)[..., 0]
    return np.fft.irfft(spectra * shapes, size)[:, :samples].astype(np.float32)


def recorded_noise(store: AudioStore, count: int, samples: int, rng: np.random.Generator) -> Waveforms:
    """Stretches of recordings, each recording as often as it is long; short ones are repeated: (count, samples)."""
    lengths = store.lengths
    chosen = rng.choice(len(lengths), count, p=lengths / lengths.sum())
    places = rng.random(count)
    rows = np.empty((count, samples), dtype=np.float32)
    for row, (index, place) in enumerate(zip(chosen, places, strict=True)):
        start = int(place * max(lengths[index] - samples, 0))
        piece = store.read(int(index), start, start + min(samples, int(lengths[index])))
        rows[row] = np.resize(piece, samples)
    return rows


def add_at_snr(waveforms: Waveforms, noise: Waveforms, snr_db: NDArray[np.float64]) -> Waveforms:
    """Add to each row its noise, scaled so that the row's power is ``snr_db`` above it; silence stays silence."""
    power, noise_power = (np.square(sound).mean(axis=1, dtype=np.float64) for sound in (waveforms, noise))
    scale = np.sqrt(power / np.maximum(noise_power, 1e-20) * 10 ** (-snr_db / 10))
    return waveforms + noise * scale[:, None].astype(np.float32)


def gains_to(level_db: NDArray[np.float64], waveforms: Waveforms) -> NDArray[np.float64]:
    """Factors that bring each row of (B, n) to an RMS level, dB, both (B,); silence stays silence."""
    power = np.square(waveforms).mean(axis=1, dtype=np.float64)
    return 10 ** (level_db / 20) / np.sqrt(np.maximum(power, 1e-20))


def reverberate(waveforms: Waveforms, settings: ReverberationSettings, rng: np.random.Generator) -> Waveforms:
    """Reverberate a fraction of the rows; the direct sound keeps its position, and a row its power."""
    rows = np.flatnonzero(rng.random(len(waveforms)) < settings.probability)
    if not len(rows):
        return waveforms
    changed = waveforms.copy()
    decays = within(settings.decay_s, len(rows), rng)
    ratios = within(settings.direct_to_reverberant_db, len(rows), rng)
    for row, decay_s, ratio_db in zip(rows, decays, ratios, strict=True):
        response = room_response(decay_s, ratio_db, rng)
        wet = convolve(waveforms[row], response)[: waveforms.shape[1]]
        before, after = np.square(waveforms[row]).sum(dtype=np.float64), np.square(wet).sum(dtype=np.float64)
        changed[row] = wet * np.float32(np.sqrt(before / after)) if after > 0 else wet
    return changed


_RESPONSE_HZ = (60.0, 200.0, 600.0, 1500.0, 3500.0, 8000.0)


def through_microphones(waveforms: Waveforms, settings: ResponseSettings, rng: np.random.Generator) -> Waveforms:
    """A share of the rows with a spectrum that rises and falls, without delay; a row's power stays what it was."""
    rows = np.flatnonzero(rng.random(len(waveforms)) < settings.probability)
    if not len(rows):
        return waveforms
    size = 1 << (max(waveforms.shape[1], 2) - 1).bit_length()
    log_hertz = np.log(np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), _RESPONSE_HZ[0]))
    gains_db = rng.uniform(-settings.spread_db, settings.spread_db, (len(rows), len(_RESPONSE_HZ)))
    changed = waveforms.copy()
    for row, gain_db in zip(rows, gains_db, strict=True):
        response = 10 ** (np.interp(log_hertz, np.log(_RESPONSE_HZ), gain_db) / 20)
        heard = np.fft.irfft(np.fft.rfft(waveforms[row], size) * response, size)[: waveforms.shape[1]]
        before, after = np.square(waveforms[row], dtype=np.float64).sum(), np.square(heard).sum()
        changed[row] = heard * np.sqrt(before / after) if after > 0 else heard
    return changed


def overload(
    waveforms: Waveforms, lengths: NDArray[np.int64], settings: ClippingSettings, rng: np.random.Generator
) -> Waveforms:
    """Cut the loudest samples of a share of the rows to one level; a row's other samples stay what they are."""
    rows = np.flatnonzero(rng.random(len(waveforms)) < settings.probability)
    changed = waveforms.copy()
    for row, share in zip(rows, within(settings.share, len(rows), rng), strict=True):
        level = np.quantile(np.abs(waveforms[row, : lengths[row]]), 1 - share)
        changed[row] = np.clip(waveforms[row], -level, level)
    return changed


def compress(waveforms: Waveforms, settings: CodecSettings, rng: np.random.Generator) -> Waveforms:
    """Write a share of the rows as Opus and read them again: the same length, without delay, and at its power."""
    rows = np.flatnonzero(rng.random(len(waveforms)) < settings.probability)
    lowest, highest = _OPUS_KBIT_S
    changed = waveforms.copy()
    for row, rate in zip(rows, within(settings.kbit_s, len(rows), rng), strict=True):
        peak = np.abs(waveforms[row]).max(initial=0.0)
        if peak == 0:
            continue
        file = io.BytesIO()
        level = (highest - rate) / (highest - lowest)
        scaled = waveforms[row] * np.float32(0.5 / peak)  # quiet rows would be rounded away, loud ones clipped
        soundfile.write(file, scaled, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=level)
        file.seek(0)
        heard = _cut_or_pad(soundfile.read(file, dtype="float32")[0], waveforms.shape[1])
        changed[row] = heard * np.float32(peak / 0.5)
    return changed


def mix_scenes(
    waveforms: Waveforms, others: Waveforms, level_db: NDArray[np.float64], rows: NDArray[np.int64]
) -> Waveforms:
    """Add another scene to rows, at a level of its own: (B, n).

    Args:
        waveforms: (B, n).
        others: Scenes added to each of ``rows``, (R, n).
        level_db: Gain of the added scenes, dB, (R,).
        rows: Indices of the rows that change.
    """
    mixed = waveforms.copy()
    mixed[rows] += others * (10 ** (level_db[:, None] / 20)).astype(np.float32)
    return mixed


def _drawn(
    bounds: Sequence[float], probability: float, count: int, rng: np.random.Generator, *, neutral: float
) -> NDArray[np.float64]:
    values = within(bounds, count, rng)
    return np.where(rng.random(count) < probability, values, neutral)


def source_samples(samples: int, tempo: float) -> int:
    """Number of source samples for a number of samples at a tempo."""
    return samples if tempo == 1.0 else round(samples * tempo)


def warp(waveform: Waveforms, samples: int, pitch: float = 1.0) -> Waveforms:
    """Change a waveform of any length to a given length, with every frequency times a factor.

    Resampling changes time and pitch together; if their factors differ, :func:`stretch` does the rest.

    Args:
        waveform: (n,).
        samples: Samples that the result has; n / samples is the change of tempo.
        pitch: Factor on every frequency.
    """
    if pitch == 1.0 and len(waveform) == samples:
        return waveform
    at_pitch = round(len(waveform) / pitch)
    if abs(at_pitch - samples) <= 1:  # as a tape: nothing is left to do
        return _resample(waveform, samples)
    return stretch(_resample(waveform, at_pitch), samples)


def _resample(waveform: Waveforms, samples: int) -> Waveforms:
    """Resample to another length."""
    if len(waveform) == samples:
        return waveform
    resampled = soxr.resample(waveform, len(waveform), samples, quality="MQ")
    return _cut_or_pad(resampled, samples)


def _cut_or_pad(waveform: Waveforms, samples: int) -> Waveforms:
    if len(waveform) < samples:
        return np.pad(waveform, (0, samples - len(waveform)))
    return waveform[:samples]


_STEP = SAMPLE_RATE // 50
_SEARCH = SAMPLE_RATE // 100


def stretch(waveform: Waveforms, samples: int) -> Waveforms:
    """Make a waveform longer or shorter at the same pitch: WSOLA (Verhelst and Roelands 1993), frames of 40 ms.

    Every 20 ms of the result takes the frame at the same position of the waveform, moved by up to 10 ms to where it
    continues the previous frame best.

    Args:
        waveform: (n,).
        samples: Samples that the result has.
    """
    ratio, before = len(waveform) / samples, _STEP + _SEARCH
    padded = np.pad(waveform, (before, before + 2 * _STEP))
    window = np.hanning(2 * _STEP + 1)[:-1].astype(np.float32)
    frames = -(-samples // _STEP) + 1
    total = np.zeros((frames + 1) * _STEP, dtype=np.float32)
    goes_on = None
    for frame in range(frames):  # the first begins a step before the result
        earliest = min(max(round((frame - 1) * _STEP * ratio) + _STEP, 0), len(waveform) + _STEP)
        place = earliest + _SEARCH
        if goes_on is not None:
            place = earliest + _best_place(padded[earliest : earliest + 2 * _SEARCH + _STEP], goes_on)
        total[frame * _STEP : (frame + 2) * _STEP] += window * padded[place : place + 2 * _STEP]
        goes_on = padded[place + _STEP : place + 2 * _STEP]
    return total[_STEP : _STEP + samples]


def _best_place(region: Waveforms, goes_on: Waveforms) -> int:
    """Offset in a region at which a stretch has the highest correlation with another; the middle if silent."""
    likeness = np.correlate(region, goes_on, "valid")
    energy = np.cumsum(np.concatenate(([0.0], np.square(region, dtype=np.float64))))
    likeness = likeness / np.sqrt(np.maximum(energy[len(goes_on) :] - energy[: -len(goes_on)], 1e-12))
    best = int(likeness.argmax())
    return best if likeness[best] > 0 else _SEARCH
