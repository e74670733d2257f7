"""MFCC features on the frame grid: the teacher of the first HuBERT iteration, and the features of the aligner.

The input is a 16 kHz waveform, the output 13 coefficients with their first and second differences for each frame.
Settings are those of Kaldi's ``compute-mfcc-feats`` with ``--use-energy=false``, as in HuBERT's published recipe: 25
ms Povey windows every 10 ms without padding, pre-emphasis 0.97, 23 mel bands from 20 Hz, lifter 22, no dither. Kaldi's
10 ms frame 2i covers samples [320 i, 320 i + 400), exactly like frame i of the encoder, so every second one is kept;
the differences are taken before that, at 10 ms.

One thing differs from the published script on purpose: samples are on Kaldi's own scale (16-bit integers), not in [-1,
1]. The two differ by a constant in the first coefficient, except that Kaldi's floor under the mel energies is made for
integers and would flatten quiet far-field speech on the other scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.pcm import FULL_SCALE
from babyhubert.errors import MissingExtraError
from babyhubert.timebase import FRAME_RECEPTIVE_FIELD, SAMPLE_RATE

COEFFICIENTS = 13
MFCC_DIM = 3 * COEFFICIENTS
_STEPS_PER_FRAME = 2
_DELTA_REACH = 2


def mfcc(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Coefficients and their differences for each frame.

    Args:
        waveform: 16 kHz, in [-1, 1], float32, (n,).

    Returns:
        Float32, (T(n), 39): 13 coefficients, 13 differences, 13 differences of these.

    Raises:
        MissingExtraError: kaldi-native-fbank is not installed.
    """
    if len(waveform) < FRAME_RECEPTIVE_FIELD:
        return np.zeros((0, MFCC_DIM), dtype=np.float32)
    steps = _ten_millisecond_steps(waveform)
    first = differences(steps)
    return np.concatenate([steps, first, differences(first)], axis=1)[::_STEPS_PER_FRAME]


def differences(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Slope of a line through five steps around each one, the ends repeated outwards; same shape and dtype."""
    padded = np.pad(steps, ((_DELTA_REACH, _DELTA_REACH), (0, 0)), mode="edge")
    count = len(steps)
    slope = np.zeros_like(steps)
    for reach in range(1, _DELTA_REACH + 1):
        slope += reach * (padded[_DELTA_REACH + reach :][:count] - padded[_DELTA_REACH - reach :][:count])
    return slope / np.float32(2 * sum(reach**2 for reach in range(1, _DELTA_REACH + 1)))


def _ten_millisecond_steps(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Kaldi's 13 coefficients every 10 ms, ((n - 400) // 160 + 1, 13)."""
    kaldi = _kaldi()
    computer = kaldi.OnlineMfcc(_options(kaldi))
    computer.accept_waveform(SAMPLE_RATE, waveform * np.float32(FULL_SCALE))
    computer.input_finished()
    return np.stack([computer.get_frame(step) for step in range(computer.num_frames_ready)])


def _options(kaldi: Any) -> Any:
    options = kaldi.MfccOptions()
    options.num_ceps = COEFFICIENTS
    options.use_energy = False
    options.cepstral_lifter = 22.0
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.frame_opts.frame_length_ms = 25.0
    options.frame_opts.frame_shift_ms = 10.0
    options.frame_opts.dither = 0.0
    options.frame_opts.preemph_coeff = 0.97
    options.frame_opts.remove_dc_offset = True
    options.frame_opts.window_type = "povey"
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = 23
    options.mel_opts.low_freq = 20.0
    options.mel_opts.high_freq = 0.0
    return options


def _kaldi() -> Any:
    try:
        import kaldi_native_fbank
    except ImportError:
        raise MissingExtraError("the mfcc teacher", "pretrain") from None
    return kaldi_native_fbank
