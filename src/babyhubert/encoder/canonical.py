"""The form that every checkpoint has inside the package, and the strict check that a file has it.

Flavours translate names; here the translated tensors are compared with those that the configuration requires. A
missing, unexpected or misshapen tensor is an error that gives its name as the file has it: no value is filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from babyhubert.encoder.config import PUBLISHED_HEAD_WIDTH, PUBLISHED_STRIDES, HubertConfig
from babyhubert.encoder.flavours.layout import (
    LABEL_EMBEDDINGS,
    LAYER_WEIGHTS,
    MASK_EMBEDDING,
    SPECIAL_LABEL_EMBEDDINGS,
    WEIGHT_NORM,
    Head,
)
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.errors import CheckpointError, ConfigError

Shape = tuple[int, ...]

BRANCHES = "branches."
"""Beginning of the names of all parameters of branches."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights of a model, the same for every layout of the file.

    Attributes:
        flavour: Name of the layout it was read from.
        config: Shape of the encoder.
        encoder: The encoder's parameters under transformers' `HubertModel` names.
        pretraining: `mask_embedding` (D,), `final_proj.weight` (P, D), `final_proj.bias` (P,), `label_embeddings` (K,
            P), `special_label_embeddings` (4, P; fairseq only); empty, the first alone, or the first four.
        heads: Output layers by task. Of kinds `frames` and `classification`: `weight` (C, D), `bias` (C,); of `ctc`:
            `0.weight` (H, D), `0.bias` (H,), `3.weight` (C, H), `3.bias` (C,), or one layer as of the other kinds. Any
            head may have `layer_weights`, one value a block (only in our model folders).
        metadata: Further values of the file (epoch, hyper-parameters, a model folder's `task`).
    """

    flavour: str
    config: HubertConfig
    encoder: dict[str, Tensor]
    pretraining: dict[str, Tensor] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def parameter_count(self) -> int:
        """Number of parameters, pre-training parameters and heads included."""
        groups = [self.encoder, self.pretraining, *(head.tensors for head in self.heads.values())]
        return sum(tensor.numel() for group in groups for tensor in group.values())

    def uses_branches(self, tasks: Iterable[str]) -> bool:
        """True if one of these tasks has a head on a branch."""
        return any((self.heads[task].block or 0) > self.config.layers for task in tasks if task in self.heads)

    def without_branches(self) -> Checkpoint:
        """The same with the encoder's own transformer alone; heads of branches lose what they take."""
        own = {name: tensor for name, tensor in self.encoder.items() if not name.startswith(BRANCHES)}
        return replace(self, config=self.config.with_changes(branches=(), own_convolutions=()), encoder=own)


def encoder_shapes(config: HubertConfig) -> dict[str, Shape]:
    """Shape of every parameter of the encoder, by canonical name."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in HubertEncoder(config).state_dict().items()}


def infer_config(
    encoder: Mapping[str, Tensor], where: str, dropouts: Mapping[str, float] | None = None
) -> HubertConfig:
    """Derive the configuration from the tensors' shapes.

    Four settings do not show in shapes and take the value that every published model has: strides (5, 2, 2, 2, 2, 2,
    2), heads 64 wide, norms before attention exactly when every convolution has a norm, and WavLM's largest distance.

    Raises:
        CheckpointError: a tensor that decides the shape is absent, or the shapes fit no configuration.
    """
    depth = 1 + _highest(encoder, "feature_extractor.conv_layers.", 2)
    convs = [_shape(encoder, f"feature_extractor.conv_layers.{index}.conv.weight", where) for index in range(depth)]
    projection = _shape(encoder, "feature_projection.projection.weight", where)
    position = _shape(encoder, WEIGHT_NORM + "1", where)
    per_channel = "feature_extractor.conv_layers.1.layer_norm.weight" in encoder
    try:
        hidden = projection[0]
        return HubertConfig(
            conv_dim=tuple(shape[0] for shape in convs),
            conv_kernel=tuple(shape[-1] for shape in convs),
            conv_stride=PUBLISHED_STRIDES,
            conv_bias="feature_extractor.conv_layers.0.conv.bias" in encoder,
            feature_norm="layer" if per_channel else "group",
            hidden_size=hidden,
            layers=1 + _highest(encoder, "encoder.layers.", 2),
            heads=max(hidden // PUBLISHED_HEAD_WIDTH, 1),
            feed_forward=_shape(encoder, "encoder.layers.0.feed_forward.intermediate_dense.weight", where)[0],
            position_kernel=position[-1],
            position_groups=hidden // position[1],
            pre_norm=per_channel,
            relative_buckets=_rows(encoder, "encoder.layers.0.attention.rel_attn_embed.weight"),
            **dict(dropouts or {}),  # type: ignore[arg-type]
        )
    except (ConfigError, ZeroDivisionError, IndexError) as error:
        raise CheckpointError(f"{where}: the tensors' shapes fit no HuBERT encoder ({error})") from error


def check(
    checkpoint: Checkpoint,
    where: str,
    key: Callable[[str], str] = str,
    missing: Iterable[str] = (),
    unexpected: Iterable[str] = (),
) -> Checkpoint:
    """Return the checkpoint if it is complete and consistent.

    Args:
        checkpoint: What was read.
        where: The file, for messages.
        key: Turns a canonical encoder name into the file's own.
        missing: Keys outside the encoder known to be missing, in the file's words.
        unexpected: Keys nothing could be made of.

    Raises:
        CheckpointError: something is missing, unexpected, of the wrong shape or not finite.
    """
    _check_depth(checkpoint, where)
    _check_blocks(checkpoint, where)
    shapes = encoder_shapes(checkpoint.config)
    beside = _shapes_beside(checkpoint)
    found = _tensors_beside(checkpoint)
    named = list(missing)
    absent = [
        *named,
        *(key(name) for name in shapes if name not in checkpoint.encoder),
        *(name for name in beside if name not in found and not named),
    ]
    surplus = [
        *unexpected,
        *(key(name) for name in checkpoint.encoder if name not in shapes),
        *(name for name in found if name not in beside),
    ]
    if absent:
        raise CheckpointError(f"{where}: {_count(absent, 'tensor')} missing: {_listed(absent)}")
    if surplus:
        raise CheckpointError(f"{where}: {_count(surplus, 'unexpected tensor')}: {_listed(surplus)}")
    wrong = [
        f"{name} is {tuple(tensor.shape)}, not {shape}"
        for name, tensor, shape in (
            *((key(name), checkpoint.encoder[name], shape) for name, shape in shapes.items()),
            *((name, found[name], shape) for name, shape in beside.items()),
        )
        if tuple(tensor.shape) != shape
    ]
    if wrong:
        raise CheckpointError(f"{where}: {_count(wrong, 'tensor')} of the wrong shape: {_listed(wrong, '; ')}")
    broken = [
        name
        for name, tensor in (*((key(name), checkpoint.encoder[name]) for name in shapes), *found.items())
        if not torch.isfinite(tensor).all()
    ]
    if broken:
        raise CheckpointError(
            f"{where}: {_count(broken, 'tensor')} not finite (the training failed): {_listed(broken)}"
        )
    return checkpoint


def refuse_unusable(tensors: Mapping[str, Tensor], where: str) -> None:
    """Reject tensors of a file that cannot be computed with, before anything is computed.

    Raises:
        CheckpointError: a tensor is not plain floating point, or claims more numbers than it stores.
    """
    if any("pos_conv_embed.batch_norm." in name or name.endswith("pos_conv.0.running_mean") for name in tensors):
        raise CheckpointError(
            f"{where}: a HuBERT with batch norm before its positional convolution (conv_pos_batch_norm), which is not "
            "supported; use one with weight norm"
        )
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_nested or tensor.is_quantized or tensor.device.type == "meta":
            kind = next(
                word
                for word, found in (
                    ("quantised", tensor.is_quantized),
                    ("nested", tensor.is_nested),
                    ("without values (meta)", tensor.device.type == "meta"),
                    ("sparse", True),
                )
                if found
            )
            raise CheckpointError(f"{where}: the tensor {name} is {kind}; save plain dense tensors")
        if tensor.dtype not in _WEIGHT_TYPES:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise CheckpointError(
                f"{where}: the tensor {name} holds {kind}, no weights; float32, float16, bfloat16 and float64 are read"
            )
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(
                f"{where}: the tensor {name} claims {tensor.numel()} numbers of shape {tuple(tensor.shape)} and "
                f"stores {tensor.untyped_storage().nbytes() // tensor.element_size()}; save it in full"
            )


_WEIGHT_TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def _check_depth(checkpoint: Checkpoint, where: str) -> None:
    """Compare the number of blocks with the file's before building them, since each block takes time to build."""
    config, encoder = checkpoint.config, checkpoint.encoder
    branches = range(1 + _highest(encoder, BRANCHES, 1))
    found = 1 + _highest(encoder, "encoder.layers.", 2)
    beside = tuple(1 + _highest(encoder, f"{BRANCHES}{branch}.encoder.layers.", 4) for branch in branches)
    if config.layers != found:
        raise CheckpointError(f"{where}: the configuration has {config.layers} blocks, the weights have {found}")
    if config.branches != beside:
        raise CheckpointError(
            f"{where}: the configuration has branches of {_listed([*map(str, config.branches)]) or 'no'} blocks, the "
            f"weights of {_listed([*map(str, beside)]) or 'none'}"
        )


def _check_blocks(checkpoint: Checkpoint, where: str) -> None:
    blocks = checkpoint.config.blocks
    for task, head in checkpoint.heads.items():
        if head.block is not None and not 1 <= head.block <= blocks:
            raise CheckpointError(f"{where}: the {task} head takes block {head.block}, the encoder has {blocks}")


def _tensors_beside(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Tensors outside the encoder, by their names in a model folder."""
    found = {f"pretraining.{name}": tensor for name, tensor in checkpoint.pretraining.items()}
    for task, head in checkpoint.heads.items():
        found |= {f"heads.{task}.{name}": tensor for name, tensor in head.tensors.items()}
    return found


def _shapes_beside(checkpoint: Checkpoint) -> dict[str, Shape]:
    """Shapes of the tensors outside the encoder; projected and inner width and number of units are read off them."""
    shapes = _pretraining_shapes(checkpoint.pretraining, checkpoint.config.hidden_size)
    expected = {f"pretraining.{name}": shape for name, shape in shapes.items()}
    for task, head in checkpoint.heads.items():
        shapes = _head_shapes(head, checkpoint.config.hidden_size)
        if LAYER_WEIGHTS in head.tensors:
            shapes[LAYER_WEIGHTS] = (len(checkpoint.config.path(head.block or checkpoint.config.layers)),)
        expected |= {f"heads.{task}.{name}": shape for name, shape in shapes.items()}
    return expected


def _pretraining_shapes(found: Mapping[str, Tensor], width: int) -> dict[str, Shape]:
    if not found:
        return {}
    shapes: dict[str, Shape] = {MASK_EMBEDDING: (width,)}
    if set(found) != {MASK_EMBEDDING}:
        projected, units = _rows(found, "final_proj.weight"), _rows(found, LABEL_EMBEDDINGS)
        shapes |= {"final_proj.weight": (projected, width), "final_proj.bias": (projected,)}
        shapes[LABEL_EMBEDDINGS] = (units, projected)
        if SPECIAL_LABEL_EMBEDDINGS in found:
            shapes[SPECIAL_LABEL_EMBEDDINGS] = (_rows(found, SPECIAL_LABEL_EMBEDDINGS), projected)
    return shapes


def _head_shapes(head: Head, width: int) -> dict[str, Shape]:
    rows = len(head.labels)
    if head.kind != "ctc" or "weight" in head.tensors:  # transformers' CTC models: one linear layer
        return {"weight": (rows, width), "bias": (rows,)}
    inner = _rows(head.tensors, "0.weight")
    return {"0.weight": (inner, width), "0.bias": (inner,), "3.weight": (rows, inner), "3.bias": (rows,)}


def _rows(tensors: Mapping[str, Tensor], name: str) -> int:
    return tensors[name].shape[0] if name in tensors and tensors[name].ndim else 0


def _highest(tensors: Mapping[str, Tensor], prefix: str, position: int) -> int:
    numbers = [name.split(".")[position] for name in tensors if name.startswith(prefix)]
    return max((int(number) for number in numbers if number.isdecimal()), default=-1)


def _shape(tensors: Mapping[str, Tensor], name: str, where: str) -> Shape:
    if name not in tensors:
        raise CheckpointError(f"{where}: the tensor {name} (its name in transformers) is missing")
    return tuple(tensors[name].shape)


def _count(things: list[str], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _listed(names: list[str], separator: str = ", ", at_most: int = 5) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return separator.join(names[:at_most]) + more
