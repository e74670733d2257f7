"""A reference that people made of clips drawn at random, beside the run whose totals it corrects.

``sample.json`` of the reference names the clips that were drawn, ``annotated.uem`` the stretches that were annotated.
Only clips that are annotated from end to end count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals, close_gaps, complement, intersect
from babyhubert.annotation.reading import read_segments
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.annotation.uem import read_uem
from babyhubert.audio.names import rttm_uri
from babyhubert.errors import AnnotationError, BabyHubertError, some_names
from babyhubert.evaluation.estimate_report import NON_SPEECH, ClipAmounts
from babyhubert.exchange.clip_choice import speech_within
from babyhubert.exchange.clips import CLIPS_TABLE, SAMPLE_FILE, read_json
from babyhubert.exchange.collect import read_clips
from babyhubert.exchange.recordings import UEM_NAME, Failure
from babyhubert.files import path_below
from babyhubert.measures.results import ADULTS, RunResults
from babyhubert.runs.provenance import segments_fingerprint
from babyhubert.timebase import SAMPLE_RATE, SAMPLES_PER_MS, ms_to_samples

FAIR_METHODS = ("random", "periodic")
MEASURES = (
    *(f"{voice.lower()}_speech_min" for voice in VOICE_TYPES),
    "adult_speech_min",
    "speech_min",
    *(f"{voice.lower()}_segments" for voice in VOICE_TYPES),
)
"""As they are called in ``measures.csv``: minutes, then counts."""

IS_TIME = np.array([name.endswith("_min") for name in MEASURES])

_LATEST_MS = 1 << 40

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Clips:
    """Annotated clips of a recording: bounds in whole milliseconds, int64, shape (C,)."""

    onset: NDArray[np.int64]
    offset: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AnnotatedSample:
    """The annotated clips of a reference.

    Attributes:
        folder: The reference.
        clips: By recording.
        segments: Fingerprint of each recording's segments when the clips were drawn, if known.
        drawn: Clips that were drawn.
        annotated: Clips of these that were annotated.
    """

    folder: Path
    clips: Mapping[str, Clips]
    segments: Mapping[str, str]
    drawn: int
    annotated: int

    def people(self, recording_id: str) -> Segments:
        """Annotations of a recording by people.

        Raises:
            AnnotationError: its file is missing or malformed.
        """
        path = path_below(self.folder / "csv", recording_id, ".csv")
        if not path.is_file():
            raise AnnotationError(f"{path}: missing; write the reference again with 'babyhubert sample --collect'")
        return read_segments(path, recording_id).get(recording_id, Segments.empty())


def read_annotated_sample(reference: Path) -> AnnotatedSample:
    """Read a reference that ``babyhubert sample --collect`` wrote.

    Raises:
        AnnotationError: not such a folder; its clips were not drawn at random; fewer than two clips are annotated.
    """
    about = _read_about(reference)
    settings = about.get("settings")
    method = settings.get("method") if isinstance(settings, dict) else None
    if method not in FAIR_METHODS:
        raise AnnotationError(
            f"{reference / SAMPLE_FILE}: clips drawn by method {method} do not stand for the recordings; estimates "
            f"need clips of 'babyhubert sample --method {' or '.join(FAIR_METHODS)}'"
        )
    drawn = _drawn_clips(reference, about)
    uem = reference / UEM_NAME
    if not uem.is_file():
        raise AnnotationError(f"{uem}: missing; write the reference again with 'babyhubert sample --collect'")
    stretches = read_uem(uem)
    clips = {name: _covered(own, stretches.get(rttm_uri(name))) for name, own in drawn.items()}
    clips = {name: own for name, own in clips.items() if len(own.onset)}
    annotated = sum(len(own.onset) for own in clips.values())
    if not annotated:
        raise AnnotationError(f"{uem}: covers none of the clips in {reference / SAMPLE_FILE}; they are of other clips")
    if annotated < 2:
        raise AnnotationError(f"{reference}: one annotated clip gives no interval; annotate two or more")
    known = about.get("segments")
    segments = {str(name): str(one) for name, one in known.items()} if isinstance(known, dict) else {}
    return AnnotatedSample(reference, clips, segments, sum(len(own) for own in drawn.values()), annotated)


def _read_about(reference: Path) -> dict[str, Any]:
    path = reference / SAMPLE_FILE
    if not path.is_file():
        raise AnnotationError(
            f"{reference}: holds no {SAMPLE_FILE}, which tells how the clips were drawn; give the folder that "
            "'babyhubert sample --collect CLIPS -o REFERENCE' wrote"
        )
    about = read_json(path)
    if not isinstance(about, dict):
        raise AnnotationError(f"{path}: damaged; write the reference again with 'babyhubert sample --collect'")
    return about


def _drawn_clips(reference: Path, about: Mapping[str, Any]) -> dict[str, list[tuple[int, int]]]:
    if "clips" not in about and (reference / CLIPS_TABLE).is_file():  # collected into the folder of the clips
        rows: Any = [(clip.recording_id, clip.onset, clip.offset) for clip in read_clips(reference)]
    else:
        rows = about.get("clips")
    path = reference / SAMPLE_FILE
    found: dict[str, list[tuple[int, int]]] = {}
    for row in rows if isinstance(rows, list) else ():
        match row:
            case [str(name), int(onset), int(offset)] if 0 <= onset < offset < _LATEST_MS:
                found.setdefault(name, []).append((onset, offset))
            case _:
                raise AnnotationError(f"{path}: {str(row)[:80]} is no clip (recording, onset and offset in ms)")
    if not found:
        raise AnnotationError(
            f"{path}: names no clips; write the reference again with 'babyhubert sample --collect CLIPS -o REFERENCE'"
        )
    return found


def _covered(clips: list[tuple[int, int]], stretches: Intervals | None) -> Clips:
    """The clips that lie within annotated stretches, to a millisecond."""
    onset, offset = np.array(sorted(set(clips)), dtype=np.int64).T
    if stretches is None:
        return Clips(onset[:0], offset[:0])
    inside = speech_within(stretches, onset, offset - onset) * 1000 >= offset - onset - 1
    return Clips(onset[inside], offset[inside])


@dataclass
class _Parts:
    """Amounts of the recordings read so far."""

    names: list[str] = field(default_factory=list)
    hours: list[float] = field(default_factory=list)
    totals: list[Values] = field(default_factory=list)
    recording: list[int] = field(default_factory=list)
    length: list[Values] = field(default_factory=list)
    people: list[Values] = field(default_factory=list)
    machine: list[Values] = field(default_factory=list)
    confusion: list[Values] = field(default_factory=list)


def measure_clips(results: RunResults, sample: AnnotatedSample) -> tuple[ClipAmounts, list[str], list[Failure]]:
    """Count a run's recordings, and its annotated clips by people and by the machine.

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
    parts, failures, changed, ignored = _Parts(), [], [], set()
    for name in results.audio:
        try:
            result = results.read(name)
            if result.samples <= 0:
                raise AnnotationError(f"{name}: has no length")
            people = sample.people(name) if name in sample.clips else None
            _check_length(sample, name, result.samples)
        except BabyHubertError as error:
            failures.append(Failure(name, str(error)))
            continue
        _add(parts, name, result.samples, result.segments, people, sample.clips.get(name))
        ignored |= set() if people is None else set(people.labels) - set(VOICE_TYPES)
        if sample.segments.get(name) not in (None, segments_fingerprint(result.segments)):
            changed.append(name)
    if len(parts.recording) < 2:
        reason = f" ({failures[0].error})" if failures else ""
        raise AnnotationError(f"{sample.folder}: fewer than two annotated clips can be counted{reason}")
    people_found, length = np.concatenate(parts.people), np.concatenate(parts.length)
    speech = people_found[:, MEASURES.index("speech_min")]
    amounts = ClipAmounts(
        parts.names,
        np.array(parts.hours),
        MEASURES,
        IS_TIME,
        np.array(parts.recording, dtype=np.int64),
        length,
        people_found,
        np.concatenate(parts.machine),
        np.stack(parts.totals),
        (*VOICE_TYPES, NON_SPEECH),
        np.concatenate(parts.confusion),
        np.column_stack([people_found[:, : len(VOICE_TYPES)], 60 * length - speech]),
    )
    return amounts, list(_notes(results, sample, amounts, strange, changed, ignored)), failures


