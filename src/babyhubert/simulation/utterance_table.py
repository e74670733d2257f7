"""Recorded utterances as a source of voices: a CSV of short files, one speaker and one utterance each.

Columns ``path`` (relative to the CSV), ``speaker_id``, ``voice`` (CHI, TEEN, FEM or MAL), ``duration_s`` and
``phones`` (IPA, space separated; may be empty; ``?`` where unknown); further columns are ignored.
Phones carry no times.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.errors import AnnotationError, AudioError
from babyhubert.simulation.utterances import Cast, Speaker, Utterance
from babyhubert.timebase import SAMPLE_RATE

COLUMNS = ("path", "speaker_id", "voice", "duration_s", "phones")
VOICES = ("CHI", "TEEN", "FEM", "MAL")


@dataclass(frozen=True)
class RecordedUtterance:
    """One row: an audio file, what is said in it, and where the row stands (for messages)."""

    path: Path
    phones: tuple[str, ...]
    origin: str

    def load(self) -> Utterance:
        """Read, mix down to mono, resample to 16 kHz, trim.

        Raises:
            AudioError: unreadable, or silent.
        """
        import soundfile
        import soxr

        try:
            waveform, rate = soundfile.read(self.path, dtype="float32", always_2d=True)
        except (OSError, soundfile.SoundFileError) as error:
            raise AudioError(
                f"{self.origin}: {self.path} cannot be read ({error}); repair or remove the row"
            ) from error
        mono: NDArray[np.float32] = waveform.mean(axis=1)
        if rate != SAMPLE_RATE:
            mono = soxr.resample(mono, rate, SAMPLE_RATE).astype(np.float32)
        try:
            return Utterance.from_clean(mono, self.phones)
        except ValueError as error:
            raise AudioError(f"{self.origin}: {self.path} is silent; remove the row") from error


@dataclass(frozen=True)
class RecordedSpeaker:
    """A person of whom some utterances are at hand; they come in random order."""

    speaker_id: str
    utterances: tuple[RecordedUtterance, ...]

    def utter(self, rng: np.random.Generator, *, to_child: bool = False) -> Utterance:
        """Any of the utterances: whom they were meant for is not known."""
        del to_child
        return self.utterances[rng.integers(len(self.utterances))].load()


@dataclass(frozen=True)
class SpeakerChoice:
    """Who of a table may speak; speakers kept apart make training and test scenes that share nobody.

    Attributes:
        only: These alone; None: everybody.
        without: Not these.
    """

    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def __contains__(self, speaker_id: str) -> bool:
        return (self.only is None or speaker_id in self.only) and speaker_id not in self.without


EVERYBODY = SpeakerChoice()


def read_speaker_ids(table: Path) -> frozenset[str]:
    """Names in the column ``speaker_id`` of a CSV.

    Raises:
        AnnotationError: unreadable, or no such column.
    """
    with _csv_reader(table) as reader:
        if "speaker_id" not in (reader.fieldnames or ()):
            raise AnnotationError(f"{table}: no column speaker_id, which says who is meant")
        return frozenset(name for row in reader if (name := (row["speaker_id"] or "").strip()))


class RecordedVoices:
    """Deals the speakers of a table out to recordings: neighbours share nobody as long as there are enough.

    CHI speakers become key children and other children, TEEN speakers other children, FEM and MAL speakers the adults
    (and the television). A person is key child here and other child there only in different recordings.

    Args:
        table: The CSV.
        seed: Order in which speakers are dealt out.
        other_children: Other children of a recording, at most.
        women: Women of a recording, at most.
        men: Men of a recording, at most.
        speakers: Who may speak.

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
        speakers: SpeakerChoice = EVERYBODY,
    ) -> None:
        chosen = {
            voice: [person for person in people if person.speaker_id in speakers]
            for voice, people in read_utterances(table).items()
        }
        rng = np.random.default_rng(seed)
        self._dealt = {voice: [people[k] for k in rng.permutation(len(people))] for voice, people in chosen.items()}
        if not self._dealt["CHI"]:
            who = "no speaker" if speakers == EVERYBODY else "none of the chosen speakers"
            raise AnnotationError(f"{table}: {who} with the voice CHI, so nobody can be the key child; add one")
        self._other_children, self._women, self._men = other_children, women, men

    def cast(self, index: int, rng: np.random.Generator) -> Cast:
        """People of recording ``index``; ``rng`` decides how many other children are at home."""
        children = self._deal("CHI", index, 1 + self._other_children)
        others = (children[1:] + self._deal("TEEN", index, 1))[: int(rng.integers(1, self._other_children + 1))]
        women = self._deal("FEM", index, self._women + 1)
        men = self._deal("MAL", index, self._men + 1)
        return Cast(
            key_child=children[0],
            other_children=tuple(others),
            women=tuple(women[: self._women]),
            men=tuple(men[: self._men]),
            television=tuple(women[self._women :] + men[self._men :]),
        )

    def _deal(self, voice: str, index: int, count: int) -> list[Speaker]:
        pool = self._dealt[voice]
        count = min(count, len(pool))
        return [pool[(index * count + k) % len(pool)] for k in range(count)]


def read_utterances(table: Path) -> dict[str, list[RecordedSpeaker]]:
    """Speakers of a table by voice, in order of their names.

    Raises:
        AnnotationError: unreadable, a missing column, or a bad row (named).
    """
    with _csv_reader(table) as reader:
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise AnnotationError(f"{table}: no column {', '.join(missing)}; {', '.join(COLUMNS)} are needed")
        rows = [_check_row(row, f"{table}, line {reader.line_num}", Path(table).parent) for row in reader]
    grouped: dict[tuple[str, str], list[RecordedUtterance]] = {}
    for voice, speaker_id, utterance in rows:
        grouped.setdefault((voice, speaker_id), []).append(utterance)
    speakers: dict[str, list[RecordedSpeaker]] = {voice: [] for voice in VOICES}
    for (voice, speaker_id), utterances in sorted(grouped.items()):
        speakers[voice].append(RecordedSpeaker(speaker_id, tuple(utterances)))
    return speakers


@contextmanager
def _csv_reader(table: Path) -> Iterator[csv.DictReader[str]]:
    """Rows of a CSV, read while it is open; what goes wrong with the file names it."""
    try:
        with Path(table).open(encoding="utf-8-sig", newline="") as file:
            yield csv.DictReader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AnnotationError(f"{table}: cannot be read as a UTF-8 CSV ({error})") from error


def _check_row(row: Mapping[str, str | None], where: str, folder: Path) -> tuple[str, str, RecordedUtterance]:
    path, speaker, voice, duration, phones = ((row[column] or "").strip() for column in COLUMNS)
    if voice not in VOICES:
        raise AnnotationError(f"{where}: voice {voice!r}; one of {', '.join(VOICES)} is needed")
    if not path or not speaker:
        raise AnnotationError(
            f"{where}: {'path' if not path else 'speaker_id'} is empty; fill it in or remove the row"
        )
    try:
        seconds = float(duration)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise AnnotationError(f"{where}: duration_s {duration!r} must be a number of seconds above 0")
    if not (folder / path).is_file():
        raise AnnotationError(f"{where}: {folder / path} does not exist; correct the path or remove the row")
    return voice, speaker, RecordedUtterance(folder / path, tuple(phones.split()), where)
