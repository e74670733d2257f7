"""Self-attention of the encoder's blocks, plain (HuBERT, wav2vec 2.0) or with gated relative positions (WavLM).

WavLM (Chen et al. 2022, arXiv:2110.13900) adds to every attention score a bias that depends on the distance of the two
frames. The first block holds a table of biases by bucket of distances, shared by all blocks; each block scales it by
gates computed from the frame that attends. Buckets are those of T5: one a distance for near frames, then growing
logarithmically, apart for frames before and after. Parameter names and values are those of transformers' `WavLMModel`.
"""

# ruff: noqa: D102  (the class of each part says what its forward takes and gives)

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from babyhubert.encoder.config import HubertConfig

_GATES, _PARTS = 2, 4


class Attention(nn.Module):
    """Multi-head self-attention (B, T, D) -> (B, T, D); `keys` (B, 1, 1, T) masks the frames to attend to."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.attention_dropout
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, keys: Tensor | None, bias: Tensor | None = None) -> Tensor:
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        mask = keys if bias is None else self.biased(x, keys, bias).to(q.dtype)
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.out_proj(y.transpose(1, 2).flatten(-2))

    def position_bias(self, frames: int) -> Tensor | None:
        """Bias of the scores of all pairs of frames, (H, T, T), of the block that holds it; None: there is none."""
        return None

    def biased(self, x: Tensor, keys: Tensor | None, bias: Tensor) -> Tensor:
        """Mask to add to the scores, (B, H, T, T)."""
        raise NotImplementedError


class GatedAttention(Attention):
    """Attention with WavLM's gated relative position bias, (H, T, T) before its gates.

    Args:
        config: Configuration of the encoder.
        index: Number of the block, from 0; the first holds the table of biases.
    """

    def __init__(self, config: HubertConfig, index: int) -> None:
        super().__init__(config)
        self.distance = config.relative_distance
        self.gru_rel_pos_const = nn.Parameter(torch.ones(1, config.heads, 1, 1))
        self.gru_rel_pos_linear = nn.Linear(config.hidden_size // config.heads, _GATES * _PARTS)
        if index == 0:
            self.rel_attn_embed = nn.Embedding(config.relative_buckets, config.heads)

    def position_bias(self, frames: int) -> Tensor | None:
        table = self.rel_attn_embed.weight
        offsets = torch.arange(1 - frames, frames, device=table.device)
        by_offset = table[position_buckets(offsets, len(table), self.distance)]
        steps = torch.arange(frames, device=table.device)
        return by_offset[steps - steps[:, None] + frames - 1].permute(2, 0, 1)

    def biased(self, x: Tensor, keys: Tensor | None, bias: Tensor) -> Tensor:
        parts = self.gru_rel_pos_linear(x.unflatten(-1, (self.heads, -1)).transpose(1, 2))
        first, second = torch.sigmoid(parts.unflatten(-1, (_GATES, _PARTS)).sum(-1)).chunk(_GATES, dim=-1)
        mask = (first * (second * self.gru_rel_pos_const - 1.0) + 2.0) * bias
        return mask if keys is None else mask.masked_fill(~keys, -torch.inf)


def position_buckets(offsets: Tensor, buckets: int, distance: int) -> Tensor:
    """Bucket of each offset between two frames.

    Args:
        offsets: Frame attended to minus the attending frame, int64, any shape.
        buckets: Number of buckets: the first half for offsets up to 0, the second for later frames.
        distance: Distance from which on all frames share the last bucket of their half.

    Returns:
        0 to buckets - 1, int64, same shape.
    """
    half = buckets // 2
    single = half // 2  # distances with a bucket of their own
    far = offsets.abs()
    growth = torch.log(far.float().clamp(min=1) / single) / math.log(distance / single) * (half - single)
    shared = (single + growth).long().clamp(max=half - 1)
    return torch.where(far < single, far, shared) + half * (offsets > 0)
