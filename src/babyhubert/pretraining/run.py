"""One iteration of pre-training: from a pack and its labels to a model folder.

``pretrain`` reads as the story of a run. A run is a pure function of its settings: crops, masks and dropout of a step
come from the seed and the step's number, so a run that was stopped anywhere and continued is the run that was never
stopped, bit for bit on a CPU.

The run folder::

    run.json          settings, data, software, machine
    log.jsonl         a line an interval; curves.csv and curves.png are drawn from it; tensorboard/ holds the same
    snapshots/        step-<number>.pt, the newest few
    model/            the result, as transformers loads it
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from babyhubert.compute.device import device_name
from babyhubert.compute.group import Group
from babyhubert.corpus.shards import Labels
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.errors import ConfigError, TrainingError
from babyhubert.files import exclusive, make_folder, remove_leftovers, write_json
from babyhubert.pretraining.batches import Batch, BatchPlan, BatchReader, Cursor, Request, load
from babyhubert.pretraining.health import check_labels, check_progress
from babyhubert.pretraining.model import MaskedPrediction, Outcome
from babyhubert.pretraining.settings import CardSettings, MachineSettings, OptimiserSettings, TrainingSettings
from babyhubert.runs.record import software_versions
from babyhubert.timebase import SAMPLE_RATE, format_clock
from babyhubert.training.curves import Curves
from babyhubert.training.interruption import StopRequests
from babyhubert.training.origin import starting_point
from babyhubert.training.precision import autocast, resolve_precision
from babyhubert.training.randomness import seed_dropout
from babyhubert.training.recorded_gradients import FlatGradients, RecordedGradients
from babyhubert.training.schedules import warm_up_then_decay
from babyhubert.training.snapshots import newest_snapshot, prune_snapshots, save_snapshot
from babyhubert.units.counts import UnitCounts, perplexity

SNAPSHOT_FORMAT = 1
PANELS = (
    ("loss, nats a masked frame", ("train/loss", "validation/loss")),
    ("accuracy", ("train/masked_accuracy", "train/unmasked_accuracy", "validation/masked_accuracy")),
    ("units in use by the predictions (perplexity)", ("train/prediction_perplexity",)),
    ("gradient norm", ("train/gradient_norm",)),
    ("learning rate", ("train/learning_rate",)),
    ("hours of audio an hour", ("train/times_real_time",)),
)

Report = Callable[[str], None]


@dataclass(frozen=True)
class PretrainingResult:
    """How a run ended.

    Attributes:
        step: Steps done.
        finished: Whether these are all; otherwise it was asked to stop, and saved.
        model: The model folder, when finished.
        last: The last entry of the log about training.
        validation: Loss and accuracies of the last validation.
        chance: Share of the most frequent unit.
    """

    step: int
    finished: bool
    model: Path | None
    last: dict[str, Any]
    validation: dict[str, float]
    chance: float


def pretrain(
    labels: Labels,
    settings: TrainingSettings,
    output: Path,
    group: Group,
    report: Report = print,
    facts: dict[str, Any] | None = None,
) -> PretrainingResult:
    """Train, or go on training, and write the model folder at the end.

    Args:
        labels: Labels of a pack, which knows the audio.
        settings: The run.
        output: The run folder.
        group: The processes of the job; every one calls this.
        report: Told a line of text now and then, in the first process.
        facts: Goes into the card (lineage of the labels, for example).

    Raises:
        CorpusError: pack and labels are no material to train on.
        ConfigError: the folder holds a run with other settings.
        TrainingError: the run cannot go on.
        OutputError: another run is writing here, or the disk is full.
    """
    say = group.voice(report)
    with ExitStack() as resources:
        group.first_only(lambda: _take_folder(output, resources))
        stop = resources.enter_context(StopRequests())
        statistics = check_labels(labels, settings.health)
        trainer = Trainer.start(labels, settings, output, group)
        group.first_only(lambda: _write_record(output, labels, settings, group, trainer))
        curves = Curves(output, trainer.step, tensorboard=settings.machine.tensorboard) if group.place.first else None
        if curves is not None:
            resources.callback(curves.close)
        _introduce(trainer, statistics, say)
        validation = _train(trainer, statistics, curves, stop, say)
        finished = trainer.step >= settings.optimiser.steps
        entries = [] if curves is None else curves.entries
        last: dict[str, Any] = next((entry for entry in reversed(entries) if "train/loss" in entry), {})
        if curves is not None:
            _draw(curves, statistics)
        folder = output / "model" if finished else None
        if folder is not None:
            card = _card(settings, labels, trainer, last, validation, facts or {})
            group.first_only(lambda: save_model_folder(folder, trainer.model.to_checkpoint(), card))
    return PretrainingResult(trainer.step, finished, folder, dict(last), validation, statistics.largest_share)


def _train(
    trainer: Trainer, statistics: UnitCounts, curves: Curves | None, stop: StopRequests, say: Report
) -> dict[str, float]:
    """Run the steps that are left; the last validation's figures."""
    settings = trainer.settings
    machine, total = settings.machine, settings.optimiser.steps
    if trainer.step >= total:
        return trainer.validate()
    validation: dict[str, float] = {}
    interval = _Interval()
    saved = trainer.step
    for batches in trainer.batches():
        logging = (trainer.step + 1) % machine.log_every == 0 or trainer.step + 1 == total
        stopping = trainer.take_step(batches, interval, measure_unmasked=logging, stop=stop.received is not None)
        step, last = trainer.step, trainer.step == total
        if logging:
            entry = interval.conclude(trainer)
            interval = _Interval()
            _judge(entry, statistics, settings)
            if curves is not None:
                curves.add(entry)
                say(_line(entry, total))
            if last and trainer.held_out is None:
                _require_finite(entry["train/loss"], "of the last steps", step)
        if step % machine.validate_every == 0 or last:
            validation = trainer.validate()
            if curves is not None and validation:
                curves.add({"step": step, **{f"validation/{name}": value for name, value in validation.items()}})
                if not last:  # the end draws
                    _draw(curves, statistics)
                say(_validation_line(step, validation, statistics))
        if step % machine.save_every == 0 or last or stopping:
            trainer.save()
            saved = step
        if stopping and not last:
            say(f"stopped by {stop.received or 'another process'} at step {saved}; run the same command to continue")
            break
        if last:
            break
    return validation


