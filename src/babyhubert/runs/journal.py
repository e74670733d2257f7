"""Journal of a run: its recordings and its progress, in one small file that outlives it.

``OUT/.babyhubert/<command>/run.jsonl`` (``part-2-of-4.jsonl`` for a shard) has a first line with all recordings of the
run, then a line for each recording that is complete or failed and one every quarter of a minute, which shows the
progress of the run and that it is alive. ``babyhubert status`` and ``babyhubert merge`` read it. Runs are continued
not from the journal but from the records of complete recordings (`runs.folder`).
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from babyhubert.audio.discovery import RecordingFile
from babyhubert.errors import OutputError
from babyhubert.files import explain_os_error, write_text
from babyhubert.progress import RunProgress
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.plan import NO_EARLIER, EarlierRecordings, Plan, Planned, failures_in_order
from babyhubert.runs.shard import Shard

JOURNAL_FORMAT = 1
SIGN_SECONDS = 15.0


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run, from which its tables are made.

    Attributes:
        began: Time of its beginning, ISO 8601.
        ended: Time of its end.
        complete: Recordings that are complete, those kept from before included, in the order given.
        kept: Number of them that were complete before.
        failures: Path and one-line error of each that is not.
        notes: Notes on the results.
        earlier: Path and one-line error of recordings that failed in earlier runs and are not given now.
    """

    began: str
    ended: str
    complete: tuple[RecordingFile, ...]
    kept: int
    failures: tuple[tuple[Path, str], ...]
    notes: tuple[str, ...] = ()
    earlier: tuple[tuple[Path, str], ...] = ()

    @property
    def all_failures(self) -> tuple[tuple[Path, str], ...]:
        """Failures of this run, and those of earlier runs that it was not given."""
        return tuple(dict.fromkeys((*self.failures, *self.earlier)))

    def with_damaged(self, damaged: Iterable[tuple[Path, str]], notes: Iterable[str] = ()) -> Outcome:
        """The same, with damaged results of earlier runs among the failures."""
        damaged = tuple(dict.fromkeys(failure for failure in damaged if failure not in self.failures))
        told = (*self.notes, *(error for _, error in damaged), *notes)
        return replace(self, failures=(*self.failures, *damaged), notes=told)


class RunJournal:
    """Records the progress of a run on disk, and forwards it to a display. A context manager and a `RunProgress`.

    Args:
        folder: The output folder, locked by the caller.
        plan: The recordings.
        todo: Ids of those that have to be computed.
        quick: Ids of those that are made from stored results: reported with :meth:`settled`.
        about: Further content of the tables (JSON).
        identity: Hash of settings that affect results; shards must agree in it.
        progress: The display.
        earlier: Recordings of earlier runs that are not given now: complete, failed and left.
    """

    def __init__(
        self,
        folder: RunFolder,
        plan: Plan,
        todo: Collection[str],
        about: Mapping[str, Any],
        identity: str,
        progress: RunProgress,
        quick: Collection[str] = (),
        earlier: EarlierRecordings = NO_EARLIER,
    ) -> None:
        self._folder = folder
        self._plan = plan
        self._todo = set(todo)
        self._open = self._todo | set(quick)
        self._about = about
        self._earlier = earlier
        self._identity = identity
        self._progress = progress
        self._lengths = {planned.file.recording_id: planned.samples for planned in plan.good}
        self._kept = len(self._lengths) - len(self._open)
        self._heard: dict[str, int] = {}
        self._total = 0
        self._errors: dict[str, str] = {}
        self._began = _now()
        self._last_sign = 0.0

    def __enter__(self) -> Self:
        _remove_superseded(self._folder)
        path = self._folder.state_file()
        write_text(path, json.dumps(self._header(), ensure_ascii=False) + "\n")
        try:
            self._file = path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n")
        except OSError as error:
            raise explain_os_error(path, error) from error
        todo = sum(self._lengths[name] for name in self._todo)
        self._progress.start(len(self._todo), todo, len(self._lengths) - len(self._todo))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._append({"ended": _now()} if kind is None else {"stopped": _now()})
            self._file.close()

    @property
    def todo(self) -> list[Planned]:
        """Recordings to compute, in the order given."""
        return [planned for planned in self._plan.good if planned.file.recording_id in self._todo]

    def start(self, recordings: int, samples: int, skipped: int) -> None:
        """Do nothing: the journal has its plan."""

    def advance(self, recording_id: str, samples: int) -> None:
        """Add samples of a recording that have been read; 0 is a sign of life."""
        self._heard[recording_id] = self._heard.get(recording_id, 0) + samples
        self._total += samples
        self._progress.advance(recording_id, samples)
        if time.time() - self._last_sign > SIGN_SECONDS:
            with suppress(OSError):
                self._append({})

    def done(self, recording_id: str, error: str | None) -> None:
        """Record a recording as complete or failed.

        Raises:
            DiskFullError: the disk is full.
        """
        self._progress.shorten(self._lengths[recording_id] - self._heard.pop(recording_id, 0))
        self._progress.done(recording_id, error)
        self.settled(recording_id, error)

    def settled(self, recording_id: str, error: str | None) -> None:
        """Record a recording that needed no computation.

        Raises:
            DiskFullError: the disk is full.
        """
        self._open.discard(recording_id)
        if error is not None:
            self._errors[recording_id] = error
        try:
            self._append({"id": recording_id} if error is None else {"id": recording_id, "error": error})
        except OSError as problem:
            raise explain_os_error(self._folder.state_file(), problem) from problem

    def shorten(self, samples: int) -> None:
        """Subtract samples that will not be read after all."""
        self._progress.shorten(samples)

    def note(self, text: str) -> None:
        """Show a message."""
        self._progress.note(text)

    def outcome(self) -> Outcome:
        """Present outcome."""
        missing = self._open | set(self._errors)
        return Outcome(
            self._began,
            _now(),
            tuple(planned.file for planned in self._plan.good if planned.file.recording_id not in missing),
            self._kept,
            failures_in_order(self._plan, self._errors),
            earlier=self._earlier.failures,
        )

    def _header(self) -> dict[str, Any]:
        part = self._folder.part
        complete, failed, left = self._earlier.complete, self._earlier.failed, self._earlier.left
        more = (*complete, *failed, *left)
        return {
            "format": JOURNAL_FORMAT,
            "command": self._folder.command,
            "part": None if part is None else str(part),
            "began": self._began,
            "host": platform.node(),
            "pid": os.getpid(),
            "inputs": self._plan.inputs,
            "folder": str(Path.cwd()),
            "given": [self._plan.given + len(more), self._plan.given_samples + sum(each.samples for each in more)],
            "identity": self._identity,
            "about": self._about,
            "recordings": [
                *([*_row(planned), planned.file.recording_id in self._open] for planned in self._plan.good),
                *([*_row(planned), planned in left] for planned in (*complete, *left)),
            ],
            "bad": [[*_row(planned), planned.error] for planned in (*self._plan.bad, *failed)],
        }

    def _append(self, event: Mapping[str, Any]) -> None:
        self._last_sign = time.time()
        line = {"at": round(self._last_sign, 1), "heard": self._total, **event}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()


