"""Options of the utterance-level commands, and their search for input segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from babyhubert.cli.groups import After, Utterances, option_groups
from babyhubert.cli.messages import say
from babyhubert.cli.options import SPEED_NAMES, TaskOption, check_choice

if TYPE_CHECKING:
    from pathlib import Path

    from babyhubert.audio.channels import Channel
    from babyhubert.audio.preflight import PreflightReport
    from babyhubert.inference.speed import Speed
    from babyhubert.runs.execution import Execution
    from babyhubert.tasks.utterance_outputs import UtteranceRun

PublishedOption = Annotated[
    bool,
    typer.Option(
        "--published",
        help="Windows and rules of the published tool: a window of its own for every utterance, one at a time, "
        "none for utterances over 30 s. For comparison with published results.",
    ),
]


@option_groups
def addressee(
    given: Utterances,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model with an addressee head: folder, checkpoint file, or hub repository such as "
            "coml/addressee (or coml/addressee@REVISION). Default: playroom, a small model of the package."
        ),
        After("segments"),
    ] = None,
    published: Annotated[PublishedOption, After("voice_type")] = False,
    pooling: Annotated[
        str | None,
        typer.Option(
            help="Frames whose mean decides: those of the utterance (utterance), or those that the published "
            "tool takes (published). Default: the model's own; checkpoints in the published layout are "
            "published, models trained with this package are utterance."
        ),
    ] = None,
) -> None:
    """Find the addressee of adults (FEM, MAL): adults (ADS), the key child (KCDS), or others (Other).

    Writes rttm_addressee.csv (uid,start_time_s,duration_s,label,addressee; empty for children), addressee/<id>.csv
    with the probabilities, run.json and failures.csv. Utterances of any length are predicted, always with context; a
    model with published pooling gives each a window of its own, and skips those over 30 s. Run the same command again
    to continue an interrupted run.
    """
    from babyhubert.encoder.context import POOLINGS
    from babyhubert.tasks.classification.outputs import open_classification_run

    chosen = _Chosen.of(given)
    make = partial(
        open_classification_run,
        model=named_model(model, "coml/addressee"),
        task="addressee",
        published=published,
        pooling=None if pooling is None else check_choice("--pooling", pooling, POOLINGS),
    )
    _predict(make, given, chosen, model, left_out="are Other without running the model")


@option_groups
def classify(
    given: Utterances,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model with a task of the kind classification: folder, checkpoint file or hub repository. Default: "
            "playroom, the small model of the package, and what the key child's vocalisations are."
        ),
        After("segments"),
    ] = None,
    task: Annotated[TaskOption, After("model")] = None,
) -> None:
    """Give each utterance one of the classes of a task.

    The task is defined by a configuration (docs/finetuning.md), which also names its voices. Writes <task>/<id>.csv
    with class and probabilities, rttm_<task>.csv over all recordings, run.json and failures.csv. Run the same command
    again to continue an interrupted run.

    Example: babyhubert classify recordings/ -o results/ --model my-model --task my_task
    """
    from babyhubert.tasks.classification.outputs import open_classification_run

    chosen = _Chosen.of(given)
    make = partial(open_classification_run, model=named_model(model, None), task=task)
    _predict(make, given, chosen, model, left_out="are not classified")


@option_groups
def phonemes(
    given: Utterances,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model with a phoneme head: folder, or checkpoint file such as BabAR's. Default: playroom, the "
            "small model of the package."
        ),
        After("segments"),
    ] = None,
    task: TaskOption = None,
    beam: Annotated[
        int,
        typer.Option(help="Prefixes kept by the beam search, such as 16; 0 decodes greedily, as published.", min=0),
        After("voice_type"),
    ] = 0,
    syllables: Annotated[
        bool | None,
        typer.Option(
            "--syllables/--no-syllables",
            help="Also write phonemes_enriched/<id>.csv: syllables, their number, and CV strings. Needs the "
            "'phones' extra; default: if that is installed.",
            show_default=False,
        ),
    ] = None,
    published: PublishedOption = False,
) -> None:
    """Transcribe the utterances of the key child (KCHI) in IPA.

    Writes phonemes/<id>.csv (filename,onset,offset,speaker,phonemes; header only if the child says nothing),
    phonemes_timed/<id>.csv with the times and confidence of every phoneme, run.json and failures.csv. Utterances of
    any length are transcribed. Run the same command again to continue an interrupted run.
    """
    from babyhubert.errors import MissingExtraError
    from babyhubert.phonology.syllables import available
    from babyhubert.tasks.phonemes.outputs import open_phoneme_run

    chosen = _Chosen.of(given)
    if syllables and not available():
        raise MissingExtraError("--syllables", "phones")
    make = partial(
        open_phoneme_run,
        model=named_model(model, None),
        task=task,
        beam=beam,
        syllables=available() if syllables is None else syllables,
        published=published,
    )
    _predict(make, given, chosen, model, left_out="left out")


def named_model(model: str | None, released: str | None) -> str:
    """Model of a command: the one given, or the small one of the package, with a note on the released weights."""
    from babyhubert.cli.small_models import print_small_model
    from babyhubert.shipped import SMALL_MODEL

    if model is not None:
        return model
    print_small_model(released)
    return SMALL_MODEL.name


@dataclass(frozen=True)
class _Chosen:
    """The shared options, checked."""

    execution: Execution
    speed: Speed
    channel: Channel

    @classmethod
    def of(cls, given: Utterances) -> _Chosen:
        return cls(given.run.execution(), check_choice("--speed", given.speed, SPEED_NAMES), given.run.channel())


def _predict(
    make: Callable[..., UtteranceRun[Any]], given: Utterances, chosen: _Chosen, model: str | None, *, left_out: str
) -> NoReturn:
    """Run an utterance-level command; recordings without segments are segmented first.

    Args:
        make: Makes the run from the shared options.
        given: The shared options.
        chosen: Checked options.
        model: The command's own model, if the user gave one.
        left_out: Treatment of utterances that the published rules skip.

    Raises:
        Exit: with the exit code of the run.
    """
    from babyhubert.cli.recordings import run

    make = partial(
        make,
        given.run.recordings.output,
        segments=given.segments,
        window_s=given.window,
        overlap=given.overlap,
        speed=chosen.speed,
        batch_size=given.run.machine.batch_size,
        channel=chosen.channel,
    )

    def note_skipped(opened: UtteranceRun[Any], checked: PreflightReport) -> None:
        count = opened.left_out([file.recording_id for file, _ in checked.good])
        if count:
            say(f"note: {count} utterances over 30 s {left_out}, as published", err=True)

    summary = run(
        make,
        given.run,
        chosen.execution,
        decides=chosen.speed != "exact",
        prepare=partial(_with_segments, given, chosen, model),
        after=note_skipped,
    )
    raise typer.Exit(summary.exit_code)


def _with_segments(
    given: Utterances, chosen: _Chosen, model: str | None, opened: UtteranceRun[Any], checked: PreflightReport
) -> PreflightReport:
    """Recordings with input segments; missing segments are predicted first."""
    from babyhubert.tasks.input_segments import FileSegments, require_segments, segments_source, unmatched_label_notes

    output, voices = given.run.recordings.output, opened.model.voices
    source = segments_source(output, given.segments)
    if isinstance(source, FileSegments):
        source.check_voices(voices)
    checked, notes = require_segments(source, checked, partial(_find, output, (given.voice_type, model), chosen))
    recording_ids = [file.recording_id for file, _ in checked.good]
    for note in (*notes, *unmatched_label_notes(source, recording_ids, opened.folder.command, voices)):
        say(f"note: {note}", err=True)
    return checked


def _find(
    output: Path, models: Sequence[str | None], chosen: _Chosen, missing: PreflightReport
) -> Sequence[tuple[Path, str]]:
    """Run `segment` over recordings; path and error of those that failed."""
    from babyhubert.cli.recordings import execute
    from babyhubert.cli.small_models import print_small_model
    from babyhubert.errors import ConfigError
    from babyhubert.tasks.voice_type.outputs import open_segment_run
    from babyhubert.tasks.voice_type.prediction import VoiceTypeSettings

    execution, speed = chosen.execution, chosen.speed
    if execution.part is not None:
        raise ConfigError(
            f"{len(missing.good)} recordings have no segments yet: run 'babyhubert segment' on them first, or give "
            "--segments (a shard finds none on its own)"
        )
    model = _with_voice_type(models)
    if model is None:
        print_small_model(option="--voice-type")
    say(f"no segments yet: finding who speaks when with {model or 'the small model of the package'}", err=True)
    settings = partial(VoiceTypeSettings.for_speed, speed)
    make = partial(open_segment_run, output, model, settings, speed=speed, channel=chosen.channel)
    opened = make(device=execution.own_device(decides=speed != "exact"))
    return execute(opened, make, missing, execution).failures


def _with_voice_type(models: Sequence[str | None]) -> str | None:
    """The model that was given for it, else the first with the head, else None: the one of the package."""
    from babyhubert.encoder.heads import VOICE_TYPE
    from babyhubert.encoder.loading import load_checkpoint

    named, *others = models
    if named is not None:
        return named
    return next((model for model in others if model and VOICE_TYPE in load_checkpoint(model).heads), None)
