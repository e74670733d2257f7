"""The encoder's front end: strided convolutions over the waveform, and the projection of their frames."""

# ruff: noqa: D102  (the class of each part says what its forward takes and gives)

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.row_products import Rerun, row_features


class ScaleGradient(torch.autograd.Function):
    """Identity whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0] * ctx.scale, None


def gelu(x: Tensor) -> Tensor:
    """Exact GELU of a tensor that the caller owns: in place when no gradient needs the input."""
    return F.gelu(x) if x.requires_grad else torch.ops.aten.gelu_(x)


def _wide(x: Tensor) -> Tensor:
    return x.float() if torch.is_autocast_enabled(x.device.type) else x


class LayerNorm(nn.LayerNorm):
    """Layer norm, in float32 under autocast on every device.

    On CUDA torch does so by itself. On a CPU it would not, and the sums passed from block to block would have 8 bits
    of mantissa.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(_wide(x))


class GroupNorm(nn.GroupNorm):
    """Group norm, in float32 under autocast on every device."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(_wide(x))


def call_directly(module: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Result of the module, whose activations are kept for the gradient."""
    return module(*arguments)


class ConvolutionalFrontEnd(nn.Module):
    """Waveform (B, n) -> frames (B, T, C)."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        layer = ChannelNormConv if config.feature_norm == "layer" else TimeNormConv
        self.conv_layers = nn.ModuleList(layer(config, index) for index in range(len(config.conv_dim)))
        self.by_rows = False  # set by HubertEncoder.convolve_by_rows

    def forward(self, waveforms: Tensor, run: Rerun = call_directly) -> Tensor:
        if self.by_rows and not waveforms.requires_grad:
            norm = cast("nn.GroupNorm", self.conv_layers[0].layer_norm)
            return row_features([cast("nn.Conv1d", layer.conv) for layer in self.conv_layers], norm, waveforms, run)
        x = waveforms.unsqueeze(1)
        for layer in self.conv_layers:
            x = run(layer, x)
        return x.transpose(1, 2)


def _conv(config: HubertConfig, index: int) -> nn.Conv1d:
    channels = (1, *config.conv_dim)
    return nn.Conv1d(
        channels[index],
        channels[index + 1],
        config.conv_kernel[index],
        stride=config.conv_stride[index],
        bias=config.conv_bias,
    )


class TimeNormConv(nn.Module):
    """Convolution and GELU; the first one normalises each channel over time (group norm, one group per channel)."""

    def __init__(self, config: HubertConfig, index: int) -> None:
        super().__init__()
        self.conv = _conv(config, index)
        dim = config.conv_dim[index]
        self.layer_norm = GroupNorm(dim, dim) if index == 0 else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return gelu(x if self.layer_norm is None else self.layer_norm(x))


class ChannelNormConv(nn.Module):
    """Convolution, layer norm over channels, GELU."""

    def __init__(self, config: HubertConfig, index: int) -> None:
        super().__init__()
        self.conv = _conv(config, index)
        self.layer_norm = LayerNorm(config.conv_dim[index])

    def forward(self, x: Tensor) -> Tensor:
        return gelu(self.layer_norm(self.conv(x).transpose(1, 2)).transpose(1, 2))


class FeatureProjection(nn.Module):
    """Layer norm, then from the front-end's channels to the transformer's width."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.layer_norm = LayerNorm(config.conv_dim[-1], eps=config.norm_eps)
        self.projection = nn.Linear(config.conv_dim[-1], config.hidden_size)
        self.dropout = nn.Dropout(config.projection_dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.projection(self.layer_norm(x)))
