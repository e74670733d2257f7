"""Robustness tests of a voice-type model, on sounds and a scene made from a seed, or on recordings that are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals
from babyhubert.annotation.table_columns import SPEAKERS
from babyhubert.audio.acoustics import decibels
from babyhubert.audio.discovery import RecordingFile, discover
from babyhubert.audio.recording import open_recording, warn_of_reading
from babyhubert.errors import AnnotationError, AudioError
from babyhubert.evaluation.robustness import (
    alarms_in_clips,
    false_alarms,
    in_a_quiet_room,
    join_peaks,
    near_voices,
    start_shifts,
)
from babyhubert.evaluation.robustness_presentation import RobustnessResult
from babyhubert.material.settings import DataSource
from babyhubert.material.sources import column_of, read_source
from babyhubert.simulation.utterances import Utterance
from babyhubert.tasks.voice_type.prediction import VoiceTypeClassifier
from babyhubert.timebase import FRAME_HOP, SAMPLE_RATE, frame_count

MOST_CLIP_S = 60
"""Length of the tested beginning of each recorded sound."""

_VOICE_COLUMNS = ("voice", "label", "speaker_type")
_VOICES = {"CHI": "CHI", "KCHI": "CHI", "OCH": "CHI", "TEEN": "TEEN", "FEM": "FEM", "MAL": "MAL"}
_MOST_SPEAKERS, _MOST_UTTERANCES = 12, 5
_NEAR_DBFS = -20.0


def run_robustness(
    model: VoiceTypeClassifier,
    *,
    recording: Path | None,
    seconds: float,
    level_dbfs: float,
    seed: int,
    sounds: Path | None = None,
    utterances: Path | None = None,
) -> RobustnessResult:
    """Test a model with its windows, thresholds and rules.

    Args:
        model: The model.
        recording: Recording of the window test; a simulated scene if absent.
        seconds: Length of each sound, and maximum length of the recording.
        level_dbfs: RMS level of the synthesised sounds.
        seed: Seed of sounds and scene.
        sounds: Folder of recordings without speech, with one sub-folder per kind.
        utterances: Table of utterances, as for training, for the near-voice test; see :func:`speakers_of`.

    Raises:
        AudioError: a recording cannot be read, or is too short to begin later.
        AnnotationError: the table of utterances is invalid.
    """
    audio = _scene(seconds, seed) if recording is None else _beginning(recording, seconds)
    name = f"a simulated scene (seed {seed})" if recording is None else str(recording)
    hop = model.settings.plan.hop // FRAME_HOP
    shifts = sorted({1, max(hop // 4, 1), max(hop // 2, 1), hop})
    if frame_count(len(audio)) <= hop:
        raise AudioError(f"{name}: {len(audio) / SAMPLE_RATE:.2f} s are too short; more than {hop * 0.02:g} s needed")
    recorded = {} if sounds is None else kinds_of(sounds)
    people = {} if utterances is None else speakers_of(utterances)
    alarms = false_alarms(model, seconds, level_dbfs, seed)
    for kind, files in recorded.items():
        alarms += alarms_in_clips(model, kind, [_beginning(file.path, MOST_CLIP_S) for file in files], seed)
    return RobustnessResult(
        model.labels,
        alarms,
        start_shifts(model, audio, shifts),
        join_peaks(model, audio, hop),
        hop,
        name,
        [near_voices(model, voice, _monologues(speakers, seed)) for voice, speakers in people.items()],
    )


def kinds_of(folder: Path) -> dict[str, list[RecordingFile]]:
    """Recordings by their sub-folder; those directly in the folder by its name.

    Raises:
        AudioError: no such folder, or no recordings in it.
    """
    kinds: dict[str, list[RecordingFile]] = {}
    for file in discover([folder]):
        kind, _, rest = file.recording_id.partition("/")
        kinds.setdefault(kind if rest else folder.resolve().name, []).append(file)
    return kinds


@dataclass(frozen=True)
class Spoken:
    """An utterance in its recording: file, first sample, sample after the last (None: to its end), and its row."""

    path: Path
    start: int
    end: int | None
    where: str


def speakers_of(table: Path) -> dict[str, list[list[Spoken]]]:
    """Utterances of each speaker of a table, by voice.

    Args:
        table: Any table of material for training: recordings, times or none (each recording is an utterance), voices
            in a column ``voice``, ``label`` or ``speaker_type``, and speakers (without them, each recording has one).

    Raises:
        AnnotationError: the table is invalid, or has no such voice.
    """
    people: dict[tuple[str, str], list[Spoken]] = {}
    for recording in read_source(DataSource(path=str(table))):
        for row in recording.rows:
            voice = _VOICES.get(column_of(row.fields, _VOICE_COLUMNS, row.where))
            speakers = (row.fields[name] for name in SPEAKERS if row.fields.get(name))
            if voice is not None:
                spoken = Spoken(recording.file.path, row.start, row.end, row.where)
                people.setdefault((voice, next(speakers, recording.file.recording_id)), []).append(spoken)
    if not people:
        raise AnnotationError(f"{table}: no row has one of the voices {', '.join(_VOICES)}")
    found: dict[str, list[list[Spoken]]] = {}
    for voice in dict.fromkeys(_VOICES.values()):
        own = [utterances for (of, _), utterances in sorted(people.items()) if of == voice]
        found |= {voice: own} if own else {}
    return found


def _read(spoken: Spoken) -> Utterance:
    """The sound of an utterance, trimmed.

    Raises:
        AudioError: unreadable, or silent.
    """
    with open_recording(spoken.path) as recording:
        end = recording.n_samples if spoken.end is None else min(spoken.end, recording.n_samples)
        waveform = recording.read(min(spoken.start, end), end)
    try:
        return Utterance.from_clean(waveform, ())
    except ValueError as error:
        raise AudioError(f"{spoken.where}: the utterance in {spoken.path} is silent; remove it") from error


def _monologues(speakers: Sequence[Sequence[Spoken]], seed: int) -> list[tuple[NDArray[np.float32], Intervals]]:
    """Some utterances of each speaker one after the other, at the microphone in a quiet room."""
    found = []
    for number, speaker in enumerate(speakers[:_MOST_SPEAKERS]):
        pieces, starts, ends, at = [], [], [], 0
        for utterance in map(_read, speaker[:_MOST_UTTERANCES]):
            start, end = utterance.spans
            starts.append(start + at)
            ends.append(end + at)
            pause = np.zeros(SAMPLE_RATE // 2, dtype=np.float32)
            pieces += [utterance.waveform * decibels(_NEAR_DBFS), pause]
            at += len(utterance.waveform) + len(pause)
        loudest = max(float(np.abs(piece).max()) for piece in pieces)
        spoken = np.concatenate(pieces) * np.float32(min(1.0, 1 / loudest))
        audio, first = in_a_quiet_room(spoken, np.random.default_rng([seed, number]))
        found.append((audio, (np.concatenate(starts) + first, np.concatenate(ends) + first)))
    return found


def _beginning(path: Path, seconds: float) -> NDArray[np.float32]:
    with open_recording(path) as recording:
        beginning = recording.read(0, min(round(seconds * SAMPLE_RATE), recording.n_samples))
        warn_of_reading(recording)
        return beginning


def _scene(seconds: float, seed: int) -> NDArray[np.float32]:
    from babyhubert.simulation.scene import SceneConfig, simulate_scene
    from babyhubert.simulation.voices import SyntheticVoices

    scene = simulate_scene(SceneConfig(minutes=seconds / 60), SyntheticVoices(), np.random.default_rng(seed))
    return scene.render().waveform
