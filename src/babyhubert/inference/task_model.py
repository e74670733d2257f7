"""A model with the heads that a command requested, and the frame outputs of several heads from one pass."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babyhubert.compute.device import resolve_device
from babyhubert.encoder.context import WindowSettings, window_settings_of
from babyhubert.encoder.flavours.layout import PUBLISHED_KINDS, Head, HeadKind
from babyhubert.encoder.heads import FrameHead, is_unlabelled
from babyhubert.encoder.hubert import normalised_waveforms
from babyhubert.encoder.loading import load_checkpoint, model_hash, model_settings_hash, resolve_model
from babyhubert.encoder.multitask import TaskModel, VoiceTypeModel
from babyhubert.encoder.precision import Precision
from babyhubert.errors import CheckpointError, ConfigError
from babyhubert.inference.speed import SPEEDS, Speed
from babyhubert.inference.windows import WindowPlan

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """An encoder with heads, on its device, in evaluation mode.

    Attributes:
        network: Encoder and heads.
        name: Its source.
        hash: SHA-256 of its weights file.
        window_settings: Window settings of each head.
        card: The model folder's ``task.json``.
        speed: The mode it was loaded in.
        precision: Precision of its encoder.
        settings_hash: Hash of the settings that its folder stores beside the weights.
        unused_heads: The other heads of its file.
    """

    network: TaskModel
    name: str
    hash: str
    window_settings: Mapping[str, WindowSettings]
    card: Mapping[str, Any] = field(default_factory=dict)
    speed: Speed = "exact"
    precision: Precision = "exact"
    settings_hash: str = ""
    unused_heads: Mapping[str, Head] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self.network.device

    def describe(self, task: str) -> dict[str, Any]:
        """Description of the model for the record of a run."""
        return {
            "source": self.name,
            "sha256": self.hash,
            "classes": list(self.network.head(task).labels),
            "card": dict(self.card),
        }


@dataclass(frozen=True)
class TaskChoice:
    """One head of a model, by its kind.

    Attributes:
        kind: Its kind.
        name: Its name; None: ``preferred`` if the model has it, else the only head of the kind, those of published
            tasks left aside, which have commands of their own.
        preferred: The published task of this kind.
    """

    kind: HeadKind
    name: str | None = None
    preferred: str | None = None

    def of(self, heads: Mapping[str, Head], source: str) -> str:
        """Return the name of the chosen head.

        Raises:
            CheckpointError: the model has none of this kind, or the named one is of another.
            ConfigError: it has several, and none is named.
        """
        fitting = [name for name, head in heads.items() if head.kind == self.kind and not is_unlabelled(head)]
        if self.name is None and self.preferred in fitting:
            return str(self.preferred)
        if self.name is not None:
            if self.name in heads and self.name not in fitting:
                raise CheckpointError(
                    f"{source}: {self.name} is a task of kind {heads[self.name].kind}, not {self.kind}"
                )
            return self.name  # where it is absent, making the model tells
        fitting = [name for name in fitting if name not in PUBLISHED_KINDS] or fitting
        if len(fitting) > 1:
            raise ConfigError(
                f"{source} has several {self.kind} tasks, {', '.join(fitting)}: name one as the task", option="--task"
            )
        if not fitting:
            if self.preferred is not None:
                return self.preferred
            found = ", ".join(f"{name} ({head.kind})" for name, head in heads.items()) or "none"
            raise CheckpointError(f"{source}: no task of kind {self.kind} here (heads found: {found})")
        return fitting[0]


def load_task_model(
    source: str | Path,
    tasks: Collection[str] | TaskChoice | None = None,
    *,
    device: str = "auto",
    speed: Speed = "exact",
) -> LoadedModel:
    """Load a model with the heads of some tasks.

    Args:
        source: A model folder, a checkpoint file of any published layout, or a hub repository ``owner/name``.
        tasks: Required heads, or the choice of one; None: all it has, and at least one.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        speed: ``exact``, ``balanced`` or ``fast``: the arithmetic of the encoder.

    Raises:
        CheckpointError: no such model, or it lacks a head.
        ModelAccessError: the repository is gated or cannot be reached.
    """
    path = resolve_model(str(source))
    checkpoint = load_checkpoint(str(path))
    if isinstance(tasks, TaskChoice):
        tasks = (tasks.of(checkpoint.heads, str(source)),)
    of_frames = any(
        checkpoint.heads[name].kind == "frames" for name in tasks or checkpoint.heads if name in checkpoint.heads
    )
    network = (VoiceTypeModel if of_frames else TaskModel).from_checkpoint(checkpoint, tasks, str(source))
    network.encoder.fold_weight_norm()
    card = checkpoint.metadata.get("task", {})
    window_settings = window_settings_of(
        card, {name: head.kind for name, head in checkpoint.heads.items() if not is_unlabelled(head)}
    )
    network.to(resolve_device(device)).eval()
    precision = SPEEDS[speed].prepare(network.encoder)
    settings_hash = model_settings_hash(path)
    unused = {name: head for name, head in checkpoint.heads.items() if name not in network.tasks}
    weights = model_hash(path)
    heads = ", ".join(network.tasks)
    _LOG.info("model %s: heads %s, speed %s (%s), on %s", source, heads, speed, precision, network.device)
    _LOG.info("model %s: %s, SHA-256 %s", source, _licence(card), weights)
    return LoadedModel(network, str(source), weights, window_settings, card, speed, precision, settings_hash, unused)


def _licence(card: Mapping[str, Any]) -> str:
    return f"licence {card['licence']}" if card.get("licence") else "no licence in its card"


def plan_of(
    window_settings: WindowSettings,
    speed: Speed = "exact",
    window_s: float | None = None,
    overlap: float | None = None,
) -> WindowPlan:
    """Window plan for a complete recording: options override the speed mode, which overrides the head's settings.

    Raises:
        ConfigError: an impossible window or overlap.
    """
    chosen = next(value for value in (overlap, SPEEDS[speed].overlap, window_settings.overlap) if value is not None)
    length = window_settings.context_s or NO_CONTEXT_WINDOW_S
    plan = WindowPlan.from_overlap(length if window_s is None else window_s, chosen)
    return replace(plan, tail="shift", in_quiet=True) if window_settings.in_quiet else plan


NO_CONTEXT_WINDOW_S = 10.0
"""Windows over a whole recording for a head that was trained on utterances alone."""


class FrameOutputs:
    """Function from waveforms to the outputs of several heads for every frame, concatenated.

    A frames head gives probabilities. A classification head gives the logits of each single frame: since the head is
    linear, their mean over an utterance equals its output for the mean of the utterance's features. A ctc head gives
    logits.

    Args:
        network: Encoder and heads.
        tasks: Heads to run, in the order of the output's columns.
        normalise: Normalise each waveform to zero mean and unit variance first.
    """

    def __init__(self, network: TaskModel, tasks: Collection[str], *, normalise: bool = False) -> None:
        self._network = network
        self._tasks = tuple(tasks)
        self._normalise = normalise

    @property
    def columns(self) -> dict[str, slice]:
        """Columns of each task's outputs."""
        found, start = {}, 0
        for task in self._tasks:
            stop = start + len(self._network.head(task).labels)
            found[task], start = slice(start, stop), stop
        return found

    @torch.inference_mode()
    def __call__(self, waveforms: Tensor) -> Tensor:
        """Outputs, (B, T(n), C), from waveforms, float32, (B, n), 16 kHz."""
        waveforms = waveforms.to(self._network.device, non_blocking=True)
        if self._normalise:
            waveforms = normalised_waveforms(waveforms)
        features = self._network.features(waveforms, self._tasks)
        return torch.cat([self._outputs(task, features[task]) for task in self._tasks], dim=-1)

    def _outputs(self, task: str, features: Tensor) -> Tensor:
        head = self._network.head(task)
        # A pooled head called as a frame head: one answer a frame.
        outputs = FrameHead.forward(head, features) if isinstance(head, FrameHead) else head(features)
        return torch.sigmoid(outputs) if head.kind == "frames" else outputs
