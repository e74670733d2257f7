"""``babyhubert demo``: all steps, on a small scale, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to fill.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of the scenes and the training.", min=0, max=2**63 - 1)] = 0,
) -> None:
    """Simulate scenes, train a small model on them, segment, evaluate, embed: a few minutes, without downloads."""
    from rich.console import Console

    from babyhubert.cli.progress import RunProgressDisplay
    from babyhubert.demo import run_demo
    from babyhubert.evaluation.presentation import score_table

    console = Console(highlight=False)
    with RunProgressDisplay("segment") as progress:
        result = run_demo(
            output, seed=seed, progress=progress, say=lambda line: console.print(line, markup=False, soft_wrap=True)
        )
    console.print(score_table(result.report, None))
    console.print("These are synthetic voices: the scores show that everything runs, nothing more.")
    for what, where in result.files.items():
        console.print(f"  {what}: {where}", soft_wrap=True, markup=False)
