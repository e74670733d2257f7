"""Masked prediction: the encoder gets audio with masked frames, and the head predicts the unit of each masked frame.

Masked frames go through the head in one matrix product of (M, P) by (P, K), where M is the maximum for a mask of this
shape, so that shapes do not depend on the mask. The published loss also computes all unmasked frames and multiplies
them by 0, and builds a (K + 1, N, P) tensor to do so; the value is the same.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from babyhubert.config import Config
from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.loading import build_encoder
from babyhubert.encoder.pretraining_head import EmbeddingStart, PretrainingHead
from babyhubert.pretraining.batches import IGNORED, Batch, waveforms
from babyhubert.pretraining.spectrum import SpectrumHead

PENALTY_WEIGHT = 10.0
"""Weight of the mean square of the convolutions' output, times the masked frames (Hsu et al. 2021, base recipe)."""


class LossWeights(Config):
    """``[loss]``: weights of its parts relative to the cross-entropy of masked frames.

    Attributes:
        unmasked: Weight of the cross-entropy of visible frames. Published: 0 (Hsu et al. 2021, eq. 4 with alpha = 1).
            Above 0 the convolutions learn long before context does, which helps short runs.
        penalty: Weight of the mean square of the convolutions' output, times the masked frames.
        spectrum: Weight of the squared error of a mel spectrum predicted from the convolutions by one linear layer
            (:mod:`babyhubert.pretraining.spectrum`), times the masked frames. Published: 0.
    """

    unmasked: Annotated[float, Field(ge=0)] = 0.0
    penalty: Annotated[float, Field(ge=0)] = PENALTY_WEIGHT
    spectrum: Annotated[float, Field(ge=0)] = 0.0


PUBLISHED_WEIGHTS = LossWeights()


class Outcome(NamedTuple):
    """Losses and counts of a batch: float32 on the model's device, scalars but for one.

    Attributes:
        loss: Cross-entropy summed over masked frames, plus that of unmasked frames, and penalty and spectrum times the
            number of masked frames, each weighted; to be divided by the masked frames of the whole step.
        cross_entropy: Summed over masked frames, nats.
        penalty: Mean square of the convolutions' output.
        correct: Masked frames whose most probable unit is correct.
        predicted: Probability of each unit, summed over masked frames, (K,): shows the units that are predicted at
            all.
        unmasked_correct: Correct predictions of all other frames; 0 if not requested.
        spectrum: Mean squared error of the spectrum; 0 if its weight is 0.
    """

    loss: Tensor
    cross_entropy: Tensor
    penalty: Tensor
    correct: Tensor
    predicted: Tensor
    unmasked_correct: Tensor
    spectrum: Tensor


class MaskedPrediction(nn.Module):
    """Encoder and head.

    Args:
        encoder: Any HuBERT encoder.
        head: Head of the same width.
        weights: Weights of the parts of the loss; the published ones by default.
    """

    def __init__(
        self, encoder: HubertEncoder, head: PretrainingHead, weights: LossWeights = PUBLISHED_WEIGHTS
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.weights = weights
        self.spectrum = SpectrumHead(encoder.config.conv_dim[-1]) if weights.spectrum else None

    @classmethod
    def fresh(
        cls,
        config: HubertConfig,
        units: int,
        generator: torch.Generator,
        embeddings: EmbeddingStart = "published",
        weights: LossWeights = PUBLISHED_WEIGHTS,
    ) -> MaskedPrediction:
        """Build a model with weights drawn as published, except for the unit embeddings, which begin as chosen."""
        encoder = initialise(HubertEncoder(config), generator)
        return cls(encoder, PretrainingHead(config.hidden_size, units).initialise(generator, embeddings), weights)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: Checkpoint,
        units: int,
        generator: torch.Generator,
        embeddings: EmbeddingStart = "published",
        weights: LossWeights = PUBLISHED_WEIGHTS,
    ) -> MaskedPrediction:
        """Build a model from an encoder's checkpoint.

        Units of another k-means are other classes: unit embeddings are always drawn anew. The mask vector and the
        final projection are kept if the checkpoint has them.
        """
        encoder = build_encoder(checkpoint).train()
        head = PretrainingHead(checkpoint.config.hidden_size, units).initialise(generator, embeddings)
        kept = {name: tensor for name, tensor in checkpoint.pretraining.items() if "label_embeddings" not in name}
        state = head.state_dict()
        state.update({name: tensor.float() for name, tensor in kept.items() if state[name].shape == tensor.shape})
        head.load_state_dict(state)
        return cls(encoder, head, weights)

    def forward(self, batch: Batch, measure_unmasked: bool = False) -> Outcome:
        """Compute the loss of a batch and its counts. ``measure_unmasked`` costs a second product."""
        heard = waveforms(batch.pcm)
        output = self.encoder(heard, mask=batch.mask, mask_embedding=self.head.mask_embedding)
        assert output.features is not None
        frames = output.last.flatten(0, 1)
        counted = batch.targets != IGNORED
        logits = self.head.logits(frames.index_select(0, batch.positions))
        cross_entropy = F.cross_entropy(logits, batch.targets, reduction="sum", ignore_index=IGNORED)
        correct = (logits.detach().argmax(-1) == batch.targets).sum().float()
        predicted = (logits.detach().softmax(-1) * counted.unsqueeze(-1)).sum(0)
        penalty = output.features.float().square().mean()
        loss = cross_entropy + self.weights.penalty * penalty * counted.sum()
        unmasked = spectrum = logits.new_zeros(())
        if self.spectrum is not None:
            spectrum = self.spectrum(output.features, heard)
            loss = loss + self.weights.spectrum * spectrum * counted.sum()
        if self.weights.unmasked or measure_unmasked:
            others = batch.units.masked_fill(batch.mask, IGNORED).flatten()
            with nullcontext() if self.weights.unmasked else torch.no_grad():
                told = self.head.logits(frames)  # of all frames, since their number is the same for every mask
            if measure_unmasked:
                unmasked = (told.detach().argmax(-1) == others).sum().float()
            if self.weights.unmasked:
                loss = loss + self.weights.unmasked * F.cross_entropy(
                    told, others, reduction="sum", ignore_index=IGNORED
                )
        return Outcome(loss, cross_entropy.detach(), penalty.detach(), correct, predicted, unmasked, spectrum.detach())

    def to_checkpoint(self) -> Checkpoint:
        """Return its weights in the package's canonical form."""
        return Checkpoint(
            "babyhubert",
            self.encoder.config,
            dict(self.encoder.state_dict()),
            dict(self.head.state_dict()),
        )
