"""``babyhubert table``: a run's results as tables for Excel, R and pandas."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.measures import RunArgument, StartTimesOption


def table(
    folder: RunArgument,
    to: Annotated[str, typer.Option(help="xlsx (one Excel workbook) or csv (a folder of files).", metavar="KIND")] = (
        "xlsx"
    ),
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Workbook, or folder of the files. Default: OUT/tables.xlsx, or OUT/tables."
        ),
    ] = None,
    start_times: StartTimesOption = None,
) -> None:
    """Write all results as tidy tables: recordings, hours, segments, failures, settings, and a dictionary of columns.

    Tables join by recording_id. Measures are those of measures.csv, with the settings of its last run. Excel needs the
    extra 'excel'.
    """
    from babyhubert.cli.endings import print_notes, shown
    from babyhubert.cli.options import check_choice
    from babyhubert.errors import ConfigError, counted
    from babyhubert.exchange.workbook import TABLE_KINDS, tidy_tables, write_csv_tables, write_workbook
    from babyhubert.measures.csv_files import earlier_settings
    from babyhubert.measures.hours import start_time_notes
    from babyhubert.measures.results import read_results
    from babyhubert.measures.tables import measure_all
    from babyhubert.runs.derived import note_derived, results_state
    from babyhubert.runs.record import exit_code

    kind = check_choice("--to", to.lower(), TABLE_KINDS)
    path = output or folder / ("tables.xlsx" if kind == "xlsx" else "tables")
    if kind == "xlsx" and path.suffix.lower() != ".xlsx":
        raise ConfigError(f"-o {path}: a workbook ends with .xlsx")
    state, results = results_state(folder), read_results(folder)
    measured, failures = measure_all(results, earlier_settings(folder), start_times)
    print_notes([*results.notes, *start_time_notes(results.audio, start_times)])
    tables = tidy_tables(results, measured, failures)
    (write_workbook if kind == "xlsx" else write_csv_tables)(path, tables)
    for _, error in dict.fromkeys(failures):
        typer.echo(f"failed: {error}", err=True)
    note_derived(folder, "table", [path], f"--to {kind} -o {shown(path)}", state)
    names = ", ".join(each.name for each in tables)
    typer.echo(f"{counted(len(measured), 'recording')}, tables {names}: {path}")
    raise typer.Exit(exit_code(len(measured), len(dict.fromkeys(failures))))
