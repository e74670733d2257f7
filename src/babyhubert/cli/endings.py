"""Final messages of a run over recordings."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from babyhubert.cli.messages import say
from babyhubert.errors import counted

if TYPE_CHECKING:
    from babyhubert.runs.record import RunSummary
    from babyhubert.runs.shard import Shard


_MOST_WARNINGS = 50


def print_run(summary: RunSummary, output: Path, part: Shard | None, inputs: Sequence[Path] = ()) -> None:
    """Print warnings, then one line: number of recordings done, kept and failed, with warnings, and the output folder.

    Args:
        summary: How the run ended.
        output: Its output folder.
        part: The shard, if it is one: the next step is printed as well.
        inputs: Files and folders that were given: files in them that are not known as audio are counted.
    """
    from babyhubert.audio.discovery import left_out
    from babyhubert.runs.derived import derived_notes
    from babyhubert.runs.record import count_warnings

    print_warnings(summary.warnings)
    shard = "" if part is None else f"shard {part}: "
    see = "" if part is not None or not summary.failures else f" (see {output / 'failures.csv'})"
    say(
        f"{shard}{counted(summary.done, 'recording')} done, {summary.skipped} kept from before, "
        f"{len(summary.failures)} failed{count_warnings(summary.warnings)}"
        f"{_count_left_out(len(left_out(inputs)))}: {output}{see}"
    )
    print_notes([*summary.notes, *derived_notes(output)])
    print_next_step(output, part)


def _count_left_out(files: int) -> str:
    return f", {files} file{'s' if files > 1 else ''} left out (not known as audio by name)" if files else ""


def print_warnings(warnings: Sequence[tuple[Path, str]]) -> None:
    """Print the warnings about recordings that are done, one line each; if there are many, only the first."""
    for path, line in warnings[:_MOST_WARNINGS]:
        typer.echo(f"warning: {path}: {line}", err=True)
    more = len(warnings) - _MOST_WARNINGS
    if more > 0:
        typer.echo(f"warning: {more} more like these: 'babyhubert status' with the output folder lists all", err=True)


def print_notes(notes: Iterable[str]) -> None:
    """Print notes on results, one line each."""
    for note in notes:
        say(f"note: {note}", err=True)


def print_speech(output: Path) -> None:
    """Print the minutes of each class in all complete recordings of a folder of `segment`, and the next command.

    Recordings of earlier versions, whose minutes are not recorded, are counted apart.
    """
    from babyhubert.runs.folder import RunFolder
    from babyhubert.runs.record import speech_minutes
    from babyhubert.timebase import format_clock, seconds_to_samples

    records = RunFolder(output, "segment").records()
    known = [record for record in records if "speech_s" in record]
    if not known:
        return
    audio = format_clock(seconds_to_samples(sum(record["duration_s"] for record in known)))
    told = ", ".join(f"{name} {value:.1f}" for name, value in speech_minutes(known).items())
    without = f" ({len(records) - len(known)} of an earlier version not counted)" if len(known) < len(records) else ""
    say(f"minutes of speech: {told}, in {counted(len(known), 'recording')}, {audio} of audio{without}")
    say(f"next: babyhubert report {shown(output)}   or: babyhubert measures {shown(output)}")


def shown(path: Path) -> str:
    """Path as a user types it in a command."""
    return shlex.quote(str(path))


def print_next_step(output: Path, part: Shard | None) -> None:
    """Print the next step after a shard."""
    if part is not None:
        say(f"when all {part.parts} shards are done: babyhubert merge {output}")
