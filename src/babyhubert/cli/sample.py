"""``babyhubert sample``: clips for annotators, and their corrections read back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babyhubert.annotation.formats import WRITTEN, listed_programs
from babyhubert.cli.messages import quiet, say
from babyhubert.errors import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from babyhubert.exchange.chosen_clips import ClipSettings
    from babyhubert.exchange.recordings import Failure

_FORMATS = listed_programs(one for one in WRITTEN.values() if one.tiers)


def sample(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="Output folder of 'babyhubert segment', or annotations in any format that is read.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder for the clips (with --collect: the reference).", show_default=False
        ),
    ] = None,
    collect: Annotated[
        Path | None,
        typer.Option(
            metavar="CLIPS",
            help="Read corrected clips back from this folder instead: rttm/, csv/ and annotated.uem in the "
            "recordings' time, for 'babyhubert evaluate'.",
        ),
    ] = None,
    audio: Annotated[
        list[Path],
        typer.Option(
            help="The recordings, files or folders; may be given several times. Default: the paths of the run "
            "or the project."
        ),
    ] = [],  # noqa: B006 (typer reads it, nobody writes to it)
    method: Annotated[
        str,
        typer.Option(
            help="random or periodic (a fair sample: use one of these to report accuracy), stratified (more where "
            "more is predicted, with known chances: for 'babyhubert estimate'), high-volubility (most speech of "
            "--voice), low-confidence (lowest confidence of the model)."
        ),
    ] = "random",
    clips: Annotated[int, typer.Option(help="Clips per recording (stratified: on average).", min=1)] = 5,
    length: Annotated[float, typer.Option(help="Length of a clip, in seconds.")] = 60.0,
    context: Annotated[
        float, typer.Option(help="Sound before and after as context, not to be annotated, in seconds.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of random choices.", min=0, max=2**63 - 1)] = 0,
    voice: Annotated[
        str | None,
        typer.Option(
            help="For high-volubility (default KCHI) and stratified (default any): KCHI, OCH, MAL, FEM or any.",
            show_default=False,
        ),
    ] = None,
    format_: Annotated[str, typer.Option("--format", help=f"One of {_FORMATS}.")] = "eaf",
    blank: Annotated[
        bool,
        typer.Option(
            "--blank",
            help="Leave the tiers empty. Annotators who correct predictions agree with them more than "
            "annotators who start from nothing.",
        ),
    ] = False,
    tiers: Annotated[
        str, typer.Option(help="Names of tiers: aclew (CHI, OC0, MA0, FA0) or labels (KCHI, OCH, MAL, FEM).")
    ] = "aclew",
    channel: Annotated[
        str, typer.Option(help="Choice among several channels: mean, first, loudest, or a number from 0.")
    ] = "mean",
    include_unchanged: Annotated[
        bool,
        typer.Option(
            "--include-unchanged",
            help="With --collect: also use clips whose file was not changed, as annotated and correct.",
        ),
    ] = False,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Only tell how narrow the intervals of 'babyhubert estimate' would be, from the run alone."
        ),
    ] = False,
    annotator: Annotated[
        str,
        typer.Option(
            help="With --collect: take the clips of this person, who corrected copies with 'babyhubert review "
            "--annotator'.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Cut clips to annotate in ELAN, Praat or 'babyhubert review', predictions filled in; read corrections back.

    Writes <id>_<onset>_<offset>.wav with an .eaf or .TextGrid beside it, clips.csv and sample.json. The tier 'code'
    shows the stretch to annotate; write 'done' there when finished. Then:

    babyhubert sample --collect CLIPS -o REFERENCE

    babyhubert estimate OUT --reference REFERENCE

    babyhubert evaluate voice-type --reference REFERENCE --predictions OUT --uem REFERENCE/annotated.uem
    """
    from babyhubert.errors import ConfigError

    if output is None and not plan:
        raise ConfigError("-o FOLDER is needed, for the clips or the reference")
    if collect is not None and output is not None:
        if source is not None:
            raise ConfigError(f"{source} and --collect {collect}: one of them")
        _collect(collect, output, include_unchanged, annotator)
    if annotator:
        raise ConfigError(f"--annotator {annotator}: goes with --collect")
    if source is None:
        raise ConfigError("give the output folder of 'babyhubert segment', or --collect CLIPS")

    from babyhubert.annotation.codes import TIER_NAMINGS
    from babyhubert.annotation.segments import VOICE_TYPES
    from babyhubert.audio.channels import parse_channel
    from babyhubert.audio.preflight import check_recordings
    from babyhubert.cli.options import check_choice, duration_samples
    from babyhubert.exchange.chosen_clips import ANY_VOICE, ClipSettings
    from babyhubert.exchange.clip_choice import CLIP_METHODS
    from babyhubert.exchange.clips import CLIP_FORMATS, sample_clips
    from babyhubert.exchange.recordings import Source
    from babyhubert.timebase import samples_to_ms

    usual = ANY_VOICE if method == "stratified" else "KCHI"
    settings = ClipSettings(
        method=check_choice("--method", method, CLIP_METHODS),
        clips=clips,
        length_ms=samples_to_ms(duration_samples("--length", length)),
        context_ms=samples_to_ms(duration_samples("--context", context)),
        seed=seed,
        voice=check_choice("--voice", voice or usual, (*VOICE_TYPES, ANY_VOICE)),
        format=check_choice("--format", format_.lower(), CLIP_FORMATS),
        blank=blank,
        naming=check_choice("--tiers", tiers, TIER_NAMINGS),
        channel=parse_channel(channel),
    )
    if settings.length_ms < 100:
        raise ConfigError(f"--length {length}: 0.1 s or more")
    if output is None or plan:
        _plan(source, settings)
        return
    check_recordings([], output, 0)
    summary = sample_clips(Source(source, audio), output, settings)
    _tell(summary.notes, summary.failures)
    say(
        f"{counted(summary.clips, 'clip')} of {counted(summary.recordings, 'recording')}, "
        f"{len(summary.failures)} failed: {output}"
        + (" (kept as they are)" if summary.kept else "" if summary.clips else " (nothing written)")
    )
    raise typer.Exit(0 if summary.clips and not summary.failures else 1 if summary.clips else 2)


