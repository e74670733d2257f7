"""State of a run over many recordings, stored in its output folder so that any run can be continued.

``OUT/.babyhubert/`` holds one JSON record for each complete recording, a lock, and data that a command stores to save
work later (frame scores). A record is written after all of a recording's outputs have their final names and are on the
disk: its presence marks completion. A fingerprint of everything that affects the result decides if it is still valid;
the length and checksum of each output show if it is intact.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from babyhubert.audio.discovery import RecordingFile
from babyhubert.errors import OutputError
from babyhubert.files import (
    csv_text,
    explain_os_error,
    finite,
    is_temporary,
    make_folder,
    path_below,
    remove_leftovers,
    write_json,
    write_text,
)
from babyhubert.hashing import fingerprint
from babyhubert.kept_files import facts_of, fault_of, sync_files
from babyhubert.runs.shard import Shard

_GATE_SECONDS = 30

STATE_FOLDER = ".babyhubert"
RESULT_FOLDERS = (
    *("rttm", "raw_rttm", "csv", "probs", "addressee", "phonemes", "phonemes_timed", "phonemes_enriched"),
    *("layer[0-9]*", "report"),
)
"""Sub-folders of an output folder that commands write into, as patterns: other files there belong to others."""


_CHECKSUM = "record_sha256"

OWN_KEYS = frozenset(
    {"audio", "absolute_path", "scores", "result", "device", "outputs", "settings", "segments_sha256", _CHECKSUM}
)
"""Keys of a record for internal use; the others are reported in ``run.json``."""


def result_commands(output: Path) -> list[str]:
    """Commands with records of recordings in an output folder; `segment` first, the others by name."""
    found = [path.parent.name for path in (output / STATE_FOLDER).glob("*/records")]
    return sorted(found, key=lambda name: (name != "segment", name))


Records = Mapping[str, Sequence[Mapping[str, Any]]]
"""Records of the complete recordings of each command in an output folder."""


def all_records(output: Path) -> Records:
    """Read the records of every command; `segment` is the first."""
    return {command: RunFolder(output, command).records() for command in result_commands(output)}


def report_lock(output: Path) -> Path:
    """Lock of `report`, which may run at the same time as other commands."""
    return output / STATE_FOLDER / "report" / "lock"


class RunFolder:
    """An output folder locked by one run at a time, or by one run per shard. Use it as a context manager.

    Workers of a run use it without the lock, which their run has.

    Args:
        output: The folder; created when absent.
        command: Name of the command; records of different commands do not mix.
        part: The shard of this run; None for all recordings.
        typed: The command as a user types it, for messages; None: its name.

    Raises:
        OutputError: not writable, or another run is writing to it.
    """

    def __init__(self, output: Path, command: str, part: Shard | None = None, typed: str | None = None) -> None:
        self.output = Path(output)
        self.command = command
        self.part = part
        self.typed = typed or command
        self.state = self.output / STATE_FOLDER / command
        self._lock = FolderLock(self.output, self.output / STATE_FOLDER, command, part)

    def __enter__(self) -> Self:
        make_folder(self.state)
        self._lock.acquire(self.remove_leftovers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def remove_leftovers(self) -> None:
        """Delete half-written files of killed runs of any command; call it while no other run is writing."""
        lock = report_lock(self.output)
        with suppress(Timeout), FileLock(lock).acquire(timeout=0) if lock.is_file() else nullcontext():
            remove_leftovers(self.output, STATE_FOLDER, *RESULT_FOLDERS, *self._folders_of_tasks())

    def _folders_of_tasks(self) -> Iterator[str]:
        """Sub-folders that tasks of a lab's own wrote into, or were writing into."""
        for path in (self.output / STATE_FOLDER).glob("*"):
            if path.is_dir() and path.name.isidentifier():
                yield from (path.name + end for end in ("", "_timed", "_enriched"))

    def is_held(self) -> bool:
        """True if a run has the lock now, as far as this machine can tell."""
        return self._lock.is_held()

    def state_file(self) -> Path:
        """Journal of the run's progress (`runs.journal`)."""
        name = "run" if self.part is None else f"part-{self.part.number}-of-{self.part.parts}"
        return self.state / f"{name}.jsonl"

    def record_path(self, recording_id: str) -> Path:
        """Path of a recording's record."""
        return path_below(self.state / "records", recording_id, ".json")

    def record(self, recording_id: str) -> dict[str, Any] | None:
        """A recording's record, or None if it is not complete, or the record is damaged."""
        return _read_record(self.record_path(recording_id), recording_id)

    def complete(self, recording_id: str, record: Mapping[str, Any], outputs: Iterable[Path] = ()) -> None:
        """Mark a recording as complete; call it after its outputs have their final names.

        Args:
            recording_id: The recording.
            record: Content of its record.
            outputs: All its files below the output folder. They are flushed to the disk before the mark.

        Raises:
            OutputError: they, or the mark, cannot be written.
        """
        outputs = list(outputs)
        sync_files(outputs)
        facts = {path.relative_to(self.output).as_posix(): facts_of(path) for path in outputs}
        content: dict[str, Any] = finite({"recording_id": recording_id, **record, "outputs": facts})
        content[_CHECKSUM] = fingerprint(content)
        write_json(self.record_path(recording_id), content, durable=True)

    def fault(self, record: Mapping[str, Any], path: Path) -> str | None:
        """Fault of an output of a complete recording, one sentence; None if it is intact.

        For recordings of earlier versions only the existence of the file is known.
        """
        if "outputs" not in record:
            return None if path.is_file() else f"{path}: is gone"
        facts = record["outputs"].get(path.relative_to(self.output).as_posix())
        fault = fault_of(path, facts) if facts is not None else "was not written by the run that the record is of"
        return None if fault is None else f"{path}: {fault}"

    def is_damaged(self, recording_id: str) -> bool:
        """Tell whether a recording's record is damaged."""
        return self.record_path(recording_id).is_file() and self.record(recording_id) is None

    def forget(self, recording_id: str) -> None:
        """Remove the mark, before outputs are replaced."""
        with suppress(FileNotFoundError):
            self.record_path(recording_id).unlink()

    def records(self) -> list[dict[str, Any]]:
        """All complete recordings of this folder, also of earlier runs, sorted by id."""
        found = map(self.record, self._recorded())
        return sorted((record for record in found if record is not None), key=lambda record: record["recording_id"])

    def warnings(self, recording_id: str) -> tuple[str, ...]:
        """Warnings about a recording (lost stretches, silence, ...), one line each, from its record."""
        return record_warnings(self.record(recording_id) or {})

    def write_failures(self, failures: Sequence[tuple[Path, str]]) -> None:
        """Write ``failures.csv`` (``path,error``), with only the header if nothing failed.

        Failures of the latest runs of other commands in this folder are kept.
        """
        told = [(" ".join(str(path).split()), " ".join(error.split())) for path, error in failures]
        for record in self._other_runs():
            told += [(" ".join(each["path"].split()), " ".join(each["error"].split())) for each in record["failures"]]
        write_failures(self.output / "failures.csv", dict.fromkeys(told))

    def write_run(self, record: Mapping[str, Any]) -> None:
        """Write ``run.json``: the record of this command's latest run, with ``command`` and ``failures``.

        Latest records of other commands in this folder are under ``also``, by command; the record of `segment` is
        always at the top.
        """
        write_json(self.state / "run.json", record)
        runs = sorted([record, *self._other_runs()], key=lambda run: run["command"] != "segment")
        also = {run["command"]: run for run in runs[1:]}
        write_json(self.output / "run.json", {**runs[0], "also": also} if also else runs[0])

    def _other_runs(self) -> list[dict[str, Any]]:
        found = []
        for path in sorted((self.output / STATE_FOLDER).glob("*/run.json")):
            if path.parent.name != self.command:
                with suppress(OSError, ValueError, RecursionError):
                    run = json.loads(path.read_text(encoding="utf-8"))
                    found += [run] if _is_run_of(run, path.parent.name) else []
        return found

    def damaged(self) -> list[tuple[Path, str]]:
        """Path and one-line error of each complete recording with a damaged output."""
        found = [(Path(name), self._again(f"{self.record_path(name)}: damaged")) for name in self.unreadable()]
        for record in self.records():
            paths = [self.output / name for name in record.get("outputs", ())]
            faults = (self.fault(record, path) for path in paths if path.exists() or self.state not in path.parents)
            found += [(Path(str(record.get("path"))), self._again(fault)) for fault in faults if fault is not None][:1]
        return found

    def unreadable(self) -> list[str]:
        """Ids of recordings whose record is damaged."""
        return [name for name in self._recorded() if self.record(name) is None]

    def _recorded(self) -> list[str]:
        folder = self.state / "records"
        paths = [path for path in folder.rglob("*.json") if not is_temporary(path)]
        return sorted(path.relative_to(folder).as_posix().removesuffix(".json") for path in paths)

    def combine(
        self,
        path: Path,
        header: str,
        source: Callable[[str], Path],
        rows: Callable[[str, Path], str],
        beside: Callable[[str], Path] | None = None,
        *,
        optional: bool = False,
    ) -> list[tuple[Path, str]]:
        """Write one table of all complete recordings.

        Args:
            path: The table.
            header: Its first line.
            source: The file of a recording that its rows are made of.
            rows: Makes its rows, from a recording's id and that file.
            beside: Another file of a recording that its rows need.
            optional: True if recordings may have no such file.

        Returns:
            Path and one-line error of each recording that is not in the table, because its stored results are damaged.
        """
        damaged = [(Path(name), self._again(f"{self.record_path(name)}: damaged")) for name in self.unreadable()]
        lines = [header]
        for record in self.records():
            name, file = record["recording_id"], source(record["recording_id"])
            if optional and not file.exists():
                continue
            fault = self.fault(record, file)
            if fault is None and beside is not None:
                fault = self.fault(record, beside(name))
            if fault is None:
                lines.append(rows(name, file))
            else:
                damaged.append((Path(str(record.get("path", name))), self._again(fault)))
        write_text(path, "".join(lines))
        return damaged

    def _again(self, fault: str) -> str:
        return f"{fault}; run 'babyhubert {self.typed}' on that recording again"


