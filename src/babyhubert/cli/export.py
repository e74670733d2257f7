"""``babyhubert export``: results for ELAN, Praat, Audacity, ChildProject."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.annotation.formats import WRITTEN, listed_programs
from babyhubert.cli.messages import quiet, say

_NOTES_SHOWN = 20


def export(
    source: Annotated[
        Path,
        typer.Argument(
            help="Output folder of 'babyhubert segment', or annotations in any format that is read: a file, a folder, "
            "a ChildProject project or one of its sets (PROJECT/annotations/SET).",
            show_default=False,
        ),
    ],
    to: Annotated[
        list[str],
        typer.Option(
            help=f"{listed_programs(WRITTEN.values())}, lena (a table with LENA's codes), or childproject (sets to "
            "copy into a project). Give it several times for several.",
            metavar="FORMAT",
        ),
    ] = [],  # noqa: B006 (typer reads it, nobody writes to it)
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder for the files; each format in a folder of its own. Default: SOURCE itself."
        ),
    ] = None,
    audio: Annotated[
        list[Path],
        typer.Option(
            help="The recordings, files or folders; may be given several times. Links in .eaf files and "
            "lengths of TextGrids come from them. Default: the paths of the run or the project."
        ),
    ] = [],  # noqa: B006
    childproject: Annotated[
        Path | None,
        typer.Option(
            metavar="PROJECT",
            help="ChildProject project: write annotations/SET/raw, metannots.yml and import.csv there, ready for its "
            "importer.",
        ),
    ] = None,
    sets: Annotated[
        str, typer.Option("--sets", help="First part of the names of ChildProject sets: SETS/vtc, SETS/addressee, ...")
    ] = "babyhubert",
    tiers: Annotated[
        str,
        typer.Option(
            help="Names of tiers: aclew (CHI, OC0, MA0, FA0: ChildProject reads them correctly) or labels "
            "(KCHI, OCH, MAL, FEM: for viewing)."
        ),
    ] = "aclew",
    confidence: Annotated[
        bool,
        typer.Option(
            "--confidence",
            help="Also write the confidence of each segment: RTTM's ninth field, tiers confidence@... in .eaf and "
            "TextGrid, a column of the ChildProject set. The csv format has it anyway.",
        ),
    ] = False,
) -> None:
    """Write results in the formats of other tools, without computing them again.

    Addressees, phonemes and classes of other tasks become tiers below a voice (xds@FA0, phonemes_CHI, TASK@FA0), and
    ChildProject sets of their own.
    """
    from rich.console import Console

    from babyhubert.annotation.codes import TIER_NAMINGS
    from babyhubert.audio.preflight import check_recordings
    from babyhubert.cli.options import check_choice
    from babyhubert.errors import ConfigError, counted
    from babyhubert.exchange.export import FORMATS, ExportSettings
    from babyhubert.exchange.export import export as write
    from babyhubert.exchange.recordings import Source

    formats = tuple(dict.fromkeys(check_choice("--to", name.lower(), FORMATS) for name in to))
    naming = check_choice("--tiers", tiers, TIER_NAMINGS)
    if not formats and childproject is None:
        raise ConfigError(f"nothing to write: give --to ({', '.join(FORMATS)}) or --childproject PROJECT")
    if not sets.strip("/") or any(part in ("", ".", "..") for part in sets.split("/")):
        raise ConfigError(f"--sets {sets}: a name such as babyhubert")
    folder = output if output is not None else source
    if formats:
        if output is None and not source.is_dir():
            raise ConfigError(f"{source} is no folder to write into: give -o FOLDER")
        check_recordings([], folder, 0)
    summary = write(Source(source, audio), ExportSettings(formats, folder, naming, childproject, sets, confidence))
    console = Console(stderr=True, highlight=False)
    for note in () if quiet() else summary.notes[:_NOTES_SHOWN]:
        console.print(f"note: {note}", style="yellow", soft_wrap=True, markup=False)
    if len(summary.notes) > _NOTES_SHOWN and not quiet():
        console.print(f"note: and {len(summary.notes) - _NOTES_SHOWN} more like these", style="yellow")
    for step in () if quiet() else summary.steps:
        console.print(step, soft_wrap=True, markup=False)
    for failure in summary.failures:
        console.print(f"failed: {failure.error}", style="red", soft_wrap=True, markup=False)
    where = [str(folder)] if set(formats) - {"childproject"} else []
    written = ", ".join([*where, *map(str, summary.sets)]) or "nothing"
    say(f"{counted(summary.done, 'recording')} exported, {len(summary.failures)} failed: {written}")
    raise typer.Exit(summary.exit_code)
