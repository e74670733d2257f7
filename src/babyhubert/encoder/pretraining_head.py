"""Parameters of masked prediction beside the encoder: mask vector, final projection, one embedding per unit.

Together with the encoder they are the published pre-training model: 94,696,576 parameters for 500 units.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from babyhubert.encoder.hubert import initialise_linear

EmbeddingStart = Literal["published", "centred"]
"""Initial unit embeddings. ``published``: uniform in [0, 1), so that all point in a similar direction (cosine 0.75)
and many steps pass before units differ. ``centred``: uniform in [-1, 1), at nearly right angles.
"""

TEMPERATURE = 0.1
"""Divisor of the cosine similarities (HuBERT, Hsu et al. 2021, eq. 3)."""


class PretrainingHead(nn.Module):
    """Output layer of masked prediction: frames to one logit per unit. Names are those of `Checkpoint.pretraining`.

    Args:
        hidden_size: Width D of the encoder.
        classes: Number K of units.
        projected: Width P in which frames and units are compared.
    """

    def __init__(self, hidden_size: int, classes: int = 500, projected: int = 256) -> None:
        super().__init__()
        self.mask_embedding = nn.Parameter(torch.rand(hidden_size))
        self.final_proj = nn.Linear(hidden_size, projected)
        self.label_embeddings = nn.Parameter(torch.rand(classes, projected))

    def initialise(self, generator: torch.Generator, embeddings: EmbeddingStart = "published") -> PretrainingHead:
        """Draw fresh parameters: mask vector uniform in [0, 1), embeddings as chosen, torch's default projection."""
        nn.init.uniform_(self.mask_embedding, generator=generator)
        lowest = 0.0 if embeddings == "published" else -1.0
        nn.init.uniform_(self.label_embeddings, lowest, 1.0, generator=generator)
        initialise_linear(self.final_proj, generator)
        return self

    def logits(self, frames: Tensor) -> Tensor:
        """Cosine similarity to every unit divided by the temperature: (..., D) -> (..., K), float32.

        One matrix product of unit vectors; equal to the published form, which stacks the true label's embedding
        before all others and masks its double, under the softmax's cross-entropy.
        """
        with torch.autocast(frames.device.type, enabled=False):
            projected = F.linear(frames.float(), self.final_proj.weight.float(), self.final_proj.bias.float())
            units = F.normalize(self.label_embeddings.float(), dim=-1)
            return F.normalize(projected, dim=-1) @ units.T / TEMPERATURE
