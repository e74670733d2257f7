"""``babyhubert embed``: representations of recordings or segments."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from babyhubert.cli.groups import After, Run, option_groups
from babyhubert.cli.options import SPEED_NAMES, SpeedOption

_DTYPES: tuple[Literal["float32", "float16"], ...] = ("float32", "float16")


@option_groups
def embed(
    given: Run,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model folder, checkpoint file, or hub repository such as coml/BabyHuBERT (or "
            "coml/BabyHuBERT@REVISION). Default: the encoder of the small model of the package."
        ),
        After("output"),
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
        typer.Option(help="RTTM or CSV file, or a folder of them: one vector per segment instead of every frame."),
    ] = None,
    pool: Annotated[str, typer.Option(help="Method of pooling a segment's frames into one vector: mean.")] = "mean",
    dtype: Annotated[str, typer.Option(help="Stored type: float32 or float16.")] = "float32",
    window: Annotated[float, typer.Option(help="Window of the encoder, in seconds.")] = 20.0,
    overlap: Annotated[
        float,
        typer.Option(
            help="Fraction of a window shared with its neighbour: each frame is taken from the window in which"
            " it is farthest from an edge, so 0.2 of 20 s gives it at least 2 s of context."
        ),
    ] = 0.2,
    speed: Annotated[SpeedOption, After("batch_size")] = "exact",
) -> None:
    """Write representations: layer<k>/<id>.npy of shape (frames, width), 50 frames a second.

    With --segments: layer<k>.npy of shape (segments, width), whose rows are those of segments.csv beside it.
    """
    from babyhubert.cli.options import check_choice
    from babyhubert.cli.recordings import run
    from babyhubert.cli.small_models import print_small_model
    from babyhubert.inference.windows import WindowPlan
    from babyhubert.shipped import SMALL_MODEL
    from babyhubert.tasks.embedding import open_embed_run

    execution = given.execution()
    check_choice("--pool", pool, ("mean",))
    make = partial(
        open_embed_run,
        given.recordings.output,
        model or str(SMALL_MODEL),
        layers=_parse_layers(layers) if layers else None,
        plan=WindowPlan.from_overlap(window, overlap),
        dtype=check_choice("--dtype", dtype, _DTYPES),
        batch_size=given.machine.batch_size,
        channel=given.channel(),
        segments=segments,
        speed=check_choice("--speed", speed, SPEED_NAMES),
    )
    if model is None:
        print_small_model("coml/BabyHuBERT")
    raise typer.Exit(run(make, given, execution, decides=False).exit_code)


def _parse_layers(text: str) -> tuple[int, ...]:
    from babyhubert.errors import ConfigError

    try:
        layers = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise ConfigError(f"--layers {text}: whole numbers with commas between, such as 7,12") from None
    return layers
