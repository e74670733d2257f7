"""Training of utterance classification: a class for each utterance, from its frames inside a window with context.

Cross-entropy over classes; the score is macro F1 over utterances. The configuration gives the classes, the voices to
classify and the column of the reference: the addressee is one instance.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from babyhubert.annotation.columns import Column, column_of_task
from babyhubert.annotation.table_columns import CHILDREN
from babyhubert.config import Config
from babyhubert.encoder.context import Pooling
from babyhubert.encoder.heads import HEAD_DROPOUT, PooledHead, TaskHead
from babyhubert.errors import AnnotationError
from babyhubert.material.augmentation import Augmentation, AugmentationSettings
from babyhubert.material.batch import Batch
from babyhubert.material.settings import DataSettings, SkippedMaterial, SourceRow
from babyhubert.material.sources import Relabel, column_of, relabeller
from babyhubert.material.utterances import (
    EpochOrder,
    Row,
    Utterances,
    WindowBatch,
    build_store,
    equal_length_batches,
    split_rows,
)
from babyhubert.material.windows import Samples, WindowRule, Windows, windows_by, windows_with_context
from babyhubert.tasks.classification.windows import centred_window
from babyhubert.tasks.interface import Validation, identity_of, without_validation
from babyhubert.timebase import frame_count, samples_to_seconds, seconds_to_samples

VOICE_COLUMNS = ("label", "speaker_type")
"""Columns of a table with the voice of a row."""


class ClassificationSettings(Config):
    """``[task.NAME]`` with ``kind = "classification"``.

    Attributes:
        kind: ``classification``.
        data: Utterances with their class: a table with a column of them (a row without a value there is not the
            task's).
        labels: Classes, the order of the outputs.
        label_map: Mapping of other values; ``""`` skips their utterances.
        column: Column of the class, in the data and in every table that is written; the task's name if absent.
        voices: Values of ``label`` or ``speaker_type`` whose utterances are classified; all if empty.
        tier: Prefix of the task's tiers in ELAN, Praat and the like, before the name of the voice's tier, with ``@``
            or ``_`` at its end; the column and ``@`` if absent.
        codes: Codes of the classes in other tools, for exports; classes without one keep their names. Each code
            belongs to one class.
        context_s: Length of the window around an utterance; 0: the utterance alone.
        window_rule: ``always``: context around utterances of any length, and the utterance's frames are pooled;
            ``published``: no context from ``context_s`` on, and the frames of ``published_pooling``.
        shortest_s: Shorter utterances are skipped.
        longest_s: Longer utterances are skipped.
        batch_size: Utterances of one process in one batch.
        dropout: Fraction of features dropped before the outputs.
        balanced: True to give every class the same weight in the loss.
        augmentation: Changes of training windows.
        loss_weight: Weight of this task's loss in a training of several tasks.
    """

    kind: Literal["classification"] = "classification"
    data: DataSettings
    labels: Annotated[Sequence[str], Field(min_length=2)]
    label_map: Mapping[str, str] = Field(default_factory=dict)
    column: str | None = None
    voices: Sequence[str] = ()
    tier: str | None = None
    codes: Mapping[str, str] = Field(default_factory=dict)
    context_s: Annotated[float, Field(ge=0)] = 10.0
    window_rule: WindowRule = "always"
    shortest_s: Annotated[float, Field(ge=0)] = 0.04
    longest_s: Annotated[float, Field(gt=0)] = 30.0
    batch_size: Annotated[int, Field(ge=1)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = HEAD_DROPOUT
    balanced: bool = False
    augmentation: AugmentationSettings = AugmentationSettings()
    loss_weight: Annotated[float, Field(gt=0)] = 1.0

    def output_column(self, task: str) -> str:
        """Column of the tables that the task ``task`` writes."""
        return self.column or task

    def filled_column(self, task: str) -> Column:
        """The column of the tables that the task ``task`` writes.

        Raises:
            ConfigError: its name, tier or codes cannot be.
        """
        return column_of_task(task, self.kind, list(self.labels), self.column_card(task))

    def column_card(self, task: str) -> dict[str, Any]:
        """Voices, column, tier and codes for ``task.json``."""
        return {
            "column": self.output_column(task),
            "voices": list(self.input_voices),
            **({} if self.tier is None else {"tier": self.tier}),
            **({} if not self.codes else {"codes": dict(self.codes)}),
        }

    def data_columns(self, task: str) -> tuple[str, ...]:
        """Columns of the data that may have the class."""
        return (self.output_column(task),)

    @property
    def input_voices(self) -> tuple[str, ...]:
        """Voices whose utterances are classified; empty: all."""
        return tuple(self.voices)


class ClassificationTask:
    """Implements :class:`~babyhubert.tasks.interface.Task`.

    Args:
        name: Name of the task.
        settings: Settings of the task.
        train: Training utterances, and the class of each.
        validation: The same for validation.
        seed: Seed of the order of utterances.
        augmentation: Changes of training windows.
        seed_stream: Number of its random draws among those of other tasks.
    """

    replayable = True

    def __init__(
        self,
        name: str,
        settings: ClassificationSettings,
        train: tuple[Utterances, NDArray[np.int64]],
        validation: tuple[Utterances, NDArray[np.int64]],
        seed: int,
        augmentation: Augmentation,
        seed_stream: int,
    ) -> None:
        self.name, self._seed_stream = name, seed_stream
        self.settings, self.seed, self.augmentation = settings, seed, augmentation
        self.labels = tuple(settings.labels)
        self.train, self.train_classes = train
        self.validation, self.validation_classes = validation
        self._order = EpochOrder(self.train.windows.width, self.train.times, settings.batch_size, seed)
        counts = np.bincount(self.train_classes, weights=self.train.times, minlength=len(self.labels))
        shares = counts.sum() / (len(self.labels) * np.maximum(counts, 1))
        self._context = seconds_to_samples(settings.context_s)
        self._class_weights = shares if settings.balanced else np.ones(len(self.labels))

    @classmethod
    def prepare(
        cls,
        settings: ClassificationSettings,
        cache: Path,
        seed: int,
        left_out: SkippedMaterial,
        *,
        name: str,
        seed_stream: int,
    ) -> ClassificationTask:
        """Read and decode the material.

        Raises:
            AnnotationError: malformed, an unknown class, or one that never occurs in training.
            AudioError: a recording cannot be read.
        """
        relabel = relabeller(settings.labels, settings.label_map, name)
        train, validation = split_rows(
            settings.data, name, lambda row: _applies_to(row, settings.input_voices), CHILDREN, left_out
        )
        both = [_material(rows, name, settings, relabel, cache, left_out) for rows in (train, validation)]
        counts = np.bincount(both[0][1], minlength=len(settings.labels))
        for label, count in zip(settings.labels, counts, strict=True):
            if not count:
                raise AnnotationError(
                    f"no {label} in the training material: nothing about it can be learnt; take it out of "
                    f"{name}.labels, or map another class to it ({name}.label_map)"
                )
        augmentation = Augmentation.prepare(settings.augmentation, cache)
        return cls(name, settings, both[0], both[1], seed, augmentation, seed_stream)

    @property
    def batches_an_epoch(self) -> int:
        """Number of batches that contain every utterance with its copies."""
        return self._order.batches

    @property
    def seconds(self) -> float:
        """Seconds of audio in the utterances."""
        return self.train.seconds

    @property
    def summary(self) -> str:
        """One line about the material."""
        return (
            f"{len(self.train)} utterances ({self._counts(self.train_classes)}); "
            f"{len(self.validation)} for validation ({self._counts(self.validation_classes)})"
            f"{without_validation(self.labels, self._count(self.validation_classes))}"
        )

    @property
    def identity(self) -> str:
        """Hash of the material."""
        return identity_of(
            *(
                values
                for part in (self.train, self.validation)
                for values in (part.start, part.end, part.store.bounds)
            ),
            self.train_classes,
            self.validation_classes,
            self.train.times,
        )

    def new_head(self, width: int, mixed_layers: int | None) -> PooledHead:
        """Build a head: one linear output per class over the utterance's mean."""
        return PooledHead(self.labels, width, self.settings.dropout, mixed_layers)

    def batch(self, number: int) -> Batch:
        """Read the batch of this number."""
        rng = np.random.default_rng([self.seed, self._seed_stream, number])
        rows = self._order.batch(number)
        moving = self._context if self.settings.window_rule == "always" else None
        read = self.train.read_changed(rows, self.augmentation, moving, rng)
        return self._batch(read, self.train_classes[rows])

    def validation_batches(self, rank: int, world: int) -> Iterator[Batch]:
        """Batches that contain every validation utterance once."""
        batches = list(equal_length_batches(self.validation.windows.width, self.settings.batch_size))
        for rows in batches[rank::world]:
            yield self._batch(self.validation.read(rows), self.validation_classes[rows])

    def loss(self, head: TaskHead, features: Tensor, batch: Batch) -> Tensor:
        """Sum of the (class-weighted) cross-entropies."""
        logits = head(features, batch.targets["within"]).float()
        losses = F.cross_entropy(logits, batch.targets["class"], reduction="none")
        return (losses * batch.targets["class_weight"]).sum()

    def tally(self, head: TaskHead, features: Tensor, batch: Batch) -> NDArray[np.float64]:
        """Loss and confusion counts."""
        logits = head(features, batch.targets["within"]).float()
        truth = batch.targets["class"]
        loss = F.cross_entropy(logits, truth, reduction="sum").item()
        classes = len(self.labels)
        pairs = (truth * classes + logits.argmax(dim=-1)).cpu().numpy()
        return np.concatenate([[loss], np.bincount(pairs, minlength=classes**2)])

    def conclude(self, tally: NDArray[np.float64]) -> Validation:
        """F1 of every class and their mean; a class that never occurs counts only through its false alarms."""
        classes = len(self.labels)
        confusion = tally[1:].reshape(classes, classes)
        occurs, hits = confusion.sum(axis=1), np.diag(confusion)
        with np.errstate(invalid="ignore", divide="ignore"):
            f1 = np.where(occurs > 0, 2 * hits / (occurs + confusion.sum(axis=0)), np.nan)
        macro = float(np.nanmean(f1))
        figures = {"macro_f1": macro, "accuracy": float(hits.sum() / confusion.sum())}
        figures |= {f"f1_{label}": float(value) for label, value in zip(self.labels, f1, strict=True)}
        table = {
            label: dict(zip(self.labels, map(int, row), strict=True))
            for label, row in zip(self.labels, confusion, strict=True)
        }
        return Validation(macro, float(tally[0] / occurs.sum()), figures, {"confusion": table})

    def card(self) -> dict[str, Any]:
        """Context, which inference must repeat; voices, column, tier and codes for outputs."""
        settings, rule = self.settings, self.settings.window_rule
        pooling: Pooling = "published" if rule == "published" else "utterance"
        return {
            "context_s": settings.context_s,
            "window_rule": rule,
            "pooling": pooling,
            **settings.column_card(self.name),
        }

    def _batch(self, read: WindowBatch, classes: NDArray[np.int64]) -> Batch:
        frames = np.arange(frame_count(read.waveforms.shape[1]))
        within = (frames >= read.first_frame[:, None]) & (frames < read.stop_frame[:, None])
        weights = self._class_weights[classes]
        targets = {"within": within, "class": classes, "class_weight": weights.astype(np.float32)}
        return read.batch(targets, float(weights.sum()))

    def _counts(self, classes: NDArray[np.int64]) -> str:
        return ", ".join(f"{label} {n}" for label, n in zip(self.labels, self._count(classes), strict=True))

    def _count(self, classes: NDArray[np.int64]) -> list[int]:
        return np.bincount(classes, minlength=len(self.labels)).tolist()


def _applies_to(row: SourceRow, voices: Collection[str]) -> bool:
    voice = next((row.fields[name] for name in VOICE_COLUMNS if name in row.fields), None)
    return not voices or voice is None or voice in voices


def _material(
    rows: Sequence[Row],
    name: str,
    settings: ClassificationSettings,
    relabel: Relabel,
    cache: Path,
    left_out: SkippedMaterial,
) -> tuple[Utterances, NDArray[np.int64]]:
    task = name.replace("_", " ")
    kept: list[Row] = []
    classes: list[int] = []
    for row in rows:
        value = column_of(row.row.fields, settings.data_columns(name), row.name)
        label = relabel(value, row.name) if value else None
        seconds = None if row.row.end is None else samples_to_seconds(row.row.end - row.row.start)
        if not value:
            left_out.add(f"no {task} given", row.name)
        elif label is None:
            left_out.add(f"{task} {value} is mapped to nothing", row.name)
        elif seconds is not None and not settings.shortest_s < seconds < settings.longest_s:
            left_out.add(f"not between {settings.shortest_s:g} and {settings.longest_s:g} s long", row.name)
        else:
            kept.append(row)
            classes.append(settings.labels.index(label))
    if not kept:
        raise AnnotationError(f"no utterance with {task} is left ({left_out})")
    context = seconds_to_samples(settings.context_s)

    def place(start: Samples, end: Samples, length: Samples) -> Windows:
        if settings.window_rule == "published":
            return windows_by(centred_window, start, end, length, context)
        return windows_with_context(start, end, length, context)

    utterances = Utterances.place(kept, build_store(kept, cache), place)
    return utterances, np.array(classes, dtype=np.int64)
