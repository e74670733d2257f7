"""The convolutions of a HuBERT encoder as matrix products with gradients, for training.

Libraries run 1-D convolutions far below the speed of matrix products, especially grouped ones and gradients, and a
norm over time passes twice over the largest activation of the model. Three identities avoid both:

- a strided convolution over frames that lie in memory as rows of channels is a product: `stride` neighbouring rows,
  read as one long row, times the first `stride` taps, plus the same for the remaining taps;
- group norm with one group per channel follows from the waveform: a channel is a linear function w of the samples u
  that a step depends on, so its mean is w · E[u] and its variance w' Cov[u] w, and the norm becomes part of the
  weight;
- a long grouped convolution is one product per group with some taps at a time, and a sum of shifted parts.

The form for inference (matrix_form.py) uses the first two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Rerun = Callable[..., Tensor]


def row_features(convolutions: Sequence[nn.Conv1d], norm: nn.GroupNorm, waveforms: Tensor, run: Rerun) -> Tensor:
    """The convolutional front-end: waveforms (B, n) -> frames (B, T, C). Weights get gradients, the input none.

    Every waveform has room for a number of steps that all later strides divide, so that the batch is one matrix
    throughout. Steps beyond the valid ones have no meaning and are cut off at the end.

    Args:
        convolutions: Without bias or padding.
        norm: Norm of the first one, over time, one group per channel.
        waveforms: At least as long as one frame.
        run: Calls a function and either keeps its activations or recomputes them in the backward pass.
    """
    strides = [convolution.stride[0] for convolution in convolutions]
    later = math.prod(strides[1:])
    steps = waveforms.shape[1]
    for convolution in convolutions:
        steps = (steps - convolution.kernel_size[0]) // convolution.stride[0] + 1
    x = run(_first_layer, waveforms, convolutions[0].weight, norm.weight, norm.bias, norm.eps, strides[0], later)
    room = x.shape[1]
    x = x.flatten(0, 1)
    for convolution, stride in zip(convolutions[1:], strides[1:], strict=True):
        x = run(_later_layer, x, convolution.weight, stride)
    return x.unflatten(0, (len(waveforms), room // later))[:, :steps]


def _first_layer(
    waveforms: Tensor, weight: Tensor, gain: Tensor, shift: Tensor, eps: float, stride: int, multiple: int
) -> Tensor:
    """Convolution, norm over time, GELU: (B, n) -> (B, room, C), in 16 bits under 16-bit autocast.

    Only the output is rounded then, not the input: see :func:`exact_product_sides`. An offset, which the norm removes,
    is subtracted first: products in TF32 would round it.
    """
    kernel = weight.shape[2]
    dtype = working_dtype(waveforms)
    waveforms = waveforms - waveforms.mean(dim=1, keepdim=True)
    seen, steps = seen_by_steps(waveforms, kernel, stride, multiple)
    with torch.autocast(waveforms.device.type, enabled=False):
        normed, bias = normalised_weight(seen[:, :steps], weight.squeeze(1), gain, shift, eps)
        rows, weight = exact_product_sides(seen, normed, bias, dtype)
        return F.gelu(rows @ weight.transpose(1, 2))


def seen_by_steps(waveforms: Tensor, kernel: int, stride: int, multiple: int) -> tuple[Tensor, int]:
    """Samples that each step of a convolution depends on, (B, room, kernel), and the number of valid steps.

    Room is the number of steps, rounded up to a multiple; zeros follow the waveform.
    """
    steps = (waveforms.shape[1] - kernel) // stride + 1
    room = -(-steps // multiple) * multiple
    wide = waveforms if waveforms.dtype == torch.float64 else waveforms.float()
    padded = F.pad(wide, (0, (room - 1) * stride + kernel - waveforms.shape[1]))
    return padded.unfold(1, kernel, stride), steps


def normalised_weight(seen: Tensor, weight: Tensor, gain: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Weights (B, C, kernel) and bias (B, C), of the dtype of the samples, that include a norm over time.

    Computed in float64, because a high-pass filter's variance is a small difference of large covariances.

    Args:
        seen: Samples that each step depends on, (B, steps, kernel).
        weight: (C, kernel).
        gain: Gain of the norm, (C,).
        shift: Shift of the norm, (C,).
        eps: Epsilon of the norm.
    """
    exact = torch.float32 if seen.device.type == "mps" else torch.float64  # mps has no float64
    u = seen.to(exact)
    mean = u.mean(dim=1, keepdim=True)
    u = u - mean
    covariance = u.transpose(1, 2) @ u / u.shape[1]
    w = weight.to(exact)
    variance = ((w @ covariance) * w).sum(-1).clamp_min(0)
    scale = gain.to(exact) * torch.rsqrt(variance + eps)
    bias = shift.to(exact) - scale * (mean @ w.t()).squeeze(1)
    return (w * scale.unsqueeze(-1)).to(seen.dtype), bias.to(seen.dtype)


