"""Registry of tasks: the published three by name, and for every kind of task the code that trains and runs it.

A task is an instance of a kind. The published ones are defined here; any other is defined by a configuration
(``[task.NAME]``) and stored in the ``task.json`` of the model that was trained on it. Modules are given by name
instead of being imported, so that looking up a task costs nothing.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from babyhubert.encoder.flavours.layout import HEAD_KINDS, HeadKind
from babyhubert.errors import ConfigError
from babyhubert.runs.folder import RESULT_FOLDERS


@dataclass(frozen=True)
class TaskKind:
    """Code of all tasks of a kind, as ``module:name``.

    Attributes:
        kind: Kind of the head.
        command: Command that runs such a task over recordings.
        settings: Settings of a task that a configuration defines.
        training: Class whose ``prepare`` reads the material; see :class:`~babyhubert.tasks.interface.Task`.
        predictor: Class that runs such a head over one recording; has ``of(loaded, task)``.
        tables: Module whose ``write_tables`` writes the tables over all recordings of a run.
    """

    kind: HeadKind
    command: str
    settings: str
    training: str
    predictor: str
    tables: str


@dataclass(frozen=True)
class TaskSpec:
    """A published task.

    Attributes:
        name: Key in ``task.json`` and in configurations.
        kind: Kind of its head.
        command: Command that runs it over recordings.
        seed_stream: Number of its random draws among those of other tasks.
        settings: Settings of its table, as ``module:name``.
    """

    name: str
    kind: HeadKind
    command: str
    seed_stream: int
    settings: str


_TASKS = "babyhubert.tasks"

KINDS: dict[HeadKind, TaskKind] = {
    kind.kind: kind
    for kind in (
        TaskKind(
            "frames",
            "segment",
            f"{_TASKS}.voice_type.training:FramesSettings",
            f"{_TASKS}.voice_type.training:VoiceTypeTask",
            f"{_TASKS}.voice_type.prediction:VoiceTypeClassifier",
            f"{_TASKS}.voice_type.outputs",
        ),
        TaskKind(
            "classification",
            "classify",
            f"{_TASKS}.classification.training:ClassificationSettings",
            f"{_TASKS}.classification.training:ClassificationTask",
            f"{_TASKS}.classification.prediction:UtteranceClassifier",
            f"{_TASKS}.classification.outputs",
        ),
        TaskKind(
            "ctc",
            "phonemes",
            f"{_TASKS}.phonemes.training:CtcSettings",
            f"{_TASKS}.phonemes.training:PhonemeTask",
            f"{_TASKS}.phonemes.prediction:PhonemeRecogniser",
            f"{_TASKS}.phonemes.outputs",
        ),
    )
}

PUBLISHED: dict[str, TaskSpec] = {
    spec.name: spec
    for spec in (
        TaskSpec("voice_type", "frames", "segment", 1, f"{_TASKS}.voice_type.training:VoiceTypeSettings"),
        TaskSpec("addressee", "classification", "addressee", 3, f"{_TASKS}.addressee.training:AddresseeSettings"),
        TaskSpec("phonemes", "ctc", "phonemes", 4, f"{_TASKS}.phonemes.training:PhonemeSettings"),
    )
}


_TAKEN = frozenset(
    {
        *(name.partition("[")[0] for name in RESULT_FOLDERS),
        *("segment", "classify", "embed", "analyze", "scan", "regions", "sample", "parts"),
        *("eaf", "textgrid", "audacity", "lena", "childproject", "annotations"),
    }
)
"""Names of folders and commands, which a task must not have because its outputs would be mixed with theirs."""


def seed_stream(task: str) -> int:
    """Number of a task's random draws: small for the published ones, derived from the name for others."""
    spec = PUBLISHED.get(task)
    return spec.seed_stream if spec is not None else (1 << 32) + zlib.crc32(task.encode())


def load(path: str) -> Any:
    """Load the object behind ``module:name``, or the module behind a path without a name."""
    module, _, name = path.partition(":")
    found = import_module(module)
    return getattr(found, name) if name else found


def check_name(task: str) -> str:
    """Check the name of a task that a configuration defines.

    Raises:
        ConfigError: it is the name of a published task, or cannot name a column and a file.
    """
    if task in PUBLISHED:
        raise ConfigError(f"[task.{task}]: {task} is a published task; give it the table [{task}], or another name")
    return check_folder_name(task, f"[task.{task}]")


def check_folder_name(task: str, where: str) -> str:
    """Check the name of a task that is not published, which names its outputs.

    Raises:
        ConfigError: it cannot name a column and a file, or is the name of other outputs.
    """
    if not (task.isascii() and task.isidentifier() and len(task) <= 60):
        raise ConfigError(f"{where}: a name is letters, digits and _, and begins with a letter")
    if task.lower() in _TAKEN or task.lower().startswith("layer") or task.lower().endswith(("_timed", "_enriched")):
        raise ConfigError(f"{where}: outputs of other commands are called {task}; give it another name")
    from torch.nn import ModuleDict  # seconds: not for those who only ask for a name

    if hasattr(ModuleDict(), task):
        raise ConfigError(f"{where}: a head cannot be called {task}; give it another name")
    return task


def check_kind(kind: object, where: str) -> HeadKind:
    """Check a kind of task.

    Raises:
        ConfigError: there is no such kind.
    """
    for known in HEAD_KINDS:
        if kind == known:
            return known
    raise ConfigError(f"{where}: kind is {kind!r}; one of {', '.join(HEAD_KINDS)}")