class Trainer:
    """Model, optimiser and place in the stream of batches."""

    def __init__(self, labels: Labels, settings: TrainingSettings, output: Path, group: Group) -> None:
        self.labels, self.settings, self.output, self.group = labels, settings, output, group
        self.step = 0
        self.cursor = Cursor()
        self.seconds = 0.0
        self.skipped_in_a_row = torch.zeros((), device=group.device)
        pack = labels.pack
        rows = pack.rows("train")
        held_out = pack.rows("validation")
        self.plan = BatchPlan(rows, pack.samples[rows], settings.batches, settings.seed)
        self.held_out = (
            BatchPlan(held_out, pack.samples[held_out], settings.batches, settings.seed) if len(held_out) else None
        )
        self.model, self.lineage = build_model(settings, labels.clusters)
        self.model.to(group.device).train()
        self.model.encoder.gradient_checkpointing = settings.machine.gradient_checkpointing
        self.model.encoder.train_on(group.device, compiled=_compiles(settings.machine, group.device))
        self.optimiser = build_optimiser(self.model, settings.optimiser)
        self.autocast = _autocast(settings.machine, group.device)
        self._parallel: nn.Module = self.model
        self._recorded: RecordedGradients | None = None
        if _replays(settings):
            gradients = FlatGradients(self.model.parameters())
            self._recorded = RecordedGradients(self._pass, gradients, group.device)

    @classmethod
    def start(cls, labels: Labels, settings: TrainingSettings, output: Path, group: Group) -> Trainer:
        """A trainer at its first step, or where the newest snapshot left off."""
        if group.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        trainer = cls(labels, settings, output, group)
        found = newest_snapshot(output / "snapshots")
        steps = group.sums([found[0] if found else 0])[0]
        if steps != (found[0] if found else 0) * group.place.world:
            raise TrainingError(
                f"{output}: the processes see different snapshots; the folder must be on a shared disk"
            )
        if found is not None:
            trainer._restore(found[1])
        if trainer._recorded is None:
            trainer._parallel = group.wrap(trainer.model)
        return trainer  # all processes have the same weights: drawn from the same seed, or from the same snapshot

    @property
    def replays(self) -> bool:
        """Whether passes of shapes that come again are replayed."""
        return self._recorded is not None and self.group.device.type == "cuda"

    def batches(self) -> Iterator[list[Batch]]:
        """This process's batches of every step that is left."""
        accumulate = self.settings.optimiser.accumulate
        cursors: deque[Cursor] = deque()  # of the steps that the loader has asked for, ahead of this one

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

    def take_step(self, batches: Sequence[Batch], interval: _Interval, *, measure_unmasked: bool, stop: bool) -> bool:
        """One update of the weights; whether any process was asked to stop."""
        masked, stopping, seconds = self.group.sums(
            [sum(batch.masked for batch in batches), stop, sum(batch.seconds for batch in batches)]
        )
        for number, batch in enumerate(batches):
            seed_dropout(self.settings.seed, self.step, self.group.place.rank, number)
            synchronise = number == len(batches) - 1
            outcome = self._accumulate(batch.to(self.group.device), masked, measure_unmasked, synchronise)
            interval.add(outcome, batch, measure_unmasked)
        norm = self._update()
        self.step += 1
        self.seconds += seconds
        interval.step_done(norm, masked, seconds)
        return stopping > 0

    def _accumulate(self, batch: Batch, masked: float, measure_unmasked: bool, synchronise: bool) -> Outcome:
        """Add to the gradient; what counts in the end is its sum over processes, over the masked frames of all."""
        if self._recorded is not None:
            share = torch.full((), 1 / masked, device=self.group.device)
            if measure_unmasked:
                return Outcome(*self._pass(*batch.tensors, share, measure_unmasked=True))
            return Outcome(*self._recorded(*batch.tensors, share))
        model = self._parallel
        apart = isinstance(model, nn.parallel.DistributedDataParallel) and not synchronise
        with cast("nn.parallel.DistributedDataParallel", model).no_sync() if apart else nullcontext():
            with self.autocast():
                outcome = model(batch, measure_unmasked)
            (outcome.loss * (self.group.place.world / masked)).backward()  # DistributedDataParallel averages
        return outcome

    def _pass(self, *tensors: Tensor, measure_unmasked: bool = False) -> tuple[Tensor, ...]:
        """Forward and backward through the tensors of a batch; the last one is the share of its loss."""
        pcm, units, mask, positions, targets, share = tensors
        with self.autocast():
            outcome = self.model(Batch(pcm, units, mask, positions, targets, 0), measure_unmasked)
        (outcome.loss * share).backward()
        return tuple(value.detach() for value in outcome)

    def _update(self) -> Tensor:
        """Clip, step, and leave the weights alone where the gradient is not finite. Nothing waits for the device.

        After it is averaged, or added up, every process holds the same gradient, so all of them skip or none does.
        """
        if self._recorded is not None:
            self.group.add_up(self._recorded.gradients.values)
        optimiser, settings = self.optimiser, self.settings.optimiser
        rate = warm_up_then_decay(self.step + 1, settings.learning_rate, settings.warmup_steps, settings.steps)
        for parameters in optimiser.param_groups:
            parameters["lr"] = rate
        norm = self._clip(settings.clip_norm)
        infinite = (~torch.isfinite(norm)).float()
        self.skipped_in_a_row = (self.skipped_in_a_row + 1) * infinite
        optimiser.found_inf = infinite  # type: ignore[attr-defined]  # as a gradient scaler tells fused optimisers
        optimiser.grad_scale = None  # type: ignore[attr-defined]
        optimiser.step()
        if self._recorded is None:
            optimiser.zero_grad(set_to_none=True)
        else:
            self._recorded.gradients.values.zero_()
        return norm

    def _clip(self, most: float) -> Tensor:
        """Limit the gradient; the norm it had."""
        if self._recorded is None:
            return nn.utils.clip_grad_norm_(self.model.parameters(), most)
        return self._recorded.gradients.clip(most)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Loss and accuracies on the held-out segments: always the same crops and masks, shared out over processes."""
        if self.held_out is None:
            return {}
        requests = self.held_out.validation()[self.group.place.rank :: self.group.place.world]
        reader = BatchReader(self.labels, self.settings.mask, fixed_crops=True)
        totals = np.zeros(5)
        self.model.eval()
        for batch in load(reader, requests, 0, pin_memory=False):
            with self.autocast():
                outcome = self.model(batch.to(self.group.device), True)
            frames = batch.mask.numel()
            values = [outcome.cross_entropy, outcome.correct, outcome.unmasked_correct]
            totals += [*(value.item() for value in values), batch.masked, frames - batch.masked]
        self.model.train()
        loss, correct, unmasked_correct, masked, unmasked = self.group.sums(totals.tolist())
        _require_finite(loss, "on held-out segments", self.step)
        return {
            "loss": loss / masked,
            "masked_accuracy": correct / masked,
            "unmasked_accuracy": unmasked_correct / max(unmasked, 1),
        }

    def save(self) -> None:
        """Write a snapshot (first process), and prune older ones."""
        machine = self.settings.machine

        def write() -> None:
            save_snapshot(self.output / "snapshots", self.step, self._state())
            prune_snapshots(self.output / "snapshots", machine.keep, machine.keep_every)

        self.group.first_only(write)

    def _state(self) -> dict[str, Any]:
        return {
            "format": SNAPSHOT_FORMAT,
            "settings": self.settings.fingerprint,
            "labels": labels_identity(self.labels),
            "step": self.step,
            "cursor": list(self.cursor),
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        if state.get("format") != SNAPSHOT_FORMAT:
            raise TrainingError(f"{self.output}: its snapshots are of another version of this program")
        if state["settings"] != self.settings.fingerprint:
            raise ConfigError(
                f"{self.output}: holds a run with other settings (run.json says which); choose another folder, or "
                "delete its snapshots to start again"
            )
        if state["labels"] != labels_identity(self.labels):
            raise ConfigError(
                f"{self.output}: holds a run on other labels or another pack; choose another folder, or delete its "
                "snapshots to start again"
            )
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.cursor = Cursor(*state["cursor"])


@dataclass
class _Interval:
    """Sums since the last line of the log, kept on the device so that no step waits for them."""

    steps: int = 0
    masked: float = 0.0
    seconds: float = 0.0
    unmasked_frames: float = 0.0
    sums: Tensor | None = None
    norm: Tensor | None = None
    began: float = field(default_factory=time.perf_counter)

    def add(self, outcome: Outcome, batch: Batch, measured_unmasked: bool) -> None:
        means = (outcome.penalty, outcome.spectrum)
        scalars = [
            outcome.cross_entropy,
            outcome.correct,
            *(m * batch.masked for m in means),
            outcome.unmasked_correct,
        ]
        sums = torch.cat([torch.stack(scalars), outcome.predicted])
        self.sums = sums if self.sums is None else self.sums + sums
        if measured_unmasked:
            self.unmasked_frames += batch.mask.numel() - batch.masked

    def step_done(self, norm: Tensor, masked: float, seconds: float) -> None:
        self.steps += 1
        self.masked += masked
        self.seconds += seconds
        self.norm = norm if self.norm is None else self.norm + norm

    def conclude(self, trainer: Trainer) -> dict[str, Any]:
        """The entry of the log; every process calls it, the first one's is written."""
        assert self.sums is not None
        assert self.norm is not None
        totals = trainer.group.sums([self.unmasked_frames, *self.sums.tolist()])
        unmasked, loss, correct, penalty, spectrum, unmasked_correct, *predicted = totals
        elapsed = time.perf_counter() - self.began
        optimiser = trainer.settings.optimiser
        return {
            "step": trainer.step,
            "train/loss": loss / self.masked,
            "train/masked_accuracy": correct / self.masked,
            "train/unmasked_accuracy": unmasked_correct / max(unmasked, 1),
            "train/feature_penalty": penalty / self.masked,
            "train/spectrum_error": spectrum / self.masked,
            "train/prediction_perplexity": perplexity(np.array(predicted)),
            "train/gradient_norm": self.norm.item() / self.steps,
            "train/learning_rate": warm_up_then_decay(
                trainer.step, optimiser.learning_rate, optimiser.warmup_steps, optimiser.steps
            ),
            "train/skipped_steps_in_a_row": trainer.skipped_in_a_row.item(),
            "train/hours": trainer.seconds / 3600,
            "train/times_real_time": self.seconds / elapsed,
            "train/seconds_left": elapsed / self.steps * (optimiser.steps - trainer.step),
        }


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
        model = MaskedPrediction.from_checkpoint(checkpoint, units, generator, embeddings, settings.loss)
    return model, lineage