def _check_length(sample: AnnotatedSample, name: str, samples: int) -> None:
    clips = sample.clips.get(name)
    if clips is not None and ms_to_samples(int(clips.offset.max())) > samples:
        raise AnnotationError(
            f"{sample.folder}: a clip of {name} ends at {clips.offset.max() / 1000:g} s, after the end of that "
            f"recording in the run ({samples / SAMPLE_RATE:g} s); give the run whose clips were annotated"
        )


def _add(
    parts: _Parts, name: str, samples: int, machine: Segments, people: Segments | None, clips: Clips | None
) -> None:
    last = max(samples, int(machine.end.max(initial=0))) // SAMPLES_PER_MS + 1
    everything = Clips(np.array([-1]), np.array([last]))  # begins before a segment that begins with the recording
    parts.totals.append(amounts_within(machine, everything)[0])
    if people is not None and clips is not None:
        parts.recording += [len(parts.names)] * len(clips.onset)
        parts.length.append((clips.offset - clips.onset) / 3_600_000)
        parts.people.append(amounts_within(people, clips))
        parts.machine.append(amounts_within(machine, clips))
        parts.confusion.append(confusion_within(people, machine, clips, samples))
    parts.names.append(name)
    parts.hours.append(samples / SAMPLE_RATE / 3600)


