"""Recorded utterances as a source of voices: a CSV of short files, one speaker and one utterance each.

Columns ``path`` (relative to the CSV), ``speaker_id``, ``voice`` (CHI, TEEN, FEM or MAL), ``duration_s`` and
``phones`` (IPA, space separated; may be empty; ``?`` where unknown); further columns are ignored.
Phones carry no times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.text import CsvTable, parse_number
from babyhubert.errors import AnnotationError, AudioError, ConfigError
from babyhubert.simulation.utterances import Cast, Manner, Utterance
from babyhubert.simulation.voice_conversion import move_resonances, whisper
from babyhubert.timebase import SAMPLE_RATE

COLUMNS = ("path", "speaker_id", "voice", "duration_s", "phones")
VOICES = ("CHI", "TEEN", "FEM", "MAL")


@dataclass(frozen=True)
class RecordedUtterance:
    """A row: an audio file, its phones, and the row's position (for messages)."""

    path: Path
    phones: tuple[str, ...]
    origin: str
    manner: Manner = "speech_like"

    def load(self, speed: float = 1.0, resonances: float = 1.0) -> Utterance:
        """Read, mix down to mono, resample to 16 kHz, trim.

        Args:
            speed: Factor on the tempo as of a tape: pitch and resonances move with it.
            resonances: Further factor on the resonances alone.

        Raises:
            AudioError: unreadable, or silent.
        """
        import soundfile
        import soxr

        try:
            waveform, rate = soundfile.read(self.path, dtype="float32", always_2d=True)
        except (OSError, soundfile.SoundFileError) as error:
            raise AudioError(f"{self.origin}: {self.path} cannot be read ({error}); repair or remove it") from error
        mono: NDArray[np.float32] = waveform.mean(axis=1)
        if rate * speed != SAMPLE_RATE:
            mono = soxr.resample(mono, rate * speed, SAMPLE_RATE).astype(np.float32)
        mono = move_resonances(mono, resonances)
        try:
            return Utterance.from_clean(mono, self.phones, manner=self.manner)
        except ValueError as error:
            raise AudioError(f"{self.origin}: {self.path} is silent; remove it") from error


@dataclass(frozen=True)
class RecordedSpeaker:
    """A speaker with recorded utterances, used in random order.

    Attributes:
        speaker_id: Name.
        utterances: The utterances.
        speed: Factor on the tempo, see :meth:`RecordedUtterance.load`.
        resonances: Factor on the resonances, see there.
        whisper_share: Share of the turns that are whispered.
        cries: Recordings that replace a fraction of the turns.
        cry_share: That fraction.
    """

    speaker_id: str
    utterances: tuple[RecordedUtterance, ...]
    speed: float = 1.0
    resonances: float = 1.0
    whisper_share: float = 0.0
    cries: tuple[RecordedUtterance, ...] = ()
    cry_share: float = 0.0

    def utter(self, rng: np.random.Generator, *, to_child: bool = False) -> Utterance:
        """Return a random utterance: the intended addressee is unknown."""
        del to_child
        if self.cries and rng.random() < self.cry_share:
            return self.cries[rng.integers(len(self.cries))].load()
        said = self.utterances[rng.integers(len(self.utterances))].load(self.speed, self.resonances)
        if self.whisper_share and rng.random() < self.whisper_share:
            return said.with_waveform(whisper(said.waveform, rng))
        return said


@dataclass(frozen=True)
class SpeakerChoice:
    """Selection of a table's speakers, for training and test scenes without common speakers.

    Attributes:
        only: Only these; None: all.
        without: Excluded speakers.
    """

    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def __contains__(self, speaker_id: str) -> bool:
        return (self.only is None or speaker_id in self.only) and speaker_id not in self.without


EVERYBODY = SpeakerChoice()


