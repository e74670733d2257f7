"""Weighted means of models of one shape: one model with what several trainings learnt, without training.

Models that were trained on from the same weights can be averaged (model soups: Wortsman et al. 2022,
arXiv:2203.05482), and what one of them learnt can be added to another by the difference to their common start (task
arithmetic: Ilharco et al. 2023, arXiv:2212.04089): weights 1, 1, -1 for two models and that start.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.flavours.layout import Head
from babyhubert.encoder.loading import load_checkpoint, model_hash, resolve_model
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.errors import CheckpointError, ConfigError, OutputError

Tensors = Mapping[str, Tensor]

CHOSEN_ON_OUTPUTS = ("thresholds", "confidence", "validation")
"""Parts of a model's card that were chosen or measured on its outputs, which those of the mean are not."""


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
    if output.exists() and not overwrite:
        raise OutputError(f"{output}: exists already; choose another place, or overwrite it", option="--force")
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
