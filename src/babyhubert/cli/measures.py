"""``babyhubert measures``: a run's results as tables of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babyhubert.cli.messages import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from babyhubert.measures.results import RunResults
    from babyhubert.measures.tables import MeasureSettings, RecordingMeasures

RunArgument = Annotated[
    Path,
    typer.Argument(help="Output folder of 'babyhubert segment'.", metavar="OUT", show_default=False),
]
StartTimesOption = Annotated[
    Path | None,
    typer.Option(
        help="CSV with recording_id (or recording_filename) and start_time (H:MM or H:MM:SS); or from-names: as the "
        "names of the files tell, such as 20210510_180000. Default: the metadata/recordings.csv of the ChildProject "
        "data set that holds the audio, else hours from the beginning.",
        metavar="CSV|from-names",
        show_default=False,
    ),
]


def measures(
    folder: RunArgument,
    start_times: StartTimesOption = None,
    first: Annotated[
        str,
        typer.Option("--from", help="Count from this time of day on; needs start times.", metavar="H:MM"),
    ] = "",
    last: Annotated[
        str,
        typer.Option("--to", help="Count until this time of day; before --from, on the next day.", metavar="H:MM"),
    ] = "",
    sessions: Annotated[
        Path | None,
        typer.Option(
            help="CSV with recording_id (or recording_filename) and session, in the order of time: recordings of one "
            "session are measured as one, in sessions.csv.",
            metavar="CSV",
        ),
    ] = None,
    period: Annotated[
        int, typer.Option(help="Minutes of a row of hourly.csv; days are divided into them.", min=1, max=1440)
    ] = 60,
    vocalisation_gap: Annotated[
        int, typer.Option(help="Segments of a class closer than this are one vocalisation, in ms.", min=0)
    ] = 300,
    turn_gap: Annotated[int, typer.Option(help="Longest gap of a floor transfer, in ms.", min=0)] = 2000,
    turn_overlap: Annotated[int, typer.Option(help="Longest overlap of a floor transfer, in ms.", min=0)] = 1000,
    shuffles: Annotated[
        int, typer.Option(help="Shuffles to estimate the turns expected by chance; 0: no estimate.", min=0)
    ] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the shuffles.", min=0, max=2**63 - 1)] = 0,
    min_confidence: Annotated[
        float,
        typer.Option(help="Segments of less confidence do not count, 0 to 1; 0: all count.", min=0, max=1),
    ] = 0.0,
    retest: Annotated[
        Path | None,
        typer.Option(
            help="CSV with recording_id (or recording_filename) and the child of each recording: the intraclass "
            "correlation over days of a child goes to retest.csv. Recordings of one date_iso are one day.",
            metavar="CSV",
        ),
    ] = None,
    child: Annotated[
        str, typer.Option(help="Column of --retest that names the child.", metavar="COLUMN")
    ] = "child_id",
) -> None:
    """Count speech, vocalisations, turns, addressees and phones per recording and per hour.

    Writes measures.csv (one row per recording), hourly.csv (one row per hour) and measures.json (settings) into OUT.
    Addressees, phones and classes of other tasks are counted if 'babyhubert addressee', 'babyhubert phonemes' and
    'babyhubert classify' wrote into that folder; NA means not computed, 0 means none found.
    """
    from babyhubert.cli.endings import print_notes
    from babyhubert.errors import ConfigError, counted
    from babyhubert.measures.csv_files import write_measures
    from babyhubert.measures.hours import start_time_notes
    from babyhubert.measures.results import read_results
    from babyhubert.measures.tables import MeasureSettings, measure_all
    from babyhubert.runs.record import exit_code

    settings = MeasureSettings(
        vocalisation_gap_ms=vocalisation_gap,
        turn_gap_ms=turn_gap,
        turn_overlap_ms=turn_overlap,
        shuffles=shuffles,
        seed=seed,
        min_confidence=min_confidence,
        period_min=period,
        from_time=first,
        to_time=last,
    )
    if sessions is not None and (first or last):
        raise ConfigError("--sessions with --from or --to: a session is measured as a whole; give one of them")
    results = read_results(folder)
    measured, failures = measure_all(results, settings, start_times)
    print_notes(results.notes)
    if min_confidence and not results.has_probabilities:
        print_notes([f"{folder}: confidences are uncalibrated scores, no probabilities; see 'tune confidence'"])
    print_notes(start_time_notes(results.audio, start_times))
    for _, error in failures:
        typer.echo(f"failed: {error}", err=True)
    write_measures(folder, measured, settings)
    warned = sum(bool(one.warnings) for one in measured)
    clock = sum(one.hours.start is not None for one in measured)
    say(
        f"{counted(len(measured), 'recording')} measured, {clock} by the clock: {folder / 'measures.csv'} and "
        + "hourly.csv"
        + (f"; {warned} have warnings (column 'warnings')" if warned else "")
        + (f"; {len(results.failures)} that failed are not in them" if results.failures else "")
    )
    if retest is not None:
        _retest(folder, measured, retest, child)
    unmeasured = 0 if sessions is None else _sessions(results, sessions, settings)
    raise typer.Exit(exit_code(len(measured), len(failures) + unmeasured))


def _sessions(results: RunResults, table: Path, settings: MeasureSettings) -> int:
    """Write the measures of sessions; return the number of those that failed."""
    from babyhubert.cli.endings import print_notes
    from babyhubert.errors import counted, some_names
    from babyhubert.measures.sessions import measure_sessions, read_sessions, write_sessions

    sessions, strange = read_sessions(table, results.audio)
    if strange:
        print_notes([f"{table}: names no recording of these results: {some_names(strange)}"])
    alone = sorted(set(results.audio) - {name for names in sessions.values() for name in names})
    if alone:
        print_notes([f"{table}: no session for {counted(len(alone), 'recording')} ({some_names(alone)})"])
    measured, failures = measure_sessions(results, sessions, settings)
    for name, error in failures:
        typer.echo(f"failed: session {name}: {error}", err=True)
    say(f"{counted(len(measured), 'session')} measured: {write_sessions(results.folder, measured)}")
    return len(failures)


def _retest(folder: Path, measured: Sequence[RecordingMeasures], table: Path, child: str) -> None:
    """Print and write the stability over days."""
    from babyhubert.cli.scores import say_written, show
    from babyhubert.evaluation.recording_table import read_recording_table
    from babyhubert.evaluation.retest import retest, retest_notes, retest_table, write_retest

    found = retest(measured, read_recording_table(table), child)
    show([retest_table(found)], retest_notes(found))
    say_written([write_retest(folder, found)])
