"""Errors a user can act on.

Each has a single sentence that names the fault, its place, and the remedy. The command line prints that sentence, and
the option that is meant where there is one (a traceback only with ``--debug``); a program can catch each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class BabyHubertError(Exception):
    """Base class of all errors that this package raises on purpose.

    Attributes:
        option: Option of the command line that the remedy is about, such as ``--device cpu``; empty without one.
    """

    def __init__(self, *arguments: object, option: str = "") -> None:
        super().__init__(*arguments)
        self.option = option


def on_command_line(error: Exception) -> str:
    """Message of an error for users of the command line: with the option that it is about."""
    option = getattr(error, "option", "")
    return f"{error} ({option})" if option else str(error)


class ReadingWarning(UserWarning):
    """Warning about a file that was read nevertheless: one sentence that names it."""


def one_line(path: Path, error: Exception) -> str:
    """One line about an error in a recording, for a list of failures: this package's sentence, or the error's kind and
    text.
    """
    text = " ".join(on_command_line(error).split())
    return text if isinstance(error, BabyHubertError) else f"{path}: {type(error).__name__}: {text}"


class AudioError(BabyHubertError):
    """A recording cannot be read, or is not what its name claims."""


class AnnotationError(BabyHubertError):
    """A segments file is malformed or has impossible content."""


class CheckpointError(BabyHubertError):
    """A checkpoint or model folder is missing, incomplete, unsafe or of an unknown layout."""


class ModelAccessError(CheckpointError):
    """A model on the hub exists but may not be downloaded yet (gated, or no token), or cannot be reached."""


class ComputationError(BabyHubertError):
    """A model gives numbers for a recording that are not finite, so that there is no result."""


class ConfigError(BabyHubertError):
    """A setting has an unknown name, a wrong type or an impossible value."""


class CorpusError(BabyHubertError):
    """Training material (tables, shards, labels) is missing, damaged, or does not fit together."""


class TrainingError(BabyHubertError):
    """Training cannot go on: the loss is not finite, or the material does not allow a step."""


class OutputError(BabyHubertError):
    """An output folder cannot be written, is full, or has other content."""


class UnsafeNameError(OutputError):
    """A name from a file does not lead to a path below its folder."""


class DiskFullError(OutputError):
    """No space is left for outputs: continuing with other recordings is pointless."""


def install_command(extra: str) -> str:
    """Command that installs an extra; the package is installed from its source folder, it is not on PyPI yet."""
    return f"pip install '.[{extra}]' in the folder of BabyHuBERT's source"


class MissingExtraError(BabyHubertError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the '{extra}' extra: {install_command(extra)}")
        self.extra = extra


def counted(number: int, noun: str) -> str:
    """Number and noun that agree: ``1 recording``, ``2 recordings``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def some_names(names: Sequence[str], most: int = 3) -> str:
    """The first names of many, for a message."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
