"""Start of a training: fresh weights or those of another model, and its lineage."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.combination import OF_FRAMES
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.context import own_windows
from babyhubert.encoder.heads import TaskHead, head_of
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.loading import build_encoder, load_checkpoint, origin_of
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
    lineage = checkpoint.metadata.get("task", {}).get("lineage", [])
    return replace(checkpoint, config=config), [*lineage, origin_of(source, checkpoint)]


@dataclass(frozen=True)
class Origin:
    """A model before its first step.

    Attributes:
        model: Encoder and heads, those that are kept untrained among them.
        lineage: Origins of the encoder, the latest last.
        licence: Licence of the start, if known; a model without one of its own has it.
        card: Entries of the kept heads for the model's `task.json`.
    """

    model: TaskModel
    lineage: list[str]
    licence: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)


def build_model(settings: ModelSettings, tasks: Mapping[str, Task], seed: int) -> Origin:
    """Build the model before its first step.

    Raises:
        ConfigError: settings of the encoder that would change the shape of given weights, or heads to keep that do not
            exist.
        CheckpointError: the start cannot be read.
    """
    generator = torch.Generator().manual_seed(seed)
    if settings.encoder is None:
        shape = HubertConfig.of_size(settings.size).with_changes(**settings.encoder_settings)
        encoder = initialise(HubertEncoder(shape), generator)
        heads = _heads(settings, tasks, encoder, {}, generator)
        _freeze(encoder, settings)
        return Origin(TaskModel(encoder, heads), [f"{settings.size} encoder, random weights"])
    checkpoint, lineage = starting_point(settings.encoder, settings.encoder_settings, "model.encoder_settings")
    if settings.heads in ("add", "extend"):
        _check_addition(settings, checkpoint.heads, tasks)
    if settings.new_blocks:
        checkpoint = with_new_blocks(checkpoint, settings.new_blocks, settings.encoder, generator)
    if settings.heads == "new" or (settings.heads == "keep" and not checkpoint.uses_branches(tasks)):
        checkpoint = checkpoint.without_branches()
    found = {} if settings.heads == "new" else {name: head_of(head) for name, head in checkpoint.heads.items()}
    encoder = build_encoder(checkpoint)
    heads = _heads(settings, tasks, encoder, found, generator)
    _freeze(encoder, settings)
    card = checkpoint.metadata.get("task", {})
    licence = card.get("licence", "")
    if settings.heads != "extend":
        return Origin(TaskModel(encoder, heads), lineage, licence)
    kept = {name: head.requires_grad_(False) for name, head in found.items() if name not in tasks}
    encoder.freeze_blocks(head.block or encoder.config.layers for head in kept.values())
    return Origin(TaskModel(encoder, {**kept, **heads}), lineage, licence, _card_of(kept, found, card))


def with_new_blocks(checkpoint: Checkpoint, count: int, source: str, generator: torch.Generator) -> Checkpoint:
    """Add blocks on top of an encoder, drawn at random; its heads go on taking the blocks they took.

    Raises:
        ConfigError: the encoder has a closing norm behind its last block (pre-norm), which its heads would lose.
    """
    config = checkpoint.config
    if config.branches:
        raise ConfigError(f"model.new_blocks: {source} has branches, whose blocks are numbered on from its own; use 0")
    if config.pre_norm:
        raise ConfigError(
            f"model.new_blocks: {source} norms the output of its last block once more (do_stable_layer_norm), so no "
            "block can be added on top; use 0"
        )
    longer = config.with_changes(layers=config.layers + count)
    drawn = initialise(HubertEncoder(longer), generator).state_dict()
    heads = {name: replace(head, block=head.block or config.layers) for name, head in checkpoint.heads.items()}
    return replace(checkpoint, config=longer, encoder={**drawn, **checkpoint.encoder}, heads=heads)


def _heads(
    settings: ModelSettings,
    tasks: Mapping[str, Task],
    encoder: HubertEncoder,
    found: Mapping[str, TaskHead],
    generator: torch.Generator,
) -> dict[str, TaskHead]:
    """Heads of the tasks: drawn, then those of the start in their place."""
    heads: dict[str, TaskHead] = {}
    for name, task in tasks.items():
        kept = found.get(name)
        block = None if kept is None else kept.block
        mixed = len(encoder.config.path(block or encoder.config.layers)) if settings.layer_mix else None
        heads[name] = task.new_head(encoder.config.hidden_size, mixed)
        heads[name].reset(generator)
        heads[name].block = block
        if settings.heads == "keep" or kept is not None:
            _take_over(heads[name], kept, f"{settings.encoder}: its {name.replace('_', ' ')} head")
    return heads


def _card_of(kept: Mapping[str, TaskHead], found: Mapping[str, TaskHead], card: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of a model's card that hold for the kept heads, whose outputs and windows do not change."""
    entries = own_windows(card, {name: head.kind for name, head in found.items()}, tuple(kept))
    if any(head.kind == "frames" for head in kept.values()):
        entries |= {key: card[key] for key in OF_FRAMES if key in card}
    return entries


def _check_addition(settings: ModelSettings, heads: Collection[str], tasks: Collection[str]) -> None:
    """Check that the heads of a model can be kept beside new ones: it has some, and none of them would be lost."""
    encoder = settings.encoder
    if not heads:
        raise ConfigError(
            f'{encoder} has no head; model.heads = "{settings.heads}" goes on with those of a model: use "new"'
        )
    others = sorted(set(heads) - set(tasks))
    if others and settings.heads == "add":
        raise ConfigError(
            f"{encoder} has a head for {others[0].replace('_', ' ')}, for which the configuration has no table: "
            'model.heads = "add" trains all heads together, "extend" keeps those without a table as they are, and '
            '"new" leaves those of the model behind'
        )
    if not others and settings.heads == "extend":
        raise ConfigError(
            f'{encoder} has no head but those of this configuration; model.heads = "extend" keeps others as they are: '
            'use "keep" or "add"'
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
        encoder.freeze_blocks(encoder.config.tops)
    if settings.layer_mix and encoder.config.pre_norm:
        encoder.encoder.layer_norm.requires_grad_(False)  # the mix takes blocks before the closing norm
