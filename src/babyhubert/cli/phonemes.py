"""``babyhubert phonemes``: what the key child says, in IPA."""

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
    PublishedOption,
    SegmentsOption,
    VoiceTypeOption,
)


def phonemes(
    audio: AudioArgument,
    output: OutputOption,
    segments: SegmentsOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model with a phoneme head: folder, or checkpoint file such as BabAR's. Default: the small "
            "playroom-tasks that comes with the package."
        ),
    ] = None,
    task: TaskOption = None,
    voice_type: VoiceTypeOption = None,
    beam: Annotated[
        int,
        typer.Option(help="Prefixes kept by the beam search, such as 16; 0 decodes greedily, as published.", min=0),
    ] = 0,
    syllables: Annotated[
        bool | None,
        typer.Option(
            "--syllables/--no-syllables",
            help="Also write phonemes_enriched/<id>.csv: syllables, their number, and CV strings. Needs the 'phones' "
            "extra; default: when that is installed.",
            show_default=False,
        ),
    ] = None,
    published: PublishedOption = False,
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
    """Write down what the key child (KCHI) says, utterance by utterance, in IPA.

    Writes phonemes/<id>.csv (filename,onset,offset,speaker,phonemes; header only where the child says nothing),
    phonemes_timed/<id>.csv with the times and confidence of every phoneme, run.json and failures.csv. Utterances of
    any length are heard. Run the same command again to continue an interrupted run.
    """
    from functools import partial

    from babyhubert.audio.channels import parse_channel
    from babyhubert.cli.options import SPEED_NAMES, check_choice
    from babyhubert.cli.utterances import execute, named_model
    from babyhubert.errors import MissingExtraError
    from babyhubert.phonology.syllables import available
    from babyhubert.runs.sharing import Sharing
    from babyhubert.tasks.phonemes.outputs import open_phoneme_run

    sharing = Sharing.from_options(device, workers, scheduler, slurm, shard)
    mode = check_choice("--speed", speed, SPEED_NAMES)
    chosen_channel = parse_channel(channel)
    if syllables and not available():
        raise MissingExtraError("--syllables", "phones")
    make = partial(
        open_phoneme_run,
        output,
        named_model(model),
        task=task,
        segments=segments,
        beam=beam,
        syllables=available() if syllables is None else syllables,
        published=published,
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
        left_out="left out",
        force=force,
    )
