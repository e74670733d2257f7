"""Scenes on disk: audio, and the truth in the files that the rest of the package reads.

::

    OUT/simulation.json      settings, seed, version: what it takes to make the same again
    OUT/audio/<id>.wav       16 kHz mono, 16 bits (or .flac)
    OUT/rttm/<id>.rttm       who speaks when
    OUT/segments.csv         the same with speaker, addressee and a child's manner of vocalising
    OUT/phonemes.csv         one row an utterance: what is said, in IPA, with times where they are known
    OUT/recordings.csv       written last: its presence says that the rest is complete

All times are whole milliseconds by construction, so the files say exactly what the scene knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.annotation.intervals import total
from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.table_columns import TRUTH
from babyhubert.audio.names import rttm_uri
from babyhubert.errors import ConfigError, OutputError
from babyhubert.files import (
    atomic_path,
    csv_text,
    make_folder,
    path_below,
    remove_leftovers,
    require_safe_name,
    write_json,
    write_text,
)
from babyhubert.simulation.scene import Scene, SceneConfig, Turn, simulate_scene, turns_to_segments
from babyhubert.simulation.utterance_table import AS_RECORDED, Casting, RecordedVoices
from babyhubert.simulation.utterances import Voices
from babyhubert.simulation.voices import SyntheticVoices
from babyhubert.timebase import SAMPLE_RATE, format_seconds
from babyhubert.version import __version__

AUDIO_FORMATS = ("wav", "flac")
Progress = Callable[[str, int], None]
"""Called with the recording id and how many more samples of it are written."""

SEGMENT_COLUMNS = (*TRUTH.columns, "speaker_id", "addressee", "vocalisation")
PHONEME_COLUMNS = (*TRUTH.columns[:3], "speaker_id", "label", "phones", "phone_times")
RECORDING_COLUMNS = ("recording_id", "path", "duration_s", "labelled_speech_s", "clipped_samples")


def write_scenes(
    output: Path,
    *,
    recordings: int,
    minutes: float,
    seed: int,
    utterances: Path | None = None,
    casting: Casting = AS_RECORDED,
    prefix: str = "scene",
    progress: Progress | None = None,
    finished: Callable[[str], None] | None = None,
    config: SceneConfig | None = None,
    audio_format: str = "wav",
) -> list[str]:
    """Simulate recordings into a folder. The same arguments give the same files.

    Args:
        output: Folder to fill; new, or one that an earlier call with the same settings filled.
        recordings: Number of recordings. Recording k of a seed does not depend on it.
        minutes: Length of each.
        seed: Seed of everything, at least 0.
        utterances: CSV of recorded utterances; synthetic voices when absent.
        casting: Selection of their speakers, and changes of their voices.
        prefix: Ids are ``<prefix>_000``, ``<prefix>_001`` ...
        progress: Called for every block written.
        finished: Called with the id of every complete recording.
        config: Settings of the scenes; ``minutes`` is replaced.
        audio_format: ``"wav"`` (16-bit PCM) or ``"flac"``.

    Returns:
        The recording ids.

    Raises:
        ConfigError: an impossible setting.
        OutputError: the folder has other content, or cannot be written.
        AnnotationError: the table of utterances is invalid.
    """
    if recordings < 1 or seed < 0:
        raise ConfigError(f"recordings = {recordings}, seed = {seed}: at least one recording and a seed from 0 up")
    if not prefix or prefix != rttm_uri(prefix) or prefix != Path(prefix).name:
        raise ConfigError(f"prefix = {prefix!r}: a name without white space and slashes is needed")
    if audio_format not in AUDIO_FORMATS:
        raise ConfigError(f"audio_format = {audio_format!r}: one of {', '.join(AUDIO_FORMATS)}")
    if utterances is None and casting != AS_RECORDED:
        raise ConfigError("speakers and changed voices need a table of utterances; synthetic voices are drawn")
    require_safe_name(f"{prefix}_000", ".parquet")
    config = replace(config or SceneConfig(), minutes=minutes)
    voices: Voices = SyntheticVoices() if utterances is None else RecordedVoices(utterances, seed, casting=casting)
    settings = {
        "babyhubert": __version__,
        "recordings": recordings,
        "seed": seed,
        "prefix": prefix,
        "voices": "synthetic" if utterances is None else str(utterances),
        "only_speakers": None if casting.speakers.only is None else sorted(casting.speakers.only),
        "without_speakers": sorted(casting.speakers.without),
        "voice_change": casting.voice_change,
        "key_voice_change": casting.key_voice_change,
        "resonance_change": casting.resonance_change,
        "whisper_share": casting.whisper_share,
        "wearer_share": casting.wearer_share,
        "cries": [str(path) for path in casting.cries],
        "cry_share": casting.cry_share,
        "audio_format": audio_format,
        "scene": asdict(config),
    }
    _claim(output, settings)
    ids = [f"{prefix}_{index:03d}" for index in range(recordings)]
    _write_tables(output, ids, config, voices, seed, audio_format, progress, finished)
    return ids


def write_scene(
    scene: Scene, audio: Path, *, audio_format: str = "wav", progress: Callable[[int], None] | None = None
) -> tuple[list[Turn], int]:
    """Stream one scene into an audio file.

    Returns:
        Its turns (without waveforms), and the number of samples at full scale.

    Raises:
        OutputError: the file cannot be written.
    """
    import soundfile

    turns: list[Turn] = []
    clipped = 0
    with atomic_path(audio) as temporary:
        try:
            with soundfile.SoundFile(
                temporary, "w", SAMPLE_RATE, 1, format=audio_format.upper(), subtype="PCM_16"
            ) as file:
                for block in scene.blocks():
                    file.write(block.waveform)
                    clipped += int(np.count_nonzero(np.abs(block.waveform) >= 1.0))
                    turns += [_without_sound(turn) for turn in block.turns]
                    if progress is not None:
                        progress(len(block.waveform))
        except soundfile.SoundFileError as error:
            raise OutputError(f"{audio}: cannot be written ({error}); is the disk full?") from error
    return turns, clipped


def _without_sound(turn: Turn) -> Turn:
    """Drop the waveform of a turn: those of a day would not fit in memory."""
    nothing = np.empty(0, dtype=np.float32)
    silent = replace(turn.utterance, waveform=np.broadcast_to(np.float32(0), len(turn.utterance.waveform)))
    return replace(turn, waveform=nothing, utterance=silent)


def _claim(output: Path, settings: dict[str, Any]) -> None:
    """Mark the folder as this simulation's, or refuse to mix two simulations."""
    marker = output / "simulation.json"
    make_folder(output)
    if marker.is_file():
        try:
            earlier = json.loads(marker.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            earlier = None
        if earlier != json.loads(json.dumps(settings)):
            raise OutputError(f"{output}: holds a simulation with other settings; delete it or give another folder")
        (output / "recordings.csv").unlink(missing_ok=True)
    elif (output / "audio").exists() or (output / "rttm").exists():
        raise OutputError(f"{output}: holds other recordings; give a folder of its own to the simulation")
    remove_leftovers(output, "audio", "rttm")
    write_json(marker, settings)


def _write_tables(
    output: Path,
    ids: Sequence[str],
    config: SceneConfig,
    voices: Voices,
    seed: int,
    audio_format: str,
    progress: Progress | None,
    finished: Callable[[str], None] | None,
) -> None:
    segment_rows: list[tuple[str, ...]] = []
    phoneme_rows: list[tuple[str, ...]] = []
    recording_rows: list[tuple[str, ...]] = []
    for index, recording_id in enumerate(ids):
        scene = simulate_scene(config, voices, np.random.default_rng([seed, index]), index)
        audio = path_below(output / "audio", recording_id, f".{audio_format}")
        tell = None if progress is None else partial(progress, recording_id)
        turns, clipped = write_scene(scene, audio, audio_format=audio_format, progress=tell)
        segments = turns_to_segments(turns)
        write_rttm(path_below(output / "rttm", recording_id, ".rttm"), recording_id, segments)
        people = zip(*(segments.columns[name] for name in SEGMENT_COLUMNS[4:]), strict=True) if turns else ()
        segment_rows += [
            (recording_id, format_seconds(start), format_seconds(end), label, *person)
            for (start, end, label), person in zip(segments, people, strict=True)
        ]
        phoneme_rows += [_phoneme_row(recording_id, turn) for turn in turns]
        speech = format_seconds(total(segments.start, segments.end))
        path = audio.relative_to(output).as_posix()
        recording_rows.append((recording_id, path, format_seconds(len(scene)), speech, str(clipped)))
        if finished is not None:
            finished(recording_id)
    _write_csv(output / "segments.csv", SEGMENT_COLUMNS, segment_rows)
    _write_csv(output / "phonemes.csv", PHONEME_COLUMNS, phoneme_rows)
    _write_csv(output / "recordings.csv", RECORDING_COLUMNS, recording_rows)


def _phoneme_row(recording_id: str, turn: Turn) -> tuple[str, ...]:
    """Row of one utterance; ``phone_times`` holds one ``start-end`` in seconds per phone, empty if unknown."""
    said = turn.utterance
    times = ""
    if said.phone_start is not None and said.phone_end is not None:
        pairs = zip((turn.start + said.phone_start).tolist(), (turn.start + said.phone_end).tolist(), strict=True)
        times = " ".join(f"{format_seconds(start)}-{format_seconds(end)}" for start, end in pairs)
    ends = format_seconds(turn.start), format_seconds(turn.end)
    return recording_id, *ends, turn.speaker_id, turn.label, " ".join(said.phones), times


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    write_text(path, csv_text([header, *rows]))
