"""What a run set out to do and how far it is, in one small file that outlives it.

``OUT/.babyhubert/<command>/run.jsonl`` (``part-2-of-4.jsonl`` for a part): a first line with every recording the run
was given, then a line for each recording that is complete or failed and one every quarter of a minute, so that anyone
can see how far the run is, and that it is alive. ``babyhubert status`` reads it, and so does ``babyhubert merge``.
What makes continuing possible is not this but the records of complete recordings (`run_folder`).
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from babyhubert.audio.discovery import RecordingFile
from babyhubert.errors import OutputError
from babyhubert.files import explain_os_error, write_text
from babyhubert.hashing import fingerprint
from babyhubert.progress import RunProgress
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.shard import Part

JOURNAL_FORMAT = 1
SIGN_SECONDS = 15.0


@dataclass(frozen=True)
class Planned:
    """A recording of a run.

    Attributes:
        position: Its place among all that were given.
        file: The recording.
        samples: Its length at 16 kHz, as its header says; 0 where it cannot be read.
        error: Why it cannot be read, where that is known before the run.
    """

    position: int
    file: RecordingFile
    samples: int
    error: str | None = None


@dataclass(frozen=True)
class Plan:
    """The recordings that fall to a run.

    Attributes:
        good: Those that can be read, in the order given.
        bad: Those that cannot.
        inputs: Hash of all that were given, to whatever part they fall.
        given: How many these are.
        given_samples: How long.
    """

    good: tuple[Planned, ...]
    bad: tuple[Planned, ...]
    inputs: str
    given: int
    given_samples: int


def plan_run(
    part: Part | None, good: Sequence[tuple[RecordingFile, int]], bad: Sequence[tuple[RecordingFile, str]]
) -> Plan:
    """The recordings that fall to a part of a run (None: all).

    Args:
        part: Which part.
        good: Readable recordings and their lengths in samples.
        bad: The others, and why.
    """
    lengths = {file.recording_id: samples for file, samples in good} | {file.recording_id: 0 for file, _ in bad}
    mine = set(lengths) if part is None else part.share(lengths)
    return Plan(
        tuple(Planned(i, file, n) for i, (file, n) in enumerate(good) if file.recording_id in mine),
        tuple(Planned(i, file, 0, error) for i, (file, error) in enumerate(bad) if file.recording_id in mine),
        fingerprint(sorted(lengths.items())),
        len(lengths),
        sum(lengths.values()),
    )


@dataclass(frozen=True)
class Outcome:
    """How a run ended: what its tables are made of.

    Attributes:
        began: When, ISO 8601.
        ended: When.
        complete: Recordings that are complete, those kept from before included, in the order given.
        kept: How many of them were complete before.
        failures: Path and one-line error of each that is not.
        notes: Sentences that a user should know of the results.
    """

    began: str
    ended: str
    complete: tuple[RecordingFile, ...]
    kept: int
    failures: tuple[tuple[Path, str], ...]
    notes: tuple[str, ...] = ()

    def with_damaged(self, damaged: Iterable[tuple[Path, str]], notes: Iterable[str] = ()) -> Outcome:
        """The same, with results of earlier runs that were found damaged among the failures."""
        damaged = tuple(dict.fromkeys(failure for failure in damaged if failure not in self.failures))
        told = (*self.notes, *(error for _, error in damaged), *notes)
        return replace(self, failures=(*self.failures, *damaged), notes=told)


class RunJournal:
    """Keeps account of a run, on disk and for whoever watches. Use as a context manager; it is a `RunProgress`.

    Args:
        folder: The output folder, held.
        plan: The recordings.
        todo: Ids of those that have to be computed.
        quick: Ids of those that are made from what an earlier run kept: reported with :meth:`settled`.
        about: What the tables need to know besides (JSON).
        identity: What decides results; parts must agree in it.
        progress: Whoever watches.
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
    ) -> None:
        self._folder = folder
        self._plan = plan
        self._todo = set(todo)
        self._open = self._todo | set(quick)
        self._about = about
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
        """Nothing to do: the journal knows its plan."""

    def advance(self, recording_id: str, samples: int) -> None:
        """So many more samples of a recording have been read; none is a sign of life."""
        self._heard[recording_id] = self._heard.get(recording_id, 0) + samples
        self._total += samples
        self._progress.advance(recording_id, samples)
        if time.time() - self._last_sign > SIGN_SECONDS:
            with suppress(OSError):
                self._append({})

    def done(self, recording_id: str, error: str | None) -> None:
        """A recording is complete, or failed.

        Raises:
            DiskFullError: that cannot be written down.
        """
        self._progress.shorten(self._lengths[recording_id] - self._heard.pop(recording_id, 0))
        self._progress.done(recording_id, error)
        self.settled(recording_id, error)

    def settled(self, recording_id: str, error: str | None) -> None:
        """The same of a recording that needed no computation.

        Raises:
            DiskFullError: that cannot be written down.
        """
        self._open.discard(recording_id)
        if error is not None:
            self._errors[recording_id] = error
        try:
            self._append({"id": recording_id} if error is None else {"id": recording_id, "error": error})
        except OSError as problem:
            raise explain_os_error(self._folder.state_file(), problem) from problem

    def shorten(self, samples: int) -> None:
        """So many samples will not be read."""
        self._progress.shorten(samples)

    def note(self, text: str) -> None:
        """Something worth a line."""
        self._progress.note(text)

    def outcome(self) -> Outcome:
        """How things stand now."""
        missing = self._open | set(self._errors)
        return Outcome(
            self._began,
            _now(),
            tuple(planned.file for planned in self._plan.good if planned.file.recording_id not in missing),
            self._kept,
            failures_in_order(self._plan, self._errors),
        )

    def _header(self) -> dict[str, Any]:
        part = self._folder.part
        return {
            "format": JOURNAL_FORMAT,
            "command": self._folder.command,
            "part": None if part is None else str(part),
            "began": self._began,
            "host": platform.node(),
            "pid": os.getpid(),
            "inputs": self._plan.inputs,
            "given": [self._plan.given, self._plan.given_samples],
            "identity": self._identity,
            "about": self._about,
            "recordings": [[*_row(planned), planned.file.recording_id in self._open] for planned in self._plan.good],
            "bad": [[*_row(planned), planned.error] for planned in self._plan.bad],
        }

    def _append(self, event: Mapping[str, Any]) -> None:
        self._last_sign = time.time()
        line = {"at": round(self._last_sign, 1), "heard": self._total, **event}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()


