"""One iteration of pre-training: from a pack and its labels to a model folder.

``pretrain`` has the sequence of a run; :mod:`babyhubert.training.loop` takes its steps.

The run folder::

    run.json          settings, data, software, machine
    log.jsonl         one line per interval; curves.csv and curves.png are made from it; tensorboard/ holds the same
    snapshots/        step-<number>.pt, the newest few
    model/            the result, as transformers loads it
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyhubert.compute.device import device_name
from babyhubert.compute.group import ProcessGroup
from babyhubert.corpus.shards import Labels
from babyhubert.files import write_json
from babyhubert.pretraining.batches import Batch
from babyhubert.pretraining.objective import PredictionObjective
from babyhubert.pretraining.settings import TrainingSettings
from babyhubert.runs.record import software_versions
from babyhubert.training.interruption import StopRequests
from babyhubert.training.loop import Loop, take_folder
from babyhubert.training.precision import emulation_note

Report = Callable[[str], None]


@dataclass(frozen=True)
class PretrainingResult:
    """Result of a run.

    Attributes:
        step: Steps done.
        finished: True if these are all; otherwise it was stopped on request, and saved.
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
    group: ProcessGroup,
    report: Report = print,
    facts: dict[str, Any] | None = None,
) -> PretrainingResult:
    """Train, or continue training, and write the model folder at the end.

    Args:
        labels: Labels of a pack, which has the audio.
        settings: Settings of the run.
        output: The run folder.
        group: The processes of the job; every one calls this.
        report: Called with lines of text, in the first process.
        facts: Further content of the card (lineage of the labels, for example).

    Raises:
        CorpusError: pack and labels are unsuitable for training.
        ConfigError: the folder holds a run with other settings.
        TrainingError: the run cannot continue.
        OutputError: another run is writing to this folder, or the disk is full.
    """
    say = group.rank_zero_print(report)
    with ExitStack() as resources:
        group.first_only(lambda: take_folder(output, resources, "snapshots"))
        stop = resources.enter_context(StopRequests())
        objective = PredictionObjective(labels, settings, group, facts)
        loop = Loop.start(objective, output, group)
        group.first_only(lambda: _write_record(output, objective))
        _introduce(loop, objective, say)
        was_over = loop.over
        loop.run(stop, say)
        if was_over:  # the card is written again
            loop.validate()
        folder = output / "model" if loop.over else None
        if folder is not None:
            loop.write_model(folder)
    chance = objective.statistics.largest_share
    return PretrainingResult(loop.step, loop.over, folder, dict(loop.last), objective.validation, chance)


def _write_record(output: Path, objective: PredictionObjective) -> None:
    labels, settings, group = objective.labels, objective.settings, objective.group
    write_json(
        output / "run.json",
        {
            "settings": json.loads(settings.model_dump_json()),
            "fingerprint": settings.fingerprint,
            "pack": {"folder": str(labels.pack.folder), "fingerprint": labels.pack.fingerprint},
            "labels": {"folder": str(labels.folder), **dict(labels.facts)},
            "lineage": objective.lineage,
            "processes": group.place.world,
            "device": device_name(group.device),
            "software": software_versions(),
        },
    )


def _introduce(loop: Loop[Batch], objective: PredictionObjective, say: Report) -> None:
    settings, pack, statistics = objective.settings, objective.labels.pack, objective.statistics
    world = loop.group.place.world
    parameters = sum(parameter.numel() for parameter in loop.model.parameters())
    step_seconds = settings.batches.seconds * settings.optimiser.accumulate * world
    say(
        f"{parameters:,} parameters, {pack.hours:.2f} h of audio ({len(pack.rows('validation'))} segments held out, "
        f"{objective.plan.unused} too short or long), up to {step_seconds:g} s a step, {world} x {loop.group.device}"
    )
    say(
        f"{len(statistics.counts)} units, {len(statistics.dead)} never used, perplexity {statistics.perplexity:.1f}; "
        f"chance: accuracy {100 * statistics.largest_share:.1f}%, loss {statistics.entropy:.3f}"
    )
    if note := emulation_note(settings.machine.precision, loop.group.device):
        say(note)
    if objective.replays:
        say(f"passes of {settings.batches.lengths} lengths of batches are replayed as CUDA graphs from the second on")
    if loop.step:
        say(f"continued after step {loop.step} of {objective.steps}")
