"""Description of a checkpoint layout: names of the encoder's parameters, their prefix, and further contents.

The canonical names are transformers' `HubertModel` names. A layout translates them both ways, together with the
pre-training parameters and the head it can store; each family of published checkpoints is one instance, in the module
named after it. Reading removes every known key from the file's dict, so the keys that remain are unexpected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

WEIGHT_NORM = "encoder.pos_conv_embed.conv.parametrizations.weight.original"
_OLD_WEIGHT_NORM = {"weight_g": WEIGHT_NORM + "0", "weight_v": WEIGHT_NORM + "1"}

LAYER_WEIGHTS = "layer_weights"
"""Name of a head's tensor whose softmax weights the outputs of the encoder's blocks."""

MASK_EMBEDDING = "mask_embedding"
LABEL_EMBEDDINGS = "label_embeddings"
SPECIAL_LABEL_EMBEDDINGS = "special_label_embeddings"
PRETRAINING = (MASK_EMBEDDING, "final_proj.weight", "final_proj.bias", LABEL_EMBEDDINGS)
"""Canonical names of the parameters of masked prediction."""


HeadKind = Literal["frames", "classification", "ctc"]
"""``frames``: outputs for every frame. ``classification``: one class per utterance. ``ctc``: symbols of an utterance.
"""
HEAD_KINDS: tuple[HeadKind, ...] = ("frames", "classification", "ctc")

PUBLISHED_KINDS: dict[str, HeadKind] = {
    "voice_type": "frames",
    "addressee": "classification",
    "phonemes": "ctc",
    "ctc": "ctc",
}
"""Kinds of the published tasks and of letters (`HubertForCTC`), for files that store only the task's name."""


@dataclass(frozen=True)
class Head:
    """Output layers of one task.

    Attributes:
        labels: Meaning of each output, in the order of the rows of the last weight.
        tensors: Parameters under the canonical names of the kind.
        kind: Shape of the head and use of its outputs.
        block: Number of the encoder's block whose output the head takes, from 1; with `layer_weights`, the last of the
            blocks it mixes. None: the encoder's last.
    """

    labels: tuple[str, ...]
    tensors: dict[str, Tensor]
    kind: HeadKind
    block: int | None = None


@dataclass(frozen=True)
class Contents:
    """A file's tensors under canonical names, and the keys that are missing or unexpected, in the file's names."""

    encoder: dict[str, Tensor]
    pretraining: dict[str, Tensor]
    heads: dict[str, Head]
    missing: list[str]
    unexpected: list[str]
    unused: dict[str, Any]


class Naming(Protocol):
    """Translation of an encoder's parameter names. Old weight-norm names are handled by the caller."""

    def canonical(self, name: str) -> str | None:
        """The transformers name, or None for a name this family does not have."""

    def foreign(self, name: str) -> str:
        """This family's name for a transformers name."""


class HeadLayout(Protocol):
    """Storage of one task's head in a family of checkpoints."""

    @property
    def task(self) -> str:
        """Name of the task."""

    def take(self, tensors: dict[str, Tensor]) -> tuple[Head | None, list[str]]:
        """Remove the head's tensors from the dict; return the head (None if incomplete) and the missing keys."""

    def give(self, head: Head) -> dict[str, Tensor]:
        """Return the head's tensors under the family's keys."""


@dataclass(frozen=True)
class NamedHead:
    """A head whose tensors are renamed one by one and whose labels are published beside the weights."""

    task: str
    labels: tuple[str, ...]
    keys: Mapping[str, str]

    def take(self, tensors: dict[str, Tensor]) -> tuple[Head | None, list[str]]:
        """See :class:`HeadLayout`."""
        missing = [key for key in self.keys.values() if key not in tensors]
        found = {name: tensors.pop(key) for name, key in self.keys.items() if key in tensors}
        return (None if missing else Head(self.labels, found, PUBLISHED_KINDS[self.task])), missing

    def give(self, head: Head) -> dict[str, Tensor]:
        """See :class:`HeadLayout`."""
        return {key: head.tensors[name] for name, key in self.keys.items()}


@dataclass(frozen=True)
class HeadPerLabel:
    """A head stored as one linear output for each label, `<prefix><LABEL>.weight` (1, D) and `.bias` (1,)."""

    task: str
    prefix: str
    order: tuple[str, ...]

    def take(self, tensors: dict[str, Tensor]) -> tuple[Head | None, list[str]]:
        """See :class:`HeadLayout`. Published labels come first in their published order, then others by name."""
        keys = [key for key in tensors if key.startswith(self.prefix)]
        found = {key.removeprefix(self.prefix).rpartition(".")[0] for key in keys}
        labels = [label for label in self.order if label in found] + sorted(found - set(self.order))
        names = [f"{self.prefix}{label}.{kind}" for label in labels for kind in ("weight", "bias")]
        missing = [name for name in names if name not in tensors]
        if missing or not labels:
            return None, missing
        weight = torch.cat([tensors.pop(name) for name in names[0::2]])
        bias = torch.cat([tensors.pop(name) for name in names[1::2]])
        return Head(tuple(labels), {"weight": weight, "bias": bias}, PUBLISHED_KINDS[self.task]), []

    def give(self, head: Head) -> dict[str, Tensor]:
        """See :class:`HeadLayout`."""
        given = {}
        for row, label in enumerate(head.labels):
            for kind in ("weight", "bias"):
                given[f"{self.prefix}{label}.{kind}"] = head.tensors[kind][row : row + 1].clone()
        return given


