"""Addressee as a task to train: to whom an adult speaks, from the utterance's frames inside a window with context.

The published classes are ADS (to adults), KCDS (to the key child) and Other. Cross-entropy; macro F1 over utterances.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from babyhubert.config import Config
from babyhubert.encoder.context import Pooling
from babyhubert.encoder.flavours.addressee import LABELS
from babyhubert.encoder.heads import ADDRESSEE, HEAD_DROPOUT, PooledHead, TaskHead
from babyhubert.errors import AnnotationError
from babyhubert.material.augmentation import Augmentation, AugmentationSettings
from babyhubert.material.batch import Batch
from babyhubert.material.settings import DataSettings, LeftOut, SourceRow
from babyhubert.material.sources import CHILD_COLUMNS, Relabel, column_of, relabeller
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
from babyhubert.tasks.addressee.windows import addressee_window
from babyhubert.tasks.interface import Validation, identity_of, without_validation
from babyhubert.timebase import frame_count, samples_to_seconds, seconds_to_samples

COLUMNS = ("addressee", "binary_classes")
VOICES = ("label", "speaker_type")


class AddresseeSettings(Config):
    """``[addressee]``.

    Attributes:
        data: Adult utterances with their addressee: a table with a column ``addressee`` or ``binary_classes`` (a row
            without a value there is not the task's).
        column: Another column that says to whom.
        adults: Values of ``label`` or ``speaker_type`` that are adults, where there is such a column.
        labels: Classes, the order of the outputs.
        label_map: What other values mean; ``""`` leaves their utterances out.
        context_s: Length of the window around an utterance; 0: the utterance alone.
        window_rule: ``always``: context around utterances of any length, and the utterance's frames are pooled;
            ``published``: no context from ``context_s`` on, and the frames of ``published_pooling``.
        shortest_s: Shorter utterances are left out.
        longest_s: Longer utterances are left out; the published limit is 30 s.
        batch_size: Utterances of one process in one batch.
        dropout: Share of features dropped before the outputs.
        balanced: Whether the loss weighs every class alike, however often it occurs.
        augmentation: Changes of training windows.
        loss_weight: Share of this task's loss in a training of several tasks.
    """

    data: DataSettings
    column: str | None = None
    adults: Sequence[str] = ("FEM", "MAL")
    labels: Sequence[str] = LABELS
    label_map: Mapping[str, str] = Field(default_factory=lambda: {"OCDS": "Other"})
    context_s: Annotated[float, Field(ge=0)] = 10.0
    window_rule: WindowRule = "always"
    shortest_s: Annotated[float, Field(ge=0)] = 0.04
    longest_s: Annotated[float, Field(gt=0)] = 30.0
    batch_size: Annotated[int, Field(ge=1)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = HEAD_DROPOUT
    balanced: bool = False
    augmentation: AugmentationSettings = AugmentationSettings()
    loss_weight: Annotated[float, Field(gt=0)] = 1.0


class AddresseeTask:
    """Implements :class:`~babyhubert.tasks.interface.Task`.

    Args:
        settings: The task.
        train: Utterances to train on, and the class of each.
        validation: The same for validation.
        seed: Of the order of utterances.
        augmentation: Changes of training windows.
    """

    name: Literal["addressee"] = ADDRESSEE  # type: ignore[assignment]
    replayable = True

    def __init__(
        self,
        settings: AddresseeSettings,
        train: tuple[Utterances, NDArray[np.int64]],
        validation: tuple[Utterances, NDArray[np.int64]],
        seed: int,
        augmentation: Augmentation,
    ) -> None:
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
    def prepare(cls, settings: AddresseeSettings, cache: Path, seed: int, left_out: LeftOut) -> AddresseeTask:
        """Read and decode the material.

        Raises:
            AnnotationError: malformed, an unknown class, or one that never occurs in training.
            AudioError: a recording cannot be read.
        """
        relabel = relabeller(settings.labels, settings.label_map, ADDRESSEE)
        train, validation = split_rows(
            settings.data, ADDRESSEE, lambda row: _is_adult(row, settings), CHILD_COLUMNS, left_out
        )
        both = [_material(rows, settings, relabel, cache, left_out) for rows in (train, validation)]
        counts = np.bincount(both[0][1], minlength=len(settings.labels))
        for label, count in zip(settings.labels, counts, strict=True):
            if not count:
                raise AnnotationError(
                    f"no {label} in the training material: nothing about it can be learnt; take it out of "
                    "addressee.labels, or map another class to it (addressee.label_map)"
                )
        return cls(settings, both[0], both[1], seed, Augmentation.prepare(settings.augmentation, cache))

    @property
    def batches_an_epoch(self) -> int:
        """Batches that hold every utterance as often as it stands there."""
        return self._order.batches

    @property
    def seconds(self) -> float:
        """Audio of the utterances."""
        return self.train.seconds

    @property
    def summary(self) -> str:
        """One line about the material."""
        return (
            f"{len(self.train)} adult utterances ({self._counts(self.train_classes)}); "
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
            times=self.train.times,
        )

    def new_head(self, width: int, mixed_layers: int | None) -> PooledHead:
        """One linear output a class over the utterance's mean."""
        return PooledHead(self.labels, width, self.settings.dropout, mixed_layers)

    def batch(self, number: int) -> Batch:
        """The utterances of this number."""
        rng = np.random.default_rng([self.seed, 3, number])
        rows = self._order.batch(number)
        moving = self._context if self.settings.window_rule == "always" else None
        read = self.train.read_changed(rows, self.augmentation, moving, rng)
        return self._batch(read, self.train_classes[rows])

    def validation_batches(self, rank: int, world: int) -> Iterator[Batch]:
        """Every validation utterance once."""
        batches = list(equal_length_batches(self.validation.windows.width, self.settings.batch_size))
        for rows in batches[rank::world]:
            yield self._batch(self.validation.read(rows), self.validation_classes[rows])

    def loss(self, head: TaskHead, features: Tensor, batch: Batch) -> Tensor:
        """Sum of the (class-weighted) cross-entropies."""
        logits = head(features, batch.targets["within"]).float()
        losses = F.cross_entropy(logits, batch.targets["class"], reduction="none")
        return (losses * batch.targets["class_weight"]).sum()

    def tally(self, head: TaskHead, features: Tensor, batch: Batch) -> NDArray[np.float64]:
        """Loss, and how often each class was taken for each."""
        logits = head(features, batch.targets["within"]).float()
        truth = batch.targets["class"]
        loss = F.cross_entropy(logits, truth, reduction="sum").item()
        classes = len(self.labels)
        pairs = (truth * classes + logits.argmax(dim=-1)).cpu().numpy()
        return np.concatenate([[loss], np.bincount(pairs, minlength=classes**2)])

    def conclude(self, tally: NDArray[np.float64]) -> Validation:
        """F1 of every class and their mean; a class that never occurs counts in nothing but its false alarms."""
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
        """Context, as inference must repeat it."""
        rule = self.settings.window_rule
        pooling: Pooling = "published" if rule == "published" else "utterance"
        return {"context_s": self.settings.context_s, "window_rule": rule, "pooling": pooling}

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


def _is_adult(row: SourceRow, settings: AddresseeSettings) -> bool:
    voice = next((row.fields[name] for name in VOICES if name in row.fields), None)
    return voice is None or voice in settings.adults


def _material(
    rows: Sequence[Row], settings: AddresseeSettings, relabel: Relabel, cache: Path, left_out: LeftOut
) -> tuple[Utterances, NDArray[np.int64]]:
    names = (settings.column,) if settings.column else COLUMNS
    kept: list[Row] = []
    classes: list[int] = []
    for row in rows:
        value = column_of(row.row.fields, names, row.name)
        label = relabel(value, row.name) if value else None
        seconds = None if row.row.end is None else samples_to_seconds(row.row.end - row.row.start)
        if not value:
            left_out.add("no addressee given", row.name)
        elif label is None:
            left_out.add(f"addressee {value} is mapped to nothing", row.name)
        elif seconds is not None and not settings.shortest_s < seconds < settings.longest_s:
            left_out.add(f"not between {settings.shortest_s:g} and {settings.longest_s:g} s long", row.name)
        else:
            kept.append(row)
            classes.append(settings.labels.index(label))
    if not kept:
        raise AnnotationError(f"no adult utterance with an addressee is left ({left_out})")
    context = seconds_to_samples(settings.context_s)

    def place(start: Samples, end: Samples, length: Samples) -> Windows:
        if settings.window_rule == "published":
            return windows_by(addressee_window, start, end, length, context)
        return windows_with_context(start, end, length, context)

    utterances = Utterances.place(kept, build_store(kept, cache), place)
    return utterances, np.array(classes, dtype=np.int64)
