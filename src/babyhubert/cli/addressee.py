"""``babyhubert addressee``: to whom adults speak."""

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
    WorkersOption,
)
from babyhubert.cli.utterances import (
    ContextOption,
    GridOverlapOption,
    PublishedOption,
    SegmentsOption,
    VoiceTypeOption,
)


def addressee(
    audio: AudioArgument,
    output: OutputOption,
    segments: SegmentsOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model with an addressee head: folder, checkpoint file, or hub repository such as coml/addressee "
            "(or coml/addressee@REVISION). "
            "Default: the small playroom-tasks that comes with the package."
        ),
    ] = None,
    voice_type: VoiceTypeOption = None,
    published: PublishedOption = False,
    pooling: Annotated[
        str | None,
        typer.Option(
            help="Frames whose mean decides: those of the utterance (utterance), or those that the published tool "
            "takes (published). Default: the model's own; checkpoints in the published layout are published, models "
            "trained here utterance."
        ),
    ] = None,
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
    """Find to whom adults (FEM, MAL) speak: to adults (ADS), to the key child (KCDS), or to others (Other).

    Writes rttm_addressee.csv (uid,start_time_s,duration_s,label,addressee; empty for children), addressee/<id>.csv
    with the probabilities, run.json and failures.csv. Utterances of any length are judged, always with what surrounds
    them; a model with published pooling gives each a window of its own, and none to those over 30 s. Run the same
    command again to continue an interrupted run.
    """
    from functools import partial

    from babyhubert.audio.channels import parse_channel
    from babyhubert.cli.options import SPEED_NAMES, check_choice
    from babyhubert.cli.utterances import execute, named_model
    from babyhubert.encoder.context import POOLINGS
    from babyhubert.runs.sharing import Sharing
    from babyhubert.tasks.classification.outputs import open_classification_run

    sharing = Sharing.from_options(device, workers, scheduler, slurm, shard)
    mode = check_choice("--speed", speed, SPEED_NAMES)
    chosen_channel = parse_channel(channel)
    make = partial(
        open_classification_run,
        output,
        named_model(model),
        task="addressee",
        segments=segments,
        published=published,
        window_s=window,
        overlap=overlap,
        pooling=None if pooling is None else check_choice("--pooling", pooling, POOLINGS),
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
        left_out="are Other without running the model",
        force=force,
    )
