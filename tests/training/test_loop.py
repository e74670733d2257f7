"""The training loop with the least objective there is: a line through points."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from babyhubert.compute.group import ProcessGroup
from babyhubert.encoder.canonical import Checkpoint
from babyhubert.errors import ConfigError, OutputError, TrainingError
from babyhubert.training.curves import read_log
from babyhubert.training.interruption import StopRequests
from babyhubert.training.loop import Loop, take_folder
from babyhubert.training.objective import Objective, Validated
from babyhubert.training.recorded_gradients import FlatGradients
from babyhubert.training.snapshots import snapshots

STEPS = 12


class Line(Objective[tuple[torch.Tensor, torch.Tensor]]):
    """Points of y = 3 x - 1, fitted by a linear layer behind dropout."""

    speed, remedy = "points", "choose other points"
    steps, most_skipped_steps, validate_every = STEPS, 3, 4

    def __init__(
        self, *, accumulate=1, log_every=2, flat=False, average=0.0, damaged=(), name="line", keep_every=None
    ):
        self.name, self.damaged, self.average, self.keep_every = name, damaged, average, keep_every
        adam = {"learning_rate": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.0}
        self.train = SimpleNamespace(accumulate=accumulate, clip_norm=1.0, **adam)
        self.machine = SimpleNamespace(log_every=log_every, save_every=5, keep=1, tensorboard=False)
        torch.manual_seed(0)
        self.model = self.module = nn.Sequential(nn.Dropout(0.3), nn.Linear(1, 1))
        self.clipped = list(self.model.parameters())
        self.gradients = FlatGradients(self.clipped) if flat else None
        self.noted, self.drawn, self.logged = [], 0, []

    def batches(self, step):
        for at in range(step, self.steps):
            yield [self.points(at * self.train.accumulate + number) for number in range(self.train.accumulate)]

    def points(self, number):
        x = torch.from_numpy(np.random.default_rng(number).normal(size=(8, 1)).astype(np.float32))
        return x, (3 * x - 1) * (float("nan") if number in self.damaged else 1)

    def place(self, step, number):
        return 7, step, number

    def size(self, batches):
        return 2.0 * len(batches), [float(sum(len(x) for x, _ in batches))]

    def loss(self, module, batch, weights, logged):
        self.logged.append(logged)
        x, y = batch
        loss = (module(x) - y).square().sum() / weights[0]
        return loss, loss.detach()[None]

    def add_gradients(self, batch, weights, logged):
        loss, sums = self.loss(self.model, batch, weights, logged)
        loss.backward()
        return sums

    def rate(self, step):
        return 0.1 / step

    def entry(self, sums, weights, steps):
        return {"train/loss": sums[0] / steps, "train/points": weights[0]}

    def line(self, entry):
        return f"loss {entry['train/loss']:.3f}"

    def validate(self, at):
        assert not self.model.training
        with torch.no_grad():
            x, y = self.points(1000)
            self.noted.append((self.model(x) - y).square().mean().item())
        return Validated({"validation/loss": self.noted[-1]}, "validation", self.noted[-1] == min(self.noted))

    def state(self):
        return {"name": self.name, "noted": list(self.noted)}

    def difference(self, state):
        return None if state["name"] == self.name else "of another line"

    def restore(self, state):
        self.noted = list(state["noted"])

    def result(self):
        return Checkpoint("babyhubert", None, {}, {})

    def card(self, at):
        return {}

    def draw(self, curves):
        self.drawn += 1


class KilledError(Exception):
    """Stands for SIGKILL."""


def run(objective, folder, at=None, requests=None, say=lambda _: None):
    """The weights after a run; killed before a step, if asked."""
    with ProcessGroup.join("cpu") as group:
        loop = Loop.start(objective, folder, group)
        take_step = loop.take_step

        def until(*arguments, **options):
            if loop.step == at:
                raise KilledError
            return take_step(*arguments, **options)

        loop.take_step = until
        loop.run(requests or StopRequests(), say)
    return [parameter.detach().clone() for parameter in objective.model.parameters()]


def entries(folder):
    volatile = ("train/times_real_time", "train/seconds_left")
    return [{name: value for name, value in entry.items() if name not in volatile} for entry in read_log(folder)]


@pytest.mark.parametrize("options", [{}, {"average": 0.9, "accumulate": 2}, {"flat": True}], ids=str)
@pytest.mark.parametrize("at", [1, 4, 5, 7, 11])
def test_killed_before_any_step_and_continued_is_the_run_that_was_never_killed(options, at, tmp_path):
    whole = Line(**options)
    expected = run(whole, tmp_path / "whole")
    with pytest.raises(KilledError):
        run(Line(**options), tmp_path / "killed", at)
    continued = Line(**options)
    assert all(map(torch.equal, run(continued, tmp_path / "killed"), expected))
    assert continued.noted == whole.noted
    logs = [entries(tmp_path / name / "log.jsonl") for name in ("killed", "whole")]
    assert [entry["step"] for entry in logs[0]] == [entry["step"] for entry in logs[1]]
    assert logs[0][-1] == logs[1][-1]


def test_gradients_in_one_tensor_are_the_same_gradients(tmp_path):
    found = [run(Line(flat=flat, accumulate=3), tmp_path / str(flat)) for flat in (False, True)]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*found, strict=True))


def test_the_log_has_every_interval_and_the_objective_knows_which_steps_are_logged(tmp_path):
    said = []
    objective = Line(log_every=5)
    run(objective, tmp_path, say=said.append)
    log = read_log(tmp_path / "log.jsonl")
    assert [entry["step"] for entry in log if "train/loss" in entry] == [5, 10, 12]
    assert [entry["step"] for entry in log if "validation/loss" in entry] == [4, 8, 12]
    assert [entry["train/points"] for entry in log if "train/loss" in entry] == [40, 40, 16]
    assert [step for step, logged in enumerate(objective.logged, start=1) if logged] == [5, 10, 12]
    rates = [entry["train/learning_rate"] for entry in log if "train/loss" in entry]
    assert rates == pytest.approx([0.1 / 5, 0.1 / 10, 0.1 / 12])
    assert objective.drawn == 1
    assert sum(line.startswith("step 12/12  loss ") for line in said) == 1


def test_snapshots_are_kept_at_multiples_and_the_newest(tmp_path):
    run(Line(keep_every=5), tmp_path)
    assert list(snapshots(tmp_path / "snapshots")) == [5, 10, 12]


def test_a_stop_saves_and_the_same_command_goes_on(tmp_path):
    expected = run(Line(), tmp_path / "whole")
    requests, said = StopRequests(), []
    requests.received = "SIGTERM"
    run(Line(), tmp_path / "stopped", requests=requests, say=said.append)
    assert list(snapshots(tmp_path / "stopped" / "snapshots")) == [1]
    assert said == ["stopped by SIGTERM at step 1; run the same command to continue"]
    assert all(map(torch.equal, run(Line(), tmp_path / "stopped"), expected))


@pytest.mark.parametrize("flat", [False, True])
def test_steps_without_a_finite_gradient_are_skipped_and_many_end_the_run(flat, tmp_path):
    weights = run(Line(flat=flat, damaged=(2, 3, 6)), tmp_path / "few")
    assert all(torch.isfinite(value).all() for value in weights)
    log = read_log(tmp_path / "few" / "log.jsonl")
    skipped = {entry["step"]: entry["train/skipped_steps_in_a_row"] for entry in log if "train/loss" in entry}
    assert skipped[4] == 2
    assert skipped[12] == 0
    with pytest.raises(TrainingError, match=r"step 8: the last 4 steps had no finite gradient .*choose other points"):
        run(Line(flat=flat, damaged=range(4, 12)), tmp_path / "many")


def test_a_snapshot_of_another_run_or_another_version_is_refused(tmp_path):
    run(Line(), tmp_path)
    with pytest.raises(
        ConfigError, match=r"holds a run of another line; choose another output, or delete .*snapshots"
    ):
        run(Line(name="other"), tmp_path)
    (newest,) = snapshots(tmp_path / "snapshots").values()
    torch.save({**torch.load(newest, weights_only=True), "format": 0}, newest)
    with pytest.raises(TrainingError, match="another version"):
        run(Line(), tmp_path)


def test_two_runs_in_one_folder(tmp_path):
    with ExitStack() as first:
        take_folder(tmp_path, first, "snapshots")
        with ExitStack() as second, pytest.raises(OutputError, match="another run is writing"):
            take_folder(tmp_path, second, "snapshots")
