"""Configuration of a HuBERT encoder: five named sizes, and the translation to and from a transformers `config.json`.

Everything that decides a tensor's shape or a number's value is in one frozen object. Kernels and strides of the
convolutions are checked against the package's frame grid, because all other packages count frames on that grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from itertools import accumulate, pairwise
from typing import Any, Literal

from babyhubert.errors import ConfigError
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD

FeatureNorm = Literal["group", "layer"]

PUBLISHED_KERNELS = (10, 3, 3, 3, 3, 2, 2)
PUBLISHED_STRIDES = (5, 2, 2, 2, 2, 2, 2)
PUBLISHED_HEAD_WIDTH = 64
"""Width of one attention head in every published HuBERT, and in every named size of this package."""


@dataclass(frozen=True, slots=True)
class HubertConfig:
    """Shape and regularisation of an encoder. The defaults are HuBERT base as BabyHuBERT trains it.

    Attributes:
        conv_dim: Channels of each convolution of the front-end.
        conv_kernel: Kernel of each convolution, in its own input steps.
        conv_stride: Stride of each convolution; the product is 320 samples, one frame.
        conv_bias: True if these convolutions have a bias.
        feature_norm: `"group"`: one normalisation per channel over time, after the first convolution only (base);
            `"layer"`: a layer norm over channels after every convolution (large).
        hidden_size: Width D of the transformer.
        layers: Number of transformer blocks.
        heads: Attention heads a block.
        feed_forward: Inner width of the feed-forward part.
        position_kernel: Kernel of the positional convolution, in frames.
        position_groups: Groups of the positional convolution.
        norm_eps: Epsilon of the layer norms after the front-end.
        pre_norm: Layer norms before attention and feed-forward, and one more after the last block ("stable" in
            transformers); otherwise after the residual sums, and one before the first block.
        hidden_dropout: Dropout on the outputs of attention, feed-forward and the embedding.
        attention_dropout: Dropout on attention probabilities.
        activation_dropout: Dropout inside the feed-forward part.
        projection_dropout: Dropout after the projection from the front-end.
        layer_drop: Probability of skipping a block in training.
        feature_grad_scale: Factor on the gradient that enters the front-end.
        normalise: True if each waveform is normalised to zero mean and unit variance first (`do_normalize` of
            transformers' feature extractor, fairseq's `task.normalize`).
        relative_buckets: Buckets of distances of WavLM's gated relative position bias; 0: attention without one.
        relative_distance: Distance, in frames, from which on all frames share the last bucket.
        branches: Blocks of each further transformer beside the encoder's own. Their blocks are numbered on from
            `layers`.
        own_convolutions: Numbers of the branches, from 0, that have convolutions of their own.
    """

    conv_dim: tuple[int, ...] = (512,) * 7
    conv_kernel: tuple[int, ...] = PUBLISHED_KERNELS
    conv_stride: tuple[int, ...] = PUBLISHED_STRIDES
    conv_bias: bool = False
    feature_norm: FeatureNorm = "group"
    hidden_size: int = 768
    layers: int = 12
    heads: int = 12
    feed_forward: int = 3072
    position_kernel: int = 128
    position_groups: int = 16
    norm_eps: float = 1e-5
    pre_norm: bool = False
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    projection_dropout: float = 0.1
    layer_drop: float = 0.05
    feature_grad_scale: float = 0.1
    normalise: bool = False
    relative_buckets: int = 0
    relative_distance: int = 800
    branches: tuple[int, ...] = ()
    own_convolutions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check_types(self)
        _check_sizes(self)
        if not len(self.conv_dim) == len(self.conv_kernel) == len(self.conv_stride):
            raise ConfigError("conv_dim, conv_kernel and conv_stride must have one value per convolution each")
        if self.hop != FRAME_HOP or self.receptive_field != FRAME_RECEPTIVE_FIELD:
            raise ConfigError(
                f"convolutions with kernels {self.conv_kernel} and strides {self.conv_stride} see "
                f"{self.receptive_field} samples every {self.hop}; the frame grid is {FRAME_RECEPTIVE_FIELD} every "
                f"{FRAME_HOP}"
            )
        if self.feature_norm not in ("group", "layer"):
            raise ConfigError(f"feature_norm is {self.feature_norm!r}: use 'group' or 'layer'")
        for name, divisor in (("heads", self.heads), ("position_groups", self.position_groups)):
            if divisor < 1 or self.hidden_size % divisor:
                raise ConfigError(f"hidden_size ({self.hidden_size}) is not a multiple of {name} ({divisor})")
        for name in _PROBABILITIES:
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: use a value from 0 up to, not including, 1")
        _check_relative(self)
        if not 0 < self.norm_eps <= 1:
            raise ConfigError(f"norm_eps is {self.norm_eps}: use a value above 0, at most 1 (published: 1e-5)")
        if not (math.isfinite(self.feature_grad_scale) and self.feature_grad_scale >= 0):
            raise ConfigError(f"feature_grad_scale is {self.feature_grad_scale}: use a number from 0")

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return math.prod(self.conv_stride)

    @property
    def receptive_field(self) -> int:
        """Samples that one frame depends on."""
        field = 1
        for kernel, stride in zip(reversed(self.conv_kernel), reversed(self.conv_stride), strict=True):
            field = (field - 1) * stride + kernel
        return field

    @property
    def blocks(self) -> int:
        """Number of blocks, those of the branches included."""
        return self.layers + sum(self.branches)

    @property
    def tops(self) -> tuple[int, ...]:
        """Number of the last block of each transformer, the branches' behind the encoder's own."""
        return tuple(accumulate((self.layers, *self.branches)))

    def share_out(self, wanted: Collection[int]) -> list[tuple[int, frozenset[int] | None]]:
        """Layers of each transformer among those wanted.

        Args:
            wanted: Layers, from 0 to :attr:`blocks`; none: all of the encoder's own transformer.

        Returns:
            For each transformer, the number of blocks in those before it, and its layers by its own numbers: None if
            it need not run, none if all of it runs.
        """
        shares: list[tuple[int, frozenset[int] | None]] = []
        for below, top in pairwise((0, *self.tops)):
            first = below + 1 if below else 0  # the input of a branch's first block has no number
            own = frozenset(layer - below for layer in wanted if first <= layer <= top)
            shares.append((below, own if own or not (wanted or below) else None))
        return shares

    def path(self, block: int) -> range:
        """Numbers of the blocks from the convolutions up to a block, in the order of computation."""
        below = max((top for top in self.tops if top < block), default=0)
        return range(below + 1, block + 1)

    @property
    def size_name(self) -> str | None:
        """Name of the size with these tensor shapes, or None."""
        plain = replace(self, normalise=False)
        return next((name for name, size in SIZES.items() if size.same_shapes(plain)), None)

    def same_shapes(self, other: HubertConfig) -> bool:
        """True if weights fit both configurations: all settings equal but dropouts, layer drop and gradient scale."""
        neutral: dict[str, Any] = {**dict.fromkeys(_PROBABILITIES, 0.0), "feature_grad_scale": 1.0}
        return replace(self, **neutral) == replace(other, **neutral)

    def with_changes(self, **changes: Any) -> HubertConfig:
        """A copy with some settings changed.

        Raises:
            ConfigError: unknown name or impossible value.
        """
        unknown = set(changes) - {field.name for field in fields(self)}
        if unknown:
            raise ConfigError(f"unknown encoder setting {sorted(unknown)[0]!r}")
        return replace(self, **changes)

    @classmethod
    def of_size(cls, name: str) -> HubertConfig:
        """The configuration of a named size.

        Raises:
            ConfigError: no such size.
        """
        if name not in SIZES:
            raise ConfigError(f"unknown encoder size {name!r}: use one of {', '.join(SIZES)}")
        return SIZES[name]

    def to_transformers(self) -> dict[str, Any]:
        """The same as a transformers `HubertConfig` dict: masking off, and `feature_grad_scale` as an extra key.

        It is a `WavLMConfig` dict for an encoder with relative position bias.
        """
        wavlm = self.relative_buckets > 0
        names = _TRANSFORMERS_NAMES | _WAVLM_NAMES if wavlm else _TRANSFORMERS_NAMES
        settings = {theirs: getattr(self, ours) for ours, theirs in names.items()}
        return {
            "architectures": ["WavLMModel" if wavlm else "HubertModel"],
            "model_type": "wavlm" if wavlm else "hubert",
            **{name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()},
            **_TRANSFORMERS_FIXED,
            "num_feat_extract_layers": len(self.conv_dim),
            "apply_spec_augment": False,
            "mask_time_prob": 0.0,
            "mask_feature_prob": 0.0,
            "feature_grad_scale": self.feature_grad_scale,
            **{name: list(getattr(self, name)) for name in _OF_BRANCHES if getattr(self, name)},
        }

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> HubertConfig:
        """Read a transformers `config.json` of HuBERT, wav2vec 2.0 (the same encoder) or WavLM.

        Keys that are absent take transformers' defaults.

        Raises:
            ConfigError: another model type, or a setting this encoder does not have.
        """
        if not isinstance(config, Mapping):
            raise ConfigError(f"a table of settings is needed, not {config!r}")
        kind = config.get("model_type", "hubert")
        if kind not in _MODEL_TYPES:
            raise ConfigError(f"model_type is {kind!r}: only {', '.join(map(repr, _MODEL_TYPES))} are supported")
        for name, what in _ADAPTERS.items():
            if config.get(name):
                raise ConfigError(f"{name} is {config[name]!r}: {what} are not supported; use a model without them")
        for name, only in _TRANSFORMERS_FIXED.items():
            value = config.get(name, only)
            if value != only or isinstance(value, bool) != isinstance(only, bool):
                raise ConfigError(f"transformers setting {name} = {value!r} is not supported (only {only!r})")
        given: dict[str, Any] = {}
        names = _TRANSFORMERS_NAMES | _WAVLM_NAMES if kind == "wavlm" else _TRANSFORMERS_NAMES
        for ours, theirs in names.items():
            value = config.get(theirs, _TRANSFORMERS_DEFAULTS.get(ours, getattr(SIZES["base"], ours)))
            given[ours] = tuple(value) if isinstance(value, list) else value
        given["feature_grad_scale"] = config.get("feature_grad_scale", 1.0)
        given["normalise"] = config.get("do_normalize", False)
        for name in _OF_BRANCHES:
            value = config.get(name, [])
            given[name] = tuple(value) if isinstance(value, list) else value
        try:
            return cls(**given)
        except ConfigError as error:
            raise ConfigError(_in_their_words(str(error))) from error


def _check_types(config: HubertConfig) -> None:
    """Refuse values that Python would accept silently, such as "no" for true and true for 1.

    Raises:
        ConfigError: a value of another type than the setting has.
    """
    for setting in fields(config):
        value, kind = getattr(config, setting.name), str(setting.type)
        if not _KINDS[kind][0](value):
            raise ConfigError(f"{setting.name} is {value!r}: {_KINDS[kind][1]} is needed")


def _check_sizes(config: HubertConfig) -> None:
    """Refuse sizes far beyond any HuBERT, before memory is allocated.

    Raises:
        ConfigError: a size below 1 or above the limit.
    """
    for name, most in _MOST.items():
        value = getattr(config, name)
        for size in value if isinstance(value, tuple) else (value,):
            if not 1 <= size <= most:
                raise ConfigError(f"{name} is {value}: use 1 to {most}")
    if len(config.branches) > _MOST_BRANCHES:
        raise ConfigError(f"branches has {len(config.branches)} values: at most {_MOST_BRANCHES}")
    own = config.own_convolutions
    if len(set(own)) < len(own) or any(not 0 <= branch < len(config.branches) for branch in own):
        raise ConfigError(f"own_convolutions is {own}: numbers of branches are needed, each once")
    if len(config.conv_dim) > _MOST_CONVOLUTIONS:
        raise ConfigError(f"conv_dim has {len(config.conv_dim)} convolutions: at most {_MOST_CONVOLUTIONS}")


def _check_relative(config: HubertConfig) -> None:
    buckets, distance = config.relative_buckets, config.relative_distance
    if buckets and (buckets % 4 or not 4 <= buckets <= _MOST_BUCKETS):
        raise ConfigError(f"relative_buckets is {buckets}: use 0 (none), or a multiple of 4 up to {_MOST_BUCKETS}")
    if buckets and distance <= buckets // 4:
        raise ConfigError(f"relative_distance is {distance}: use more than a quarter of relative_buckets ({buckets})")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "int": (_is_whole, "a whole number"),
    "float": (lambda value: isinstance(value, float) or _is_whole(value), "a number"),
    "tuple[int, ...]": (
        lambda value: isinstance(value, tuple) and all(map(_is_whole, value)),
        "a list of whole numbers",
    ),
    "FeatureNorm": (lambda value: isinstance(value, str), "a text"),
}
_MOST = {
    "conv_dim": 16_384,
    "conv_kernel": 400,
    "conv_stride": 320,
    "hidden_size": 16_384,
    "layers": 512,
    "branches": 512,
    "heads": 16_384,
    "feed_forward": 131_072,
    "position_kernel": 4_096,
    "position_groups": 16_384,
}
"""An order of magnitude above the largest published model (1,280 wide, 48 blocks)."""
_MOST_CONVOLUTIONS = 32
_MOST_BRANCHES = 32
_MOST_BUCKETS = 16_384


def _in_their_words(message: str) -> str:
    """Rewrite a message so that it names the setting as `config.json` does."""
    ours, _, rest = message.partition(" ")
    return f"{(_TRANSFORMERS_NAMES | _WAVLM_NAMES).get(ours, ours)} {rest}"


_PROBABILITIES = ("hidden_dropout", "attention_dropout", "activation_dropout", "projection_dropout", "layer_drop")

_TRANSFORMERS_NAMES = {
    "conv_dim": "conv_dim",
    "conv_kernel": "conv_kernel",
    "conv_stride": "conv_stride",
    "conv_bias": "conv_bias",
    "feature_norm": "feat_extract_norm",
    "hidden_size": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "feed_forward": "intermediate_size",
    "position_kernel": "num_conv_pos_embeddings",
    "position_groups": "num_conv_pos_embedding_groups",
    "norm_eps": "layer_norm_eps",
    "pre_norm": "do_stable_layer_norm",
    "hidden_dropout": "hidden_dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "projection_dropout": "feat_proj_dropout",
    "layer_drop": "layerdrop",
}
TRANSFORMERS_DROPOUTS = {"activation_dropout": 0.1, "projection_dropout": 0.0, "layer_drop": 0.1}
"""Values where transformers' default regularisation differs from this package's; BabAR was trained with these."""

_TRANSFORMERS_DEFAULTS: dict[str, Any] = {**TRANSFORMERS_DROPOUTS, "relative_buckets": 320}
_OF_BRANCHES = ("branches", "own_convolutions")
"""Settings that transformers does not know."""
_WAVLM_NAMES = {"relative_buckets": "num_buckets", "relative_distance": "max_bucket_distance"}
_MODEL_TYPES = ("hubert", "wav2vec2", "wavlm")
_ADAPTERS = {
    "add_adapter": "convolutions after the encoder (adapters)",
    "adapter_attn_dim": "adapters inside the blocks, one set a language,",
}
_TRANSFORMERS_FIXED: dict[str, Any] = {
    "feat_extract_activation": "gelu",
    "hidden_act": "gelu",
    "feat_proj_layer_norm": True,
    "conv_pos_batch_norm": False,
}

SIZES: dict[str, HubertConfig] = {
    "nano": HubertConfig(
        conv_dim=(64, 64, 96, 96, 128, 128, 128), hidden_size=192, layers=4, heads=3, feed_forward=512
    ),
    "mini": HubertConfig(
        conv_dim=(96, 96, 128, 128, 160, 160, 160), hidden_size=256, layers=6, heads=4, feed_forward=640
    ),
    "small": HubertConfig(
        conv_dim=(128, 192, 256, 256, 256, 256, 256), hidden_size=384, layers=8, heads=6, feed_forward=1536
    ),
    "base": HubertConfig(),
    "large": HubertConfig(
        conv_bias=True,
        feature_norm="layer",
        hidden_size=1024,
        layers=24,
        heads=16,
        feed_forward=4096,
        pre_norm=True,
        projection_dropout=0.0,
        layer_drop=0.0,
        feature_grad_scale=1.0,
        hidden_dropout=0.0,
        attention_dropout=0.0,
    ),
}
"""1.8, 4.4, 16.5, 94.4 and 315.4 million parameters. Large has the regularisation of the published pre-training."""
