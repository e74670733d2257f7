"""Voice type: which of key child, other child, male and female adult speak in each 20 ms frame.

Four independent sigmoids, so that voices may overlap. Published architecture (VTC 2.x): the output of the encoder's
last block, dropout 0.5, one linear output a class; sum over classes of mean binary cross-entropy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from babyhubert.annotation.frames import RasterRule, segments_to_frames
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.tasks.heads import VOICE_TYPE, FrameHead
from babyhubert.tasks.model import TaskModel

TASK = VOICE_TYPE


class VoiceTypeModel(TaskModel):
    """An encoder with the voice-type head.

    Args:
        encoder: The encoder; its last block is used.
        labels: Class names, the order of the outputs.
        dropout: Share of features dropped before the outputs in training; the published value is 0.5.
    """

    def __init__(self, encoder: HubertEncoder, labels: Sequence[str] = VOICE_TYPES, dropout: float = 0.5) -> None:
        head = FrameHead(labels, encoder.config.hidden_size, dropout)
        head.reset(torch.Generator().manual_seed(0))
        super().__init__(encoder, {TASK: head})

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the outputs."""
        return self.head(TASK).labels

    def forward(self, waveforms: Tensor) -> Tensor:
        """Logits.

        Args:
            waveforms: float32, shape (B, n), 16 kHz, not normalised, all of full length n.

        Returns:
            float32, shape (B, T(n), C).
        """
        return self.head(TASK)(self.features(waveforms, (TASK,))[TASK])

    @torch.inference_mode()
    def probabilities(self, waveforms: Tensor) -> Tensor:
        """Sigmoid of the logits, shape (B, T(n), C), computed on the model's own device."""
        return torch.sigmoid(self(waveforms.to(self.device, non_blocking=True)))


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
