"""What a training starts from: weights of another model, and what must be said of them afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.loading import load_checkpoint, model_hash, resolve_model
from babyhubert.errors import ConfigError


def starting_point(source: str, changes: Mapping[str, float], key: str) -> tuple[Checkpoint, list[str]]:
    """A checkpoint to go on from, and its lineage, the latest last.

    Args:
        source: Model folder, checkpoint file or hub repository.
        changes: Settings of the encoder that hold no weights (dropouts, layer drop, gradient scale).
        key: What these are called in the configuration, for the error.

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