def build_optimiser(model: nn.Module, settings: OptimiserSettings) -> torch.optim.AdamW:
    """AdamW on all parameters, biases and norms included, as published; fused."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def labels_identity(labels: Labels) -> str:
    """What a run is tied to: the pack and the k-means its labels come from."""
    return f"{labels.pack.fingerprint} {labels.facts.get('kmeans', '')}"


def _compiles(machine: MachineSettings, device: torch.device) -> bool:
    return machine.compile == "yes" or (machine.compile == "auto" and device.type == "cuda")


def _replays(settings: TrainingSettings) -> bool:
    """Not with activations that are recomputed: torch then reads the state of its generator, which no graph can."""
    machine = settings.machine
    return machine.replay == "auto" and settings.batches.lengths is not None and not machine.gradient_checkpointing


def _autocast(machine: MachineSettings, device: torch.device) -> Callable[[], Any]:
    chosen = resolve_precision(machine.precision, device)
    return autocast("float32" if chosen == "fp16" else chosen, device)  # there is no gradient scaler here


def _take_folder(output: Path, resources: ExitStack) -> None:
    busy = f"{output}: another run is writing here; wait for it or choose another folder"
    resources.enter_context(exclusive(make_folder(output) / ".lock", busy))
    remove_leftovers(output, "snapshots")


def _judge(entry: dict[str, Any], statistics: UnitCounts, settings: TrainingSettings) -> None:
    skipped = int(entry["train/skipped_steps_in_a_row"])
    if skipped >= settings.health.most_skipped_steps:
        raise TrainingError(
            f"step {entry['step']}: the last {skipped} steps had no finite gradient; "
            "lower optimiser.learning_rate, or look for damaged audio in the pack"
        )
    patience = settings.optimiser.warmup_steps + settings.optimiser.steps // 10
    if entry["step"] > patience and math.isfinite(entry["train/loss"]):
        check_progress(entry["train/loss"], statistics, entry["step"], settings.health)


def _require_finite(loss: float, where: str, step: int) -> None:
    """Refuse to make a model of a training that diverged.

    Raises:
        TrainingError: the loss is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"step {step}: the loss {where} is {loss}, so the training has diverged and writes no model; lower "
            "optimiser.learning_rate, or look for damaged audio in the pack, and begin in another folder"
        )


