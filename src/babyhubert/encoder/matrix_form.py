"""The encoder for inference as matrix products alone, in float32, bfloat16 or int8.

The form rests on two identities.

A strided convolution over frames that lie in memory as rows of channels *is* a matrix product: `stride` neighbouring
rows, read as one long row, times the first `stride` taps, plus the same for the remaining taps. Nothing is copied and
nothing unfolded. (oneDNN's 1-D convolutions reach a quarter of this speed in bfloat16, and the first one, of a single
input channel, a fifteenth.)

Group norm with one group per channel subtracts a channel's mean over the window and divides by its deviation. Both
follow from the waveform, since the channel is a linear function of ten samples: with `u` the ten samples that a row
depends on, the mean is w · E[u] and the variance w' Cov[u] w. A 10 x 10 covariance thus replaces two passes over the
largest activation of the model, and the norm itself becomes part of the first convolution's weight.

In bfloat16 the first convolution keeps float32's accuracy, because loud hum or an offset must not mask a quiet voice:
samples and weights are split into a high and a low bfloat16 part, and the products of the parts fill the inner
dimension of the product to 32, the width of a tile of the hardware. Norm statistics, softmax and sums inside products
are float32 as everywhere; every activation that is stored is rounded to 8 bits of mantissa.

In int8, for CPUs that multiply bytes but have no matrix units, only the large products (later convolutions and blocks)
take both sides as integers from -127 to 127: each frame has a scale of its own, and so have each output's weights.
Sums are exact; everything between the products is float32.
"""

from __future__ import annotations

import math
from dataclasses import fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.front_end import ChannelNormConv, ConvolutionalFrontEnd, TimeNormConv
from babyhubert.encoder.hubert import Block, EncoderOutput, HubertEncoder, Stack, Transformer
from babyhubert.encoder.linear_products import ByteProduct, Product, can_multiply_bytes
from babyhubert.encoder.row_products import (
    exact_product_sides,
    normalised_weight,
    row_convolution,
    seen_by_steps,
    two_level_convolution,
    two_level_weight,
)
from babyhubert.timebase import frame_count

_ROWS_IN_CACHE = 512
"""Rows of the first convolution's output computed at a time on a CPU: 1 MB in float32, which stays in the cache."""


_KNOWN_NORMS = ("group", "layer")
_FOLLOWED = (
    *("conv_dim", "conv_kernel", "conv_stride", "conv_bias", "feature_norm", "hidden_size", "layers", "heads"),
    "branches",
    "own_convolutions",
    *("feed_forward", "position_kernel", "position_groups", "norm_eps", "pre_norm", "normalise"),
)
_OF_TRAINING = (
    *("hidden_dropout", "attention_dropout", "activation_dropout", "projection_dropout", "layer_drop"),
    "feature_grad_scale",
)
"""Settings that the form implements, and those without effect in evaluation mode. A setting that is added to the
encoder and is in neither list counts as unsupported until the form implements it too.
"""


def supports(config: HubertConfig) -> str | None:
    """Reason why the matrix form cannot compute an encoder of this shape; None if it can."""
    if config.feature_norm not in _KNOWN_NORMS:
        return f"the matrix form has no norm of the kind {config.feature_norm!r} after convolutions"
    known = {*_FOLLOWED, *_OF_TRAINING}
    unknown = [f.name for f in fields(config) if f.name not in known and getattr(config, f.name) != f.default]
    if unknown:
        return f"the matrix form does not know the setting {unknown[0]} = {getattr(config, unknown[0])!r}"
    return None


def use_matrix_form(encoder: HubertEncoder, dtype: torch.dtype) -> HubertEncoder:
    """Let an encoder run in matrix form for calls without a mask; returns it.

    Call it in evaluation mode, when the encoder is on its device. The form is a cache beside the parameters, like
    folded weight norm: `state_dict` keeps its names and values, `train()` or loading other weights drop it.

    Args:
        encoder: In evaluation mode.
        dtype: float32 or bfloat16, of activations and weights, or int8, of both sides of the large products (on CPUs
            whose torch has the kernels, see :func:`can_multiply_bytes`). Outputs are float32.

    Raises:
        ValueError: the encoder is in training mode or of a shape that :func:`supports` refuses, another dtype, or
            int8 elsewhere.
    """
    if encoder.training:
        raise ValueError("the matrix form is for inference: call eval() first")
    if (reason := supports(encoder.config)) is not None:
        raise ValueError(reason)
    if dtype not in (torch.float32, torch.bfloat16, torch.int8):
        raise ValueError(f"matrix form in {dtype}: float32, bfloat16 or int8")
    if dtype == torch.int8 and not (next(encoder.parameters()).device.type == "cpu" and can_multiply_bytes()):
        raise ValueError("matrix form in int8: this needs a CPU, and a torch with oneDNN's quantised products")
    with torch.no_grad():
        encoder.inference_form = MatrixForm(encoder, dtype)
    return encoder