@dataclass(frozen=True)
class Layout:
    """A published layout.

    Attributes:
        name: Name on the command line.
        naming: Names of the encoder's parameters.
        prefix: Prefix of those names.
        signature: The layout is recognised when each of these begins some key.
        wrapper: Prefix of every key of a file that this package writes ("model." in most Lightning files).
        envelope: Key of the file's dict that holds the tensors.
        pretraining: The layout's keys for the canonical pre-training parameters it can store.
        requires: Canonical pre-training parameters that must be present.
        head: The head it has, or None.
        unused: Keys that published files hold and no published code reads, and a value to write when there is none.
        dropouts: Regularisation its models were trained with, where it differs from the default.
        special_label_rows: Rows at the top of the label embeddings that belong to no unit.
        hyper_parameters: Settings its published reader builds the model from, beside the weights.
        reader_size: Size of the one encoder that its published reader builds; None: it builds any.
        task_settings: Window settings of its models where they differ from the published ones; stored in `task.json`.
    """

    name: str
    naming: Naming
    prefix: str
    signature: tuple[str, ...]
    wrapper: str = ""
    envelope: Literal["state_dict", "model"] = "state_dict"
    pretraining: Mapping[str, str] = field(default_factory=dict)
    requires: Collection[str] = ()
    head: HeadLayout | None = None
    unused: Mapping[str, Callable[[int], Tensor]] = field(default_factory=dict)
    dropouts: Mapping[str, float] = field(default_factory=dict)
    special_label_rows: int = 0
    hyper_parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reader_size: str | None = None
    task_settings: Mapping[str, Any] = field(default_factory=dict)

    def recognises(self, keys: Collection[str]) -> bool:
        """True if these keys, without wrappers, have the signature of this layout."""
        return all(any(key.startswith(start) for key in keys) for start in self.signature)

    def key(self, canonical: str) -> str:
        """Return the file's key of a parameter of the encoder."""
        return self.prefix + self.naming.foreign(canonical)

    def read(self, tensors: Mapping[str, Tensor]) -> Contents:
        """Translate a file's tensors, wrappers already removed."""
        left = dict(tensors)
        unused = {key: left.pop(key).tolist() for key in self.unused if key in left}
        pretraining = {name: left.pop(key) for name, key in self.pretraining.items() if key in left}
        missing = [] if len(pretraining) < 2 else [k for n, k in self.pretraining.items() if n not in pretraining]
        self._split_labels(pretraining)
        heads = {}
        if self.head is not None:
            head, absent = self.head.take(left)
            missing += absent
            heads = {} if head is None else {self.head.task: head}
        encoder = {}
        for key in list(left):
            name = self._canonical(key)
            if name is not None and name not in encoder:
                encoder[name] = left.pop(key)
        return Contents(encoder, pretraining, heads, missing, list(left), unused)

    def write(
        self,
        encoder: Mapping[str, Tensor],
        pretraining: Mapping[str, Tensor],
        heads: Mapping[str, Head],
        unused: Mapping[str, Any],
    ) -> dict[str, Tensor]:
        """Return the file's tensors, without those that the layout cannot store: check for these first."""
        written = {self.key(name): tensor for name, tensor in encoder.items()}
        for name, key in self.pretraining.items():
            if name in pretraining:
                written[key] = pretraining[name]
        if self.special_label_rows and LABEL_EMBEDDINGS in pretraining:
            written[self.pretraining[LABEL_EMBEDDINGS]] = self._join_labels(pretraining)
        layers = len({name.split(".")[2] for name in encoder if name.startswith("encoder.layers.")})
        for key, default in self.unused.items():
            written[key] = torch.tensor(unused[key]) if key in unused else default(layers)
        if self.head is not None and self.head.task in heads:
            written.update(self.head.give(heads[self.head.task]))
        return {self.wrapper + key: tensor.contiguous() for key, tensor in written.items()}

    def _canonical(self, key: str) -> str | None:
        if not key.startswith(self.prefix):
            return None
        name = self.naming.canonical(key.removeprefix(self.prefix))
        if name is not None and name.startswith("encoder.pos_conv_embed.conv."):
            return _OLD_WEIGHT_NORM.get(name.rpartition(".")[2], name)
        return name

    def _split_labels(self, pretraining: dict[str, Tensor]) -> None:
        if self.special_label_rows and LABEL_EMBEDDINGS in pretraining:
            rows = pretraining[LABEL_EMBEDDINGS]
            pretraining[LABEL_EMBEDDINGS] = rows[self.special_label_rows :].clone()
            pretraining[SPECIAL_LABEL_EMBEDDINGS] = rows[: self.special_label_rows].clone()

    def _join_labels(self, pretraining: Mapping[str, Tensor]) -> Tensor:
        labels = pretraining[LABEL_EMBEDDINGS]
        special = pretraining.get(SPECIAL_LABEL_EMBEDDINGS)
        if special is None:
            special = labels.new_zeros(self.special_label_rows, labels.shape[1])
        return torch.cat([special, labels])


@dataclass(frozen=True)
class Renaming:
    """A :class:`Naming` made of ordered rewrite rules: (foreign pattern, canonical text), regular expressions.

    `forward` turns foreign into canonical, `backward` the reverse; the first rule that matches the complete name
    applies.
    """

    forward: tuple[tuple[str, str], ...]
    backward: tuple[tuple[str, str], ...]

    def canonical(self, name: str) -> str | None:
        """See :class:`Naming`."""
        return _first_match(self.forward, name)

    def foreign(self, name: str) -> str:
        """See :class:`Naming`."""
        renamed = _first_match(self.backward, name)
        if renamed is None:
            raise KeyError(name)
        return renamed


def _first_match(rules: tuple[tuple[str, str], ...], name: str) -> str | None:
    for pattern, replacement in rules:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(replacement)
    return None
