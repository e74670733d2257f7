"""``babyhubert join``: the tasks of several models in one, each with its own transformer on shared convolutions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.messages import say


def join(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Models of one width. The first gives convolutions and thresholds."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model folder to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the output if it exists.")] = False,
) -> None:
    """Put the tasks of several models into one, each a branch on the convolutions of the first.

    Models fine-tuned with frozen convolutions from the same encoder, such as the released ones, give in the joined
    model what they gave alone. Of a task that several have, the first one's head is kept.
    """
    from babyhubert.encoder.combination import join

    joined = join(models, output, overwrite=force)
    heads = ", ".join(name.replace("_", " ") for name in joined.model.heads)
    say(f"wrote {output}: {len(models)} models, {joined.model.parameter_count:,} parameters ({heads})")
    for source in joined.untuned:
        say(
            f"note: {source} was trained with other convolutions: train its branch before use, with 'babyhubert "
            'finetune\' and model.heads = "extend"',
            err=True,
        )
