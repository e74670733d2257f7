"""Forward and backward passes of every task: all in one call, or task by task into one tensor with replay.

Batches of the same shape (windows of one length without padding) are recorded as CUDA graphs, see
:mod:`babyhubert.training.recorded_gradients`: a small model's kernels are so short that Python launches them more
slowly than a fast GPU runs them. Padded batches, whose lengths the encoder reads, and tasks whose loss reads lengths
(CTC) take plain passes into the same gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import Tensor, nn

from babyhubert.encoder.heads import TaskHead
from babyhubert.encoder.multitask import TaskModel
from babyhubert.material.batch import Batch
from babyhubert.tasks.interface import Task
from babyhubert.training.recorded_gradients import FlatGradients, RecordedGradients


class TaskLosses(nn.Module):
    """The sum of losses of every task's batch, from one call, so that every process has the same graph."""

    def __init__(self, model: TaskModel, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        self.model = model
        self.tasks = dict(tasks)

    def forward(self, batches: Mapping[str, Batch]) -> dict[str, Tensor]:
        """Sums by task, float32 scalars."""
        return {name: self.of(name, batch) for name, batch in batches.items()}

    def of(self, name: str, batch: Batch) -> Tensor:
        """The sum of one task's losses, a float32 scalar."""
        return self.tasks[name].loss(*self.heard(name, batch), batch)

    def heard(self, name: str, batch: Batch) -> tuple[TaskHead, Tensor]:
        """Head of a task and its input features."""
        features = self.model.features(batch.waveforms, (name,), batch.lengths)
        return self.model.head(name), features[name]


class RecordedPasses:
    """Passes of one task at a time, replayed if possible.

    Args:
        losses: Model and tasks, on one device.
        autocast: Context of the forward pass.
        device: Their device.

    Attributes:
        gradients: Gradients of all trained weights, summed over the passes.
    """

    def __init__(
        self, losses: TaskLosses, autocast: Callable[[], AbstractContextManager[None]], device: torch.device
    ) -> None:
        self.gradients = FlatGradients(weight for weight in losses.model.parameters() if weight.requires_grad)
        self._losses, self._autocast, self._device = losses, autocast, device
        self._recorded: dict[str, RecordedGradients] = {}
        for name, task in losses.tasks.items():
            if task.replayable:
                beside = next(iter(self._recorded.values()), None)
                run = partial(self._run, name)
                self._recorded[name] = RecordedGradients(run, self.gradients, device, beside)
        self._names: dict[str, tuple[str, ...]] = {}

    @property
    def graphs(self) -> int:
        """Shapes that are replayed, over all tasks."""
        return sum(recorded.graphs for recorded in self._recorded.values())

    def __call__(self, name: str, batch: Batch, share: float) -> Tensor:
        """Add ``share`` times the gradient of a task's loss; the sum of losses, a scalar.

        Args:
            name: The task.
            batch: Batch on the device.
            share: Factor on the sum of losses before the backward pass.
        """
        factor = torch.full((), share, device=self._device)
        recorded = self._recorded.get(name)
        if recorded is None or batch.lengths is not None:
            return self._backward(name, batch, factor)
        self._names[name] = tuple(batch.targets)
        return recorded(batch.waveforms, *batch.targets.values(), factor)[0]

    def _run(self, name: str, waveforms: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        *targets, factor = others
        batch = Batch(waveforms, None, dict(zip(self._names[name], targets, strict=True)), 0, 0)
        return (self._backward(name, batch, factor),)

    def _backward(self, name: str, batch: Batch, factor: Tensor) -> Tensor:
        with self._autocast():
            loss = self._losses.of(name, batch)
        (loss * factor).backward()
        return loss.detach()
