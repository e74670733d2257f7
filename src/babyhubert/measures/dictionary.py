"""Dictionary of columns: unit and meaning of every measure, for people who open a table without its documentation.

``docs/measures.md`` has the definitions and their sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from babyhubert.annotation.columns import Column
from babyhubert.measures.tables import WARNINGS, measure_names

VOICES = {
    "kchi": "the key child",
    "och": "other children",
    "mal": "male adults",
    "fem": "female adults",
}

_RULES = {
    "lena": "LENA's rule (less than 5 s between, counted in pairs)",
    "simple_ctc": "ChildProject's simple_CTC (less than 1 s between, anybody else)",
    "floor": "gap and overlap (key child and adults, at most 2 s of gap or 1 s of overlap by default)",
}


class ColumnNote(NamedTuple):
    """Description of a column.

    Attributes:
        name: Its name.
        unit: Unit of its values; empty for texts and shares.
        meaning: One sentence.
    """

    name: str
    unit: str
    meaning: str


_OF_VOICE: Mapping[str, tuple[str, str]] = {
    "segments": ("count", "segments of {voice}"),
    "speech_min": ("min", "minutes in segments of {voice}, summed"),
    "speech_min_per_hour": ("min/h", "minutes in segments of {voice}, per hour of recording"),
    "segment_mean_s": ("s", "mean length of a segment of {voice}"),
    "vocalisations": ("count", "vocalisations of {voice}: segments less than the vocalisation gap apart are one"),
    "vocalisations_per_hour": ("1/h", "vocalisations of {voice} per hour of recording"),
    "vocalisation_mean_s": ("s", "mean length of a vocalisation of {voice}"),
    "segments_expected": ("count", "expected number of right segments of {voice}: sum of their probabilities"),
    "speech_min_expected": ("min", "minutes in segments of {voice}, weighted by the probability that they are right"),
}

_OF_TURNS: Mapping[str, tuple[str, str]] = {
    "": ("count", "conversational turns by {rule}"),
    "_per_hour": ("1/h", "turns per hour of recording by {rule}"),
    "_chance": ("count", "turns expected by chance by {rule}: mean over shuffles of the key child's segments"),
    "_chance_sd": ("count", "standard deviation of the turns by chance by {rule}"),
}

_SINGLE = (
    ColumnNote("recording_id", "", "the recording: path below the folder that was given, without extension"),
    ColumnNote("start_time", "", "time of day at the beginning; NA if unknown"),
    ColumnNote("hour", "", "hour of the clock (07:00), or hours from the beginning (0, 1 ...)"),
    ColumnNote("hour_kind", "", "clock or elapsed: how 'hour' counts"),
    ColumnNote("day", "", "calendar day, 0 for that of the beginning; NA if the start is unknown"),
    ColumnNote("duration_h", "h", "hours recorded"),
    ColumnNote("adult_speech_min", "min", "minutes in which a man or a woman speaks; both at once count once"),
    ColumnNote("adult_speech_s_per_min", "s/min", "seconds of adult speech per minute of recording"),
    ColumnNote("speech_min", "min", "minutes in which anybody speaks"),
    ColumnNote("kcds_min", "min", "minutes in which adults speak to the key child"),
    ColumnNote("kcds_min_per_hour", "min/h", "minutes of speech to the key child per hour of recording"),
    ColumnNote("ads_min", "min", "minutes in which adults speak to adults"),
    ColumnNote("ads_min_per_hour", "min/h", "minutes of speech to adults per hour of recording"),
    ColumnNote("other_addressee_min", "min", "minutes in which adults speak to anybody else, or undecided"),
    ColumnNote("kcds_share", "", "kcds_min / (kcds_min + ads_min)"),
    ColumnNote("utterances", "count", "segments of the key child that the phoneme recogniser processed"),
    ColumnNote("linguistic_utterances", "count", "utterances with at least one recognised phone"),
    ColumnNote("linguistic_per_hour", "1/h", "linguistic utterances per hour of recording"),
    ColumnNote("linguistic_proportion", "", "linguistic_utterances / utterances"),
    ColumnNote("phonemes", "count", "phones recognised"),
    ColumnNote("syllables", "count", "syllables of these phones"),
    ColumnNote("canonical_syllables", "count", "syllables with a vowel and a true consonant"),
    ColumnNote("canonical_babbling_ratio", "", "canonical_syllables / syllables"),
    ColumnNote("canonical_utterances", "count", "linguistic utterances with at least one canonical syllable"),
    ColumnNote("canonical_proportion", "", "canonical_utterances / linguistic_utterances"),
    ColumnNote(WARNINGS, "", "warnings about the recording; empty if there are none"),
)


def measure_notes(own: Sequence[Column] = ()) -> dict[str, ColumnNote]:
    """Description of every column of ``measures.csv`` and ``hourly.csv``, by name.

    Args:
        own: Columns of tasks that are not published.
    """
    return {note.name: note for note in (*_SINGLE, *_by_voice(), *_by_rule(), *_by_task(own))}


def _by_voice() -> Iterator[ColumnNote]:
    for prefix, voice in VOICES.items():
        for end, (unit, meaning) in _OF_VOICE.items():
            yield ColumnNote(f"{prefix}_{end}", unit, meaning.format(voice=voice))


def _by_rule() -> Iterator[ColumnNote]:
    for name, rule in _RULES.items():
        for end, (unit, meaning) in _OF_TURNS.items():
            yield ColumnNote(f"turns_{name}{end}", unit, meaning.format(rule=rule))


def _by_task(own: Sequence[Column]) -> Iterator[ColumnNote]:
    for (column, value), base in measure_names(own).items() if own else ():
        if value:
            what = f"segments of class {value} in {column}"
            yield ColumnNote(f"{base}_count", "count", what)
            yield ColumnNote(f"{base}_min", "min", f"minutes in {what}")
            yield ColumnNote(f"{base}_min_per_hour", "min/h", f"minutes in {what}, per hour of recording")
            yield ColumnNote(f"{base}_share", "", f"{base}_min / the minutes of all classes of {column}")
        else:
            yield ColumnNote(f"{base}_utterances", "count", f"segments that {column} was recognised in")
            yield ColumnNote(f"{base}_symbols", "count", f"symbols of {column}")
            yield ColumnNote(f"{base}_symbols_per_hour", "1/h", f"symbols of {column} per hour of recording")
