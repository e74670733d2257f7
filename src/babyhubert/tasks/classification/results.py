"""Tasks with results in an output folder: their columns, classes and voices, as recorded by the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from babyhubert.errors import ConfigError
from babyhubert.measures.results import classified_columns
from babyhubert.tasks.classification.evaluation import Question


@dataclass(frozen=True)
class ClassifiedTask:
    """A classification task as recorded with its results.

    Attributes:
        task: Its name.
        question: Column and voices.
        labels: Its classes.
    """

    task: str
    question: Question
    labels: tuple[str, ...]


def classified_tasks(output: Path) -> dict[str, ClassifiedTask]:
    """Classification tasks with results in an output folder, by name; none without ``run.json``.

    Raises:
        OutputError: its ``run.json`` is damaged.
    """
    if not (output / "run.json").is_file():
        return {}
    return {
        column.task: ClassifiedTask(column.task, Question(column.name, column.voices), column.classes)
        for column in classified_columns(output)
    }


def question_of(
    predictions: Path, task: str | None, column: str | None, labels: Sequence[str], voices: Sequence[str]
) -> ClassifiedTask:
    """The task of predictions; arguments override the record of the run.

    Args:
        predictions: An output folder, or tables.
        task: Name of the task; None: the only one of the folder.
        column: Column of the classes.
        labels: Classes; empty: as recorded.
        voices: Labels of the classified segments; empty: as recorded.

    Raises:
        ConfigError: no such task, several, or tables whose column and classes are unknown.
    """
    known = classified_tasks(predictions)
    if task is not None and known and task not in known:
        raise ConfigError(f"{predictions}: no results of the task {task} (there are: {', '.join(known)})")
    if task is None and len(known) > 1 and column is None:
        raise ConfigError(f"{predictions}: results of several tasks, {', '.join(known)}: say which with --task")
    fitting = [each for each in known.values() if column is None or each.question.column == column]
    found = known.get(task) if task is not None else next(iter(fitting), None)
    if found is None and not (column and labels):
        raise ConfigError(
            f"{predictions}: no output folder of 'babyhubert classify'; give --column and --labels for tables"
        )
    question = Question(column or "", tuple(voices)) if found is None else found.question
    if found is not None and (column or voices):
        question = Question(column or question.column, tuple(voices) or question.voices)
    return ClassifiedTask(
        task or (found.task if found is not None else question.column),
        question,
        tuple(labels) or (found.labels if found is not None else ()),
    )