@dataclass(frozen=True)
class RunState:
    """A run according to its journal.

    Attributes:
        path: The journal.
        command: The command.
        part: Its shard; None for a run over all recordings.
        began: Time of its beginning, ISO 8601.
        ended: Time of its end; None if it was stopped, or still runs.
        stopped: True if it recorded that it stops before its end.
        last_sign: Time of its last line, in seconds since the epoch.
        host: The machine.
        pid: Its process there.
        identity: Hash of settings that affect its results.
        about: Content of the tables.
        plan: The recordings.
        todo: Ids of those that were not complete when it began.
        done: Ids of those completed since.
        errors: One-line errors of those that failed since, by id.
        heard: Samples read since.
        folder: Working folder of the run, to which relative paths refer.
    """

    path: Path
    command: str
    part: Shard | None
    began: str
    ended: str | None
    stopped: bool
    last_sign: float
    host: str
    pid: int
    identity: str
    about: Mapping[str, Any]
    plan: Plan
    todo: frozenset[str]
    done: frozenset[str]
    errors: Mapping[str, str]
    heard: int
    folder: Path
    left: tuple[Planned, ...] = field(init=False)

    def __post_init__(self) -> None:
        missing = self.todo - self.done - set(self.errors)
        left = tuple(planned for planned in self.plan.good if planned.file.recording_id in missing)
        object.__setattr__(self, "left", left)

    @property
    def is_here(self) -> bool:
        """True if it was started on this machine."""
        return self.host == platform.node()

    @property
    def complete(self) -> list[Planned]:
        """Recordings that are complete."""
        missing = (self.todo - self.done) | set(self.errors)
        return [planned for planned in self.plan.good if planned.file.recording_id not in missing]


def read_journal(path: Path) -> RunState:
    """Read a journal, also while it is being written.

    Raises:
        OutputError: it is not a journal, or of another version.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        header = json.loads(lines[0])
        if header["format"] != JOURNAL_FORMAT:
            raise OutputError(f"{path}: written by another version; run the command again with this one")
        events = [event for event in map(_event, lines[1:]) if event is not None]
        last_sign = events[-1]["at"] if events else path.stat().st_mtime
        ended = next((event["ended"] for event in reversed(events) if "ended" in event), None)
        errors = {event["id"]: event["error"] for event in events if "error" in event}
        return RunState(
            path,
            header["command"],
            None if header["part"] is None else Shard.parse(header["part"]),
            header["began"],
            ended,
            any("stopped" in event for event in events),
            last_sign,
            header["host"],
            header["pid"],
            header["identity"],
            header["about"],
            Plan(
                tuple(Planned(i, RecordingFile(name, Path(file)), n) for i, name, file, n, _ in header["recordings"]),
                tuple(Planned(i, RecordingFile(name, Path(file)), n, why) for i, name, file, n, why in header["bad"]),
                header["inputs"],
                *header["given"],
            ),
            frozenset(row[1] for row in header["recordings"] if row[4]),
            frozenset(event["id"] for event in events if "id" in event and "error" not in event),
            errors,
            events[-1]["heard"] if events else 0,
            Path(header.get("folder", "")),
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise OutputError(f"{path}: cannot be read ({error}); run the command again to write it anew") from error


def _event(line: str) -> dict[str, Any] | None:
    """Parse an event; None for an incomplete line, because the run was killed or is writing it."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "at" in event and "heard" in event else None


def _remove_superseded(folder: RunFolder) -> None:
    """Delete journals of earlier runs with another division into shards."""
    fellows = "run.jsonl" if folder.part is None else f"-of-{folder.part.parts}.jsonl"
    for path in folder.state.glob("*.jsonl"):
        if not path.name.endswith(fellows):
            with suppress(OSError):
                path.unlink()


def _row(planned: Planned) -> list[Any]:
    return [planned.position, planned.file.recording_id, str(planned.file.path), planned.samples]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
