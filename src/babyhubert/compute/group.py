"""Processes of a distributed training: exchange of small values, sums over all of them, printing from rank 0 alone.

Gradients travel from device to device, through DistributedDataParallel or in one tensor. Everything else (counts, stop
requests, validation sums) is a few numbers on the CPU, exchanged through a separate gloo group, so that no exchange
waits for an accelerator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from babyhubert.compute.device import resolve_device
from babyhubert.compute.processes import RankInfo

_LONGEST_WAIT = timedelta(days=7)
"""Long, because one process may work alone (k-means, for example) while the others wait."""

T = TypeVar("T")


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of one job. Use it as a context manager; with a single process every operation is the identity.

    Attributes:
        place: Rank of this process and number of processes.
        device: Device of this process.
    """

    place: RankInfo
    device: torch.device
    control: Any = None

    @classmethod
    def join(cls, device: str = "auto", place: RankInfo | None = None) -> Self:
        """Join the other processes, as the launcher's environment variables say, and choose this process's device.

        Raises:
            ConfigError: the device does not exist, or the launcher's variables contradict each other.
        """
        place = place or RankInfo.from_environment()
        chosen = resolve_device(device)
        if chosen.type == "cuda":
            chosen = resolve_device(f"cuda:{place.local_rank}") if place.world > 1 else chosen
            torch.cuda.set_device(chosen.index or 0)
        group = cls(place, chosen)
        if place.world == 1:
            return group
        dist.init_process_group(
            "nccl" if chosen.type == "cuda" else "gloo", rank=place.rank, world_size=place.world, timeout=_LONGEST_WAIT
        )
        return replace(group, control=dist.new_group(backend="gloo", timeout=_LONGEST_WAIT))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.control is not None and dist.is_initialized():
            dist.destroy_process_group()

    def sums(self, values: Sequence[float]) -> list[float]:
        """Sum over all processes, one number each; exact for whole numbers below 2**53."""
        if self.control is None:
            return [float(value) for value in values]
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total, group=self.control)
        return total.tolist()

    def add_up(self, values: Tensor) -> None:
        """Replace a tensor on the device by its sum over all processes."""
        if self.control is not None:
            dist.all_reduce(values)

    def rank_zero_print(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """Print function: the given one on rank 0, silent on other ranks."""
        return say if self.place.first else lambda _: None

    def wait(self) -> None:
        """Wait until every process has reached this call."""
        self.sums([0.0])

    def first_only(self, action: Callable[[], T]) -> T | None:
        """Run an action on rank 0 while the others wait; all raise if it fails.

        Raises:
            RuntimeError: in the waiting processes, when the action raised in the first.
        """
        result, failure = None, None
        if self.place.first:
            try:
                result = action()
            except BaseException as error:
                failure = error
        failed = self.sums([float(failure is not None)])[0]
        if failure is not None:
            raise failure
        if failed:
            raise RuntimeError("the first process failed; its message says why")
        return result

    def wrap(self, model: nn.Module) -> nn.Module:
        """Wrap a model so that gradients are averaged over the processes."""
        if self.control is None:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            model, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True
        )
