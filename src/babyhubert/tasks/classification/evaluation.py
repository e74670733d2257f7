"""Evaluation of classes of utterances: by utterance if both sides have the same segments, else by time.

With the reference's own segments every utterance is one item, and scores are the published ones: precision, recall and
F1 per class, and their unweighted mean. With predicted segments there are no common utterances: then the time of each
class is scored like that of a voice type, so that missed and false speech counts. The addressee is one such task, with
the published classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, complement, intersect, union
from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError, some_names
from babyhubert.evaluation.bootstrap import check_bootstrap, percentile_ends, resampled_sums
from babyhubert.evaluation.detection import (
    BootstrapIntervals,
    DetectionReport,
    compare,
    distinct,
    under_reference_names,
)
from babyhubert.timebase import samples_to_ms

SegmentsAre = Literal["same", "predicted"]
_SAME_FROM = 0.5


@dataclass(frozen=True)
class Question:
    """A classification of utterances, as stored in tables.

    Attributes:
        column: Column of the classes.
        voices: Labels of the classified segments; empty: all.
        turns: Name of these segments in messages.
        remedy: End of the message about a table without the column.
    """

    column: str
    voices: tuple[str, ...] = ()
    turns: str = "turns"
    remedy: str = "it gives the class of each turn"

    @property
    def noun(self) -> str:
        """The column in words, with its article."""
        words = self.column.replace("_", " ")
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"

    def about(self, segments: Segments) -> Segments:
        """Select the classified segments."""
        if not self.voices:
            return segments
        return segments.where(np.isin(segments.label.astype(str), self.voices))


def read_classes(path: Path, question: Question, task: str | None = None) -> dict[str, Segments]:
    """Read segments with the column of a task: a file or folder; of ``rttm_<task>.csv`` in an output folder.

    Raises:
        AnnotationError: unreadable, or no table in it has that column.
    """
    path = Path(path)
    combined = path / f"rttm_{task or question.column}.csv"
    found = read_annotations(combined if combined.is_file() else path)
    if not any(question.column in segments.columns for segments in found.values()) and any(map(len, found.values())):
        raise AnnotationError(f"{path}: no column '{question.column}'; {question.remedy}")
    return found


def answered_turns(
    recordings: Mapping[str, Segments],
    question: Question,
    labels: Sequence[str],
    rewrite: Mapping[str, str],
    side: str,
) -> dict[str, Segments]:
    """Turns with their class as a label, empty if there is none, and the voice as column ``voice``.

    Raises:
        AnnotationError: an unknown class (named, with the recording).
    """
    found = {}
    for uri, segments in recordings.items():
        turns = question.about(segments)
        given = turns.columns.get(question.column, np.full(len(turns), "", dtype=object))
        said = np.array([rewrite.get(str(value), str(value)) for value in given], dtype=object)
        if strange := sorted(set(said) - {*labels, ""}):
            written = min(str(value) for value, name in zip(given, said, strict=True) if name == strange[0])
            raise AnnotationError(
                f"{uri}: {question.column} {strange[0]!r} in the {side} is none of {', '.join(labels)}; "
                + _remedy(written, strange[0], labels)
            )
        found[uri] = Segments(turns.start, turns.end, said, {"voice": turns.label})
    return found


def classes_nowhere(names: Iterable[str], sides: Iterable[Mapping[str, Segments]], question: Question) -> list[str]:
    """Select those of the names that no turn has as its class."""
    given = {
        str(value)
        for recordings in sides
        for segments in recordings.values()
        for value in question.about(segments).columns.get(question.column, ())
    }
    return [name for name in names if name not in given]


def _remedy(written: str, name: str, labels: Sequence[str]) -> str:
    """Remedy for an unknown class, as the table has it and as it was rewritten."""
    if written in labels:
        return f"keep it as it is with --map {written}={written}"
    if "Other" in labels:
        return f"rewrite it with --map {written}=Other"
    classes = ",".join((*labels, name))
    return f"score it too with --labels {classes}, or rewrite it as one of these with --map {written}=CLASS"


@dataclass(frozen=True, eq=False)
class UtteranceReport:
    """Scores of utterances that both sides have.

    Attributes:
        labels: C classes.
        recordings: F recordings, sorted.
        confusion: Utterances by reference (row) and prediction (column, the last for none), int64, (F, C, C + 1).
        missing: Recordings without any prediction: none of their utterances has one.
        without_reference: Predicted recordings without a reference: skipped.
        unlabelled: Turns of the reference without a class: skipped.
        extra: Predicted turns that are no turn of the reference: skipped.
    """

    labels: tuple[str, ...]
    recordings: tuple[str, ...]
    confusion: NDArray[np.int64]
    missing: tuple[str, ...]
    without_reference: tuple[str, ...]
    unlabelled: int
    extra: int

    @property
    def scores(self) -> NDArray[np.float64]:
        """Precision, recall and F1 of each class, (C, 3); NaN if undefined."""
        return classification_scores(self.confusion.sum(axis=0))

    @property
    def macro(self) -> NDArray[np.float64]:
        """Unweighted means over the classes for which they are defined, (3,)."""
        return _means(self.scores)

    @property
    def unanswered(self) -> int:
        """Utterances without a prediction."""
        return int(self.confusion[..., -1].sum())

    def bootstrap(
        self, rng: np.random.Generator, resamples: int = 2000, confidence: float = 0.95
    ) -> BootstrapIntervals | None:
        """Percentile intervals over recordings; None with a single one."""
        check_bootstrap(resamples, confidence)
        if len(self.recordings) < 2:
            return None
        scores = classification_scores(resampled_sums(self.confusion, rng, resamples))
        return BootstrapIntervals(
            resamples,
            confidence,
            percentile_ends(scores, confidence),
            percentile_ends(_means(scores), confidence),
            len(self.recordings),
        )


def classification_scores(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Precision, recall and F1 of each class from a confusion: (..., C, C + 1) to (..., C, 3).

    The last column holds items without a prediction. Precision is NaN for a class never predicted, recall for one that
    is not in the reference, and F1 for one that is on neither side: means ignore NaN.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hit = np.diagonal(counts[..., :-1], axis1=-2, axis2=-1)
    predicted, true = counts[..., :-1].sum(axis=-2), counts.sum(axis=-1)
    return np.stack([_share(hit, predicted), _share(hit, true), _share(2 * hit, predicted + true)], axis=-1)


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def _means(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over classes, ignoring undefined ones: (..., C, 3) to (..., 3)."""
    known = ~np.isnan(scores)
    return _share(np.where(known, scores, 0).sum(axis=-2), known.sum(axis=-2).astype(np.float64))


