"""The HuBERT encoder: raw 16 kHz waveforms in, one vector every 320 samples (20 ms) out.

Seven strided convolutions turn the waveform into frames, a linear layer projects them to the transformer's width, a
grouped convolution adds relative position, and transformer blocks follow (Hsu et al. 2021, arXiv:2106.07447).
Parameter names and values are those of transformers' `HubertModel`, so state dicts are exchanged as they are; layer
numbers are its `hidden_states` indices (transformers 5): k is the output of the k-th block, 0 the input of the first.

Waveforms are given as they were recorded. An encoder that was trained on normalised ones normalises each to zero mean
and unit variance itself (`HubertConfig.normalise`), over the window given, as its training did with each crop. In a
group-norm model the statistics of the first convolution run over the whole window, padding included, so batch windows
of equal length wherever results must not depend on their neighbours.
"""

# ruff: noqa: D102  (the class of each part says what its forward takes and gives)

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.row_products import Rerun, grouped_convolution, row_features
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD, frame_count


class EncoderOutput(NamedTuple):
    """Output of the encoder for a batch of B waveforms with T frames and width D.

    Attributes:
        hidden: The requested layers, each (B, T, D), as they leave their block (no closing norm).
        last: Output of the last block that ran, (B, T, D); after the closing layer norm in a pre-norm model that ran
            all its blocks.
        features: The convolutions' output before anything is hidden, (B, T, C); None from the form for inference.
        frames: Valid frames of each waveform, int64 (B,), or None when no lengths were given.
    """

    hidden: dict[int, Tensor]
    last: Tensor
    features: Tensor | None
    frames: Tensor | None


