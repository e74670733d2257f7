"""Registry of tasks: the published three by name, and for every kind of task the code that trains and runs it.

A task is an instance of a kind. The published ones are defined here; any other is defined by a configuration
(``[task.NAME]``) and stored in the ``task.json`` of the model that was trained on it. Modules are given by name
instead of being imported, so that looking up a task costs nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from babyhubert.encoder.flavours.layout import HeadKind
from babyhubert.errors import ConfigError
from babyhubert.runs.folder import RESULT_FOLDERS

if TYPE_CHECKING:
    from babyhubert.runs.folder import RunFolder
    from babyhubert.runs.journal import Outcome


@dataclass(frozen=True)
class TaskKind:
    """Code of all tasks of a kind, as ``module:name``.

    Attributes:
        kind: Kind of the head.
        training: Class whose ``prepare`` reads the material; see :class:`~babyhubert.tasks.interface.Task`.
        predictor: Class that runs such a head over one recording; has ``of(loaded, task)``.
        tables: Module whose ``write_tables`` writes the tables over all recordings of a run.
    """

    kind: HeadKind
    training: str
    predictor: str
    tables: str


_TASKS = "babyhubert.tasks"

KINDS: dict[HeadKind, TaskKind] = {
    kind.kind: kind
    for kind in (
        TaskKind(
            "frames",
            f"{_TASKS}.voice_type.training:VoiceTypeTask",
            f"{_TASKS}.voice_type.prediction:VoiceTypeClassifier",
            f"{_TASKS}.voice_type.tables",
        ),
        TaskKind(
            "classification",
            f"{_TASKS}.classification.training:ClassificationTask",
            f"{_TASKS}.classification.prediction:UtteranceClassifier",
            f"{_TASKS}.classification.outputs",
        ),
        TaskKind(
            "ctc",
            f"{_TASKS}.phonemes.training:PhonemeTask",
            f"{_TASKS}.phonemes.prediction:PhonemeRecogniser",
            f"{_TASKS}.phonemes.outputs",
        ),
    )
}

PUBLISHED = {"voice_type": 1, "addressee": 3, "phonemes": 4}
"""The published tasks: key in ``task.json`` and in configurations, and number of the task's random draws."""

_TAKEN = frozenset(
    {
        *(name.partition("[")[0] for name in RESULT_FOLDERS),
        *("segment", "classify", "embed", "analyze", "scan", "regions", "sample", "quality", "parts"),
        *("eaf", "textgrid", "audacity", "lena", "childproject", "annotations"),
    }
)
"""Names of folders and commands, which a task must not have because its outputs would be mixed with theirs."""


def seed_stream(task: str) -> int:
    """Number of a task's random draws: small for the published ones, derived from the name for others."""
    return PUBLISHED[task] if task in PUBLISHED else (1 << 32) + zlib.crc32(task.encode())


def load(path: str) -> Any:
    """Load the object behind ``module:name``, or the module behind a path without a name."""
    module, _, name = path.partition(":")
    found = import_module(module)
    return getattr(found, name) if name else found


def write_task_tables(folder: RunFolder, about: Mapping[str, Any], outcome: Outcome) -> Outcome:
    """Write the tables of a run of a task, by the kind that the run recorded."""
    written: Outcome = load(KINDS[about["kind"]].tables).write_tables(folder, about, outcome)
    return written


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
