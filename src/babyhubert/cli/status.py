"""``babyhubert status``: recordings done, failed and remaining."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from babyhubert.runs.status import CommandStatus, ShardStatus


def status(
    output: Annotated[
        Path, typer.Argument(help="Folder of results, as given to -o.", metavar="OUT", show_default=False)
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Output for programs: one line of JSON per command.")
    ] = False,
) -> None:
    """Show the state of the runs of an output folder: recordings done, failed and left, of every command and shard.

    Notes tell of mixed models or settings, and of tables, reports and exports that were made from older results.
    It can be used during a run. Exit code 0: all is done, with warnings or without; 1: some failed or are left; 2: no
    run was started here.
    """
    import json

    from babyhubert.cli.endings import print_notes
    from babyhubert.runs.status import folder_notes, folder_status

    found, notes = folder_status(output), folder_notes(output)
    for command in found:
        if as_json:
            typer.echo(json.dumps({**command.as_record(), "notes": notes}, ensure_ascii=False))
        else:
            _tell(command)
    if not as_json:
        print_notes(notes)
    raise typer.Exit(int(any(command.failures or command.unfinished for command in found)))


def _tell(command: CommandStatus) -> None:
    from babyhubert.runs.record import count_warnings
    from babyhubert.timebase import SAMPLE_RATE, format_clock

    whole = command.parts[0].part is None
    typer.echo(f"{command.command}: {command.parts[0].condition if whole else f'{len(command.parts)} shards'}")
    done, warnings = command.done, command.warnings
    typer.echo(
        f"  done    {len(done):6}  {format_clock(sum(p.samples for p in done)):>9} of audio{count_warnings(warnings)}"
    )
    typer.echo(f"  failed  {len(command.failures):6}")
    ending = ""
    if command.seconds_left is not None and command.left:
        speed = sum(part.speed for part in command.parts)
        ending = f", {speed:.1f} x real time, {format_clock(round(command.seconds_left * SAMPLE_RATE))} to go"
    typer.echo(f"  left    {command.left:6}  {format_clock(command.left_samples):>9} of audio{ending}")
    if not whole:
        for part in command.parts:
            _print_shard(part)
    for _, error in command.failures:
        typer.echo(f"  failed: {error}")
    for path, line in warnings:
        typer.echo(f"  warning: {path}: {line}")


def _print_shard(part: ShardStatus) -> None:
    figures = ""
    if part.state is not None:
        failed = len(part.state.errors) + len(part.state.plan.bad)
        figures = f"  {len(part.state.complete)} done, {failed} failed, {len(part.state.left)} left"
    typer.echo(f"  shard {part.part}  {part.condition:<11}{figures}".rstrip())