def exact_product_sides(seen: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Both sides of a product, (B, room, K) and (B, C, K), that includes a bias and loses no accuracy in 16 bits.

    In bfloat16 and float16, samples and weights are split into a high and a low part: high x high + low x high + high
    x low, and the bias in two parts. A loud hum or an offset must not mask a quiet voice.
    """
    ones = seen.new_ones(())
    if dtype.itemsize > 2:
        column = ones.expand(*seen.shape[:2], 1)
        return torch.cat((seen, column), -1), torch.cat((weight, bias.unsqueeze(-1)), -1)
    high, low = _halves(seen, dtype)
    weight_high, weight_low = _halves(weight, dtype)
    bias_high, bias_low = _halves(bias.unsqueeze(-1), dtype)
    columns = ones.to(dtype).expand(*seen.shape[:2], 2)
    rows = torch.cat((high, low, high, columns), -1)
    return rows, torch.cat((weight_high, weight_high, weight_low, bias_high, bias_low), -1)


def _halves(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A float32 tensor as the sum of two 16-bit ones, accurate to 16 bits of mantissa in bfloat16."""
    high = x.to(dtype)
    return high, (x - high.float()).to(dtype)


def _later_layer(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Convolution and GELU: (R x stride, C) -> (R, C')."""
    dtype = working_dtype(x)
    with torch.autocast(x.device.type, enabled=False):
        return F.gelu(_RowConvolution.apply(x.to(dtype), weight.to(dtype), stride))


def working_dtype(x: Tensor) -> torch.dtype:
    """Data type of products of this tensor: its own, or that of autocast."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class _RowConvolution(torch.autograd.Function):
    """(R x stride, C) and (C', C, kernel) -> (R, C').

    Output row r is made of input rows stride x r to stride x r + kernel - 1. Where taps would reach behind the last
    row, the output row is not a valid step, and they are skipped.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return row_convolution(x.view(len(x) // stride, -1), taps_by_row(weight, stride))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        (dy,) = gradients
        rows, taps = x.view(len(x) // ctx.stride, -1), taps_by_row(weight, ctx.stride)
        of_x = _gradient_of_rows(dy, rows, taps).view_as(x) if ctx.needs_input_grad[0] else None
        of_weight = None
        if ctx.needs_input_grad[1]:
            parts = [rows[n:, : len(one)].t() @ dy[: len(dy) - n] for n, one in enumerate(taps)]
            of_weight = torch.cat(parts).unflatten(0, (weight.shape[2], weight.shape[1])).permute(2, 1, 0)
        return of_x, of_weight, None


def taps_by_row(weight: Tensor, stride: int) -> list[Tensor]:
    """A convolution's weight (C', C, kernel) as matrices (up to stride x C, C'), each for one long row."""
    return [taps.flatten(0, 1) for taps in weight.permute(2, 1, 0).split(stride)]


def row_convolution(rows: Tensor, taps: Sequence[Tensor], bias: Tensor | None = None) -> Tensor:
    """Long rows (R, stride x C) -> (R, C'): the first taps for each row, the next for the row after it, and so on."""
    first = rows[:, : len(taps[0])]
    y = first @ taps[0] if bias is None else torch.addmm(bias, first, taps[0])
    for number, more in enumerate(taps[1:], start=1):
        y[:-number].addmm_(rows[number:, : len(more)], more)
    return y


def _gradient_of_rows(dy: Tensor, rows: Tensor, taps: Sequence[Tensor]) -> Tensor:
    first, *more = taps
    if len(first) == rows.shape[1]:
        gradient = dy @ first.t()
    else:
        gradient = torch.zeros_like(rows)
        gradient[:, : len(first)] = dy @ first.t()
    for number, one in enumerate(more, start=1):
        gradient[number:, : len(one)].addmm_(dy[:-number], one.t())
    return gradient


def grouped_convolution(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Convolution over frames with as many outputs as inputs: (B, T, D) and (D, D / groups, kernel) -> (B, T, D).

    Output t depends on frames t - kernel // 2 to t + kernel - 1 - kernel // 2. Under autocast the products have its
    dtype; their sums and the output are float32.
    """
    dtype, device = working_dtype(x), x.device.type
    outcome = torch.float32 if torch.is_autocast_enabled(device) else x.dtype
    with torch.autocast(device, enabled=False):
        return _GroupedConvolution.apply(x.to(dtype), weight.to(dtype), groups).to(outcome)


class _GroupedConvolution(torch.autograd.Function):
    """Grouped convolution. Its gradients are products too: by taps in reverse order for frames, one per group for
    weights.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, groups: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.groups = groups
        kernel = weight.shape[2]
        return two_level_convolution(x, two_level_weight(weight, groups), kernel, kernel // 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        kernel, groups = weight.shape[2], ctx.groups
        dy = gradients[0].to(x.dtype)
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            turned = weight.unflatten(0, (groups, -1)).transpose(1, 2).flip(-1).flatten(0, 1)
            of_x = two_level_convolution(dy, two_level_weight(turned, groups), kernel, kernel - 1 - kernel // 2)
            of_x = of_x.to(x.dtype)
        if ctx.needs_input_grad[1]:
            of_weight = _gradient_of_grouped_weight(x, dy, kernel, groups)
        return of_x, of_weight, None


def short_taps(kernel: int) -> int:
    """Number of taps of a long kernel that are multiplied at once: a divisor of it."""
    return next(size for size in (16, 8, 4, 2, 1) if kernel % size == 0)


def two_level_weight(weight: Tensor, groups: int) -> Tensor:
    """(D, D / groups, kernel) -> (groups, short x D / groups, kernel / short x D / groups)."""
    width, kernel = weight.shape[1], weight.shape[2]
    short = short_taps(kernel)
    taps = weight.view(groups, width, width, kernel // short, short)  # group, out, in, long, short
    return taps.permute(0, 4, 2, 3, 1).reshape(groups, short * width, kernel // short * width)


def two_level_convolution(x: Tensor, weight: Tensor, kernel: int, before: int) -> Tensor:
    """(B, T, D) -> (B, T, D), float32 or wider: output t depends on frames t - before to t - before + kernel - 1.

    Each group's rows of neighbouring frames are multiplied by all the taps at once (one product per group, B x T
    rows); then these products are summed, each shifted by another `short` frames.
    """
    batch, frames, _ = x.shape
    groups, short = len(weight), short_taps(kernel)
    seen = _neighbours(x, groups, kernel, before, short)
    parts = torch.bmm(seen.flatten(1, 2), weight).view(groups, batch, seen.shape[2], kernel // short, -1)
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    return _shifted_sum(parts, frames, short, wide).permute(1, 2, 0, 3).flatten(-2)


def _shifted_sum(parts: Tensor, frames: int, shift: int, dtype: torch.dtype) -> Tensor:
    """(G, B, rows, L, C) -> (G, B, frames, C): each of the L parts begins `shift` rows after the one before it."""
    if parts.device.type == "cpu":  # where a loop was measured quicker
        y = parts[:, :, :frames, 0].to(dtype, copy=True)
        for part in range(1, parts.shape[3]):
            y += parts[:, :, part * shift : part * shift + frames, part]
        return y
    group, batch, row, part, _ = parts.stride()
    shape = (*parts.shape[:2], frames, *parts.shape[3:])
    return parts.as_strided(shape, (group, batch, row, shift * row + part, 1)).sum(3, dtype=dtype)


def _neighbours(x: Tensor, groups: int, kernel: int, before: int, short: int, more: int = 0) -> Tensor:
    """(B, T, D) -> (groups, B, T + kernel - short + more, short x D / groups): each frame and those after it."""
    padded = F.pad(x, (0, 0, before, kernel - 1 - before + more))
    by_group = padded.unflatten(-1, (groups, -1)).permute(2, 0, 1, 3).contiguous()
    return by_group.unfold(2, short, 1).transpose(-1, -2).flatten(-2)


def _gradient_of_grouped_weight(x: Tensor, dy: Tensor, kernel: int, groups: int) -> Tensor:
    """(B, T, D) twice -> (D, D / groups, kernel). One product per group, of the gradient in every shift of `short`.

    The product sums over rows; GPUs have faster kernels if their number is a multiple of 8.
    """
    short = short_taps(kernel)
    more = -(x.shape[1] + kernel - short) % 8
    seen = _neighbours(x, groups, kernel, kernel // 2, short, more).flatten(1, 2)  # group, B x rows, short x in
    behind = kernel - short + more  # rows between two waveforms, so that shifted ones do not meet
    by_group = F.pad(dy, (0, 0, 0, behind)).unflatten(-1, (groups, -1)).permute(2, 3, 0, 1).flatten(2)
    padded = F.pad(by_group, (kernel - short, 0))
    shifted = padded.unfold(2, seen.shape[1], short).flip(2)  # group, out, long, B x rows
    taps = torch.bmm(shifted.flatten(1, 2), seen).unflatten(1, (-1, kernel // short)).unflatten(-1, (short, -1))
    return taps.permute(0, 1, 4, 2, 3).flatten(3).flatten(0, 1)  # from group, out, long, short, in
