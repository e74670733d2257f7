"""A plain fine-tuning loop for voice type: one process, fixed validation windows, the best weights kept.

Enough to make the demonstration model and to adapt an encoder on a small annotated set. The result is a model folder
that says how it was made and can be made again: same configuration, same seed, same data, same machine, same weights.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

import babyhubert
from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.config import Config
from babyhubert.device import resolve_device
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.loading import build_encoder
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.errors import TrainingError
from babyhubert.files import make_folder
from babyhubert.tasks.voice_type import TASK, VoiceTypeModel, voice_type_loss
from babyhubert.tasks.voice_type_data import LabelledRecording, draw_batches, load_labelled, tile_batches
from babyhubert.tasks.voice_type_tuning import best_thresholds
from babyhubert.timebase import samples_to_hours, seconds_to_samples
from babyhubert.training.origin import starting_point

Report = Callable[[str], None]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


class DataSettings(Config):
    """``[data]``: folders with recordings and ``rttm/`` below them, relative to the working directory."""

    train: str
    validation: str
    label_rule: Literal["cell", "published"] = "cell"


class ModelSettings(Config):
    """``[model]``: where the encoder comes from.

    ``encoder`` is a model folder, checkpoint or hub repository to start from; without it, an encoder of ``size`` is
    initialised at random and the convolutions are trained too. ``encoder_settings`` changes what holds no weights:
    dropouts, layer drop, the gradient scale of the convolutions.
    """

    encoder: str | None = None
    size: str = "nano"
    encoder_settings: Mapping[str, float] = Field(default_factory=dict)
    freeze_convolutions: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5


class TrainSettings(Config):
    """``[train]``: AdamW, linear warm-up, then linear decay to zero."""

    seed: int = 0
    steps: Positive = 400
    batch_size: Positive = 16
    window_s: Seconds = 4.0
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    validate_every: Positive = 100
    device: str = "auto"
    gain_db: Annotated[float, Field(ge=0)] = 0.0


class CardSettings(Config):
    """``[card]``: what the model's ``task.json`` says about it to those who get it.

    ``licence`` must be compatible with the terms of the encoder it starts from: a model derived from the released
    BabyHuBERT weights inherits their terms. The lineage is filled in from the encoder.
    """

    description: str = ""
    trained_on: str = ""
    licence: str = ""


class VoiceTypeTraining(Config):
    """A voice-type fine-tuning run."""

    data: DataSettings
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    card: CardSettings = CardSettings()


@dataclass(frozen=True)
class Validation:
    """How a model does on the validation windows: mean loss, frame F1 at the best thresholds, and those thresholds."""

    step: int
    loss: float
    f1: Mapping[str, float]
    thresholds: Mapping[str, float]

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur."""
        return float(np.nanmean(list(self.f1.values())))


def train_voice_type(config: VoiceTypeTraining, output: Path, report: Report = print) -> Validation:
    """Fine-tune a voice-type model and write it to ``output`` as a model folder.

    Args:
        config: The run.
        output: Model folder to write. ``<output>.work`` keeps the decoded recordings and, as the model folder
            ``best``, the best weights so far, so that a run that is killed has not been for nothing.
        report: Told a line of text now and then.

    Returns:
        The validation of the weights that were kept: those with the best macro F1.
    """
    settings = config.train
    work = make_folder(output.with_name(f"{output.name}.work"))
    train = load_labelled(Path(config.data.train), VOICE_TYPES, work / "train", rule=config.data.label_rule)
    validation = load_labelled(
        Path(config.data.validation), VOICE_TYPES, work / "validation", rule=config.data.label_rule
    )
    device = resolve_device(settings.device)
    torch.manual_seed(settings.seed)  # dropout draws from torch's own generator and takes no other
    model, lineage = _new_model(config.model, torch.Generator().manual_seed(settings.seed))
    model.to(device)
    report(f"{sum(p.numel() for p in model.parameters()):,} parameters, {_hours(train):.2f} h to train on")

    def keep(best: Validation, log: Sequence[Mapping[str, Any]], folder: Path) -> None:
        save_model_folder(folder, model.to_checkpoint(), _card(config, lineage, best, log, train))

    best_so_far = work / "best"
    best, best_weights, log = _optimise(
        model, train, validation, settings, device, report, lambda best, log: keep(best, log, best_so_far)
    )
    model.load_state_dict(best_weights)
    keep(best, log, output)
    return best


def _new_model(settings: ModelSettings, generator: torch.Generator) -> tuple[VoiceTypeModel, list[str]]:
    """The model before its first step, and what its encoder comes from, the latest last."""
    if settings.encoder is None:
        lineage = [f"{settings.size} encoder, random weights"]
        shape = HubertConfig.of_size(settings.size).with_changes(**settings.encoder_settings)
        encoder = initialise(HubertEncoder(shape), generator)
    else:
        checkpoint, lineage = starting_point(settings.encoder, settings.encoder_settings, "model.encoder_settings")
        encoder = build_encoder(checkpoint)
    if settings.freeze_convolutions:
        encoder.freeze_features()
    model = VoiceTypeModel(encoder, VOICE_TYPES, settings.dropout)
    model.head(TASK).reset(generator)
    return model, lineage