class HubertEncoder(nn.Module):
    """The encoder. Weights are torch's defaults until :func:`initialise` draws them or a checkpoint is loaded.

    Set `gradient_checkpointing` to True to recompute activations in the backward pass instead of keeping them. Call
    :meth:`train_on` before training: on a GPU the convolutions then run as matrix products.
    """

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.inference_form: nn.Module | None = None  # set by matrix_form.use_matrix_form
        self.feature_extractor = ConvolutionalFrontEnd(config)
        self.feature_projection = FeatureProjection(config)
        self.encoder = Transformer(config)

    def forward(
        self,
        waveforms: Tensor,
        *,
        layers: Collection[int] = (),
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
        mask_embedding: Tensor | None = None,
    ) -> EncoderOutput:
        """Encode a batch.

        Args:
            waveforms: 16 kHz audio, floating point, (B, n), n >= 400.
            layers: Hidden layers to return, 0 to the number of blocks. Given, blocks after the highest are not run
                and layer drop is off (as in the published fine-tuning); not given, all blocks run.
            lengths: Samples of each waveform before padding, integer (B,), each >= 400. Padded frames are zeroed
                after the projection and hidden from attention; they still enter group-norm statistics. Lengths that
                all equal n cost nothing. Keep them on the CPU: they are compared with n.
            mask: Frames to hide behind `mask_embedding` (masked prediction), bool (B, T).
            mask_embedding: The vector that replaces masked frames, (D,); required with `mask`.

        Raises:
            ValueError: an argument has an impossible shape or value.
        """
        if waveforms.ndim != 2 or waveforms.shape[1] < FRAME_RECEPTIVE_FIELD:
            raise ValueError(
                f"waveforms have shape {tuple(waveforms.shape)}: use (batch, samples), at least "
                f"{FRAME_RECEPTIVE_FIELD} samples"
            )
        if self.config.normalise:
            waveforms = standardised(waveforms, lengths)
        wanted = frozenset(layers)
        if wanted and not 0 <= min(wanted) <= max(wanted) <= self.config.layers:
            raise ValueError(f"layers {sorted(wanted)} are not all within 0 to {self.config.layers}")
        if (mask is None) != (mask_embedding is None):
            raise ValueError("mask and mask_embedding go together: give both or neither")
        if self.inference_form is not None and mask is None:
            frames, valid = _valid_frames(lengths, waveforms)
            return cast("EncoderOutput", self.inference_form(waveforms, wanted, frames, valid))
        run = self._recompute if self.gradient_checkpointing and torch.is_grad_enabled() else _call
        features = self.feature_extractor(waveforms, run)
        features = _ScaleGradient.apply(features, self.config.feature_grad_scale)
        x = self.feature_projection(features)
        if mask is not None and mask_embedding is not None:
            x = torch.where(mask.unsqueeze(-1), mask_embedding.to(x.dtype), x)
        frames, valid = _valid_frames(lengths, waveforms)
        if valid is not None:
            x = torch.where(valid.unsqueeze(-1), x, x.new_zeros(()))
        hidden, last = self.encoder(x, wanted, valid, run)
        return EncoderOutput(hidden, last, features, frames)

    def fold_weight_norm(self) -> HubertEncoder:
        """Compute the positional convolution's weight once and reuse it (about 5% faster inference); returns self.

        The folded weight is a cache beside the parameters: `state_dict` keeps its names and values, deep copies stay
        independent, and `train()`, or loading other weights, drops it.
        """
        self.encoder.pos_conv_embed.conv.fold()
        return self

    def train(self, mode: bool = True) -> HubertEncoder:
        """Drop the form for inference when training starts, since it would no longer match the weights."""
        if mode:
            self.inference_form = None
        return super().train(mode)

    def _load_from_state_dict(self, *arguments: Any, **keywords: Any) -> None:
        self.inference_form = None
        super()._load_from_state_dict(*arguments, **keywords)

    def train_on(self, device: torch.device, *, compiled: bool = False) -> HubertEncoder:
        """Choose how the encoder is trained on a device; returns self. Weights and results stay the same.

        Args:
            device: On CUDA, convolutions become matrix products (row_products.py), in validation too, where the model
                allows it: group norm, no biases. On a CPU that was no faster.
            compiled: Let torch compile the transformer's blocks: one compilation serves them all, at every length. (A
                batch of one row, padding and evaluation take one more each.)
        """
        self.convolve_by_rows(device.type == "cuda")
        if compiled:
            for block in self.encoder.layers:
                block.compile(dynamic=True)
        return self

    def convolve_by_rows(self, choice: bool) -> None:
        """Run convolutions as matrix products where the model allows it, unless the form for inference is in use."""
        self.feature_extractor.by_rows = choice and self.config.feature_norm == "group" and not self.config.conv_bias
        self.encoder.pos_conv_embed.conv.by_rows = choice

    def freeze_features(self) -> HubertEncoder:
        """Exclude the convolutional front-end from training (as every published derived model does); returns self."""
        self.feature_extractor.requires_grad_(False)
        return self

    @property
    def parameter_count(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    @staticmethod
    def _recompute(module: Callable[..., Tensor], *arguments: Any) -> Tensor:
        return checkpoint(module, *arguments, use_reentrant=False)


def _call(module: Callable[..., Tensor], *arguments: Any) -> Tensor:
    return module(*arguments)


def standardised(waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Each waveform, (B, n), normalised to zero mean and unit variance, as transformers' feature extractor does.

    The 1e-7 under the root keeps silence finite. Under `lengths`, (B,), statistics are those of the samples before
    padding, which becomes zero.
    """
    if lengths is None or int(lengths.min()) == waveforms.shape[1]:
        variance, mean = torch.var_mean(waveforms, dim=-1, correction=0, keepdim=True)
        return (waveforms - mean) / torch.sqrt(variance + 1e-7)
    counts = lengths.to(waveforms.device).unsqueeze(1)
    inside = torch.arange(waveforms.shape[1], device=waveforms.device) < counts
    mean = torch.where(inside, waveforms, 0.0).sum(-1, keepdim=True) / counts
    centred = torch.where(inside, waveforms - mean, 0.0)
    return centred / torch.sqrt(centred.square().sum(-1, keepdim=True) / counts + 1e-7)


def _valid_frames(lengths: Tensor | None, waveforms: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Valid frames per row (B,), and their mask (B, T), or None when nothing is padded."""
    if lengths is None:
        return None, None
    rows, samples = waveforms.shape
    if lengths.shape != (rows,):
        raise ValueError(f"lengths have shape {tuple(lengths.shape)}: use ({rows},)")
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest < FRAME_RECEPTIVE_FIELD or longest > samples:
        raise ValueError(f"lengths {shortest} to {longest} are not all within {FRAME_RECEPTIVE_FIELD} to {samples}")
    frames = (lengths.to(waveforms.device, torch.int64) - FRAME_RECEPTIVE_FIELD) // FRAME_HOP + 1
    if shortest == samples:
        return frames, None
    return frames, torch.arange(frame_count(samples), device=waveforms.device) < frames.unsqueeze(1)


class _ScaleGradient(torch.autograd.Function):
    """Identity whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0] * ctx.scale, None


def _gelu(x: Tensor) -> Tensor:
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


class ConvolutionalFrontEnd(nn.Module):
    """Waveform (B, n) -> frames (B, T, C)."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        layer = ChannelNormConv if config.feature_norm == "layer" else TimeNormConv
        self.conv_layers = nn.ModuleList(layer(config, index) for index in range(len(config.conv_dim)))
        self.by_rows = False  # set by HubertEncoder.convolve_by_rows

    def forward(self, waveforms: Tensor, run: Rerun = _call) -> Tensor:
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
        return _gelu(x if self.layer_norm is None else self.layer_norm(x))


class ChannelNormConv(nn.Module):
    """Convolution, layer norm over channels, GELU."""

    def __init__(self, config: HubertConfig, index: int) -> None:
        super().__init__()
        self.conv = _conv(config, index)
        self.layer_norm = LayerNorm(config.conv_dim[index])

    def forward(self, x: Tensor) -> Tensor:
        return _gelu(self.layer_norm(self.conv(x).transpose(1, 2)).transpose(1, 2))


class FeatureProjection(nn.Module):
    """Layer norm, then from the front-end's channels to the transformer's width."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.layer_norm = LayerNorm(config.conv_dim[-1], eps=config.norm_eps)
        self.projection = nn.Linear(config.conv_dim[-1], config.hidden_size)
        self.dropout = nn.Dropout(config.projection_dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.projection(self.layer_norm(x)))


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
        if self.by_rows:
            return grouped_convolution(x, self.weight(), self.groups) + self.bias
        y = F.conv1d(x.transpose(1, 2), self.weight(), self.bias, padding=self.padding, groups=self.groups)
        return y[..., : x.shape[1]].transpose(1, 2)


class PositionalConv(nn.Module):
    """Relative position: (B, T, D) -> (B, T, D)."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.conv = WeightNormConv(config.hidden_size, config.position_kernel, config.position_groups)

    def forward(self, x: Tensor) -> Tensor:
        return _gelu(self.conv(x))


class Attention(nn.Module):
    """Multi-head self-attention (B, T, D) -> (B, T, D); `keys` (B, 1, 1, T) masks the frames to attend to."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.attention_dropout
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, keys: Tensor | None) -> Tensor:
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=keys, dropout_p=dropout)
        return self.out_proj(y.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    """Two linear layers around a GELU, (B, T, D) -> (B, T, D)."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(config.hidden_size, config.feed_forward)
        self.intermediate_dropout = nn.Dropout(config.activation_dropout)
        self.output_dense = nn.Linear(config.feed_forward, config.hidden_size)
        self.output_dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.intermediate_dropout(_gelu(self.intermediate_dense(x)))
        return self.output_dropout(self.output_dense(x))


class Block(nn.Module):
    """One transformer block, norms after the residual sums (post-norm) or before its two parts (pre-norm).

    If `kept`, a boolean scalar, is given and false, the output is the input (layer drop).
    """

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.attention = Attention(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layer_norm = LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.feed_forward = FeedForward(config)
        self.final_layer_norm = LayerNorm(config.hidden_size, eps=config.norm_eps)

    def forward(self, x: Tensor, keys: Tensor | None, kept: Tensor | None = None) -> Tensor:
        y = self._blocked(x, keys)
        return y if kept is None else torch.where(kept, y, x)

    def _blocked(self, x: Tensor, keys: Tensor | None) -> Tensor:
        if self.pre_norm:
            x = x + self.dropout(self.attention(self.layer_norm(x), keys))
            return x + self.feed_forward(self.final_layer_norm(x))
        x = self.layer_norm(x + self.dropout(self.attention(x, keys)))
        return self.final_layer_norm(x + self.feed_forward(x))


class Transformer(nn.Module):
    """Positional convolution, then the blocks."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.layer_drop = config.layer_drop
        self.pos_conv_embed = PositionalConv(config)
        self.layer_norm = LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))

    def forward(
        self, x: Tensor, wanted: frozenset[int], valid: Tensor | None, run: Rerun = _call
    ) -> tuple[dict[int, Tensor], Tensor]:
        """Run the blocks up to the highest requested one.

        A dropped block is computed and its output discarded, instead of being skipped: every process of a distributed
        run then has the same graph, with a (zero) gradient for every parameter, and no random number has to be copied
        back from the accelerator. It costs the layer drop rate (5%) in training time.
        """
        depth = max(wanted) if wanted else len(self.layers)
        keys = None if valid is None else valid[:, None, None, :]
        x = x + self.pos_conv_embed(x)
        x = self.dropout(x if self.pre_norm else self.layer_norm(x))
        hidden = {0: x} if 0 in wanted else {}
        dropping = self.training and self.layer_drop > 0 and not wanted
        kept = torch.rand(depth, device=x.device) >= self.layer_drop if dropping else None
        for index in range(depth):
            x = run(self.layers[index], x, keys, None if kept is None else kept[index])
            if index + 1 in wanted:
                hidden[index + 1] = x
        return hidden, self.layer_norm(x) if self.pre_norm and depth == len(self.layers) else x


def initialise(encoder: HubertEncoder, generator: torch.Generator) -> HubertEncoder:
    """Draw fresh weights as the published pre-training does; returns the encoder.

    Front-end convolutions: Kaiming normal. Positional convolution: normal, std sqrt(4 / (kernel D)), bias 0. Linear
    layers of the transformer: normal, std 0.02, bias 0. The projection: torch's default uniform. Norms: 1 and 0.

    Args:
        encoder: Changed in place.
        generator: The only source of randomness, on the encoder's device.
    """
    for module in encoder.modules():
        if isinstance(module, nn.LayerNorm | nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv1d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    initialise_linear(encoder.feature_projection.projection, generator)
    _initialise_position(encoder, generator)
    for module in encoder.encoder.layers.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02, generator=generator)
            nn.init.zeros_(module.bias)
    return encoder


@torch.no_grad()
def initialise_linear(linear: nn.Linear, generator: torch.Generator) -> None:
    """Draw torch's own default for a linear layer (uniform within 1 / sqrt(inputs)) from a given generator."""
    bound = linear.in_features**-0.5
    nn.init.uniform_(linear.weight, -bound, bound, generator=generator)
    nn.init.uniform_(linear.bias, -bound, bound, generator=generator)


@torch.no_grad()
def _initialise_position(encoder: HubertEncoder, generator: torch.Generator) -> None:
    config, conv = encoder.config, encoder.encoder.pos_conv_embed.conv
    std = (4 / (config.position_kernel * config.hidden_size)) ** 0.5
    factors = conv.factors
    nn.init.normal_(factors.original1, std=std, generator=generator)
    factors.original0.copy_(torch.linalg.vector_norm(factors.original1, dim=(0, 1), keepdim=True))
    nn.init.zeros_(conv.bias)
    conv.folded = None
