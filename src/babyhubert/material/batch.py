"""Windows and targets of one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Waveforms of one task and their targets.

    Attributes:
        waveforms: float32, (B, n), zeros after each row's own end.
        lengths: Samples of each row, int64 (B,), on the CPU; None if all rows are n long.
        targets: The task's own tensors by name.
        weight: Divisor of the sum of losses (frames, utterances); added up over the batches of a step.
        seconds: Audio in it, padding not counted.
    """

    waveforms: Tensor
    lengths: Tensor | None
    targets: Mapping[str, Tensor]
    weight: float
    seconds: float

    def to(self, device: torch.device) -> Batch:
        """Copy to a device; lengths stay on the CPU."""
        targets = {name: value.to(device, non_blocking=True) for name, value in self.targets.items()}
        return replace(self, waveforms=self.waveforms.to(device, non_blocking=True), targets=targets)

    def pinned(self) -> Batch:
        """Copy in page-locked memory, from which a CUDA device copies while it computes."""
        targets = {name: value.pin_memory() for name, value in self.targets.items()}
        return replace(self, waveforms=self.waveforms.pin_memory(), targets=targets)
