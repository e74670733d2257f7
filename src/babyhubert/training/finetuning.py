"""Fine-tuning of an encoder on annotated recordings, for one task or several, into a model folder.

``finetune`` has the sequence of a run; :mod:`babyhubert.training.loop` takes its steps.

The folder ``OUT.work`` is beside the model folder ``OUT``::

    run.json          settings, data, software, machine
    left_out.csv      skipped material, with reasons
    log.jsonl         one line per interval; curves.csv and curves.png are made from it
    snapshots/        step-<number>.pt, the newest
    best/             the best weights so far, a model folder
    audio/            the recordings, decoded
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from babyhubert.compute.device import device_name
from babyhubert.compute.group import ProcessGroup
from babyhubert.encoder.model_folder import refuse_other_folder
from babyhubert.errors import ConfigError
from babyhubert.files import csv_text, write_json, write_text
from babyhubert.material.settings import SkippedMaterial
from babyhubert.runs.record import software_versions
from babyhubert.tasks.interface import Task, Validation
from babyhubert.tasks.registry import KINDS, load, seed_stream
from babyhubert.training.interruption import StopRequests
from babyhubert.training.loop import Loop, take_folder
from babyhubert.training.precision import emulation_note, resolve_precision
from babyhubert.training.settings import FinetuningSettings
from babyhubert.training.task_objective import Batches, TaskObjective

Report = Callable[[str], None]


@dataclass(frozen=True)
class FinetuningResult:
    """Result of a run.

    Attributes:
        step: Steps done.
        finished: True if the run is over; otherwise it was stopped on request, and saved.
        best_step: The step whose weights are stored.
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
    group: ProcessGroup,
    report: Report = print,
) -> FinetuningResult:
    """Train, or continue training, and write the model folder at the end.

    Args:
        settings: Settings of the run.
        names: Tasks to train; the settings have a table for each.
        output: Model folder to write.
        group: The processes of the job; every one calls this.
        report: Called with lines of text, in the first process.

    Raises:
        ConfigError: a task has no table, the precision needs another device, or the folder holds a run with other
            settings.
        AnnotationError: the material is malformed or insufficient.
        AudioError: a recording cannot be read.
        TrainingError: the run cannot continue.
        OutputError: another run is writing to this folder, or the disk is full.
    """
    say = group.rank_zero_print(report)
    resolve_precision(settings.machine.precision, group.device)  # refuse what this machine cannot do before all else
    work = output.with_name(f"{output.name}.work")
    with ExitStack() as resources:
        group.first_only(lambda: refuse_other_folder(output))
        group.first_only(lambda: take_folder(work, resources, "*"))
        stop = resources.enter_context(StopRequests())
        left_out = SkippedMaterial()
        tasks = _prepare(settings, names, work / "audio", group, left_out)
        objective = TaskObjective(tasks, settings, work, group)
        loop = Loop.start(objective, work, group)
        group.first_only(lambda: _write_record(objective, left_out))
        _introduce(loop, objective, left_out, say)
        loop.run(stop, say)
        if loop.over:
            loop.write_model(output)
    best = objective.best_step, objective.best_score, objective.best_validations
    return FinetuningResult(loop.step, loop.over, *best)


def _prepare(
    settings: FinetuningSettings, names: Sequence[str], cache: Path, group: ProcessGroup, left_out: SkippedMaterial
) -> dict[str, Task]:
    """Read the tasks' material; the first process decodes, the others then use the result."""
    missing = [name for name in names if name not in settings.tasks]
    if missing:
        raise ConfigError(f"the configuration has no table [{missing[0]}]; it says what that task is trained on")
    tasks: dict[str, Task] | None = group.first_only(lambda: _read_tasks(settings, names, cache, left_out))
    return tasks or _read_tasks(settings, names, cache, left_out)


def _read_tasks(
    settings: FinetuningSettings, names: Sequence[str], cache: Path, left_out: SkippedMaterial
) -> dict[str, Task]:
    tasks: dict[str, Task] = {}
    for name in names:
        chosen = settings.tasks[name]
        kind: type[Task] = load(KINDS[chosen.kind].training)
        tasks[name] = kind.prepare(
            chosen, cache, settings.train.seed, left_out, name=name, seed_stream=seed_stream(name)
        )
    return tasks


def _write_record(objective: TaskObjective, left_out: SkippedMaterial) -> None:
    settings, tasks, group = objective.settings, objective.tasks, objective.group
    write_json(
        objective.work / "run.json",
        {
            "settings": json.loads(settings.model_dump_json()),
            "tasks": list(tasks),
            "fingerprint": settings.fingerprint(tuple(tasks)),
            "material": {name: task.summary for name, task in tasks.items()},
            "lineage": objective.lineage,
            "steps": objective.steps,
            "processes": group.place.world,
            "device": device_name(group.device),
            "software": software_versions(),
        },
    )
    rows = ((reason, item) for reason, items in left_out.items.items() for item in items)
    write_text(objective.work / "left_out.csv", csv_text([("reason", "item"), *rows]))


def _introduce(loop: Loop[Batches], objective: TaskObjective, left_out: SkippedMaterial, say: Report) -> None:
    parameters = sum(parameter.numel() for parameter in loop.model.parameters())
    trained = sum(parameter.numel() for parameter in loop.model.parameters() if parameter.requires_grad)
    for name, task in objective.tasks.items():
        say(f"{name.replace('_', ' ')}: {task.summary}")
    if left_out.items:
        say(str(left_out))
    say(
        f"{parameters:,} parameters, {trained:,} of them trained; {objective.steps} steps, validation every "
        f"{objective.validate_every}, {loop.group.place.world} x {loop.group.device}"
    )
    if note := emulation_note(objective.settings.machine.precision, loop.group.device):
        say(note)
    if objective.replays:
        say("passes without padding are replayed as CUDA graphs from the second of a shape on")
    if loop.step:
        say(f"continued after step {loop.step} of {objective.steps}")
