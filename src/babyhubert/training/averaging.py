"""Exponential moving average of the weights, which scores better and varies less than the weights of single steps.

The average is updated in every step, and replaces the weights for validation and for the stored model. It is a
function of the weights and the step's number alone: a run that continues from a snapshot has the same average, and so
has every process of a job, without communication. ``torch.optim.swa_utils.AveragedModel`` would also copy frozen
weights and read its counter from the device at each step, so only its arithmetic is used here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class AveragedWeights:
    """Average of all trained weights of a model; one more copy of these, on their device.

    Its decay rises as ``(1 + step) / (10 + step)``, so that early averages are not made of the initial weights, as in
    TensorFlow's ``tf.train.ExponentialMovingAverage`` with ``num_updates``.

    Args:
        model: Its present weights are the average before the first step.
        decay: Final value of the decay, in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._plain = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._average = {name: weight.detach().clone() for name, weight in self._plain.items()}

    def update(self, step: int) -> None:
        """Update with the weights after a step, the first of which is 1.

        A step without a finite gradient leaves them unchanged, so they are finite.
        """
        average = get_ema_multi_avg_fn(min(self._decay, (1 + step) / (10 + step)))
        average(list(self._average.values()), list(self._plain.values()), step)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the model the average within the context; afterwards its own weights are restored, to the bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weight in self._plain.items():
            held = weight.clone()
            weight.copy_(self._average[name])
            self._average[name].copy_(held)

    def state_dict(self) -> dict[str, Tensor]:
        """The average by the names of the weights."""
        return dict(self._average)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load an average from any device."""
        for name, average in self._average.items():
            average.copy_(state[name])
