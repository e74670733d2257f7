"""Fine-tuning: annotated recordings and an encoder in, a model folder out, for one task or several on one encoder.

``finetune`` reads as the story of a run. A run is a pure function of its settings and its material: the windows, the
changes and the dropout of a batch come from the seed and the batch's number, so a run that was stopped anywhere and
continued is the run that was never stopped, bit for bit on a CPU, and two processes take the steps that one process
with twice the accumulation takes.

Beside the model folder ``OUT`` stands ``OUT.work``::

    run.json          settings, data, software, machine
    left_out.csv      what did not enter the material, and why
    log.jsonl         a line an interval; curves.csv and curves.png are drawn from it
    snapshots/        step-<number>.pt, the newest
    best/             the best weights so far, a model folder
    audio/            the recordings, decoded
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from babyhubert.compute.device import device_name
from babyhubert.compute.group import Group
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.heads import TaskHead, head_of
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.loading import build_encoder, load_checkpoint
from babyhubert.encoder.model_folder import refuse_other_folder, save_model_folder
from babyhubert.encoder.multitask import TaskModel
from babyhubert.errors import ConfigError, TrainingError
from babyhubert.files import csv_text, exclusive, make_folder, remove_leftovers, write_json, write_text
from babyhubert.material.batch import Batch
from babyhubert.material.settings import LeftOut
from babyhubert.runs.record import software_versions
from babyhubert.tasks.interface import Task, Validation
from babyhubert.tasks.registry import KINDS, load, seed_stream
from babyhubert.timebase import SAMPLE_RATE, format_clock
from babyhubert.training.averaging import AveragedWeights
from babyhubert.training.curves import Curves
from babyhubert.training.interruption import StopRequests
from babyhubert.training.origin import starting_point
from babyhubert.training.precision import autocast, resolve_precision
from babyhubert.training.randomness import seed_dropout
from babyhubert.training.schedules import plateaus_of, rate_at
from babyhubert.training.settings import FinetuningSettings, ModelSettings, TrainSettings
from babyhubert.training.snapshots import newest_snapshot, prune_snapshots, save_snapshot
from babyhubert.training.task_passes import RecordedPasses, TaskLosses

SNAPSHOT_FORMAT = 1

Report = Callable[[str], None]


@dataclass(frozen=True)
class FinetuningResult:
    """How a run ended.

    Attributes:
        step: Steps done.
        finished: Whether the run is over; otherwise it was asked to stop, and saved.
        best_step: The step whose weights are kept.
        score: Their score: the mean over tasks.
        validations: Their validations, by task.
    """

    step: int
    finished: bool
    best_step: int
    score: float
    validations: Mapping[str, Validation]


def finetune(
    settings: FinetuningSettings,
    names: Sequence[str],
    output: Path,
    group: Group,
    report: Report = print,
) -> FinetuningResult:
    """Train, or go on training, and write the model folder at the end.

    Args:
        settings: The run.
        names: Tasks to train; the settings have a table for each.
        output: Model folder to write.
        group: The processes of the job; every one calls this.
        report: Told a line of text now and then, in the first process.

    Raises:
        ConfigError: a task has no table, or the folder holds a run with other settings.
        AnnotationError: the material is malformed or does not suffice.
        AudioError: a recording cannot be read.
        TrainingError: the run cannot go on.
        OutputError: another run is writing here, or the disk is full.
    """
    say = group.voice(report)
    work = output.with_name(f"{output.name}.work")
    with ExitStack() as resources:
        group.first_only(lambda: refuse_other_folder(output))
        group.first_only(lambda: _take_folder(work, resources))
        stop = resources.enter_context(StopRequests())
        left_out = LeftOut()
        tasks = _prepare(settings, names, work / "audio", group, left_out)
        trainer = Trainer.start(tasks, settings, work, group)
        group.first_only(lambda: _write_record(work, trainer, left_out))
        curves = None
        if group.place.first:
            curves = Curves(work, trainer.step, tensorboard=settings.machine.tensorboard)
            resources.callback(curves.close)
        _introduce(trainer, left_out, say)
        _train(trainer, curves, stop, say)
        if curves is not None:
            _draw(curves, trainer)
        if trainer.over:
            group.first_only(lambda: trainer.write_model(output))
    return FinetuningResult(
        trainer.step, trainer.over, trainer.best_step, trainer.best_score, trainer.best_validations
    )


def _prepare(
    settings: FinetuningSettings, names: Sequence[str], cache: Path, group: Group, left_out: LeftOut
) -> dict[str, Task]:
    """The tasks with their material; the first process decodes, the others then find it done."""
    missing = [name for name in names if name not in settings.tasks]
    if missing:
        raise ConfigError(f"the configuration has no table [{missing[0]}]; it says what that task is trained on")
    tasks: dict[str, Task] | None = group.first_only(lambda: _read_tasks(settings, names, cache, left_out))
    return tasks or _read_tasks(settings, names, cache, left_out)


def _read_tasks(settings: FinetuningSettings, names: Sequence[str], cache: Path, left_out: LeftOut) -> dict[str, Task]:
    tasks: dict[str, Task] = {}
    for name in names:
        chosen = settings.tasks[name]
        kind: type[Task] = load(KINDS[chosen.kind].training)
        tasks[name] = kind.prepare(
            chosen, cache, settings.train.seed, left_out, name=name, seed_stream=seed_stream(name)
        )
    return tasks


def _train(trainer: Trainer, curves: Curves | None, stop: StopRequests, say: Report) -> None:
    """Run the steps that are left."""
    machine, every = trainer.settings.machine, trainer.validate_every
    interval = _Interval()
    if trainer.over:
        return
    for batches in trainer.batches():
        stopping = trainer.take_step(batches, interval, stop=stop.received is not None)
        step, last = trainer.step, trainer.step == trainer.total
        if step % machine.log_every == 0 or last:
            entry = interval.conclude(trainer)
            interval = _Interval()
            if curves is not None:
                curves.add(entry)
                say(_line(entry, trainer.total))
            if entry["train/skipped_steps_in_a_row"] >= trainer.settings.train.most_skipped_steps:
                raise TrainingError(
                    f"step {step}: the last {int(entry['train/skipped_steps_in_a_row'])} steps had no finite gradient "
                    "(the loss is infinite or not a number); lower train.learning_rate, or look for damaged recordings"
                )
        if step % every == 0 or last:
            validations = trainer.validate()
            if curves is not None:
                curves.add({"step": step, **_figures(validations)})
                say(_validation_line(step, validations, trainer))
        if step % machine.save_every == 0 or trainer.over or stopping:
            trainer.save()
        if stopping and not trainer.over:
            say(f"stopped by {stop.received or 'another process'} at step {step}; run the same command to continue")
        if stopping or trainer.over:
            return


class Trainer:
    """Model, optimiser, and what validations have shown so far."""

    def __init__(self, tasks: Mapping[str, Task], settings: FinetuningSettings, work: Path, group: Group) -> None:
        self.tasks, self.settings, self.work, self.group = dict(tasks), settings, work, group
        train, machine, world = settings.train, settings.machine, group.place.world
        self.batches_a_step = train.accumulate * world
        epoch = -(-max(task.batches_an_epoch for task in tasks.values()) // self.batches_a_step)
        self.total = train.steps or max(1, round((train.epochs or 1) * epoch))
        self.validate_every = train.validate_every or epoch
        self.step = 0
        self.seconds = 0.0
        self.history: list[float] = []
        self.best_step, self.best_validations = 0, dict[str, Validation]()
        self._saved = 0
        self.skipped_in_a_row = torch.zeros((), device=group.device)
        self.model, self.lineage = build_model(settings.model, self.tasks, train.seed)
        self.model.to(group.device)
        self.model.encoder.gradient_checkpointing = machine.gradient_checkpointing
        self.model.encoder.train_on(group.device)
        self.optimiser = build_optimiser(self.model, train)
        self._average = AveragedWeights(self.model, train.average) if train.average else None
        self._clipped = list((self.model if train.clip == "all" else self.model.encoder).parameters())
        self._loss_weights = {name: settings.tasks[name].loss_weight for name in self.tasks}
        self.autocast = autocast(machine.precision, group.device)
        half = resolve_precision(machine.precision, group.device) == "fp16"
        self._scaler = torch.amp.GradScaler(group.device.type, enabled=half)
        self._losses = TaskLosses(self.model, self.tasks)
        self._parallel: nn.Module = self._losses
        replayable = any(task.replayable for task in self.tasks.values())
        one_tensor = machine.replay == "auto" and replayable and not (half or machine.gradient_checkpointing)
        self._recorded = RecordedPasses(self._losses, self.autocast, group.device) if one_tensor else None

    @classmethod
    def start(cls, tasks: Mapping[str, Task], settings: FinetuningSettings, work: Path, group: Group) -> Trainer:
        """A trainer at its first step, or where the newest snapshot left off."""
        if group.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        trainer = cls(tasks, settings, work, group)
        found = newest_snapshot(work / "snapshots")
        steps = group.sums([found[0] if found else 0])[0]
        if steps != (found[0] if found else 0) * group.place.world:
            raise TrainingError(f"{work}: the processes see different snapshots; the folder must be on a shared disk")
        if found is not None:
            trainer._restore(found[1])
        trainer._train_mode()
        if trainer._recorded is None:
            trainer._parallel = group.wrap(trainer._losses)
        return trainer

    @property
    def over(self) -> bool:
        """Whether all steps are done, or validations have not improved for too long."""
        patience = self.settings.train.patience
        waited = len(self.history) - 1 - int(np.argmax(self.history)) if self.history else 0
        return self.step >= self.total or (patience is not None and waited >= patience)

    @property
    def replays(self) -> bool:
        """Whether passes of shapes that come again are replayed."""
        return self._recorded is not None and self.group.device.type == "cuda"

    @property
    def best_score(self) -> float:
        """Mean score over tasks of the best validation."""
        return mean_score(self.best_validations) if self.best_validations else math.nan

    @property
    def rate(self) -> float:
        """Learning rate of the next step."""
        train = self.settings.train
        plateaus = plateaus_of(self.history, train.schedule.patience) if train.schedule.kind == "plateau" else 0
        return rate_at(self.step + 1, train.learning_rate, train.schedule, self.total, plateaus)

    def batches(self) -> Iterator[list[dict[str, Batch]]]:
        """This process's batches of every step that is left, one of each task at a time."""
        place, accumulate = self.group.place, self.settings.train.accumulate
        first = self.step * accumulate
        numbers = (count * place.world + place.rank for count in range(first, self.total * accumulate))
        made = _made_ahead(self._make, numbers, self.settings.machine.workers)
        while True:
            step = [batches for _, batches in zip(range(accumulate), made, strict=False)]
            if not step:
                return
            yield step

    def take_step(self, batches: Sequence[Mapping[str, Batch]], interval: _Interval, *, stop: bool) -> bool:
        """One update of the weights; whether any process was asked to stop."""
        weights = [sum(batch[name].weight for batch in batches) for name in self.tasks]
        heard = sum(batch.seconds for together in batches for batch in together.values())
        stopping, seconds, *weights = self.group.sums([stop, heard, *weights])
        whole = dict(zip(self.tasks, weights, strict=True))
        for number, together in enumerate(batches):
            place = (self.step * len(batches) + number) * self.group.place.world + self.group.place.rank
            seed_dropout(self.settings.train.seed, place)
            synchronise = number == len(batches) - 1
            interval.add(self._accumulate(together, whole, synchronise))
        norm = self._update()
        self.step += 1
        if self._average is not None:
            self._average.update(self.step)
        self.seconds += seconds
        interval.step_done(norm, seconds)
        return stopping > 0

    @torch.inference_mode()
    def validate(self) -> dict[str, Validation]:
        """Every task's score on all of its validation material; the weights are kept if they are the best so far."""
        self.model.eval()
        with nullcontext() if self._average is None else self._average.in_place():
            validations = {name: self._validate_task(name, task) for name, task in self.tasks.items()}
            _require_finite(validations, self.step)
            better = self._note(validations)
            if better:
                self.group.first_only(self._keep_best)
        self._train_mode()
        if better:
            self.save()
        return validations

    def _validate_task(self, name: str, task: Task) -> Validation:
        tally: np.ndarray | None = None
        for batch in task.validation_batches(self.group.place.rank, self.group.place.world):
            with self.autocast():
                moved = batch.to(self.group.device)
                head, features = self._losses.heard(name, moved)
                own = task.tally(head, features, moved)
            tally = own if tally is None else tally + own
        return task.conclude(self._sum_over_processes(tally))

    def _note(self, validations: dict[str, Validation]) -> bool:
        """Add to the history; whether these are the best so far."""
        by_score = self.settings.train.monitor == "score"
        value = mean_score(validations) if by_score else -float(np.mean([v.loss for v in validations.values()]))
        better = not self.history or value > max(self.history)
        self.history.append(value)
        if better:
            self.best_step, self.best_validations = self.step, validations
        return better

    def save(self) -> None:
        """Write a snapshot (first process), prune older ones, and best weights that no snapshot refers to."""
        if self._saved == self.step:
            return
        self._saved = self.step

        def write() -> None:
            save_snapshot(self.work / "snapshots", self.step, self._state())
            prune_snapshots(self.work / "snapshots", self.settings.machine.keep)
            for folder in (self.work / "best").glob("step-*"):
                if folder != self._best_folder:
                    shutil.rmtree(folder, ignore_errors=True)

        self.group.first_only(write)

    def write_model(self, output: Path) -> None:
        """The best weights as the model folder of the run."""
        checkpoint = load_checkpoint(self._best_folder)
        checkpoint.metadata.pop("task", None)
        save_model_folder(output, checkpoint, self._card())

    def _make(self, number: int) -> dict[str, Batch]:
        batches = {name: task.batch(number) for name, task in self.tasks.items()}
        if self.group.device.type != "cuda":
            return batches
        return {name: batch.pinned() for name, batch in batches.items()}

    def _accumulate(self, batches: Mapping[str, Batch], whole: Mapping[str, float], synchronise: bool) -> Tensor:
        """Add to the gradient; the losses of all tasks, divided by the whole weight of the step, (tasks,)."""
        if self._recorded is not None:
            passes = self._recorded
            return torch.stack([self._pass(passes, name, batches[name], whole[name]) for name in self.tasks])
        module = self._parallel
        apart = isinstance(module, nn.parallel.DistributedDataParallel) and not synchronise
        with cast("nn.parallel.DistributedDataParallel", module).no_sync() if apart else nullcontext():
            with self.autocast():
                sums = module({name: batch.to(self.group.device) for name, batch in batches.items()})
            losses = torch.stack([sums[name] / max(whole[name], 1e-9) for name in self.tasks])
            shares = torch.tensor([self._loss_weights[name] for name in self.tasks], device=losses.device)
            # DistributedDataParallel averages over processes, and the weight is that of all processes
            self._scaler.scale((losses * shares).sum() * self.group.place.world).backward()
        return losses.detach()

    def _pass(self, passes: RecordedPasses, name: str, batch: Batch, whole: float) -> Tensor:
        """One task's pass, whose gradient counts in the sum over processes; its loss over the weight of the step."""
        weight = max(whole, 1e-9)
        return passes(name, batch.to(self.group.device), self._loss_weights[name] / weight) / weight

    def _update(self) -> Tensor:
        """Clip, step, and leave the weights alone where the gradient is not finite."""
        if self._recorded is not None:
            self.group.add_up(self._recorded.gradients.values)
        optimiser, train = self.optimiser, self.settings.train
        for parameters in optimiser.param_groups:
            parameters["lr"] = self.rate
        self._scaler.unscale_(optimiser)
        norm = self._clip(train.clip_norm or math.inf)
        if train.clip != "all":
            rest = [p.grad for p in self.model.heads.parameters() if p.grad is not None]
            finite = torch.isfinite(nn.utils.get_total_norm([norm, *rest]))
        else:
            finite = torch.isfinite(norm)
        infinite = (~finite).float().to(self.group.device)
        self.skipped_in_a_row = (self.skipped_in_a_row + 1) * infinite
        if self._scaler.is_enabled():
            self._scaler.step(optimiser)
            self._scaler.update()
        else:
            optimiser.found_inf = infinite  # type: ignore[attr-defined]  # as a gradient scaler tells fused optimisers
            optimiser.grad_scale = None  # type: ignore[attr-defined]
            optimiser.step()
        if self._recorded is None:
            optimiser.zero_grad(set_to_none=True)
        else:
            self._recorded.gradients.values.zero_()
        return norm

    def _clip(self, most: float) -> Tensor:
        """Limit the gradient of what is clipped; the norm it had."""
        if self._recorded is not None and self.settings.train.clip == "all":
            return self._recorded.gradients.clip(most)
        own = [parameter for parameter in self._clipped if parameter.grad is not None]
        return nn.utils.clip_grad_norm_(own, most) if own else torch.zeros(())

    def _train_mode(self) -> None:
        self.model.train()
        if self.settings.model.freeze_encoder:
            self.model.encoder.eval()

    def _sum_over_processes(self, tally: np.ndarray | None) -> np.ndarray:
        """Add up tallies; a process whose share of the material was empty has none."""
        sizes = [0.0] * self.group.place.world
        sizes[self.group.place.rank] = 0.0 if tally is None else float(tally.size)
        size = int(max(self.group.sums(sizes)))
        return np.array(self.group.sums((np.zeros(size) if tally is None else tally).tolist()))

    @property
    def _best_folder(self) -> Path:
        return self.work / "best" / f"step-{self.best_step:08d}"

    def _keep_best(self) -> None:
        save_model_folder(self._best_folder, self.model.to_checkpoint(), self._card())

    def _state(self) -> dict[str, Any]:
        return {
            "format": SNAPSHOT_FORMAT,
            "settings": self.settings.fingerprint(tuple(self.tasks)),
            "material": self._material(),
            "step": self.step,
            "seconds": self.seconds,
            "history": list(self.history),
            "best_step": self.best_step,
            "best": json.dumps({name: vars(found) for name, found in self.best_validations.items()}),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            **({} if self._average is None else {"average": self._average.state_dict()}),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        if state.get("format") != SNAPSHOT_FORMAT:
            raise TrainingError(
                f"{self.work}: its snapshots are of another version of this program; delete the folder"
            )
        if state["settings"] != self.settings.fingerprint(tuple(self.tasks)):
            raise ConfigError(
                f"{self.work}: holds a run with other settings (run.json says which); choose another output, or "
                "delete this folder to start again"
            )
        if state["material"] != self._material():
            raise ConfigError(
                f"{self.work}: holds a run on other material, or with another number of processes; choose another "
                "output, or delete this folder to start again"
            )
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self.step, self.seconds, self.history = int(state["step"]), float(state["seconds"]), list(state["history"])
        self.best_step = int(state["best_step"])
        self.best_validations = {name: Validation(**found) for name, found in json.loads(state["best"]).items()}

    def _material(self) -> str:
        return " ".join([f"{self.batches_a_step}", *(f"{name}:{task.identity}" for name, task in self.tasks.items())])

    def _card(self) -> dict[str, Any]:
        own = {name: task.card() for name, task in self.tasks.items()}
        labels = {name: list(task.labels) for name, task in self.tasks.items()}
        details = [dict(found.card) for found in self.best_validations.values()]
        thresholds = next((found["thresholds"] for found in details if "thresholds" in found), None)
        used = self.settings.model_dump(mode="json", include={"model", "train"})
        used |= {name: self.settings.tasks[name].model_dump(mode="json") for name in self.tasks}
        return {
            "task": next(iter(self.tasks)) if len(self.tasks) == 1 else "several",
            **self.settings.card.model_dump(),
            "lineage": list(self.lineage),
            "labels": next(iter(labels.values())) if len(labels) == 1 else labels,
            **({} if thresholds is None else {"thresholds": thresholds}),
            **own,
            "validation": {
                "step": self.best_step,
                **{
                    name: {"loss": found.loss, **_plain(found.figures), **found.card}
                    for name, found in self.best_validations.items()
                },
            },
            "training": {
                "config": used,
                "seed": self.settings.train.seed,
                "steps": self.step,
                "hours": {name: round(task.seconds / 3600, 3) for name, task in self.tasks.items()},
                "hours_heard": round(self.seconds / 3600, 3),
                "material": {name: task.summary for name, task in self.tasks.items()},
                "software": software_versions(),
            },
        }


@dataclass
class _Interval:
    """Sums since the last line of the log, kept on the device so that no step waits for them."""

    steps: int = 0
    seconds: float = 0.0
    losses: Tensor | None = None
    norm: Tensor | None = None
    began: float = field(default_factory=time.perf_counter)

    def add(self, losses: Tensor) -> None:
        self.losses = losses if self.losses is None else self.losses + losses

    def step_done(self, norm: Tensor, seconds: float) -> None:
        self.steps += 1
        self.seconds += seconds
        self.norm = norm if self.norm is None else self.norm + norm

    def conclude(self, trainer: Trainer) -> dict[str, Any]:
        """The entry of the log; every process calls it, the first one's is written."""
        assert self.losses is not None
        assert self.norm is not None
        losses = dict(zip(trainer.tasks, trainer.group.sums(self.losses.tolist()), strict=True))
        elapsed = time.perf_counter() - self.began
        return {
            "step": trainer.step,
            **{f"train/{name}/loss": value / self.steps for name, value in losses.items()},
            "train/gradient_norm": self.norm.item() / self.steps,
            "train/learning_rate": trainer.optimiser.param_groups[0]["lr"],
            "train/skipped_steps_in_a_row": trainer.skipped_in_a_row.item(),
            "train/hours": trainer.seconds / 3600,
            "train/times_real_time": self.seconds / elapsed,
            "train/seconds_left": elapsed / self.steps * (trainer.total - trainer.step),
        }


def _require_finite(validations: Mapping[str, Validation], step: int) -> None:
    """Refuse to go on with weights that give no finite loss on the validation material.

    Raises:
        TrainingError: the loss of a task is NaN or infinite.
    """
    for name, found in validations.items():
        if not math.isfinite(found.loss):
            raise TrainingError(
                f"step {step}: the validation loss of {name.replace('_', ' ')} is {found.loss}, so the training has "
                "diverged and writes no model; lower train.learning_rate, or look for damaged recordings"
            )


def mean_score(validations: Mapping[str, Validation]) -> float:
    """The mean over tasks; of several, none counts below 0, as a phoneme error rate above 100 % would."""
    scores = [validation.score for validation in validations.values()]
    return float(np.mean(scores if len(scores) == 1 else np.maximum(scores, 0.0)))


def build_model(settings: ModelSettings, tasks: Mapping[str, Task], seed: int) -> tuple[TaskModel, list[str]]:
    """The model before its first step, and what its encoder comes from, the latest last.

    Raises:
        ConfigError: settings of the encoder that would change the shape of given weights, or heads to keep that are
            not there.
        CheckpointError: the start cannot be read.
    """
    generator = torch.Generator().manual_seed(seed)
    kept: dict[str, TaskHead] = {}
    if settings.encoder is None:
        shape = HubertConfig.of_size(settings.size).with_changes(**settings.encoder_settings)
        encoder, lineage = initialise(HubertEncoder(shape), generator), [f"{settings.size} encoder, random weights"]
    else:
        checkpoint, lineage = starting_point(settings.encoder, settings.encoder_settings, "model.encoder_settings")
        encoder = build_encoder(checkpoint)
        if settings.heads != "new":
            kept = {name: head_of(head) for name, head in checkpoint.heads.items() if name in tasks}
        if settings.heads == "add":
            _check_addition(settings.encoder, checkpoint.heads, tasks)
    mixed = encoder.config.layers if settings.layer_mix else None
    heads: dict[str, TaskHead] = {}
    for name, task in tasks.items():
        heads[name] = task.new_head(encoder.config.hidden_size, mixed)
        heads[name].reset(generator)
        if settings.heads == "keep" or name in kept:
            _take_over(heads[name], kept.get(name), f"{settings.encoder}: its {name.replace('_', ' ')} head")
    _freeze(encoder, settings)
    return TaskModel(encoder, heads), lineage


def _check_addition(encoder: str, heads: Collection[str], tasks: Collection[str]) -> None:
    """Whether the heads of a model go on beside new ones: it has some, and none of them would be lost."""
    if not heads:
        raise ConfigError(f'{encoder} has no head; model.heads = "add" goes on with those of a model: use "new"')
    lost = sorted(set(heads) - set(tasks))
    if lost:
        raise ConfigError(
            f"{encoder} has a head for {lost[0].replace('_', ' ')}, for which the configuration has no table: "
            'model.heads = "add" trains all heads together, and "new" leaves those of the model behind'
        )


def _take_over(head: TaskHead, kept: TaskHead | None, what: str) -> None:
    if kept is None:
        raise ConfigError(f'{what} is not there; model.heads = "keep" needs a model of the same task')
    if kept.labels != head.labels:
        raise ConfigError(f"{what} knows {', '.join(kept.labels)}, the configuration {', '.join(head.labels)}")
    try:
        head.load_state_dict(kept.state_dict())
    except RuntimeError as error:
        raise ConfigError(f"{what} is of another shape (model.layer_mix?): {' '.join(str(error).split())}") from None


def _freeze(encoder: HubertEncoder, settings: ModelSettings) -> None:
    if settings.convolutions_frozen:
        encoder.freeze_features()
    if settings.freeze_encoder:
        encoder.requires_grad_(False)
    if settings.layer_mix and encoder.config.pre_norm:
        encoder.encoder.layer_norm.requires_grad_(False)  # the mix takes blocks before the closing norm


def build_optimiser(model: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW on all that is trained, fused."""
    return torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def _made_ahead(
    make: Callable[[int], dict[str, Batch]], numbers: Iterator[int], workers: int
) -> Iterator[dict[str, Batch]]:
    """Batches in order, made by threads while the step before them runs."""
    if not workers:
        yield from map(make, numbers)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque(pool.submit(make, number) for _, number in zip(range(2 * workers), numbers, strict=False))
        while waiting:
            batch = waiting.popleft().result()
            following = next(numbers, None)
            if following is not None:
                waiting.append(pool.submit(make, following))
            yield batch


def _take_folder(work: Path, resources: ExitStack) -> None:
    busy = f"{work}: another run is writing here; wait for it or choose another output"
    resources.enter_context(exclusive(make_folder(work) / ".lock", busy))
    remove_leftovers(work, "*")


def _write_record(work: Path, trainer: Trainer, left_out: LeftOut) -> None:
    write_json(
        work / "run.json",
        {
            "settings": json.loads(trainer.settings.model_dump_json()),
            "tasks": list(trainer.tasks),
            "fingerprint": trainer.settings.fingerprint(tuple(trainer.tasks)),
            "material": {name: task.summary for name, task in trainer.tasks.items()},
            "lineage": trainer.lineage,
            "steps": trainer.total,
            "processes": trainer.group.place.world,
            "device": device_name(trainer.group.device),
            "software": software_versions(),
        },
    )
    rows = ((reason, item) for reason, items in left_out.items.items() for item in items)
    write_text(work / "left_out.csv", csv_text([("reason", "item"), *rows]))


def _introduce(trainer: Trainer, left_out: LeftOut, say: Report) -> None:
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    trained = sum(parameter.numel() for parameter in trainer.model.parameters() if parameter.requires_grad)
    for name, task in trainer.tasks.items():
        say(f"{name.replace('_', ' ')}: {task.summary}")
    if left_out.items:
        say(str(left_out))
    say(
        f"{parameters:,} parameters, {trained:,} of them trained; {trainer.total} steps, validation every "
        f"{trainer.validate_every}, {trainer.group.place.world} x {trainer.group.device}"
    )
    if trainer.replays:
        say("passes without padding are replayed as CUDA graphs from the second of a shape on")
    if trainer.step:
        say(f"continued after step {trainer.step} of {trainer.total}")


def _line(entry: Mapping[str, Any], total: int) -> str:
    losses = [f"{name.split('/')[1].replace('_', ' ')} {value:.3f}" for name, value in entry.items() if "loss" in name]
    left = format_clock(int(entry["train/seconds_left"]) * SAMPLE_RATE)
    return (
        f"step {entry['step']}/{total}  loss {', '.join(losses)}  gradient {entry['train/gradient_norm']:.2f}  "
        f"rate {entry['train/learning_rate']:.2e}  {entry['train/times_real_time']:.0f} x real time  "
        f"{left} left"
    )


def _validation_line(step: int, validations: Mapping[str, Validation], trainer: Trainer) -> str:
    parts = [
        f"{name.replace('_', ' ')}: loss {found.loss:.3f}, "
        + ", ".join(f"{figure} {100 * value:.1f}" for figure, value in found.figures.items() if _is_shown(figure))
        for name, found in validations.items()
    ]
    return f"step {step}  validation  {'; '.join(parts)}{'  (best)' if trainer.best_step == step else ''}"


def _is_shown(figure: str) -> bool:
    return not figure.startswith(("precision_", "recall_"))


def _figures(validations: Mapping[str, Validation]) -> dict[str, float]:
    return {
        f"validation/{name}/{figure}": value
        for name, found in validations.items()
        for figure, value in {"loss": found.loss, **_plain(found.figures)}.items()
        if value is not None
    }


def _plain(figures: Mapping[str, float]) -> dict[str, float | None]:
    """Figures as JSON has them: what is not a number is null."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def _draw(curves: Curves, trainer: Trainer) -> None:
    panels: list[tuple[str, tuple[str, ...]]] = []
    for name in trainer.tasks:
        panels.append((f"{name}: loss", (f"train/{name}/loss", f"validation/{name}/loss")))
        shown = [
            key.split("/")[2] for entry in curves.entries for key in entry if key.startswith(f"validation/{name}/")
        ]
        scores = dict.fromkeys(figure for figure in shown if figure != "loss" and _is_shown(figure))
        panels.append((f"{name}: validation", tuple(f"validation/{name}/{figure}" for figure in scores)))
    panels += [("gradient norm", ("train/gradient_norm",)), ("learning rate", ("train/learning_rate",))]
    curves.write_table()
    curves.draw(panels)
