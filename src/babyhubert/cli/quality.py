"""``babyhubert quality``: a verdict on every recording."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babyhubert.cli.groups import After, Workload, option_groups
from babyhubert.cli.options import ChannelOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from babyhubert.audio.discovery import RecordingFile
    from babyhubert.runs.record import RunSummary
    from babyhubert.runs.shard import Shard


@option_groups
def quality(
    audio: Annotated[
        list[Path],
        typer.Argument(
            help="Recordings: any mix of files and folders; or the output folder of 'babyhubert segment', whose "
            "voices are then used.",
            metavar="AUDIO...|OUT",
            show_default=False,
        ),
    ],
    workload: Workload,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Folder for quality.csv, quality.json and quality.uem. Default: OUT, if that is given.",
            show_default=False,
        ),
        After("audio"),
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(
            help="CSV with recording_id (or recording_filename) and duration (ms), as ChildProject's recordings.csv: "
            "durations are compared with it.",
            metavar="FILE",
        ),
    ] = None,
    channel: ChannelOption = "mean",
) -> None:
    """Check every recording for faults: not worn, clipped, muffled, hum, dropouts, wrong speed, silence, noise.

    One sentence a recording, and quality.csv, quality.json and quality.uem (usable stretches). Run the same command
    again to continue. Exit codes: 0 no faults; 1 a recording has faults or failed; 2 nothing done.
    """
    from babyhubert.audio.channels import parse_channel
    from babyhubert.cli.recordings import check_files, check_inputs, execute
    from babyhubert.errors import ConfigError
    from babyhubert.quality.announced import announced_durations
    from babyhubert.quality.run import open_quality_run

    execution = workload.execution("cpu")
    results = audio[0] if len(audio) == 1 and (audio[0] / "run.json").is_file() else None
    target = output or results
    if target is None:
        raise ConfigError("-o: a folder for the results is needed, unless the output folder of 'segment' is given")
    checked = check_inputs(audio, target, 0) if results is None else check_files(_files_of(results), target, 0)
    names = [file.recording_id for file, _ in checked.good]
    announced = {} if recordings is None else announced_durations(recordings, names)
    make = partial(open_quality_run, target, parse_channel(channel), results, announced)
    summary = execute(make(part=execution.part), make, checked, execution, force=workload.force)
    raise typer.Exit(_tell(target, summary, names, execution.part))


def _files_of(results: Path) -> list[RecordingFile]:
    from babyhubert.audio.discovery import RecordingFile
    from babyhubert.measures.results import read_results

    return [RecordingFile(name, path) for name, path in read_results(results).audio.items()]


def _tell(target: Path, summary: RunSummary, names: Sequence[str], part: Shard | None) -> int:
    """Print the sentences; return the exit code."""
    from babyhubert.cli.endings import print_next_step, print_notes, print_warnings
    from babyhubert.cli.messages import say
    from babyhubert.errors import counted
    from babyhubert.quality.tables import CSV, read_quality, sentence, usable_hours, verdict_of

    for _, error in summary.failures:
        typer.echo(f"failed: {error}", err=True)
    print_warnings(summary.warnings)
    records = read_quality(target)
    told = [records[name] for name in names if name in records]
    for record in told:
        say(sentence(record))
    faulty = sum(verdict_of(record) == "fault" for record in told)
    say(
        f"{counted(len(told), 'recording')}, {faulty} with faults, {len(summary.failures)} failed; "
        f"{usable_hours(told)}: {target / CSV if part is None else target}"
    )
    print_notes(summary.notes)
    print_next_step(target, part)
    return summary.exit_code or int(faulty > 0)
