"""State of an analysis, for the page: progress, minutes of each class, failures, and the files that can be opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babyhubert.desktop import commands
from babyhubert.desktop.processes import Processes
from babyhubert.desktop.workspace import Analysis
from babyhubert.errors import BabyHubertError
from babyhubert.runs.folder import STATE_FOLDER, RunFolder
from babyhubert.runs.record import speech_minutes
from babyhubert.runs.status import CommandStatus, command_status

OPENED = {
    "report.html": "Report",
    "measures.csv": "Measures",
    "hourly.csv": "Measures by hour",
    "rttm.csv": "Segments",
    "estimates/estimate.csv": "Corrected totals",
}
"""Results that the page opens or saves, with the words on their buttons."""

_MOST = 50


def overview(analysis: Analysis, processes: Processes) -> dict[str, Any]:
    """Record of an analysis.

    ``state`` is ``running``, ``done``, ``failed`` (some recordings failed), ``stopped`` (some are left), ``broken``
    (the command ended with an error before any recording) or ``new``.
    """
    running = processes.is_running(analysis.name, analysis.output)
    progress = _progress(analysis.output)
    return {
        "name": analysis.name,
        "audio": [str(path) for path in analysis.audio],
        "output": str(analysis.output),
        "options": analysis.options.model_dump(),
        "created": analysis.created,
        "command": commands.as_typed(commands.analyze(analysis)),
        "state": "running" if running else _state(progress, processes.exit_code(analysis.name)),
        "progress": None if progress is None else _numbers(progress, running=running),
        "minutes": minutes_by_class(analysis.output),
        "files": {name: text for name, text in OPENED.items() if (analysis.output / name).is_file()},
        "clips": (analysis.output / "clips" / "sample.json").is_file(),
        "said": processes.last_lines(analysis.name),
    }


def minutes_by_class(output: Path) -> dict[str, float]:
    """Minutes of each class in all complete recordings."""
    return speech_minutes(RunFolder(output, "segment").records()) if (output / STATE_FOLDER).is_dir() else {}


def _progress(output: Path) -> CommandStatus | None:
    if not (output / STATE_FOLDER / "analyze").is_dir():
        return None
    try:
        found = command_status(output, "analyze")
    except BabyHubertError:
        return None
    return found if found.parts else None


def _state(progress: CommandStatus | None, exit_code: int | None) -> str:
    if progress is None or not progress.states:
        return "new" if exit_code is None else "broken"
    if progress.left:
        return "stopped"
    return "failed" if progress.failures else "done"


def _numbers(progress: CommandStatus, *, running: bool) -> dict[str, Any]:
    record = progress.as_record()
    hours_done, hours_left = record["hours_done"], record["hours_left"]
    return {
        **{key: record[key] for key in ("done", "failed", "left", "hours_done", "hours_left")},
        "share": hours_done / (hours_done + hours_left) if hours_done + hours_left else 1.0,
        "times_real_time": record["times_real_time"] if running else 0,
        "seconds_left": record["seconds_left"] if running else None,
        "failures": list(_lines(record["failures"], "error")),
        "warnings": list(_lines(record["warnings"], "warning")),
    }


def _lines(records: list[dict[str, str]], key: str) -> Iterator[str]:
    """One line for each, with the recording's name."""
    for record in records[:_MOST]:
        name = Path(record["path"]).name
        yield record[key] if name in record[key] else f"{name}: {record[key]}"
    if len(records) > _MOST:
        yield f"and {len(records) - _MOST} more, in the report"
