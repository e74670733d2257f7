"""``babyhubert classify``: the class of each utterance, by a task of any configuration."""

from __future__ import annotations

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
    TaskOption,
    WorkersOption,
)
from babyhubert.cli.utterances import (
    ContextOption,
    GridOverlapOption,
    SegmentsOption,
    VoiceTypeOption,
)


def classify(
    audio: AudioArgument,
    output: OutputOption,
    model: Annotated[
        str,
        typer.Option(help="Model with a task of the kind classification: folder, checkpoint file or hub repository."),
    ],
    segments: SegmentsOption = None,
    task: TaskOption = None,
    voice_type: VoiceTypeOption = None,
    speed: SpeedOption = "exact",
    window: ContextOption = None,
    overlap: GridOverlapOption = None,
    channel: ChannelOption = "mean",
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = None,
    force: ForceOption = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    slurm: SlurmOption = None,
    shard: ShardOption = None,
) -> None:
    """Give each utterance one of the classes of a task.

    The task is one that a configuration defined (docs/finetuning.md); it knows the voices it is asked about. Writes
    <task>/<id>.csv with class and probabilities, rttm_<task>.csv over all recordings, run.json and failures.csv. Run
    the same command again to continue an interrupted run.

    Example: babyhubert classify recordings/ -o results/ --model my-model --task my_task
    """
    from functools import partial

    from babyhubert.audio.channels import parse_channel
    from babyhubert.cli.options import SPEED_NAMES, check_choice
    from babyhubert.cli.utterances import execute
    from babyhubert.runs.sharing import Sharing
    from babyhubert.tasks.classification.outputs import open_classification_run

    sharing = Sharing.from_options(device, workers, scheduler, slurm, shard)
    mode = check_choice("--speed", speed, SPEED_NAMES)
    chosen_channel = parse_channel(channel)
    make = partial(
        open_classification_run,
        output,
        model,
        task=task,
        segments=segments,
        window_s=window,
        overlap=overlap,
        speed=mode,
        batch_size=batch_size,
        channel=chosen_channel,
    )
    execute(
        make,
        audio,
        output,
        segments,
        (voice_type, model),
        sharing,
        mode,
        chosen_channel,
        left_out="are not classified",
        force=force,
    )
