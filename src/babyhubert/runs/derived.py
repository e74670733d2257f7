"""Files made from the results of an output folder (tables of measures, reports, exports): of which results they are.

A command that makes such files notes the state of the results then. ``status`` and the commands that change results
compare it with the present state.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babyhubert.errors import OutputError, some_names
from babyhubert.files import write_json
from babyhubert.hashing import fingerprint
from babyhubert.runs.folder import STATE_FOLDER, Records, all_records

_FOLDER = "derived"
_EXTRAS = ("probs/", "raw_rttm/")
"""Outputs that only some runs write, and that follow from others."""

_OTHERS = frozenset({"embed"})
"""Commands whose results no such file is made of."""

ResultsState = Mapping[str, str]
"""Hash of the results of each recording, of all commands."""


def results_state(output: Path, records: Records | None = None) -> dict[str, str]:
    """Present state of the results in an output folder, by recording.

    Args:
        output: The folder.
        records: Its records, if they have been read.
    """
    found: dict[str, list[Any]] = {}
    for command, own in (all_records(output) if records is None else records).items():
        for record in () if command in _OTHERS else own:
            files = record.get("outputs", {}).items()
            outputs = [(name, facts["sha256"]) for name, facts in files if not name.startswith(_EXTRAS)]
            found.setdefault(record["recording_id"], []).append([command, outputs])
    return {name: fingerprint(parts)[:12] for name, parts in found.items()}


def note_derived(
    output: Path, command: str, paths: Iterable[Path], options: str = "", state: ResultsState | None = None
) -> None:
    """Note that files were made from results; a folder that cannot be written goes without.

    Args:
        output: The output folder.
        command: Command that makes them of an output folder.
        paths: The files, or folders.
        options: Its options, as a user types them.
        state: State of the results that they were made from; None: the present one.
    """
    if not (output / STATE_FOLDER).is_dir():
        return
    content = {
        "command": shlex.join(["babyhubert", *command.split(), str(output)]) + (f" {options}" if options else ""),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "results": dict(results_state(output) if state is None else state),
    }
    for path in paths:
        place = path.absolute()
        if place.is_relative_to(output.absolute()):  # so that the folder may be moved
            place = place.relative_to(output.absolute())
        digest = fingerprint([command, options, str(place)])[:16]
        with suppress(OutputError):
            write_json(output / STATE_FOLDER / _FOLDER / f"{digest}.json", {"path": place.as_posix(), **content})


@dataclass(frozen=True)
class _Derived:
    path: Path
    command: str
    made: str
    results: ResultsState


def derived_notes(output: Path, records: Records | None = None) -> list[str]:
    """A note for each file that was made from other results than the present ones.

    Args:
        output: The folder.
        records: Its records, if they have been read.
    """
    known = _read_all(output)
    if not known:
        return []
    present = results_state(output, records)
    notes = []
    for one in known:
        changed = sorted(name for name in present if one.results.get(name, "") not in ("", present[name]))
        new, gone = sorted(set(present) - set(one.results)), sorted(set(one.results) - set(present))
        told = [
            f"{what}: {some_names(names)}"
            for what, names in (("changed since", changed), ("new since", new), ("gone since", gone))
            if names
        ]
        if told:
            notes.append(f"{one.path}: made from older results ({'; '.join(told)}); run '{one.command}' again")
    return notes


def _read_all(output: Path) -> list[_Derived]:
    found = []
    for path in sorted((output / STATE_FOLDER / _FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            content = json.loads(path.read_text(encoding="utf-8"))
            one = _Derived(output / content["path"], content["command"], content["made"], dict(content["results"]))
            found += [one] if one.path.exists() else []
    return sorted(found, key=lambda one: str(one.path))
