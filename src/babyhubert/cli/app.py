"""The ``babyhubert`` command: registers the commands and turns errors of this package into one line.

Modules of commands import only typer and the standard library at the top, so that ``--help`` is fast.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from babyhubert.cli import (
    analyze,
    combine,
    convert,
    corpus,
    demo,
    desktop,
    embed,
    estimate,
    evaluate,
    export,
    finetune,
    join,
    measures,
    merge,
    methods,
    models,
    plot,
    pretrain,
    quality,
    recipe,
    report,
    review,
    sample,
    segment,
    simulate,
    status,
    table,
    tune,
    units,
    utterances,
)
from babyhubert.cli.completion import complete_values
from babyhubert.cli.examples import add_examples
from babyhubert.cli.interrupts import INTERRUPTED, interrupts_end_in_order
from babyhubert.cli.messages import DEBUG, take_message_options
from babyhubert.errors import BabyHubertError, ReadingWarning, on_command_line
from babyhubert.version import __version__

app = typer.Typer(
    name="babyhubert",
    help="Who speaks, to whom, and what the child says, in child-centred daylong recordings. Everything runs on this "
    "machine: no recording, result or statistic is sent anywhere.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMMANDS: dict[str, Callable[..., None]] = {
    "segment": segment.segment,
    "analyze": analyze.analyze,
    "addressee": utterances.addressee,
    "classify": utterances.classify,
    "phonemes": utterances.phonemes,
    "embed": embed.embed,
    "pretrain": pretrain.pretrain,
    "recipe": recipe.recipe,
    "status": status.status,
    "merge": merge.merge,
    "convert": convert.convert,
    "combine": combine.combine,
    "join": join.join,
    "measures": measures.measures,
    "methods": methods.methods,
    "table": table.table,
    "export": export.export,
    "report": report.report,
    "sample": sample.sample,
    "review": review.review,
    "estimate": estimate.estimate,
    "quality": quality.quality,
    "plot": plot.plot,
    "models": models.models,
    "simulate": simulate.simulate,
    "demo": demo.demo,
    "app": desktop.desktop,
}
for _name, _function in _COMMANDS.items():
    app.command(_name)(_function)
app.add_typer(corpus.app, name="corpus")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(finetune.app, name="finetune")
app.add_typer(tune.app, name="tune")
app.add_typer(units.app, name="units")
add_examples(app)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"babyhubert {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", help="Print warnings, failures, errors and the tables asked for alone. Works anywhere."
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print details: models, windows, files as they are read. Works anywhere.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the complete traceback of an error. Works anywhere.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    del quiet, verbose, debug, version


def _show_reading_warnings() -> None:
    """Show warnings about files as lines of our own, and other warnings as Python does."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, ReadingWarning):
            typer.echo(f"warning: {message}", err=True)
        else:
            shown(message, category, *place, **more)

    warnings.showwarning = show


def main() -> None:
    """Entry point of the ``babyhubert`` command. Exit codes: 0 all done, 1 some failed, 2 nothing done."""
    debug = DEBUG in sys.argv
    try:
        sys.argv[1:] = take_message_options(sys.argv[1:])
        if "_BABYHUBERT_COMPLETE" in os.environ:  # the shell asks what may follow
            complete_values(app)
        with interrupts_end_in_order(), warnings.catch_warnings():
            _show_reading_warnings()
            app()
    except BabyHubertError as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"babyhubert: error: {on_command_line(error)}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as stop:  # typer turns Ctrl-C into an exit of its own
        code = INTERRUPTED if isinstance(stop, KeyboardInterrupt) else stop.code
        if code == INTERRUPTED:
            typer.echo("babyhubert: stopped; run the same command again to continue", err=True)
        sys.exit(code)
    except Exception as error:  # a fault of this package: still one line, and no half-written file has a final name
        if debug:
            traceback.print_exc()
        typer.echo(f"babyhubert: error: {_unexpected(error)}", err=True)
        sys.exit(2)


def _unexpected(error: Exception) -> str:
    if type(error).__name__ in ("OutOfMemoryError", "MemoryError"):  # torch's, and Python's
        return "memory ran out; use a smaller batch size (--batch-size 1 needs the least) or --device cpu"
    return f"unexpected {type(error).__name__}: {' '.join(str(error).split())} (--debug shows where)"
