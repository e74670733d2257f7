"""Amounts of every total in the annotated clips, by people and by the machine, and in the complete recordings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.columns import Column
from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.errors import AnnotationError, BabyHubertError, some_names
from babyhubert.evaluation.estimate_report import ClipAmounts
from babyhubert.exchange.annotated_sample import AnnotatedSample, Strata
from babyhubert.exchange.clip_counts import (
    CLASSES,
    Clips,
    confusion_in_clips,
    measure_in_clips,
    measure_whole,
    tiles,
)
from babyhubert.exchange.recordings import Failure
from babyhubert.files import path_below
from babyhubert.measures.result_tables import ClassTable, read_utterances
from babyhubert.measures.results import RecordingResult, RunResults
from babyhubert.measures.totals import Total, totals
from babyhubert.runs.provenance import segments_fingerprint
from babyhubert.timebase import SAMPLE_RATE, ms_to_samples

_NO_EDGE = 1e-6
"""A difference between clips and complete recordings that is nothing but rounding."""

_EDGE_TOLD = 0.01

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """Annotations by people, with the tables of tasks beside them.

    Attributes:
        folder: The folder.
        columns: Columns of tasks that people filled.
        tables: Those of them that hold classes.
    """

    folder: Path
    columns: tuple[Column, ...]
    tables: Mapping[str, ClassTable]

    @classmethod
    def open(cls, folder: Path, columns: Sequence[Column]) -> Reference:
        """Open a folder.

        Args:
            folder: The folder.
            columns: Columns that it may have.
        """
        tables = {
            column.name: ClassTable.open(folder, column, column.name)
            for column in columns
            if column.kind == "classification" and column.task
        }
        tables = {name: table for name, table in tables.items() if table.rows is not None}
        spoken = (column for column in columns if column.kind == "ctc" and (folder / column.task).is_dir())
        filled = (*(column for column in columns if column.name in tables), *spoken)
        return cls(folder, filled, tables)

    def read(self, like: RecordingResult) -> RecordingResult:
        """Annotations of a recording by people.

        Args:
            like: The machine's result of it.

        Raises:
            AnnotationError: a file is missing or malformed.
        """
        name = like.recording_id
        path = path_below(self.folder / "csv", name, ".csv")
        if not path.is_file():
            raise AnnotationError(f"{path}: missing; write the reference again with 'babyhubert sample --collect'")
        segments = read_segments(path, name).get(name, Segments.empty())
        transcribed = {
            column.name: read_utterances(self.folder, column, name, segments) or ()
            for column in self.columns
            if column.kind == "ctc"
        }
        classified = {column: table.read(self.folder, name, segments) for column, table in self.tables.items()}
        return RecordingResult(
            name, like.path, like.samples, segments, classified, transcribed, own_columns=like.own_columns
        )


@dataclass
class _Parts:
    """Amounts of the recordings read so far."""

    names: list[str] = field(default_factory=list)
    hours: list[float] = field(default_factory=list)
    whole: list[Values] = field(default_factory=list)
    tiled: list[Values] = field(default_factory=list)
    recording: list[int] = field(default_factory=list)
    length: list[Values] = field(default_factory=list)
    people: list[Values] = field(default_factory=list)
    machine: list[Values] = field(default_factory=list)
    each: list[list[Values]] = field(default_factory=list)
    confusion: list[Values] = field(default_factory=list)
    true: list[Values] = field(default_factory=list)
    strata: list[NDArray[np.int64]] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)
    predicted: set[str] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)


def measure_clips(results: RunResults, sample: AnnotatedSample) -> tuple[ClipAmounts, list[str], list[Failure]]:
    """Count a run's recordings, and its annotated clips by people and by the machine.

    Counts that look across the ends of clips, such as turns, differ a little from those of complete recordings. The
    amounts are multiplied by the machine's own ratio of both.

    Returns:
        The amounts; notes on what was assumed; recordings that cannot be read.

    Raises:
        AnnotationError: the clips are of other recordings, or fewer than two are of these.
    """
    strange = sorted(set(sample.clips) - set(results.audio))
    if len(strange) == len(sample.clips):
        raise AnnotationError(
            f"{sample.folder}: its clips are of {some_names(strange)}, which {results.folder} does not have; give the "
            "run whose clips were annotated"
        )
    references = [Reference.open(folder, results.columns) for folder in sample.folders]
    filled = {"", *set.intersection(*({column.name for column in one.columns} for one in references))}
    every = totals(results.own_columns)
    counted = [total for total in every if total.column in filled]
    parts = _count(results, sample, references, [total.name for total in counted])
    if len(parts.recording) < 2:
        reason = f" ({parts.failures[0].error})" if parts.failures else ""
        raise AnnotationError(f"{sample.folder}: fewer than two annotated clips can be counted{reason}")
    unknown = np.isnan(np.stack(parts.whole))
    known = np.asarray(~unknown.any(axis=0), dtype=bool)
    amounts, edge = _amounts(parts, sample.strata, list(compress(counted, known)), known)
    partly = [total.name for total in compress(counted, ~known & ~unknown.all(axis=0))]
    missing = {total.column for total in every if total.column in parts.predicted - filled}
    notes = [
        *_notes(results, sample, amounts, strange, parts),
        *_notes_on_measures(missing, partly, amounts.measures, edge),
        *_notes_on_people(sample, parts, counted),
    ]
    return amounts, notes, parts.failures


def _count(
    results: RunResults, sample: AnnotatedSample, references: Sequence[Reference], names: Sequence[str]
) -> _Parts:
    parts = _Parts()
    length_ms = int(np.median(np.concatenate([clips.offset - clips.onset for clips in sample.clips.values()])))
    for name in results.audio:
        if sample.strata is not None and name not in sample.strata.recordings:
            parts.outside.append(name)
            continue
        clips = sample.clips.get(name)
        try:
            result = results.read(name)
            if result.samples <= 0:
                raise AnnotationError(f"{name}: has no length")
            _check_length(sample, name, result.samples)
            people = [] if clips is None else _shares(sample, references, result, clips)
        except BabyHubertError as error:
            parts.failures.append(Failure(name, str(error)))
            continue
        predicted = {**result.classified, **result.transcribed}
        parts.predicted |= {column for column, found in predicted.items() if found is not None}
        parts.whole.append(measure_whole(result, names))
        parts.tiled.append(measure_in_clips(result, tiles(result.samples, length_ms), names).sum(axis=0))
        if clips is not None:
            _count_clips(parts, people, result, clips, names)
            if sample.strata is not None:
                parts.strata.append(sample.strata.of_clip[name])
        parts.names.append(name)
        parts.hours.append(result.samples / SAMPLE_RATE / 3600)
        if sample.segments.get(name) not in (None, segments_fingerprint(result.segments)):
            parts.changed.append(name)
    return parts


def _shares(
    sample: AnnotatedSample, references: Sequence[Reference], result: RecordingResult, clips: Clips
) -> list[tuple[RecordingResult, Values]]:
    """Annotations of the people who take part in a recording, and the share of each in every clip, shape (C,)."""
    shares = sample.shares.get(result.recording_id, np.ones((1, len(clips.onset))))
    return [(one.read(result), share) for one, share in zip(references, shares, strict=True) if share.any()]


def _count_clips(
    parts: _Parts,
    people: Sequence[tuple[RecordingResult, Values]],
    machine: RecordingResult,
    clips: Clips,
    names: Sequence[str],
) -> None:
    parts.recording += [len(parts.names)] * len(clips.onset)
    parts.length.append((clips.offset - clips.onset) / 3_600_000)
    parts.machine.append(measure_in_clips(machine, clips, names))
    counted = [(measure_in_clips(one, clips, names), share) for one, share in people]
    confused = [(confusion_in_clips(one.segments, machine.segments, clips), share) for one, share in people]
    parts.people.append(np.sum([amounts * share[:, None] for amounts, share in counted], axis=0))
    parts.confusion.append(np.sum([both[0] * share[:, None, None] for both, share in confused], axis=0))
    parts.true.append(np.sum([both[1] * share[:, None] for both, share in confused], axis=0))
    parts.each.append([amounts[share > 0].sum(axis=0) for amounts, share in counted])
    parts.ignored |= {label for one, _ in people for label in one.segments.labels} - set(VOICE_TYPES)


def _amounts(
    parts: _Parts, strata: Strata | None, counted: Sequence[Total], known: NDArray[np.bool_]
) -> tuple[ClipAmounts, Values]:
    """The amounts of the measures that are known everywhere, and how much more complete recordings have of each."""
    whole, tiled = (np.stack(each)[:, known] for each in (parts.whole, parts.tiled))
    edge = np.ones(whole.shape[1])
    np.divide(whole.sum(axis=0), tiled.sum(axis=0), out=edge, where=tiled.sum(axis=0) > 0)
    edge = np.where(abs(edge - 1) < _NO_EDGE, 1.0, edge)
    amounts = ClipAmounts(
        parts.names,
        np.array(parts.hours),
        [total.name for total in counted],
        np.array([total.is_time for total in counted]),
        np.array(parts.recording, dtype=np.int64),
        np.concatenate(parts.length),
        np.concatenate(parts.people)[:, known] * edge,
        np.concatenate(parts.machine)[:, known] * edge,
        tiled * edge,
        whole,
        CLASSES,
        np.concatenate(parts.confusion),
        np.concatenate(parts.true),
        None if strata is None else np.concatenate(parts.strata),
        None if strata is None else sum(parts.hours) * strata.cells / strata.cells.sum(),
    )
    return amounts, edge


def _notes_on_people(sample: AnnotatedSample, parts: _Parts, counted: Sequence[Total]) -> Iterator[str]:
    """The choice between several people, and how much they differ."""
    people = len(sample.folders)
    if people < 2:
        return
    if all(np.all(share == 1 / people) for share in sample.shares.values()):
        sums = np.sum([np.stack(each) for each in parts.each], axis=0)
        mean = sums.mean(axis=0)
        spread = np.divide(np.ptp(sums, axis=0), mean, out=np.zeros_like(mean), where=mean > 0)
        worst = int(spread.argmax())
        yield (
            f"the mean of {people} annotators is counted, in the {sample.annotated} clips that all annotated; they "
            f"differ most in {counted[worst].name}, by {100 * spread[worst]:.0f} % of their mean"
        )
        return
    others = sum(int(share[1:].sum()) for share in sample.shares.values())
    yield (
        f"{sample.annotated - others} clips are counted as {sample.folders[0]} has them, {others} that it does not "
        "have as the next reference has them"
    )


def _check_length(sample: AnnotatedSample, name: str, samples: int) -> None:
    clips = sample.clips.get(name)
    if clips is not None and ms_to_samples(int(clips.offset.max())) > samples:
        raise AnnotationError(
            f"{sample.folder}: a clip of {name} ends at {clips.offset.max() / 1000:g} s, after the end of that "
            f"recording in the run ({samples / SAMPLE_RATE:g} s); give the run whose clips were annotated"
        )


def _notes_on_measures(
    missing: Iterable[str], partly: Sequence[str], names: Sequence[str], edge: Values
) -> Iterator[str]:
    if missing:
        yield f"people annotated no {', '.join(sorted(missing))}: measures of it are not estimated"
    if partly:
        yield f"not known for all recordings, left out: {', '.join(partly)}"
    told = [f"{name} {more:.3f}" for name, more in zip(names, edge, strict=True) if abs(more - 1) > _EDGE_TOLD]
    if told:
        yield (
            "clip by clip, the machine's counts differ from those of complete recordings, since clips do not show "
            f"what is before them; the estimates are multiplied by the ratio: {', '.join(told)}"
        )


def _notes(
    results: RunResults,
    sample: AnnotatedSample,
    amounts: ClipAmounts,
    strange: list[str],
    parts: _Parts,
) -> Iterator[str]:
    if strange:
        yield f"{len(strange)} recordings of the clips are not in {results.folder}, left out: {some_names(strange)}"
    if parts.outside:
        yield (
            f"{len(parts.outside)} recordings were not there when the clips were drawn, left out: "
            f"{some_names(parts.outside)}"
        )
    if sample.annotated < len(sample.drawn):
        yield (
            f"{sample.annotated} of {len(sample.drawn)} clips are annotated; the estimates assume that it is chance "
            "which ones are"
        )
    without = len(amounts.recordings) - len(set(amounts.recording.tolist()))
    if without and sample.strata is None:
        yield (
            f"{without} of {len(amounts.recordings)} recordings have no annotated clip; the estimates assume that it "
            "is chance which ones have"
        )
    if parts.changed:
        yield (
            f"the segments of {len(parts.changed)} recordings are not those that the clips were drawn from (model or "
            f"thresholds changed: {some_names(parts.changed)}); the estimates hold for the segments there are now, "
            "as long as people did not leave what they saw of the earlier ones uncorrected"
        )
    if parts.ignored:
        yield f"labels of the reference that are not counted: {some_names(sorted(parts.ignored))}"
    if results.failures:
        yield f"{len(results.failures)} recordings that failed in the run are not in the totals"
