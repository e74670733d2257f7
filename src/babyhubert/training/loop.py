"""The training loop of fine-tuning and pre-training: steps, log, validation, snapshots, and the end of a run.

An objective (:mod:`babyhubert.training.objective`) has model, material, loss and validation. The loop has the
optimiser, the processes and the disk. A run is a pure function of its settings and its material: random draws for a
batch depend on the seed and the position of the batch, so a run that was stopped anywhere and continued equals the
uninterrupted run, bit for bit on a CPU, and two processes take the same steps as one process with twice the
accumulation.

In the folder of a run::

    log.jsonl         one line per interval; curves.csv and curves.png are made from it
    snapshots/        step-<number>.pt, the newest
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

import torch
from torch import Tensor, nn

from babyhubert.compute.group import ProcessGroup
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.errors import ConfigError, TrainingError
from babyhubert.files import exclusive, make_folder, remove_leftovers
from babyhubert.timebase import SAMPLE_RATE, format_clock
from babyhubert.training.averaging import AveragedWeights
from babyhubert.training.curves import Curves
from babyhubert.training.interruption import StopRequests
from babyhubert.training.objective import B, Objective, Progress, Validated
from babyhubert.training.optimiser import build_optimiser
from babyhubert.training.randomness import seed_dropout
from babyhubert.training.snapshots import newest_snapshot, prune_snapshots, save_snapshot

SNAPSHOT_FORMAT = 1

Report = Callable[[str], None]


@dataclass
class Interval:
    """Sums since the last line of the log, kept on the device so that no step waits for them."""

    steps: int = 0
    seconds: float = 0.0
    weights: list[float] = field(default_factory=list)
    sums: Tensor | None = None
    norm: Tensor | None = None
    began: float = field(default_factory=time.perf_counter)

    def add(self, sums: Tensor) -> None:
        """Add a batch."""
        self.sums = sums if self.sums is None else self.sums + sums

    def step_done(self, norm: Tensor, seconds: float, weights: Sequence[float]) -> None:
        """Add a completed step."""
        self.steps += 1
        self.seconds += seconds
        self.norm = norm if self.norm is None else self.norm + norm
        self.weights = [a + b for a, b in zip(self.weights or [0.0] * len(weights), weights, strict=True)]


class Loop(Generic[B]):
    """A run: an objective's model, its optimiser, and its position.

    Args:
        objective: Objective to train.
        folder: Folder of the run.
        group: The processes of the job; every one calls the same methods.
    """

    def __init__(self, objective: Objective[B], folder: Path, group: ProcessGroup) -> None:
        self.objective, self.folder, self.group = objective, folder, group
        self.model = objective.model
        self.step, self.seconds = 0, 0.0
        self.last: Mapping[str, Any] = {}
        self.skipped_in_a_row = torch.zeros((), device=group.device)
        self.optimiser = build_optimiser(self.model, objective.train)
        self._average = AveragedWeights(self.model, objective.average) if objective.average else None
        self._scaler = torch.amp.GradScaler(group.device.type, enabled=objective.scaled)
        self._module = objective.module
        clipped = {id(parameter) for parameter in objective.clipped}
        self._unclipped = [parameter for parameter in self.model.parameters() if id(parameter) not in clipped]
        self._saved = 0

    @classmethod
    def start(cls, objective: Objective[B], folder: Path, group: ProcessGroup) -> Loop[B]:
        """Build a run at its first step, or at the newest snapshot."""
        if group.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        loop = cls(objective, folder, group)
        found = newest_snapshot(folder / "snapshots")
        steps = group.sums([found[0] if found else 0])[0]
        if steps != (found[0] if found else 0) * group.place.world:
            raise TrainingError(
                f"{folder}: the processes see different snapshots; the folder must be on a shared disk"
            )
        if found is not None:
            loop._restore(found[1])
        loop.model.train()
        if objective.gradients is None:
            loop._module = group.wrap(objective.module)
        return loop  # all processes have the same weights: drawn from the same seed, or from the same snapshot

    @property
    def over(self) -> bool:
        """True if nothing is left to do."""
        return self.step >= self.objective.steps or self.objective.over

    @property
    def progress(self) -> Progress:
        """State of the run."""
        return Progress(self.step, self.seconds, self.last)

    def run(self, stop: StopRequests, say: Report) -> None:
        """Take the remaining steps, or those until a stop is requested, and draw the curves.

        Raises:
            TrainingError: the run cannot continue.
        """
        with ExitStack() as resources:
            curves = None
            if self.group.place.first:
                curves = Curves(self.folder, self.step, tensorboard=self.objective.machine.tensorboard)
                resources.callback(curves.close)
                self.last = next((entry for entry in reversed(curves.entries) if "train/hours" in entry), {})
            if not self.over:
                self._take_steps(curves, stop, say)
            if curves is not None:
                self.objective.draw(curves)

    def _take_steps(self, curves: Curves | None, stop: StopRequests, say: Report) -> None:
        machine, interval = self.objective.machine, Interval()
        for batches in self.objective.batches(self.step):
            stopping = self.take_step(batches, interval, stop=stop.received is not None)
            if self._is_due(self.step, machine.log_every):
                self._log(interval, curves, say)
                interval = Interval()
            if self._is_due(self.step, self.objective.validate_every):
                self._validate(curves, say)
            if self.step % machine.save_every == 0 or self.over or stopping:
                self.save()
            if stopping and not self.over:
                by = stop.received or "another process"
                say(f"stopped by {by} at step {self.step}; run the same command to continue")
            if stopping or self.over:
                return

    def _is_due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == self.objective.steps

    def take_step(self, batches: Sequence[B], interval: Interval, *, stop: bool = False) -> bool:
        """Update the weights once; True if any process was requested to stop."""
        seconds, weights = self.objective.size(batches)
        stopping, seconds, *weights = self.group.sums([stop, seconds, *weights])
        logged = self._is_due(self.step + 1, self.objective.machine.log_every)
        for number, batch in enumerate(batches):
            seed_dropout(*self.objective.place(self.step, number))
            interval.add(self._accumulate(batch, weights, logged, synchronise=number == len(batches) - 1))
        norm = self._update()
        self.step += 1
        if self._average is not None:
            self._average.update(self.step)
        self.seconds += seconds
        interval.step_done(norm, seconds, weights)
        return stopping > 0

    def _accumulate(self, batch: B, weights: Sequence[float], logged: bool, *, synchronise: bool) -> Tensor:
        """Add to the gradient; the result is its sum over processes."""
        if self.objective.gradients is not None:
            return self.objective.add_gradients(batch, weights, logged)
        module = self._module
        apart = isinstance(module, nn.parallel.DistributedDataParallel) and not synchronise
        with module.no_sync() if apart else nullcontext():  # type: ignore[operator]
            loss, sums = self.objective.loss(module, batch, weights, logged)
            self._scaler.scale(loss * self.group.place.world).backward()  # DistributedDataParallel averages
        return sums

    def _update(self) -> Tensor:
        """Clip and step, leaving the weights unchanged if the gradient is not finite. Nothing waits for the device.

        After it is averaged, or added up, every process holds the same gradient, so all of them skip or none does.
        """
        optimiser, gradients = self.optimiser, self.objective.gradients
        if gradients is not None:
            self.group.add_up(gradients.values)
        rate = self.objective.rate(self.step + 1)
        for parameters in optimiser.param_groups:
            parameters["lr"] = rate
        self._scaler.unscale_(optimiser)
        norm = self._clip(self.objective.train.clip_norm or torch.inf)
        rest = [parameter.grad for parameter in self._unclipped if parameter.grad is not None]
        total = nn.utils.get_total_norm([norm, *rest]) if rest else norm
        infinite = (~torch.isfinite(total)).float().to(self.group.device)
        self.skipped_in_a_row = (self.skipped_in_a_row + 1) * infinite
        if self._scaler.is_enabled():
            self._scaler.step(optimiser)
            self._scaler.update()
        else:
            optimiser.found_inf = infinite  # type: ignore[attr-defined]  # as a gradient scaler tells fused optimisers
            optimiser.grad_scale = None  # type: ignore[attr-defined]
            optimiser.step()
        if gradients is None:
            optimiser.zero_grad(set_to_none=True)
        else:
            gradients.values.zero_()
        return norm

    def _clip(self, most: float) -> Tensor:
        """Limit the gradient of the clipped weights; return its norm."""
        if self.objective.gradients is not None and not self._unclipped:
            return self.objective.gradients.clip(most)
        own = [parameter for parameter in self.objective.clipped if parameter.grad is not None]
        return nn.utils.clip_grad_norm_(own, most) if own else torch.zeros(())

    def _log(self, interval: Interval, curves: Curves | None, say: Report) -> None:
        """Write an entry; every process has it, the first one writes."""
        self.last = entry = self._entry(interval)
        if curves is not None:
            curves.add(entry)
            say(self._line(entry))
        skipped = int(entry["train/skipped_steps_in_a_row"])
        if skipped >= self.objective.most_skipped_steps:
            raise TrainingError(
                f"step {self.step}: the last {skipped} steps had no finite gradient (the loss is infinite or not a "
                f"number); {self.objective.remedy}"
            )
        self.objective.check(entry)

    def _entry(self, interval: Interval) -> dict[str, Any]:
        assert interval.sums is not None
        assert interval.norm is not None
        sums = self.group.sums(interval.sums.tolist())
        elapsed = time.perf_counter() - interval.began
        return {
            "step": self.step,
            **self.objective.entry(sums, interval.weights, interval.steps),
            "train/gradient_norm": interval.norm.item() / interval.steps,
            "train/learning_rate": self.optimiser.param_groups[0]["lr"],
            "train/skipped_steps_in_a_row": self.skipped_in_a_row.item(),
            "train/hours": self.seconds / 3600,
            "train/times_real_time": interval.seconds / elapsed,
            "train/seconds_left": elapsed / interval.steps * (self.objective.steps - self.step),
        }

    def _line(self, entry: Mapping[str, Any]) -> str:
        left = format_clock(int(entry["train/seconds_left"]) * SAMPLE_RATE)
        return (
            f"step {entry['step']}/{self.objective.steps}  {self.objective.line(entry)}  "
            f"gradient {entry['train/gradient_norm']:.2f}  rate {entry['train/learning_rate']:.2e}  "
            f"{entry['train/times_real_time']:.0f} {self.objective.speed}  {left} left"
        )

    def _validate(self, curves: Curves | None, say: Report) -> None:
        found = self.validate()
        if curves is None or found is None:
            return
        curves.add({"step": self.step, **found.figures})
        if self.objective.draw_often and self.step < self.objective.steps:  # the end draws
            self.objective.draw(curves)
        say(f"step {self.step}  {found.line}")

    def validate(self) -> Validated | None:
        """Validate the weights, or their average if there is one; the best so far are saved at once."""
        self.model.eval()
        with nullcontext() if self._average is None else self._average.in_place():
            found = self.objective.validate(self.progress)
        self.model.train()
        if found is not None and found.best:
            self.save()
        return found

    def save(self) -> None:
        """Write a snapshot (first process), and prune older ones; once a step."""
        if self._saved == self.step:
            return
        self._saved = self.step

        def write() -> None:
            save_snapshot(self.folder / "snapshots", self.step, self._state())
            prune_snapshots(self.folder / "snapshots", self.objective.machine.keep, self.objective.keep_every)
            self.objective.saved()

        self.group.first_only(write)

    def write_model(self, folder: Path) -> None:
        """Write the resulting weights as a model folder (first process)."""
        self.group.first_only(
            lambda: save_model_folder(folder, self.objective.result(), self.objective.card(self.progress))
        )

    def _state(self) -> dict[str, Any]:
        return {
            "format": SNAPSHOT_FORMAT,
            "step": self.step,
            "seconds": self.seconds,
            **self.objective.state(),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            **({"scaler": self._scaler.state_dict()} if self._scaler.is_enabled() else {}),
            **({} if self._average is None else {"average": self._average.state_dict()}),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        again = f"delete {self.folder / 'snapshots'} to start again"
        if state.get("format") != SNAPSHOT_FORMAT:
            raise TrainingError(f"{self.folder}: its snapshots are of another version of this program; {again}")
        difference = self.objective.difference(state)
        if difference is not None:
            raise ConfigError(f"{self.folder}: holds a run {difference}; choose another output, or {again}")
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(state["scaler"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.objective.restore(state)


def take_folder(folder: Path, resources: ExitStack, below: str) -> None:
    """Make the folder of a run and keep other runs out of it.

    Args:
        folder: Folder of the run.
        resources: Releases the lock at its end.
        below: Pattern of its sub-folders, from which leftovers of killed runs are removed.

    Raises:
        OutputError: another run is writing to it.
    """
    busy = f"{folder}: another run is writing here; wait for it or choose another output"
    resources.enter_context(exclusive(make_folder(folder) / ".lock", busy))
    remove_leftovers(folder, below)
