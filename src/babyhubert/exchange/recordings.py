"""Annotated recordings from any source, each with the information about its audio.

A source is the output folder of ``babyhubert segment`` (with addressees and phonemes, if present), a set of a
ChildProject project, or any annotation file or folder. Recordings are read one at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.annotation.childproject import (
    ProjectRecording,
    annotated_stretches,
    find_set,
    project_audio,
    read_project_recordings,
)
from babyhubert.annotation.columns import COLUMNS, Column, columns_beside
from babyhubert.annotation.intervals import Intervals
from babyhubert.annotation.reading import read_each
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.uem import UEM_NAME, read_uem
from babyhubert.audio.discovery import discover
from babyhubert.audio.names import RecordingNames
from babyhubert.audio.recording import probe
from babyhubert.errors import AnnotationError, BabyHubertError, UnsafeNameError
from babyhubert.measures.results import RecordingResult, columns_of_run, read_results
from babyhubert.timebase import ms_to_samples, samples_to_ms


@dataclass(frozen=True)
class AnnotatedRecording:
    """One recording.

    Attributes:
        recording_id: Its id.
        segments: Who speaks when, with the columns of tasks where these are known.
        audio: The audio file, even if its content is missing; None if unknown.
        samples: Length at 16 kHz; None if unknown.
        stretches: Annotated stretches, in samples; None: the complete recording.
        scores: Stored frame scores, ``.npy`` of shape (frames, classes); None if there are none.
        record: Its record, if a run is the source.
        audio_named: True if the user gave the audio, instead of the source.
        columns: Columns that the segments may have, and what these mean.
    """

    recording_id: str
    segments: Segments
    audio: Path | None = None
    samples: int | None = None
    stretches: Intervals | None = None
    scores: Path | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    audio_named: bool = False
    columns: tuple[Column, ...] = COLUMNS

    def past_the_end(self) -> int:
        """Segments that end at least a millisecond after the recording."""
        if self.samples is None:
            return 0
        return int((self.segments.end >= self.samples + ms_to_samples(1)).sum())


@dataclass(frozen=True)
class Failure:
    """A recording that could not be read or written, with the reason in one line."""

    what: str
    error: str


class Source:
    """Annotated recordings of one folder or file.

    Args:
        path: Output folder of a run, a ChildProject project or set, or annotations in any format that is read.
        audio: Files and folders with the recordings; without them, the paths of the run or the project.

    Raises:
        AnnotationError: there is nothing to read.
        AudioError: an audio path does not exist, or two recordings have one id.
    """

    def __init__(self, path: Path, audio: Sequence[Path] = ()) -> None:
        self.path = Path(path)
        self._audio = None
        if audio:
            self._audio = RecordingNames((file.recording_id, file.path) for file in discover(audio, tell_apart=True))

    @property
    def is_run(self) -> bool:
        """True for the output folder of a run over recordings."""
        return (self.path / "rttm").is_dir()

    def about(self) -> Mapping[str, Any]:
        """Content of ``run.json``; empty if it is missing or cannot be read."""
        try:
            about = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return about if isinstance(about, dict) else {}

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that its segments may have, and what these mean.

        Raises:
            OutputError: the run's record is damaged.
            AnnotationError: their description is.
        """
        return columns_of_run(self.path) if self._is_finished_run else columns_beside(self.path)

    def notes(self) -> list[str]:
        """Notes on the results of a run."""
        return read_results(self.path).notes if self._is_finished_run else []

    def recordings(self) -> Iterator[AnnotatedRecording | Failure]:
        """The recordings in the order of their ids or files; a failure in place of one that cannot be read."""
        for one in self._annotated():
            yield self._with_audio(one) if isinstance(one, AnnotatedRecording) else one

    @property
    def _is_finished_run(self) -> bool:
        return self.is_run and (self.path / "run.json").is_file()

    def _annotated(self) -> Iterator[AnnotatedRecording | Failure]:
        if self._is_finished_run:
            yield from _of_run(self.path)
            return
        known, columns = RecordingNames(_of_project(self.path).items()), columns_beside(self.path)
        uem = self.path / UEM_NAME
        annotated = RecordingNames(read_uem(uem).items() if uem.is_file() else ())
        for file, part in read_each(self.path):
            if isinstance(part, AnnotationError):
                yield Failure(str(file), str(part))
                continue
            for recording_id, segments in part.items():
                about = known.find(recording_id)
                audio, samples, stretches = about or (None, None, annotated.find(recording_id))
                yield AnnotatedRecording(recording_id, segments, audio, samples, stretches, columns=columns)

    def _with_audio(self, recording: AnnotatedRecording) -> AnnotatedRecording | Failure:
        """Add the file that --audio gives, and its length from the header."""
        if self._audio is None:
            return recording
        path = self._audio.find(recording.recording_id)
        if path is None:
            return Failure(
                recording.recording_id,
                f"{recording.recording_id}: --audio holds no recording of this name, or several; name its folder",
            )
        try:
            samples = probe(path).n_samples
        except BabyHubertError as error:
            return Failure(recording.recording_id, str(error))
        return replace(recording, audio=path, samples=samples, audio_named=True)


def _of_run(folder: Path) -> Iterator[AnnotatedRecording | Failure]:
    results = read_results(folder)
    for recording_id in results.audio:
        try:
            result = results.read(recording_id)
        except BabyHubertError as error:
            yield Failure(recording_id, str(error))
            continue
        yield AnnotatedRecording(
            recording_id,
            with_columns(result),
            result.path,
            result.samples,
            scores=result.scores,
            record=result.record,
            columns=results.columns,
        )


def with_columns(result: RecordingResult) -> Segments:
    """Add columns to a result's segments: empty for an unknown addressee, None for unknown phonemes."""
    segments = result.segments
    keys = [(samples_to_ms(start), samples_to_ms(end), label) for start, end, label in segments]
    columns = dict(segments.columns)
    for name, table in result.classified.items():
        if table is not None:
            rows = zip(table, table.columns[name], strict=True)
            said = {(samples_to_ms(start), samples_to_ms(end), label): value for (start, end, label), value in rows}
            columns[name] = np.array([said.get(key, "") for key in keys], dtype=object)
    for name, utterances in result.transcribed.items():
        if utterances is not None:
            spoken = {
                (samples_to_ms(one.start), samples_to_ms(one.end), one.label): " ".join(one.phonemes)
                for one in utterances
            }
            columns[name] = np.array([spoken.get(key) for key in keys], dtype=object)
    return Segments(segments.start, segments.end, segments.label, columns)


def _of_project(path: Path) -> dict[str, tuple[Path | None, int | None, Intervals | None]]:
    """Audio, length and annotated stretches by id, if a path is a set of a project."""
    chosen = find_set(path) if path.is_dir() else None
    if chosen is None:
        return {}
    stretches = annotated_stretches(chosen)
    return {
        one.recording_id: (
            _project_audio(chosen.project, one),
            None if one.duration_ms is None else ms_to_samples(one.duration_ms),
            stretches.get(one.recording_id),
        )
        for one in read_project_recordings(chosen.project)
    }


def _project_audio(project: Path, recording: ProjectRecording) -> Path | None:
    """A recording's audio; None if its name in the project leads elsewhere."""
    try:
        return project_audio(project, recording)
    except UnsafeNameError:
        return None
