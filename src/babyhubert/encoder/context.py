"""Window settings of each task: the context that training chose and inference must repeat.

A model folder's ``task.json`` may store them, under the task's name or, for a model with several heads, under
``shared``: ``"addressee": {"context_s": 10.0}``, ``"phonemes": {"context_s": 20.0, "normalise": false}``, ``"shared":
{"context_s": 20.0, "overlap": 0.5}``. Values that are not stored are as published, except for the pooling of
addressees: the utterance's own frames are pooled unless the file has ``"addressee": {"pooling": "published"}``, as
converted checkpoints of the published layout do.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from babyhubert.encoder.flavours.layout import HeadKind
from babyhubert.errors import CheckpointError

Pooling = Literal["utterance", "published"]
"""Frames whose mean decides the addressee. ``utterance``: those of the utterance. ``published``: from the window's
first frame on, as many as lie between the utterance's onset and the window's end. The published data set class
computes the latter although its comments describe the utterance, so the released weights were probably trained with
it.
"""
POOLINGS: tuple[Pooling, ...] = ("utterance", "published")

SHARED = "shared"
"""Key of ``task.json`` for the settings that all heads of a model share."""

WINDOWS, OWN = "windows", "own"
"""Key and value of ``task.json`` for heads with windows of their own, such as those of joined models."""


@dataclass(frozen=True)
class WindowSettings:
    """Window settings of a head.

    Attributes:
        context_s: Length of the window, in seconds.
        overlap: Fraction of a window shared with its neighbour when a complete recording is processed.
        normalise: True if each window is normalised to zero mean and unit variance before the encoder.
        shared: True if all heads of the model use the same windows, so that one pass serves them.
        pooling: Frames whose mean decides the addressee.
        in_quiet: True if a recording shorter than a window is placed in one with faint noise around it, and the last
            window of a longer one is moved back to full length, so that every window is as long as in training.
    """

    context_s: float
    overlap: float
    normalise: bool = False
    shared: bool = False
    pooling: Pooling = "utterance"
    in_quiet: bool = False


PUBLISHED_WINDOW_SETTINGS: dict[HeadKind, WindowSettings] = {
    "frames": WindowSettings(4.0, 0.75),
    "classification": WindowSettings(10.0, 0.5),
    "ctc": WindowSettings(20.0, 0.5),
}
"""Windows of VTC 2.2, Addressee and BabAR, by kind. The overlap of the latter two is a choice of this package: windows
overlap by half, so every frame has at least a quarter of a window on either side. (BabAR itself normalises; its
checkpoints store that.)
"""


def window_settings_of(card: Mapping[str, Any], heads: Mapping[str, HeadKind]) -> dict[str, WindowSettings]:
    """Return the window settings of each head of a model.

    Heads of one model share their windows, so that one pass of the encoder serves them all: the longest context of any
    head, half overlapping, unless the card says otherwise. Heads that differ in normalisation share no windows, nor do
    those of a card with :func:`own_windows`.

    Args:
        card: The model's ``task.json``.
        heads: Kinds of its heads, by name.

    Raises:
        CheckpointError: the card holds an impossible value.
    """
    own = {head: _overlaid(PUBLISHED_WINDOW_SETTINGS[kind], card, head) for head, kind in heads.items()}
    if (
        card.get(WINDOWS) == OWN
        or len(own) < 2
        or len({window_settings.normalise for window_settings in own.values()}) > 1
    ):
        return own
    longest = max(own.values(), key=lambda window_settings: window_settings.context_s)
    together = _overlaid(replace(longest, overlap=0.5, shared=True), card, SHARED)
    return {head: replace(together, pooling=window_settings.pooling) for head, window_settings in own.items()}


def own_windows(card: Mapping[str, Any], heads: Mapping[str, HeadKind], kept: Collection[str]) -> dict[str, Any]:
    """Entries of a card that give heads the windows they have in this model, whatever other heads join them.

    Args:
        card: The model's ``task.json``.
        heads: Kinds of all its heads, by name.
        kept: Those to write entries for.

    Raises:
        CheckpointError: the card holds an impossible value.
    """
    settings = window_settings_of(card, heads)
    return {WINDOWS: OWN, **{head: {**card.get(head, {}), **asdict(settings[head])} for head in kept}}


def _overlaid(default: WindowSettings, card: Mapping[str, Any], name: str) -> WindowSettings:
    given = card.get(name, {})
    known = {field.name for field in fields(WindowSettings)} - ({SHARED} if card.get(WINDOWS) != OWN else set())
    if not isinstance(given, Mapping):
        raise CheckpointError(f"task.json: {name!r} must be a table of settings, not {given!r}")
    settings = {key: value for key, value in given.items() if key in known}
    for key in ("context_s", "overlap"):
        value = settings.get(key, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise CheckpointError(f"task.json: {name}.{key} is {value!r}: a number is needed")
    for key in ("normalise", "in_quiet", SHARED):
        if not isinstance(settings.get(key, False), bool):
            raise CheckpointError(f"task.json: {name}.{key} is {settings[key]!r}: true or false")
    if settings.get("pooling", POOLINGS[0]) not in POOLINGS:
        raise CheckpointError(f"task.json: {name}.pooling is {settings['pooling']!r}: {' or '.join(POOLINGS)}")
    return replace(default, **settings)