@dataclass(frozen=True, eq=False)
class ClassEvaluation:
    """Scores of classes, by utterance or by time.

    Attributes:
        segments: True if both sides have the same segments.
        chosen: True if that was determined from the data, instead of requested.
        shared: Fraction of the reference's labelled turns, in recordings with a prediction, that are predicted with
            the same times and voice.
        utterances: Scores if segments are the same.
        time: Scores of time if they are not.
        unlabelled: Turns of the reference without a class: skipped.
        matched: Predictions matched by name alone, and their reference.
    """

    segments: SegmentsAre
    chosen: bool
    shared: float
    utterances: UtteranceReport | None
    time: DetectionReport | None
    unlabelled: int
    matched: Mapping[str, str] = field(default_factory=dict)
    question: Question = field(default_factory=lambda: Question("class"))


def evaluate_classes(
    question: Question,
    reference: Mapping[str, Segments],
    prediction: Mapping[str, Segments],
    *,
    labels: Sequence[str],
    segments: SegmentsAre | None = None,
    rewrite: Mapping[str, str] = MappingProxyType({}),
    uem: Mapping[str, Intervals] | None = None,
) -> ClassEvaluation:
    """Score the classes of utterances.

    Args:
        question: Column and voices.
        reference: Segments with the column, by recording; every one is scored.
        prediction: The same; missing segments count as not predicted.
        segments: True if both sides have the same segments; None: they have if at least half of the reference's turns
            are predicted with the same times, to the millisecond.
        labels: Classes.
        rewrite: Classes to rewrite on both sides first.
        uem: Stretches to score; only utterances completely inside.

    Raises:
        AnnotationError: no turn of the reference has a class, an unknown class, or no common name.
        ConfigError: no classes, or one twice.
    """
    labels = distinct(labels)
    prediction, matched = under_reference_names(reference, prediction)
    truth = answered_turns(reference, question, labels, rewrite, "reference")
    found = answered_turns(prediction, question, labels, rewrite, "predictions")
    if uem is not None:
        truth = {uri: table for uri, table in truth.items() if uri in uem}
    unlabelled = sum(int((table.label == "").sum()) for table in truth.values())
    turns = sum(map(len, truth.values()))
    if turns == unlabelled:
        raise AnnotationError(
            f"the reference has {turns} {question.turns}"
            f"{' (' + ', '.join(question.voices) + ')' if question.voices else ''}, none of them with "
            f"{question.noun}, in "
            f"{some_names(sorted(truth)) or 'no recording that the UEM names'}"
        )
    utterances = _count_utterances(truth, found, labels, uem, unlabelled)
    shared = _shared(truth, found, uem)
    chosen: SegmentsAre = segments or ("same" if shared >= _SAME_FROM else "predicted")
    if chosen == "same":
        return ClassEvaluation(chosen, segments is None, shared, utterances, None, unlabelled, matched, question)
    time = _compare_time(truth, found, labels, uem)
    return ClassEvaluation(chosen, segments is None, shared, None, time, unlabelled, matched, question)