@dataclass(frozen=True)
class Casting:
    """Speakers of the scenes, and changes of their voices.

    Attributes:
        speakers: Selection of the table's speakers.
        voice_change: All speakers but the key child are made faster and higher, or slower and lower, by up to this
            fraction, with one factor per speaker and recording: few speakers give many voices.
        key_voice_change: The same for the key child. With a high value the key child can no longer be recognised by
            pitch, but only by being close to the microphone.
        resonance_change: Resonances of all speakers are moved up or down by up to this fraction, independently of
            pitch: with ``voice_change`` this gives any pair of pitch and vocal tract.
        whisper_share: Share of the turns that are whispered.
        wearer_share: Fraction of the recordings in which a speaker of any age takes the part of the key child. No
            child sounds like a grown man, but some sound nearly so, and a model that has only seen small children
            relies on pitch alone.
        cries: Recordings of infants that replace turns of the key child.
        cry_share: Share of the key child's turns that they replace.

    Raises:
        ConfigError: a share out of its range.
    """

    speakers: SpeakerChoice = EVERYBODY
    voice_change: float = 0.0
    key_voice_change: float = 0.0
    resonance_change: float = 0.0
    whisper_share: float = 0.0
    wearer_share: float = 0.0
    cries: tuple[Path, ...] = ()
    cry_share: float = 0.15

    def __post_init__(self) -> None:
        for name in ("voice_change", "key_voice_change", "resonance_change"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise ConfigError(f"{name} = {getattr(self, name)}: between 0 and 0.5")
        for name in ("whisper_share", "wearer_share", "cry_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: a share lies between 0 and 1")


AS_RECORDED = Casting()
"""All speakers, with the voices they have."""


class RecordedVoices:
    """Assigns the speakers of a table to recordings: consecutive ones share no speaker as long as there are enough.

    CHI speakers become key children and other children, TEEN speakers other children, FEM and MAL speakers the adults
    (and the television). A speaker may be the key child of one recording and another child of another.

    Args:
        table: The CSV.
        seed: Seed of the order of speakers.
        other_children: Other children of a recording, at most.
        women: Women of a recording, at most.
        men: Men of a recording, at most.
        casting: Selection of speakers, and changes of their voices.

    Raises:
        AnnotationError: the table is unreadable, lacks a column, has a bad row, or no CHI speaker who may speak.
    """

    def __init__(
        self,
        table: Path,
        seed: int = 0,
        other_children: int = 2,
        women: int = 2,
        men: int = 1,
        casting: Casting = AS_RECORDED,
    ) -> None:
        chosen = {
            voice: [person for person in people if person.speaker_id in casting.speakers]
            for voice, people in read_utterances(table).items()
        }
        rng = np.random.default_rng(seed)
        self._dealt = {voice: [people[k] for k in rng.permutation(len(people))] for voice, people in chosen.items()}
        if not self._dealt["CHI"]:
            who = "no speaker" if casting.speakers == EVERYBODY else "none of the chosen speakers"
            raise AnnotationError(f"{table}: {who} with the voice CHI, so nobody can be the key child; add one")
        self._other_children, self._women, self._men = other_children, women, men
        self._casting = casting
        self._cries = tuple(RecordedUtterance(path, (), "cries", "cry") for path in casting.cries)

    def cast(self, index: int, rng: np.random.Generator) -> Cast:
        """Return the speakers of recording ``index``; ``rng`` decides the number of other children."""
        children = self._deal("CHI", index, 1 + self._other_children)
        others = (children[1:] + self._deal("TEEN", index, 1))[: int(rng.integers(1, self._other_children + 1))]
        women = self._deal("FEM", index, self._women + 1)
        men = self._deal("MAL", index, self._men + 1)

        def changed(people: list[RecordedSpeaker], most: float) -> tuple[RecordedSpeaker, ...]:
            moved, whispers = self._casting.resonance_change, self._casting.whisper_share
            return tuple(
                replace(person, speed=_factor(most, rng), resonances=_factor(moved, rng), whisper_share=whispers)
                for person in people
            )

        key = children[0]
        if self._casting.wearer_share and rng.random() < self._casting.wearer_share:
            key = self._anyone_but({person.speaker_id for person in (*others, *women, *men)}, rng) or key
        (key_child,) = changed([key], self._casting.key_voice_change)
        most = self._casting.voice_change
        return Cast(
            key_child=replace(key_child, cries=self._cries, cry_share=self._casting.cry_share),
            other_children=changed(others, most),
            women=changed(women[: self._women], most),
            men=changed(men[: self._men], most),
            television=changed(women[self._women :] + men[self._men :], most),
        )

    def _anyone_but(self, present: set[str], rng: np.random.Generator) -> RecordedSpeaker | None:
        grown = [
            who for voice in VOICES if voice != "CHI" for who in self._dealt[voice] if who.speaker_id not in present
        ]
        return grown[rng.integers(len(grown))] if grown else None

    def _deal(self, voice: str, index: int, count: int) -> list[RecordedSpeaker]:
        pool = self._dealt[voice]
        count = min(count, len(pool))
        return [pool[(index * count + k) % len(pool)] for k in range(count)]


def _factor(most: float, rng: np.random.Generator) -> float:
    """A factor between 1 - most and 1 + most, in steps of a percent: speeds must resample to the rate exactly."""
    return 1.0 + round(float(rng.uniform(-most, most)), 2) if most else 1.0


def read_utterances(table: Path) -> dict[str, list[RecordedSpeaker]]:
    """Read the speakers of a table by voice, in order of their names.

    Raises:
        AnnotationError: unreadable, a missing column, or a bad row (named).
    """
    read = CsvTable(table)
    missing = [column for column in COLUMNS if column not in read.columns]
    if missing:
        raise AnnotationError(f"{table}: no column {', '.join(missing)}; {', '.join(COLUMNS)} are needed")
    rows = [_check_row(row, f"{table}, line {line}", Path(table).parent) for line, row in read]
    grouped: dict[tuple[str, str], list[RecordedUtterance]] = {}
    for voice, speaker_id, utterance in rows:
        grouped.setdefault((voice, speaker_id), []).append(utterance)
    speakers: dict[str, list[RecordedSpeaker]] = {voice: [] for voice in VOICES}
    for (voice, speaker_id), utterances in sorted(grouped.items()):
        speakers[voice].append(RecordedSpeaker(speaker_id, tuple(utterances)))
    return speakers


def _check_row(row: Mapping[str, str], where: str, folder: Path) -> tuple[str, str, RecordedUtterance]:
    path, speaker, voice, duration, phones = (row[column].strip() for column in COLUMNS)
    if voice not in VOICES:
        raise AnnotationError(f"{where}: voice {voice!r}; one of {', '.join(VOICES)} is needed")
    if not path or not speaker:
        raise AnnotationError(
            f"{where}: {'path' if not path else 'speaker_id'} is empty; fill it in or remove the row"
        )
    if "\0" in path:
        raise AnnotationError(f"{where}: path {path!r} cannot be the name of a file")
    seconds = parse_number(duration) or 0.0
    if not 0 < seconds < math.inf:
        raise AnnotationError(f"{where}: duration_s {duration!r} must be a number of seconds above 0")
    if not (folder / path).is_file():
        raise AnnotationError(f"{where}: {folder / path} does not exist; correct the path or remove the row")
    return voice, speaker, RecordedUtterance(folder / path, tuple(phones.split()), where)
