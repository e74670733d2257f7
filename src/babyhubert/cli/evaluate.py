"""``babyhubert evaluate``: the published metrics, with intervals, as tables and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="Score predictions against a reference with the published metrics.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None:
    """Score predictions against a reference with the published metrics."""


@app.command("voice-type")
def voice_type(
    reference: Annotated[
        Path,
        typer.Option(
            help="RTTM or CSV file, or a folder of them. Every recording in it is scored.", show_default=False
        ),
    ],
    predictions: Annotated[
        Path,
        typer.Option(
            help="RTTM or CSV file, or a folder of them, such as the output of 'babyhubert segment'. A recording "
            "without prediction counts as predicted silent.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for evaluation.json and fscore.csv. Default: only the tables."),
    ] = None,
    uem: Annotated[
        Path | None,
        typer.Option(help="UEM file: score only these stretches of these recordings. Default: all.", metavar="FILE"),
    ] = None,
    labels: Annotated[str, typer.Option(help="Classes to score, separated by commas.")] = "KCHI,OCH,MAL,FEM",
    bootstrap: Annotated[
        int, typer.Option(help="Resamples of recordings for the intervals; 0: no intervals.", min=0)
    ] = 2000,
    seed: Annotated[int, typer.Option(help="Decides the resamples.", min=0)] = 0,
    confidence: Annotated[float, typer.Option(help="Share of the resamples within an interval.")] = 0.95,
) -> None:
    """Who spoke when: F1 a class over time, and their mean, as published for VTC.

    Durations of true and false positives and of false negatives are summed over recordings; no collar; overlapping
    speech counts.
    """
    import numpy as np

    from babyhubert.evaluation.detection import compare
    from babyhubert.evaluation.presentation import confusion_table, notes, read_side, score_table, write_report
    from babyhubert.evaluation.uem import read_uem

    classes = tuple(label.strip() for label in labels.split(",") if label.strip())
    report = compare(read_side(reference), read_side(predictions), classes, None if uem is None else read_uem(uem))
    intervals = report.bootstrap(np.random.default_rng(seed), bootstrap, confidence) if bootstrap else None
    console = open_console()
    console.print(score_table(report, intervals))
    console.print(confusion_table(report))
    for note in notes(report, intervals):
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    if output is not None:
        settings = source(reference=reference, predictions=predictions, uem=uem, seed=seed)
        write_report(output, report, intervals, settings)
        console.print(f"written: {output / 'evaluation.json'}, {output / 'fscore.csv'}", soft_wrap=True, markup=False)


def open_console() -> Console:
    """Where tables go: the terminal as wide as it is, a file or pipe 100 columns."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=100)


def source(**given: Path | str | float | None) -> dict[str, Any]:
    """What a result was made from, for its record: version, paths as they were given, settings."""
    import babyhubert

    return {"babyhubert": babyhubert.__version__} | {
        name: str(value) if isinstance(value, Path) else value for name, value in given.items()
    }