_Key = tuple[int, int, str]


def _keys(table: Segments) -> list[_Key]:
    """Key of a turn: its ends in milliseconds and its voice."""
    rows = zip(table.start.tolist(), table.end.tolist(), table.columns["voice"], strict=True)
    return [(samples_to_ms(start), samples_to_ms(end), str(voice)) for start, end, voice in rows]


def _scored(table: Segments, uem: Mapping[str, Intervals] | None, uri: str) -> Segments:
    """Labelled turns, completely within the UEM."""
    table = table.where(table.label != "")
    if uem is None or not len(table):
        return table
    start, end = union(*uem[uri])
    place = np.searchsorted(start, table.start, side="right") - 1
    return table.where((place >= 0) & (table.end <= end[np.maximum(place, 0)]))


def _shared(
    truth: Mapping[str, Segments], found: Mapping[str, Segments], uem: Mapping[str, Intervals] | None
) -> float:
    """Fraction of the turns to score, in recordings that have a prediction, that are predicted with the same times."""
    both = turns = 0
    for uri in truth.keys() & found.keys():
        keys = Counter(_keys(_scored(truth[uri], uem, uri)))
        both += (keys & Counter(_keys(found[uri]))).total()
        turns += keys.total()
    return both / turns if turns else 0.0


def _count_utterances(
    truth: Mapping[str, Segments],
    found: Mapping[str, Segments],
    labels: tuple[str, ...],
    uem: Mapping[str, Intervals] | None,
    unlabelled: int,
) -> UtteranceReport:
    recordings = tuple(sorted(truth))
    confusion = np.zeros((len(recordings), len(labels), len(labels) + 1), dtype=np.int64)
    row = {label: index for index, label in enumerate(labels)}
    extra = 0
    for place, uri in enumerate(recordings):
        answers: dict[_Key, list[str]] = {}
        if uri in found:
            for key, label in zip(_keys(found[uri]), found[uri].label, strict=True):
                answers.setdefault(key, []).append(str(label))
            known = Counter(_keys(truth[uri]))
            extra += (Counter(_keys(found[uri])) - known).total()
        turns = _scored(truth[uri], uem, uri)
        for key, label in zip(_keys(turns), turns.label, strict=True):
            answer = answers[key].pop(0) if answers.get(key) else ""
            confusion[place, row[str(label)], row.get(answer, len(labels))] += 1
    return UtteranceReport(
        labels,
        recordings,
        confusion,
        tuple(uri for uri in recordings if uri not in found),
        tuple(sorted(set(found) - set(truth))),
        unlabelled,
        extra,
    )


def _compare_time(
    truth: Mapping[str, Segments],
    found: Mapping[str, Segments],
    labels: tuple[str, ...],
    uem: Mapping[str, Intervals] | None,
) -> DetectionReport:
    """Time of each class; turns of the reference without a class are not scored."""
    scored = {}
    for uri, table in truth.items():
        unknown = table.where(table.label == "")
        last = max([0, *table.end.tolist(), *(found[uri].end.tolist() if uri in found else ())])
        known = complement(unknown.start, unknown.end, last)
        scored[uri] = known if uem is None else intersect(known, uem[uri])
    said = {uri: table.where(table.label != "") for uri, table in found.items()}
    return compare({uri: table.where(table.label != "") for uri, table in truth.items()}, said, labels, scored)
