"""What a person reads at the end of a corpus step."""

from __future__ import annotations

from typing import Any

from babyhubert.corpus.summary import StepSummary
from babyhubert.run_record import count_warnings


def summary_lines(verb: str, summary: StepSummary) -> list[str]:
    """Recordings, hours in and out, and the step's own figures, a line each."""
    share = f" ({100 * summary.hours_out / summary.hours_in:.1f}%)" if summary.hours_in else ""
    first = (
        f"{verb} {summary.recordings} recordings, {len(summary.failures)} failed{count_warnings(summary.warnings)}: "
        f"{summary.hours_in:.2f} h in, {summary.hours_out:.2f} h out{share}"
    )
    return [first, *(f"  {name}: {_text(value)}" for name, value in summary.facts.items())]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}%: {_text(item)}" for key, item in value.items())
    return f"{value:.2f}" if isinstance(value, float) else str(value)
