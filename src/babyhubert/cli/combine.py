"""``babyhubert combine``: the weighted mean of models of one shape."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.messages import say


def combine(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Models of one shape, the one with all heads first."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model folder to write.")],
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="A weight for each model, separated by commas, with the sum 1. 1,1,-1 adds to the first model what "
            "the second learnt since the third. Default: the same weight for all.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output if it exists.")] = False,
) -> None:
    """Average the weights of models of one shape, or add what one learnt to another.

    The models have to be trained from the same weights. Thresholds are not copied: choose them with 'tune voice-type'.
    """
    from babyhubert.encoder.combination import Part, combine
    from babyhubert.errors import ConfigError

    values = [1 / len(models)] * len(models) if weights is None else _numbers(weights)
    if len(values) != len(models):
        raise ConfigError(f"--weights {weights}: {len(values)} for {len(models)} models")
    parts = [Part(source, value) for source, value in zip(models, values, strict=True)]
    model = combine(parts, output, overwrite=force)
    heads = ", ".join(name.replace("_", " ") for name in model.heads) or "no heads"
    say(f"wrote {output}: mean of {len(parts)} models, {model.parameter_count:,} parameters ({heads})")


def _numbers(text: str) -> list[float]:
    from babyhubert.errors import ConfigError

    try:
        return [float(value) for value in text.split(",")]
    except ValueError:
        raise ConfigError(f"--weights {text}: numbers separated by commas are needed, such as 0.5,0.5") from None
