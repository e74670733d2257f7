"""The measures as tables: ``measures.csv`` by recording, ``hourly.csv`` by hour, ``measures.json`` (settings)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.columns import Column
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.config import Config, Seed
from babyhubert.errors import AnnotationError, BabyHubertError, ConfigError
from babyhubert.measures.confidence import confident, expected_measures
from babyhubert.measures.hours import DAY, HOUR, Hours, hours_of, parse_clock, part_of_day, start_times
from babyhubert.measures.results import ADULTS, RecordingResult, RunResults
from babyhubert.measures.speech import (
    class_measures,
    ratio,
    symbol_counts,
    time_addressed,
    time_with,
    utterance_counts,
    voice_measures,
)
from babyhubert.measures.turns import TurnRules, chance_turns, count_by_hour, speech_of
from babyhubert.runs.folder import record_warnings
from babyhubert.timebase import SAMPLE_RATE, ms_to_samples

WARNINGS = "warnings"
"""Last column of both tables: warnings about the recording, in words."""

CLASS_MEASURES = ("count", "min", "min_per_hour", "share")
"""Measures of each class of a task that is not published."""

SYMBOL_MEASURES = ("utterances", "symbols", "symbols_per_hour")
"""Measures of a task that writes symbols and is not published."""

_MINUTE = 60 * SAMPLE_RATE
_DAY_MIN = 24 * 60


class MeasureSettings(Config):
    """Settings of the measures.

    Attributes:
        vocalisation_gap_ms: Segments of a class closer than this are one vocalisation (LENA: 300).
        turn_gap_ms: Longest gap of a floor transfer (chattr: 2000).
        turn_overlap_ms: Longest overlap of a floor transfer (chattr: 1000).
        shuffles: Number of shuffles to estimate chance; 0: no estimate.
        seed: Seed of the shuffles.
        min_confidence: Segments of less confidence do not count; 0: all count.
        period_min: Minutes of a row of the hourly table; days are whole numbers of them.
        from_time: Time of day (H:MM) before which nothing counts; empty: all.
        to_time: Time of day from which on nothing counts; empty: all.
    """

    vocalisation_gap_ms: int = 300
    turn_gap_ms: int = 2000
    turn_overlap_ms: int = 1000
    shuffles: int = 100
    seed: Seed = 0
    min_confidence: float = 0.0
    period_min: int = 60
    from_time: str = ""
    to_time: str = ""

    def model_post_init(self, _: Any) -> None:
        """Refuse negative values."""
        for name, value in self.model_dump().items():
            if not isinstance(value, str) and value < 0:
                raise ConfigError(f"{name} = {value}: 0 or more")
        if not self.period_min or _DAY_MIN % self.period_min:
            raise ConfigError(f"period_min = {self.period_min}: minutes that divide a day, such as 15, 30, 60 or 120")
        if self.from_time or self.to_time:
            first, last = self.times()
            if first == last:
                raise ConfigError(f"from {self.from_time or '0:00'} to {self.to_time or '24:00'} is no time")
        if self.min_confidence > 1:
            raise ConfigError(f"min_confidence = {self.min_confidence}: 0 to 1")

    def times(self) -> tuple[int, int]:
        """Beginning and end of what counts, in samples since midnight.

        Raises:
            ConfigError: no times of day.
        """
        return _time_of_day("from", self.from_time), _time_of_day("to", self.to_time) or DAY

    @property
    def rules(self) -> TurnRules:
        """The rules of turns."""
        return TurnRules(ms_to_samples(self.turn_gap_ms), ms_to_samples(self.turn_overlap_ms))


def _time_of_day(name: str, text: str) -> int:
    """Samples since midnight; ``24:00`` and an empty text are midnight."""
    if not text or text == "24:00":
        return 0
    try:
        told = parse_clock(text, name)
    except AnnotationError:
        told = None
    if told is None:
        raise ConfigError(f"{name} {text}: no time of day; write H:MM, such as 7:00")
    return told


@dataclass(frozen=True, eq=False)
class RecordingMeasures:
    """The measures of one recording.

    Attributes:
        recording_id: Id of the recording.
        hours: Its hours.
        whole: One number per measure; NaN if it does not apply.
        hourly: One array (H,) per measure.
        warnings: Warnings about the recording, one line each.
    """

    recording_id: str
    hours: Hours
    whole: Mapping[str, float]
    hourly: Mapping[str, NDArray]
    warnings: tuple[str, ...] = ()


def measure_all(
    results: RunResults, settings: MeasureSettings, table: Path | None = None
) -> tuple[list[RecordingMeasures], list[tuple[Path, str]]]:
    """Measures of every processed recording, in the order of ids.

    Args:
        results: The output folder.
        settings: Settings of the measures.
        table: Start times, see :func:`start_times`.

    Returns:
        The measures; path and one-line error of each recording whose results cannot be read.
    """
    begins = start_times(results.audio, table)
    measured, failures = [], []
    for recording_id, audio in results.audio.items():
        try:
            measured.append(measure(results.read(recording_id), settings, begins[recording_id]))
        except BabyHubertError as error:  # one damaged table never stops the others
            failures.append((audio, str(error)))
    return measured, failures


def measure(recording: RecordingResult, settings: MeasureSettings, start: int | None = None) -> RecordingMeasures:
    """Measures of one recording.

    Args:
        recording: Its results.
        settings: Settings of the measures.
        start: Samples from midnight to its beginning, if known.
    """
    if settings.min_confidence:
        recording = confident(recording, settings.min_confidence)
    part = (0, recording.samples)
    if (settings.from_time or settings.to_time) and recording.samples:
        part = part_of_day(recording.samples, start, *settings.times(), where=str(recording.path))
    hours = hours_of(recording.samples, start, period=settings.period_min * _MINUTE, part=part)
    # Outside the part, periods of their own take what begins there; they are no rows.
    before, after = part[0] > 0, part[1] < recording.samples
    edges = np.concatenate(([0] * before, hours.edges, [recording.samples] * after)).astype(np.int64)
    inside = slice(int(before), len(edges) - 1 - int(after))
    # The seed goes with the recording, so that one recording's chance does not depend on the others of the folder.
    generator = np.random.default_rng([settings.seed, *recording.recording_id.encode(errors="surrogatepass")])
    chance = chance_turns(speech_of(recording.segments), edges, settings.rules, settings.shuffles, generator)
    bounds = np.array([*[0] * before, *part, *[recording.samples] * after], dtype=np.int64)
    starts = [*[0] * before, inside.start, *[inside.stop] * after]
    whole_chance = {name: np.add.reduceat(each, starts, axis=1) for name, each in chance.items() if each.shape[1]}
    whole = measures_between(recording, bounds if recording.samples else edges, settings, whole_chance or chance)
    return RecordingMeasures(
        recording.recording_id,
        hours,
        {name: float(value[int(before)]) if len(value) else float("nan") for name, value in whole.items()},
        {name: value[inside] for name, value in measures_between(recording, edges, settings, chance).items()},
        record_warnings(recording.record),
    )


def measures_between(
    recording: RecordingResult,
    edges: NDArray[np.int64],
    settings: MeasureSettings,
    chance: Mapping[str, NDArray[np.int64]],
) -> dict[str, NDArray]:
    """Every measure in the order of columns, one number for each stretch between two edges.

    Args:
        recording: The results.
        edges: Bounds of the stretches in samples, int64 (H + 1,), ascending.
        settings: Settings of the measures.
        chance: Turns in shuffled speech by rule, int64 (shuffles, H); not needed if ``settings`` ask for no shuffles.
    """
    hours = np.diff(edges) / HOUR
    values: dict[str, NDArray] = {"duration_h": hours}
    for label in VOICE_TYPES:
        values |= _of_voice(
            label.lower(),
            voice_measures(recording.segments.of(label), edges, ms_to_samples(settings.vocalisation_gap_ms)),
            hours,
        )
    adult = time_with(recording.segments, ADULTS, edges)
    values["adult_speech_min"] = adult / _MINUTE
    values["adult_speech_s_per_min"] = ratio(adult / SAMPLE_RATE, 60 * hours)
    values["speech_min"] = time_with(recording.segments, VOICE_TYPES, edges) / _MINUTE
    values |= _turns(recording, edges, hours, settings, chance)
    values |= _addressees(recording, edges, hours)
    values |= _phones(recording, edges, hours)
    values |= _of_own_columns(recording, edges, hours)
    return values | (expected_measures(recording, edges) if recording.expected else {})


def _of_voice(name: str, found: Mapping[str, NDArray], hours: NDArray) -> dict[str, NDArray]:
    return {
        f"{name}_segments": found["segments"],
        f"{name}_speech_min": found["samples"] / _MINUTE,
        f"{name}_speech_min_per_hour": ratio(found["samples"] / _MINUTE, hours),
        f"{name}_segment_mean_s": found["mean"] / SAMPLE_RATE,
        f"{name}_vocalisations": found["vocalisations"],
        f"{name}_vocalisations_per_hour": ratio(found["vocalisations"], hours),
        f"{name}_vocalisation_mean_s": found["vocalisation_mean"] / SAMPLE_RATE,
    }


def _turns(
    recording: RecordingResult,
    edges: NDArray[np.int64],
    hours: NDArray,
    settings: MeasureSettings,
    chance: Mapping[str, NDArray[np.int64]],
) -> dict[str, NDArray]:
    speech = speech_of(recording.segments)
    values: dict[str, NDArray] = {}
    for name, rule in settings.rules.named().items():
        count = count_by_hour(rule(speech), edges)
        known = settings.shuffles > 0
        values |= {
            f"turns_{name}": count,
            f"turns_{name}_per_hour": ratio(count, hours),
            f"turns_{name}_chance": chance[name].mean(axis=0) if known else np.full(len(hours), np.nan),
            f"turns_{name}_chance_sd": chance[name].std(axis=0) if known else np.full(len(hours), np.nan),
        }
    return values


def _addressees(recording: RecordingResult, edges: NDArray[np.int64], hours: NDArray) -> dict[str, NDArray]:
    nothing = np.full(len(hours), np.nan)
    names = ("kcds_min", "ads_min", "other_addressee_min", "kcds_min_per_hour", "ads_min_per_hour", "kcds_share")
    if recording.addressed is None:
        return dict.fromkeys(names, nothing)
    found = {name: value / _MINUTE for name, value in time_addressed(recording.addressed, edges).items()}
    to_child, to_adults = found["kcds"], found["ads"]
    values = (
        to_child,
        to_adults,
        found["other"],
        ratio(to_child, hours),
        ratio(to_adults, hours),
        ratio(to_child, to_child + to_adults),
    )
    return dict(zip(names, values, strict=True))


def _phones(recording: RecordingResult, edges: NDArray[np.int64], hours: NDArray) -> dict[str, NDArray]:
    names = (
        *("utterances", "linguistic_utterances", "linguistic_per_hour", "linguistic_proportion"),
        *("phonemes", "syllables", "canonical_syllables", "canonical_babbling_ratio"),
        *("canonical_utterances", "canonical_proportion"),
    )
    if recording.utterances is None:
        return dict.fromkeys(names, np.full(len(hours), np.nan))
    found = utterance_counts(recording.utterances, edges)
    values = (
        found["utterances"],
        found["linguistic"],
        ratio(found["linguistic"], hours),
        ratio(found["linguistic"], found["utterances"]),
        found["phonemes"],
        found["syllables"],
        found["canonical_syllables"],
        ratio(found["canonical_syllables"], found["syllables"]),
        found["canonical_utterances"],
        ratio(found["canonical_utterances"], found["linguistic"]),
    )
    return dict(zip(names, values, strict=True))


def measure_names(columns: Iterable[Column]) -> dict[tuple[str, str], str]:
    """Prefixes of the measures of tasks that are not published, by column and class.

    They are ``<column>_<class>``, for tasks that write symbols ``<column>``, with a number appended if other measures
    have that name.
    """
    taken, found = set(columns_of_published()), dict[tuple[str, str], str]()
    for column in columns:
        wanted = {name: f"{column.name}_{name}" for name in column.classes}
        measures = CLASS_MEASURES if column.kind == "classification" else SYMBOL_MEASURES
        for name, base in (wanted if column.kind == "classification" else {"": column.name}).items():
            choices = (base, *(f"{base}_{number}" for number in range(2, len(taken) + 3)))
            chosen = next(one for one in choices if not {f"{one}_{measure}" for measure in measures} & taken)
            taken |= {f"{chosen}_{measure}" for measure in measures}
            found[column.name, name] = chosen
    return found


def _of_own_columns(recording: RecordingResult, edges: NDArray[np.int64], hours: NDArray) -> dict[str, NDArray]:
    """Measures of tasks that are not published; NaN if they were not run."""
    names = measure_names(recording.own_columns) if recording.own_columns else {}
    values: dict[str, NDArray] = {}
    for column in recording.own_columns:
        if column.kind == "classification":
            found = _of_classes(recording, column, edges, hours)
        else:
            found = {"": _of_symbols(recording, column, edges, hours)}
        for name, measured in found.items():
            values |= {f"{names[column.name, name]}_{measure}": each for measure, each in measured.items()}
    return values


def _of_classes(
    recording: RecordingResult, column: Column, edges: NDArray[np.int64], hours: NDArray
) -> dict[str, dict[str, NDArray]]:
    classified = recording.classified.get(column.name)
    if classified is None:
        return {name: dict.fromkeys(CLASS_MEASURES, np.full(len(hours), np.nan)) for name in column.classes}
    found = class_measures(classified, column.name, column.classes, edges)
    return {
        name: {
            "count": own["count"],
            "min": own["samples"] / _MINUTE,
            "min_per_hour": ratio(own["samples"] / _MINUTE, hours),
            "share": own["share"],
        }
        for name, own in found.items()
    }


def _of_symbols(
    recording: RecordingResult, column: Column, edges: NDArray[np.int64], hours: NDArray
) -> dict[str, NDArray]:
    utterances = recording.transcribed.get(column.name)
    if utterances is None:
        return dict.fromkeys(SYMBOL_MEASURES, np.full(len(hours), np.nan))
    found = symbol_counts(utterances, edges)
    return {**found, "symbols_per_hour": ratio(found["symbols"], hours)}


@cache
def columns_of_published() -> tuple[str, ...]:
    """Names of the measures that every table has, in its order."""
    empty = RecordingResult("", Path(), SAMPLE_RATE, Segments.empty())
    return tuple(measure(empty, MeasureSettings(shuffles=0)).whole)


def columns(own: Sequence[Column] = (), *, expected: bool = False) -> list[str]:
    """Names of the measures, in the order of the tables.

    Args:
        own: Columns of tasks that are not published.
        expected: The run has confidences that are probabilities.
    """
    empty = RecordingResult("", Path(), SAMPLE_RATE, Segments.empty(), own_columns=tuple(own), expected=expected)
    return list(measure(empty, MeasureSettings(shuffles=0)).whole)
