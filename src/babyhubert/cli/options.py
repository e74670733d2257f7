"""Options that several commands share, worded once, and the checks of their values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from babyhubert.errors import ConfigError
from babyhubert.timebase import seconds_to_samples

if TYPE_CHECKING:
    from babyhubert.inference.speed import Speed

OutputOption = Annotated[
    Path, typer.Option("-o", "--output", help="Folder for the results; created if needed.", show_default=False)
]
ChannelOption = Annotated[
    str,
    typer.Option(help="Choice among several channels: mean, first, loudest, or a number from 0.", metavar="CHOICE"),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
SPEED_NAMES: tuple[Speed, ...] = ("exact", "balanced", "fast")
SpeedOption = Annotated[
    str,
    typer.Option(
        help="exact: as published. balanced and fast: less overlap, and the fastest arithmetic this "
        "machine has hardware for; docs/speed.md has the accuracy of each.",
        metavar="MODE",
    ),
]
ThresholdsOption = Annotated[
    str,
    typer.Option(
        help="f1, high-precision, or another set of the model (playroom: high-recall); if it has "
        "none, those published with VTC 2.1. Or a TOML (or YAML) file with one table per class.",
        metavar="SET|FILE",
    ),
]
UemOption = Annotated[
    Path | None,
    typer.Option(help="UEM file: only these stretches of these recordings count. Default: all.", metavar="FILE"),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Compute everything again, including complete results.")]
SeedOption = Annotated[int, typer.Option(help="Seed of the resamples.", min=0, max=2**63 - 1)]


ChoiceT = TypeVar("ChoiceT", bound=str)


def check_choice(option: str, value: str, choices: tuple[ChoiceT, ...]) -> ChoiceT:
    """Return the value if it is one of the choices.

    Raises:
        ConfigError: it is not; the message names them.
    """
    for choice in choices:
        if choice == value:
            return choice
    raise ConfigError(f"{option} {value}: one of {', '.join(choices)}")


_LONGEST_DURATION_S = 86_400
"""Limit of a segment or gap: a day."""


def duration_samples(option: str, seconds: float) -> int:
    """Convert a duration to samples.

    Raises:
        ConfigError: negative or not a number.
    """
    if not 0 <= seconds <= _LONGEST_DURATION_S:
        raise ConfigError(f"{option} {seconds}: a duration in seconds, 0 to {_LONGEST_DURATION_S}")
    return seconds_to_samples(seconds)


def checked_probability(option: str, probability: float | None) -> float | None:
    """Return a probability, or None if none was given.

    Raises:
        ConfigError: not between 0 and 1.
    """
    if probability is not None and not 0 <= probability <= 1:
        raise ConfigError(f"{option} {probability}: a probability between 0 and 1 is needed, such as 0.5")
    return probability


TaskOption = Annotated[
    str | None,
    typer.Option(help="Task of the model, if it has several of this kind.", show_default=False),
]
