"""Result of a step over recordings, for programs and on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyhubert.errors import counted
from babyhubert.files import write_json
from babyhubert.runs.record import count_warnings, exit_code


@dataclass(frozen=True)
class StepSummary:
    """Result of a step over recordings.

    Attributes:
        recordings: Recordings that are complete.
        failures: Path and one-line error of each that is not.
        hours_in: Hours of audio processed.
        hours_out: Hours that go to the next step.
        facts: Further figures for the summary.
        warnings: Path and one line for each warning about reading complete recordings.
    """

    recordings: int
    failures: Sequence[tuple[Path, str]]
    hours_in: float
    hours_out: float
    facts: dict[str, Any]
    warnings: Sequence[tuple[Path, str]] = ()

    @property
    def exit_code(self) -> int:
        """0: every recording is done; 1: some failed; 2: none is done."""
        return exit_code(self.recordings, len(self.failures))


def write_summary(path: Path, settings: Mapping[str, Any], summary: StepSummary) -> None:
    """Write the summary of a step as JSON."""
    content = {
        "settings": settings,
        "recordings": summary.recordings,
        "hours_in": summary.hours_in,
        "hours_out": summary.hours_out,
        **summary.facts,
        "failures": [{"path": str(file), "error": error} for file, error in summary.failures],
    }
    write_json(path, content)


def summary_lines(verb: str, summary: StepSummary) -> list[str]:
    """Recordings, hours in and out, and the step's own figures, a line each."""
    share = f" ({100 * summary.hours_out / summary.hours_in:.1f}%)" if summary.hours_in else ""
    first = (
        f"{verb} {counted(summary.recordings, 'recording')}, {len(summary.failures)} failed"
        f"{count_warnings(summary.warnings)}: {summary.hours_in:.2f} h in, {summary.hours_out:.2f} h out{share}"
    )
    return [first, *(f"  {name}: {_text(value)}" for name, value in summary.facts.items())]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}%: {_text(item)}" for key, item in value.items())
    return f"{value:.2f}" if isinstance(value, float) else str(value)
