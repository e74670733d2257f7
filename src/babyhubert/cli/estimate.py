"""``babyhubert estimate``: totals of a run, corrected by clips that people annotated, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from babyhubert.cli.measures import RunArgument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from babyhubert.exchange.recordings import Failure
    from babyhubert.measures.results import RunResults


@dataclass(frozen=True)
class _Columns:
    """Columns of the table of recordings: of groups, and of children."""

    table: Path | None
    by: str | None
    children: str | None

    def of(self, recordings: Sequence[str]) -> tuple[tuple[str, list[str]] | None, tuple[str, list[str]] | None]:
        """Name and values of the column of groups, and of children; None for one that was not given."""
        from babyhubert.evaluation.recording_table import column_of, read_recording_table

        table = None if self.table is None else read_recording_table(self.table)
        by, children = (
            None if table is None or name is None else (name, column_of(table, recordings, name))
            for name in (self.by, self.children)
        )
        return by, children


@dataclass(frozen=True)
class _Estimates:
    """Estimates to show and to write."""

    tables: Sequence[Table]
    notes: Sequence[str]
    files: Mapping[str, Sequence[Mapping[str, Any]]]
    assumed: Sequence[str]
    recordings: int
    failures: Sequence[Failure]


def estimate(
    folder: RunArgument,
    reference: Annotated[
        list[Path],
        typer.Option(
            help="Folder that 'babyhubert sample --collect' wrote, of clips of this run; several of the same "
            "clips, by several people, with --annotators.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 (typer reads it, nobody writes to it)
    rates: Annotated[
        Path | None,
        typer.Option(
            help="Instead of --reference: rates.csv that 'babyhubert estimate' wrote for other recordings of the same "
            "model. Corrects minutes of voice types, and assumes that the rates hold here.",
            metavar="RATES",
        ),
    ] = None,
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
    confidence: Annotated[
        bool,
        typer.Option(
            "--confidence",
            help="Also fit the probability that a segment is right on these clips, as 'tune confidence' does; -o "
            "writes confidence.json and reliability.csv.",
        ),
    ] = False,
) -> None:
    """Correct minutes, counts and turns by annotated clips, with 95 % intervals.

    The clips must be drawn with 'babyhubert sample --method stratified', 'random' or 'periodic'. Estimates are of the
    recordings of this run, all together, by --by, and each. 'gain' is the number of further minutes that would have to
    be annotated for as narrow an interval without the machine.
    """
    from babyhubert.cli.confidences import fit_on_reviewed, write_fit
    from babyhubert.cli.endings import print_notes
    from babyhubert.cli.scores import say_written, show, source
    from babyhubert.errors import ConfigError
    from babyhubert.evaluation.confidence_fit import FitSettings
    from babyhubert.evaluation.estimate_files import write_estimates
    from babyhubert.exchange.machine_minutes import machine_of
    from babyhubert.measures.results import read_results
    from babyhubert.runs.derived import note_derived
    from babyhubert.runs.record import exit_code

    if bool(reference) == (rates is not None):
        raise ConfigError("give --reference, a folder of annotated clips of this run, or --rates of other recordings")
    if (recordings is None) != (by is None and children is None):
        raise ConfigError("--by and --children name columns of the table that --recordings gives; give both or none")
    if confidence and not reference:
        raise ConfigError("--confidence: needs the annotated clips of this run; give --reference")
    columns, results = _Columns(recordings, by, children), read_results(folder)
    if rates is not None:
        found = _by_rates(results, rates, columns)
    else:
        found = _by_reference(results, reference, annotators, columns)
    print_notes([*results.notes, *found.assumed])
    for failure in found.failures:
        typer.echo(f"failed: {failure.error}", err=True)
    show(found.tables, found.notes)
    fitted = fit_on_reviewed(results, reference, [], None, FitSettings()) if confidence else None
    if output is not None:
        given = {"reference": ", ".join(map(str, reference)) or None, "rates": rates, "annotators": annotators}
        about = source(run=folder, **given, recordings=recordings, by=by, children=children)
        about |= {"machine": machine_of(results), "assumed": list(found.assumed)}
        written = write_estimates(output, found.files, about, found.notes)
        how = " ".join(f"--reference {one}" for one in reference) or f"--rates {rates}"
        note_derived(folder, "estimate", written[:1], f"{how} -o {output}")
        say_written(written)
        if fitted is not None:
            write_fit(output, fitted, results, source(run=folder, reference=given["reference"]))
    raise typer.Exit(exit_code(found.recordings, len(found.failures)))


def _by_reference(
    results: RunResults, references: Sequence[Path], annotators: str | None, columns: _Columns
) -> _Estimates:
    from babyhubert.cli.options import check_choice
    from babyhubert.evaluation import estimate_report as shown
    from babyhubert.evaluation.children_report import children_notes, children_rows, children_table, estimate_children
    from babyhubert.exchange.annotated_sample import read_annotated_sample
    from babyhubert.exchange.annotators import ANNOTATOR_CHOICES, combine
    from babyhubert.exchange.sample_amounts import measure_clips

    choice = None if annotators is None else check_choice("--annotators", annotators, ANNOTATOR_CHOICES)
    sample = combine([read_annotated_sample(one) for one in references], choice)
    amounts, assumed, failures = measure_clips(results, sample)
    by, children = columns.of(amounts.recordings)
    report = shown.estimate_all(amounts, *(by or (None, ())))
    told = [group for group in report.groups if group.level != shown.RECORDING]
    tables, notes = [shown.totals_table(report, group) for group in told], list(shown.notes(report))
    files = {"estimate": list(shown.rows(report)), "rates": list(shown.rate_rows(report))}
    if children is not None:
        mean = estimate_children(amounts, report.coefficient, children, by)
        tables += [children_table(mean, group) for group in mean.groups]
        notes += children_notes(mean)
        files["children"] = list(children_rows(mean))
    tables.append(shown.rates_table(report))
    return _Estimates(tables, notes, files, assumed, len(amounts.recordings), failures)


def _by_rates(results: RunResults, path: Path, columns: _Columns) -> _Estimates:
    from babyhubert.errors import ConfigError
    from babyhubert.evaluation.estimate_report import RECORDING
    from babyhubert.evaluation.transfer import read_rates
    from babyhubert.evaluation.transfer_report import assumptions, correct_all, corrected_rows, corrected_table
    from babyhubert.exchange.clip_counts import CLASSES
    from babyhubert.exchange.machine_minutes import check_machine, machine_minutes

    if columns.children is not None:
        raise ConfigError("--children needs --reference; with --rates, --by gives the minutes of each child")
    rates = read_rates(path, CLASSES)
    assumed = [*check_machine(path, results), *assumptions(path, rates)]
    minutes, failures = machine_minutes(results)
    by, _ = columns.of(minutes.recordings)
    groups = correct_all(minutes, rates, 0, by)
    tables = [corrected_table(minutes, group) for group in groups if group.level != RECORDING]
    files = {"estimate": list(corrected_rows(minutes, groups, rates))}
    return _Estimates(tables, [], files, assumed, len(minutes.recordings), failures)
