"""``babyhubert join``: the tasks of several models in one, each with its own transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.messages import say


def join(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Models of one width. The first gives the thresholds."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model folder to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the output if it exists.")] = False,
) -> None:
    """Put the tasks of several models into one, which gives what each gave alone.

    Models fine-tuned with frozen convolutions from the same encoder share these. Of a task that several have, the
    first one's head is kept.
    """
    from babyhubert.encoder.combination import join

    joined = join(models, output, overwrite=force)
    heads = ", ".join(name.replace("_", " ") for name in joined.heads)
    say(f"wrote {output}: {len(models)} models, {joined.parameter_count:,} parameters ({heads})")
    apart = len(joined.config.own_convolutions)
    if apart:
        say(f"note: {apart} of them with other convolutions than the first, which are run for their tasks", err=True)
