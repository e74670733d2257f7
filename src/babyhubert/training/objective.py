"""The interface between the training loop and what it trains.

Fine-tuning (:mod:`babyhubert.training.task_objective`) and pre-training (:mod:`babyhubert.pretraining.objective`) are
the two objectives of :mod:`babyhubert.training.loop`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

from babyhubert.encoder.canonical import Checkpoint
from babyhubert.training.curves import Curves
from babyhubert.training.optimiser import StepSettings
from babyhubert.training.recorded_gradients import FlatGradients

B = TypeVar("B")


class MachineSettings(Protocol):
    """Settings of how a run is logged and saved; nothing here is part of what is trained."""

    log_every: int
    save_every: int
    keep: int
    tensorboard: bool


class Progress(NamedTuple):
    """State of a run: steps done, seconds of audio seen, and the last entry of its log about training."""

    step: int
    seconds: float
    last: Mapping[str, Any]


class Validated(NamedTuple):
    """Result of a validation: figures for the log, a line of text, and if the weights are the best so far."""

    figures: Mapping[str, float]
    line: str
    best: bool = False


class Objective(ABC, Generic[B]):
    """Model, material and loss of a training, which the loop asks for batches of type B.

    Attributes:
        train: Settings of a step.
        machine: Settings of log and snapshots.
        steps: Updates of the weights.
        validate_every: Steps between validations.
        most_skipped_steps: Steps in a row without a finite gradient that end the run.
        keep_every: Snapshots at multiples of this are kept besides the newest.
        average: Decay of the average of the weights that is validated and kept; 0: none.
        scaled: Scale losses, as half precision needs.
        draw_often: Draw the curves at every validation, not only at the end.
        model: All weights, on the device.
        module: Forward pass that :meth:`loss` calls, once a batch; DistributedDataParallel wraps it.
        clipped: Weights whose gradient is limited.
        gradients: Tensor to which :meth:`add_gradients` adds; None: the loop takes the backward pass of :meth:`loss`.
        speed: Unit of ``train/times_real_time`` in a line.
        remedy: Advice for a loss that is not finite.
    """

    train: StepSettings
    machine: MachineSettings
    steps: int
    validate_every: int
    most_skipped_steps: int
    keep_every: int | None = None
    average: float = 0.0
    scaled: bool = False
    draw_often: bool = False
    model: nn.Module
    module: nn.Module
    clipped: Sequence[nn.Parameter]
    gradients: FlatGradients | None = None
    speed: str
    remedy: str

    @property
    def over(self) -> bool:
        """True if the run ends before its last step."""
        return False

    @abstractmethod
    def batches(self, step: int) -> Iterator[list[B]]:
        """This process's batches of every step after a number of steps."""

    @abstractmethod
    def place(self, step: int, number: int) -> tuple[int, ...]:
        """Numbers that seed the dropout of a batch: the seed of the run, and the position of the batch."""

    @abstractmethod
    def size(self, batches: Sequence[B]) -> tuple[float, list[float]]:
        """Seconds of audio in this process's batches of a step, and the weights that losses are divided by."""

    @abstractmethod
    def loss(self, module: nn.Module, batch: B, weights: Sequence[float], logged: bool) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and sums for the log, (N,).

        Args:
            module: ``self.module``, perhaps wrapped.
            batch: Batch on the CPU.
            weights: Weights of all batches of the step, over processes.
            logged: True if the step ends with a line of the log, which may need more sums.
        """

    def add_gradients(self, batch: B, weights: Sequence[float], logged: bool) -> Tensor:
        """Take both passes into ``gradients``, whose sum over processes counts; sums for the log, (N,)."""
        raise NotImplementedError

    @abstractmethod
    def rate(self, step: int) -> float:
        """Learning rate of a step, from 1."""

    @abstractmethod
    def entry(self, sums: Sequence[float], weights: Sequence[float], steps: int) -> dict[str, float]:
        """Figures with which an entry of the log begins.

        Args:
            sums: Sums of the interval, over processes.
            weights: Weights summed over its steps.
            steps: Their number.
        """

    @abstractmethod
    def line(self, entry: Mapping[str, Any]) -> str:
        """The losses of an entry in words."""

    def check(self, entry: Mapping[str, Any]) -> None:
        """Check after an entry that the run may continue.

        Raises:
            TrainingError: it must not.
        """

    @abstractmethod
    def validate(self, at: Progress) -> Validated | None:
        """Scores on validation material, which processes share; None where there is none."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Contents of a snapshot beside weights, optimiser and step: the identity of the run, and its notes."""

    @abstractmethod
    def difference(self, state: Mapping[str, Any]) -> str | None:
        """Reason why a snapshot belongs to another run ("with other settings"); None: it belongs to this one."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of :meth:`state`."""

    def saved(self) -> None:
        """Called in the first process when a snapshot is written."""

    @abstractmethod
    def result(self) -> Checkpoint:
        """The resulting weights of the run."""

    @abstractmethod
    def card(self, at: Progress) -> dict[str, Any]:
        """Contents of ``task.json``."""

    @abstractmethod
    def draw(self, curves: Curves) -> None:
        """Draw the curves."""
