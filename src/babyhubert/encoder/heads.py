"""Output layers of the tasks: from an encoder's frames to the outputs of one task.

There are three published kinds. All take features of shape (B, T, D) and store their labels; each can be written into
a checkpoint and read back. A head may learn a softmax-weighted sum over the outputs of all blocks, as in SUPERB;
otherwise it takes the last block, as every published model does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from babyhubert.encoder.checkpoints import Head
from babyhubert.encoder.flavours.layout import LAYER_WEIGHTS, HeadKind

HEAD_DROPOUT = 0.5
"""Published dropout before the outputs of voice type and addressee."""

PHONEME_HEAD_DROPOUT = 0.1


class TaskHead(nn.Module):
    """Base class of the heads.

    Args:
        labels: Meaning of each output, in order.
        mixed_layers: Number of blocks, from the first of its transformer, to learn a weighted sum over; None takes
            one block alone.

    Attributes:
        block: Number of the last block the head takes, from 1; None: the last of the encoder's own transformer. Blocks
            above it, and branches, can be added and trained without changing this head's outputs.
    """

    kind: ClassVar[HeadKind]
    layer_weights: nn.Parameter | None

    def __init__(self, labels: Sequence[str], mixed_layers: int | None = None) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self.block: int | None = None
        weights = None if mixed_layers is None else nn.Parameter(torch.zeros(mixed_layers))
        self.register_parameter(LAYER_WEIGHTS, weights)

    def to_head(self) -> Head:
        """Return the parameters as a checkpoint stores them, on the CPU."""
        tensors = {name: value.detach().cpu() for name, value in self.state_dict().items()}
        return Head(self.labels, tensors, self.kind, self.block)

    def mix(self, hidden: Sequence[Tensor]) -> Tensor:
        """Weighted sum of the outputs of its transformer's blocks, each (B, T, D), from the first up to its own."""
        assert self.layer_weights is not None
        shares = torch.softmax(self.layer_weights, dim=0)
        used = torch.stack(tuple(hidden))
        return torch.einsum("l,lbtd->btd", shares.to(used.dtype), used)

    def reset(self, generator: torch.Generator) -> None:
        """Draw fresh parameters: weights normal with deviation 0.02, biases zero, equal weights for all layers."""
        for name, parameter in self.named_parameters():
            if name.endswith("weight") and parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02, generator=generator)
            else:
                nn.init.zeros_(parameter)


class FrameHead(TaskHead):
    """One linear output per class and frame (voice type): (B, T, D) -> (B, T, C) logits."""

    kind: ClassVar[HeadKind] = "frames"

    def __init__(
        self, labels: Sequence[str], width: int, dropout: float = HEAD_DROPOUT, mixed_layers: int | None = None
    ) -> None:
        super().__init__(labels, mixed_layers)
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(torch.zeros(len(self.labels), width))
        self.bias = nn.Parameter(torch.zeros(len(self.labels)))

    def forward(self, features: Tensor) -> Tensor:
        """Logits of every frame."""
        return nn.functional.linear(self.dropout(features), self.weight, self.bias)

    @classmethod
    def from_head(cls, head: Head) -> Self:
        """Build a head with a checkpoint's parameters."""
        width = head.tensors["weight"].shape[1]
        made = cls(head.labels, width, mixed_layers=_mixed_layers(head))
        made.load_state_dict(head.tensors)
        return made


class PooledHead(FrameHead):
    """One linear output per class and utterance (addressee), of the mean over the utterance's own frames."""

    kind: ClassVar[HeadKind] = "classification"

    def forward(self, features: Tensor, within: Tensor | None = None) -> Tensor:
        """Logits of every utterance, (B, C).

        Args:
            features: (B, T, D).
            within: Mask of the frames that belong to the utterance, bool (B, T), at least one per row; None: all.
        """
        if within is None:
            return super().forward(features.mean(dim=1))
        weights = within.to(features.dtype)
        pooled = torch.einsum("bt,btd->bd", weights, features) / weights.sum(dim=1, keepdim=True)
        return super().forward(pooled)


class PhonemeHead(TaskHead):
    """Two linear layers around a ReLU (phonemes): (B, T, D) -> (B, T, C) logits, the blank among the labels."""

    kind: ClassVar[HeadKind] = "ctc"

    def __init__(
        self,
        labels: Sequence[str],
        width: int,
        inner: int | None = None,
        dropout: float = PHONEME_HEAD_DROPOUT,
        mixed_layers: int | None = None,
    ) -> None:
        super().__init__(labels, mixed_layers)
        inner = inner or width // 2
        self.add_module("0", nn.Linear(width, inner))
        self.add_module("3", nn.Linear(inner, len(self.labels)))
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Logits of every frame."""
        inner = self.dropout(torch.relu(self.get_submodule("0")(features)))
        return self.get_submodule("3")(inner)

    @classmethod
    def from_head(cls, head: Head) -> Self:
        """Build a head with a checkpoint's parameters."""
        inner, width = head.tensors["0.weight"].shape
        made = cls(head.labels, width, inner, mixed_layers=_mixed_layers(head))
        made.load_state_dict(head.tensors)
        return made


class LinearPhonemeHead(FrameHead):
    """One linear layer, as in transformers' CTC models: (B, T, D) -> (B, T, C) logits, the blank among the labels."""

    kind: ClassVar[HeadKind] = "ctc"


VOICE_TYPE, ADDRESSEE, PHONEMES = "voice_type", "addressee", "phonemes"
"""Names of the tasks in checkpoints."""

HEAD_CLASSES: dict[HeadKind, type[FrameHead] | type[PooledHead] | type[PhonemeHead]] = {
    head.kind: head for head in (FrameHead, PooledHead, PhonemeHead)
}


def _mixed_layers(head: Head) -> int | None:
    weights = head.tensors.get(LAYER_WEIGHTS)
    return None if weights is None else len(weights)


def is_unlabelled(head: Head) -> bool:
    """True for the output of transformers' CTC models without their tokenizer's file, which says what each row is."""
    return head.kind == "ctc" and head.labels == tuple(map(str, range(len(head.labels))))


def head_of(head: Head) -> TaskHead:
    """Build a head with a checkpoint's parameters, of the class of its kind."""
    linear = head.kind == "ctc" and "weight" in head.tensors
    made = (LinearPhonemeHead if linear else HEAD_CLASSES[head.kind]).from_head(head)
    made.block = head.block
    return made