class MatrixForm(nn.Module):
    """The whole encoder: (B, n) float32 waveforms -> :class:`EncoderOutput` in float32.

    The convolutions' output, which training penalises, is not returned.
    """

    def __init__(self, encoder: HubertEncoder, dtype: torch.dtype) -> None:
        super().__init__()
        config = encoder.config
        large: type[Product] = Product
        if dtype == torch.int8:
            large, dtype = ByteProduct, torch.float32
        self.dtype = dtype
        self.config = config
        stacks = encoder.stacks
        fronts = list(dict.fromkeys(stack.convolutions for stack in stacks))
        self.fronts = nn.ModuleList(_FrontEnd(config, front, dtype, large) for front in fronts)
        self.front_of = [fronts.index(stack.convolutions) for stack in stacks]
        self.transformers = nn.ModuleList(_Transformer(config, stack, dtype, large) for stack in stacks)

    def forward(
        self, waveforms: Tensor, wanted: frozenset[int], frames: Tensor | None, valid: Tensor | None
    ) -> EncoderOutput:
        """Run the blocks up to the highest requested one, or all of the encoder's own transformer.

        Args:
            waveforms: (B, n), n >= 400.
            wanted: Hidden layers to return.
            frames: Valid frames of each row, returned unchanged.
            valid: Mask of the frames that are not padding, bool (B, T); None if nothing is padded.
        """
        features: dict[int, Tensor] = {}
        hidden: dict[int, Tensor] = {}
        lasts: list[Tensor] = []
        shares = self.config.share_out(wanted)
        for transformer, front, (below, own) in zip(self.transformers, self.front_of, shares, strict=True):
            if own is not None:
                if front not in features:
                    features[front] = self.fronts[front](waveforms)
                found, last = transformer(features[front], own, valid)
                hidden |= {layer + below: x for layer, x in found.items()}
                lasts.append(last)
        return EncoderOutput(hidden, lasts[0], None, frames)


