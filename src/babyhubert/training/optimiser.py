"""AdamW of both trainings: biases and norms decay as well, as published."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn


class AdamSettings(Protocol):
    """Settings of AdamW."""

    @property
    def learning_rate(self) -> float: ...  # noqa: D102

    @property
    def beta1(self) -> float: ...  # noqa: D102

    @property
    def beta2(self) -> float: ...  # noqa: D102

    @property
    def eps(self) -> float: ...  # noqa: D102

    @property
    def weight_decay(self) -> float: ...  # noqa: D102


def build_optimiser(model: nn.Module, settings: AdamSettings) -> torch.optim.AdamW:
    """AdamW on all that is trained, fused."""
    return torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )
