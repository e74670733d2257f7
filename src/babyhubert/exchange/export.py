"""Export of annotated recordings for ELAN, Praat, Audacity, ChildProject and others.

There is one file per recording, with sub-folders as in the ids, each written atomically; a recording that cannot be
written is reported and the others continue.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.annotation.childproject import (
    ProjectRecording,
    SetKind,
    format_metannots,
    format_set_csv,
    imported_before,
    is_project,
    kinds_in,
    read_project_recordings,
    write_import_table,
)
from babyhubert.annotation.codes import TierNaming
from babyhubert.annotation.columns import CONFIDENCE_TIER, write_columns
from babyhubert.annotation.confidence import has_confidence
from babyhubert.annotation.formats import WRITTEN, WrittenRecording
from babyhubert.annotation.intervals import Intervals
from babyhubert.annotation.lena_table import LENA_HEADER, format_lena_rows
from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.uem import UEM_NAME
from babyhubert.audio.names import RecordingNames, rttm_uri
from babyhubert.errors import AnnotationError, BabyHubertError, DiskFullError, counted
from babyhubert.exchange.recordings import AnnotatedRecording, Failure, Source
from babyhubert.files import path_below, require_safe_name, write_text
from babyhubert.runs.derived import ResultsState, note_derived, results_state
from babyhubert.runs.provenance import models_of, versions_of
from babyhubert.runs.record import exit_code
from babyhubert.timebase import format_seconds, samples_to_ms
from babyhubert.version import __version__

FORMATS = (*WRITTEN, "lena", "childproject")
"""Formats: one file per recording; one table of all recordings; sets of a ChildProject project."""


@dataclass(frozen=True)
class ExportSettings:
    """Settings of an export.

    Attributes:
        formats: Formats, each in a folder of its name below ``output``.
        output: The folder.
        naming: Names of tiers in .eaf and TextGrid.
        project: A ChildProject project to write sets into; None: none.
        prefix: First part of the sets' names.
        confidence: Also the confidence of each segment: RTTM's ninth field, tiers ``confidence@...`` in .eaf and
            TextGrid, a column of the set of voice types. CSV has the column where the source has it.
    """

    formats: tuple[str, ...]
    output: Path
    naming: TierNaming = "aclew"
    project: Path | None = None
    prefix: str = "babyhubert"
    confidence: bool = False


@dataclass
class ExportSummary:
    """Result of an export.

    Attributes:
        done: Recordings written.
        failures: Recordings that could not be read or written.
        notes: Notes on recordings.
        steps: Next steps for the user.
        sets: Folders of ChildProject sets that were written.
    """

    done: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    sets: list[Path] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0: every recording is done; 1: some failed; 2: none is done."""
        return exit_code(self.done, len(self.failures))


def export(source: Source, settings: ExportSettings) -> ExportSummary:
    """Write every recording of a source in every requested format.

    Raises:
        AnnotationError: there is nothing to read; the folder is not a project, or lists two recordings with one name.
        OutputError: the output would replace the source.
        DiskFullError: the disk is full.
    """
    state = results_state(source.path)
    exporter = _Exporter(source, settings)
    summary = ExportSummary(notes=source.notes())
    for recording in source.recordings():
        if isinstance(recording, Failure):
            summary.failures.append(recording)
            continue
        try:
            summary.notes += [f"{recording.recording_id}: {note}" for note in exporter.write(recording)]
            summary.done += 1
        except DiskFullError:
            raise
        except BabyHubertError as error:
            summary.failures.append(Failure(recording.recording_id, str(error)))
    summary.steps += exporter.finish()
    summary.sets = exporter.set_folders()
    _note_files(source, settings, summary, state)
    return summary


def _note_files(source: Source, settings: ExportSettings, summary: ExportSummary, state: ResultsState) -> None:
    """Note of which results the files are."""
    for name in settings.formats:
        made = [settings.output / ("lena.csv" if name == "lena" else name)]
        note_derived(source.path, "export", made, f"--to {name} -o {shlex.quote(str(settings.output))}", state)
    if settings.project is not None:
        note_derived(
            source.path, "export", summary.sets, f"--childproject {shlex.quote(str(settings.project))}", state
        )


class _Exporter:
    def __init__(self, source: Source, settings: ExportSettings) -> None:
        self._source = source
        self._settings = settings
        self._lena: list[str] = []
        self._stretches: dict[str, Intervals] = {}
        output = settings.output
        self._sets: list[_SetWriter] = []
        if "childproject" in settings.formats:
            self._sets.append(_SetWriter(output / "childproject", settings, source.about()))
        if settings.project is not None:
            self._sets.append(_ProjectWriter(settings.project, settings, source.about()))
        replaced = sorted({"rttm", "csv"} & set(settings.formats))
        if source.is_run and replaced and output.resolve() == source.path.resolve():
            raise AnnotationError(f"{output}: holds {replaced[0]}/ already; choose another folder with -o")

    def write(self, recording: AnnotatedRecording) -> Iterator[str]:
        """Write one recording in every format; return notes for the user."""
        require_safe_name(recording.recording_id)  # before any format is written
        beyond = recording.past_the_end()
        if beyond:
            yield f"{counted(beyond, 'segment')} past the end of the recording ({_length(recording)} s); kept"
        settings, notes = self._settings, dict[str, None]()
        if settings.confidence and len(recording.segments) and not has_confidence(recording.segments):
            yield "has no confidences: run 'babyhubert segment' on it again"
        for name in settings.formats:
            notes.update(dict.fromkeys(self._write_as(name, recording)))
        yield from notes
        for writer in self._sets:
            yield from writer.add(recording)
        if recording.stretches is not None:
            self._stretches[recording.recording_id] = recording.stretches

    def finish(self) -> Iterator[str]:
        """Write the files that cover all recordings."""
        output = self._settings.output
        if "lena" in self._settings.formats:
            write_text(output / "lena.csv", LENA_HEADER + "".join(self._lena))
        if any(name in WRITTEN and WRITTEN[name].tiers for name in self._settings.formats):
            write_columns(output, self._source.columns)
        if self._stretches and self._settings.formats:
            write_text(output / UEM_NAME, format_uem(self._stretches))
            yield f"annotated stretches, for 'evaluate --uem': {output / UEM_NAME}"
        for writer in self._sets:
            yield from writer.finish()

    def set_folders(self) -> list[Path]:
        """Folders of the sets that hold a recording."""
        return [folder for writer in self._sets for folder in writer.folders()]

    def _write_as(self, name: str, recording: AnnotatedRecording) -> list[str]:
        """Write one recording in a format with one file per recording, or collect its rows for the common table."""
        if name == "lena":
            self._lena.append(format_lena_rows(recording.recording_id, recording.segments))
        if name not in WRITTEN:
            return []
        path = path_below(self._settings.output / name, recording.recording_id, WRITTEN[name].suffix)
        columns = (*recording.columns, CONFIDENCE_TIER) if self._settings.confidence else recording.columns
        written = WrittenRecording(
            recording.recording_id,
            recording.segments,
            recording.samples or 0,
            recording.audio,
            self._settings.naming,
            columns,
            self._settings.confidence,
        )
        return WRITTEN[name].write(path, written)


class _SetWriter:
    """Writes ``annotations/<prefix>/<kind>`` below a folder."""

    def __init__(self, root: Path, settings: ExportSettings, about: Mapping[str, Any]) -> None:
        self.root = root
        self._prefix = settings.prefix
        self._confidence = settings.confidence
        self._about = about
        self._kinds: dict[SetKind, list[tuple[ProjectRecording, int, int]]] = {}
        self._records: list[Mapping[str, Any]] = []

    def add(self, recording: AnnotatedRecording) -> Iterator[str]:
        """Write one recording of each of its sets; return notes for the user."""
        listed = self._listed(recording)
        self._records.append(recording.record)
        length = samples_to_ms(recording.samples or 0)
        if listed.duration_ms is not None and length > listed.duration_ms:
            yield (
                f"{length} ms long, but {listed.duration_ms} in the project's recordings.csv: ChildProject's importer "
                "drops what lies beyond"
            )
        for kind in kinds_in(recording.segments, recording.columns, confidence=self._confidence):
            raw = self.folder(kind) / "raw"
            text = format_set_csv(recording.segments, kind, recording.recording_id)
            write_text(path_below(raw, listed.recording_id, ".csv"), text)
            if kind.name == kind.segmentation:
                write_rttm(path_below(raw, listed.recording_id, ".rttm"), listed.recording_id, recording.segments)
            rows = [(listed, onset, offset) for onset, offset in _covered(recording, listed)]
            self._kinds.setdefault(kind, []).extend(rows)

    def finish(self) -> Iterator[str]:
        """Write the description of each set."""
        for kind in self._kinds:
            write_text(self.folder(kind) / "metannots.yml", format_metannots(self._metannots(kind)))
            write_columns(self.folder(kind), [] if kind.column is None else [kind.column])
        yield from ()

    def set_name(self, kind: SetKind | str) -> str:
        """Name of a set such as ``babyhubert/vtc``."""
        return f"{self._prefix}/{kind if isinstance(kind, str) else kind.name}"

    def folder(self, kind: SetKind) -> Path:
        """Folder of a set."""
        return path_below(self.root / "annotations", self.set_name(kind))

    def folders(self) -> list[Path]:
        """Folders of the sets that contain a recording."""
        return [self.folder(kind) for kind in self._kinds]

    def _listed(self, recording: AnnotatedRecording) -> ProjectRecording:
        suffix = recording.audio.suffix if recording.audio is not None else ".wav"
        return ProjectRecording(f"{recording.recording_id}{suffix}", None)

    def _metannots(self, kind: SetKind) -> dict[str, str]:
        """The fields that ChildProject knows: author and method, if the run has them."""
        fields = {"segmentation": self.set_name(kind.segmentation), "segmentation_type": "permissive"}
        model = self._about.get("model")
        if isinstance(model, Mapping):
            one = f"model {model.get('source')}, SHA-256 of its weights {model.get('sha256')}"
            versions = versions_of(self._records) or [__version__]
            fields |= {
                "method": "automated",
                "sampling_method": "none",
                "annotation_algorithm_name": f"BabyHuBERT {kind.name}",
                "annotation_algorithm_version": f"babyhubert {', '.join(versions)}",
                "date_annotation": str(self._about.get("ended", ""))[:10],
                "notes": _models_by_recording(models_of(self._records)) or one,
            }
        fields |= dict.fromkeys(kind.flags, "Y")
        return {name: value for name, value in fields.items() if value}


def _models_by_recording(models: Mapping[str, Sequence[str]]) -> str:
    """Model of all recordings, or the models with their recordings."""
    if len(models) < 2:
        return next(iter(models), "")
    return f"{len(models)} models: " + "; ".join(f"{model} ({', '.join(ids)})" for model, ids in models.items())


class _ProjectWriter(_SetWriter):
    """Writes sets into a project, under the names that it gives its recordings."""

    def __init__(self, root: Path, settings: ExportSettings, about: Mapping[str, Any]) -> None:
        super().__init__(root, settings, about)
        if not is_project(root):
            raise AnnotationError(f"{root}: not a ChildProject project (it holds no metadata/recordings.csv)")
        self._recordings = read_project_recordings(root)
        self._names = RecordingNames((one.recording_id, one) for one in self._recordings)
        self._taken: dict[str, str] = {}

    def finish(self) -> Iterator[str]:
        """Write the description of each set, and the table that imports it."""
        yield from super().finish()
        for kind, rows in self._kinds.items():
            name, table = self.set_name(kind), self.folder(kind) / "import.csv"
            write_import_table(table, name, rows)
            again = " --overwrite-existing" if imported_before(self.root, name) else ""
            command = shlex.join(("child-project", "import-annotations", str(self.root), "--annotations", str(table)))
            yield f"to import: {command}{again}"
        absent = [one.filename for one in self._recordings if one.recording_id not in self._taken]
        if absent:
            some = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
            yield f"{counted(len(absent), 'recording')} of the project stay without: {some}"

    def _listed(self, recording: AnnotatedRecording) -> ProjectRecording:
        found = self._names.find(recording.recording_id)
        if found is None:
            raise AnnotationError(
                f"{recording.recording_id}: not in {self.root / 'metadata' / 'recordings.csv'}, or more than one "
                "recording of this name; add it there, or rename"
            )
        if found.duration_ms == 0:
            raise AnnotationError(
                f"{recording.recording_id}: {found.filename} has duration 0 in the project, so nothing of it can be "
                "imported; fetch its audio and run 'child-project compute-durations'"
            )
        other = self._taken.setdefault(found.recording_id, recording.recording_id)
        if other != recording.recording_id:
            raise AnnotationError(f"{recording.recording_id} and {other} both mean {found.filename}; keep one")
        return found


def format_uem(stretches: Mapping[str, Intervals]) -> str:
    """Return the text of a UEM file, ``uri channel start end`` in seconds; ids as in RTTM files."""
    return "".join(
        f"{rttm_uri(name)} 1 {format_seconds(start)} {format_seconds(end)}\n"
        for name, spans in sorted(stretches.items())
        for start, end in np.transpose(spans).tolist()
    )


def _covered(recording: AnnotatedRecording, listed: ProjectRecording) -> list[tuple[int, int]]:
    """Annotated stretches, in ms, limited to the project's length of the recording, if it has one."""
    last = max(recording.segments.end.tolist(), default=0) if recording.samples is None else recording.samples
    duration = samples_to_ms(last) if listed.duration_ms is None else listed.duration_ms
    if recording.stretches is None:
        return [(0, duration)]
    spans = (map(samples_to_ms, span) for span in np.transpose(recording.stretches).tolist())
    return [(onset, min(offset, duration)) for onset, offset in spans if onset < min(offset, duration)]


def _length(recording: AnnotatedRecording) -> str:
    return format_seconds(recording.samples or 0)
