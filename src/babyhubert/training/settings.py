"""Settings of fine-tuning: one file for one task or several on one encoder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from babyhubert.annotation.columns import Column
from babyhubert.config import Config, Seed
from babyhubert.errors import ConfigError
from babyhubert.tasks.addressee.training import AddresseeSettings
from babyhubert.tasks.classification.training import ClassificationSettings
from babyhubert.tasks.phonemes.settings import CtcSettings, PhonemeSettings
from babyhubert.tasks.registry import PUBLISHED, check_name
from babyhubert.tasks.voice_type.training import FramesSettings, VoiceTypeSettings
from babyhubert.training.precision import Precision
from babyhubert.training.schedules import ScheduleSettings

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class ModelSettings(Config):
    """``[model]``: start of the encoder, and its trained parts.

    Attributes:
        encoder: Model folder, checkpoint or hub repository to start from. Without it, an encoder of ``size`` is drawn
            at random.
        size: ``nano``, ``mini``, ``small``, ``base`` or ``large``; ignored if there is an ``encoder``.
        encoder_settings: Changes of settings without weights: dropouts, ``layer_drop``, ``feature_grad_scale``.
        freeze_convolutions: True to keep the convolutions' weights and run them without gradients. If absent: True
            with ``encoder``, as published, False without.
        freeze_encoder: True to train only the heads.
        heads: ``new``: drawn at random; ``keep``: those of ``encoder``, a model of the same tasks and labels; ``add``:
            all that ``encoder`` has are kept, the others drawn, to train a model on further tasks; ``extend``: heads
            without a table here are kept untrained, and all of the encoder that they use is frozen, so that their
            outputs do not change.
        new_blocks: Blocks to add on top of ``encoder``, drawn at random; its own heads go on taking the blocks below.
        layer_mix: True to learn a weighted sum over all blocks for each head instead of taking the last.
    """

    encoder: str | None = None
    size: str = "nano"
    encoder_settings: Mapping[str, float] = Field(default_factory=dict)
    freeze_convolutions: bool | None = None
    freeze_encoder: bool = False
    heads: Literal["new", "keep", "add", "extend"] = "new"
    new_blocks: Annotated[int, Field(ge=0)] = 0
    layer_mix: bool = False

    @model_validator(mode="after")
    def _heads_of_something(self) -> ModelSettings:
        if self.heads != "new" and self.encoder is None:
            raise ValueError(f'heads = "{self.heads}" goes on with the heads of a model: give encoder')
        if self.new_blocks and self.encoder is None:
            raise ValueError("new_blocks are added to the encoder of a model: give encoder")
        return self

    @property
    def convolutions_frozen(self) -> bool:
        """Resolved value of ``freeze_convolutions``."""
        return self.encoder is not None if self.freeze_convolutions is None else self.freeze_convolutions


class TrainSettings(Config):
    """``[train]``: AdamW, the schedule of its rate, and the end of a run.

    Attributes:
        seed: Seed of all random draws.
        steps: Updates of the weights; or give ``epochs``.
        epochs: Passes over the material (of the task with most batches).
        accumulate: Batches of each process in one step.
        learning_rate: Highest rate.
        schedule: Schedule of the rate.
        beta1: AdamW's first coefficient.
        beta2: AdamW's second coefficient.
        eps: AdamW's epsilon.
        weight_decay: AdamW's decay.
        clip_norm: Largest norm of the gradient; 0: any.
        clip: What is clipped: ``all`` or, as published for the addressee, ``encoder``.
        average: Decay of an exponential moving average of the weights over steps, which is validated and stored;
            training continues with the plain ones. 0: none. It rises to this over the first steps.
        validate_every: Steps between validations; absent: once an epoch.
        monitor: Criterion of the best weights, early stopping and the plateau: the ``score`` of the task (macro F1, 1
            - PER; the mean over tasks) or, as published, the ``loss``.
        patience: Validations without an improvement after which the run ends; absent: it never ends early.
        most_skipped_steps: Steps in a row without a finite gradient that end the run.
    """

    seed: Seed = 0
    steps: Count | None = None
    epochs: Positive | None = None
    accumulate: Count = 1
    learning_rate: Positive = 1e-5
    schedule: ScheduleSettings = ScheduleSettings()
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    eps: Positive = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    clip: Literal["all", "encoder"] = "all"
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    validate_every: Count | None = None
    monitor: Literal["score", "loss"] = "score"
    patience: Count | None = None
    most_skipped_steps: Count = 50

    @model_validator(mode="after")
    def _one_length(self) -> TrainSettings:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self


class MachineSettings(Config):
    """``[machine]``: execution; no setting here affects the trained model.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` (each process takes the GPU of its local rank) or ``mps``.
        precision: ``float32``, ``bf16``, ``fp16`` (with a gradient scaler), or ``auto``: bf16 on GPUs that have it,
            fp16 on older ones, float32 elsewhere.
        workers: Threads that make batches ahead; 0: the training thread makes them.
        gradient_checkpointing: Recompute activations instead of keeping them: less memory, a third more time.
        replay: ``auto``: gradients are one tensor, which is added up over processes without DistributedDataParallel,
            and on CUDA passes of recurring shapes (windows of one length) are replayed as CUDA graphs; not with
            ``gradient_checkpointing`` or fp16. ``no``: never.
        log_every: Steps between lines of the log.
        save_every: Steps between snapshots.
        keep: Newest snapshots kept.
        tensorboard: Write event files.
    """

    device: str = "auto"
    precision: Precision = "auto"
    workers: Annotated[int, Field(ge=0)] = 0
    gradient_checkpointing: bool = False
    replay: Literal["auto", "no"] = "auto"
    log_every: Count = 50
    save_every: Count = 500
    keep: Count = 1
    tensorboard: bool = False


class CardSettings(Config):
    """``[card]``: description of the model in its ``task.json``.

    ``licence`` must be compatible with the terms of the encoder it starts from, and is that encoder's if it is absent:
    a model derived from the released BabyHuBERT weights inherits their terms. The lineage is that of the encoder too.
    """

    description: str = ""
    trained_on: str = ""
    licence: str = ""


OwnTaskSettings = Annotated[FramesSettings | ClassificationSettings | CtcSettings, Field(discriminator="kind")]
TaskSettings = VoiceTypeSettings | ClassificationSettings | PhonemeSettings


class FinetuningSettings(Config):
    """A fine-tuning run: the tasks whose tables it has, on one encoder.

    Attributes:
        model: Start of the encoder.
        train: Optimiser, schedule, length.
        machine: Execution.
        card: Description of the model.
        voice_type: Voice types.
        addressee: Addressees of adults.
        phonemes: Phonemes of utterances.
        task: Tasks of a lab's own, by name: ``[task.NAME]`` with ``kind``.
    """

    model: ModelSettings = ModelSettings()
    train: TrainSettings
    machine: MachineSettings = MachineSettings()
    card: CardSettings = CardSettings()
    voice_type: VoiceTypeSettings | None = None
    addressee: AddresseeSettings | None = None
    phonemes: PhonemeSettings | None = None
    task: Mapping[str, OwnTaskSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _distinct_tasks(self) -> FinetuningSettings:
        try:
            for name in self.task:
                check_name(name)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        owners: dict[str, str] = {}
        for name, settings in self.tasks.items():
            if isinstance(settings, ClassificationSettings):
                column = _filled_column(name, settings)
                for what in (f"a column {column.name}", f"tiers {column.tier}"):
                    if owners.setdefault(what, name) != name:
                        raise ValueError(f"the tasks {owners[what]} and {name} both write {what}")
        return self

    @property
    def tasks(self) -> dict[str, TaskSettings]:
        """All tasks that have a table, by name: the published ones first."""
        published = {name: getattr(self, name) for name in PUBLISHED if getattr(self, name) is not None}
        return {**published, **self.task}

    def fingerprint(self, tasks: tuple[str, ...]) -> str:
        """Hash of all settings that affect the result: a run is only continued with the same one."""
        decisive = self.model_dump(mode="json", include={"model", "train"})
        decisive |= {name: self.tasks[name].model_dump(mode="json") for name in tasks}
        return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]


def _filled_column(task: str, settings: ClassificationSettings) -> Column:
    try:
        return settings.filled_column(task)
    except ConfigError as error:
        raise ValueError(str(error).replace(f"task {task} of the model", f"[task.{task}]")) from None