def amounts_within(segments: Segments, clips: Clips) -> Values:
    """The measures in each clip, shape (C, K).

    A segment counts in the clip in which it begins. One that begins with the clip is left out: it was cut there, and
    began before.
    """
    length = clips.offset - clips.onset
    voices = [segments.of(voice) for voice in VOICE_TYPES]
    groups = [*((voice,) for voice in VOICE_TYPES), ADULTS, VOICE_TYPES]
    times = [
        speech_within(segments.where(np.isin(segments.label.astype(str), group)).intervals(), clips.onset, length) / 60
        for group in groups
    ]
    first, last = (ms_to_samples(1) * side for side in (clips.onset, clips.offset))
    counts = [
        np.searchsorted(one.start, last, side="left") - np.searchsorted(one.start, first, side="right")
        for one in voices
    ]
    return _rounded(np.column_stack([*times, *counts]))


def confusion_within(people: Segments, machine: Segments, clips: Clips, samples: int) -> Values:
    """Minutes of each true class (row) that the machine gives each class (column), shape (C, 5, 5).

    The last class is no voice.
    Off the diagonal only time counts in which the column's class is not true as well.
    """
    true, found = (
        [*(side.intervals(voice) for voice in VOICE_TYPES), _silence(side, samples)] for side in (people, machine)
    )
    length = clips.offset - clips.onset
    minutes = np.zeros((len(clips.onset), len(true), len(true)))
    for column, other in enumerate(found):
        wrongly = intersect(other, complement(*true[column], samples))
        for row, one in enumerate(true):
            both = intersect(one, other if row == column else wrongly)
            minutes[:, row, column] = speech_within(close_gaps(*both), clips.onset, length) / 60
    return _rounded(minutes)


def _rounded(minutes: Values) -> Values:
    """The same to far less than a sample, so that nothing is 0 and not a rounding error."""
    return np.asarray(np.round(minutes, 9) + 0.0, dtype=np.float64)


def _silence(segments: Segments, samples: int) -> Intervals:
    voices = segments.where(np.isin(segments.label.astype(str), VOICE_TYPES))
    return complement(*voices.intervals(), samples)


def _notes(
    results: RunResults,
    sample: AnnotatedSample,
    amounts: ClipAmounts,
    strange: list[str],
    changed: list[str],
    ignored: set[str],
) -> Iterator[str]:
    if strange:
        yield f"{len(strange)} recordings of the clips are not in {results.folder}, left out: {some_names(strange)}"
    if sample.annotated < sample.drawn:
        yield (
            f"{sample.annotated} of {sample.drawn} clips are annotated; the estimates assume that it is chance which "
            "ones are"
        )
    without = len(amounts.recordings) - len(set(amounts.recording.tolist()))
    if without:
        yield (
            f"{without} of {len(amounts.recordings)} recordings have no annotated clip; the estimates assume that it "
            "is chance which ones have"
        )
    if changed:
        yield (
            f"the segments of {len(changed)} recordings are not those that the clips were drawn from (model or "
            f"thresholds changed: {some_names(changed)}); the estimates hold for the segments that are there now, as "
            "long as people did not leave what they saw of the earlier ones uncorrected"
        )
    if ignored:
        yield f"labels of the reference that are not counted: {some_names(sorted(ignored))}"
    if results.failures:
        yield f"{len(results.failures)} recordings that failed in the run are not in the totals"
