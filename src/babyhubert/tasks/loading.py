"""Loading of a name as a callable model of any task."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, overload

from babyhubert.encoder.heads import VOICE_TYPE
from babyhubert.errors import ConfigError
from babyhubert.inference.speed import Speed
from babyhubert.inference.task_model import load_task_model
from babyhubert.shipped import SMALL_MODEL
from babyhubert.tasks.classification.prediction import UtteranceClassifier
from babyhubert.tasks.phonemes.prediction import PhonemeRecogniser
from babyhubert.tasks.registry import KINDS, load
from babyhubert.tasks.voice_type.prediction import VoiceTypeClassifier
from babyhubert.tasks.voice_type.prediction import load_model as load_voice_type

AnyModel = VoiceTypeClassifier | UtteranceClassifier | PhonemeRecogniser


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
def load_model(source: str | Path, *, task: str | None = ..., device: str = ..., speed: Speed = ...) -> AnyModel: ...
def load_model(
    source: str | Path | None = None, *, task: str | None = None, device: str = "auto", speed: Speed = "exact"
) -> AnyModel:
    """Load a model for inference.

    A frames task (voice type): ``model(audio)`` gives segments. A classification task (addressee): ``model(audio,
    segments)`` gives these segments with the task's column and ``p_<class>``. A ctc task (phonemes): ``model(audio,
    segments)`` gives the key child's (or the task's) segments with columns ``phonemes`` and ``timed``.

    Example:
        >>> model = babyhubert.load_model("coml/VTC-2")
        >>> segments = model("day1.wav")
        >>> addressee = babyhubert.load_model("coml/addressee", task="addressee")
        >>> addressee("day1.wav", segments).to_pandas()

    Args:
        source: A model folder, a checkpoint file of any published layout, a model of the package, or a hub repository
            ``owner/name``. None takes playroom, the small model of the package.
        task: Name of one of the model's heads: ``voice-type``, ``addressee``, ``phonemes``, or the name of a task of
            its configuration; None: voice type if it has one, else the only one it has.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        speed: ``exact``, ``balanced`` or ``fast``: see docs/speed.md for the accuracy of each.

    Raises:
        CheckpointError: no such model, or it lacks the head.
        ModelAccessError: the repository is gated or cannot be reached.
        ConfigError: the model has several other heads and none is given, or no such task without a model.
    """
    name = None if task is None else task.replace("-", "_")
    if source is None:
        if name in (None, VOICE_TYPE):
            return load_voice_type(device=device, speed=speed)
        source = SMALL_MODEL
    loaded = load_task_model(source, None if name is None else (name,), device=device, speed=speed)
    heads = loaded.network.tasks
    if VOICE_TYPE not in heads and len(heads) > 1:
        raise ConfigError(f"{source} has heads for {', '.join(heads)}: say which with task=")
    chosen = VOICE_TYPE if VOICE_TYPE in heads else heads[0]
    model: AnyModel = load(KINDS[loaded.network.head(chosen).kind].predictor).of(loaded)
    return model
