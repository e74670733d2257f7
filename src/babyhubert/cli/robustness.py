"""``babyhubert evaluate robustness``: false alarms in sounds without voices, and the effect of windows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.options import DeviceOption, ThresholdsOption
from babyhubert.cli.scores import say_written, show, source

_MOST_MINUTES = 120


def robustness(
    model: Annotated[
        str | None,
        typer.Option(
            help="Model folder, checkpoint file, or hub repository. Without it: the small model of the package."
        ),
    ] = None,
    recording: Annotated[
        Path | None,
        typer.Option(help="Recording for the window test. Default: a simulated scene.", metavar="FILE"),
    ] = None,
    sounds: Annotated[
        Path | None,
        typer.Option(
            help="Folder of recordings without speech, one sub-folder per kind: they are tested in addition to"
            " the synthesised sounds, each alone and with a quiet room around it.",
            metavar="FOLDER",
            show_default=False,
        ),
    ] = None,
    utterances: Annotated[
        Path | None,
        typer.Option(
            help="Table of recorded utterances, as for 'simulate' or as for training (path or recording, voice, times "
            "if any): the voice types predicted for men, women and children at the microphone.",
            metavar="TABLE",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for evaluation.json and CSV tables. Default: only the tables."),
    ] = None,
    minutes: Annotated[float, typer.Option(help="Minutes of each sound, and maximum of the recording.")] = 2.0,
    level: Annotated[float, typer.Option(help="RMS level of the sounds, in dB below full scale.")] = -30.0,
    thresholds: ThresholdsOption = "f1",
    window: Annotated[
        float | None,
        typer.Option(
            help="Window of the model, in seconds. Default: as segment, that of the model.",
            show_default=False,
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            help="Fraction of a window shared with its neighbour, 0 to below 1. Default: as segment, that of "
            "the model.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sounds and the scene.", min=0, max=2**63 - 1)] = 0,
    device: DeviceOption = "auto",
) -> None:
    """Robustness of a voice-type model: false alarms in noise, near voices, and effects of its windows.

    Noise test: false alarms per hour in silence, hum, noise, music, animals, engines, rain and other synthesised
    sounds, and in recorded ones (--sounds). Near-voice test (--utterances). Window test: the number of decisions that
    change if a recording begins later, and the tendency of segments to begin or end where windows join.
    """
    from functools import partial

    from babyhubert.cli.small_models import print_small_model
    from babyhubert.errors import ConfigError
    from babyhubert.evaluation import robustness_presentation as shown
    from babyhubert.tasks.voice_type.prediction import VoiceTypeSettings, load_model
    from babyhubert.tasks.voice_type.robustness import run_robustness

    if not 0.1 <= minutes <= _MOST_MINUTES:
        raise ConfigError(f"--minutes {minutes}: between 0.1 and {_MOST_MINUTES}")
    if not -120 <= level <= 0:
        raise ConfigError(f"--level {level}: between -120 and 0 dB")
    settings = partial(VoiceTypeSettings.for_speed, "exact", window_s=window, overlap=overlap, thresholds=thresholds)
    settings()  # impossible windows are refused before a model is loaded
    if model is None:
        print_small_model()
    classifier = load_model(model, device=device)
    classifier = classifier.with_settings(settings(window_settings=classifier.window_settings))
    result = run_robustness(
        classifier,
        recording=recording,
        seconds=60 * minutes,
        level_dbfs=level,
        seed=seed,
        sounds=sounds,
        utterances=utterances,
    )
    show(shown.tables(result), shown.notes(result))
    if output is not None:
        plan = classifier.settings.plan.describe()
        about = {"sha256": classifier.hash, "thresholds": classifier.thresholds, "plan": plan}
        given = source(
            model=classifier.name,
            recording=recording,
            sounds=sounds,
            utterances=utterances,
            minutes=minutes,
            level_dbfs=level,
            seed=seed,
        )
        say_written(shown.write_report(output, result, given | about))
