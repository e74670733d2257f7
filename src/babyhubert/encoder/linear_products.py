"""Linear layers of the matrix form: plain or in oneDNN's own order of weights, and in bytes."""

# ruff: noqa: D102  (the class of each part says what its forward takes and gives)

from __future__ import annotations

import math
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Product(nn.Module):
    """Linear layer (..., I) -> (..., O), with an optional GELU.

    On a CPU, oneDNN uses weights in an order of its own. Given plain weights it reorders them in every call, which for
    the few hundred rows of a window takes a tenth of the time; so they are reordered once, where this torch offers
    that (as its own compiler does). In float32, for which torch otherwise calls another library, that was 10 to 25%
    faster on an AMD CPU with AVX-512, including the GELU, which is applied before the sums leave the registers.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, *, gelu: bool = False) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        self._gelu = gelu
        self._sorted: Tensor | None = None

    @classmethod
    def of(cls, *layers: nn.Linear, dtype: torch.dtype, gelu: bool = False) -> Self:
        """Join linear layers of one input into one product."""
        if len(layers) == 1:  # in float32 not a copy
            return cls(layers[0].weight.detach().to(dtype), layers[0].bias.detach().to(dtype), gelu=gelu)
        weight = torch.cat([layer.weight.detach() for layer in layers]).to(dtype)
        return cls(weight, torch.cat([layer.bias.detach() for layer in layers]).to(dtype), gelu=gelu)

    def sorts_weight_for(self, x: Tensor) -> bool:
        """True if this input is multiplied by a reordered weight, which torch's compiler cannot trace.

        In bfloat16 oneDNN refuses to on a CPU without the instructions, where plain products still work, slowly.
        """
        offered = _CAN_SORT_BFLOAT16 if x.dtype == torch.bfloat16 else _CAN_SORT
        return offered and x.device.type == "cpu" and not torch.compiler.is_compiling()

    def forward(self, x: Tensor) -> Tensor:
        if not self.sorts_weight_for(x):
            y = F.linear(x, self.weight, self.bias)
            return torch.ops.aten.gelu_(y) if self._gelu else y
        if self._sorted is None:
            self._sorted = torch.ops.mkldnn._reorder_linear_weight(self.weight.contiguous(), x.numel() // x.shape[-1])
        after: tuple[str, list[float], str] = ("gelu", [], "none") if self._gelu else ("none", [], "")
        return torch.ops.mkldnn._linear_pointwise(x, self._sorted, self.bias, *after)

    def __getstate__(self) -> dict[str, Any]:
        """Drop the reordered weights: copies make their own."""
        return {**self.__dict__, "_sorted": None}


class ByteProduct(Product):
    """Linear layer with both sides as integers from -127 to 127; each row of either side has a scale of its own.

    Rows are shifted up by 128 to unsigned bytes: oneDNN has fast kernels for that on every CPU with byte products, and
    subtracts 128 times the sums of the weights again. (For signed bytes it falls back on a loop, hundreds of times
    slower.)
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, gelu: bool = False) -> None:
        super().__init__(weight, bias, gelu=gelu)
        scale = (weight.float().abs().amax(dim=1) / _MOST).clamp_min(_LEAST_SCALE)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("zeros", torch.zeros(len(weight), dtype=torch.int32), persistent=False)

    scale: Tensor
    zeros: Tensor

    def sorts_weight_for(self, x: Tensor) -> bool:
        """True: there is no other way."""
        return True

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if self._sorted is None:
            whole = (self.weight.float() / self.scale.unsqueeze(1)).round().to(torch.int8).contiguous()
            self._sorted = torch.ops.onednn.qlinear_prepack(whole, list(rows.shape))
        scale = torch.linalg.vector_norm(rows, math.inf, dim=1, keepdim=True).div_(_MOST).clamp_min_(_LEAST_SCALE)
        moved = rows.mul(1 / scale).add_(128.5).to(torch.uint8)  # cut off, which with the half is rounding
        y = torch.ops.onednn.qlinear_pointwise(
            moved, 1.0, 128, self._sorted, self.scale, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        y = y.mul_(scale) if self.bias is None else torch.addcmul(self.bias, y, scale, out=y)
        if self._gelu:
            torch.ops.aten.gelu_(y)
        return y.view(*x.shape[:-1], -1)


_MOST, _LEAST_SCALE = 127.0, 1e-10


def can_multiply_bytes() -> bool:
    """True if this torch has oneDNN's quantised products (those that its compiler uses)."""
    return _offers(torch.ops.onednn, "qlinear_prepack", "qlinear_pointwise")


def _offers(operators: object, *names: str) -> bool:
    return torch.backends.mkldnn.is_available() and all(hasattr(operators, name) for name in names)


_CAN_SORT = _offers(torch.ops.mkldnn, "_reorder_linear_weight", "_linear_pointwise")


_CAN_SORT_BFLOAT16 = (
    _CAN_SORT
    and _offers(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")
    and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
)
