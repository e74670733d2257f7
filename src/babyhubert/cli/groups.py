"""Option groups: related options as one parameter of a command.

A group is a frozen dataclass with one option per field. :func:`option_groups` gives a command with groups the
signature that typer reads, with one parameter per option.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import typer

from babyhubert.cli.options import ChannelOption, DeviceOption, ForceOption, OutputOption, SeedOption, SpeedOption

if TYPE_CHECKING:
    from numpy.random import Generator

    from babyhubert.audio.channels import Channel
    from babyhubert.runs.execution import Execution

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class After:
    """Annotation with the name of the option that this option or group follows in ``--help``.

    Without it, an option follows the one that is declared before it.
    """

    name: str


def option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one parameter per option, as typer reads it."""
    options: list[Parameter] = []
    _place_all(command, options, None)

    @wraps(command)
    def call(**given: Any) -> None:
        command(**{name: _gather(annotation, name, given) for name, annotation, _ in _declared(command)})

    call.__annotations__ = {option.name: option.annotation for option in options}
    setattr(call, "__signature__", Signature(options))  # noqa: B010 (mypy knows no such attribute)
    return call


def _place_all(scope: Callable[..., Any], options: list[Parameter], previous: str | None) -> str | None:
    """Put the options of a command or group among those there are, behind the previous one; the name of the last."""
    for name, annotation, default in _declared(scope):
        previous = next((each.name for each in get_args(annotation)[1:] if isinstance(each, After)), previous)
        group = _group(annotation)
        if group is not None:
            previous = _place_all(group, options, previous)
            continue
        place = 1 + [option.name for option in options].index(previous) if previous else 0
        options.insert(place, Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation))
        previous = name
    return previous


def _declared(scope: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """Name, annotation and default of each parameter of a command, or field of a group."""
    annotations = get_type_hints(scope, include_extras=True)
    if is_dataclass(scope):
        defaults = {each.name: each.default for each in fields(scope)}
    else:
        defaults = {name: each.default for name, each in signature(scope).parameters.items()}
    return [
        (name, annotations[name], Parameter.empty if default is MISSING else default)
        for name, default in defaults.items()
    ]


def _group(annotation: Any) -> type[Any] | None:
    """Group named by an annotation; None for an option."""
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return plain if isinstance(plain, type) and is_dataclass(plain) else None


def _gather(annotation: Any, name: str, given: dict[str, Any]) -> Any:
    """The value of a parameter or field: an option's own, or a group of options."""
    group = _group(annotation)
    if group is None:
        return given[name]
    return group(**{field: _gather(inner, field, given) for field, inner, _ in _declared(group)})


_MANY = "Many recordings"


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Input recordings and output folder."""

    audio: Annotated[
        list[Path],
        typer.Argument(
            help="Recordings: any mix of files and folders (searched with their sub-folders), any format and rate.",
            metavar="AUDIO...",
            show_default=False,
        ),
    ]
    output: OutputOption


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Input and device of the model."""

    channel: ChannelOption = "mean"
    device: DeviceOption = "auto"
    batch_size: Annotated[
        int | None,
        typer.Option(help="Windows in one call of the model. Default: from the device and the model's size.", min=1),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Amount of work and its distribution."""

    force: ForceOption = False
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that divide the recordings among them, each with its share of the cores and one "
            "GPU, if there are any. Default: only this one. Needs the 'cluster' extra.",
            metavar="N",
            rich_help_panel=_MANY,
        ),
    ] = None
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Give the recordings to the workers of a Dask scheduler that runs already, such as tcp://node1:8786.",
            metavar="ADDRESS",
            rich_help_panel=_MANY,
        ),
    ] = None
    slurm: Annotated[
        Path | None,
        typer.Option(
            help="Give the recordings to jobs of a SLURM queue, described in a TOML file (configs/slurm.toml "
            "is one to fill in); --workers then gives their number.",
            metavar="FILE",
            rich_help_panel=_MANY,
        ),
    ] = None
    shard: Annotated[
        str | None,
        typer.Option(
            help="Do only the I-th of N parts (1/4 to 4/4), for any queue that starts N commands, at once or one "
            "after the other; then run 'babyhubert merge' on the output.",
            metavar="I/N",
            rich_help_panel=_MANY,
        ),
    ] = None

    def execution(self, device: str) -> Execution:
        """Distribution of the recordings.

        Raises:
            ConfigError: the options contradict each other, or a value is impossible.
            MissingExtraError: Dask is not installed.
        """
        from babyhubert.runs.execution import Execution

        return Execution.from_options(device, self.workers, self.scheduler, self.slurm, self.shard)


@dataclass(frozen=True, kw_only=True)
class Run:
    """The options of every command that runs a model over recordings."""

    recordings: Recordings
    machine: Machine
    workload: Workload
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only tell what would be done: recordings, hours, time (the model's speed is measured here), disk "
            "space. Nothing is written or downloaded.",
        ),
    ] = False

    def __post_init__(self) -> None:
        if self.dry_run:
            os.environ["HF_HUB_OFFLINE"] = "1"  # a model that is not here stays where it is

    def execution(self) -> Execution:
        """Distribution like :meth:`Workload.execution`, for the chosen device."""
        return self.workload.execution(self.machine.device)

    def channel(self) -> Channel:
        """Choice of the channel.

        Raises:
            ConfigError: there is no such choice.
        """
        from babyhubert.audio.channels import parse_channel

        return parse_channel(self.machine.channel)


@dataclass(frozen=True, kw_only=True)
class Utterances:
    """Options of every utterance-level command."""

    run: Run
    segments: Annotated[
        Path | None,
        typer.Option(
            help="Input segments: an RTTM or CSV file (rttm.csv of 'segment'), or a folder of them. Default: "
            "the results of 'segment' in the output folder; without these, a voice-type model is run "
            "first."
        ),
        After("output"),
    ] = None
    voice_type: Annotated[
        str | None,
        typer.Option(
            help="Voice-type model to run if there are no segments. Default: --model if it has such a head, "
            "else the small model of the package."
        ),
    ] = None
    speed: SpeedOption = "exact"
    window: Annotated[
        float | None,
        typer.Option(help="Window of the model, in seconds. Default: as in the model's training."),
    ] = None
    overlap: Annotated[
        float | None,
        typer.Option(
            help="Fraction of a window shared with its neighbour; each frame is taken from the window in which"
            " it is farthest from an edge, so 0.5 gives it a quarter of a window on either side. Default:"
            " the model's, or 0.5."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """Estimation of intervals."""

    bootstrap: Annotated[
        int, typer.Option(help="Resamples of recordings for the intervals; 0: no intervals.", min=0)
    ] = 2000
    seed: SeedOption = 0
    confidence: Annotated[float, typer.Option(help="Fraction of the resamples within an interval.")] = 0.95

    def intervals(self, bootstrap: Callable[[Generator, int, float], ResultT]) -> ResultT | None:
        """Result of a report's ``bootstrap``; None if no intervals were requested."""
        from numpy.random import default_rng

        return bootstrap(default_rng(self.seed), self.bootstrap, self.confidence) if self.bootstrap else None
