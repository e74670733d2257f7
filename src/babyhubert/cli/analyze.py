"""``babyhubert analyze``: everything the models can tell about recordings, in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.options import (
    AudioArgument,
    BatchSizeOption,
    ChannelOption,
    DeviceOption,
    ForceOption,
    OutputOption,
    SchedulerOption,
    ShardOption,
    SlurmOption,
    SpeedOption,
    ThresholdsOption,
    WorkersOption,
)


def analyze(
    audio: AudioArgument,
    output: OutputOption,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model for everything it has a head for; heads that share windows share one pass of the encoder. "
            "playroom-tasks, of this package, has all."
        ),
    ] = None,
    voice_type: Annotated[
        str | None,
        typer.Option(help="Model for who speaks when. Default: --model, else the small model of the package."),
    ] = None,
    addressee: Annotated[
        str | None, typer.Option(help="Model for to whom adults speak. Default: --model where it has the head.")
    ] = None,
    phonemes: Annotated[
        str | None, typer.Option(help="Model for what the key child says. Default: --model where it has the head.")
    ] = None,
    thresholds: ThresholdsOption = "f1",
    beam: Annotated[
        int, typer.Option(help="Prefixes kept by the beam search for phonemes; 0 decodes greedily.", min=0)
    ] = 0,
    speed: SpeedOption = "exact",
    channel: ChannelOption = "mean",
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = None,
    report: Annotated[
        bool,
        typer.Option("--report/--no-report", help="Then count (measures.csv, hourly.csv) and write report.html."),
    ] = True,
    force: ForceOption = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    slurm: SlurmOption = None,
    shard: ShardOption = None,
) -> None:
    """Find who speaks when, to whom, and what the key child says, over audio that is decoded once.

    Writes what 'segment', 'addressee' and 'phonemes' write (those whose models are given), then measures and a report.
    Run the same command again to continue an interrupted run.
    """
    from functools import partial

    from babyhubert.audio.channels import parse_channel
    from babyhubert.cli.endings import tell_run
    from babyhubert.cli.inputs import check_inputs
    from babyhubert.cli.options import SPEED_NAMES, check_choice
    from babyhubert.cli.progress import RunProgressDisplay
    from babyhubert.cli.small_models import tell_small_model
    from babyhubert.phonology.syllables import available
    from babyhubert.runs.sharing import Sharing
    from babyhubert.tasks.analyze import choose_models, open_analyze_run
    from babyhubert.tasks.voice_type.prediction import SHIPPED_MODEL, VoiceTypeSettings

    sharing = Sharing.from_options(device, workers, scheduler, slurm, shard)
    mode = check_choice("--speed", speed, SPEED_NAMES)
    models = choose_models(model, voice_type, addressee, phonemes)
    if models.voice_type is None:
        tell_small_model(SHIPPED_MODEL.name)
    make = partial(
        open_analyze_run,
        output,
        models,
        partial(VoiceTypeSettings.for_speed, mode, thresholds=thresholds),
        beam=beam,
        syllables=available(),
        speed=mode,
        batch_size=batch_size,
        channel=parse_channel(channel),
    )
    run = make(device=sharing.own_device(decides=mode != "exact"), part=sharing.part)
    typer.echo(f"running {', '.join(run.commands)}" + _shared(run.one_pass), err=True)
    checked = check_inputs(audio, output, bytes_per_second=run.bytes_per_second)
    distribution = sharing.distribution(partial(make, device=device))
    with run.folder, RunProgressDisplay("analyze") as progress:
        summary = run.execute(checked, progress, force=force, distribution=distribution)
    tell_run(summary, output, sharing.part)
    if report and sharing.part is None and summary.done + summary.skipped:
        _show(output)
    raise typer.Exit(summary.exit_code)


def _shared(commands: list[str]) -> str:
    return f" ({', '.join(commands)} in the same pass of the encoder as segment)" if commands else ""


def _show(output: Path) -> None:
    """Count, and write the page."""
    from babyhubert.cli.progress import RunProgressDisplay
    from babyhubert.measures.results import read_results
    from babyhubert.measures.tables import MeasureSettings, measure_all, write_measures
    from babyhubert.report.page import PageSettings, write_page

    settings = MeasureSettings()
    measured, failures = measure_all(read_results(output), settings, None)
    for _, error in failures:
        typer.echo(f"not measured: {error}", err=True)
    write_measures(output, measured, settings)
    with RunProgressDisplay("report") as progress:
        page = write_page(read_results(output), PageSettings(), progress).path
    typer.echo(f"measures: {output / 'measures.csv'} and hourly.csv; report: {page}")
