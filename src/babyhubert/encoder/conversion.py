"""Conversion of a checkpoint between layouts, verified by reading the copy back and comparing it bit by bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from babyhubert.encoder.canonical import Head
from babyhubert.encoder.checkpoints import Checkpoint, left_out, read_checkpoint, write_checkpoint
from babyhubert.encoder.config import SIZES
from babyhubert.encoder.ctc_vocabulary import VOCABULARY
from babyhubert.encoder.flavours import WRITABLE
from babyhubert.encoder.heads import is_unlabelled
from babyhubert.encoder.loading import load_checkpoint
from babyhubert.errors import CheckpointError, OutputError


@dataclass(frozen=True)
class Conversion:
    """Result of a conversion.

    Attributes:
        source: The checkpoint as it was read.
        flavour: Layout written.
        left_out: Names of parameters the layout cannot store, and of dropped heads.
        verified: Number of tensors read back and found equal.
        notes: Differences between the original and what the layout's published reader makes of the copy, if any.
    """

    source: Checkpoint
    flavour: str
    left_out: tuple[str, ...]
    verified: int
    notes: tuple[str, ...] = ()


def convert_checkpoint(
    source: str | Path,
    destination: str | Path,
    flavour: str,
    *,
    half: bool = False,
    thresholds: Mapping[str, Mapping[str, float]] | None = None,
    simultaneous: float | None = None,
    confidence: Mapping[str, Any] | None = None,
    allow_loss: bool = False,
    overwrite: bool = False,
) -> Conversion:
    """Read a checkpoint (file, folder or hub name), write it as `flavour`, and verify what was written.

    Args:
        source: What to read.
        destination: A folder for `transformers`, a file otherwise.
        flavour: One of `babyhubert.encoder.flavours.FLAVOURS`.
        half: Store floating point tensors as float16, half as large as float32: 11 bits of each number are kept.
        thresholds: Sets of voice-type thresholds by name, each by class, to store in the model folder; they replace
            stored sets of the same name.
        simultaneous: Probability that a voice type needs beside a likelier one, 0 to 1, to store in the model folder.
        confidence: Meaning of segments' scores (the content of `confidence.json`), to store in the model folder.
        allow_loss: Drop parameters that the layout cannot store, and CTC outputs whose symbols are not known.
        overwrite: Replace an existing destination.

    Raises:
        CheckpointError: the source cannot be read, the layout cannot hold it, a weight is beyond float16, thresholds
            are for other classes, or the copy differs.
        OutputError: the destination exists, or cannot be written.
    """
    destination = Path(destination)
    if destination.exists() and not overwrite:
        raise OutputError(f"{destination}: exists already; choose another place, or overwrite it", option="--force")
    if destination.is_dir() and flavour != "transformers":
        raise OutputError(f"{destination}: is a folder, and the {flavour} layout is one file; name a file in it")
    read = load_checkpoint(source)
    checkpoint = _with_labels(read, source, allow_loss)
    dropped = [f"the {task} head" for task in read.heads if task not in checkpoint.heads]
    if half:
        checkpoint = halved(checkpoint)
    if flavour != "transformers":
        entries = {"thresholds": thresholds or None, "rules for overlap": simultaneous, "confidences": confidence}
        for what, entry in entries.items():
            if entry is not None:
                raise CheckpointError(f"the {flavour} layout has no room for {what}; write 'transformers'")
    if thresholds:
        checkpoint = with_thresholds(checkpoint, thresholds)
    if simultaneous is not None:
        checkpoint = with_simultaneous(checkpoint, simultaneous)
    if confidence is not None:
        checkpoint = with_confidence(checkpoint, confidence)
    write_checkpoint(checkpoint, destination, flavour, allow_loss=allow_loss)
    lost = left_out(checkpoint, flavour)
    copy = read_checkpoint(destination)
    verified = _verify(checkpoint, copy, set(lost), destination)
    _verify_hyper_parameters(copy, flavour, destination)
    return Conversion(checkpoint, flavour, (*dropped, *lost), verified, tuple(_reader_notes(checkpoint, flavour)))


def _with_labels(checkpoint: Checkpoint, source: str | Path, allow_loss: bool) -> Checkpoint:
    """The checkpoint, if the meaning of every output is known; with ``allow_loss``, without the outputs of others.

    Raises:
        CheckpointError: outputs of a CTC model without its vocabulary.
    """
    unlabelled = [task for task, head in checkpoint.heads.items() if is_unlabelled(head)]
    if unlabelled and not allow_loss:
        raise CheckpointError(
            f"{source}: no {VOCABULARY} beside this CTC model, so nobody knows the symbols of its outputs; save its "
            "tokenizer in the same folder (processor.save_pretrained), or drop the outputs",
            option="--allow-loss",
        )
    heads = {task: head for task, head in checkpoint.heads.items() if task not in unlabelled}
    return replace(checkpoint, heads=heads)


def halved(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint with float16 tensors. Every reader of this package computes with float32 made from them.

    Raises:
        CheckpointError: a weight is too large for float16.
    """

    def rounded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        small = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
        for name, tensor in small.items():
            if not torch.isfinite(tensor).all():
                raise CheckpointError(
                    f"{name} has weights beyond 65504, which float16 cannot hold; keep float32",
                    option="without --half",
                )
        return small

    heads = {task: replace(head, tensors=rounded(head.tensors)) for task, head in checkpoint.heads.items()}
    return replace(
        checkpoint, encoder=rounded(checkpoint.encoder), pretraining=rounded(checkpoint.pretraining), heads=heads
    )


