"""Origin of results: model, settings, version; and a note if those of one folder differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError
from babyhubert.hashing import fingerprint
from babyhubert.runs.folder import Records, RunFolder, all_records
from babyhubert.timebase import samples_to_ms
from babyhubert.version import __version__

_NAMES_SHOWN = 3
_WORDS = {
    "plan": "windows",
    "precision": "arithmetic (speed)",
    "minimum_samples": "minimum durations",
    "model_settings": "settings of the model",
    "simultaneous": "classes at the same time",
    "skip_quiet_db": "skipped quiet stretches",
}
"""Words for settings that have other names in records."""


def result_fingerprint(settings: Mapping[str, Any]) -> str:
    """Hash of all settings that affect a result, and of the version of this package."""
    return fingerprint({**settings, "babyhubert": __version__})


def provenance(model: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Origin of a result for the record of a recording.

    Args:
        model: Description with ``source`` and ``sha256``.
        settings: All settings that affect the result.
    """
    import torch  # seconds: not for those who only read

    return {
        "made_with": {
            "model": model["source"],
            "sha256": model["sha256"],
            "babyhubert": __version__,
            "torch": torch.__version__,
        },
        "settings": {name: fingerprint(value) for name, value in settings.items()},
    }


def mixture(records: Iterable[Mapping[str, Any]]) -> str | None:
    """Difference between the origins of a folder's recordings; None if there is none.

    Args:
        records: Their records, or their entries in ``run.json``.
    """
    records = list(records)
    models = _grouped(records, lambda record: (_made(record, "sha256"), _made(record, "model")))
    known = {sha: source for sha, source in models if sha is not None}
    if len(known) > 1:
        told = "; ".join(f"{source} {(sha or '')[:12]}: {_some(ids)}" for (sha, source), ids in models.items())
        return f"made with {len(known)} models ({told})"
    versions = _grouped(records, lambda record: _made(record, "babyhubert"))
    if len(versions) > 1:
        told = "; ".join(f"{version or 'an earlier one'}: {_some(ids)}" for version, ids in versions.items())
        return f"made with {len(versions)} versions of babyhubert ({told})"
    settings = _grouped(records, _settings_of)
    if len(settings) > 1:
        told = "; ".join(_some(ids) for ids in settings.values())
        return f"made with {len(settings)} sets of settings{_differing(records)} ({told})"
    return None


def models_of(records: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Ids of recordings by their origin, as ``model playroom, SHA-256 of its weights ...``, if recorded."""
    told = [record for record in records if _made(record, "sha256") is not None]
    return _grouped(told, lambda r: f"model {_made(r, 'model')}, SHA-256 of its weights {_made(r, 'sha256')}")


def versions_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Versions of this package that made results, sorted; empty if no record has one."""
    return sorted({version for record in records if (version := _made(record, "babyhubert")) is not None})


def mixtures(records: Records) -> list[str]:
    """A sentence for each command whose recordings in a folder differ in model, version or settings."""
    found = ((command, mixture(each)) for command, each in records.items())
    return [f"results of '{command}' were {mixed}" for command, mixed in found if mixed is not None]


def mixture_notes(folder: RunFolder) -> list[str]:
    """Note about a difference for the end of a run, with the remedy."""
    mixed = mixture(folder.records())
    if mixed is None:
        return []
    return [
        f"{folder.output}: results of '{folder.command}' here were {mixed}; run all recordings with one, "
        "or keep each in a folder of its own"
    ]


def segments_fingerprint(segments: Segments) -> str:
    """Hash of segments, to detect predictions that belong to other segments than the present ones."""
    rows = [[samples_to_ms(start), samples_to_ms(end), label] for start, end, label in segments]
    return fingerprint(sorted(rows))


def is_stale(record: Mapping[str, Any], segments_sha256: str) -> bool:
    """Tell whether addressees or phonemes of a recording belong to other segments."""
    return record.get("segments_sha256", segments_sha256) != segments_sha256


def stale_notes(output: Path, records: Records | None = None) -> list[str]:
    """A note for each command whose results in a folder belong to other segments than the present ones.

    Args:
        output: The folder.
        records: Its records, if they have been read.
    """
    records = all_records(output) if records is None else records
    current = {record["recording_id"]: record for record in records.get("segment", ())}
    notes = []
    for command, own in records.items():
        if command == "segment":
            continue
        stale = [
            record["recording_id"]
            for record in own
            if is_stale(record, current.get(record["recording_id"], record).get("segments_sha256", ""))
        ]
        if stale:
            notes.append(
                f"{output}: results of '{command}' are of other segments than 'segment' has left here since "
                f"({_some(stale)}); make them again"
            )
    return notes


def check_run(path: Path, command: str) -> list[str]:
    """Notes on predictions in the output folder of a run; none for other folders.

    Args:
        path: The folder, or a file or folder in it.
        command: Command that made them.

    Raises:
        AnnotationError: one of their files is damaged.
    """
    for folder in (path, path.parent):
        own = RunFolder(folder, command)
        if (own.state / "records").is_dir():
            damaged = own.damaged()
            if damaged:
                raise AnnotationError(f"{damaged[0][1]} ({len(damaged)} recordings here are damaged)")
            mixed = mixture(own.records())
            told = [] if mixed is None else [f"{folder}: recordings were {mixed}"]
            return [*told, *version_notes(own)]
    return []


def version_notes(folder: RunFolder) -> list[str]:
    """A note if results in a folder were made by other versions of this package."""
    by_version = _grouped(folder.records(), lambda record: _made(record, "babyhubert"))
    other = {version: ids for version, ids in by_version.items() if version != __version__}
    if not other:
        return []
    told = "; ".join(f"{version or 'an earlier one'}: {_some(ids)}" for version, ids in other.items())
    return [
        f"{folder.output}: results of '{folder.command}' were made by another version of babyhubert than this one, "
        f"{__version__} ({told})"
    ]


def _grouped(records: Iterable[Mapping[str, Any]], key: Callable[[Mapping[str, Any]], Any]) -> dict[Any, list[str]]:
    groups: dict[Any, list[str]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(str(record.get("recording_id")))
    return groups


def _made(record: Mapping[str, Any], name: str) -> str | None:
    made = record.get("made_with")
    return str(made.get(name)) if isinstance(made, Mapping) else None


def _settings_of(record: Mapping[str, Any]) -> str:
    return fingerprint([record.get(name) for name in ("settings", "current_settings")])


def _differing(records: Iterable[Mapping[str, Any]]) -> str:
    """End of a sentence with the settings that differ, if recorded."""
    marks = [record["settings"] for record in records if isinstance(record.get("settings"), Mapping)]
    names = sorted({name for each in marks for name in each})
    differing = [name for name in names if len({str(each.get(name)) for each in marks}) > 1]
    told = ", ".join(_WORDS.get(name, name) for name in differing)
    return f" that differ in {told}" if differing else ""


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:_NAMES_SHOWN]) + (f" and {len(ids) - _NAMES_SHOWN} more" if len(ids) > _NAMES_SHOWN else "")