class _FrontEnd(nn.Module):
    """The convolutions: (B, n) -> (B, T(n), C)."""

    def __init__(
        self, config: HubertConfig, front: ConvolutionalFrontEnd, dtype: torch.dtype, large: type[Product]
    ) -> None:
        super().__init__()
        convolutions = list(front.conv_layers)
        self.first = _FirstConvolution(convolutions[0], dtype)
        self.convolutions = nn.ModuleList(_RowConvolution(layer, dtype, large) for layer in convolutions[1:])
        self.later_stride = math.prod(config.conv_stride[1:])

    def forward(self, waveforms: Tensor) -> Tensor:
        """Compute the frames.

        Every row of the batch has room for a number of steps that all later strides divide, so that the batch is one
        matrix throughout. Steps beyond the valid ones have no meaning and are cut off at the end.
        """
        batch, samples = waveforms.shape
        x, room = self.first(waveforms, self.later_stride)
        for convolution in self.convolutions:
            x = convolution(x)
        return x.view(batch, room // self.later_stride, -1)[:, : frame_count(samples)]


class _FirstConvolution(nn.Module):
    """Waveforms (B, n) -> activations (B x room, C), and the room: the number of steps stored for each waveform.

    Weights depend on the window when the norm runs over time, so they are computed for each.
    """

    weight: Tensor
    bias: Tensor | None
    gain: Tensor
    shift: Tensor

    def __init__(self, layer: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        assert isinstance(layer, TimeNormConv | ChannelNormConv)
        self.dtype = dtype
        self.kernel, self.stride = layer.conv.kernel_size[0], layer.conv.stride[0]
        self.over_time = isinstance(layer, TimeNormConv)
        assert layer.layer_norm is not None
        self.eps = layer.layer_norm.eps
        self.register_buffer("weight", layer.conv.weight.detach().squeeze(1).float().clone(), persistent=False)
        bias = layer.conv.bias
        self.register_buffer("bias", None if bias is None else bias.detach().float().clone(), persistent=False)
        norm_dtype = torch.float32 if self.over_time else dtype
        self.register_buffer("gain", layer.layer_norm.weight.detach().to(norm_dtype).clone(), persistent=False)
        self.register_buffer("shift", layer.layer_norm.bias.detach().to(norm_dtype).clone(), persistent=False)

    def forward(self, waveforms: Tensor, multiple: int) -> tuple[Tensor, int]:
        seen, steps = seen_by_steps(waveforms.float(), self.kernel, self.stride, multiple)
        if self.over_time:
            weight, bias = normalised_weight(seen[:, :steps], self.weight, self.gain, self.shift, self.eps)
        else:
            weight = self.weight.expand(len(seen), -1, -1)
            bias = self.weight.new_zeros(weight.shape[:2]) if self.bias is None else self.bias.expand(len(seen), -1)
        rows, weight = exact_product_sides(seen, weight, bias, self.dtype)
        x = self._multiply(rows, weight.transpose(1, 2))
        return x.view(-1, x.shape[-1]), x.shape[1]

    def _multiply(self, rows: Tensor, weight: Tensor) -> Tensor:
        if rows.device.type != "cpu":
            return self._activated(rows @ weight)
        x = rows.new_empty(*rows.shape[:2], weight.shape[2])
        for index in range(len(rows)):
            for start in range(0, rows.shape[1], _ROWS_IN_CACHE):
                part = slice(start, start + _ROWS_IN_CACHE)
                if self.over_time:
                    torch.ops.aten.gelu_(torch.mm(rows[index, part], weight[index], out=x[index, part]))
                else:
                    x[index, part] = self._activated(rows[index, part] @ weight[index])
        return x

    def _activated(self, x: Tensor) -> Tensor:
        if not self.over_time:
            x = F.layer_norm(x, self.gain.shape, self.gain, self.shift, self.eps)
        return torch.ops.aten.gelu_(x)


class _RowConvolution(nn.Module):
    """Convolution over rows, norm over channels where the model has it, GELU: (R, C) -> (R / stride, C').

    Output row r is made of input rows stride x r to stride x r + kernel - 1. Where the taps beyond the first `stride`
    would reach behind the last row, the output row is not a valid step, and they are skipped.
    """

    def __init__(self, layer: nn.Module, dtype: torch.dtype, large: type[Product]) -> None:
        super().__init__()
        assert isinstance(layer, TimeNormConv | ChannelNormConv)
        conv = layer.conv
        self.stride = conv.stride[0]
        rows = conv.weight.detach().permute(2, 1, 0).to(dtype).flatten(0, 1).contiguous()  # (kernel x C, C')
        bias = None if conv.bias is None else conv.bias.detach().to(dtype).clone()
        self.norm = None if layer.layer_norm is None else _Norm(layer.layer_norm, dtype)
        self.whole = large(rows.t(), bias, gelu=self.norm is None)
        self.parts = -(-conv.kernel_size[0] // self.stride)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.view(len(x) // self.stride, -1)
        if x.dtype == torch.float32 and self.whole.sorts_weight_for(x):
            return self._multiply_at_once(rows)
        y = row_convolution(rows, self.whole.weight.t().split(rows.shape[1]), self.whole.bias)
        return torch.ops.aten.gelu_(y if self.norm is None else self.norm(y))

    def _multiply_at_once(self, rows: Tensor) -> Tensor:
        """Multiply all taps in one product, for which some rows at a time are copied side by side.

        In float32 on a CPU the copy is cheap compared with the product and saves a second pass over its result; in
        bfloat16, whose products are eight times as fast, it is not.
        """
        inner = self.whole.weight.shape[1]
        if self.parts == 1:
            return self._after_product(self.whole(rows[:, :inner]))
        width, y = rows.shape[1], rows.new_empty(len(rows), len(self.whole.weight))
        beside = rows.new_empty(min(_ROWS_IN_CACHE, len(rows)), inner)
        for start in range(0, len(rows), _ROWS_IN_CACHE):
            stop = min(start + _ROWS_IN_CACHE, len(rows))
            part = beside[: stop - start]
            for number in range(self.parts):
                columns = part[:, number * width : (number + 1) * width]
                source = rows[start + number : stop + number, : columns.shape[1]]
                columns[: len(source)] = source
                columns[len(source) :] = 0
            y[start:stop] = self._after_product(self.whole(part))
        return y

    def _after_product(self, x: Tensor) -> Tensor:
        """Apply norm and GELU; without a norm the product has applied the GELU already."""
        return x if self.norm is None else torch.ops.aten.gelu_(self.norm(x))


class _Norm(nn.Module):
    """Layer norm over the last axis."""

    weight: Tensor
    bias: Tensor

    def __init__(self, norm: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        assert isinstance(norm, nn.LayerNorm)
        self.eps = norm.eps
        self.register_buffer("weight", norm.weight.detach().to(dtype).clone(), persistent=False)
        self.register_buffer("bias", norm.bias.detach().to(dtype).clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


class _Position(nn.Module):
    """Grouped convolution over `kernel` frames, GELU: (B, T, D) -> (B, T, D)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, config: HubertConfig, transformer: Transformer, dtype: torch.dtype) -> None:
        super().__init__()
        self.kernel = config.position_kernel
        conv = transformer.pos_conv_embed.conv
        weight = two_level_weight(conv.weight().detach(), config.position_groups)
        self.register_buffer("weight", weight.to(dtype).contiguous(), persistent=False)
        self.register_buffer("bias", conv.bias.detach().to(dtype).clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y = two_level_convolution(x, self.weight, self.kernel, self.kernel // 2) + self.bias
        return torch.ops.aten.gelu_(y).to(x.dtype)


class _Transformer(nn.Module):
    """Projection, position and blocks: (B, T, C) -> the layers wanted and the last one, (B, T, D) in float32."""

    def __init__(self, config: HubertConfig, stack: Stack, dtype: torch.dtype, large: type[Product]) -> None:
        super().__init__()
        transformer = stack.transformer
        self.pre_norm = config.pre_norm
        self.projection_norm = _Norm(stack.projection.layer_norm, dtype)
        self.projection = Product.of(stack.projection.projection, dtype=dtype)
        self.position = _Position(config, transformer, dtype)
        self.layer_norm = _Norm(transformer.layer_norm, dtype)
        self.blocks = nn.ModuleList(_Block(block, config.heads, dtype, large) for block in transformer.layers)

    def forward(
        self, features: Tensor, wanted: frozenset[int], valid: Tensor | None
    ) -> tuple[dict[int, Tensor], Tensor]:
        x = self.projection(self.projection_norm(features))
        keys = None
        if valid is not None:
            x = torch.where(valid.unsqueeze(-1), x, x.new_zeros(()))
            keys = valid[:, None, None, :]
        x = x + self.position(x)
        x = x if self.pre_norm else self.layer_norm(x)
        depth = max(wanted) if wanted else len(self.blocks)
        hidden = {0: x.float()} if 0 in wanted else {}
        for index in range(depth):
            x = self.blocks[index](x, keys)
            if index + 1 in wanted:
                hidden[index + 1] = x.float()
        last = self.layer_norm(x) if self.pre_norm and depth == len(self.blocks) else x
        return hidden, last.float()


class _Block(nn.Module):
    """One transformer block: (B, T, D) -> (B, T, D); `keys` (B, 1, 1, T) masks the frames to attend to."""

    def __init__(self, block: nn.Module, heads: int, dtype: torch.dtype, large: type[Product]) -> None:
        super().__init__()
        assert isinstance(block, Block)
        attention, feed_forward = block.attention, block.feed_forward
        self.heads = heads
        self.pre_norm = block.pre_norm
        self.qkv = large.of(attention.q_proj, attention.k_proj, attention.v_proj, dtype=dtype)
        self.out = large.of(attention.out_proj, dtype=dtype)
        self.layer_norm = _Norm(block.layer_norm, dtype)
        self.up = large.of(feed_forward.intermediate_dense, dtype=dtype, gelu=True)
        self.down = large.of(feed_forward.output_dense, dtype=dtype)
        self.final_layer_norm = _Norm(block.final_layer_norm, dtype)

    def forward(self, x: Tensor, keys: Tensor | None) -> Tensor:
        if self.pre_norm:
            x = x + self._attend(self.layer_norm(x), keys)
            return x + self._feed_forward(self.final_layer_norm(x))
        x = self.layer_norm(x + self._attend(x, keys))
        return self.final_layer_norm(x + self._feed_forward(x))

    def _attend(self, x: Tensor, keys: Tensor | None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=keys)
        return self.out(y.transpose(1, 2).flatten(-2))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.down(self.up(x))
