"""Progress of the runs of an output folder, from their journals.

Reading changes nothing and disturbs no run, so it can be done at any time, from any machine that reaches the folder.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from babyhubert.errors import OutputError
from babyhubert.runs.derived import derived_notes
from babyhubert.runs.folder import STATE_FOLDER, RunFolder, all_records, reading_warnings
from babyhubert.runs.journal import SIGN_SECONDS, RunState, read_journal
from babyhubert.runs.plan import Planned, failures_in_order
from babyhubert.runs.provenance import mixtures, stale_notes
from babyhubert.runs.shard import Shard
from babyhubert.timebase import samples_to_seconds

_SILENT_SECONDS = 8 * SIGN_SECONDS

Condition = Literal["finished", "running", "stopped", "not started"]


@dataclass(frozen=True)
class ShardStatus:
    """Progress of one shard of a run; ``state`` is None if it was never started."""

    part: Shard | None
    condition: Condition
    state: RunState | None

    @property
    def speed(self) -> float:
        """Seconds of audio per second, while it runs."""
        if self.state is None or self.condition != "running":
            return 0.0
        began = datetime.fromisoformat(self.state.began).timestamp()
        return samples_to_seconds(self.state.heard) / max(self.state.last_sign - began, 1.0)


@dataclass(frozen=True)
class CommandStatus:
    """Progress of a command in an output folder, over all its shards."""

    output: Path
    command: str
    parts: tuple[ShardStatus, ...]

    @property
    def recorded_by(self) -> Sequence[str]:
        """Commands whose records contain its recordings: its own, or those that it consists of."""
        return [*self.states[0].about.get("commands", [self.command])]

    @property
    def warnings(self) -> tuple[tuple[Path, str], ...]:
        """Path and one line for each warning about its complete recordings."""
        return reading_warnings(self.output, self.recorded_by, [planned.file for planned in self.done])

    @property
    def states(self) -> list[RunState]:
        """Journals of the shards that were started."""
        return [part.state for part in self.parts if part.state is not None]

    @property
    def done(self) -> list[Planned]:
        """Complete recordings."""
        return [planned for state in self.states for planned in state.complete]

    @property
    def left(self) -> int:
        """Number of recordings that are neither complete nor failed, including those of shards that were never
        started.
        """
        return self.states[0].plan.given - len(self.done) - len(self.failures)

    @property
    def left_samples(self) -> int:
        """Their total length."""
        begun = sum(_samples(state.plan.good) - _samples(state.left) for state in self.states)
        return self.states[0].plan.given_samples - begun

    @property
    def failures(self) -> list[tuple[Path, str]]:
        """Path and one-line error of each recording that failed."""
        return [failure for state in self.states for failure in failures_in_order(state.plan, state.errors)]

    @property
    def unfinished(self) -> list[ShardStatus]:
        """Shards with remaining recordings."""
        return [part for part in self.parts if part.state is None or part.state.left or part.condition == "running"]

    @property
    def seconds_left(self) -> float | None:
        """Remaining time at the present speed; None if nothing runs."""
        speed = sum(part.speed for part in self.parts)
        return samples_to_seconds(self.left_samples) / speed if speed else None

    def as_record(self) -> dict[str, Any]:
        """Record for programs."""
        return {
            "command": self.command,
            "done": len(self.done),
            "failed": len(self.failures),
            "left": self.left,
            "hours_done": samples_to_seconds(_samples(self.done)) / 3600,
            "hours_left": samples_to_seconds(self.left_samples) / 3600,
            "times_real_time": round(sum(part.speed for part in self.parts), 1),
            "seconds_left": self.seconds_left,
            "parts": [_part_record(part) for part in self.parts],
            "failures": [{"path": str(path), "error": error} for path, error in self.failures],
            "warnings": [{"path": str(path), "warning": line} for path, line in self.warnings],
        }


def folder_notes(output: Path) -> list[str]:
    """Notes on the results in an output folder: mixed models or settings, and files that were made from others."""
    records = all_records(output)
    mixed = [f"{output}: {sentence}" for sentence in mixtures(records)]
    return [*mixed, *stale_notes(output, records), *derived_notes(output, records)]


def folder_status(output: Path) -> list[CommandStatus]:
    """Progress of each command in an output folder, by name.

    Raises:
        OutputError: no run was ever started in it, or its journal cannot be read.
    """
    found = [command_status(output, path.name) for path in sorted((output / STATE_FOLDER).glob("*")) if path.is_dir()]
    started = [status for status in found if status.parts]
    if not started:
        raise OutputError(f"{output}: no run was started here; give the folder that -o named")
    return started


def command_status(output: Path, command: str) -> CommandStatus:
    """Progress of one command; without shards if it was never started."""
    states = [read_journal(path) for path in (output / STATE_FOLDER / command).glob("*.jsonl")]
    by_part = {state.part: state for state in states}
    parts: Sequence[Shard | None] = [None] if None in by_part else []
    if states and not parts:
        total = states[0].part.parts if states[0].part else 1
        parts = [Shard(total, number) for number in range(1, total + 1)]
    return CommandStatus(
        output, command, tuple(_part_status(output, command, part, by_part.get(part)) for part in parts)
    )


def _part_status(output: Path, command: str, part: Shard | None, state: RunState | None) -> ShardStatus:
    if state is None:
        return ShardStatus(part, "not started", None)
    if state.ended is not None:
        return ShardStatus(part, "stopped" if state.left else "finished", state)
    held = RunFolder(output, command, part).is_held()
    alive = not state.stopped and time.time() - state.last_sign < _SILENT_SECONDS and not state.is_here
    return ShardStatus(part, "running" if held or alive else "stopped", state)


def _part_record(part: ShardStatus) -> dict[str, Any]:
    record: dict[str, Any] = {"part": None if part.part is None else str(part.part), "condition": part.condition}
    if part.state is not None:
        state = part.state
        failed = len(state.errors) + len(state.plan.bad)
        record |= {"done": len(state.complete), "failed": failed, "left": len(state.left), "began": state.began}
    return record


def _samples(recordings: Sequence[Planned]) -> int:
    return sum(planned.samples for planned in recordings)
