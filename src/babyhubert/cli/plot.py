"""``babyhubert plot``: a recording's figure for a paper."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.measures import RunArgument, StartTimesOption
from babyhubert.cli.messages import say


def plot(
    folder: RunArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The figure: a .pdf, .png or .svg file.", show_default=False)
    ],
    recording: Annotated[
        str | None,
        typer.Option(help="Id of the recording. Default: the only one.", metavar="ID", show_default=False),
    ] = None,
    first: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Begin there, H:MM or H:MM:SS: time of day if the start is known, else from the beginning.",
            metavar="TIME",
            show_default=False,
        ),
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="End there.", metavar="TIME", show_default=False)] = None,
    size: Annotated[str, typer.Option(help="Width x height, in inches.", metavar="WxH")] = "7.2x4.2",
    dpi: Annotated[int, typer.Option(help="Dots per inch of a PNG.", min=30, max=2400)] = 300,
    title: Annotated[str, typer.Option(help="Title above the figure. Default: none.", show_default=False)] = "",
    start_times: StartTimesOption = None,
) -> None:
    """Draw a recording: a lane a voice type over time, and minutes of speech an hour.

    Stretches of up to half an hour show segments, longer ones how much of the time is spoken.
    """
    from babyhubert.cli.endings import print_notes, shown
    from babyhubert.errors import ConfigError
    from babyhubert.measures.hours import hours_of, start_time_notes
    from babyhubert.measures.hours import start_times as read_start_times
    from babyhubert.measures.results import read_results
    from babyhubert.report.plot import FigureSettings, draw_figure, parse_moment, parse_size, require_matplotlib
    from babyhubert.runs.derived import note_derived

    require_matplotlib()
    results = read_results(folder)
    known = ", ".join(list(results.audio)[:5]) + (" ..." if len(results.audio) > 5 else "")
    if recording is None and len(results.audio) != 1:
        raise ConfigError(f"{folder} holds {len(results.audio)} recordings; choose one with --recording: {known}")
    chosen = next(iter(results.audio)) if recording is None else recording
    if chosen not in results.audio:
        raise ConfigError(f"--recording {chosen}: not in {folder}; it holds {known}")
    begins = read_start_times({chosen: results.audio[chosen]}, start_times)[chosen]
    if start_times is not None and begins is None:
        print_notes(start_time_notes({chosen: results.audio[chosen]}, start_times)[:1])
    found = results.read(chosen)
    hours = hours_of(found.samples, begins)
    start = 0 if first is None else parse_moment("--from", first, hours)
    stop = found.samples if last is None else parse_moment("--to", last, hours)
    if stop <= start:
        raise ConfigError(f"--from {first or 'the beginning'} --to {last or 'the end'}: the end must come later")
    settings = FigureSettings(start, stop, parse_size(size), dpi, title)
    draw_figure(output, found, settings, begins)
    stretch = [f"--{word} {given}" for word, given in (("from", first), ("to", last)) if given is not None]
    note_derived(
        folder, "plot", [output], " ".join([f"-o {shown(output)} --recording {shlex.quote(chosen)}", *stretch])
    )
    say(f"{chosen}: {output}")
