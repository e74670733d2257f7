"""``babyhubert analyze``: all predictions of the models, in one run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babyhubert.cli.groups import After, Run, option_groups
from babyhubert.cli.messages import say
from babyhubert.cli.options import SpeedOption, ThresholdsOption

if TYPE_CHECKING:
    from babyhubert.tasks.analyze import AnalyzeRun


@option_groups
def analyze(
    given: Run,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model for all tasks that it has a head for; heads that share windows share one pass of the "
            "encoder. Default, if no model is named: the small models of the package."
        ),
        After("output"),
    ] = None,
    voice_type: Annotated[
        str | None,
        typer.Option(help="Model for voice types. Default: --model, else playroom."),
    ] = None,
    addressee: Annotated[
        str | None, typer.Option(help="Model for addressees. Default: --model if it has the head.")
    ] = None,
    phonemes: Annotated[
        str | None, typer.Option(help="Model for phonemes. Default: --model if it has the head.")
    ] = None,
    thresholds: ThresholdsOption = "f1",
    beam: Annotated[
        int, typer.Option(help="Prefixes kept by the beam search for phonemes; 0 decodes greedily.", min=0)
    ] = 0,
    speed: SpeedOption = "exact",
    report: Annotated[
        bool,
        typer.Option("--report/--no-report", help="Then count (measures.csv, hourly.csv) and write report.html."),
        After("batch_size"),
    ] = True,
) -> None:
    """Find voice types, addressees and the key child's phonemes, decoding the audio once.

    Writes what 'segment', 'addressee' and 'phonemes' write (those whose models are given), then measures and a report.
    Run the same command again to continue an interrupted run.
    """
    from babyhubert.cli.options import SPEED_NAMES, check_choice
    from babyhubert.cli.recordings import run
    from babyhubert.cli.small_models import print_small_model
    from babyhubert.phonology.syllables import available
    from babyhubert.tasks.analyze import choose_models, open_analyze_run
    from babyhubert.tasks.voice_type.prediction import VoiceTypeSettings

    execution = given.execution()
    mode = check_choice("--speed", speed, SPEED_NAMES)
    models = choose_models(model, voice_type, addressee, phonemes)
    if models.voice_type is None:
        print_small_model(option="--model" if addressee is None and phonemes is None else "--voice-type")
    make = partial(
        open_analyze_run,
        given.recordings.output,
        models,
        partial(VoiceTypeSettings.for_speed, mode, thresholds=thresholds),
        beam=beam,
        syllables=available(),
        speed=mode,
        batch_size=given.machine.batch_size,
        channel=given.channel(),
    )
    summary = run(make, given, execution, decides=mode != "exact", before=_print_commands)
    if report and execution.part is None and summary.done + summary.skipped:
        _show(given.recordings.output)
    raise typer.Exit(summary.exit_code)


def _print_commands(opened: AnalyzeRun) -> None:
    """Print the commands that run, and those among them that share the encoder's pass."""
    joined = opened.one_pass
    shared = f" ({', '.join(joined)} in the same pass of the encoder as segment)" if joined else ""
    say(f"running {', '.join(opened.commands)}{shared}", err=True)


def _show(output: Path) -> None:
    """Write measures and the report page."""
    from babyhubert.cli.progress import RunProgressDisplay
    from babyhubert.measures.csv_files import write_measures
    from babyhubert.measures.results import read_results
    from babyhubert.measures.tables import MeasureSettings, measure_all
    from babyhubert.report.page import PageSettings, write_page

    settings = MeasureSettings()
    measured, failures = measure_all(read_results(output), settings, None)
    for _, error in failures:
        typer.echo(f"not measured: {error}", err=True)
    write_measures(output, measured, settings)
    with RunProgressDisplay("report") as progress:
        page = write_page(read_results(output), PageSettings(), progress).path
    say(f"measures: {output / 'measures.csv'} and hourly.csv; report: {page}")
