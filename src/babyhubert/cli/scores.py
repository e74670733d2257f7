"""Printing of scores, and records of their sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyhubert.cli.messages import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table


def split_names(text: str) -> tuple[str, ...]:
    """Split names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def show(tables: Iterable[Table], notes: Iterable[str]) -> None:
    """Print tables and notes: on a terminal in its width, in a file or pipe with 100 columns."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100)
    for table in tables:
        console.print(table)
    for note in notes:
        say(f"note: {note}")


def say_written(paths: Iterable[Path]) -> None:
    """Print the names of written files."""
    say(f"written: {', '.join(map(str, paths))}")


def source(**given: Path | str | float | None) -> dict[str, Any]:
    """Source of a result for its record: version, paths as they were given, settings."""
    from babyhubert.version import __version__

    return {"babyhubert": __version__} | {
        name: str(value) if isinstance(value, Path) else value for name, value in given.items()
    }


def scored_uem(reference: Path, given: Path | None) -> Path | None:
    """UEM that applies: the one given, else the one in the reference's folder, with a note; None without either."""
    from babyhubert.annotation.uem import UEM_NAME

    own = reference / UEM_NAME
    if given is not None or not own.is_file():
        return given
    say(f"note: only the annotated stretches of {own} count", err=True)
    return own