def _introduce(trainer: Trainer, statistics: UnitCounts, say: Report) -> None:
    settings, pack, world = trainer.settings, trainer.labels.pack, trainer.group.place.world
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    step_seconds = settings.batches.seconds * settings.optimiser.accumulate * world
    say(
        f"{parameters:,} parameters, {pack.hours:.2f} h of audio ({len(pack.rows('validation'))} segments held out, "
        f"{trainer.plan.unused} too short or long), up to {step_seconds:g} s a step, {world} x {trainer.group.device}"
    )
    say(
        f"{len(statistics.counts)} units, {len(statistics.dead)} never used, perplexity {statistics.perplexity:.1f}; "
        f"chance: accuracy {100 * statistics.largest_share:.1f}%, loss {statistics.entropy:.3f}"
    )
    if trainer.replays:
        say(f"passes of {settings.batches.lengths} lengths of batches are replayed as CUDA graphs from the second on")
    if trainer.step:
        say(f"continued after step {trainer.step} of {settings.optimiser.steps}")


def _line(entry: dict[str, Any], total: int) -> str:
    left = format_clock(int(entry["train/seconds_left"]) * SAMPLE_RATE)
    return (
        f"step {entry['step']}/{total}  loss {entry['train/loss']:.3f}  "
        f"accuracy masked {100 * entry['train/masked_accuracy']:.1f}% other "
        f"{100 * entry['train/unmasked_accuracy']:.1f}%  gradient {entry['train/gradient_norm']:.2f}  "
        f"rate {entry['train/learning_rate']:.2e}  {entry['train/times_real_time']:.0f} h of audio an hour  "
        f"{left} left"
    )


