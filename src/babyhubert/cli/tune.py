"""``babyhubert tune``: thresholds for the metric that is reported, by class name; the meaning of confidences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from babyhubert.cli.groups import Resampling, option_groups
from babyhubert.cli.measures import RunArgument
from babyhubert.cli.options import UemOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from babyhubert.inference.post_processing import MinimumDurations

_CALIBRATIONS: tuple[Literal["none", "temperature", "temperature-bias"], ...] = (
    "none",
    "temperature",
    "temperature-bias",
)

app = typer.Typer(
    help="Tune decisions on annotated recordings, for the metric that is reported.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None:
    """Tune decisions on annotated recordings, for the metric that is reported."""


@app.command("voice-type")
@option_groups
def voice_type(
    reference: Annotated[
        Path,
        typer.Option(help="RTTM or CSV file, or a folder of them. Every recording in it is used.", show_default=False),
    ],
    scores: Annotated[
        Path,
        typer.Option(
            help="Output folder of 'babyhubert segment', or its probs folder. A recording without scores counts as "
            "predicted silent.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Folder for f1.toml, high-precision.toml and high-recall.toml (for 'segment --thresholds'), "
            "curves.csv, tuning.json. Default: only the tables.",
        ),
    ] = None,
    uem: UemOption = None,
    step: Annotated[float, typer.Option(help="Distance between thresholds tried; 0.5 is always tried.")] = 0.001,
    min_on: Annotated[float, typer.Option(help="Segments shorter than this are dropped, in seconds.")] = 0.1,
    min_off: Annotated[
        float, typer.Option(help="Gaps within a class shorter than this are closed first, in seconds.")
    ] = 0.1,
    minimum_durations: Annotated[
        bool,
        typer.Option("--minimum-durations", help="Tune --min-on and --min-off too: 0 to 0.5 s, jointly."),
    ] = False,
    folds: Annotated[
        int,
        typer.Option(
            help="Groups of recordings (neighbours in the order of ids) for scores on recordings not tuned on;"
            " at most one per recording.",
            min=2,
        ),
    ] = 10,
    equal_recordings: Annotated[
        bool,
        typer.Option(
            "--equal-recordings",
            help="Choose as if every recording were as long as the longest, so that clips of one kind of sound count "
            "as much as days.",
        ),
    ] = False,
    false_limit: Annotated[
        float | None,
        typer.Option(
            help="Most seconds of voices an hour, over all classes, in recordings of the reference without a segment "
            "(an empty RTTM file): thresholds of f1 and high-precision are raised until they keep to it, where that "
            "costs least. Default: no limit.",
            min=0.0,
            show_default=False,
        ),
    ] = None,
    calibrate: Annotated[
        str,
        typer.Option(
            help="Also measure the calibration of scores, and fit a correction: none, temperature, or "
            "temperature-bias. Writes calibration.toml and reliability.csv.",
            metavar="KIND",
        ),
    ] = "none",
    *,
    resampling: Resampling,
) -> None:
    """Tune the threshold of each voice type for the best F1 over time after post-processing.

    Every threshold is scored with the published metric itself on the segments that 'segment' would write.
    """
    from babyhubert.annotation.uem import read_uem
    from babyhubert.cli.endings import print_notes
    from babyhubert.cli.options import check_choice
    from babyhubert.cli.scores import say_written, scored_uem, show, source
    from babyhubert.evaluation import tuning_presentation as shown
    from babyhubert.evaluation.presentation import read_side
    from babyhubert.evaluation.score_folder import find_scores
    from babyhubert.evaluation.tuning_run import TuningSettings, tune_voice_type
    from babyhubert.runs.folder import RunFolder
    from babyhubert.runs.provenance import version_notes

    kind = check_choice("--calibrate", calibrate, _CALIBRATIONS)
    settings = TuningSettings(
        step=step,
        minimums=_minimums(min_on, min_off, joint=minimum_durations),
        folds=folds,
        equal_recordings=equal_recordings,
        false_limit=false_limit,
        calibrate=None if kind == "none" else kind,
        resamples=resampling.bootstrap,
        confidence=resampling.confidence,
        seed=resampling.seed,
    )
    found = find_scores(scores)
    uem = scored_uem(reference, uem)
    print_notes(note for folder in (scores, scores.parent) for note in version_notes(RunFolder(folder, "segment")))
    result = tune_voice_type(read_side(reference), found, settings, None if uem is None else read_uem(uem))
    show(shown.tuning_tables(result), shown.tuning_notes(result))
    if output is not None:
        about = source(reference=reference, scores_given=scores, uem=uem, seed=resampling.seed)
        say_written(shown.write_tuning(output, result, about))


@app.command("confidence")
@option_groups
def confidence(
    folder: RunArgument,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Annotations by people: a file or folder. A segment is right if at least half of it overlaps its "
            "class. Of a folder that 'sample --collect' wrote, the annotated stretches count.",
            show_default=False,
        ),
    ] = None,
    reviewed: Annotated[
        list[Path] | None,
        typer.Option(
            help="reviewed_segments.csv that 'review --quick' wrote (may be repeated).",
            metavar="CSV",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Folder for confidence.json (for 'segment --confidence-from'), reliability.csv and, with "
            "matplotlib, reliability.png. Default: only the tables.",
        ),
    ] = None,
    uem: UemOption = None,
    folds: Annotated[
        int,
        typer.Option(help="Groups of recordings for measures on recordings not fitted on.", min=2),
    ] = 10,
    *,
    resampling: Resampling,
) -> None:
    """Fit the probability that a segment is right, from segments that people reviewed or annotated.

    Logistic regression per class on the segment's score and duration; Brier score and calibration error on recordings
    that were not fitted on.
    """
    from babyhubert.cli.confidences import fit_on_reviewed, write_fit
    from babyhubert.cli.endings import print_notes
    from babyhubert.cli.scores import source
    from babyhubert.errors import ConfigError
    from babyhubert.evaluation.confidence_fit import FitSettings
    from babyhubert.measures.results import read_results

    if reference is None and not reviewed:
        raise ConfigError("nothing to fit on: give --reference, or --reviewed of 'babyhubert review --quick'")
    results = read_results(folder)
    print_notes(results.notes)
    settings = FitSettings(folds, resampling.bootstrap, resampling.confidence, resampling.seed)
    result = fit_on_reviewed(results, [] if reference is None else [reference], reviewed or [], uem, settings)
    if output is not None:
        about = source(run=folder, reference=reference, uem=uem, seed=resampling.seed)
        write_fit(output, result, results, about | {"reviewed": [*map(str, reviewed or ())]})


def _minimums(min_on: float, min_off: float, *, joint: bool) -> Sequence[MinimumDurations]:
    """The requested pair first, then the others to try."""
    from babyhubert.cli.options import duration_samples
    from babyhubert.evaluation.tuning import joint_minimums
    from babyhubert.inference.post_processing import MinimumDurations

    asked = MinimumDurations(duration_samples("--min-on", min_on), duration_samples("--min-off", min_off))
    return (asked, *(pair for pair in joint_minimums() if pair != asked)) if joint else (asked,)
