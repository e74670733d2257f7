"""Voice conversion: longer or shorter vocal tracts, and whispers.

Playing a voice faster moves pitch and resonances together. Moving the resonances alone gives, in addition, any
combination of the two, so that a few speakers yield many voices. Both functions work on magnitudes of short frames and
keep the length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from babyhubert.timebase import SAMPLE_RATE

_FRAME, _HOP = 512, 128
_LIFTER = 28
"""Cepstral coefficients of an envelope: below the period of the highest voices (570 Hz)."""


def move_resonances(waveform: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Multiply every resonance of a voice by ``factor``, keeping its pitch.

    Args:
        waveform: float32, shape (N,), 16 kHz.
        factor: Above 1 a shorter vocal tract; 1 changes nothing.
    """
    if factor == 1.0:
        return waveform
    spectra = _spectra(waveform)
    envelope = _log_envelope(np.abs(spectra))
    bins = np.arange(spectra.shape[1])
    source = np.minimum(bins / factor, bins[-1])
    below = np.minimum(source.astype(np.int64), bins[-1] - 1)
    part = source - below
    moved = (1 - part) * envelope[:, below] + part * envelope[:, below + 1]
    return _overlap_add(spectra * np.exp(moved - envelope), len(waveform))


def whisper(waveform: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Turn a voice into a whisper: noise with the same articulation and weakened low frequencies."""
    envelope = np.exp(_log_envelope(np.abs(_spectra(waveform))))
    noise = _spectra(rng.standard_normal(len(waveform)).astype(np.float32))
    hertz = np.fft.rfftfreq(_FRAME, 1 / SAMPLE_RATE)
    slope = np.minimum(np.maximum(hertz, 50.0) / 1000.0, 1.0)
    return _overlap_add(noise * envelope * slope, len(waveform))


def _spectra(waveform: NDArray[np.float32]) -> NDArray[np.complex128]:
    padded = np.pad(waveform, (_FRAME, 2 * _FRAME))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    return np.fft.rfft(frames * _window(), axis=1)


def _overlap_add(spectra: NDArray[np.complex128], samples: int) -> NDArray[np.float32]:
    frames = np.fft.irfft(spectra, _FRAME, axis=1) * _window()
    out = np.zeros((len(frames) - 1) * _HOP + _FRAME)
    parts = _FRAME // _HOP
    for part in range(parts):
        stretch = frames[:, part * _HOP : (part + 1) * _HOP].ravel()
        out[part * _HOP : part * _HOP + len(stretch)] += stretch
    return (out[_FRAME : _FRAME + samples] / 1.5).astype(np.float32)  # squared windows add up to 3 / 2


def _window() -> NDArray[np.float64]:
    return np.hanning(_FRAME + 1)[:-1]


def _log_envelope(magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log magnitude smoothed over frequency: the first coefficients of the cepstrum."""
    floor = 1e-4 * max(float(magnitudes.max(initial=0.0)), 1e-9)
    cepstra = np.fft.irfft(np.log(np.maximum(magnitudes, floor)), _FRAME, axis=1)
    cepstra[:, _LIFTER : _FRAME - _LIFTER + 1] = 0.0
    return np.fft.rfft(cepstra, axis=1).real
