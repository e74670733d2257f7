"""Interface between the fine-tuning loop and a task.

A task has its material, its labels, its loss and its score. The loop has the encoder, the optimiser, the processes and
the disk. They exchange :class:`Batch` objects (a pure function of their number, so that any run can be continued or
distributed over processes) and tallies: sums that may be added over batches and processes in any order and that give
the exact score of a complete validation set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from babyhubert.encoder.heads import TaskHead
from babyhubert.material.batch import Batch
from babyhubert.material.settings import SkippedMaterial


@dataclass(frozen=True)
class Validation:
    """Result of a model on a task's validation material.

    Attributes:
        score: Criterion to maximise: macro F1, or 1 - PER.
        loss: Mean loss.
        figures: Every figure by name, plain numbers.
        card: Further content of the model's ``task.json`` (thresholds, for example).
    """

    score: float
    loss: float
    figures: Mapping[str, float]
    card: Mapping[str, Any] = field(default_factory=dict)


def identity_of(*arrays: NDArray) -> str:
    """Hash of arrays, the same on every machine."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def without_validation(labels: Sequence[str], counts: Sequence[int]) -> str:
    """Note of a summary about classes that validation lacks; empty if it has all."""
    never = [label for label, count in zip(labels, counts, strict=True) if not count]
    return f" (without {', '.join(never)}: nothing will be known of that)" if never else ""


class Task(Protocol):
    """One task with its material.

    Attributes:
        name: ``voice_type``, ``addressee``, ``phonemes``, or that of a configuration.
        labels: Meaning of the head's outputs.
        batches_an_epoch: Batches that show all of the training material once.
        seconds: Seconds of training audio.
        summary: One line about the material.
        identity: Hash of the material and its labels.
        replayable: True if the loss of batches without ``lengths`` consists of kernels alone, the same for the same
            shapes: it reads no value on the CPU and copies none to the device.
    """

    @classmethod
    def prepare(
        cls, settings: Any, cache: Path, seed: int, left_out: SkippedMaterial, *, name: str, seed_stream: int
    ) -> Self:
        """Read and decode the material of a task.

        Args:
            settings: Settings of the task, of its kind's class.
            cache: Folder of decoded recordings.
            seed: Seed of the run.
            left_out: Receives the skipped material.
            name: Name of the task.
            seed_stream: Number of its random draws among those of other tasks.
        """
        ...

    @property
    def replayable(self) -> bool: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def labels(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def batches_an_epoch(self) -> int: ...  # noqa: D102

    @property
    def seconds(self) -> float: ...  # noqa: D102

    @property
    def summary(self) -> str: ...  # noqa: D102

    @property
    def identity(self) -> str: ...  # noqa: D102

    def new_head(self, width: int, mixed_layers: int | None) -> TaskHead:
        """Build a head for features of a width; the caller draws its parameters."""
        ...

    def batch(self, number: int) -> Batch:
        """Read the training batch of a number: always the same one for the same number."""
        ...

    def validation_batches(self, rank: int, world: int) -> Iterator[Batch]:
        """This process's validation batches: always the same, each item once over all processes."""
        ...

    def loss(self, head: TaskHead, features: Tensor, batch: Batch) -> Tensor:
        """Sum of losses, to be divided by the batch's weight; features (B, T, D)."""
        ...

    def tally(self, head: TaskHead, features: Tensor, batch: Batch) -> NDArray[np.float64]:
        """Sums of one validation batch that the score follows from; always of the same shape, (N,)."""
        ...

    def conclude(self, tally: NDArray[np.float64]) -> Validation:
        """The score from the sums of all batches."""
        ...

    def card(self) -> dict[str, Any]:
        """Content of ``task.json`` about the material and the use of the head."""
        ...
