"""``babyhubert pretrain``: one iteration of masked prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.messages import say


def pretrain(
    config: Annotated[Path, typer.Argument(help="TOML file; configs/pretrain.toml explains every key.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Run folder; the same command continues it.", show_default=False)
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one setting: --set optimiser.steps=100 (may be given several times)."),
    ] = None,
) -> None:
    """Train an encoder to guess the units of masked audio (one HuBERT iteration).

    Alone, under torchrun, or under srun: the launcher's environment says how many processes there are. SIGTERM,
    SIGUSR1 and Ctrl-C save and stop; the same command continues where it stopped.
    """
    from babyhubert.compute.group import ProcessGroup
    from babyhubert.config import read_config
    from babyhubert.corpus.shards import Labels, Pack
    from babyhubert.pretraining.run import pretrain as train
    from babyhubert.pretraining.settings import PretrainingRun

    settings = read_config(config, PretrainingRun, changes or ())
    with ProcessGroup.join(settings.machine.device) as group:
        labels = Labels.open(settings.data.labels, Pack.open(settings.data.pack))
        result = train(labels, settings, output, group, say)
    if group.place.first and result.finished:
        say(f"model: {result.model}")
    raise typer.Exit(0 if result.finished else 1)
