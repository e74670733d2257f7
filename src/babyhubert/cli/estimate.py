"""``babyhubert estimate``: totals of a run, corrected by clips that people annotated, with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.measures import RunArgument


def estimate(
    folder: RunArgument,
    reference: Annotated[
        Path,
        typer.Option(
            help="Folder that 'babyhubert sample --collect' wrote, of clips of this run.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder for estimate.csv, rates.csv and estimate.json. Default: only the tables."
        ),
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(help="CSV with recording_id (or recording_filename) and a column for --by.", metavar="FILE"),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Column of --recordings to estimate apart, such as child_id.", metavar="COLUMN"),
    ] = None,
) -> None:
    """Correct minutes, counts and turns by annotated clips, with 95 % intervals.

    The clips must be drawn with 'babyhubert sample --method random' or 'periodic'. Estimates are of the recordings of
    this run, all together, by --by, and each. 'gain' is the number of further minutes that would have to be annotated
    for as narrow an interval without the machine.
    """
    from babyhubert.cli.endings import print_notes
    from babyhubert.cli.scores import say_written, show, source
    from babyhubert.errors import ConfigError
    from babyhubert.evaluation import estimate_report as shown
    from babyhubert.evaluation.recording_table import column_of, read_recording_table
    from babyhubert.exchange.annotated_sample import read_annotated_sample
    from babyhubert.exchange.sample_amounts import measure_clips
    from babyhubert.measures.results import read_results
    from babyhubert.runs.derived import note_derived
    from babyhubert.runs.record import exit_code

    if (recordings is None) != (by is None):
        raise ConfigError("--by names a column of a table of recordings, which --recordings gives; give both or none")
    table = None if recordings is None else read_recording_table(recordings)
    results = read_results(folder)
    amounts, assumed, failures = measure_clips(results, read_annotated_sample(reference))
    print_notes([*results.notes, *assumed])
    for failure in failures:
        typer.echo(f"failed: {failure.error}", err=True)
    groups = [] if table is None or by is None else column_of(table, amounts.recordings, by)
    report = shown.estimate_all(amounts, by, groups)
    told = [group for group in report.groups if group.level != shown.RECORDING]
    show([*(shown.totals_table(report, group) for group in told), shown.rates_table(report)], shown.notes(report))
    if output is not None:
        settings = source(run=folder, reference=reference, recordings=recordings, by=by)
        written = shown.write_estimates(output, report, {**settings, "assumed": assumed})
        note_derived(folder, "estimate", written[:1], f"--reference {reference} -o {output}")
        say_written(written)
    raise typer.Exit(exit_code(len(amounts.recordings), len(failures)))
