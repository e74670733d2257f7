"""Objective of fine-tuning: one encoder, the losses of its tasks, and the weights with the best score.

The best weights so far are kept in ``best/`` of the run's folder, a model folder.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from babyhubert.compute.group import ProcessGroup
from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.loading import load_checkpoint
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.errors import TrainingError
from babyhubert.material.batch import Batch
from babyhubert.runs.record import software_versions
from babyhubert.tasks.interface import Task, Validation
from babyhubert.training.curves import Curves
from babyhubert.training.objective import Objective, Progress, Validated
from babyhubert.training.origin import build_model
from babyhubert.training.precision import autocast, resolve_precision
from babyhubert.training.schedules import plateaus_of, rate_at
from babyhubert.training.settings import FinetuningSettings
from babyhubert.training.task_passes import RecordedPasses, TaskLosses

Batches = Mapping[str, Batch]
"""A batch of every task."""


class TaskObjective(Objective[Batches]):
    """Tasks on one encoder.

    Args:
        tasks: Tasks with their material, by name.
        settings: Settings of the run.
        work: Its folder.
        group: The processes of the job.

    Attributes:
        best_step: The step whose weights are stored.
        best_validations: Their validations, by task.
        lineage: Origins of the encoder, the latest last.
    """

    remedy = "lower train.learning_rate, or look for damaged recordings"
    speed = "x real time"

    def __init__(
        self, tasks: Mapping[str, Task], settings: FinetuningSettings, work: Path, group: ProcessGroup
    ) -> None:
        self.tasks, self.settings, self.work, self.group = dict(tasks), settings, work, group
        train, machine = settings.train, settings.machine
        half = resolve_precision(machine.precision, group.device) == "fp16"
        self.train, self.machine, self.average, self.scaled = train, machine, train.average, half
        epoch = -(-max(task.batches_an_epoch for task in self.tasks.values()) // self.batches_a_step)
        self.steps = train.steps or max(1, round((train.epochs or 1) * epoch))
        self.validate_every, self.most_skipped_steps = train.validate_every or epoch, train.most_skipped_steps
        self.history: list[float] = []
        self.best_step, self.best_validations = 0, dict[str, Validation]()
        origin = build_model(settings.model, self.tasks, train.seed)
        self.network, self.lineage, self._origin = origin.model, origin.lineage, origin
        self.model = self.network.to(group.device)
        self.network.encoder.gradient_checkpointing = machine.gradient_checkpointing
        self.network.encoder.prepare_training()
        self.clipped = list((self.network if train.clip == "all" else self.network.encoder).parameters())
        self._shares = {name: settings.tasks[name].loss_weight for name in self.tasks}
        self._autocast = autocast(machine.precision, group.device)
        self.module = self._losses = TaskLosses(self.network, self.tasks)
        self._passes: RecordedPasses | None = None
        replayable = any(task.replayable for task in self.tasks.values())
        if machine.replay == "auto" and replayable and not (half or machine.gradient_checkpointing):
            self._passes = RecordedPasses(self._losses, self._autocast, group.device)
            self.gradients = self._passes.gradients

    @property
    def batches_a_step(self) -> int:
        """Batches of each task per step, over all processes."""
        return self.settings.train.accumulate * self.group.place.world

    @property
    def over(self) -> bool:
        """True if validations have not improved for too long."""
        patience = self.settings.train.patience
        waited = len(self.history) - 1 - int(np.argmax(self.history)) if self.history else 0
        return patience is not None and waited >= patience

    @property
    def replays(self) -> bool:
        """True if passes of shapes that come again are replayed."""
        return self._passes is not None and self.group.device.type == "cuda"

    @property
    def best_score(self) -> float:
        """Mean score over tasks of the best validation."""
        return mean_score(self.best_validations) if self.best_validations else math.nan

    def batches(self, step: int) -> Iterator[list[Batches]]:  # noqa: D102
        place, accumulate = self.group.place, self.train.accumulate
        counts = range(step * accumulate, self.steps * accumulate)
        numbers = (count * place.world + place.rank for count in counts)
        made = made_ahead(self._make, numbers, self.settings.machine.workers)
        while True:
            of_a_step = [batches for _, batches in zip(range(accumulate), made, strict=False)]
            if not of_a_step:
                return
            yield of_a_step

    def _make(self, number: int) -> Batches:
        batches = {name: task.batch(number) for name, task in self.tasks.items()}
        if self.group.device.type != "cuda":
            return batches
        return {name: batch.pinned() for name, batch in batches.items()}

    def place(self, step: int, number: int) -> tuple[int, ...]:  # noqa: D102
        place = self.group.place
        return self.settings.train.seed, (step * self.train.accumulate + number) * place.world + place.rank

    def size(self, batches: Sequence[Batches]) -> tuple[float, list[float]]:  # noqa: D102
        seconds = sum(batch.seconds for together in batches for batch in together.values())
        return seconds, [sum(together[name].weight for together in batches) for name in self.tasks]

    def loss(  # noqa: D102
        self, module: nn.Module, batch: Batches, weights: Sequence[float], logged: bool
    ) -> tuple[Tensor, Tensor]:
        with self._autocast():
            sums = module({name: own.to(self.group.device) for name, own in batch.items()})
        losses = torch.stack(
            [sums[name] / max(weight, 1e-9) for name, weight in zip(self.tasks, weights, strict=True)]
        )
        shares = torch.tensor([self._shares[name] for name in self.tasks], device=losses.device)
        return (losses * shares).sum(), losses.detach()

    def add_gradients(self, batch: Batches, weights: Sequence[float], logged: bool) -> Tensor:  # noqa: D102
        assert self._passes is not None
        losses = []
        for name, weight in zip(self.tasks, weights, strict=True):
            weight = max(weight, 1e-9)
            moved = batch[name].to(self.group.device)
            losses.append(self._passes(name, moved, self._shares[name] / weight) / weight)
        return torch.stack(losses)

    def rate(self, step: int) -> float:  # noqa: D102
        train = self.settings.train
        plateaus = plateaus_of(self.history, train.schedule.patience) if train.schedule.kind == "plateau" else 0
        return rate_at(step, train.learning_rate, train.schedule, self.steps, plateaus)

    def entry(self, sums: Sequence[float], weights: Sequence[float], steps: int) -> dict[str, float]:  # noqa: D102
        return {f"train/{name}/loss": total / steps for name, total in zip(self.tasks, sums, strict=True)}

    def line(self, entry: Mapping[str, Any]) -> str:  # noqa: D102
        losses = [f"{name.replace('_', ' ')} {entry[f'train/{name}/loss']:.3f}" for name in self.tasks]
        return f"loss {', '.join(losses)}"

    @torch.inference_mode()
    def validate(self, at: Progress) -> Validated:
        """Score of every task on all of its validation material; the weights are saved if they are the best so far."""
        validations = {name: self._validate_task(name, task) for name, task in self.tasks.items()}
        self._require_finite(validations, at.step)
        best = self._note(validations, at.step)
        if best:
            self.group.first_only(
                lambda: save_model_folder(self._best_folder, self.network.to_checkpoint(), self.card(at))
            )
        return Validated(_figures(validations), _in_words(validations) + "  (best)" * best, best)

    def _validate_task(self, name: str, task: Task) -> Validation:
        tally: np.ndarray | None = None
        for batch in task.validation_batches(self.group.place.rank, self.group.place.world):
            with self._autocast():
                moved = batch.to(self.group.device)
                head, features = self._losses.heard(name, moved)
                own = task.tally(head, features, moved)
            tally = own if tally is None else tally + own
        return task.conclude(self._sum_over_processes(tally))

    def _sum_over_processes(self, tally: np.ndarray | None) -> np.ndarray:
        """Add up tallies; a process whose share of the material was empty has none."""
        sizes = [0.0] * self.group.place.world
        sizes[self.group.place.rank] = 0.0 if tally is None else float(tally.size)
        size = int(max(self.group.sums(sizes)))
        return np.array(self.group.sums((np.zeros(size) if tally is None else tally).tolist()))

    def _require_finite(self, validations: Mapping[str, Validation], step: int) -> None:
        """Refuse to continue with weights whose loss on the validation material is not finite.

        Raises:
            TrainingError: the loss of a task is NaN or infinite.
        """
        for name, found in validations.items():
            if not math.isfinite(found.loss):
                raise TrainingError(
                    f"step {step}: the validation loss of {name.replace('_', ' ')} is {found.loss}, so the training "
                    f"has diverged and writes no model; {self.remedy}"
                )

    def _note(self, validations: dict[str, Validation], step: int) -> bool:
        """Add to the history; True if these are the best so far."""
        by_score = self.settings.train.monitor == "score"
        value = mean_score(validations) if by_score else -float(np.mean([v.loss for v in validations.values()]))
        better = not self.history or value > max(self.history)
        self.history.append(value)
        if better:
            self.best_step, self.best_validations = step, validations
        return better

    @property
    def _best_folder(self) -> Path:
        return self.work / "best" / f"step-{self.best_step:08d}"

    def saved(self) -> None:
        """Remove best weights that no snapshot refers to."""
        for folder in (self.work / "best").glob("step-*"):
            if folder != self._best_folder:
                shutil.rmtree(folder, ignore_errors=True)

    def _identity(self) -> dict[str, str]:
        """Settings and material, which a continued run must share."""
        material = [f"{self.batches_a_step}", *(f"{name}:{task.identity}" for name, task in self.tasks.items())]
        return {"settings": self.settings.fingerprint(tuple(self.tasks)), "material": " ".join(material)}

    def state(self) -> dict[str, Any]:  # noqa: D102
        return {
            **self._identity(),
            "history": list(self.history),
            "best_step": self.best_step,
            "best": json.dumps({name: vars(found) for name, found in self.best_validations.items()}),
        }

    def difference(self, state: Mapping[str, Any]) -> str | None:  # noqa: D102
        own = self._identity()
        if state["settings"] != own["settings"]:
            return "with other settings (run.json says which)"
        return (
            "on other material, or with another number of processes" if state["material"] != own["material"] else None
        )

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: D102
        self.history, self.best_step = list(state["history"]), int(state["best_step"])
        self.best_validations = {name: Validation(**found) for name, found in json.loads(state["best"]).items()}

    def result(self) -> Checkpoint:
        """The best weights."""
        checkpoint = load_checkpoint(self._best_folder)
        checkpoint.metadata.pop("task", None)
        return checkpoint

    def card(self, at: Progress) -> dict[str, Any]:  # noqa: D102
        own = {name: task.card() for name, task in self.tasks.items()}
        labels = {name: list(self.network.head(name).labels) for name in self.network.tasks}
        details = [dict(found.card) for found in self.best_validations.values()]
        thresholds = next((found["thresholds"] for found in details if "thresholds" in found), None)
        used = self.settings.model_dump(mode="json", include={"model", "train"})
        used |= {name: self.settings.tasks[name].model_dump(mode="json") for name in self.tasks}
        return {
            "task": next(iter(labels)) if len(labels) == 1 else "several",
            **self.settings.card.model_dump(),
            "licence": self.settings.card.licence or self._origin.licence,
            "lineage": list(self.lineage),
            "labels": next(iter(labels.values())) if len(labels) == 1 else labels,
            **({} if thresholds is None else {"thresholds": thresholds}),
            **own,
            **self._origin.card,
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
                "steps": at.step,
                "hours": {name: round(task.seconds / 3600, 3) for name, task in self.tasks.items()},
                "hours_heard": round(at.seconds / 3600, 3),
                "material": {name: task.summary for name, task in self.tasks.items()},
                "software": software_versions(),
            },
        }

    def draw(self, curves: Curves) -> None:  # noqa: D102
        panels: list[tuple[str, tuple[str, ...]]] = []
        for name in self.tasks:
            panels.append((f"{name}: loss", (f"train/{name}/loss", f"validation/{name}/loss")))
            shown = [
                key.split("/")[2] for entry in curves.entries for key in entry if key.startswith(f"validation/{name}/")
            ]
            scores = dict.fromkeys(figure for figure in shown if figure != "loss" and _is_shown(figure))
            panels.append((f"{name}: validation", tuple(f"validation/{name}/{figure}" for figure in scores)))
        panels += [("gradient norm", ("train/gradient_norm",)), ("learning rate", ("train/learning_rate",))]
        curves.write_table()
        curves.draw(panels)


def mean_score(validations: Mapping[str, Validation]) -> float:
    """The mean over tasks; of several, none counts below 0, as a phoneme error rate above 100 % would."""
    scores = [validation.score for validation in validations.values()]
    return float(np.mean(scores if len(scores) == 1 else np.maximum(scores, 0.0)))


def made_ahead(make: Callable[[int], Batches], numbers: Iterator[int], workers: int) -> Iterator[Batches]:
    """Batches in order, made by threads while the previous step runs."""
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


def _in_words(validations: Mapping[str, Validation]) -> str:
    parts = [
        f"{name.replace('_', ' ')}: loss {found.loss:.3f}, "
        + ", ".join(f"{figure} {100 * value:.1f}" for figure, value in found.figures.items() if _is_shown(figure))
        for name, found in validations.items()
    ]
    return f"validation  {'; '.join(parts)}"


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
    """Figures as JSON values: NaN is null."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}
