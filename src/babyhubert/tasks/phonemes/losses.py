"""Losses of phoneme training that torch does not have."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def inconsistency(scores: Tensor, frames: Tensor) -> Tensor:
    """Symmetric Kullback-Leibler divergence between the outputs of two passes (Yao et al. 2024, arXiv:2410.05101).

    Half the sum of both directions. In each, the pass that is the target has no gradient.

    Args:
        scores: Log probabilities, (2 B, T, C); row i and row B + i are passes over one example.
        frames: Frames of each row that count, (2 B,).

    Returns:
        Sum over the frames of each example, (B,).
    """
    first, second = scores.chunk(2)
    inside = torch.arange(scores.shape[1], device=scores.device) < frames.chunk(2)[0][:, None]
    both = _divergence(first.detach(), second) + _divergence(second.detach(), first)
    return torch.where(inside, both, 0.0).sum(dim=1) / 2


def _divergence(target: Tensor, scores: Tensor) -> Tensor:
    return F.kl_div(scores, target, reduction="none", log_target=True).sum(dim=-1)