def _read_record(path: Path, recording_id: str) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("recording_id") != recording_id:
        return None
    content = {key: value for key, value in record.items() if key != _CHECKSUM}
    if ("outputs" in record or _CHECKSUM in record) and record.get(_CHECKSUM) != fingerprint(content):
        return None
    return record


def _is_run_of(run: object, command: str) -> bool:
    """Tell whether JSON is an intact record of a command's run."""
    if not isinstance(run, dict) or run.get("command") != command or not isinstance(run.get("failures"), list):
        return False
    entries = [[each.get("path"), each.get("error")] if isinstance(each, dict) else [None] for each in run["failures"]]
    return all(isinstance(text, str) for entry in entries for text in entry)


def record_warnings(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Warnings in the record of a recording, one line each."""
    told = record.get("warnings") or ()
    return (told,) if isinstance(told, str) else tuple(str(line) for line in told)


def reading_warnings(
    output: Path, commands: Iterable[str], files: Iterable[RecordingFile]
) -> tuple[tuple[Path, str], ...]:
    """Path and one line of each warning of commands about these recordings, each line once.

    Args:
        output: Their output folder.
        commands: Commands whose records are read.
        files: Recordings that are complete.
    """
    folders = [RunFolder(output, command) for command in commands]
    lines = ((file.path, line) for file in files for folder in folders for line in folder.warnings(file.recording_id))
    return tuple(dict.fromkeys(lines))


def write_failures(path: Path, failures: Iterable[tuple[Path | str, str]]) -> None:
    """Write ``path,error`` rows, with only the header if nothing failed."""
    write_text(path, csv_text([("path", "error"), *((str(file), error) for file, error in failures)]))


class FolderLock:
    """Lock for one run over a complete output folder, or for several runs with one shard each.

    A short gate lock makes taking the run lock and inspecting the others' locks one atomic step.

    Args:
        output: The output folder.
        state: The folder of its locks.
        command: The command; shards of different commands are compatible.
        part: The shard; None for the complete folder.
    """

    def __init__(self, output: Path, state: Path, command: str, part: Shard | None) -> None:
        self._output = output
        self._state = state
        self._parts = state / "parts" / command
        self._part = part
        self._gate = FileLock(state / "gate.lock")
        self._held = FileLock(state / "lock" if part is None else self._parts / _part_name(part))

    def acquire(self, when_alone: Callable[[], None]) -> None:
        """Take the lock, or fail at once.

        Args:
            when_alone: Called after the lock is taken if no run of any command is active here; none begins before it
                returns.

        Raises:
            OutputError: another run has the folder or this shard of it, or it cannot be written.
        """
        make_folder(self._parts)
        try:
            with self._gate.acquire(timeout=_GATE_SECONDS):
                self._refuse_others()
                if not _take(self._held):
                    raise OutputError(f"{self._output}: another run is writing here; wait for it or choose another")
                if all(_is_free(FileLock(path)) for path in self._others()):
                    when_alone()
        except Timeout:
            raise OutputError(f"{self._output}: many runs are starting here at once; try again") from None
        except OSError as error:
            raise explain_os_error(self._output, error) from error

    def release(self) -> None:
        """Release the lock."""
        self._held.release()

    def is_held(self) -> bool:
        """True if a run has the lock now, as far as this machine can tell."""
        if not self._state.is_dir():
            return False
        with suppress(Timeout, OSError), self._gate.acquire(timeout=_GATE_SECONDS):
            return not _is_free(self._held)
        return False

    def _others(self) -> list[Path]:
        """Locks of all other runs that were ever in this folder."""
        locks = [self._state / "lock", *(self._state / "parts").glob("*/*.lock")]
        return [path for path in locks if path.is_file() and path != Path(self._held.lock_file)]

    def _refuse_others(self) -> None:
        """Raise if a conflicting run holds the folder: one over all recordings, or another division into shards."""
        if self._part is None:
            others = sorted((self._state / "parts").glob("*/*.lock"))
        else:
            fellows = _part_name(self._part).partition("-")[2]
            others = [path for path in self._parts.glob("*.lock") if path.name.partition("-")[2] != fellows]
            others.append(self._state / "lock")
        for path in others:
            if not _is_free(FileLock(path)):
                who = "another run" if path.stem == "lock" else f"shard {path.stem.replace('-of-', '/')}"
                raise OutputError(f"{self._output}: {who} is writing here; wait for it or choose another")


def _part_name(part: Shard) -> str:
    return f"{part.number}-of-{part.parts}.lock"


def _take(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _is_free(lock: FileLock) -> bool:
    if not _take(lock):
        return False
    lock.release()
    return True
