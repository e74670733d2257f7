"""Saving a model of Python code as a model folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from babyhubert.encoder.canonical import Checkpoint, Head
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.encoder.multitask import TaskModel
from babyhubert.errors import ConfigError, OutputError
from babyhubert.inference.utterance_predictor import UtterancePredictor
from babyhubert.tasks.loading import AnyModel
from babyhubert.tasks.voice_type.prediction import VoiceTypeClassifier


def save_model(model: AnyModel | HubertEncoder, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a model as a folder that every command, ``load_model`` and transformers open.

    Encoder and all heads of the file that it came from are kept to the bit; lineage, licence and thresholds of its
    card go along. ``babyhubert convert`` writes other layouts.

    Example:
        >>> encoder = babyhubert.load_encoder("path/to/checkpoint.pt")
        >>> babyhubert.save_model(encoder, "my-encoder")

    Args:
        model: From ``load_model`` or ``load_encoder``.
        folder: The folder to write: ``config.json``, ``model.safetensors``, ``preprocessor_config.json``, and
            ``task.json`` where there are heads.
        overwrite: Replace a model folder that is there.

    Raises:
        OutputError: something is there already, or cannot be written.
        ConfigError: no model of this package.
    """
    folder = Path(folder)
    if folder.exists() and not overwrite and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputError(f"{folder}: exists already; choose another place, or pass overwrite=True")
    if isinstance(model, HubertEncoder):
        weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
        save_model_folder(folder, Checkpoint("transformers", model.config, weights))
    elif isinstance(model, VoiceTypeClassifier):
        save_model_folder(folder, _complete(model.model, model.unused_heads), model.card)
    elif isinstance(model, UtterancePredictor):
        save_model_folder(folder, _complete(model.loaded.network, model.loaded.unused_heads), model.loaded.card)
    else:
        raise ConfigError(f"{type(model).__name__} is no model of load_model or load_encoder")


def _complete(network: TaskModel, unused_heads: Mapping[str, Head]) -> Checkpoint:
    checkpoint = network.to_checkpoint()
    return replace(checkpoint, heads={**checkpoint.heads, **unused_heads})
