"""Small encoders and waveforms for tests, drawn from given seeds."""

from __future__ import annotations

import torch

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.hubert import HubertEncoder, initialise

TINY = HubertConfig(conv_dim=(8,) * 7, hidden_size=128, layers=3, heads=2, feed_forward=96)
TINY_LARGE = TINY.with_changes(feature_norm="layer", conv_bias=True, pre_norm=True)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fresh(config: HubertConfig, seed: int = 0) -> HubertEncoder:
    """An encoder whose every parameter is drawn, norms and biases included, in evaluation mode."""
    encoder = initialise(HubertEncoder(config), generator(seed))
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator(seed)) * 0.1)
    return encoder.eval()


def training_encoder(**changes) -> HubertEncoder:
    """One in training mode whose results owe nothing to chance."""
    quiet = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "projection_dropout": 0.0, "layer_drop": 0.0}
    return fresh(TINY.with_changes(**{**quiet, **changes})).train()


def noise(batch: int, samples: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, samples, generator=generator(seed)) * 0.1
