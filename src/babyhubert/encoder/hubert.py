"""The HuBERT encoder: raw 16 kHz waveforms in, one vector every 320 samples (20 ms) out.

Seven strided convolutions turn the waveform into frames, a linear layer projects them to the transformer's width, a
grouped convolution adds relative position, and transformer blocks follow (Hsu et al. 2021, arXiv:2106.07447). With
`relative_buckets` the blocks' attention is WavLM's (attention.py). `branches` are further transformers on the same
convolutions, or on some of their own, for tasks that one transformer cannot serve together; what is not needed for the
layers requested is not run.
Parameter names and values are those of transformers' `HubertModel`, so state dicts are exchanged as they are; layer
numbers are its `hidden_states` indices (transformers 5): k is the output of the k-th block, 0 the input of the first.
Blocks of branches, which transformers does not know, are numbered on from there.

Waveforms are given as they were recorded. An encoder that was trained on normalised ones normalises each to zero mean
and unit variance itself (`HubertConfig.normalise`), over the window given, as its training did with each crop. In a
group-norm model the statistics of the first convolution run over the whole window, padding included, so batch windows
of equal length wherever results must not depend on their neighbours.
"""

# ruff: noqa: D102  (the class of each part says what its forward takes and gives)

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from babyhubert.encoder.attention import Attention, GatedAttention
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.front_end import (
    ConvolutionalFrontEnd,
    FeatureProjection,
    LayerNorm,
    ScaleGradient,
    call_directly,
    gelu,
)
from babyhubert.encoder.row_products import Rerun
from babyhubert.encoder.weight_norm import WeightNormConv
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD, frame_count


class EncoderOutput(NamedTuple):
    """Output of the encoder for a batch of B waveforms with T frames and width D.

    Attributes:
        hidden: The requested layers, each (B, T, D), as they leave their block (no closing norm).
        last: Output of the last block that ran, (B, T, D), of the encoder's own transformer if that ran at all; after
            the closing layer norm in a pre-norm model that ran all its blocks.
        features: Output of the convolutions that ran first, before anything is hidden, (B, T, C); None from the form
            for inference.
        frames: Valid frames of each waveform, int64 (B,), or None when no lengths were given.
    """

    hidden: dict[int, Tensor]
    last: Tensor
    features: Tensor | None
    frames: Tensor | None