def failures_in_order(plan: Plan, errors: Mapping[str, str]) -> tuple[tuple[Path, str], ...]:
    """Path and error of all that failed: first what could not be read at all, each in the order given."""
    bad = [(planned.file.path, planned.error or "") for planned in sorted(plan.bad, key=_position)]
    late = [planned for planned in sorted(plan.good, key=_position) if planned.file.recording_id in errors]
    return (*bad, *((planned.file.path, errors[planned.file.recording_id]) for planned in late))


@dataclass(frozen=True)
class RunState:
    """A run as its journal tells it.

    Attributes:
        path: The journal.
        command: The command.
        part: Its part; None for a whole run.
        began: When, ISO 8601.
        ended: When; None where it was stopped, or still runs.
        stopped: Whether it said itself that it stops before its end.
        last_sign: Seconds since the epoch when it last wrote a line.
        host: The machine.
        pid: Its process there.
        identity: What decides its results.
        about: What the tables need to know.
        plan: The recordings.
        todo: Ids of those that were not complete when it began.
        done: Ids of those completed since.
        errors: One-line errors of those that failed since, by id.
        heard: Samples read since.
    """

    path: Path
    command: str
    part: Part | None
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
    left: tuple[Planned, ...] = field(init=False)

    def __post_init__(self) -> None:
        missing = self.todo - self.done - set(self.errors)
        left = tuple(planned for planned in self.plan.good if planned.file.recording_id in missing)
        object.__setattr__(self, "left", left)

    @property
    def is_here(self) -> bool:
        """Whether it was started on this machine."""
        return self.host == platform.node()

    @property
    def complete(self) -> list[Planned]:
        """Recordings that are complete."""
        missing = (self.todo - self.done) | set(self.errors)
        return [planned for planned in self.plan.good if planned.file.recording_id not in missing]


def read_journal(path: Path) -> RunState:
    """Read a journal, also while it is being written.

    Raises:
        OutputError: it is none, or of another version.
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
            None if header["part"] is None else Part.parse(header["part"]),
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
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise OutputError(f"{path}: cannot be read ({error}); run the command again to write it anew") from error


def _event(line: str) -> dict[str, Any] | None:
    """An event; None of a line that is not whole, because the run was killed or is just writing it."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "at" in event and "heard" in event else None


def _remove_superseded(folder: RunFolder) -> None:
    """Journals of earlier runs that were shared out differently say nothing of this one."""
    fellows = "run.jsonl" if folder.part is None else f"-of-{folder.part.parts}.jsonl"
    for path in folder.state.glob("*.jsonl"):
        if not path.name.endswith(fellows):
            with suppress(OSError):
                path.unlink()


def _row(planned: Planned) -> list[Any]:
    return [planned.position, planned.file.recording_id, str(planned.file.path), planned.samples]


def _position(planned: Planned) -> int:
    return planned.position


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
