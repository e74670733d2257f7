"""``babyhubert finetune``: train a derived model, of one task or of several on one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from babyhubert.cli.messages import say


class _TasksByDefault(TyperGroup):
    """Command group that reads ``finetune CONFIG.toml`` as ``finetune tasks CONFIG.toml``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if any(word.endswith(".toml") for word in args) and not set(args) & set(self.commands):
            args = ["tasks", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="Train a derived model on annotated recordings: finetune CONFIG.toml -o MODEL trains all its tasks.",
    no_args_is_help=True,
    cls=_TasksByDefault,
)

Configuration = Annotated[Path, typer.Argument(help="TOML file; docs/finetuning.md explains every key.")]
Output = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        help="Model folder to write. OUT.work beside it stores the run; the same command continues it.",
        show_default=False,
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one setting: --set train.steps=100 (may be given several times)."),
]


@app.callback()
def _group() -> None:
    """Train a derived model on annotated recordings."""


@app.command("voice-type")
def voice_type(config: Configuration, output: Output, changes: Changes = None) -> None:
    """Train a voice-type model (KCHI, OCH, MAL, FEM): the table voice_type of CONFIG."""
    _finetune(config, ("voice_type",), output, changes)


@app.command("addressee")
def addressee(config: Configuration, output: Output, changes: Changes = None) -> None:
    """Train an addressee model (ADS, KCDS, Other): the table addressee of CONFIG."""
    _finetune(config, ("addressee",), output, changes)


@app.command("phonemes")
def phonemes(config: Configuration, output: Output, changes: Changes = None) -> None:
    """Train a phoneme recogniser, in IPA: the table phonemes of CONFIG."""
    _finetune(config, ("phonemes",), output, changes)


@app.command("tasks")
def tasks(config: Configuration, output: Output, changes: Changes = None) -> None:
    """Train one encoder with a head for every task that CONFIG has a table of."""
    _finetune(config, None, output, changes)


def _finetune(config: Path, names: Sequence[str] | None, output: Path, changes: list[str] | None) -> None:
    from babyhubert.compute.group import ProcessGroup
    from babyhubert.config import read_config
    from babyhubert.errors import ConfigError
    from babyhubert.training.finetuning import finetune
    from babyhubert.training.settings import FinetuningSettings

    settings = read_config(config, FinetuningSettings, changes or ())
    names = names or list(settings.tasks)
    if not names:
        raise ConfigError(f"{config}: has none of the tables [voice_type], [addressee], [phonemes], [task.NAME]")
    with ProcessGroup.join(settings.machine.device) as group:
        result = finetune(settings, names, output, group, say)
    if group.place.first and result.finished:
        say(f"kept step {result.best_step}, score {100 * result.score:.1f}: {output}")
    raise typer.Exit(0 if result.finished else 1)