def with_thresholds(checkpoint: Checkpoint, sets: Mapping[str, Mapping[str, float]]) -> Checkpoint:
    """Return the checkpoint with sets of voice-type thresholds, by name, added or replaced.

    Raises:
        CheckpointError: the model has no voice types, or other classes than a set of thresholds.
    """
    head = _head_of_frames(checkpoint, "thresholds")
    for name, values in sets.items():
        if set(values) != set(head.labels):
            raise CheckpointError(
                f"thresholds '{name}' are for {', '.join(values)}; this model's classes are {', '.join(head.labels)}"
            )
    ordered = {name: {label: values[label] for label in head.labels} for name, values in sets.items()}
    stored = checkpoint.metadata.get("task", {}).get("thresholds", {})
    return _with_entry(checkpoint, "thresholds", {**stored, **ordered})


def with_simultaneous(checkpoint: Checkpoint, probability: float) -> Checkpoint:
    """Return the checkpoint with the probability that a voice type needs beside a likelier one.

    Raises:
        CheckpointError: the model has no voice types.
    """
    _head_of_frames(checkpoint, "rules for overlap")
    return _with_entry(checkpoint, "simultaneous", probability)


def with_confidence(checkpoint: Checkpoint, record: Mapping[str, Any]) -> Checkpoint:
    """Return the checkpoint with the meaning of its segments' scores.

    Raises:
        CheckpointError: the model has no voice types, or other classes.
    """
    head = _head_of_frames(checkpoint, "confidences")
    if set(record["classes"]) != set(head.labels):
        raise CheckpointError(
            f"confidences are for {', '.join(record['classes'])}; this model's classes are {', '.join(head.labels)}"
        )
    return _with_entry(checkpoint, "confidence", dict(record))


def _head_of_frames(checkpoint: Checkpoint, what: str) -> Head:
    """The head of voice types, to which `what` belongs."""
    head = next((each for each in checkpoint.heads.values() if each.kind == "frames"), None)
    if head is None:
        raise CheckpointError(f"{what} are of voice types, and this model does not tell them")
    return head


def _with_entry(checkpoint: Checkpoint, name: str, value: object) -> Checkpoint:
    """The checkpoint with another value in its card."""
    task = {**checkpoint.metadata.get("task", {}), name: value}
    return replace(checkpoint, metadata={**checkpoint.metadata, "task": task})


def _verify(source: Checkpoint, copy: Checkpoint, lost: set[str], destination: Path) -> int:
    if not source.config.same_shapes(copy.config):
        raise CheckpointError(f"{destination}: reads back as another kind of encoder; do not use this file")
    copied = dict(_tensors(copy))
    kept = [(name, tensor) for name, tensor in _tensors(source) if _owner(name) not in lost]
    for name, tensor in kept:
        if name not in copied or not torch.equal(tensor, copied[name]):
            raise CheckpointError(f"{destination}: {name} does not read back as it was; do not use this file")
    for task, head in source.heads.items():
        if task in copy.heads and copy.heads[task].labels != head.labels:
            raise CheckpointError(f"{destination}: labels of the {task} head changed; do not use this file")
    return len(kept)


def _verify_hyper_parameters(copy: Checkpoint, flavour: str, destination: Path) -> None:
    needed = WRITABLE[flavour].hyper_parameters if flavour in WRITABLE else {}
    written = copy.metadata.get("hyper_parameters", {})
    for group, values in needed.items():
        found = written.get(group)
        lacking = [group] if found is None else [f"{group}.{name}" for name in values if name not in found]
        if lacking:
            raise CheckpointError(
                f"{destination}: lacks {', '.join(lacking)}, without which the published reader cannot open it"
            )


def _reader_notes(checkpoint: Checkpoint, flavour: str) -> Iterator[str]:
    """Notes on what the published reader of a layout needs and the written file lacks."""
    layout = WRITABLE.get(flavour)
    if layout is None:
        return
    if layout.reader_size is not None and not checkpoint.config.same_shapes(SIZES[layout.reader_size]):
        yield (
            f"the published reader of the {flavour} layout builds a {layout.reader_size} encoder only: it cannot open "
            "this one; this package can"
        )
    task = checkpoint.metadata.get("task", {})
    for head in layout.task_settings.keys() & checkpoint.heads.keys():
        for name, value in layout.task_settings[head].items():
            # A model that does not say its context has the published one.
            own = task.get(head, {}).get(name, value if name == "context_s" else None)
            if own != value:
                says = "does not say so" if own is None else f"says {own!r}"
                yield f"the published reader takes {head}.{name} to be {value!r}; this model's task.json {says}"


def _tensors(checkpoint: Checkpoint) -> Iterator[tuple[str, Tensor]]:
    yield from checkpoint.encoder.items()
    yield from ((f"pretraining.{name}", tensor) for name, tensor in checkpoint.pretraining.items())
    for task, head in checkpoint.heads.items():
        yield from ((f"heads.{task}.{name}", tensor) for name, tensor in head.tensors.items())


def _owner(name: str) -> str:
    """Name of the head or part that a tensor belongs to, as :func:`left_out` gives it."""
    group, _, rest = name.partition(".")
    if group == "pretraining":
        return rest
    return f"the {rest.partition('.')[0]} head" if group == "heads" else name
