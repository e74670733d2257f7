"""Start of a training: fresh weights or those of another model, and its lineage."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch

from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.heads import TaskHead, head_of
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.loading import build_encoder, load_checkpoint, model_hash, resolve_model
from babyhubert.encoder.multitask import TaskModel
from babyhubert.errors import ConfigError
from babyhubert.tasks.interface import Task
from babyhubert.training.settings import ModelSettings


def starting_point(source: str, changes: Mapping[str, float], key: str) -> tuple[Checkpoint, list[str]]:
    """A checkpoint to start from, and its lineage, the latest last.

    Args:
        source: Model folder, checkpoint file or hub repository.
        changes: Settings of the encoder without weights (dropouts, layer drop, gradient scale).
        key: Name of these in the configuration, for the error.

    Raises:
        ConfigError: a change that would alter the shape of the weights.
        CheckpointError: the source cannot be read.
    """
    checkpoint = load_checkpoint(source)
    try:
        config = checkpoint.config.with_changes(**changes)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error
    if not config.same_shapes(checkpoint.config):
        raise ConfigError(f"{key} changes the shape of the weights; it may change dropouts only")
    terms = checkpoint.metadata.get("task", {})
    licence = terms.get("licence") or "licence unknown: see its source"
    origin = f"{source}, SHA-256 {model_hash(resolve_model(source))} ({licence})"
    return replace(checkpoint, config=config), [*terms.get("lineage", []), origin]


def build_model(settings: ModelSettings, tasks: Mapping[str, Task], seed: int) -> tuple[TaskModel, list[str]]:
    """The model before its first step, and the lineage of its encoder, the latest last.

    Raises:
        ConfigError: settings of the encoder that would change the shape of given weights, or heads to keep that do not
            exist.
        CheckpointError: the start cannot be read.
    """
    generator = torch.Generator().manual_seed(seed)
    kept: dict[str, TaskHead] = {}
    if settings.encoder is None:
        shape = HubertConfig.of_size(settings.size).with_changes(**settings.encoder_settings)
        encoder, lineage = initialise(HubertEncoder(shape), generator), [f"{settings.size} encoder, random weights"]
    else:
        checkpoint, lineage = starting_point(settings.encoder, settings.encoder_settings, "model.encoder_settings")
        encoder = build_encoder(checkpoint)
        if settings.heads != "new":
            kept = {name: head_of(head) for name, head in checkpoint.heads.items() if name in tasks}
        if settings.heads == "add":
            _check_addition(settings.encoder, checkpoint.heads, tasks)
    mixed = encoder.config.layers if settings.layer_mix else None
    heads: dict[str, TaskHead] = {}
    for name, task in tasks.items():
        heads[name] = task.new_head(encoder.config.hidden_size, mixed)
        heads[name].reset(generator)
        if settings.heads == "keep" or name in kept:
            _take_over(heads[name], kept.get(name), f"{settings.encoder}: its {name.replace('_', ' ')} head")
    _freeze(encoder, settings)
    return TaskModel(encoder, heads), lineage


def _check_addition(encoder: str, heads: Collection[str], tasks: Collection[str]) -> None:
    """Check that the heads of a model can be kept beside new ones: it has some, and none of them would be lost."""
    if not heads:
        raise ConfigError(f'{encoder} has no head; model.heads = "add" goes on with those of a model: use "new"')
    lost = sorted(set(heads) - set(tasks))
    if lost:
        raise ConfigError(
            f"{encoder} has a head for {lost[0].replace('_', ' ')}, for which the configuration has no table: "
            'model.heads = "add" trains all heads together, and "new" leaves those of the model behind'
        )


def _take_over(head: TaskHead, kept: TaskHead | None, what: str) -> None:
    if kept is None:
        raise ConfigError(f'{what} is not there; model.heads = "keep" needs a model of the same task')
    if kept.labels != head.labels:
        raise ConfigError(f"{what} knows {', '.join(kept.labels)}, the configuration {', '.join(head.labels)}")
    try:
        head.load_state_dict(kept.state_dict())
    except RuntimeError as error:
        raise ConfigError(f"{what} is of another shape (model.layer_mix?): {' '.join(str(error).split())}") from None


def _freeze(encoder: HubertEncoder, settings: ModelSettings) -> None:
    if settings.convolutions_frozen:
        encoder.freeze_features()
    if settings.freeze_encoder:
        encoder.requires_grad_(False)
    if settings.layer_mix and encoder.config.pre_norm:
        encoder.encoder.layer_norm.requires_grad_(False)  # the mix takes blocks before the closing norm
