"""Masked prediction: the encoder hears audio with frames hidden, and the head says which unit each hidden frame was.

Masked frames go through the head in one matrix product of (M, P) by (P, K), where M is the most that a mask of this
shape can have, so that shapes do not depend on the mask. The published loss also computes all unmasked frames and
multiplies them by 0, and builds a (K + 1, N, P) tensor to do so; the value is the same.
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
"""On the mean square of the convolutions' output, times the masked frames (Hsu et al. 2021, base recipe)."""


class LossWeights(Config):
    """``[loss]``: what its parts count beside the cross-entropy of masked frames, which counts 1.

    Attributes:
        unmasked: Cross-entropy of frames that were heard. Published: 0 (Hsu et al. 2021, eq. 4 with alpha = 1). Above
            0 the convolutions learn to hear long before context is understood, which a short run cannot wait for.
        penalty: Mean square of the convolutions' output, times the masked frames.
        spectrum: Squared error of a mel spectrum read off the convolutions by one linear layer
            (:mod:`babyhubert.pretraining.spectrum`), times the masked frames. Published: 0.
    """

    unmasked: Annotated[float, Field(ge=0)] = 0.0
    penalty: Annotated[float, Field(ge=0)] = PENALTY_WEIGHT
    spectrum: Annotated[float, Field(ge=0)] = 0.0


PUBLISHED_WEIGHTS = LossWeights()


class Outcome(NamedTuple):
    """What a batch gave: float32 on the model's device, scalars but for one.

    Attributes:
        loss: Cross-entropy summed over masked frames, plus that of unmasked frames, and penalty and spectrum times
            the number of masked frames, each weighted; to be divided by the masked frames of the whole step.
        cross_entropy: Summed over masked frames, nats.
        penalty: Mean square of the convolutions' output.
        correct: Masked frames whose most probable unit is the right one.
        predicted: Probability given to each unit, summed over masked frames, (K,): which units are predicted at all.
        unmasked_correct: Right predictions of all other frames; 0 where it was not asked for.
        spectrum: Mean squared error of the spectrum; 0 where its weight is.
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
        head: Of the same width.
        weights: Of the parts of the loss; the published ones by default.
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
        """A model with weights drawn as published, but for the unit embeddings, which begin as asked."""
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
        """A model that goes on from an encoder.

        Units of another k-means are other classes: unit embeddings are always drawn anew. The mask vector and the
        final projection are kept where the checkpoint has them.
        """
        encoder = build_encoder(checkpoint).train()
        head = PretrainingHead(checkpoint.config.hidden_size, units).initialise(generator, embeddings)
        kept = {name: tensor for name, tensor in checkpoint.pretraining.items() if "label_embeddings" not in name}
        state = head.state_dict()
        state.update({name: tensor.float() for name, tensor in kept.items() if state[name].shape == tensor.shape})
        head.load_state_dict(state)
        return cls(encoder, head, weights)

    def forward(self, batch: Batch, measure_unmasked: bool = False) -> Outcome:
        """The loss of a batch and what it tells. ``measure_unmasked`` costs a second product."""
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
        """Its weights in the package's canonical form."""
        return Checkpoint(
            "babyhubert",
            self.encoder.config,
            dict(self.encoder.state_dict()),
            dict(self.head.state_dict()),
        )