def _plan(source: Path, settings: ClipSettings) -> None:
    from babyhubert.cli.scores import show
    from babyhubert.exchange.sample_plan import plan_notes, plan_sample, plan_table
    from babyhubert.measures.results import read_results
    from babyhubert.runs.record import exit_code

    results = read_results(source)
    plan = plan_sample(results, settings)
    _tell(results.notes, plan.failures)
    show([plan_table(plan, settings.method)], plan_notes(settings))
    raise typer.Exit(exit_code(len(results.audio) - len(plan.failures), len(plan.failures)))


def _collect(clips: Path, output: Path, include_unchanged: bool, annotator: str) -> None:
    from babyhubert.audio.preflight import check_recordings
    from babyhubert.exchange.collect import collect
    from babyhubert.timebase import format_clock

    check_recordings([], output, 0)
    summary = collect(clips, output, include_untouched=include_unchanged, annotator=annotator)
    notes = []
    if summary.unfinished:
        notes.append(
            f"{len(summary.unfinished)} clips skipped: their review is not finished (mark them as done in 'babyhubert "
            f"review', or write 'done' on their tier 'code'); {summary.unfinished[0]}, for one"
        )
    if summary.untouched:
        notes.append(
            f"{counted(len(summary.untouched), 'clip')} skipped: their file was not changed since it was written "
            "(where a clip is right as it is, write 'done' on its tier 'code', or use --include-unchanged for all); "
            f"{summary.untouched[0]}, for one"
        )
    _tell(notes, summary.failures)
    what = f"{counted(summary.clips, 'clip')}, {format_clock(summary.samples)}, {len(summary.failures)} failed"
    say(f"{what}: {output}" if summary.clips else f"{what}: nothing written")
    if summary.clips:
        say(f"next: babyhubert estimate OUT --reference {output}")
        say(f"or: babyhubert evaluate voice-type --reference {output} --predictions OUT --uem {summary.uem}")
    raise typer.Exit(0 if summary.clips and not summary.failures else 1 if summary.clips else 2)


def _tell(notes: Iterable[str], failures: Iterable[Failure]) -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    for note in () if quiet() else notes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True, markup=False)
    for failure in failures:
        console.print(f"failed: {failure.error}", style="red", soft_wrap=True, markup=False)