def _validation_line(step: int, validation: dict[str, float], statistics: UnitCounts) -> str:
    return (
        f"step {step}  held-out loss {validation['loss']:.3f}  accuracy masked "
        f"{100 * validation['masked_accuracy']:.1f}% other {100 * validation['unmasked_accuracy']:.1f}% "
        f"(chance {100 * statistics.largest_share:.1f}%)"
    )


def _draw(curves: Curves, statistics: UnitCounts) -> None:
    curves.write_table()
    curves.draw(PANELS, {"loss, nats a masked frame": statistics.entropy, "accuracy": statistics.largest_share})


def _write_record(output: Path, labels: Labels, settings: TrainingSettings, group: Group, trainer: Trainer) -> None:
    write_json(
        output / "run.json",
        {
            "settings": json.loads(settings.model_dump_json()),
            "fingerprint": settings.fingerprint,
            "pack": {"folder": str(labels.pack.folder), "fingerprint": labels.pack.fingerprint},
            "labels": {"folder": str(labels.folder), **dict(labels.facts)},
            "lineage": trainer.lineage,
            "processes": group.place.world,
            "device": device_name(group.device),
            "software": software_versions(),
        },
    )


def _card(
    settings: TrainingSettings,
    labels: Labels,
    trainer: Trainer,
    last: dict[str, Any],
    validation: dict[str, float],
    facts: dict[str, Any],
) -> dict[str, Any]:
    card: CardSettings = settings.card
    return {
        "task": "masked_prediction",
        **card.model_dump(),
        "lineage": [*trainer.lineage, *facts.get("lineage", [])],
        "units": {key: value for key, value in labels.facts.items() if key not in ("format", "shards")},
        "validation": {"step": trainer.step, **validation},
        "training": {
            "settings": json.loads(settings.model_dump_json()),
            "hours_packed": round(labels.pack.hours, 3),
            "hours_seen": round(trainer.seconds / 3600, 3),
            "seconds_a_step": trainer.seconds / max(trainer.step, 1),
            "last": last,
            "software": software_versions(),
        },
    }
