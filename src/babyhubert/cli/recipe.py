"""``babyhubert recipe``: complete pre-training, from recordings to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babyhubert.cli.messages import say

if TYPE_CHECKING:
    from babyhubert.pretraining.recipe import Recipe


def recipe(
    config: Annotated[Path, typer.Argument(help="TOML file; see configs/babyhubert-*.toml.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of all results; the same command continues it.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change one setting: --set pack.shard_mb=100 (may be repeated).")
    ] = None,
    show_plan: Annotated[
        bool, typer.Option("--plan", help="Print the cost for the given audio and others, and run nothing.")
    ] = False,
    hours: Annotated[
        list[float] | None,
        typer.Option(help="With --plan: hours of training segments (about a fifth of daylong recordings)."),
    ] = None,
    accelerators: Annotated[int, typer.Option(help="With --plan: number of GPUs.", min=1)] = 1,
    pace: Annotated[
        float | None,
        typer.Option(help="With --plan: hours of training audio per GPU hour, if you have measured it."),
    ] = None,
) -> None:
    """Scan, regions, segments, pack, then units and training for each iteration, to a model folder.

    Finished steps are skipped, stopped ones continued. Works alone, under torchrun and under srun.
    """
    from babyhubert.compute.group import ProcessGroup
    from babyhubert.config import read_config
    from babyhubert.errors import ConfigError
    from babyhubert.pretraining.recipe import Recipe, train_by_recipe

    settings = read_config(config, Recipe, changes or ())
    if show_plan:
        _print_plan(settings, hours, accelerators, pace)
        return
    if output is None:
        raise ConfigError("give a folder for the results: -o OUT (or --plan, to see what it would cost)")
    with ProcessGroup.join(settings.device) as group:
        result = train_by_recipe(settings, output, group, say)
    if group.place.first and result.finished:
        say(f"model: {result.model}")
    raise typer.Exit(0 if result.finished else 1)


def _print_plan(settings: Recipe, hours: list[float] | None, accelerators: int, pace: float | None) -> None:
    """Print the cost of a recipe: for the audio that it names, if it is here, and for other amounts."""
    from babyhubert.errors import AudioError, counted
    from babyhubert.pretraining.plan import explanation, given_audio, plan_table

    amounts = list(hours or [10.0, 1_000.0, 13_000.0])
    try:
        given = given_audio(settings)
    except AudioError as error:
        typer.echo(f"the audio of this recipe is not counted: {error}")
    else:
        bad = f", {given.unreadable} cannot be read" if given.unreadable else ""
        typer.echo(
            f"given audio: {counted(given.recordings, 'recording')}, {given.hours:.2f} h{bad}; about "
            f"{given.segment_hours:.2f} h of training segments" + (" (the first row)" if given.recordings else "")
        )
        if given.recordings:
            amounts.insert(0, given.segment_hours)
    for line in (*plan_table(settings, amounts, accelerators, pace), "", *explanation(accelerators, pace)):
        typer.echo(line)