class HubertEncoder(nn.Module):
    """The encoder. Weights are torch's defaults until :func:`initialise` draws them or a checkpoint is loaded.

    Set `gradient_checkpointing` to True to recompute activations in the backward pass instead of keeping them. Call
    :meth:`prepare_training` before training: the convolutions then run as matrix products, which is faster.
    """

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.frozen_blocks: tuple[int, ...] = ()
        self.inference_form: nn.Module | None = None  # set by matrix_form.use_matrix_form
        self.feature_extractor = ConvolutionalFrontEnd(config)
        self.feature_projection = FeatureProjection(config)
        self.encoder = Transformer(config)
        if config.branches:
            self.branches = nn.ModuleList(
                Branch(config, blocks, own=number in config.own_convolutions)
                for number, blocks in enumerate(config.branches)
            )

    @property
    def stacks(self) -> list[Stack]:
        """The encoder's own transformer and those of its branches, each with what comes before it."""
        branches = [cast("Branch", branch) for branch in self.branches] if self.config.branches else []
        parts: list[HubertEncoder | Branch] = [self, *branches]
        return [
            Stack(getattr(part, "feature_extractor", self.feature_extractor), part.feature_projection, part.encoder)
            for part in parts
        ]

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
            layers: Hidden layers to return, 0 to the number of blocks, branches included. Given, blocks after the
                highest are not run and layer drop is off (as in the published fine-tuning); not given, all blocks of
                the encoder's own transformer run.
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
            waveforms = normalised_waveforms(waveforms, lengths)
        wanted = frozenset(layers)
        if wanted and not 0 <= min(wanted) <= max(wanted) <= self.config.blocks:
            raise ValueError(f"layers {sorted(wanted)} are not all within 0 to {self.config.blocks}")
        if (mask is None) != (mask_embedding is None):
            raise ValueError("mask and mask_embedding go together: give both or neither")
        if self.inference_form is not None and mask is None:
            frames, valid = _valid_frames(lengths, waveforms)
            return cast("EncoderOutput", self.inference_form(waveforms, wanted, frames, valid))
        run = self._recompute if self.gradient_checkpointing and torch.is_grad_enabled() else call_directly
        features: dict[nn.Module, Tensor] = {}
        frames, valid = _valid_frames(lengths, waveforms)
        hidden: dict[int, Tensor] = {}
        lasts: list[Tensor] = []
        for stack, (below, own) in zip(self.stacks, self.config.share_out(wanted), strict=True):
            if own is None:
                continue
            if stack.convolutions not in features:
                found = stack.convolutions(waveforms, run)
                features[stack.convolutions] = ScaleGradient.apply(found, self.config.feature_grad_scale)
            x = stack.projection(features[stack.convolutions])
            if mask is not None and mask_embedding is not None:
                x = torch.where(mask.unsqueeze(-1), mask_embedding.to(x.dtype), x)
            if valid is not None:
                x = torch.where(valid.unsqueeze(-1), x, x.new_zeros(()))
            layers_found, last = stack.transformer(x, own, valid, run)
            hidden |= {layer + below: x for layer, x in layers_found.items()}
            lasts.append(last)
        return EncoderOutput(hidden, lasts[0], next(iter(features.values())), frames)

    def fold_weight_norm(self) -> HubertEncoder:
        """Compute the positional convolution's weight once and reuse it (about 5% faster inference); returns self.

        The folded weight is a cache beside the parameters: `state_dict` keeps its names and values, deep copies stay
        independent, and `train()`, or loading other weights, drops it.
        """
        for stack in self.stacks:
            stack.transformer.pos_conv_embed.conv.fold()
        return self

    def train(self, mode: bool = True) -> HubertEncoder:
        """Drop the form for inference when training starts, since it would no longer match the weights."""
        if mode:
            self.inference_form = None
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        frozen: list[nn.Module] = []
        shares = self.config.share_out(self.frozen_blocks)
        for (convolutions, projection, transformer), (_, own) in zip(self.stacks, shares, strict=True):
            if own:
                frozen += [convolutions, projection, transformer.pos_conv_embed, transformer.dropout]
                frozen += transformer.layers[: max(own)]
            if own and (max(own) == len(transformer.layers) or not transformer.pre_norm):
                frozen.append(transformer.layer_norm)
        for module in frozen:
            module.requires_grad_(False).eval()

    def _load_from_state_dict(self, *arguments: Any, **keywords: Any) -> None:
        self.inference_form = None
        super()._load_from_state_dict(*arguments, **keywords)

    def prepare_training(self, *, compiled: bool = False) -> HubertEncoder:
        """Choose the fastest way to train the encoder; returns self. Weights and results stay the same.

        Convolutions become matrix products (row_products.py), in validation too, where the model allows it: group
        norm, no biases.

        Args:
            compiled: Let torch compile the transformer's blocks: one compilation serves them all, at every length. (A
                batch of one row, padding and evaluation take one more each.)
        """
        self.convolve_by_rows(True)
        if compiled:
            for stack in self.stacks:
                for block in stack.transformer.layers:
                    block.compile(dynamic=True)
        return self

    def convolve_by_rows(self, choice: bool) -> None:
        """Run convolutions as matrix products where the model allows it, unless the form for inference is in use."""
        for stack in self.stacks:
            allowed = self.config.feature_norm == "group" and not self.config.conv_bias
            stack.convolutions.by_rows = choice and allowed
            stack.transformer.pos_conv_embed.conv.by_rows = choice

    def freeze_features(self) -> HubertEncoder:
        """Exclude the convolutional front-end from training (as every published derived model does); returns self."""
        for stack in self.stacks:
            stack.convolutions.requires_grad_(False)
        return self

    def freeze_blocks(self, blocks: Iterable[int]) -> HubertEncoder:
        """Exclude all that leads to the outputs of some blocks from training, for good; returns self.

        Dropout and layer drop are off there, too, and with a transformer's last block so is its closing norm.

        Args:
            blocks: Numbers of these blocks, from 1; the convolutions are frozen with any of them.
        """
        self.frozen_blocks = (*self.frozen_blocks, *blocks)
        self._freeze()
        return self

    @property
    def parameter_count(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    @staticmethod
    def _recompute(module: Callable[..., Tensor], *arguments: Any) -> Tensor:
        return checkpoint(module, *arguments, use_reentrant=False)


def normalised_waveforms(waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
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


class PositionalConv(nn.Module):
    """Relative position: (B, T, D) -> (B, T, D)."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.conv = WeightNormConv(config.hidden_size, config.position_kernel, config.position_groups)

    def forward(self, x: Tensor) -> Tensor:
        return gelu(self.conv(x))


class FeedForward(nn.Module):
    """Two linear layers around a GELU, (B, T, D) -> (B, T, D)."""

    def __init__(self, config: HubertConfig) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(config.hidden_size, config.feed_forward)
        self.intermediate_dropout = nn.Dropout(config.activation_dropout)
        self.output_dense = nn.Linear(config.feed_forward, config.hidden_size)
        self.output_dropout = nn.Dropout(config.hidden_dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.intermediate_dropout(gelu(self.intermediate_dense(x)))
        return self.output_dropout(self.output_dense(x))


class Stack(NamedTuple):
    """A transformer of an encoder.

    Attributes:
        convolutions: Those it takes, perhaps shared with others.
        projection: From the convolutions to its width.
        transformer: Its blocks.
    """

    convolutions: ConvolutionalFrontEnd
    projection: FeatureProjection
    transformer: Transformer


class Branch(nn.Module):
    """A further transformer with its own projection, on the convolutions of the encoder or on some of its own."""

    def __init__(self, config: HubertConfig, blocks: int, own: bool) -> None:
        super().__init__()
        if own:
            self.feature_extractor = ConvolutionalFrontEnd(config)
        self.feature_projection = FeatureProjection(config)
        self.encoder = Transformer(config, blocks)


class Block(nn.Module):
    """One transformer block, norms after the residual sums (post-norm) or before its two parts (pre-norm).

    If `kept`, a boolean scalar, is given and false, the output is the input (layer drop).
    """

    def __init__(self, config: HubertConfig, index: int = 0) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.attention = GatedAttention(config, index) if config.relative_buckets else Attention(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layer_norm = LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.feed_forward = FeedForward(config)
        self.final_layer_norm = LayerNorm(config.hidden_size, eps=config.norm_eps)

    def forward(
        self, x: Tensor, keys: Tensor | None, kept: Tensor | None = None, bias: Tensor | None = None
    ) -> Tensor:
        y = self._blocked(x, keys, bias)
        return y if kept is None else torch.where(kept, y, x)

    def _blocked(self, x: Tensor, keys: Tensor | None, bias: Tensor | None) -> Tensor:
        if self.pre_norm:
            x = x + self.dropout(self.attention(self.layer_norm(x), keys, bias))
            return x + self.feed_forward(self.final_layer_norm(x))
        x = self.layer_norm(x + self.dropout(self.attention(x, keys, bias)))
        return self.final_layer_norm(x + self.feed_forward(x))


class Transformer(nn.Module):
    """Positional convolution, then the blocks."""

    def __init__(self, config: HubertConfig, blocks: int | None = None) -> None:
        super().__init__()
        self.pre_norm = config.pre_norm
        self.layer_drop = config.layer_drop
        self.pos_conv_embed = PositionalConv(config)
        self.layer_norm = LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layers = nn.ModuleList(Block(config, index) for index in range(blocks or config.layers))

    def forward(
        self, x: Tensor, wanted: frozenset[int], valid: Tensor | None, run: Rerun = call_directly
    ) -> tuple[dict[int, Tensor], Tensor]:
        """Run the blocks up to the highest requested one.

        A dropped block is computed and its output discarded, instead of being skipped: every process of a distributed
        run then has the same graph, with a (zero) gradient for every parameter, and no random number has to be copied
        back from the accelerator. It costs the layer drop rate (5%) in training time. Frozen blocks are not dropped.
        """
        depth = max(wanted) if wanted else len(self.layers)
        keys = None if valid is None else valid[:, None, None, :]
        x = x + self.pos_conv_embed(x)
        x = self.dropout(x if self.pre_norm else self.layer_norm(x))
        hidden = {0: x} if 0 in wanted else {}
        dropping = self.training and self.layer_drop > 0 and not wanted
        kept = torch.rand(depth, device=x.device) >= self.layer_drop if dropping else None
        bias = None if depth == 0 else cast("Block", self.layers[0]).attention.position_bias(x.shape[1])
        for index in range(depth):
            block = self.layers[index]
            x = run(block, x, keys, kept[index] if kept is not None and block.training else None, bias)
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
    for _, projection, transformer in encoder.stacks:
        initialise_linear(projection.projection, generator)
        _initialise_position(encoder.config, transformer.pos_conv_embed.conv, generator)
        for module in transformer.layers.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02, generator=generator)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
    return encoder


@torch.no_grad()
def initialise_linear(linear: nn.Linear, generator: torch.Generator) -> None:
    """Draw torch's own default for a linear layer (uniform within 1 / sqrt(inputs)) from a given generator."""
    bound = linear.in_features**-0.5
    nn.init.uniform_(linear.weight, -bound, bound, generator=generator)
    nn.init.uniform_(linear.bias, -bound, bound, generator=generator)


@torch.no_grad()
def _initialise_position(config: HubertConfig, conv: WeightNormConv, generator: torch.Generator) -> None:
    std = (4 / (config.position_kernel * config.hidden_size)) ** 0.5
    factors = conv.factors
    nn.init.normal_(factors.original1, std=std, generator=generator)
    factors.original0.copy_(torch.linalg.vector_norm(factors.original1, dim=(0, 1), keepdim=True))
    nn.init.zeros_(conv.bias)
    conv.folded = None
