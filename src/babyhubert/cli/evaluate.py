"""``babyhubert evaluate``: the published metrics, with intervals, as tables and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli import evaluate_utterances, robustness
from babyhubert.cli.endings import print_notes
from babyhubert.cli.groups import Resampling, option_groups
from babyhubert.cli.options import UemOption
from babyhubert.cli.scores import say_written, scored_uem, show, source, split_names

app = typer.Typer(
    help="Score predictions against a reference with the published metrics.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None:
    """Score predictions against a reference with the published metrics."""


@app.command("voice-type")
@option_groups
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
    uem: UemOption = None,
    labels: Annotated[str, typer.Option(help="Classes to score, separated by commas.")] = "KCHI,OCH,MAL,FEM",
    recordings: Annotated[
        Path | None,
        typer.Option(
            help="CSV with recording_id (or recording_filename) and columns for --by and --over.", metavar="FILE"
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of --recordings to score separately, such as corpus; may be repeated.", metavar="COLUMN"
        ),
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(
            help="Column of --recordings to resample, such as child_id. Default: recordings.", metavar="COLUMN"
        ),
    ] = None,
    *,
    resampling: Resampling,
) -> None:
    """Voice types: F1 per class over time, and their mean, as published for VTC.

    Durations of true and false positives and of false negatives are summed over recordings; no collar; overlapping
    speech counts.
    """
    import numpy as np

    from babyhubert.annotation.uem import read_uem
    from babyhubert.errors import ConfigError
    from babyhubert.evaluation import presentation as shown
    from babyhubert.evaluation.detection import compare
    from babyhubert.evaluation.recording_groups import GroupedScoring
    from babyhubert.runs.provenance import check_run

    if recordings is None and (by or over):
        raise ConfigError("--by and --over name columns of a table of recordings; give it with --recordings")
    print_notes(check_run(predictions, "segment"))
    uem = scored_uem(reference, uem)
    report = compare(
        shown.read_side(reference),
        shown.read_side(predictions),
        split_names(labels),
        None if uem is None else read_uem(uem),
    )
    scoring = GroupedScoring.read(report, recordings, over)
    rng, draws, confidence = np.random.default_rng(resampling.seed), resampling.bootstrap, resampling.confidence
    intervals = scoring.intervals(rng, draws, confidence)
    groups = [group for column in by or () for group in scoring.groups(column, rng, draws, confidence)]
    tables = [shown.score_table(report, intervals), shown.confusion_table(report)]
    show(tables + ([shown.group_table(report, groups)] if groups else []), shown.notes(report, intervals, groups))
    if output is not None:
        settings = source(
            reference=reference, predictions=predictions, uem=uem, recordings=recordings, seed=resampling.seed
        )
        say_written(shown.write_report(output, report, intervals, settings, groups, over or "recordings"))


app.command("addressee")(evaluate_utterances.addressee)
app.command("classify")(evaluate_utterances.classify)
app.command("phonemes")(evaluate_utterances.phonemes)


@app.command("agreement")
@option_groups
def agreement(
    first: Annotated[
        Path,
        typer.Option(help="One annotator: RTTM or CSV file, or a folder of them.", show_default=False),
    ],
    second: Annotated[
        Path,
        typer.Option(
            help="The other. Recordings of one annotator only are skipped and named; an empty file means silent.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for evaluation.json, agreement.csv, intraclass.csv."),
    ] = None,
    uem: Annotated[
        Path | None,
        typer.Option(
            help="UEM file: the stretches that both annotated. Default: each recording up to its last segment.",
            metavar="FILE",
        ),
    ] = None,
    labels: Annotated[str, typer.Option(help="Classes to compare, separated by commas; at most 6.")] = (
        "KCHI,OCH,MAL,FEM"
    ),
    *,
    resampling: Resampling,
) -> None:
    """Agreement of two annotators on voice types.

    F1 as for a model; Cohen's kappa and Krippendorff's alpha on frames of 20 ms; and the intraclass correlation of
    counts and minutes by clip and by hour, as absolute agreement, ICC(2,1), and as consistency, ICC(3,1).
    """
    from babyhubert.annotation.uem import read_uem
    from babyhubert.evaluation import agreement_presentation as shown
    from babyhubert.evaluation.agreement import agree
    from babyhubert.evaluation.presentation import read_side

    stretches = None if uem is None else read_uem(uem)
    report = agree(read_side(first), read_side(second), split_names(labels), stretches)
    intervals = resampling.intervals(report.bootstrap)
    confidence = resampling.confidence
    tables = [shown.agreement_table(report, intervals), shown.confusion_table(report)]
    show([*tables, shown.amounts_table(report, confidence)], shown.notes(report, intervals))
    if output is not None:
        settings = source(first=first, second=second, uem=uem, seed=resampling.seed)
        say_written(shown.write_report(output, report, intervals, settings, confidence))


app.command("robustness")(robustness.robustness)
