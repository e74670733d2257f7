"""Results of the commands in an output folder, read back: one object per recording, and the run's own record.

A recording counts as processed if ``segment`` wrote its ``csv/<id>.csv`` (or ``rttm/<id>.rttm``), which exists even
without speech. Addressees and phonemes are added if they exist; a recording without them has None there, which differs
from a recording with none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from babyhubert.annotation.columns import ADDRESSEE, COLUMNS, PHONEMES, Column, read_column, with_columns
from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.segments import Segments
from babyhubert.audio.identity import same_content
from babyhubert.errors import AnnotationError, OutputError, UnsafeNameError
from babyhubert.files import file_identity, path_below
from babyhubert.inference.confidence import PROBABILITY
from babyhubert.measures.result_tables import ClassTable, Utterance, read_utterances, require_intact
from babyhubert.runs.folder import RunFolder, all_records
from babyhubert.runs.provenance import mixtures, models_of, stale_notes
from babyhubert.timebase import seconds_to_samples

ADULTS = ("MAL", "FEM")


@dataclass(frozen=True)
class RecordingResult:
    """All results of one processed recording.

    Attributes:
        recording_id: Path below the folder that was given, without extension.
        path: The audio file, as the run named it.
        samples: Length at 16 kHz.
        segments: Segments with voice types.
        classified: By column of a classification task, the segments that it predicts, with that column; None if it was
            not run over the recording.
        transcribed: By column of a task that writes symbols, utterances by onset; None likewise.
        record: The run's own record: channel, warnings, speed.
        scores: The stored frame scores, ``.npy`` of shape (frames, classes); None if there are none, or they are
            damaged.
        own_columns: The columns of tasks that are not published.
        expected: True if the run has confidences that are probabilities, of this or of another recording.
    """

    recording_id: str
    path: Path
    samples: int
    segments: Segments
    classified: Mapping[str, Segments | None] = field(default_factory=dict)
    transcribed: Mapping[str, tuple[Utterance, ...] | None] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    scores: Path | None = None
    own_columns: tuple[Column, ...] = ()
    expected: bool = False

    @property
    def addressed(self) -> Segments | None:
        """Adult segments with an ``addressee`` column; None if addressees were not predicted."""
        return self.classified.get(ADDRESSEE.name)

    @property
    def utterances(self) -> tuple[Utterance, ...] | None:
        """Utterances of the key child, by onset; None if phonemes were not recognised."""
        return self.transcribed.get(PHONEMES.name)

    def audio_fault(self) -> str | None:
        """Fault if the audio file is not the one of these results; None if it is, or if that is unknown."""
        return audio_fault(self.path, self.record)


@dataclass(frozen=True)
class RunResults:
    """Results in an output folder; its recordings are read one at a time.

    Attributes:
        folder: The folder.
        run: Content of ``run.json``.
        audio: The audio file of each processed recording, by id, as the run named it.
        failures: Path and reason of each recording that failed, in any command that ran here.
        columns: The published columns, and those of other tasks that were run here.
    """

    folder: Path
    run: Mapping[str, Any]
    audio: Mapping[str, Path]
    failures: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    _records: Mapping[str, Mapping[str, Any]]
    _tables: Mapping[str, ClassTable]

    @property
    def own_columns(self) -> tuple[Column, ...]:
        """The columns of tasks that are not published."""
        return tuple(column for column in self.columns if column.task and column not in COLUMNS)

    @property
    def notes(self) -> list[str]:
        """Notes on these results: mixed models, outdated results, recordings that were replaced."""
        records = all_records(self.folder)
        notes = [f"{self.folder}: {mixed}" for mixed in mixtures(records)]
        faults = (audio_fault(self.audio[name], self._records[name]) for name in self.audio)
        kept = [name for name in self.audio if "result" in self._records[name]]
        earlier = [name for name in kept if "outputs" not in self._records[name]]
        if earlier:
            notes.append(
                f"{self.folder}: {len(earlier)} recordings were completed by an earlier version, which kept no "
                f"checksums (first: {earlier[0]}); their files are taken as they are"
            )
        return [*notes, *stale_notes(self.folder, records), *(fault for fault in faults if fault is not None)]

    @property
    def models(self) -> dict[str, list[str]]:
        """Recordings by the model that processed them, if recorded."""
        return models_of(self._records[name] for name in self.audio)

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the model, in the order of the columns of frame scores; empty if they are not recorded."""
        model = self.run.get("model")
        named = model.get("classes") if isinstance(model, Mapping) else None
        return tuple(map(str, named)) if isinstance(named, list) else ()

    @property
    def has_probabilities(self) -> bool:
        """True if confidences of some recording are probabilities that segments are right."""
        return any(self._records[name].get("confidence") == PROBABILITY for name in self.audio)

    @property
    def samples(self) -> int:
        """Samples of all recordings together, at 16 kHz."""
        return sum(seconds_to_samples(float(record.get("duration_s") or 0)) for record in self._records.values())

    def read(self, recording_id: str) -> RecordingResult:
        """Read the results of one recording.

        Raises:
            AnnotationError: one of its tables is malformed.
            OutputError: its record has no length, or its id names no file below the folder.
        """
        record = self._records[recording_id]
        require_intact(self.folder, "segment", recording_id, _segments_path(self.folder, recording_id))
        segments = _read_own_segments(self.folder, recording_id)
        return RecordingResult(
            recording_id,
            self.audio[recording_id],
            _samples(self.folder, record),
            segments,
            {name: table.read(self.folder, recording_id, segments) for name, table in self._tables.items()},
            {
                column.name: read_utterances(self.folder, column, recording_id, segments)
                for column in self.columns
                if column.kind == "ctc"
            },
            record,
            _scores(self.folder, recording_id),
            self.own_columns,
            self.has_probabilities,
        )


def read_results(folder: Path) -> RunResults:
    """Open an output folder of ``babyhubert segment``, and of the tasks that were run into it.

    Raises:
        OutputError: not such a folder, or its ``run.json`` is damaged.
        AnnotationError: a task's table of all recordings is malformed.
    """
    folder = Path(folder)
    run = _read_run(folder)
    records = {name: record for name, record in _records(folder, run).items() if _has_segments(folder, name)}
    audio = {name: _audio_of(record) for name, record in records.items()}
    own = _described_columns(folder, run)
    columns = with_columns(own)
    written = {column.task: column.name for column in own}
    tables = {
        column.name: ClassTable.open(folder, column, written.get(column.task, column.name))
        for column in columns
        if column.kind == "classification"
    }
    return RunResults(folder, run, audio, _failures(run), columns, records, tables)


def columns_of_run(folder: Path) -> tuple[Column, ...]:
    """The published columns, and those of other tasks whose results are in an output folder.

    Raises:
        OutputError: not such a folder, or its ``run.json`` is damaged.
    """
    return with_columns(_described_columns(folder, _read_run(folder)))


def classified_columns(folder: Path) -> list[Column]:
    """Columns of the classification tasks that were run into an output folder, with the classes of their models.

    Raises:
        OutputError: not such a folder, or its ``run.json`` is damaged.
    """
    run = _read_run(folder)
    known = {column.task: column for column in with_columns(_described_columns(folder, run)) if column.task}
    found = []
    for one in _runs(run):
        told = one.get("task")
        column = known.get(str(told.get("task") if isinstance(told, Mapping) else one.get("command")))
        if column is not None and column.kind == "classification":
            model = one.get("model")
            classes = model.get("classes") if isinstance(model, Mapping) else None
            found.append(replace(column, classes=tuple(classes or column.classes)))
    return found


def _described_columns(folder: Path, run: Mapping[str, Any]) -> list[Column]:
    """Columns as the runs of their tasks describe them in ``run.json``."""
    try:
        return [
            read_column(one["task"], f"{folder / 'run.json'}, run of {one.get('command')}")
            for one in _runs(run)
            if "task" in one
        ]
    except AnnotationError as error:
        raise OutputError(f"{error}; run the task again to renew it") from error


def _has_segments(folder: Path, recording_id: str) -> bool:
    """True if a recording's segments exist; true also for an id that names no file: reading it raises the error."""
    try:
        return _segments_path(folder, recording_id) is not None
    except UnsafeNameError:
        return True


def _read_run(folder: Path) -> Mapping[str, Any]:
    path = folder / "run.json"
    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder; give the output folder of 'babyhubert segment'")
    try:
        run = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except FileNotFoundError:
        raise OutputError(
            f"{folder}: holds no run.json; give the output folder of a finished 'babyhubert segment'"
        ) from None
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise OutputError(
            f"{path}: damaged, not JSON ({error}); run 'babyhubert segment' again to renew it"
        ) from error
    if not isinstance(run, dict) or not isinstance(run.get("recordings"), list):
        raise OutputError(
            f"{path}: not the record of a run over recordings; run 'babyhubert segment' again to renew it"
        )
    return run


def _records(folder: Path, run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """One record per recording, by id: as ``segment`` stored them, else as listed in ``run.json``."""
    told = [record for record in run["recordings"] if isinstance(record, dict) and "recording_id" in record]
    kept = RunFolder(folder, "segment").records()
    found: dict[str, dict[str, Any]] = {}
    for record in (*told, *kept):
        found[str(record["recording_id"])] = {**found.get(str(record["recording_id"]), {}), **record}
    return dict(sorted(found.items()))


def _audio_of(record: Mapping[str, Any]) -> Path:
    """Audio file of a recording as the run named it, relative to the working folder of the run."""
    path = Path(str(record.get("path", record["recording_id"])))
    known = record.get("absolute_path")
    return Path(str(known)) if known is not None and not path.is_absolute() and not path.exists() else path


def _samples(folder: Path, record: Mapping[str, Any]) -> int:
    try:
        return seconds_to_samples(float(record["duration_s"]))
    except (KeyError, TypeError, ValueError):
        raise OutputError(
            f"{folder / 'run.json'}: no duration_s for {record['recording_id']}; run 'babyhubert segment' again"
        ) from None


def _segments_path(folder: Path, recording_id: str) -> Path | None:
    paths = (path_below(folder / name, recording_id, f".{name}") for name in ("csv", "rttm"))
    return next((path for path in paths if path.is_file()), None)


def _read_own_segments(folder: Path, recording_id: str) -> Segments:
    path = _segments_path(folder, recording_id)
    if path is None:
        raise AnnotationError(f"{folder}: the segments of {recording_id} are gone; run 'babyhubert segment' again")
    found = read_segments(path, recording_id)  # an RTTM spells an id with white space differently
    return found.get(recording_id, next(iter(found.values()), Segments.empty()))


def _scores(folder: Path, recording_id: str) -> Path | None:
    own = RunFolder(folder, "segment")
    path = path_below(own.state / "scores", recording_id, ".npy")
    record = own.record(recording_id)
    damaged = record is not None and own.fault(record, path) is not None
    return path if path.is_file() and not damaged else None


def audio_fault(path: Path, record: Mapping[str, Any]) -> str | None:
    """Fault if a recording is not the file of its record; None if it is, is missing, or is unknown."""
    known = record.get("audio")
    try:
        if not isinstance(known, Mapping) or same_content(known, file_identity(path)):
            return None
    except OSError:
        return None
    return f"{path}: was replaced or changed since it was processed; run 'babyhubert segment' on it again"


def _failures(run: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Failures of the command at the top of ``run.json`` and of those that wrote to the same folder, each once."""
    listed = [entry for one in _runs(run) for entry in one.get("failures") or ()]
    told = ((str(entry.get("path")), str(entry.get("error"))) for entry in listed if isinstance(entry, dict))
    return tuple(dict.fromkeys(told))


def _runs(run: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The run at the top of ``run.json``, and those that wrote to the same folder."""
    also = run.get("also")
    yield from (one for one in (run, *(also.values() if isinstance(also, dict) else ())) if isinstance(one, dict))
