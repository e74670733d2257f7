"""``babyhubert segment``: voice types with times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from babyhubert.cli.groups import After, Run, option_groups
from babyhubert.cli.options import SPEED_NAMES, SpeedOption, TaskOption, ThresholdsOption

_BLENDS: tuple[Literal["mean", "taper", "crop"], ...] = ("mean", "taper", "crop")


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of the model, and the selection of those to compute."""

    speed: SpeedOption = "exact"
    window: Annotated[
        float | None,
        typer.Option(
            help="Window of the model, in seconds. Default: that of the model's training, 4.0 for VTC (30.0 "
            "for the model of the package); for a model with several heads, their common one.",
            show_default=False,
        ),
    ] = None
    overlap: Annotated[
        float | None,
        typer.Option(
            help="Fraction of a window shared with its neighbour, 0 to below 1. 0.75 averages four windows per"
            " frame (as VTC 2.2); 0 tiles them (as VTC 2.1) and is about four times as fast. Default: "
            "0.75, or that of --speed; for a model with several heads, their common one.",
            show_default=False,
        ),
    ] = None
    blend: Annotated[
        str | None,
        typer.Option(
            help="Method of joining overlapping windows: mean (as VTC 2.2), taper (edges of windows count "
            "less), or crop (each frame from the window in which it is farthest from an edge). Default: "
            "mean, or crop for several heads.",
            show_default=False,
        ),
    ] = None
    skip_quiet: Annotated[
        float | None,
        typer.Option(
            help="Skip windows without sound at least this number of decibels above the recording's noise "
            "floor: they count as without voices. For long recordings with quiet stretches: try 10, "
            "smaller values lose less; if noise never stops, voices hardly above it are lost. See "
            "docs/speed.md. Default: encode all.",
            metavar="DB",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """Conversion of probabilities to segments."""

    thresholds: ThresholdsOption = "f1"
    min_on: Annotated[float, typer.Option(help="Drop segments shorter than this, in seconds.")] = 0.1
    min_off: Annotated[
        float,
        typer.Option(help="First close gaps within a class shorter than this, in seconds."),
    ] = 0.1
    simultaneous: Annotated[
        float | None,
        typer.Option(
            help="Where several classes exceed their thresholds, keep the likeliest, and others only above this "
            "probability: fewer overlaps, more of them right. 0 keeps all, as published. Default: that of the "
            "model (0.5 for the model of the package), else 0; with the thresholds high-recall 0.",
            metavar="P",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Output besides segments."""

    save_probs: Annotated[
        bool, typer.Option("--save-probs", help="Also write probs/<id>.npy: class probabilities per frame.")
    ] = False
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="calibration.toml of 'tune voice-type --calibrate': corrects the probabilities of "
            "--save-probs. Segments are not changed.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None
    confidence: Annotated[
        bool | None,
        typer.Option(
            "--confidence/--no-confidence",
            help="Also write the confidence of each segment, 0 to 1, into the ninth field of RTTM files; or write no "
            "column 'confidence' in csv/ and rttm.csv (published columns alone). Default: the column, and <NA> in "
            "RTTM.",
            show_default=False,
        ),
    ] = None
    confidence_from: Annotated[
        Path | None,
        typer.Option(
            help="confidence.json of 'tune confidence': confidences become the probability that a segment is right. "
            "Default: that of the model, if it brings one; else scores that are no probabilities.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None
    keep_raw: Annotated[
        bool,
        typer.Option("--keep-raw", help="Also write raw_rttm/: before gaps are closed and short segments dropped."),
    ] = False


@option_groups
def segment(
    given: Run,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model folder, checkpoint file, or hub repository such as coml/VTC-2 (or "
            "coml/VTC-2@REVISION). Default: the small model of the package."
        ),
        After("output"),
    ] = None,
    task: TaskOption = None,
    *,
    decisions: Decisions,
    windows: Annotated[Windows, After("thresholds")],
    saved: Annotated[Saved, After("batch_size")],
) -> None:
    """Find who speaks when: key child (KCHI), other child (OCH), male adult (MAL), female adult (FEM).

    Writes rttm/<id>.rttm, csv/<id>.csv (ChildProject), rttm.csv, run.json and failures.csv into the output folder; the
    tables have a column 'confidence'. Run the same command again to continue an interrupted run; other thresholds,
    minimum durations or confidences reuse the stored scores.
    """
    from babyhubert.cli.endings import print_speech
    from babyhubert.cli.options import check_choice, checked_probability, duration_samples
    from babyhubert.cli.recordings import run
    from babyhubert.cli.small_models import print_small_model
    from babyhubert.inference.post_processing import MinimumDurations
    from babyhubert.tasks.voice_type.outputs import SegmentOutputs, open_segment_run
    from babyhubert.tasks.voice_type.prediction import VoiceTypeSettings

    execution = given.execution()
    speed = check_choice("--speed", windows.speed, SPEED_NAMES)
    settings = partial(
        VoiceTypeSettings.for_speed,
        speed,
        window_s=windows.window,
        overlap=windows.overlap,
        blend=None if windows.blend is None else check_choice("--blend", windows.blend, _BLENDS),
        thresholds=decisions.thresholds,
        minimum=MinimumDurations(
            duration_samples("--min-on", decisions.min_on), duration_samples("--min-off", decisions.min_off)
        ),
        simultaneous=checked_probability("--simultaneous", decisions.simultaneous),
    )
    channel = given.channel()
    if model is None:
        print_small_model()
    make = partial(
        open_segment_run,
        given.recordings.output,
        model,
        settings,
        task=task,
        speed=speed,
        batch_size=given.machine.batch_size,
        channel=channel,
        outputs=SegmentOutputs(
            saved.save_probs,
            saved.keep_raw,
            saved.calibration,
            confidence=saved.confidence is not False,
            rttm_confidence=bool(saved.confidence),
            confidence_from=saved.confidence_from,
        ),
        skip_quiet_db=windows.skip_quiet,
    )
    summary = run(make, given, execution, decides=speed != "exact")
    if execution.part is None:
        print_speech(given.recordings.output)
    raise typer.Exit(summary.exit_code)
