"""What the commands that judge utterances share: their options, and finding out who speaks when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from babyhubert.audio.channels import Channel
    from babyhubert.audio.preflight import PreflightReport
    from babyhubert.inference.speed import Speed
    from babyhubert.runs.sharing import Sharing
    from babyhubert.tasks.utterance_outputs import UtteranceRun

SegmentsOption = Annotated[
    Path | None,
    typer.Option(
        help="Who speaks when: an RTTM or CSV file (rttm.csv of 'segment'), or a folder of them. Default: what "
        "'segment' left in the output folder; without that, a voice-type model is run first."
    ),
]
VoiceTypeOption = Annotated[
    str | None,
    typer.Option(
        help="Voice-type model to run where there are no segments. Default: --model if it has such a head, else the "
        "small model that comes with the package."
    ),
]
PublishedOption = Annotated[
    bool,
    typer.Option(
        "--published",
        help="Windows and rules of the published tool: a window of its own for every utterance, one at a time, "
        "none for utterances over 30 s. For comparison with published results.",
    ),
]
ContextOption = Annotated[
    float | None,
    typer.Option(help="Window the model sees at once, in seconds. Default: what the model was trained with."),
]
GridOverlapOption = Annotated[
    float | None,
    typer.Option(
        help="Share of a window that neighbours have in common; each frame is taken from the window where it lies "
        "deepest, so 0.5 gives it a quarter of a window on either side. Default: the model's, or 0.5."
    ),
]


def named_model(model: str | None) -> str:
    """The model of a command: the one named, or the small one of the package that has a head for every task."""
    from babyhubert.cli.small_models import tell_small_model
    from babyhubert.tasks.loading import SHIPPED_TASKS

    if model is not None:
        return model
    tell_small_model(SHIPPED_TASKS.name)
    return str(SHIPPED_TASKS)


def execute(
    make: Callable[..., UtteranceRun],
    audio: Sequence[Path],
    output: Path,
    segments: Path | None,
    find_with: Sequence[str | None],
    sharing: Sharing,
    speed: Speed,
    channel: Channel,
    *,
    left_out: str,
    force: bool,
) -> NoReturn:
    """Run a command that judges utterances, finding who speaks when first where that is not known.

    Args:
        make: Makes the run, given ``device`` and ``part``.
        audio: What the user named.
        output: The output folder.
        segments: As given.
        find_with: Models to find who speaks when with; the first that has a voice-type head is taken.
        sharing: How the recordings are shared out.
        speed: The mode.
        channel: Channel choice.
        left_out: What becomes of utterances that the published rules leave out.
        force: Whether to compute everything again.

    Raises:
        Exit: with the exit code of the run.
    """
    from babyhubert.cli.endings import tell_run
    from babyhubert.cli.inputs import check_inputs
    from babyhubert.cli.progress import RunProgressDisplay
    from babyhubert.tasks.input_segments import FileSegments, require_segments, segments_source, unasked_notes

    run = make(device=sharing.own_device(decides=speed != "exact"), part=sharing.part)
    checked = check_inputs(audio, output, bytes_per_second=run.bytes_per_second)
    find = partial(_find, output, find_with, sharing, speed, channel)
    source = segments_source(output, segments)
    if isinstance(source, FileSegments):
        source.check_voices(run.model.voices)
    checked, notes = require_segments(source, checked, find)
    recording_ids = [file.recording_id for file, _ in checked.good]
    for note in (*notes, *unasked_notes(source, recording_ids, run.folder.command, run.model.voices)):
        typer.echo(f"note: {note}", err=True)
    distribution = sharing.distribution(partial(make, device=sharing.device))
    with run.folder, RunProgressDisplay(run.folder.command) as progress:
        summary = run.execute(checked, progress, force=force, distribution=distribution)
    count = run.left_out(recording_ids)
    if count:
        typer.echo(f"note: {count} utterances over 30 s {left_out}, as published", err=True)
    tell_run(summary, output, sharing.part)
    raise typer.Exit(summary.exit_code)


def _find(
    output: Path,
    models: Sequence[str | None],
    sharing: Sharing,
    speed: Speed,
    channel: Channel,
    missing: PreflightReport,
) -> Sequence[tuple[Path, str]]:
    """Run `segment` over recordings; path and error of those that failed."""
    from babyhubert.cli.progress import RunProgressDisplay
    from babyhubert.cli.small_models import tell_small_model
    from babyhubert.errors import ConfigError
    from babyhubert.tasks.voice_type.outputs import open_segment_run
    from babyhubert.tasks.voice_type.prediction import SHIPPED_MODEL, VoiceTypeSettings

    if sharing.part is not None:
        raise ConfigError(
            f"{len(missing.good)} recordings have no segments yet: run 'babyhubert segment' on them first, or give "
            "--segments (a shard finds none on its own)"
        )
    model = _with_voice_type(models)
    if model is None:
        tell_small_model(SHIPPED_MODEL.name, "--voice-type")
    typer.echo(f"no segments yet: finding who speaks when with {model or 'the small model of the package'}", err=True)
    make = partial(
        open_segment_run, output, model, partial(VoiceTypeSettings.for_speed, speed), speed=speed, channel=channel
    )
    run = make(device=sharing.own_device(decides=speed != "exact"))
    distribution = sharing.distribution(partial(make, device=sharing.device))
    with run.folder, RunProgressDisplay("segment") as progress:
        return run.execute(missing, progress, distribution=distribution).failures


def _with_voice_type(models: Sequence[str | None]) -> str | None:
    """The model that was named for it, else the first that has the head, else None: the shipped one."""
    from babyhubert.encoder.heads import VOICE_TYPE
    from babyhubert.encoder.loading import load_checkpoint

    named, *others = models
    if named is not None:
        return named
    return next((model for model in others if model and VOICE_TYPE in load_checkpoint(model).heads), None)
