"""Results of earlier runs: the ones that a run may keep, and recordings that it must not replace.

A result is kept if its record is intact, its recording is still the same file, its settings are those of the run, and
each of its outputs is intact. All other results are made again, and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.identity import same_content
from babyhubert.audio.preflight import PreflightReport
from babyhubert.files import file_identity
from babyhubert.progress import RunProgress
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome

_EARLIER = "completed by an earlier version, which kept no checksums"


@dataclass(frozen=True)
class KeptResult:
    """Result of an earlier run for a recording.

    Attributes:
        record: Its record; None if there is none, it is damaged, or it is of another file.
        is_current: True if its settings are those of this run.
        complete: True if it has every output of this run.
        faults: One sentence for each stored file that is damaged.
        damaged: Damaged outputs.
    """

    record: Mapping[str, Any] | None = None
    is_current: bool = False
    complete: bool = False
    faults: tuple[str, ...] = ()
    damaged: frozenset[Path] = frozenset()

    @property
    def is_complete(self) -> bool:
        """True if nothing has to be done."""
        return self.record is not None and self.is_current and self.complete and not self.damaged


def kept_result(
    folder: RunFolder,
    file: RecordingFile,
    result: str,
    expected: Sequence[Path],
    audio: Mapping[str, Any] | None,
) -> KeptResult:
    """Check the stored result of a recording, reading every output.

    Args:
        folder: The output folder.
        file: The recording.
        result: Fingerprint of all settings that affect its result.
        expected: Outputs of this run for it.
        audio: Identity that the recording must have had; None: nothing is kept of it.
    """
    record = folder.record(file.recording_id)
    if record is None:
        if not folder.is_damaged(file.recording_id):
            return KeptResult()
        return KeptResult(faults=(f"{folder.record_path(file.recording_id)}: is not what was written",))
    if "outputs" not in record:
        return KeptResult(faults=(f"{file.path}: {_EARLIER}",))
    if audio is None or record.get("audio") != audio:
        return KeptResult(faults=(f"{file.path}: has changed since it was processed",))
    written = [folder.output / name for name in record["outputs"]]
    present = [path for path in written if path in expected or path.exists()]
    faults = {path: fault for path in present if (fault := folder.fault(record, path)) is not None}
    return KeptResult(
        record,
        record.get("result") == result,
        set(expected) <= set(written),
        tuple(faults.values()),
        frozenset(faults),
    )


def fault_notes(faults: Iterable[str]) -> list[str]:
    """Notes on results that are made again, one line each; many of one kind in one line."""
    faults = list(dict.fromkeys(faults))
    earlier = [fault for fault in faults if fault.endswith(_EARLIER)]
    notes = [f"{fault}; made again" for fault in faults if fault not in earlier]
    if len(earlier) > 1:
        return [f"{len(earlier)} recordings were {_EARLIER} (first: {earlier[0].split(': ')[0]}); made again", *notes]
    return [f"{fault}; made again" for fault in earlier] + notes


def without_damaged(
    folder: RunFolder, outcome: Outcome, files: Callable[[str], Sequence[Path]] = lambda _: (), command: str = ""
) -> Outcome:
    """The outcome, recordings whose record or files are not what was written among the failures.

    Args:
        folder: Where they are.
        outcome: Outcome of the run.
        files: Files of a recording, by its id, that the tables are made of.
        command: Name that a user types; empty: that of the folder.
    """
    damaged: dict[RecordingFile, str] = {}
    for file in outcome.complete:
        name, record = file.recording_id, folder.record(file.recording_id)
        faults = [f"{folder.record_path(name)}: damaged or gone"] if record is None else []
        faults += [fault for path in files(name) if record and (fault := folder.fault(record, path)) is not None]
        if faults:
            damaged[file] = f"{faults[0]}; run 'babyhubert {command or folder.command}' on that recording again"
    complete = tuple(file for file in outcome.complete if file not in damaged)
    return replace(outcome, complete=complete).with_damaged((file.path, error) for file, error in damaged.items())


def refuse_other_recordings(
    folder: RunFolder, checked: PreflightReport, progress: RunProgress | None = None
) -> PreflightReport:
    """Mark recordings as failed whose name in this folder belongs to another recording.

    The other recording's results would be replaced. A recording that was moved, or whose file was edited in its place,
    is the same recording.
    """
    good, bad = [], list(checked.bad)
    for file, info in checked.good:
        record = folder.record(file.recording_id)
        other = None if record is None else _other_recording(file, record)
        if other is None:
            good.append((file, info))
        else:
            told = (
                f"{file.path}: {folder.output} holds results of another recording of this name, {other}; choose "
                "another output folder, give the folder above both recordings, or replace them with --force"
            )
            bad.append((file, told))
            if progress is not None:
                progress.note(told)
    return replace(checked, good=good, bad=bad)


def _other_recording(file: RecordingFile, record: Mapping[str, Any]) -> str | None:
    """Path of the recording of a record, if that is another one."""
    known = record.get("absolute_path")
    if known is None or known == str(file.path.absolute()):
        return None
    identity = current_identity(file.path)
    return None if identity is None or same_content(record.get("audio", {}), identity) else str(known)


def current_identity(path: Path) -> dict[str, Any] | None:
    """Identity of a recording's file as it is now; None where it cannot be read."""
    try:
        return file_identity(path)
    except OSError:
        return None
