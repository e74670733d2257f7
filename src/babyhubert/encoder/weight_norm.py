"""Grouped convolution with weight normalisation: the encoder's relative position."""

# ruff: noqa: D102  (the class of each part says what its forward takes and gives)

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from babyhubert.encoder.row_products import grouped_convolution, working_dtype


class WeightNormFactors(nn.Module):
    """Magnitude (1, 1, kernel) and direction (D, D / groups, kernel) of a weight normalised along its kernel axis.

    The names are those of torch's `parametrizations.weight_norm`. Kept as a plain module because a torch
    parametrisation generates a class per module that deep copies share: removing it from a copy breaks the original.
    """

    def __init__(self, direction: Tensor) -> None:
        super().__init__()
        self.original0 = nn.Parameter(torch.linalg.vector_norm(direction.detach(), dim=(0, 1), keepdim=True))
        self.original1 = nn.Parameter(direction.detach().clone())

    def forward(self) -> Tensor:
        length = torch.linalg.vector_norm(self.original1, dim=(0, 1), keepdim=True)
        return self.original1 * (self.original0 / length)


class WeightNormConv(nn.Module):
    """Grouped convolution over frames whose weight is computed from its factors, or once when folded."""

    folded: Tensor | None

    def __init__(self, dim: int, kernel: int, groups: int) -> None:
        super().__init__()
        plain = nn.Conv1d(dim, dim, kernel, groups=groups)
        self.groups = groups
        self.padding = kernel // 2
        self.bias = nn.Parameter(plain.bias.detach().clone() if plain.bias is not None else torch.zeros(dim))
        self.parametrizations = nn.ModuleDict({"weight": WeightNormFactors(plain.weight)})
        self.by_rows = False  # set by HubertEncoder.convolve_by_rows
        self.register_buffer("folded", None, persistent=False)

    @property
    def factors(self) -> WeightNormFactors:
        """Factors that the weight is computed from."""
        return cast("WeightNormFactors", self.parametrizations["weight"])

    def weight(self) -> Tensor:
        """The convolution's weight, (D, D / groups, kernel)."""
        return self.factors() if self.folded is None else self.folded

    @torch.no_grad()
    def fold(self) -> None:
        """Store the weight as it is now."""
        self.folded = self.factors().clone()

    def train(self, mode: bool = True) -> WeightNormConv:
        """Drop the folded weight when training starts, since it would no longer match its factors."""
        if mode:
            self.folded = None
        return super().train(mode)

    def _load_from_state_dict(self, *arguments: Any, **keywords: Any) -> None:
        self.folded = None
        super()._load_from_state_dict(*arguments, **keywords)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D). A plain convolution with an even kernel gives one step too many; it is dropped."""
        if self.by_rows or _is_wrong_in_torch(x):
            return grouped_convolution(x, self.weight(), self.groups) + self.bias
        y = F.conv1d(x.transpose(1, 2), self.weight(), self.bias, padding=self.padding, groups=self.groups)
        return y[..., : x.shape[1]].transpose(1, 2)


def _is_wrong_in_torch(x: Tensor) -> bool:
    """Tell whether torch's convolution can be wrong: in bfloat16 on a CPU.

    With matrix units (AMX) oneDNN, as of torch 2.13, then gets grouped convolutions with an even kernel and few
    channels a group wrong altogether.
    """
    return x.device.type == "cpu" and working_dtype(x) == torch.bfloat16
