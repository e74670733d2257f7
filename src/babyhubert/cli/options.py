"""Options that several commands share, worded once, and the checks of their values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from babyhubert.errors import ConfigError
from babyhubert.timebase import seconds_to_samples

if TYPE_CHECKING:
    from babyhubert.inference.speed import Speed

_MANY = "Many recordings"

AudioArgument = Annotated[
    list[Path],
    typer.Argument(
        help="Recordings: any mix of files and folders (searched with their sub-folders), any format and rate.",
        metavar="AUDIO...",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Path, typer.Option("-o", "--output", help="Folder for the results; made when absent.", show_default=False)
]
ChannelOption = Annotated[
    str,
    typer.Option(help="What to take of several channels: mean, first, loudest, or a number from 0.", metavar="CHOICE"),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(help="Windows in one call of the model. Default: from the device and the model's size.", min=1),
]
SPEED_NAMES: tuple[Speed, ...] = ("exact", "balanced", "fast")
SpeedOption = Annotated[
    str,
    typer.Option(
        help="exact: as published. balanced and fast: less overlap, and the fastest arithmetic this machine has "
        "hardware for; docs/speed.md tells what each costs.",
        metavar="MODE",
    ),
]
ThresholdsOption = Annotated[
    str,
    typer.Option(
        help="f1, high-precision, or another set that the model brings (playroom-nano: high-recall); where it brings "
        "none, those published with VTC 2.1. Or a TOML (or YAML) file with one table a class.",
        metavar="SET|FILE",
    ),
]
UemOption = Annotated[
    Path | None,
    typer.Option(help="UEM file: only these stretches of these recordings count. Default: all.", metavar="FILE"),
]
BootstrapOption = Annotated[
    int, typer.Option(help="Resamples of recordings for the intervals; 0: no intervals.", min=0)
]
SeedOption = Annotated[int, typer.Option(help="Decides the resamples.", min=0, max=2**63 - 1)]
ConfidenceOption = Annotated[float, typer.Option(help="Share of the resamples within an interval.")]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        help="Processes that share the recordings out, each with its share of the cores and one GPU where there are "
        "any. Default: this one alone. Needs the 'cluster' extra.",
        metavar="N",
        rich_help_panel=_MANY,
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        help="Give the recordings to the workers of a Dask scheduler that runs already, such as tcp://node1:8786.",
        metavar="ADDRESS",
        rich_help_panel=_MANY,
    ),
]
SlurmOption = Annotated[
    Path | None,
    typer.Option(
        help="Give the recordings to jobs of a SLURM queue, described in a TOML file (configs/slurm.toml is one to "
        "fill in); --workers then says how many.",
        metavar="FILE",
        rich_help_panel=_MANY,
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        help="Do only the I-th of N parts (1/4 to 4/4), for any queue that starts N commands, at once or one after "
        "the other; then run 'babyhubert merge' on the output.",
        metavar="I/N",
        rich_help_panel=_MANY,
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Compute everything again, also what is complete.")]


ChoiceT = TypeVar("ChoiceT", bound=str)


def check_choice(option: str, value: str, choices: tuple[ChoiceT, ...]) -> ChoiceT:
    """The value, if it is one of the choices.

    Raises:
        ConfigError: it is not; the message names them.
    """
    for choice in choices:
        if choice == value:
            return choice
    raise ConfigError(f"{option} {value}: one of {', '.join(choices)}")


_LONGEST_DURATION_S = 86_400
"""Of a segment or gap: a day."""


def duration_samples(option: str, seconds: float) -> int:
    """A duration in samples.

    Raises:
        ConfigError: negative or not a number.
    """
    if not 0 <= seconds <= _LONGEST_DURATION_S:
        raise ConfigError(f"{option} {seconds}: a duration in seconds, 0 to {_LONGEST_DURATION_S}")
    return seconds_to_samples(seconds)


TaskOption = Annotated[
    str | None,
    typer.Option(help="Which task of the model, where it has several of this kind.", show_default=False),
]
