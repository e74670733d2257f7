"""Prediction of the mel spectrum of each frame from the convolutions, as a second objective.

A run of some thousand steps is too short for the convolutions to learn from unit labels alone to distinguish spectra:
their only signal is one class per frame, through blocks that are still untrained. Forty numbers per frame, predicted
from the convolutions by one linear layer, teach them in minutes. Published pre-training has no such objective.

The spectrum is normalised within its window, since a group-norm encoder cannot know the level of the recording.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD, SAMPLE_RATE

BANDS = 40
_TRANSFORM = 512
_QUIETEST = 1e-7
"""Floor of a band's energy for samples in [-1, 1]; about that of 16-bit rounding."""
_LEAST_DEVIATION = 0.1
"""Minimum deviation of log energies in a window: digital silence stays flat instead of becoming rounding noise."""


class SpectrumHead(nn.Module):
    """Prediction error of the spectrum from the convolutions.

    The linear layer begins at zero, so that convolutions that were trained before are not disturbed.

    Args:
        channels: Width C of the convolutions' output.
    """

    bank: Tensor
    window: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, BANDS)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("bank", mel_bank(), persistent=False)
        self.register_buffer("window", torch.hann_window(FRAME_RECEPTIVE_FIELD), persistent=False)

    def forward(self, features: Tensor, waveforms: Tensor) -> Tensor:
        """Mean squared error over frames and bands, float32 scalar; 1 for a prediction without information.

        Args:
            features: Output of the convolutions, (B, T, C).
            waveforms: Their input, (B, n).
        """
        with torch.autocast(features.device.type, enabled=False):
            told = self.linear(F.layer_norm(features.float(), features.shape[-1:]))
            return F.mse_loss(told, self.spectrum(waveforms.float()))

    @torch.no_grad()
    def spectrum(self, waveforms: Tensor) -> Tensor:
        """Log mel energies of each frame, mean 0 and deviation 1 in each row: (B, n) -> (B, T, 40)."""
        frames = waveforms.unfold(1, FRAME_RECEPTIVE_FIELD, FRAME_HOP) * self.window
        energies = torch.fft.rfft(frames, _TRANSFORM).abs().square() @ self.bank
        levels = (energies + _QUIETEST).log()
        levels = levels - levels.mean(dim=(1, 2), keepdim=True)
        return levels / levels.std(dim=(1, 2), keepdim=True).clamp(min=_LEAST_DEVIATION)


def mel_bank() -> Tensor:
    """Triangular bands, evenly spaced in mel from 20 Hz to half the rate: float32, (257, 40)."""

    def mel(hertz: float) -> float:
        return 1127.0 * math.log1p(hertz / 700.0)

    corners = torch.linspace(mel(20.0), mel(SAMPLE_RATE / 2), BANDS + 2)
    lines = torch.tensor([mel(line * SAMPLE_RATE / _TRANSFORM) for line in range(_TRANSFORM // 2 + 1)])
    rising = (lines[:, None] - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - lines[:, None]) / (corners[2:] - corners[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)
