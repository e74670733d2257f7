"""``babyhubert segment``: who speaks when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from babyhubert.cli.options import (
    SPEED_NAMES,
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
    TaskOption,
    ThresholdsOption,
    WorkersOption,
)

_BLENDS: tuple[Literal["mean", "taper", "crop"], ...] = ("mean", "taper", "crop")


def segment(
    audio: AudioArgument,
    output: OutputOption,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model folder, checkpoint file, or hub repository such as coml/VTC-2 (or "
            "coml/VTC-2@REVISION). Without it: the small "
            "model that comes with the package."
        ),
    ] = None,
    task: TaskOption = None,
    thresholds: ThresholdsOption = "f1",
    speed: SpeedOption = "exact",
    window: Annotated[
        float | None,
        typer.Option(
            help="Window the model sees at once, in seconds. Default: that which the model was trained on, 4.0 for "
            "VTC (30.0 for the model of the package); for one with several heads what they share.",
            show_default=False,
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            help="Share of a window that neighbours have in common, 0 to below 1. 0.75 averages four windows a frame "
            "(as VTC 2.2); 0 tiles them (as VTC 2.1) and is about four times as fast. Default: 0.75, or what "
            "--speed says; for a model with several heads what they share.",
            show_default=False,
        ),
    ] = None,
    blend: Annotated[
        str | None,
        typer.Option(
            help="How overlapping windows are joined: mean (as VTC 2.2), taper (edges of windows count less), or "
            "crop (each frame from the window where it lies deepest). Default: mean, or crop for several heads.",
            show_default=False,
        ),
    ] = None,
    skip_quiet: Annotated[
        float | None,
        typer.Option(
            help="Do not encode windows that nowhere rise so many decibels above the recording's quiet floor: they "
            "count as without voices. For long recordings with quiet stretches: try 10, smaller loses less; where "
            "noise never stops, voices that are hardly above it are lost. See docs/speed.md. Default: encode all.",
            metavar="DB",
            show_default=False,
        ),
    ] = None,
    min_on: Annotated[float, typer.Option(help="Drop segments shorter than this, in seconds.")] = 0.1,
    min_off: Annotated[
        float,
        typer.Option(help="First close gaps within a class shorter than this, in seconds."),
    ] = 0.1,
    channel: ChannelOption = "mean",
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = None,
    save_probs: Annotated[
        bool, typer.Option("--save-probs", help="Also write probs/<id>.npy: class probabilities a frame.")
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="calibration.toml of 'tune voice-type --calibrate': the probabilities of --save-probs are corrected "
            "by it. Segments stay as they are.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    keep_raw: Annotated[
        bool,
        typer.Option("--keep-raw", help="Also write raw_rttm/: before gaps are closed and short segments dropped."),
    ] = False,
    force: ForceOption = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    slurm: SlurmOption = None,
    shard: ShardOption = None,
) -> None:
    """Find who speaks when: key child (KCHI), other child (OCH), male adult (MAL), female adult (FEM).

    Writes rttm/<id>.rttm, csv/<id>.csv (ChildProject), rttm.csv, run.json and failures.csv into the output folder. Run
    the same command again to continue an interrupted run; other thresholds or minimum durations reuse the kept scores.
    """
    from functools import partial

    from babyhubert.audio.channels import parse_channel
    from babyhubert.cli.endings import tell_run
    from babyhubert.cli.inputs import check_inputs
    from babyhubert.cli.options import check_choice, duration_samples
    from babyhubert.cli.progress import RunProgressDisplay
    from babyhubert.cli.small_models import tell_small_model
    from babyhubert.inference.post_processing import MinimumDurations
    from babyhubert.runs.sharing import Sharing
    from babyhubert.tasks.voice_type.outputs import SegmentOutputs, open_segment_run
    from babyhubert.tasks.voice_type.prediction import SHIPPED_MODEL, VoiceTypeSettings

    sharing = Sharing.from_options(device, workers, scheduler, slurm, shard)
    mode = check_choice("--speed", speed, SPEED_NAMES)
    settings = partial(
        VoiceTypeSettings.for_speed,
        mode,
        window_s=window,
        overlap=overlap,
        blend=None if blend is None else check_choice("--blend", blend, _BLENDS),
        thresholds=thresholds,
        minimum=MinimumDurations(duration_samples("--min-on", min_on), duration_samples("--min-off", min_off)),
    )
    chosen_channel = parse_channel(channel)
    if model is None:
        tell_small_model(SHIPPED_MODEL.name)
    make = partial(
        open_segment_run,
        output,
        model,
        settings,
        task=task,
        speed=mode,
        batch_size=batch_size,
        channel=chosen_channel,
        outputs=SegmentOutputs(save_probs, keep_raw, calibration),
        skip_quiet_db=skip_quiet,
    )
    run = make(device=sharing.own_device(decides=mode != "exact"), part=sharing.part)
    checked = check_inputs(audio, output, bytes_per_second=run.bytes_per_second)
    distribution = sharing.distribution(partial(make, device=device))
    with run.folder, RunProgressDisplay("segment") as progress:
        summary = run.execute(checked, progress, force=force, distribution=distribution)
    tell_run(summary, output, sharing.part)
    raise typer.Exit(summary.exit_code)
