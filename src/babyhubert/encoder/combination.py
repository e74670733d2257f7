"""One model of several, without training: the weighted mean of their weights, or each as a branch of the first.

Models that were trained on from the same weights can be averaged (model soups: Wortsman et al. 2022,
arXiv:2203.05482), and what one of them learnt can be added to another by the difference to their common start (task
arithmetic: Ilharco et al. 2023, arXiv:2212.04089): weights 1, 1, -1 for two models and that start.

Models that were fine-tuned from one encoder with frozen convolutions, the published recipe of VTC 2 and Addressee,
still share these, which are half the work of a small model: joined, a recording goes through them once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babyhubert.encoder.canonical import BRANCHES, Checkpoint
from babyhubert.encoder.context import own_windows
from babyhubert.encoder.flavours.layout import Head
from babyhubert.encoder.loading import load_checkpoint, model_hash, origin_of, resolve_model
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.errors import CheckpointError, ConfigError, OutputError

Tensors = Mapping[str, Tensor]

OF_FRAMES = ("thresholds", "simultaneous", "confidence")
"""Entries of a model's card about its head of frames, beside those under the head's name."""

CHOSEN_ON_OUTPUTS = (*OF_FRAMES, "validation")
"""Parts of a model's card that were chosen or measured on its outputs, which those of the mean are not."""


_CONVOLUTIONS = "feature_extractor."
_OF_TRAINING = ("description", "trained_on", "lineage", "training")
"""Entries of a card that tell how to make the model again."""


@dataclass(frozen=True)
class Part:
    """A model of a combination.

    Attributes:
        source: Model folder, checkpoint file, model of the package, or hub repository.
        weight: Its weight.
    """

    source: str
    weight: float


def combine(parts: Sequence[Part], output: Path, *, overwrite: bool = False) -> Checkpoint:
    """Write the weighted mean of models as a model folder, and return it.

    A head is the mean over the models that have it, and it has to be one of the first model's, which also gives
    settings, licence, the record of its training and the first part of the lineage. Thresholds, confidences and scores
    are not copied: they hold for one model's outputs alone.

    Args:
        parts: At least two; the weights add up to 1.
        output: Model folder to write.
        overwrite: Replace an existing model folder.

    Raises:
        ConfigError: fewer than two models, or weights that do not add up to 1 (of all, or of those with some head).
        CheckpointError: a model cannot be read, is of another shape, or has a head that the first lacks.
        OutputError: the folder exists, or cannot be written.
    """
    if len(parts) < 2:
        raise ConfigError("a combination needs at least two models")
    _check_sum([part.weight for part in parts], "the weights")
    refuse_existing(output, overwrite)
    models = [load_checkpoint(part.source) for part in parts]
    for part, model in zip(parts[1:], models[1:], strict=True):
        _check_likeness(part.source, model, parts[0].source, models[0])
    weights = [part.weight for part in parts]
    first = models[0]
    mean = replace(
        first,
        encoder=_mean([model.encoder for model in models], weights),
        pretraining={},
        heads={name: _head(name, head, models, weights) for name, head in first.heads.items()},
        metadata={},
    )
    save_model_folder(output, mean, _card(first.metadata.get("task", {}), parts))
    return mean


def join(sources: Sequence[str], output: Path, *, overwrite: bool = False) -> Checkpoint:
    """Write a model with the tasks of several, each a branch of the first, and return it.

    The first model stays what it is. Of each further one, its transformer and the heads that no earlier one has are
    taken, and its convolutions unless they are those of the first. All heads give what they gave.

    Args:
        sources: At least two models, each with one transformer but for the first.
        output: Model folder to write.
        overwrite: Replace an existing model folder.

    Raises:
        ConfigError: fewer than two models.
        CheckpointError: a model cannot be read, is of another width or a pre-norm model, has branches itself, or has
            no head that the earlier ones lack.
        OutputError: the folder exists, or cannot be written.
    """
    if len(sources) < 2:
        raise ConfigError("a joined model needs at least two models")
    refuse_existing(output, overwrite)
    joined = load_checkpoint(sources[0])
    if not joined.heads:
        raise CheckpointError(f"{sources[0]}: no head here; the first model needs one")
    card = dict(joined.metadata.get("task", {}))
    for source in sources[1:]:
        model = load_checkpoint(source)
        _check_branch(source, model, sources[0], joined)
        card = _joined_card(card, joined, source, model)
        joined = _with_branch(joined, model)
    save_model_folder(output, joined, card)
    return joined


def refuse_existing(output: Path, overwrite: bool) -> None:
    """Refuse a folder that exists, unless it may be replaced.

    Raises:
        OutputError: it exists.
    """
    if output.exists() and not overwrite:
        raise OutputError(f"{output}: exists already; choose another place, or overwrite it", option="--force")


def _check_branch(source: str, model: Checkpoint, first_source: str, joined: Checkpoint) -> None:
    config = model.config
    if config.branches:
        raise CheckpointError(f"{source} has branches itself; name it first, or join the models it was made of")
    if config.pre_norm:
        raise CheckpointError(
            f"{source} norms the output of its last block once more (do_stable_layer_norm), which a branch cannot"
        )
    first = joined.config.with_changes(layers=config.layers, branches=(), own_convolutions=())
    if not config.same_shapes(first):
        raise CheckpointError(f"{source} has an encoder of another width or another front end than {first_source}")
    if not model.heads.keys() - joined.heads.keys():
        heads = ", ".join(name.replace("_", " ") for name in model.heads) or "none"
        raise CheckpointError(f"{source} adds no head to those of the models before it (its heads: {heads})")


