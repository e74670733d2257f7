"""Segments of a run that are right or wrong, as a reference annotation says, or people who reviewed them.

A segment of a reference is right if at least half of it overlaps segments of its class. In `reviewed_segments.csv`,
which ``babyhubert review --quick`` writes, people say it; several answers for one segment are averaged, and answers
``unsure`` do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, union
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.table_columns import TRUTH
from babyhubert.annotation.text import CsvTable, shortened
from babyhubert.audio.names import RecordingNames, check_names, match_names, rttm_uri
from babyhubert.errors import AnnotationError, BabyHubertError, some_names
from babyhubert.frame_store import open_frames
from babyhubert.inference.confidence import segment_scores
from babyhubert.measures.results import RecordingResult, RunResults
from babyhubert.timebase import samples_to_ms

RIGHT, WRONG, NO_VOICE, UNSURE = "right", "wrong", "none", "unsure"
"""Answers of people besides another voice type; `NO_VOICE`: there is no voice."""

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReviewedSegments:
    """Segments with their scores, and whether they are right.

    Attributes:
        recording: Id of each segment's recording, object (S,).
        label: Its class, object (S,).
        score: Mean log-odds over its frames, float64 (S,).
        right: 1 if it is right, 0 if it is wrong; between them where people disagree: float64 (S,).
    """

    recording: NDArray[np.object_]
    label: NDArray[np.object_]
    score: Values
    right: Values

    def __len__(self) -> int:
        return len(self.score)

    @property
    def recordings(self) -> list[str]:
        """Ids, sorted."""
        return sorted(set(self.recording))

    def where(self, keep: NDArray) -> ReviewedSegments:
        """Select rows by a mask or by their numbers."""
        return ReviewedSegments(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))

    @classmethod
    def join(cls, parts: Sequence[ReviewedSegments]) -> ReviewedSegments:
        """Rows of several, one after the other."""
        names = cls.__dataclass_fields__
        empty = cls(*(np.empty(0, dtype=object if name in ("recording", "label") else np.float64) for name in names))
        return cls(*(np.concatenate([getattr(part, name) for part in (empty, *parts)]) for name in names))


def covered(segments: Segments, intervals: Intervals) -> NDArray[np.int64]:
    """Samples of each segment that lie in a set of intervals: int64, shape (S,)."""
    start, end = union(*intervals)
    before = np.concatenate(([0], np.cumsum(end - start)))

    def until(sample: NDArray[np.int64]) -> NDArray[np.int64]:
        place = np.searchsorted(start, sample, side="right")
        if not len(start):
            return np.zeros(len(sample), dtype=np.int64)
        last = np.maximum(place - 1, 0)
        partly = np.clip(sample - start[last], 0, end[last] - start[last])
        return np.where(place > 0, before[last] + partly, 0)

    found: NDArray[np.int64] = until(segments.end) - until(segments.start)
    return found


def overlaps_half(segments: Segments, reference: Segments) -> NDArray[np.bool_]:
    """Tell for each segment whether at least half of it overlaps segments of its class: bool, shape (S,)."""
    shared = np.zeros(len(segments), dtype=np.int64)
    for label in segments.labels:
        rows = np.asarray(segments.label == np.array(label, dtype=object), dtype=bool)
        shared[rows] = covered(segments.where(rows), reference.intervals(label))
    found: NDArray[np.bool_] = 2 * shared >= segments.end - segments.start
    return found


def review_by_reference(
    results: RunResults, reference: Mapping[str, Segments], uem: Mapping[str, Intervals] | None = None
) -> tuple[ReviewedSegments, list[str]]:
    """Segments of a run that a reference says to be right or wrong, and notes on recordings that are left out.

    With a UEM, segments count of which at least half is inside, by that part.

    Raises:
        AnnotationError: no recording of the reference is in the run.
    """
    meant = match_names(reference, results.audio)
    named = {name: meant.get(name, name) for name in results.audio}
    check_names(set(reference), set(named.values()))
    parts, notes = [], []
    stretches = None if uem is None else {rttm_uri(name): intervals for name, intervals in uem.items()}
    for name, known in named.items():
        if known not in reference or (stretches is not None and rttm_uri(known) not in stretches):
            continue
        try:
            recording = results.read(name)
            segments = recording.segments
            if stretches is not None:
                segments = _inside(segments, stretches[rttm_uri(known)])
            right = overlaps_half(segments, reference[known]).astype(np.float64)
            parts.append(_scored(recording, segments, right, results.classes))
        except BabyHubertError as error:
            notes.append(str(error))
    missing = set(reference) - set(named.values())
    if missing:
        notes.append(f"in the reference alone, not in the run: {some_names(sorted(missing))}")
    return ReviewedSegments.join(parts), notes


def _inside(segments: Segments, stretches: Intervals) -> Segments:
    """Parts in annotated stretches of the segments that lie there for at least half of their duration.

    A part from the first to the last annotated sample stands for it.
    """
    keep = 2 * covered(segments, stretches) >= segments.end - segments.start
    segments = segments.where(keep)
    start, end = union(*stretches)
    if not len(segments):
        return segments
    first = np.searchsorted(end, segments.start, side="right")
    last = np.searchsorted(start, segments.end, side="left") - 1
    return Segments(np.maximum(segments.start, start[first]), np.minimum(segments.end, end[last]), segments.label)


def read_reviews(paths: Sequence[Path], results: RunResults) -> tuple[ReviewedSegments, list[str]]:
    """Segments that people reviewed, with scores from the frames that the run stores; and notes.

    Args:
        paths: Files `reviewed_segments.csv`.
        results: The run.

    Raises:
        AnnotationError: a file is malformed, or none of its recordings is in the run.
    """
    answers: dict[str, dict[tuple[int, int, str], list[float]]] = {}
    unsure = 0
    names = RecordingNames((name, name) for name in results.audio)
    strangers: set[str] = set()
    for recording, segment, answer in (row for path in paths for row in _answers(path)):
        found = names.find(recording)
        if found is None:
            strangers.add(recording)
        elif answer is None:
            unsure += 1
        else:
            answers.setdefault(found, {}).setdefault(segment, []).append(answer)
    notes = [f"not in the run: {some_names(sorted(strangers))}"] if strangers else []
    notes += [f"{unsure} answers 'unsure' do not count"] if unsure else []
    if strangers and not answers:
        raise AnnotationError(f"{paths[0]}: its recordings are not in the run: {some_names(sorted(strangers))}")
    parts = []
    for name, said in answers.items():
        try:
            parts.append(_reviewed(results.read(name), said, results.classes, notes))
        except BabyHubertError as error:
            notes.append(str(error))
    return ReviewedSegments.join(parts), notes


def _answers(path: Path) -> Iterator[tuple[str, tuple[int, int, str], float | None]]:
    """Recording, segment and answer (1 right, 0 wrong, None unsure) of each row."""
    table = CsvTable(path)
    table.require(*TRUTH.columns, "answer")
    for line, row in table:
        where = f"{path}, line {line}"
        answer, label = row["answer"].strip(), row[TRUTH.label].strip()
        if not answer:
            raise AnnotationError(
                f"{where}: no answer; {RIGHT}, {WRONG}, {NO_VOICE}, {UNSURE} or a voice type is needed"
            )
        if not row["recording_id"].strip() or not label:
            raise AnnotationError(f"{where}: names no recording, or no voice: {shortened(','.join(row.values()))}")
        right = None if answer == UNSURE else float(answer in (RIGHT, label))
        yield row["recording_id"].strip(), (*TRUTH.stretch.parse(row, where), label), right


def _reviewed(
    recording: RecordingResult,
    said: Mapping[tuple[int, int, str], Sequence[float]],
    classes: Sequence[str],
    notes: list[str],
) -> ReviewedSegments:
    segments = Segments.from_rows(said)
    right = np.array([np.mean(said[segment.start, segment.end, segment.label]) for segment in segments])
    present = {(samples_to_ms(start), samples_to_ms(end), label) for start, end, label in recording.segments}
    gone = [s for s in segments if (samples_to_ms(s.start), samples_to_ms(s.end), s.label) not in present]
    if gone:
        notes.append(
            f"{recording.recording_id}: {len(gone)} of {len(segments)} reviewed segments are no segments of the run "
            "any more; their scores count all the same"
        )
    return _scored(recording, segments, right, classes)


def _scored(recording: RecordingResult, segments: Segments, right: Values, classes: Sequence[str]) -> ReviewedSegments:
    """Rows of a recording with their scores; segments of classes that the model does not know are left out.

    Raises:
        AnnotationError: no scores are stored, or of other classes.
    """
    name = recording.recording_id
    if recording.scores is None:
        raise AnnotationError(f"{name}: no frame scores are stored, or they are damaged; run 'segment' on it again")
    scores = open_frames(recording.scores)
    if scores.ndim != 2 or scores.shape[1] != len(classes):
        raise AnnotationError(f"{recording.scores}: not scores of {', '.join(classes)}; run 'segment' again")
    found = segment_scores(scores, segments, classes)
    names = np.full(len(segments), name, dtype=object)
    return ReviewedSegments(names, segments.label, found, right).where(~np.isnan(found))
