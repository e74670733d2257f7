"""Fields of ``run.json`` that all commands share, and the summary of a run."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from babyhubert.runs.folder import OWN_KEYS, reading_warnings
from babyhubert.runs.journal import Outcome
from babyhubert.version import __version__


@dataclass(frozen=True)
class RunSummary:
    """Summary of a run.

    Attributes:
        done: Recordings done in this run.
        skipped: Those that were complete before.
        failures: Path and one-line error of each that failed.
        warnings: Path and one line for each warning about complete recordings.
        notes: Notes on the results.
    """

    done: int
    skipped: int
    failures: Sequence[tuple[Path, str]]
    warnings: Sequence[tuple[Path, str]] = ()
    notes: Sequence[str] = ()

    @classmethod
    def of(cls, outcome: Outcome, output: Path, commands: Iterable[str]) -> Self:
        """Summarise a run from its journal.

        Args:
            outcome: Its outcome.
            output: Its output folder.
            commands: Commands whose records it wrote.
        """
        warnings = reading_warnings(output, commands, outcome.complete)
        return cls(len(outcome.complete) - outcome.kept, outcome.kept, outcome.failures, warnings, outcome.notes)

    @property
    def exit_code(self) -> int:
        """0: every recording is done, with warnings or without; 1: some failed; 2: none is done."""
        return exit_code(self.done + self.skipped, len(self.failures))


def exit_code(done: int, failed: int) -> int:
    """0: every recording is done; 1: some failed; 2: none is done, and some failed."""
    if not failed:
        return 0
    return 1 if done else 2


def count_warnings(warnings: Sequence[tuple[Path, str]]) -> str:
    """End of a count of recordings, such as ``, 2 with warnings``; empty if there are none."""
    recordings = len({path for path, _ in warnings})
    return f", {recordings} with warnings" if recordings else ""


def run_record(
    command: str,
    about: Mapping[str, Any],
    outcome: Outcome,
    records: Sequence[Mapping[str, Any]],
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Content of ``run.json`` of a command with a model: when, with what, where, which recordings.

    Args:
        command: Its name.
        about: With ``model``, ``settings``, the ``device`` to name where no recording is complete, and the ``task``
            of a model's own.
        outcome: How the run ended.
        records: Of all complete recordings; each names the device that did it.
        more: Facts of this command alone.
    """
    devices = sorted({record["device"] for record in records if "device" in record})
    return {
        "command": command,
        "began": outcome.began,
        "ended": outcome.ended,
        "versions": _versions_of(records),
        "model": about["model"],
        "device": ", ".join(devices) or about["device"],
        "settings": about["settings"],
        **(more or {}),
        **({"task": about["task"]} if "task" in about else {}),
        "recordings": reported_recordings(records),
        "failures": [{"path": str(path), "error": error} for path, error in outcome.all_failures],
    }


def speech_minutes(records: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Minutes of each class in records of ``segment``; those of earlier versions have none."""
    known = [record["speech_s"] for record in records if "speech_s" in record]
    classes = dict.fromkeys(name for seconds in known for name in seconds)
    return {name: sum(seconds.get(name, 0) for seconds in known) / 60 for name in classes}


def reported_recordings(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Entries of ``run.json`` for complete recordings."""
    return [{key: value for key, value in record.items() if key not in OWN_KEYS} for record in records]


def _versions_of(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Versions of the software here; for packages that affect a result, the versions that made the results."""
    versions = software_versions()
    for name in ("babyhubert", "torch"):
        made = {record["made_with"][name] for record in records if "made_with" in record}
        versions[name] = ", ".join(sorted(made)) or versions[name]
    return versions


def software_versions() -> dict[str, str]:
    """Versions of packages that affect a result."""
    import torch  # seconds: not for those who only want an exit code

    return {
        "babyhubert": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": f"{sys.platform} {platform.machine()}",
    }
