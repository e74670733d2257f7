"""Objective of pre-training: masked prediction of a pack's labels."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from babyhubert.compute.group import ProcessGroup
from babyhubert.corpus.shards import Labels
from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.config import HubertConfig
from babyhubert.errors import TrainingError
from babyhubert.pretraining.batches import Batch, BatchPlan, BatchReader, Cursor, Request, load
from babyhubert.pretraining.health import check_labels, check_progress
from babyhubert.pretraining.model import MaskedPrediction, Outcome
from babyhubert.pretraining.settings import MachineSettings, TrainingSettings
from babyhubert.runs.record import software_versions
from babyhubert.training.curves import Curves
from babyhubert.training.objective import Objective, Progress, Validated
from babyhubert.training.origin import starting_point
from babyhubert.training.precision import autocast, resolve_precision
from babyhubert.training.recorded_gradients import FlatGradients, RecordedGradients
from babyhubert.training.schedules import warm_up_then_decay
from babyhubert.units.counts import perplexity

PANELS = (
    ("loss, nats a masked frame", ("train/loss", "validation/loss")),
    ("accuracy", ("train/masked_accuracy", "train/unmasked_accuracy", "validation/masked_accuracy")),
    ("units in use by the predictions (perplexity)", ("train/prediction_perplexity",)),
    ("gradient norm", ("train/gradient_norm",)),
    ("learning rate", ("train/learning_rate",)),
    ("hours of audio an hour", ("train/times_real_time",)),
)


class PredictionObjective(Objective[Batch]):
    """Masked prediction of the labels of a pack.

    Args:
        labels: They know the audio.
        settings: The run.
        group: The processes of the job.
        facts: Goes into the card (lineage of the labels, for example).

    Attributes:
        statistics: How often each unit occurs.
        validation: Loss and accuracies of the last validation.
        lineage: Origins of the encoder.
        cursor: The place in the stream of batches.

    Raises:
        CorpusError: pack and labels are no material to train on.
    """

    draw_often = True
    remedy = "lower optimiser.learning_rate, or look for damaged audio in the pack"
    speed = "h of audio an hour"

    def __init__(
        self, labels: Labels, settings: TrainingSettings, group: ProcessGroup, facts: Mapping[str, Any] | None = None
    ) -> None:
        self.labels, self.settings, self.group, self.facts = labels, settings, group, facts or {}
        self.train, self.machine = settings.optimiser, settings.machine
        self.steps, self.most_skipped_steps = settings.optimiser.steps, settings.health.most_skipped_steps
        self.validate_every, self.keep_every = settings.machine.validate_every, settings.machine.keep_every
        self.statistics = check_labels(labels, settings.health)
        self.cursor = Cursor()
        self.validation: dict[str, float] = {}
        pack = labels.pack
        rows, held_out = pack.rows("train"), pack.rows("validation")
        self.plan = BatchPlan(rows, pack.samples[rows], settings.batches, settings.seed)
        self.held_out = (
            BatchPlan(held_out, pack.samples[held_out], settings.batches, settings.seed) if len(held_out) else None
        )
        self.network, self.lineage = build_model(settings, labels.clusters)
        self.model = self.module = self.network.to(group.device).train()
        self.network.encoder.gradient_checkpointing = settings.machine.gradient_checkpointing
        self.network.encoder.prepare_training(compiled=_compiles(settings.machine, group.device))
        self.clipped = list(self.network.parameters())
        self._autocast = _autocast(settings.machine, group.device)
        self._recorded: RecordedGradients | None = None
        if _replays(settings):
            self.gradients = FlatGradients(self.network.parameters())
            self._recorded = RecordedGradients(self._pass, self.gradients, group.device)

    @property
    def replays(self) -> bool:
        """True if passes of shapes that come again are replayed."""
        return self._recorded is not None and self.group.device.type == "cuda"

    def batches(self, step: int) -> Iterator[list[Batch]]:
        """This process's batches of every step after the cursor, which goes along."""
        accumulate = self.train.accumulate
        cursors: deque[Cursor] = deque()  # of the steps that the loader requested ahead of this one

        def requests() -> Iterator[Request]:
            for after, mine in self.plan.steps(self.cursor, self.group.place, accumulate):
                cursors.append(after)
                yield from mine

        reader = BatchReader(self.labels, self.settings.mask)
        loaded = load(reader, requests(), self.settings.machine.workers, self.group.device.type == "cuda")
        while True:
            batches = list(islice(loaded, accumulate))
            self.cursor = cursors.popleft()
            yield batches

    def place(self, step: int, number: int) -> tuple[int, ...]:  # noqa: D102
        return self.settings.seed, step, self.group.place.rank, number

    def size(self, batches: Sequence[Batch]) -> tuple[float, list[float]]:
        """Seconds of audio, and masked frames."""
        return sum(batch.seconds for batch in batches), [sum(batch.masked for batch in batches)]

    def loss(  # noqa: D102
        self, module: nn.Module, batch: Batch, weights: Sequence[float], logged: bool
    ) -> tuple[Tensor, Tensor]:
        with self._autocast():
            outcome: Outcome = module(batch.to(self.group.device), logged)
        return outcome.loss * (1 / weights[0]), _sums(outcome, batch, logged)

    def add_gradients(self, batch: Batch, weights: Sequence[float], logged: bool) -> Tensor:  # noqa: D102
        assert self._recorded is not None
        tensors = batch.to(self.group.device).tensors
        share = torch.full((), 1 / weights[0], device=self.group.device)
        found = self._pass(*tensors, share, logged=True) if logged else self._recorded(*tensors, share)
        return _sums(Outcome(*found), batch, logged)

    def _pass(self, *tensors: Tensor, logged: bool = False) -> tuple[Tensor, ...]:
        """Forward and backward through the tensors of a batch; the last one is the share of its loss."""
        pcm, units, mask, positions, targets, share = tensors
        with self._autocast():
            outcome = self.network(Batch(pcm, units, mask, positions, targets, 0), logged)
        (outcome.loss * share).backward()
        return tuple(value.detach() for value in outcome)

    def rate(self, step: int) -> float:  # noqa: D102
        settings = self.settings.optimiser
        return warm_up_then_decay(step, settings.learning_rate, settings.warmup_steps, settings.steps)

    def entry(self, sums: Sequence[float], weights: Sequence[float], steps: int) -> dict[str, float]:  # noqa: D102
        unmasked, loss, correct, penalty, spectrum, unmasked_correct, *predicted = sums
        masked = weights[0]
        return {
            "train/loss": loss / masked,
            "train/masked_accuracy": correct / masked,
            "train/unmasked_accuracy": unmasked_correct / max(unmasked, 1),
            "train/feature_penalty": penalty / masked,
            "train/spectrum_error": spectrum / masked,
            "train/prediction_perplexity": perplexity(np.array(predicted)),
        }

    def line(self, entry: Mapping[str, Any]) -> str:  # noqa: D102
        return (
            f"loss {entry['train/loss']:.3f}  accuracy masked {100 * entry['train/masked_accuracy']:.1f}% other "
            f"{100 * entry['train/unmasked_accuracy']:.1f}%"
        )

    def check(self, entry: Mapping[str, Any]) -> None:
        """Stop a run that has learnt nothing when it should have, or whose last loss is not finite.

        Raises:
            TrainingError: such a run.
        """
        step, loss, settings = entry["step"], entry["train/loss"], self.settings
        patience = settings.optimiser.warmup_steps + settings.optimiser.steps // 10
        if step > patience and math.isfinite(loss):
            check_progress(loss, self.statistics, step, settings.health)
        if step == self.steps and self.held_out is None:
            self._require_finite(loss, "of the last steps", step)

    def _require_finite(self, loss: float, where: str, step: int) -> None:
        """Refuse to make a model of a training that diverged.

        Raises:
            TrainingError: the loss is NaN or infinite.
        """
        if not math.isfinite(loss):
            raise TrainingError(
                f"step {step}: the loss {where} is {loss}, so the training has diverged and writes no model; "
                f"{self.remedy}, and begin in another folder"
            )

    @torch.no_grad()
    def validate(self, at: Progress) -> Validated | None:
        """Loss and accuracies on the held-out segments: always the same crops and masks, shared out over processes."""
        if self.held_out is None:
            return None
        requests = self.held_out.validation()[self.group.place.rank :: self.group.place.world]
        reader = BatchReader(self.labels, self.settings.mask, fixed_crops=True)
        totals = np.zeros(5)
        for batch in load(reader, requests, 0, pin_memory=False):
            with self._autocast():
                outcome = self.network(batch.to(self.group.device), True)
            frames = batch.mask.numel()
            values = [outcome.cross_entropy, outcome.correct, outcome.unmasked_correct]
            totals += [*(value.item() for value in values), batch.masked, frames - batch.masked]
        loss, correct, unmasked_correct, masked, unmasked = self.group.sums(totals.tolist())
        self._require_finite(loss, "on held-out segments", at.step)
        found = {
            "loss": loss / masked,
            "masked_accuracy": correct / masked,
            "unmasked_accuracy": unmasked_correct / max(unmasked, 1),
        }
        self.validation = found
        line = (
            f"held-out loss {found['loss']:.3f}  accuracy masked {100 * found['masked_accuracy']:.1f}% other "
            f"{100 * found['unmasked_accuracy']:.1f}% (chance {100 * self.statistics.largest_share:.1f}%)"
        )
        return Validated({f"validation/{name}": value for name, value in found.items()}, line)

    def _identity(self) -> dict[str, str]:
        """Settings, pack, and k-means of the labels, which a continued run must share."""
        labels = f"{self.labels.pack.fingerprint} {self.labels.facts.get('kmeans', '')}"
        return {"settings": self.settings.fingerprint, "labels": labels}

    def state(self) -> dict[str, Any]:  # noqa: D102
        return {**self._identity(), "cursor": list(self.cursor)}

    def difference(self, state: Mapping[str, Any]) -> str | None:  # noqa: D102
        own = self._identity()
        if state["settings"] != own["settings"]:
            return "with other settings (run.json says which)"
        return "on other labels or another pack" if state["labels"] != own["labels"] else None

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: D102
        self.cursor = Cursor(*state["cursor"])

    def result(self) -> Checkpoint:
        """The weights of the last step."""
        return self.network.to_checkpoint()

    def card(self, at: Progress) -> dict[str, Any]:  # noqa: D102
        labels, settings = self.labels, self.settings
        return {
            "task": "masked_prediction",
            **settings.card.model_dump(),
            "lineage": [*self.lineage, *self.facts.get("lineage", [])],
            "units": {key: value for key, value in labels.facts.items() if key not in ("format", "shards")},
            "validation": {"step": at.step, **self.validation},
            "training": {
                "settings": json.loads(settings.model_dump_json()),
                "hours_packed": round(labels.pack.hours, 3),
                "hours_seen": round(at.seconds / 3600, 3),
                "seconds_a_step": at.seconds / max(at.step, 1),
                "last": dict(at.last),
                "software": software_versions(),
            },
        }

    def draw(self, curves: Curves) -> None:  # noqa: D102
        chance = {"loss, nats a masked frame": self.statistics.entropy, "accuracy": self.statistics.largest_share}
        curves.write_table()
        curves.draw(PANELS, chance)


