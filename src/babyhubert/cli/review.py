"""``babyhubert review``: clips or single segments, checked and corrected by a person in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from starlette.applications import Starlette

PortOption = Annotated[
    int, typer.Option(help="Port on this machine. Default: a free one.", min=0, max=65535, show_default=False)
]
BrowserOption = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")]


def review(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Clips of 'babyhubert sample', or the output folder of 'babyhubert segment', from which clips are "
            "drawn first.",
            show_default=False,
            metavar="CLIPS|OUT",
        ),
    ],
    annotator: Annotated[
        str,
        typer.Option(
            help="Your name: your corrections go to files of your own, so that several people can correct the same "
            "clips. Read them back with 'babyhubert sample --collect CLIPS --annotator NAME'.",
            show_default=False,
        ),
    ] = "",
    blank: Annotated[
        bool, typer.Option("--blank", help="Begin without segments instead of correcting the predictions.")
    ] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Ask only 'right, wrong, or which voice?' for single segments of an output folder, and write "
            "reviewed_segments.csv.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Folder for the clips that are drawn, and for reviewed_segments.csv. Default: OUT/review.",
            show_default=False,
        ),
    ] = None,
    audio: Annotated[
        list[Path],
        typer.Option(help="The recordings, if they are no longer where the run found them; several times."),
    ] = [],  # noqa: B006 (typer reads it, nobody writes to it)
    method: Annotated[
        str, typer.Option(help="How clips are drawn, as in 'babyhubert sample': random, periodic, high-volubility ...")
    ] = "random",
    clips: Annotated[int, typer.Option(help="Clips drawn per recording.", min=1)] = 5,
    length: Annotated[float, typer.Option(help="Length of a clip, in seconds.")] = 60.0,
    context: Annotated[
        float, typer.Option(help="Sound before and after that is not to be annotated, in seconds.")
    ] = 2.0,
    segments: Annotated[int, typer.Option(help="With --quick: segments drawn per voice type.", min=1)] = 50,
    seed: Annotated[int, typer.Option(help="Seed of random choices.", min=0, max=2**63 - 1)] = 0,
    port: PortOption = 0,
    browser: BrowserOption = True,
) -> None:
    """Play clips and correct them in the browser; every change is stored at once.

    babyhubert sample OUT -o CLIPS --context 2

    babyhubert review CLIPS

    babyhubert sample --collect CLIPS -o REFERENCE

    babyhubert review OUT --quick

    The page is served to this machine alone. It works with mouse, touch or keyboard: press ? in it for the keys.
    """
    from babyhubert.errors import ConfigError
    from babyhubert.web.server import require_server, serve

    require_server("'babyhubert review'", "review")
    from babyhubert.review.pages import clips_folder, review_app
    from babyhubert.review.store import ClipStore

    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; give clips of 'babyhubert sample', or the output of 'segment'")
    if quick:
        app = _quick_app(folder, output or folder / "review", audio, annotator, segments, seed)
        serve(app, port=port, browser=browser, show=typer.echo)
        return
    if not clips_folder(folder):
        folder = _drawn_clips(folder, output or folder / "review", audio, method, clips, length, context, seed, blank)
    store = ClipStore(folder, annotator, blank=blank)
    typer.echo(f"{len(store.names)} clips: {folder}")
    serve(review_app(store), port=port, browser=browser, show=typer.echo)


def _quick_app(run: Path, output: Path, audio: list[Path], annotator: str, segments: int, seed: int) -> Starlette:
    """Application that asks about single segments of a run."""
    from babyhubert.exchange.recordings import Source
    from babyhubert.review.answers import Answers
    from babyhubert.review.quick_pages import quick_app
    from babyhubert.review.segments_to_ask import draw_segments

    drawn = draw_segments(Source(run, audio), segments, seed)
    for line in drawn.notes:
        typer.echo(f"note: {line}", err=True)
    answers = Answers(output, annotator)
    typer.echo(f"{len(drawn.segments)} segments to check; the answers go to {answers.path}")
    return quick_app(drawn, answers)


def _drawn_clips(
    run: Path,
    output: Path,
    audio: list[Path],
    method: str,
    clips: int,
    length: float,
    context: float,
    seed: int,
    blank: bool,
) -> Path:
    """Draw clips of a run; those that an earlier call drew are kept."""
    from babyhubert.cli.options import check_choice, duration_samples
    from babyhubert.errors import OutputError
    from babyhubert.exchange.chosen_clips import ClipSettings
    from babyhubert.exchange.clip_choice import CLIP_METHODS
    from babyhubert.exchange.clips import CLIPS_TABLE, sample_clips
    from babyhubert.exchange.recordings import Source
    from babyhubert.timebase import samples_to_ms

    if (output / CLIPS_TABLE).is_file():
        typer.echo(f"{output}: holds clips already, which are taken; give another -o to draw others", err=True)
        return output
    settings = ClipSettings(
        method=check_choice("--method", method, CLIP_METHODS),
        clips=clips,
        length_ms=samples_to_ms(duration_samples("--length", length)),
        context_ms=samples_to_ms(duration_samples("--context", context)),
        seed=seed,
        blank=blank,
    )
    summary = sample_clips(Source(run, audio), output, settings)
    for line in (*summary.notes, *(failure.error for failure in summary.failures)):
        typer.echo(f"note: {line}", err=True)
    if not summary.clips:
        raise OutputError(f"{run}: no clips could be drawn")
    return output
