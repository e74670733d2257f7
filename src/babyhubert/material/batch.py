"""One step's windows and targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Waveforms of one task and what is known about them.

    Attributes:
        waveforms: float32, (B, n), zeros after each row's own end.
        lengths: Samples of each row, int64 (B,), on the CPU; None where all rows are n long.
        targets: The task's own tensors by name.
        weight: What the sum of losses is divided by (frames, utterances); added up over the batches of a step.
        seconds: Audio in it, padding not counted.
    """

    waveforms: Tensor
    lengths: Tensor | None
    targets: Mapping[str, Tensor]
    weight: float
    seconds: float

    def to(self, device: torch.device) -> Batch:
        """The same on a device; lengths stay where they are."""
        targets = {name: value.to(device, non_blocking=True) for name, value in self.targets.items()}
        return replace(self, waveforms=self.waveforms.to(device, non_blocking=True), targets=targets)

    def pinned(self) -> Batch:
        """The same in locked pages, from which a CUDA device copies while it computes."""
        targets = {name: value.pin_memory() for name, value in self.targets.items()}
        return replace(self, waveforms=self.waveforms.pin_memory(), targets=targets)
