"""What a run over recordings says when it ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from babyhubert.batch.parts import Part
    from babyhubert.run_record import RunSummary


def tell_run(summary: RunSummary, output: Path, part: Part | None) -> None:
    """One line: how many recordings are done, kept and failed, and where; for a part also what comes next."""
    shard = "" if part is None else f"shard {part}: "
    see = "" if part is not None or not summary.failures else f" (see {output / 'failures.csv'})"
    typer.echo(
        f"{shard}{summary.done} recordings done, {summary.skipped} kept from before, {len(summary.failures)} failed: "
        f"{output}{see}"
    )
    tell_next(output, part)


def tell_next(output: Path, part: Part | None) -> None:
    """What comes after a part."""
    if part is not None:
        typer.echo(f"when all {part.parts} shards are done: babyhubert merge {output}")
