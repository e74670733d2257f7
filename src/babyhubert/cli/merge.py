"""``babyhubert merge``: the tables of a run that was done in shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from babyhubert.cli.messages import say

if TYPE_CHECKING:
    from babyhubert.runs.merging import TableWriter

_WRITERS = {
    "analyze": "babyhubert.tasks.analyze",
    "embed": "babyhubert.tasks.embedding",
    "scan": "babyhubert.corpus.inventory",
    "regions": "babyhubert.corpus.regions",
    "quality": "babyhubert.quality.tables",
}
"""Modules with the ``write_tables`` of commands that take ``--shard``; those that run tasks go by the task's kind."""


def merge(
    output: Annotated[
        Path, typer.Argument(help="Folder of results, as given to -o.", metavar="OUT", show_default=False)
    ],
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Write tables of the finished results if shards are unfinished.")
    ] = False,
) -> None:
    """Write the tables of commands that were run with --shard, once all shards are done.

    Needs neither the model nor the audio; may be repeated. Shards that are not finished are named, and nothing is
    written.
    """
    from babyhubert.cli.endings import print_notes, print_warnings
    from babyhubert.errors import counted
    from babyhubert.runs.folder import reading_warnings
    from babyhubert.runs.merging import merge_shards, sharded_commands
    from babyhubert.runs.record import count_warnings, exit_code

    codes = []
    for command in sharded_commands(output):
        outcome = merge_shards(output, command, _writer(command.command), unfinished=unfinished)
        warnings = reading_warnings(output, command.recorded_by, outcome.complete)
        print_warnings(warnings)
        left = f", {command.left} left" if command.unfinished else ""
        say(
            f"{command.command}: {len(command.states)} of {len(command.parts)} shards merged, "
            f"{counted(len(outcome.complete), 'recording')} done, {len(outcome.failures)} failed"
            f"{count_warnings(warnings)}{left}: {output}"
        )
        print_notes(outcome.notes)
        codes.append(exit_code(len(outcome.complete), len(outcome.failures) + len(command.unfinished)))
    raise typer.Exit(max(codes))


def _writer(command: str) -> TableWriter:
    from babyhubert.tasks.registry import load, write_task_tables

    return cast("TableWriter", load(_WRITERS[command]).write_tables) if command in _WRITERS else write_task_tables
