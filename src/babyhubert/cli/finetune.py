"""``babyhubert finetune``: train a derived model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Train a derived model on annotated recordings.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Train a derived model on annotated recordings."""


@app.command("voice-type")
def voice_type(
    config: Annotated[Path, typer.Argument(help="TOML file; see configs/ for examples.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model folder to write.", show_default=False)],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one setting: --set train.steps=100 (may be given several times)."),
    ] = None,
) -> None:
    """Train who-speaks-when (KCHI, OCH, MAL, FEM) on a folder of recordings with rttm/ below it."""
    from babyhubert.config import read_config
    from babyhubert.training.voice_type import VoiceTypeTraining, train_voice_type

    best = train_voice_type(read_config(config, VoiceTypeTraining, changes or ()), output, typer.echo)
    typer.echo(f"kept step {best.step}, macro frame F1 {100 * best.macro_f1:.1f}: {output}")
