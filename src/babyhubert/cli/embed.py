"""``babyhubert embed``: representations of recordings or segments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from babyhubert.cli.options import (
    AudioArgument,
    BatchSizeOption,
    ChannelOption,
    DeviceOption,
    ForceOption,
    OutputOption,
)

_DTYPES: tuple[Literal["float32", "float16"], ...] = ("float32", "float16")


def embed(
    audio: AudioArgument,
    output: OutputOption,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model folder, checkpoint file, or hub repository such as coml/BabyHuBERT. Without it: the encoder "
            "of the small demonstration model that comes with the package."
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            help="Layers, with commas: 0 is the input of the first transformer block, k the output of the k-th. "
            "Default: the last."
        ),
    ] = None,
    segments: Annotated[
        Path | None,
        typer.Option(help="RTTM or CSV file, or a folder of them: one vector a segment instead of every frame."),
    ] = None,
    pool: Annotated[str, typer.Option(help="How a segment's frames become one vector: mean.")] = "mean",
    dtype: Annotated[str, typer.Option(help="What is stored: float32 or float16.")] = "float32",
    window: Annotated[float, typer.Option(help="Window the encoder sees at once, in seconds.")] = 20.0,
    overlap: Annotated[
        float,
        typer.Option(
            help="Share of a window that neighbours have in common: each frame is taken from the window where it "
            "lies deepest, so 0.2 of 20 s gives it 2 s of context at least."
        ),
    ] = 0.2,
    channel: ChannelOption = "mean",
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = None,
    force: ForceOption = False,
) -> None:
    """Write representations: layer<k>/<id>.npy of shape (frames, width), 50 frames a second.

    With --segments: layer<k>.npy of shape (segments, width), whose rows are those of segments.csv beside it.
    """
    from babyhubert.annotation.tables import read_annotations
    from babyhubert.audio.channels import parse_channel
    from babyhubert.cli.inputs import check_inputs
    from babyhubert.cli.options import check_choice
    from babyhubert.cli.progress import RunProgressDisplay
    from babyhubert.inference.embed_run import Embedder, EmbedRun, EmbedSettings
    from babyhubert.inference.voice_type import SHIPPED_MODEL, SHIPPED_MODEL_NOTICE
    from babyhubert.inference.windows import WindowPlan
    from babyhubert.run_folder import RunFolder

    check_choice("--pool", pool, ("mean",))
    stored = check_choice("--dtype", dtype, _DTYPES)
    plan = WindowPlan.from_overlap(window, overlap)
    chosen_channel = parse_channel(channel)
    tables = None if segments is None else read_annotations(segments)
    if model is None:
        typer.echo(f"note: {SHIPPED_MODEL_NOTICE}", err=True)
    embedder = Embedder.load(model or str(SHIPPED_MODEL), device=device, batch_size=batch_size)
    chosen_layers = _parse_layers(layers) if layers else (embedder.encoder.config.layers,)
    folder = RunFolder(output, "embed")
    run = EmbedRun(folder, embedder, EmbedSettings(chosen_layers, plan, stored), chosen_channel, tables)
    frame_bytes = len(chosen_layers) * embedder.encoder.config.hidden_size * (4 if stored == "float32" else 2)
    checked = check_inputs(audio, output, bytes_per_second=50 * frame_bytes if tables is None else 0)
    with folder, RunProgressDisplay("embed") as progress:
        summary = run.execute(checked, progress, force=force)
    typer.echo(
        f"{summary.done} recordings done, {summary.skipped} kept from before, {len(summary.failures)} failed: {output}"
    )
    raise typer.Exit(summary.exit_code)


def _parse_layers(text: str) -> tuple[int, ...]:
    from babyhubert.errors import ConfigError

    try:
        layers = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise ConfigError(f"--layers {text}: whole numbers with commas between, such as 7,12") from None
    return layers
