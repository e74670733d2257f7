"""Messages of commands besides their results, and how many of them a user wants: ``--quiet``, ``--verbose``.

``--quiet`` leaves warnings, failures, errors, and the tables that a command is asked for. ``--verbose`` adds what the
package's logger ``babyhubert`` tells.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING

import typer

from babyhubert.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

QUIET, VERBOSE, DEBUG = "--quiet", "--verbose", "--debug"

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


def take_message_options(arguments: Sequence[str]) -> list[str]:
    """Apply the options for messages, which may be anywhere on the command line; return the other arguments.

    Raises:
        ConfigError: quiet and verbose at once.
    """
    if QUIET in arguments and VERBOSE in arguments:
        raise ConfigError(f"{QUIET} and {VERBOSE} contradict each other: give one of them")
    _QUIET.set(QUIET in arguments)
    _show_log(VERBOSE in arguments)
    return [argument for argument in arguments if argument not in (QUIET, VERBOSE, DEBUG)]


def quiet() -> bool:
    """True if only warnings, failures, errors and results are wanted."""
    return _QUIET.get()


def say(text: str, *, err: bool = False) -> None:
    """Print a line that a quiet command leaves out."""
    if not quiet():
        typer.echo(text, err=err)


def _show_log(wanted: bool) -> None:
    """Print what the package's loggers tell, or leave them alone."""
    if not wanted and "logging" not in sys.modules:
        return
    import logging

    class Lines(logging.Handler):
        """Lines on stderr, as it is at that moment: a progress bar puts them above itself."""

        def emit(self, record: logging.LogRecord) -> None:
            typer.echo(self.format(record), err=True)

    handler = Lines()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("babyhubert")
    logger.handlers = [handler] if wanted else []
    logger.setLevel(logging.DEBUG if wanted else logging.WARNING)
