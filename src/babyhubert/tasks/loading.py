"""From a name to something that can be called with a recording: the model of any task."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, overload

from babyhubert.encoder.heads import ADDRESSEE, PHONEMES, VOICE_TYPE
from babyhubert.encoder.loading import SHIPPED_MODELS
from babyhubert.errors import ConfigError
from babyhubert.inference.speed import Speed
from babyhubert.inference.task_model import load_task_model
from babyhubert.tasks.classification.prediction import UtteranceClassifier
from babyhubert.tasks.phonemes.prediction import PhonemeRecogniser
from babyhubert.tasks.voice_type.prediction import VoiceTypeClassifier
from babyhubert.tasks.voice_type.prediction import load_model as load_voice_type

TaskName = Literal["voice-type", "addressee", "phonemes"]
AnyModel = VoiceTypeClassifier | UtteranceClassifier | PhonemeRecogniser

SHIPPED_TASKS = SHIPPED_MODELS / "playroom-tasks"
"""The small model of the package with a head for every task."""
_HEADS: dict[str, str] = {"voice-type": VOICE_TYPE, "addressee": ADDRESSEE, "phonemes": PHONEMES}


@overload
def load_model(
    source: str | Path | None = ..., *, task: Literal["voice-type"], device: str = ..., speed: Speed = ...
) -> VoiceTypeClassifier: ...
@overload
def load_model(
    source: str | Path | None = ..., *, task: Literal["addressee"], device: str = ..., speed: Speed = ...
) -> UtteranceClassifier: ...
@overload
def load_model(
    source: str | Path | None = ..., *, task: Literal["phonemes"], device: str = ..., speed: Speed = ...
) -> PhonemeRecogniser: ...
@overload
def load_model(
    source: None = ..., *, task: None = ..., device: str = ..., speed: Speed = ...
) -> VoiceTypeClassifier: ...
@overload
def load_model(source: str | Path, *, task: None = ..., device: str = ..., speed: Speed = ...) -> AnyModel: ...
def load_model(
    source: str | Path | None = None, *, task: TaskName | None = None, device: str = "auto", speed: Speed = "exact"
) -> AnyModel:
    """A model ready to run.

    Voice type: ``model(audio)`` gives segments. Addressee: ``model(audio, segments)`` gives these segments with
    columns ``addressee`` and ``p_<class>``. Phonemes: ``model(audio, segments)`` gives the key child's segments with
    columns ``phonemes`` and ``timed``.

    Args:
        source: A model folder, a checkpoint file of any published layout, a model of the package, or a hub repository
            ``owner/name``. None takes a small model of the package: playroom-nano for voice type, else playroom-tasks.
        task: Which of a model's heads; None: voice type if it has one, else the only one it has.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        speed: ``exact``, ``balanced`` or ``fast``: see docs/speed.md for what each costs.

    Raises:
        CheckpointError: no such model, or it lacks the head.
        ModelAccessError: the repository is gated or cannot be reached.
        ConfigError: no such task, or the model has several other heads and none is named.
    """
    if task is not None and task not in _HEADS:
        raise ConfigError(f"task {task!r}: one of {', '.join(_HEADS)}")
    if source is None and task in (None, "voice-type"):
        return load_voice_type(device=device, speed=speed)
    source = SHIPPED_TASKS if source is None else source
    loaded = load_task_model(source, None if task is None else (_HEADS[task],), device=device, speed=speed)
    heads = loaded.network.tasks
    if VOICE_TYPE in heads:
        return VoiceTypeClassifier.of(loaded)
    if len(heads) > 1:
        raise ConfigError(f"{source} has heads for {', '.join(heads)}: say which with task=")
    return UtteranceClassifier.of(loaded) if heads == (ADDRESSEE,) else PhonemeRecogniser.of(loaded)
