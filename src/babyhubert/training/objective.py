"""What the training loop asks of what it trains, and nothing more.

Fine-tuning (:mod:`babyhubert.training.task_objective`) and pre-training (:mod:`babyhubert.pretraining.objective`) are
the two objectives of :mod:`babyhubert.training.loop`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor, nn

from babyhubert.encoder.canonical import Checkpoint
from babyhubert.training.curves import Curves
from babyhubert.training.optimiser import AdamSettings
from babyhubert.training.recorded_gradients import FlatGradients

B = TypeVar("B")


@dataclass(frozen=True)
class LoopSettings:
    """What the loop is told about a run.

    Attributes:
        steps: Updates of the weights.
        accumulate: Batches of each process in one step.
        optimiser: Of AdamW.
        clip_norm: Largest norm of the gradient; 0: any.
        most_skipped_steps: Steps in a row without a finite gradient that end the run.
        log_every: Steps between lines of the log.
        validate_every: Steps between validations.
        save_every: Steps between snapshots.
        keep: Newest snapshots kept.
        keep_every: Snapshots at multiples of this are kept as well.
        tensorboard: Write event files.
        draw_often: Draw the curves at every validation, not only at the end.
        average: Decay of the average of the weights that is validated and kept; 0: none.
        scaled: Scale losses, as half precision needs.
    """

    steps: int
    accumulate: int
    optimiser: AdamSettings
    clip_norm: float
    most_skipped_steps: int
    log_every: int
    validate_every: int
    save_every: int
    keep: int
    keep_every: int | None = None
    tensorboard: bool = False
    draw_often: bool = False
    average: float = 0.0
    scaled: bool = False


class Progress(NamedTuple):
    """Where a run is: steps done, seconds of audio seen, and the last entry of its log about training."""

    step: int
    seconds: float
    last: Mapping[str, Any]


class Validated(NamedTuple):
    """What a validation gave: figures for the log, a line of text, and whether the weights are the best so far."""

    figures: Mapping[str, float]
    line: str
    best: bool = False


class Objective(ABC, Generic[B]):
    """What is trained, on what material, by which loss. B is a batch.

    Attributes:
        loop: What the loop is told about the run.
        model: All weights, on the device.
        module: Gives what :meth:`loss` needs, in one call, so that DistributedDataParallel can wrap it.
        clipped: Weights whose gradient is limited.
        gradients: Where :meth:`add_gradients` adds to; None: the loop takes the backward pass of :meth:`loss`.
        speed: What ``train/times_real_time`` is called in a line.
        remedy: What to do about a loss that is not finite.
    """

    loop: LoopSettings
    model: nn.Module
    module: nn.Module
    clipped: Sequence[nn.Parameter]
    gradients: FlatGradients | None = None
    speed: str
    remedy: str

    @property
    def over(self) -> bool:
        """Whether the run ends before its last step."""
        return False

    @abstractmethod
    def batches(self, step: int) -> Iterator[list[B]]:
        """This process's batches of every step after so many."""

    @abstractmethod
    def place(self, step: int, number: int) -> tuple[int, ...]:
        """What the dropout of a batch of a step is drawn from: the seed of the run and where the batch stands."""

    @abstractmethod
    def size(self, batches: Sequence[B]) -> tuple[float, list[float]]:
        """Seconds of audio in this process's batches of a step, and the weights that losses are divided by."""

    @abstractmethod
    def loss(self, module: nn.Module, batch: B, weights: Sequence[float], logged: bool) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and sums for the log, (N,).

        Args:
            module: ``self.module``, perhaps wrapped.
            batch: On the CPU.
            weights: Of all batches of the step, over processes.
            logged: Whether the step ends with a line of the log, which may want more.
        """

    def add_gradients(self, batch: B, weights: Sequence[float], logged: bool) -> Tensor:
        """Take both passes into ``gradients``, whose sum over processes counts; sums for the log, (N,)."""
        raise NotImplementedError

    @abstractmethod
    def rate(self, step: int) -> float:
        """Learning rate of a step, from 1."""

    @abstractmethod
    def entry(self, sums: Sequence[float], weights: Sequence[float], steps: int) -> dict[str, float]:
        """What an entry of the log begins with.

        Args:
            sums: Of the interval, over processes.
            weights: Summed over its steps.
            steps: Their number.
        """

    @abstractmethod
    def line(self, entry: Mapping[str, Any]) -> str:
        """The losses of an entry in words."""

    def check(self, entry: Mapping[str, Any]) -> None:
        """Whether a run may go on after an entry.

        Raises:
            TrainingError: it may not.
        """

    def train_mode(self) -> None:
        """Make the model ready for training steps."""
        self.model.train()

    @abstractmethod
    def validate(self, at: Progress) -> Validated | None:
        """How the weights do on validation material, shared out over processes; None where there is none."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What a snapshot holds beside weights, optimiser and place: what the run is tied to, and what it noted."""

    @abstractmethod
    def difference(self, state: Mapping[str, Any]) -> str | None:
        """What another run has that a snapshot is of ("with other settings"); None: it is one of this run."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state` gave."""

    def saved(self) -> None:
        """Called in the first process when a snapshot is written."""

    @abstractmethod
    def result(self) -> Checkpoint:
        """The weights that the run is for."""

    @abstractmethod
    def card(self, at: Progress) -> dict[str, Any]:
        """What ``task.json`` says."""

    @abstractmethod
    def draw(self, curves: Curves) -> None:
        """Draw the curves."""
