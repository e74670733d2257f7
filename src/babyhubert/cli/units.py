"""``babyhubert units``: k-means over a teacher's features, labels for every frame, and their quality."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from babyhubert.cli.messages import say
from babyhubert.cli.options import DeviceOption, OutputOption

_ALIGNERS: tuple[Literal["uniform", "gaussian"], ...] = ("uniform", "gaussian")

PackArgument = Annotated[Path, typer.Argument(help="Folder of 'babyhubert corpus pack'.", show_default=False)]
PrecisionOption = Annotated[str, typer.Option(help="Precision of the teacher: float32, or bfloat16 (CUDA only).")]
BatchSecondsOption = Annotated[
    float, typer.Option(help="Most audio in one call of the teacher, in seconds; only equal lengths share a call.")
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Replace results of other material or settings in the output folder.")
]
_TEACHERS = (
    "mfcc, wavlm-base-plus:6, wavlm:PATH_OR_REPOSITORY:LAYER, or PATH_OR_REPOSITORY:LAYER for a HuBERT checkpoint; "
    "layer k is the output of the k-th transformer block."
)

app = typer.Typer(help="Units: what the encoder learns to predict.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Units: the targets of the encoder's pre-training."""


@app.command()
def fit(
    pack: PackArgument,
    output: OutputOption,
    teacher: Annotated[str, typer.Option(help=_TEACHERS, show_default=False)],
    clusters: Annotated[int, typer.Option(help="Number of units.")] = 500,
    frames: Annotated[
        int, typer.Option(help="Frames to learn from, at most: a uniform sample of the complete training split.")
    ] = 2_000_000,
    memory_gb: Annotated[
        float,
        typer.Option(help="Memory for these frames and k-means itself, in GB; fewer frames are taken if need be."),
    ] = 8.0,
    seed: Annotated[int, typer.Option(help="Seed of the sample and the starts of k-means.", min=0, max=2**32 - 1)] = 0,
    n_init: Annotated[int, typer.Option(help="Starts of k-means that are tried.")] = 20,
    max_iter: Annotated[int, typer.Option(help="Passes of k-means over the sample, at most.")] = 100,
    batch_size: Annotated[int, typer.Option(help="Frames in one step of k-means.")] = 10_000,
    batch_seconds: BatchSecondsOption = 60.0,
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
    replace: ReplaceOption = False,
) -> None:
    """Learn units by k-means from a teacher's features. Writes kmeans.safetensors and kmeans.json.

    Run the same command again to continue an interrupted run. Started by torchrun or srun, processes share the work.
    """
    from babyhubert.cli.shard_progress import ShardProgressDisplay
    from babyhubert.config import build_config
    from babyhubert.corpus.shards import Pack
    from babyhubert.units.kmeans import FitSettings, fit_units

    options = {
        "teacher": teacher, "clusters": clusters, "frames": frames, "memory_gb": memory_gb, "seed": seed,
        "n_init": n_init, "max_iter": max_iter, "batch_size": batch_size, "batch_seconds": batch_seconds,
        "precision": precision, "device": device,
    }  # fmt: skip
    settings = build_config(options, FitSettings, "options")
    with ShardProgressDisplay("fit") as progress:
        found = fit_units(Pack.open(pack), output, settings, progress=progress, replace=replace)
    if found is None:
        say(f"this process has done its shards; the one that finishes last learns the units: {output}")
        return
    facts = found.facts
    say(
        f"{found.clusters} units from {facts['frames_sampled']} of {facts['frames_seen']} frames, explaining "
        f"{100 * (1 - facts['inertia'] / facts['variance']):.1f} % of the variance: {output}"
    )


@app.command()
def assign(
    pack: PackArgument,
    output: OutputOption,
    kmeans: Annotated[Path, typer.Option(help="Folder of 'babyhubert units fit'.", show_default=False)],
    teacher: Annotated[
        str | None, typer.Option(help="Present path of the teacher, if it was moved since the units were learned.")
    ] = None,
    batch_seconds: BatchSecondsOption = 60.0,
    precision: Annotated[
        str | None,
        typer.Option(help="Precision of the teacher: float32 or bfloat16. Default: as when the units were learned."),
    ] = None,
    device: DeviceOption = "auto",
    replace: ReplaceOption = False,
) -> None:
    """Label every frame of a pack with its unit. Writes shards/*.u16 (uint16) and, when all are done, labels.json.

    Run the same command again to continue an interrupted run. Started by torchrun or srun, processes share the work.
    """
    from babyhubert.cli.shard_progress import ShardProgressDisplay
    from babyhubert.config import build_config
    from babyhubert.corpus.shards import Pack
    from babyhubert.units.assign import AssignSettings
    from babyhubert.units.assign import assign as assign_labels
    from babyhubert.units.kmeans import KMeans

    options = {"teacher": teacher, "precision": precision, "device": device, "batch_seconds": batch_seconds}
    settings = build_config(options, AssignSettings, "options")
    with ShardProgressDisplay("assign") as progress:
        labels = assign_labels(
            Pack.open(pack), KMeans.load(kmeans), output, settings, progress=progress, replace=replace
        )
    if labels is None:
        say(f"this process has done its shards; the one that finishes last writes labels.json: {output}")
        return
    say(f"{labels.facts['frames']} frames labelled with {labels.clusters} units: {output}")


@app.command()
def report(
    pack: PackArgument,
    labels: Annotated[Path, typer.Argument(help="Folder of 'babyhubert units assign'.", show_default=False)],
    output: OutputOption,
    alignment: Annotated[
        Path | None, typer.Option(help="CSV recording_id,start_s,end_s,phone: compare units with these phones.")
    ] = None,
    transcripts: Annotated[
        Path | None, typer.Option(help="CSV utterance_id,phones (separated by blanks): phones without times.")
    ] = None,
    aligner: Annotated[
        str,
        typer.Option(
            help="Method of estimating times for transcripts. uniform: spread evenly, rough, only for "
            "comparing units. gaussian: forced alignment on MFCC, never on units, so it is the same for "
            "all units."
        ),
    ] = "uniform",
    abx: Annotated[
        Path | None, typer.Option(help="ABX item file (ZeroSpeech form); needs fastabx and Python 3.12.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice of ABX items.", min=0, max=2**32 - 1)] = 0,
) -> None:
    """Measure the quality of units: units used, run lengths; with phones PNMI and purities; ABX.

    Writes report.json and units.png, and alignment.csv if times of phones were estimated.
    """
    from rich.console import Console

    from babyhubert.cli.options import check_choice
    from babyhubert.corpus.shards import Labels, Pack
    from babyhubert.units.report import ReportSettings
    from babyhubert.units.report import report as report_units

    settings = ReportSettings(
        alignment=None if alignment is None else str(alignment),
        transcripts=None if transcripts is None else str(transcripts),
        aligner=check_choice("--aligner", aligner, _ALIGNERS),
        abx=None if abx is None else str(abx),
        seed=seed,
    )
    found = report_units(Labels.open(labels, Pack.open(pack)), output, settings)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100)
    console.print(found.table())
    console.print(f"written: {output / 'report.json'}, {output / 'units.png'}", soft_wrap=True, markup=False)
