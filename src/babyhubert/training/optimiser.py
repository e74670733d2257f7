"""AdamW of both trainings: biases and norms decay as well, as published."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn


class StepSettings(Protocol):
    """Settings of a step: batches of each process in it, AdamW, and the largest norm of the gradient (0: any)."""

    accumulate: int
    learning_rate: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    clip_norm: float


def build_optimiser(model: nn.Module, settings: StepSettings) -> torch.optim.AdamW:
    """AdamW on all trained weights, fused."""
    return torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )
