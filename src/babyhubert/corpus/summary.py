"""How a step over recordings ended, for programs and on disk."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyhubert.errors import BabyHubertError
from babyhubert.files import write_json, write_text


@dataclass(frozen=True)
class StepSummary:
    """How a step over recordings ended.

    Attributes:
        recordings: Recordings that are complete.
        failures: Path and one-line error of each that is not.
        hours_in: Hours of audio looked at.
        hours_out: Hours that go to the next step.
        facts: More figures, for people.
    """

    recordings: int
    failures: Sequence[tuple[Path, str]]
    hours_in: float
    hours_out: float
    facts: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """0: every recording is done; 1: some failed; 2: none is done."""
        if not self.failures:
            return 0
        return 1 if self.recordings else 2


def one_line(path: Path, error: Exception) -> str:
    """What failed with a recording, for the list of failures."""
    text = " ".join(str(error).split())
    return text if isinstance(error, BabyHubertError) else f"{path}: {type(error).__name__}: {text}"


def write_summary(path: Path, settings: Mapping[str, Any], summary: StepSummary) -> None:
    """Write what a step says of itself as JSON."""
    content = {
        "settings": settings,
        "recordings": summary.recordings,
        "hours_in": summary.hours_in,
        "hours_out": summary.hours_out,
        **summary.facts,
        "failures": [{"path": str(file), "error": error} for file, error in summary.failures],
    }
    write_json(path, content)


def write_failures(path: Path, failures: Sequence[tuple[Path, str]]) -> None:
    """Write ``path,error`` rows, the header alone when all went well."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "error"))
    writer.writerows((str(file), error) for file, error in failures)
    write_text(path, text.getvalue())
