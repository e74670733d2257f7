"""``babyhubert report``: the HTML page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.measures import RunArgument, StartTimesOption
from babyhubert.cli.messages import say


def report(
    folder: RunArgument,
    start_times: StartTimesOption = None,
    recordings: Annotated[
        Path | None,
        typer.Option(
            help="CSV with recording_id, child_id and age_months (or date_iso and child_dob): means by child and age. "
            "Default: the metadata of the ChildProject data set that holds the audio.",
            metavar="CSV",
            show_default=False,
        ),
    ] = None,
    levels: Annotated[
        bool,
        typer.Option(
            "--levels/--no-levels",
            help="Read the recordings, once, for the strip of level and clipping. The result is stored.",
        ),
    ] = True,
    with_clips: Annotated[
        int,
        typer.Option(
            help="Number of random segments per recording whose sound is included in the page. Default: no "
            "sound, since recordings are private and a page is easily shared.",
            min=0,
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the choice of segments.", min=0, max=2**63 - 1)] = 0,
) -> None:
    """Write report.html, a page that shows a run: open it in any browser, no network needed.

    The day as a timeline that zooms from hours to seconds, minutes and turns per hour, lengths, levels and clipping,
    confidence of the model, failures, settings and model card; a table of recordings that sorts and filters. Many
    recordings get a page each (report/<id>.html), linked from that table.
    """
    from babyhubert.cli.endings import print_notes
    from babyhubert.cli.progress import RunProgressDisplay
    from babyhubert.errors import counted
    from babyhubert.measures.hours import start_time_notes
    from babyhubert.measures.results import read_results
    from babyhubert.report.page import PageSettings, write_page
    from babyhubert.runs.record import exit_code

    results = read_results(folder)
    print_notes([*results.notes, *start_time_notes(results.audio, start_times)])
    settings = PageSettings(levels, with_clips, seed, start_times, recordings)
    with RunProgressDisplay("report") as progress:
        written = write_page(results, settings, progress)
    where = f"{written.path}" + (f" and {folder / 'report'}" if written.separate else "")
    say(f"{counted(written.recordings, 'recording')}: {where}")
    if with_clips:
        say("note: the page holds sounds of the recordings; think before you pass it on", err=True)
    raise typer.Exit(exit_code(written.recordings, len(written.failures)))
