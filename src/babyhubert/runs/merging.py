"""Merging of the tables of a run that was divided into shards, from the records of the shards.

It needs neither model nor audio, and may be repeated: it reads records and journals, and writes tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from babyhubert.annotation.columns import command_of
from babyhubert.errors import OutputError
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome, Plan, RunState, failures_in_order
from babyhubert.runs.status import CommandStatus, ShardStatus, folder_status

TableWriter = Callable[[RunFolder, Mapping[str, Any], Outcome], object]
"""Function that writes the tables of a command from its folder, the content of its run, and its outcome. It may return
the outcome with damaged results.
"""


def sharded_commands(output: Path) -> list[CommandStatus]:
    """Commands of an output folder that were run in shards.

    Raises:
        OutputError: there is none.
    """
    parted = [status for status in folder_status(output) if status.parts[0].part is not None]
    if not parted:
        raise OutputError(f"{output}: nothing to merge; the runs here were not started with --shard")
    return parted


def merge_shards(
    output: Path, status: CommandStatus, write_tables: TableWriter, *, unfinished: bool = False
) -> Outcome:
    """Write the tables of a command over all its shards.

    Args:
        output: The output folder.
        status: Status of the command.
        write_tables: The command's function.
        unfinished: True to write tables of the finished results if shards are unfinished.

    Raises:
        OutputError: shards are unfinished, are running, or do not belong together.
    """
    _require_one_run(output, status)
    if status.unfinished and not unfinished:
        told = ", ".join(map(_explain, status.unfinished))
        raise OutputError(
            f"{output}: {len(status.unfinished)} of {len(status.parts)} shards of '{status.command}' are not finished "
            f"({told}); run them, or merge what is there with --unfinished"
        )
    outcome = merged_outcome(status.states)
    about = status.states[0].about
    with RunFolder(output, status.command, typed=command_of(status.command, about)) as folder:
        written = write_tables(folder, about, outcome)
    return written if isinstance(written, Outcome) else outcome


def merged_outcome(states: list[RunState]) -> Outcome:
    """Outcome of all shards together, equal to that of one run over everything."""
    plan = Plan(
        tuple(planned for state in states for planned in state.plan.good),
        tuple(planned for state in states for planned in state.plan.bad),
        states[0].plan.inputs,
        states[0].plan.given,
        states[0].plan.given_samples,
    )
    errors = {name: error for state in states for name, error in state.errors.items()}
    complete = sorted((planned for state in states for planned in state.complete), key=lambda p: p.position)
    return Outcome(
        min(state.began for state in states),
        max(state.ended or state.began for state in states),
        tuple(planned.file for planned in complete),
        sum(len(state.complete) - len(state.done) for state in states),
        failures_in_order(plan, errors),
    )


def _require_one_run(output: Path, status: CommandStatus) -> None:
    first = status.states[0]
    for state in status.states[1:]:
        if state.identity != first.identity:
            what = "ran with other settings, another model or another version"
        elif state.plan.inputs != first.plan.inputs:
            what = "was given other recordings"
        else:
            continue
        raise OutputError(
            f"{output}: shard {state.part} of '{status.command}' {what} than shard {first.part}; run all shards with "
            "the same command (what is complete is kept)"
        )


def _explain(part: ShardStatus) -> str:
    left = "" if part.state is None else f", {len(part.state.left)} recordings left"
    return f"{part.part} {part.condition}{left}"
