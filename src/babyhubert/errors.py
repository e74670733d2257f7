"""Errors a user can act on.

Every one carries a single sentence that names what was wrong, where, and what to do. The command line prints
that sentence alone (a traceback only with ``--debug``); a program can catch the class it cares about.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class BabyHubertError(Exception):
    """Base of every error this package raises on purpose."""


def one_line(path: Path, error: Exception) -> str:
    """What failed with a recording, for a list of failures: our own sentence, or the kind of error and its text."""
    text = " ".join(str(error).split())
    return text if isinstance(error, BabyHubertError) else f"{path}: {type(error).__name__}: {text}"


class AudioError(BabyHubertError):
    """A recording cannot be read, or not as what it claims to be."""


class AnnotationError(BabyHubertError):
    """A segments file is malformed or says something impossible."""


class CheckpointError(BabyHubertError):
    """A checkpoint or model folder is missing, incomplete, unsafe or of an unknown layout."""


class ModelAccessError(CheckpointError):
    """A model on the hub exists but may not be downloaded yet (gated, or no token), or cannot be reached."""


class ComputationError(BabyHubertError):
    """A model gives no finite numbers for a recording, so that nothing can be said of it."""


class ConfigError(BabyHubertError):
    """A setting has an unknown name, a wrong type or an impossible value."""


class CorpusError(BabyHubertError):
    """Training material (tables, shards, labels) is missing, damaged, or does not fit together."""


class TrainingError(BabyHubertError):
    """Training cannot go on: the loss is not finite, or the material does not allow a step."""


class OutputError(BabyHubertError):
    """An output folder cannot be written, is full, or holds something else."""


class UnsafeNameError(OutputError):
    """A name from a file does not mean a place below the folder that it belongs to."""


class DiskFullError(OutputError):
    """No space is left for outputs: going on with other recordings is pointless."""


class MissingExtraError(BabyHubertError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the '{extra}' extra: pip install 'babyhubert[{extra}]'")
        self.extra = extra


def some_names(names: Sequence[str], most: int = 3) -> str:
    """The first names of many, for a message."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
