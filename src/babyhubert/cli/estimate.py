"""``babyhubert estimate``: totals of a run, corrected by clips that people annotated, with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.measures import RunArgument


def estimate(
    folder: RunArgument,
    reference: Annotated[
        list[Path],
        typer.Option(
            help="Folder that 'babyhubert sample --collect' wrote, of clips of this run; several of the same "
            "clips, by several people, with --annotators.",
            show_default=False,
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
        typer.Option(
            help="CSV with recording_id (or recording_filename) and columns for --by and --children.", metavar="FILE"
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Column of --recordings to estimate apart, such as child_id.", metavar="COLUMN"),
    ] = None,
    children: Annotated[
        str | None,
        typer.Option(
            help="Column of --recordings that names the child, such as child_id: also the mean rate of children, with "
            "an interval for the population they are from.",
            metavar="COLUMN",
        ),
    ] = None,
    annotators: Annotated[
        str | None,
        typer.Option(
            help="With several references: mean (of all, in the clips that all annotated) or first (each clip by the "
            "first who annotated it).",
        ),
    ] = None,
) -> None:
    """Correct minutes, counts and turns by annotated clips, with 95 % intervals.

    The clips must be drawn with 'babyhubert sample --method random' or 'periodic'. Estimates are of the recordings of
    this run, all together, by --by, and each. 'gain' is the number of further minutes that would have to be annotated
    for as narrow an interval without the machine.
    """
    from babyhubert.cli.endings import print_notes
    from babyhubert.cli.options import check_choice
    from babyhubert.cli.scores import say_written, show, source
    from babyhubert.errors import ConfigError
    from babyhubert.evaluation import estimate_report as shown
    from babyhubert.evaluation.children_report import children_notes, children_rows, children_table, estimate_children
    from babyhubert.evaluation.recording_table import column_of, read_recording_table
    from babyhubert.exchange.annotated_sample import read_annotated_sample
    from babyhubert.exchange.annotators import ANNOTATOR_CHOICES, combine
    from babyhubert.exchange.sample_amounts import measure_clips
    from babyhubert.measures.results import read_results
    from babyhubert.runs.derived import note_derived
    from babyhubert.runs.record import exit_code

    if (recordings is None) != (by is None and children is None):
        raise ConfigError("--by and --children name columns of the table that --recordings gives; give both or none")
    table = None if recordings is None else read_recording_table(recordings)
    choice = None if annotators is None else check_choice("--annotators", annotators, ANNOTATOR_CHOICES)
    results = read_results(folder)
    sample = combine([read_annotated_sample(one) for one in reference], choice)
    amounts, assumed, failures = measure_clips(results, sample)
    print_notes([*results.notes, *assumed])
    for failure in failures:
        typer.echo(f"failed: {failure.error}", err=True)
    columns = {
        name: (name, column_of(table, amounts.recordings, name))
        for name in (by, children)
        if table is not None and name
    }
    report = shown.estimate_all(amounts, *columns.get(by or "", (None, ())))
    told = [group for group in report.groups if group.level != shown.RECORDING]
    tables, notes = [shown.totals_table(report, group) for group in told], list(shown.notes(report))
    more = {}
    if children is not None:
        of_children = estimate_children(amounts, report.coefficient, columns[children], columns.get(by or ""))
        tables += [children_table(of_children, group) for group in of_children.groups]
        notes += children_notes(of_children)
        more["children"] = list(children_rows(of_children))
    show([*tables, shown.rates_table(report)], notes)
    if output is not None:
        settings = source(
            run=folder,
            reference=", ".join(map(str, reference)),
            annotators=annotators,
            recordings=recordings,
            by=by,
            children=children,
        )
        given = " ".join(f"--reference {one}" for one in reference)
        written = shown.write_estimates(output, report, {**settings, "assumed": assumed}, more)
        note_derived(folder, "estimate", written[:1], f"{given} -o {output}")
        say_written(written)
    raise typer.Exit(exit_code(len(amounts.recordings), len(failures)))
