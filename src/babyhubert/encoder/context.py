"""How much of a recording a model hears at once, task by task: what training chose and inference must repeat.

A model folder's ``task.json`` may say it, under the task's name or, for a model with several heads, under ``shared``:
``"addressee": {"context_s": 10.0}``, ``"phonemes": {"context_s": 20.0, "normalise": false}``,
``"shared": {"context_s": 20.0, "overlap": 0.5}``. What it does not say is as published, but for the pooling of
addressees: without ``"addressee": {"pooling": "published"}``, which checkpoints in the published layout bring, the
utterance's own frames are pooled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from babyhubert.encoder.flavours.layout import HeadKind
from babyhubert.errors import CheckpointError

Pooling = Literal["utterance", "published"]
"""Frames whose mean decides the addressee. ``utterance``: those of the utterance. ``published``: from the window's
first frame on, for as long as the window's end is away from the utterance's onset; so the published data set class
computes, though its comments speak of the utterance, and so the released weights were probably trained."""
POOLINGS: tuple[Pooling, ...] = ("utterance", "published")

SHARED = "shared"
"""Key of ``task.json`` for what all heads of a model share."""


@dataclass(frozen=True)
class Listening:
    """What a model hears at once.

    Attributes:
        context_s: Length of its window, in seconds.
        overlap: Share of a window that neighbours have in common when a whole recording is run.
        normalise: Whether each window is brought to zero mean and unit variance before the encoder.
        shared: Whether all heads of the model hear the same windows, so that one pass serves them.
        pooling: Frames that decide an addressee.
    """

    context_s: float
    overlap: float
    normalise: bool = False
    shared: bool = False
    pooling: Pooling = "utterance"


PUBLISHED_LISTENING: dict[HeadKind, Listening] = {
    "frames": Listening(4.0, 0.75),
    "classification": Listening(10.0, 0.5),
    "ctc": Listening(20.0, 0.5),
}
"""Windows of VTC 2.2, Addressee and BabAR, by kind. For the latter two the overlap is ours: with half a window in
common, every frame has at least a quarter of a window on either side. (BabAR itself normalises; its checkpoints say
so.)"""


def listening_of(card: Mapping[str, Any], heads: Mapping[str, HeadKind]) -> dict[str, Listening]:
    """How each head of a model listens.

    Heads of one model share their windows (the longest context any of them wants, half overlapping, unless the card
    says otherwise): one pass of the encoder then serves them all. A model whose heads disagree on normalisation shares
    nothing.

    Args:
        card: The model's ``task.json``.
        heads: Kinds of its heads, by name.

    Raises:
        CheckpointError: the card holds an impossible value.
    """
    own = {head: _overlaid(PUBLISHED_LISTENING[kind], card, head) for head, kind in heads.items()}
    if len(own) < 2 or len({listening.normalise for listening in own.values()}) > 1:
        return own
    longest = max(own.values(), key=lambda listening: listening.context_s)
    together = _overlaid(replace(longest, overlap=0.5, shared=True), card, SHARED)
    return {head: replace(together, pooling=listening.pooling) for head, listening in own.items()}


def _overlaid(default: Listening, card: Mapping[str, Any], name: str) -> Listening:
    given = card.get(name, {})
    known = {field.name for field in fields(Listening)} - {SHARED}
    if not isinstance(given, Mapping):
        raise CheckpointError(f"task.json: {name!r} must be a table of settings, not {given!r}")
    settings = {key: value for key, value in given.items() if key in known}
    for key in ("context_s", "overlap"):
        value = settings.get(key, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise CheckpointError(f"task.json: {name}.{key} is {value!r}: a number is needed")
    if not isinstance(settings.get("normalise", False), bool):
        raise CheckpointError(f"task.json: {name}.normalise is {settings['normalise']!r}: true or false")
    if settings.get("pooling", POOLINGS[0]) not in POOLINGS:
        raise CheckpointError(f"task.json: {name}.pooling is {settings['pooling']!r}: {' or '.join(POOLINGS)}")
    return replace(default, **settings)
