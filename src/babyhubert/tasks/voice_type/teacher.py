"""Another model whose probabilities are part of the training targets, so that what it knows is kept or passed on.

With the model that a training starts from as its own teacher, new material changes little else (learning without
forgetting: Li and Hoiem 2016, arXiv:1606.09282). With a larger model as the teacher, a small one learns from it
(distillation: Hinton et al. 2015, arXiv:1503.02531).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from babyhubert.config import Config
from babyhubert.encoder.loading import load_checkpoint, origin_of
from babyhubert.encoder.multitask import TaskModel
from babyhubert.errors import ConfigError


class TeacherSettings(Config):
    """``[voice_type.teacher]``.

    Attributes:
        model: Model folder, checkpoint or hub repository with a head for this task and the same classes.
        share: Weight of its probabilities in the targets of windows with voices; the annotation has the rest. In
            windows without voices the annotation alone counts.
    """

    model: str
    share: Annotated[float, Field(gt=0, le=1)] = 0.5


class Teacher:
    """A model that is not trained, and its probabilities as targets.

    Args:
        settings: Settings.
        task: Name of its head.
        labels: Classes that it must have, in this order.

    Attributes:
        origin: Its source, hash and licence.

    Raises:
        ConfigError: it has other classes.
        CheckpointError: it cannot be read, or has no such head.
    """

    def __init__(self, settings: TeacherSettings, task: str, labels: Sequence[str]) -> None:
        checkpoint = load_checkpoint(settings.model)
        self.share, self.origin = settings.share, origin_of(settings.model, checkpoint)
        self._network = TaskModel.from_checkpoint(checkpoint, (task,), settings.model).requires_grad_(False)
        self._task = task
        found = self._network.head(task).labels
        if found != tuple(labels):
            raise ConfigError(
                f"{task}.teacher.model: {settings.model} knows {', '.join(found)}, the configuration "
                f"{', '.join(labels)}"
            )

    @torch.no_grad()
    def targets(self, waveforms: Tensor, lengths: Tensor | None, labels: Tensor, taught: Tensor) -> Tensor:
        """Mix the teacher's probabilities into the targets.

        Args:
            waveforms: As the trained model gets them, (B, n).
            lengths: Samples of each row before padding, (B,), or None.
            labels: Targets of the annotation, (B, T, C).
            taught: 1 in rows with voices, 0 in others, (B, 1, 1).

        Returns:
            Targets from 0 to 1, float32, (B, T, C).
        """
        if self._network.device != waveforms.device:
            self._network.to(waveforms.device)
        if waveforms.device.type != "cpu":  # a graph of CUDA calls needs the same shapes every time
            return self._mixed(waveforms, lengths, labels, self.share * taught)
        rows = taught.flatten() > 0
        if rows.any():
            labels = labels.clone()
            of_rows = None if lengths is None else lengths[rows]
            labels[rows] = self._mixed(waveforms[rows], of_rows, labels[rows], self.share * taught[rows])
        return labels

    def _mixed(self, waveforms: Tensor, lengths: Tensor | None, labels: Tensor, share: Tensor) -> Tensor:
        features = self._network.features(waveforms, (self._task,), lengths)[self._task]
        probabilities = torch.sigmoid(self._network.head(self._task)(features).float())
        return (1 - share) * labels + share * probabilities
