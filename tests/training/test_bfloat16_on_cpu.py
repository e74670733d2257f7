"""Training in bfloat16 on a CPU that has it follows the curve of float32."""

import numpy as np
import pytest
import torch

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.precision import has_matrix_units
from babyhubert.pretraining.batches import Batch
from babyhubert.pretraining.masking import MaskSettings, span_mask
from babyhubert.pretraining.model import MaskedPrediction
from babyhubert.pretraining.settings import OptimiserSettings
from babyhubert.training.optimiser import build_optimiser
from babyhubert.training.precision import autocast

UNITS, SAMPLES, STEPS = 8, 16_000, 40
TINY = HubertConfig(
    conv_dim=(16,) * 7,
    hidden_size=64,
    layers=1,
    heads=1,
    feed_forward=128,
    position_kernel=16,
    position_groups=4,
    layer_drop=0.0,
    hidden_dropout=0.0,
    attention_dropout=0.0,
    projection_dropout=0.0,
)


def tones(rng):
    """Two waveforms whose pitch is the unit of their frames."""
    frames = (SAMPLES - 400) // 320 + 1
    units = np.repeat(rng.integers(0, UNITS, (2, -(-frames // 7))), 7, axis=1)[:, :frames]
    pitch = np.repeat(200.0 + 300 * units, 320, axis=1)
    pitch = np.pad(pitch, ((0, 0), (0, SAMPLES - pitch.shape[1])), mode="edge")
    pcm = (8000 * np.sin(2 * np.pi * np.cumsum(pitch, axis=1) / 16_000)).astype(np.int16)
    return Batch.of(pcm, units, span_mask(2, frames, MaskSettings(), rng))


def curve(precision):
    model = MaskedPrediction.fresh(TINY, UNITS, torch.Generator().manual_seed(0)).train()
    optimiser = build_optimiser(model, OptimiserSettings())
    for group in optimiser.param_groups:
        group["lr"] = 1e-3
    casting, rng, losses = autocast(precision, torch.device("cpu")), np.random.default_rng(0), []
    for _ in range(STEPS):
        batch = tones(rng)
        with casting():
            loss = model(batch).loss / batch.masked
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
    return np.array(losses)


@pytest.mark.skipif(not has_matrix_units(), reason="no bfloat16 in hardware: minutes instead of seconds")
def test_the_loss_falls_alike():
    exact, rounded = curve("float32"), curve("bf16")
    assert exact[-5:].mean() < exact[:5].mean() - 0.2
    np.testing.assert_allclose(rounded, exact, rtol=0.1)
    assert abs(rounded[-10:].mean() - exact[-10:].mean()) < 0.03 * exact[-10:].mean()
