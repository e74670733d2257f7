"""``babyhubert corpus``: from recordings to packed training material, in four steps of one folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babyhubert.cli.groups import After, Recordings, Workload, option_groups
from babyhubert.cli.messages import say
from babyhubert.cli.options import ChannelOption, DeviceOption, ForceOption

if TYPE_CHECKING:
    from babyhubert.corpus.summary import StepSummary

CorpusArgument = Annotated[
    Path, typer.Argument(help="Folder that 'babyhubert corpus scan' wrote.", metavar="CORPUS", show_default=False)
]

app = typer.Typer(help="Training material: scan, regions, segments, pack.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Training material from raw recordings. The four steps share one folder:

    scan -> inventory.parquet, regions -> regions.parquet, segments -> segments.parquet, pack -> pack/.
    """


@app.command()
@option_groups
def scan(given: Recordings, workload: Workload, channel: Annotated[ChannelOption, After("output")] = "mean") -> None:
    """Measure every recording: length, level, clipping, silence.

    Writes inventory.parquet, scan.json and failures.csv. Run the same command again to continue. The later steps use
    the channel that is chosen here.
    """
    from babyhubert.audio.channels import parse_channel
    from babyhubert.cli.endings import print_next_step
    from babyhubert.cli.progress import RunProgressDisplay
    from babyhubert.cli.recordings import check_inputs
    from babyhubert.corpus.inventory import open_scan_run
    from babyhubert.corpus.inventory import scan as run

    output, execution = given.output, workload.execution("cpu")
    chosen = parse_channel(channel)
    checked = check_inputs(given.audio, output, bytes_per_second=0)
    distribution = execution.distribution(partial(open_scan_run, output, chosen))
    with RunProgressDisplay("scan") as progress:
        summary = run(
            checked,
            output,
            channel=chosen,
            force=workload.force,
            progress=progress,
            distribution=distribution,
            part=execution.part,
        )
    print_next_step(output, execution.part)
    _tell("scanned", summary)


@app.command()
@option_groups
def regions(
    corpus: CorpusArgument,
    workload: Workload,
    source: Annotated[
        str,
        typer.Option(
            help="whole (recordings that are all speech), annotations, model (a voice-type model), or silero (a "
            "generic detector, made for adults: at its usual threshold of 0.5 it misses about two thirds of the key "
            "child's speech)."
        ),
        After("corpus"),
    ],
    path: Annotated[
        str | None,
        typer.Option(
            help="Annotations: RTTM, CSV (BabyHuBERT's VAD table as well) or LENA .its file, or a folder of them. "
            "Model: folder, checkpoint, hub name."
        ),
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Labels that count as speech, with commas. Default: all.")] = None,
    threshold: Annotated[
        float, typer.Option(help="Probability above which there is speech; low, so that little of it is missed.")
    ] = 0.2,
    pad: Annotated[float, typer.Option(help="Seconds added on both sides of every region.")] = 0.1,
    device: DeviceOption = "auto",
) -> None:
    """Find regions of possible speech.

    Writes regions.parquet, regions.json and regions-failures.csv. Run the same command again to continue.
    """
    from babyhubert.cli.endings import print_next_step
    from babyhubert.cli.progress import RunProgressDisplay
    from babyhubert.config import build_config
    from babyhubert.corpus.regions import RegionSettings, find_regions, open_region_run

    execution = workload.execution(device)
    options = {
        "source": source, "path": path,
        "labels": None if labels is None else [label.strip() for label in labels.split(",")],
        "threshold": threshold, "pad_s": pad, "device": device,
    }  # fmt: skip
    settings = build_config(options, RegionSettings, "options")
    own = settings.model_copy(update={"device": execution.own_device()})
    distribution = execution.distribution(partial(open_region_run, corpus, settings))
    with RunProgressDisplay("regions") as progress:
        summary = find_regions(
            corpus, own, force=workload.force, progress=progress, distribution=distribution, part=execution.part
        )
    print_next_step(corpus, execution.part)
    _tell("looked for speech in", summary)


@app.command()
def segments(
    corpus: CorpusArgument,
    merge_gaps: Annotated[float, typer.Option(help="Gaps shorter than this number of seconds are bridged.")] = 2.0,
    shortest: Annotated[float, typer.Option(help="Shorter stretches are padded to this number of seconds.")] = 2.0,
    longest: Annotated[float, typer.Option(help="Longer stretches are cut at their longest pause.")] = 30.0,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Process as for the released data: stretches of at most --shortest are dropped, including speech.",
        ),
    ] = False,
    own_list: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="Use these segments instead, unchanged: CSV with recording_id,start_s,end_s, or as "
            "BabyHuBERT's preparation writes it (uri,start,duration; path,onset,length), or RTTM, or "
            "Parquet.",
        ),
    ] = None,
) -> None:
    """Make training segments from regions: merge, pad, cut.

    Writes segments.parquet, segments.json and segments.png.
    """
    from babyhubert.config import build_config
    from babyhubert.corpus.lengths import cut_segments
    from babyhubert.corpus.segments import SegmentSettings

    options = {
        "merge_gaps_s": merge_gaps, "shortest_s": shortest, "longest_s": longest, "published": published
    }  # fmt: skip
    settings = build_config(options, SegmentSettings, "options")
    _tell("cut segments of", cut_segments(corpus, settings, own_list=own_list))


@app.command()
def pack(
    corpus: CorpusArgument,
    shard_mb: Annotated[float, typer.Option(help="Size of a shard in MB.")] = 500.0,
    validation_share: Annotated[
        float, typer.Option(help="Share of recordings held out (at least one of two).")
    ] = 0.01,
    seed: Annotated[int, typer.Option(help="Seed of the choice of recordings held out.", min=0, max=2**63 - 1)] = 0,
    channel: Annotated[
        str | None,
        typer.Option(
            help="Choice among several channels: mean, first, loudest, or a number from 0. Default: as scanned.",
            metavar="CHOICE",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Do only the I-th of N parts (1/4 to 4/4), for queues that start N commands. The last to "
            "finish writes pack.json. Default: from torchrun or srun.",
            metavar="I/N",
        ),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Write the audio of all segments as shards, with an index and checksums. Writes pack/.

    Run the same command again to continue. Started by torchrun or srun, processes share the shards.
    """
    from babyhubert.cli.shard_progress import ShardProgressDisplay
    from babyhubert.compute.processes import RankInfo
    from babyhubert.config import build_config
    from babyhubert.corpus.pack import PackSettings, pack_segments
    from babyhubert.runs.shard import Shard

    options = {"shard_mb": shard_mb, "validation_share": validation_share, "seed": seed, "channel": channel}
    settings = build_config(options, PackSettings, "options")
    part = None if shard is None else Shard.parse(shard)
    place = None if part is None else RankInfo(part.number - 1, part.parts)
    with ShardProgressDisplay("pack") as progress:
        found, summary = pack_segments(corpus, settings, place=place, force=force, progress=progress)
    if found is None:
        say("this process has done its shards; the one that finishes last writes pack.json")
        return
    _tell("packed", summary)


def _tell(verb: str, summary: StepSummary) -> None:
    from babyhubert.cli.endings import print_warnings
    from babyhubert.corpus.summary import summary_lines

    for _, error in summary.failures:
        typer.echo(f"failed: {error}", err=True)
    print_warnings(summary.warnings)
    for line in summary_lines(verb, summary):
        say(line)
    raise typer.Exit(summary.exit_code)