def _same_convolutions(first: Checkpoint, other: Checkpoint) -> bool:
    return all(
        torch.equal(tensor, other.encoder[name].to(tensor.dtype))
        for name, tensor in first.encoder.items()
        if name.startswith(_CONVOLUTIONS)
    )


def _with_branch(joined: Checkpoint, model: Checkpoint) -> Checkpoint:
    number, shared = len(joined.config.branches), _same_convolutions(joined, model)
    config = joined.config.with_changes(
        branches=(*joined.config.branches, model.config.layers),
        own_convolutions=(*joined.config.own_convolutions, *([] if shared else [number])),
    )
    own = {
        f"{BRANCHES}{number}.{name}": tensor
        for name, tensor in model.encoder.items()
        if not (shared and name.startswith(_CONVOLUTIONS))
    }
    heads = {
        name: replace(head, block=joined.config.blocks + (head.block or model.config.layers))
        for name, head in model.heads.items()
        if name not in joined.heads
    }
    return replace(
        joined, config=config, encoder={**joined.encoder, **own}, pretraining={}, heads={**joined.heads, **heads}
    )


def _joined_card(card: Mapping[str, Any], joined: Checkpoint, source: str, model: Checkpoint) -> dict[str, Any]:
    """The card so far, with the entries of the further model's heads, its licence and its origin."""
    theirs = model.metadata.get("task", {})
    taken = [name for name in model.heads if name not in joined.heads]
    windows = own_windows(card, {name: head.kind for name, head in joined.heads.items()}, tuple(joined.heads))
    entries = windows | own_windows(theirs, {name: head.kind for name, head in model.heads.items()}, taken)
    has_frames = any(head.kind == "frames" for head in joined.heads.values())
    if not has_frames and any(model.heads[name].kind == "frames" for name in taken):
        entries |= {key: theirs[key] for key in OF_FRAMES if key in theirs}
    licences = dict.fromkeys(text for text in (card.get("licence", ""), theirs.get("licence", "")) if text)
    tasks = ", ".join(name.replace("_", " ") for name in taken)
    return {
        **card,
        **entries,
        "task": "several",
        "labels": {name: list(head.labels) for name, head in (model.heads | joined.heads).items()},
        "licence": "; ".join(licences),
        "joined": [
            *card.get("joined", []),
            {"heads": taken, **{key: theirs[key] for key in _OF_TRAINING if key in theirs}},
        ],
        "lineage": [*card.get("lineage", []), f"a branch for {tasks}: {origin_of(source, model)}"],
    }


def _check_sum(weights: Sequence[float], what: str) -> None:
    total = math.fsum(weights)
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise ConfigError(f"{what} add up to {total:g}: 1 is needed, as in 0.5,0.5 or 1,1,-1")


def _check_likeness(source: str, model: Checkpoint, first_source: str, first: Checkpoint) -> None:
    if not model.config.same_shapes(first.config):
        raise CheckpointError(f"{source} has an encoder of another shape than {first_source}; they have no mean")
    for name, head in model.heads.items():
        own = first.heads.get(name)
        if own is None:
            raise CheckpointError(
                f"{source} has a head for {name.replace('_', ' ')}, which {first_source} lacks; name {source} first"
            )
        if own.block != head.block:
            raise CheckpointError(f"{source} and {first_source} have heads of other blocks for {name}")
        if (own.kind, own.labels) != (head.kind, head.labels):
            raise CheckpointError(f"{source} and {first_source} tell other classes of {name.replace('_', ' ')}")
        shapes = {key: tensor.shape for key, tensor in own.tensors.items()}
        if shapes != {key: tensor.shape for key, tensor in head.tensors.items()}:
            raise CheckpointError(f"{source} and {first_source} have heads of another shape for {name}")


def _head(name: str, head: Head, models: Sequence[Checkpoint], weights: Sequence[float]) -> Head:
    having = [
        (model.heads[name].tensors, weight)
        for model, weight in zip(models, weights, strict=True)
        if name in model.heads
    ]
    _check_sum([weight for _, weight in having], f"the weights of the models with a head for {name.replace('_', ' ')}")
    return replace(head, tensors=_mean([tensors for tensors, _ in having], [weight for _, weight in having]))


def _mean(models: Sequence[Tensors], weights: Sequence[float]) -> dict[str, Tensor]:
    """The weighted sum of every tensor, computed in float64, as float32."""
    return {
        name: torch.stack([weight * model[name].double() for model, weight in zip(models, weights, strict=True)])
        .sum(dim=0)
        .float()
        for name in models[0]
    }


def _card(first: Mapping[str, Any], parts: Sequence[Part]) -> dict[str, Any]:
    """The first model's card without what holds for its outputs alone; the lineage ends with the combination."""
    kept = {key: value for key, value in first.items() if key not in CHOSEN_ON_OUTPUTS}
    terms = " ".join(
        f"{part.weight:+g} x {part.source} (SHA-256 {model_hash(resolve_model(part.source))})" for part in parts
    )
    return {**kept, "lineage": [*first.get("lineage", []), f"weighted mean of models: {terms}"]}
