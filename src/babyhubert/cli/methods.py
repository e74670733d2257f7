"""``babyhubert methods``: words for the methods section of a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.measures import RunArgument

_FORMATS = ("markdown", "text", "latex")


def methods(
    folder: RunArgument,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder (or JSON file) that 'evaluate ... -o' or 'estimate -o' wrote; may be given several times. "
            "Default: those in OUT and in the folders directly below it.",
            metavar="FOLDER",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for the files. Default: OUT itself.", show_default=False),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help=f"{', '.join(_FORMATS)}; may be given several times. Default: markdown and text.",
            metavar="FORMAT",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the methods section of a paper: models, weights, terms, settings, versions, accuracy, citations.

    Writes methods.md, methods.txt (methods.tex with --format latex) and references.bib, and prints the text. Sentences
    are made of what the run recorded; what is missing is listed at the end.
    """
    from babyhubert.cli.endings import shown
    from babyhubert.cli.messages import say
    from babyhubert.cli.options import check_choice
    from babyhubert.cli.scores import say_written
    from babyhubert.measures.results import read_results
    from babyhubert.report.methods import Methods, describe_measures, describe_run
    from babyhubert.report.methods_scores import describe_scores, find_scores
    from babyhubert.report.methods_text import to_text, write_methods
    from babyhubert.runs.derived import note_derived

    chosen = [check_choice("--format", name, _FORMATS) for name in formats or ("markdown", "text")]
    results = read_results(folder)
    section = Methods()
    describe_run(results, section)
    describe_measures(folder / "measures.json", section)
    files = list(evaluation) if evaluation else find_scores(folder)
    for path in files:
        describe_scores(path, folder, section)
    if not files:
        section.missing.append("the accuracy of the model on recordings like these: 'babyhubert evaluate', 'estimate'")
    say(to_text(section))
    written = write_methods(output or folder, section, list(dict.fromkeys(chosen)))
    note_derived(folder, "methods", written[:1], "" if output is None else f"-o {shown(output)}")
    say_written(written)
