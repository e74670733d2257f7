"""One encoder with the heads of one task or of several, so that one pass over the audio serves them all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.encoder.checkpoints import Checkpoint
from babyhubert.encoder.heads import VOICE_TYPE, FrameHead, TaskHead, head_of, is_unlabelled
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.loading import build_encoder
from babyhubert.errors import CheckpointError

TASK = VOICE_TYPE


class TaskModel(nn.Module):
    """An encoder with a head for each of its tasks.

    Args:
        encoder: The encoder all heads share.
        heads: By task name (`voice_type`, `addressee`, `phonemes`).
    """

    def __init__(self, encoder: HubertEncoder, heads: Mapping[str, TaskHead]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(dict(heads))

    def features(
        self, waveforms: Tensor, tasks: Collection[str] | None = None, lengths: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Features for each head, from one pass of the encoder.

        Args:
            waveforms: float32, shape (B, n), 16 kHz.
            tasks: Heads to compute features for; None: all.
            lengths: Samples of each row before padding, on the CPU; None: all rows are of full length n.

        Returns:
            (B, T(n), D) by task: the head's block (by default the last), or the weighted sum of blocks that it has
            learnt. Blocks above those that the heads take are not run.
        """
        wanted = [name for name in self.heads if tasks is None or name in tasks]
        heads = [self.head(name) for name in wanted]
        if all(head.block is None and head.layer_weights is None for head in heads):
            last = self.encoder(waveforms, lengths=lengths).last
            return dict.fromkeys(wanted, last)
        config = self.encoder.config
        tops = [head.block or config.layers for head in heads]
        paths = [
            (top,) if head.layer_weights is None else config.path(top) for head, top in zip(heads, tops, strict=True)
        ]
        output = self.encoder(waveforms, layers=sorted({block for path in paths for block in path}), lengths=lengths)
        return {
            name: _taken(head, [output.hidden[block] for block in path], output.last)
            for name, head, path in zip(wanted, heads, paths, strict=True)
        }

    def head(self, task: str) -> TaskHead:
        """Return the head of a task.

        Raises:
            KeyError: no such head.
        """
        return cast("TaskHead", self.heads[task])

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that have a head."""
        return tuple(self.heads)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.encoder.parameters()).device

    def to_checkpoint(self, metadata: Mapping[str, Any] | None = None) -> Checkpoint:
        """Return the weights as a checkpoint that every writer accepts."""
        return Checkpoint(
            flavour="transformers",
            config=self.encoder.config,
            encoder={name: value.detach().cpu() for name, value in self.encoder.state_dict().items()},
            heads={name: self.head(name).to_head() for name in self.heads},
            metadata=dict(metadata or {}),
        )

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Checkpoint, tasks: Collection[str] | None = None, source: str = "checkpoint"
    ) -> Self:
        """Build a model in evaluation mode from a checkpoint of any flavour.

        Args:
            checkpoint: What was read.
            tasks: Heads that are required; None takes every head of a known task.
            source: Where it came from, for messages.

        Raises:
            CheckpointError: a required head, or any head, is missing.
        """
        known = [name for name, head in checkpoint.heads.items() if not is_unlabelled(head)]
        needed = known if tasks is None else list(tasks)
        missing = [name for name in needed if name not in known]
        if missing or not needed:
            found = ", ".join(checkpoint.heads) or "none"
            what = missing[0].replace("_", " ") if missing else "task"
            raise CheckpointError(
                f"{source}: no {what} head here (heads found: {found}); 'embed' works with any encoder, the other "
                "commands need a model trained for their task"
            )
        heads = {name: head_of(checkpoint.heads[name]) for name in needed}
        made = cls.__new__(cls)
        TaskModel.__init__(made, build_encoder(checkpoint), heads)
        return made.eval()


def _taken(head: TaskHead, hidden: Sequence[Tensor], last: Tensor) -> Tensor:
    """Features of a head among the outputs of its blocks; ``last`` is behind a pre-norm encoder's final norm."""
    if head.layer_weights is not None:
        return head.mix(hidden)
    return last if head.block is None else hidden[-1]


class VoiceTypeModel(TaskModel):
    """An encoder with a head of the kind ``frames``: voice type, or one with classes of its own.

    Args:
        encoder: The encoder; its last block is used.
        labels: Class names, the order of the outputs.
        dropout: Fraction of features dropped before the outputs in training; the published value is 0.5.
    """

    def __init__(self, encoder: HubertEncoder, labels: Sequence[str] = VOICE_TYPES, dropout: float = 0.5) -> None:
        head = FrameHead(labels, encoder.config.hidden_size, dropout)
        head.reset(torch.Generator().manual_seed(0))
        super().__init__(encoder, {TASK: head})

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the outputs."""
        return self.head(self.frames_task).labels

    @property
    def frames_task(self) -> str:
        """Task whose head gives a probability for every frame: voice type, or the first of this kind."""
        if TASK in self.heads:
            return TASK
        return next(name for name in self.heads if self.head(name).kind == "frames")

    def forward(self, waveforms: Tensor) -> Tensor:
        """Logits.

        Args:
            waveforms: float32, shape (B, n), 16 kHz, not normalised, all of full length n.

        Returns:
            float32, shape (B, T(n), C).
        """
        task = self.frames_task
        return self.head(task)(self.features(waveforms, (task,))[task])

    @torch.inference_mode()
    def probabilities(self, waveforms: Tensor) -> Tensor:
        """Sigmoid of the logits, shape (B, T(n), C), computed on the model's own device."""
        return torch.sigmoid(self(waveforms.to(self.device, non_blocking=True)))