def _optimise(
    model: VoiceTypeModel,
    train: Sequence[LabelledRecording],
    validation: Sequence[LabelledRecording],
    settings: TrainSettings,
    device: torch.device,
    report: Report,
    improved: Callable[[Validation, Sequence[Mapping[str, Any]]], None],
) -> tuple[Validation, dict[str, torch.Tensor], list[dict[str, Any]]]:
    rng = np.random.default_rng(settings.seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, settings))
    window = seconds_to_samples(settings.window_s)
    best: Validation | None = None
    best_weights: dict[str, torch.Tensor] = {}
    log: list[dict[str, Any]] = []
    losses: list[float] = []
    began = time.perf_counter()
    batches = draw_batches(train, window, settings.batch_size, settings.steps, rng)
    for step, (waveforms, targets) in enumerate(batches, start=1):
        model.train()
        waveforms = waveforms * _random_gains(len(waveforms), settings.gain_db, rng)
        loss = voice_type_loss(model(waveforms.to(device)), targets.to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise TrainingError(f"the loss is {losses[-1]} at step {step}; lower train.learning_rate")
        if step % settings.validate_every == 0 or step == settings.steps:
            current = validate(model, validation, window, settings.batch_size, step)
            log.append({"step": step, "train_loss": float(np.mean(losses)), **_as_json(current)})
            report(
                f"step {step}/{settings.steps}  train loss {np.mean(losses):.3f}  validation loss {current.loss:.3f}  "
                f"frame F1 {100 * current.macro_f1:.1f} ({_percent(current.f1)})  {time.perf_counter() - began:.0f} s"
            )
            losses.clear()
            if best is None or current.macro_f1 > best.macro_f1:
                best, best_weights = current, {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
                improved(best, log)
    assert best is not None
    return best, best_weights, log


def validate(
    model: VoiceTypeModel,
    recordings: Sequence[LabelledRecording],
    window_samples: int,
    batch_size: int,
    step: int = 0,
) -> Validation:
    """Score a model on every full window of the recordings, always the same ones."""
    model.eval()
    logits: list[NDArray[np.float32]] = []
    labels: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for waveforms, targets in tile_batches(recordings, window_samples, batch_size):
            logits.append(model(waveforms.to(model.device)).float().cpu().numpy())
            labels.append(targets.numpy())
    flat = torch.from_numpy(np.concatenate(logits)), torch.from_numpy(np.concatenate(labels))
    loss = voice_type_loss(*flat).item()
    scores = torch.sigmoid(flat[0]).flatten(0, 1).numpy()
    tuned = best_thresholds(scores, flat[1].flatten(0, 1).numpy(), model.labels)
    return Validation(
        step,
        loss,
        {label: f1 for label, (_, f1) in tuned.items()},
        {label: threshold for label, (threshold, _) in tuned.items()},
    )


def _rate(step: int, settings: TrainSettings) -> float:
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    return max(settings.steps - step, 0) / max(settings.steps - settings.warmup_steps, 1)


def _random_gains(count: int, decibels: float, rng: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(10 ** (rng.uniform(-decibels, decibels, (count, 1)) / 20)).float()


def _hours(recordings: Sequence[LabelledRecording]) -> float:
    return samples_to_hours(sum(len(r.audio) for r in recordings))


def _percent(values: Mapping[str, float]) -> str:
    return ", ".join(f"{label} {100 * value:.1f}" for label, value in values.items())


def _as_json(validation: Validation) -> dict[str, Any]:
    return {
        "validation_loss": validation.loss,
        "frame_f1": dict(validation.f1),
        "macro_frame_f1": validation.macro_f1,
        "thresholds": dict(validation.thresholds),
    }


def _card(
    config: VoiceTypeTraining,
    lineage: Sequence[str],
    best: Validation,
    log: Sequence[Mapping[str, Any]],
    train: Sequence[LabelledRecording],
) -> dict[str, Any]:
    return {
        "task": TASK,
        **config.card.model_dump(),
        "lineage": list(lineage),
        "labels": list(VOICE_TYPES),
        "window_s": config.train.window_s,
        "thresholds": {"f1": dict(best.thresholds)},
        "validation": {"step": best.step, **_as_json(best)},
        "training": {
            "config": json.loads(config.model_dump_json()),
            "hours": round(_hours(train), 3),
            "recordings": len(train),
            "software": {"babyhubert": babyhubert.__version__, "torch": torch.__version__},
            "log": list(log),
        },
    }
