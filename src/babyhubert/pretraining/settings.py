"""Settings of one iteration of masked prediction. The defaults are the published ones (HuBERT base, BabyHuBERT)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from babyhubert.config import Config, Seed
from babyhubert.encoder.pretraining_head import EmbeddingStart
from babyhubert.pretraining.batches import BatchSettings
from babyhubert.pretraining.masking import MaskSettings
from babyhubert.pretraining.model import LossWeights

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class DataSettings(Config):
    """``[data]``: a pack and labels of it, relative to the working directory."""

    pack: str
    labels: str


class EncoderSettings(Config):
    """``[encoder]``: the encoder to train.

    Attributes:
        size: ``nano``, ``mini``, ``small``, ``base`` or ``large``, drawn at random; not with ``start``.
        start: A model folder, checkpoint or hub repository to start from.
        settings: Changes of settings without weights: dropouts, ``layer_drop``, ``feature_grad_scale``.
    """

    size: str = "base"
    start: str | None = None
    settings: Mapping[str, float] = Field(default_factory=dict)


class HeadSettings(Config):
    """``[head]``: the layer that predicts units from frames.

    Attributes:
        embeddings: Initial unit embeddings: ``published`` (uniform in [0, 1)) or ``centred`` (uniform in [-1, 1)),
            which leaves chance thousands of steps earlier.
    """

    embeddings: EmbeddingStart = "published"


class OptimiserSettings(Config):
    """``[optimiser]``: AdamW on all parameters, linear warm-up and linear decay to zero.

    Attributes:
        steps: Steps of the whole run.
        accumulate: Batches of each process in one step. ``processes * accumulate * batches.seconds`` is the audio of
            a step: 5,600 s in the published run (32 processes, 175 s each, 1).
        learning_rate: Highest rate.
        warmup_steps: Steps of the rise.
        clip_norm: Largest norm of the gradient.
    """

    steps: Count = 400_000
    accumulate: Count = 1
    learning_rate: Positive = 5e-4
    warmup_steps: Annotated[int, Field(ge=0)] = 32_000
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    eps: Positive = 1e-6
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip_norm: Positive = 10.0


class MachineSettings(Config):
    """``[machine]``: execution; no setting here affects the trained model.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` (each process takes the GPU of its local rank) or ``mps``.
        precision: ``bf16`` (autocast; parameters stay float32), ``float32``, or ``auto``: bf16 on GPUs made for it.
        compile: Compile the transformer's blocks with ``torch.compile``; ``auto``: on CUDA.
        replay: ``auto``: if ``batches.lengths`` limits the shapes, gradients are one tensor, which is added up over
            processes without DistributedDataParallel, and on CUDA passes of recurring shapes are replayed as CUDA
            graphs, which takes the memory of one more batch. Not with ``gradient_checkpointing``. ``no``: never.
        gradient_checkpointing: Recompute activations instead of keeping them: less memory, a third more time.
        workers: Processes that read batches ahead, for each training process.
        log_every: Steps between lines of the log.
        save_every: Steps between snapshots.
        keep: Newest snapshots kept.
        keep_every: Snapshots at multiples of this are kept as well.
        validate_every: Steps between validations.
        tensorboard: Write event files.
    """

    device: str = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"
    compile: Literal["auto", "yes", "no"] = "auto"
    replay: Literal["auto", "no"] = "auto"
    gradient_checkpointing: bool = False
    workers: Annotated[int, Field(ge=0)] = 4
    log_every: Count = 200
    save_every: Count = 5_000
    keep: Count = 2
    keep_every: Count | None = 100_000
    validate_every: Count = 5_000
    tensorboard: bool = True


class HealthSettings(Config):
    """``[health]``: conditions that end a run early with an error.

    Attributes:
        most_dead_units: Largest fraction of units that never occur in the labels.
        stop_at_chance: End the run if, after the warm-up, it predicts no better than the units' frequencies do.
        most_skipped_steps: Number of consecutive steps without a finite gradient that ends the run.
    """

    most_dead_units: Annotated[float, Field(ge=0, le=1)] = 0.5
    stop_at_chance: bool = True
    most_skipped_steps: Count = 100


class CardSettings(Config):
    """``[card]``: content of the model folder's card; ``licence`` must agree with that of the starting model."""

    description: str = ""
    trained_on: str = ""
    licence: str = ""


class TrainingSettings(Config):
    """All settings of an iteration except data and output."""

    seed: Seed = 0
    encoder: EncoderSettings = EncoderSettings()
    batches: BatchSettings = BatchSettings()
    mask: MaskSettings = MaskSettings()
    head: HeadSettings = HeadSettings()
    loss: LossWeights = LossWeights()
    optimiser: OptimiserSettings = OptimiserSettings()
    machine: MachineSettings = MachineSettings()
    health: HealthSettings = HealthSettings()
    card: CardSettings = CardSettings()

    @property
    def fingerprint(self) -> str:
        """Hash of all settings that affect the result: a run is only continued with the same one."""
        decisive = self.model_dump_json(exclude={"machine", "health", "card"})
        return hashlib.sha256(decisive.encode()).hexdigest()[:16]


class PretrainingRun(TrainingSettings):
    """The file that ``babyhubert pretrain`` reads."""

    data: DataSettings