def _sums(outcome: Outcome, batch: Batch, logged: bool) -> Tensor:
    """Sums over batches for the log: unmasked frames where they were scored, figures, the use of every unit."""
    unmasked = batch.mask.numel() - batch.masked if logged else 0
    scalars = [
        outcome.loss.new_full((), unmasked),
        outcome.cross_entropy,
        outcome.correct,
        outcome.penalty * batch.masked,
        outcome.spectrum * batch.masked,
        outcome.unmasked_correct,
    ]
    return torch.cat([torch.stack(scalars), outcome.predicted])


def build_model(settings: TrainingSettings, units: int) -> tuple[MaskedPrediction, list[str]]:
    """The model before its first step, and what its encoder comes from.

    Raises:
        ConfigError: settings of the encoder that would change the shape of given weights.
        CheckpointError: the start cannot be read.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    chosen, embeddings = settings.encoder, settings.head.embeddings
    if chosen.start is None:
        config = HubertConfig.of_size(chosen.size).with_changes(**chosen.settings)
        model = MaskedPrediction.fresh(config, units, generator, embeddings, settings.loss)
        lineage = [f"{chosen.size} encoder, random weights"]
    else:
        checkpoint, lineage = starting_point(chosen.start, chosen.settings, "encoder.settings")
        checkpoint = checkpoint.without_branches()
        model = MaskedPrediction.from_checkpoint(checkpoint, units, generator, embeddings, settings.loss)
    return model, lineage


def _compiles(machine: MachineSettings, device: torch.device) -> bool:
    return machine.compile == "yes" or (machine.compile == "auto" and device.type == "cuda")


def _replays(settings: TrainingSettings) -> bool:
    """Not with activations that are recomputed: torch then reads the state of its generator, which no graph can."""
    machine = settings.machine
    return machine.replay == "auto" and settings.batches.lengths is not None and not machine.gradient_checkpointing


def _autocast(machine: MachineSettings, device: torch.device) -> Callable[[], Any]:
    chosen = resolve_precision(machine.precision, device)
    return autocast("float32" if chosen == "fp16" else chosen, device)  # there is no gradient scaler here
