"""Voice type: which of key child, other child, male and female adult speak in each 20 ms frame.

Four independent sigmoids, so that voices may overlap. Published architecture (VTC 2.x): the output of the encoder's
last block, dropout 0.5, one linear output a class; sum over classes of mean binary cross-entropy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from babyhubert.annotation.frames import RasterRule, segments_to_frames
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.encoder.checkpoints import Checkpoint, Head
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.loading import build_encoder
from babyhubert.errors import CheckpointError

TASK = "voice_type"


class VoiceTypeModel(nn.Module):
    """An encoder and one linear output a class.

    Args:
        encoder: The encoder; its last block is used.
        labels: Class names, the order of the outputs.
        dropout: Share of features dropped before the outputs in training; the published value is 0.5.
    """

    def __init__(self, encoder: HubertEncoder, labels: Sequence[str] = VOICE_TYPES, dropout: float = 0.5) -> None:
        super().__init__()
        self.encoder = encoder
        self.labels = tuple(labels)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, len(self.labels))

    def forward(self, waveforms: Tensor) -> Tensor:
        """Logits.

        Args:
            waveforms: float32, shape (B, n), 16 kHz, not normalised, all of full length n.

        Returns:
            float32, shape (B, T(n), C).
        """
        return self.head(self.dropout(self.encoder(waveforms).last))

    @torch.inference_mode()
    def probabilities(self, waveforms: Tensor) -> Tensor:
        """Sigmoid of the logits, shape (B, T(n), C), computed on the model's own device."""
        return torch.sigmoid(self(waveforms.to(self.head.weight.device, non_blocking=True)))

    def to_checkpoint(self, metadata: Mapping[str, Any] | None = None) -> Checkpoint:
        """The weights as a checkpoint that every writer takes."""
        head = Head(self.labels, {"weight": self.head.weight.detach().cpu(), "bias": self.head.bias.detach().cpu()})
        encoder = {name: value.detach().cpu() for name, value in self.encoder.state_dict().items()}
        return Checkpoint(
            flavour="transformers",
            config=self.encoder.config,
            encoder=encoder,
            pretraining={},
            heads={TASK: head},
            metadata=dict(metadata or {}),
        )

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, source: str = "checkpoint") -> VoiceTypeModel:
        """A model in evaluation mode from a checkpoint of any flavour with a voice-type head.

        Raises:
            CheckpointError: the checkpoint has no voice-type head.
        """
        head = checkpoint.heads.get(TASK)
        if head is None:
            found = ", ".join(checkpoint.heads) or "none"
            raise CheckpointError(
                f"{source}: no voice-type head here (heads found: {found}); 'segment' needs a VTC model, "
                "'embed' works with any encoder"
            )
        model = cls(build_encoder(checkpoint), head.labels)
        model.head.load_state_dict(head.tensors)
        return model.eval()


def frame_targets(
    segments: Segments, labels: Sequence[str], first_frame: int, n_frames: int, rule: RasterRule = "cell"
) -> NDArray[np.float32]:
    """Multi-hot targets of frames ``first_frame .. first_frame + n_frames`` of a recording, shape (n_frames, C)."""
    stop = first_frame + n_frames
    columns = [segments_to_frames(*segments.intervals(label), stop, rule)[first_frame:] for label in labels]
    return np.stack(columns, axis=-1).astype(np.float32)


def voice_type_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum over classes of the mean binary cross-entropy, as published. Both of shape (B, T, C)."""
    per_class = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none").mean(dim=(0, 1))
    return per_class.sum()
