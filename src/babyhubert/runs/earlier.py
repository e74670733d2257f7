"""Recordings of earlier runs into an output folder: their ids, and those that a later run was not given.

A run over a few recordings of a folder that was run before takes their places: they keep their ids, and all others
keep their state, also those that failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from babyhubert.audio.discovery import RecordingFile, file_key
from babyhubert.errors import OutputError, counted, some_names
from babyhubert.runs.folder import STATE_FOLDER, RunFolder
from babyhubert.runs.journal import RunState, read_journal
from babyhubert.runs.plan import EarlierRecordings, Planned
from babyhubert.timebase import seconds_to_samples


def known_ids(output: Path) -> dict[str, str]:
    """Id of each recording that a run into a folder was given, by the key of its file."""
    found: dict[str, str] = {}
    for path in sorted((output / STATE_FOLDER).glob("*/*.jsonl"), key=lambda path: path.parent.name != "segment"):
        with suppress(OutputError):
            state = read_journal(path)
            for planned in (*state.plan.good, *state.plan.bad):
                found.setdefault(file_key(state.folder / planned.file.path), planned.file.recording_id)
    return found


def earlier_recordings(folder: RunFolder, given: Iterable[RecordingFile]) -> EarlierRecordings:
    """Recordings of earlier runs of a command that are not given now.

    One that failed, or was never done, is dropped if its file was removed from its folder.
    """
    given = list(given)
    ids = {file.recording_id for file in given}
    keys = {file_key(file.path) for file in given}
    complete = [_of_record(record) for record in folder.records() if record["recording_id"] not in ids]
    ids.update(planned.file.recording_id for planned in complete)
    failed: dict[str, Planned] = {}
    left: dict[str, Planned] = {}
    for planned, path in _unfinished(folder):
        name = planned.file.recording_id
        if name in ids or file_key(path) in keys or (path.parent.is_dir() and not path.exists()):
            continue
        (left if planned.error is None else failed)[name] = planned
    return EarlierRecordings(tuple(complete), tuple(failed.values()), tuple(left.values()))


def earlier_notes(output: Path, failures: Iterable[tuple[Path, str]]) -> list[str]:
    """A note if recordings failed in earlier runs and were not given since."""
    paths = [str(path) for path, _ in failures]
    if not paths:
        return []
    return [
        f"{output}: {counted(len(paths), 'recording')} of earlier runs failed and not given now: {some_names(paths)} "
        "(see failures.csv)"
    ]


def _unfinished(folder: RunFolder) -> Iterator[tuple[Planned, Path]]:
    """Recordings of earlier runs that failed, or were left, each with the path of its file."""
    journals = []
    for path in sorted(folder.state.glob("*.jsonl")):
        with suppress(OutputError):
            journals.append(read_journal(path))
    for state in journals:
        yield from ((planned, state.folder / planned.file.path) for planned in _unfinished_of(state))
    if not journals:
        for planned in _failures_of_tables(folder):
            yield planned, planned.file.path


def _unfinished_of(state: RunState) -> Iterator[Planned]:
    yield from state.plan.bad
    for planned in state.plan.good:
        if (error := state.errors.get(planned.file.recording_id)) is not None:
            yield Planned(planned.position, planned.file, planned.samples, error)
    yield from state.left


def _failures_of_tables(folder: RunFolder) -> Iterator[Planned]:
    """Failures in the record of the command's last run, as other commands left it (``analyze``)."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        run = json.loads((folder.state / "run.json").read_text(encoding="utf-8"))
        for entry in run["failures"]:
            path = Path(str(entry["path"]))
            yield Planned(0, RecordingFile(path.stem, path), 0, str(entry["error"]))


def _of_record(record: dict[str, Any]) -> Planned:
    path = Path(str(record.get("absolute_path", record.get("path", record["recording_id"]))))
    try:
        samples = seconds_to_samples(float(record.get("duration_s") or 0))
    except (TypeError, ValueError):
        samples = 0
    return Planned(0, RecordingFile(record["recording_id"], path), samples)
