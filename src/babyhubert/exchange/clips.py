"""Clips of recordings to annotate: sound, a file for ELAN or Praat to correct, and the list of them.

``<id>_<onset>_<offset>.wav`` (ms) and beside it ``.eaf`` or ``.TextGrid``, sub-folders as in the ids; ``clips.csv``,
written last, gives the position of each clip in its recording; ``sample.json`` the settings of the choice.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.codes import TierNaming
from babyhubert.annotation.columns import write_columns
from babyhubert.annotation.formats import WRITTEN, WrittenRecording
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.annotation.text import CsvTable
from babyhubert.annotation.tiers import Piece, Tier, lay_out
from babyhubert.audio.channels import Channel
from babyhubert.audio.pcm import to_pcm16
from babyhubert.audio.recording import Recording, open_recording
from babyhubert.errors import AnnotationError, BabyHubertError, DiskFullError, OutputError
from babyhubert.exchange.clip_choice import (
    ClipMethod,
    best_starts,
    candidate_starts,
    clips_that_fit,
    doubt_within,
    periodic_starts,
    random_starts,
    recording_generator,
    speech_within,
)
from babyhubert.exchange.recordings import AnnotatedRecording, Failure, Source
from babyhubert.files import (
    atomic_path,
    csv_text,
    exclusive,
    file_identity,
    make_folder,
    path_below,
    remove_leftovers,
    write_json,
    write_text,
)
from babyhubert.frame_store import open_frames
from babyhubert.hashing import file_sha256, fingerprint
from babyhubert.measures.results import audio_fault
from babyhubert.runs.folder import STATE_FOLDER
from babyhubert.runs.provenance import segments_fingerprint
from babyhubert.timebase import SAMPLE_RATE, SAMPLES_PER_MS, ms_to_samples
from babyhubert.version import __version__

CLIP_FORMATS = tuple(name for name, one in WRITTEN.items() if one.tiers)

CLIPS_TABLE = "clips.csv"
SAMPLE_FILE = "sample.json"
COLUMNS = (
    *("clip", "recording_id", "recording_filename", "segment_onset", "segment_offset", "audio_onset"),
    *("method", "seed", "worth", "annotation_sha256"),
)
"""``recording_filename``, ``segment_onset``, ``segment_offset`` (ms) are also written by ChildProject's samplers."""

ANY_VOICE = "any"

TO_DO = "annotate"
"""Text on the tier ``code`` over the stretch to annotate. Any other text there (such as ``done``) changes the file,
and so marks a clip that needs no correction, perhaps a silent one, as annotated.
"""


@dataclass(frozen=True)
class ClipSettings:
    """Settings of choosing and writing clips.

    Attributes:
        method: See :mod:`babyhubert.exchange.clip_choice`.
        clips: Number per recording, fewer if they do not fit.
        length_ms: Length of the stretch to annotate.
        context_ms: Sound before and after it in the clip, for context.
        seed: Seed of random choices.
        voice: For ``high-volubility``: a label, or ``any``.
        format: Kind of the annotation file.
        blank: Leave its tiers empty instead of filling in the source's segments.
        naming: Names of its tiers.
        channel: Choice among several channels.
    """

    method: ClipMethod = "random"
    clips: int = 5
    length_ms: int = 60_000
    context_ms: int = 0
    seed: int = 0
    voice: str = "KCHI"
    format: str = "eaf"
    blank: bool = False
    naming: TierNaming = "aclew"
    channel: Channel = "mean"


@dataclass
class SampleSummary:
    """Result of writing clips.

    Attributes:
        clips: Clips written.
        recordings: Recordings they come from.
        failures: Recordings that could not be read or cut.
        notes: Notes for the user.
        kept: True if nothing was written because an earlier run wrote the same.
    """

    clips: int = 0
    recordings: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kept: bool = False


def sample_clips(source: Source, output: Path, settings: ClipSettings) -> SampleSummary:
    """Choose and write clips of every recording of a source; keep clips of an earlier identical call.

    Raises:
        OutputError: the folder holds clips already, which may have been corrected, or another run is writing there.
        DiskFullError: the disk is full.
    """
    state = make_folder(output / STATE_FOLDER / "sample")
    with exclusive(state / "lock", f"{output}: another run is writing clips here; wait for it or choose another"):
        if (output / CLIPS_TABLE).exists():
            return _kept(source, output, settings)
        _begin(state / "begun.json", output, _about(source, settings))
        summary = _write_clips(source, output, settings)
        (state / "begun.json").unlink()
    return summary


def _begin(marker: Path, output: Path, about: Mapping[str, Any]) -> None:
    """Record the run that is being written, so that clips of an interrupted run are never mixed with others.

    Raises:
        OutputError: the folder has clips of an interrupted run, and this run would choose others.
    """
    content = json.loads(json.dumps(about))
    if marker.exists() and read_json(marker) != content:
        raise OutputError(
            f"{output}: holds clips of a run with other settings that was broken off; repeat that run, or delete its "
            "folder, or choose another"
        )
    write_json(marker, content)
    remove_leftovers(output)


def _kept(source: Source, output: Path, settings: ClipSettings) -> SampleSummary:
    """Result of an earlier run with the same settings and material, if its files are unchanged.

    Raises:
        OutputError: the run was another, or its clips have been corrected.
    """
    material, failures = _Material(), []
    for recording in source.recordings():
        material.add(recording)
        failures += [recording] if isinstance(recording, Failure) else []
    earlier = json.loads(json.dumps(_about(source, settings) | material.as_record()))
    rows = [row for _, row in CsvTable(output / CLIPS_TABLE)]
    if read_json(output / SAMPLE_FILE) != earlier or not all(_is_untouched(output, row) for row in rows):
        raise OutputError(f"{output}: holds clips already, perhaps corrected ones; choose another folder")
    return SampleSummary(len(rows), len({row["recording_id"] for row in rows}), failures, kept=True)


def _is_untouched(output: Path, row: Mapping[str, str]) -> bool:
    try:
        annotation = path_below(output, row.get("clip", ""))
        sound = annotation.with_suffix(".wav")
        return sound.is_file() and annotation.is_file() and file_sha256(annotation) == row.get("annotation_sha256")
    except (BabyHubertError, OSError):
        return False


def read_json(path: Path) -> object:
    """Read a JSON file; None if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


class _Material:
    """Fingerprint of the material of clips, and the names of recordings that failed."""

    def __init__(self) -> None:
        self._parts: list[Any] = []
        self._segments: dict[str, str] = {}
        self.failed: list[str] = []

    def add(self, recording: AnnotatedRecording | Failure) -> None:
        """Add one of the source's recordings."""
        if isinstance(recording, Failure):
            self.failed.append(recording.what)
            return
        audio, segments = recording.audio, recording.segments
        self._segments[recording.recording_id] = segments_fingerprint(segments)
        columns = [list(map(str, values)) for values in segments.columns.values()]
        self._parts.append(
            [
                recording.recording_id,
                None if audio is None else str(audio),
                file_identity(audio) if audio is not None and audio.is_file() else None,
                None if recording.scores is None else file_sha256(recording.scores),
                [list(map(str, segment)) for segment in segments],
                columns,
            ]
        )

    def as_record(self) -> dict[str, Any]:
        """Return the record for ``sample.json``."""
        return {"material": fingerprint(self._parts), "segments": self._segments, "failed": self.failed}


def _write_clips(source: Source, output: Path, settings: ClipSettings) -> SampleSummary:
    summary, rows, material = SampleSummary(notes=source.notes()), [], _Material()
    for recording in source.recordings():
        material.add(recording)
        if isinstance(recording, Failure):
            summary.failures.append(recording)
            continue
        try:
            written = _cut(recording, output, settings, summary.notes)
        except DiskFullError:
            raise
        except BabyHubertError as error:
            summary.failures.append(Failure(recording.recording_id, str(error)))
            material.failed.append(recording.recording_id)
            continue
        rows += written
        summary.recordings += bool(written)
    summary.clips = len(rows)
    if rows:
        write_columns(output, source.columns)
        write_json(output / SAMPLE_FILE, _about(source, settings) | material.as_record())
        write_text(output / CLIPS_TABLE, _format_table(rows))
    return summary


def choose(recording: AnnotatedRecording, duration_ms: int, settings: ClipSettings) -> list[tuple[int, float | None]]:
    """First millisecond of each clip of a recording, and its worth (seconds of speech, bits of entropy).

    Raises:
        AnnotationError: low-confidence clips of a recording without stored frame scores.
    """
    length = settings.length_ms
    count = clips_that_fit(duration_ms, length, settings.clips)
    if not count:
        return []
    rng = recording_generator(settings.seed, recording.recording_id)
    match settings.method:
        case "random":
            return [(int(start), None) for start in random_starts(duration_ms, length, count, rng)]
        case "periodic":
            return [(int(start), None) for start in periodic_starts(duration_ms, length, count, rng)]
        case "high-volubility":
            starts = candidate_starts(duration_ms, length)
            label = None if settings.voice == ANY_VOICE else settings.voice
            worth = speech_within(recording.segments.intervals(label), starts, length)
        case "low-confidence":
            starts = candidate_starts(duration_ms, length)
            worth = doubt_within(_scores(recording), starts, length)
    return [(start, value) for start, value in best_starts(starts, worth, length, count)]


def within(segments: Segments, start: int, stop: int) -> Segments:
    """Segments in ``[start, stop)``, cut at its ends, with times relative to it; columns are kept."""
    keep = (segments.start < stop) & (segments.end > start)
    part = segments.where(keep)
    return Segments(
        np.clip(part.start, start, stop) - start, np.clip(part.end, start, stop) - start, part.label, part.columns
    )


def _cut(
    recording: AnnotatedRecording, output: Path, settings: ClipSettings, notes: list[str]
) -> list[dict[str, Any]]:
    name = recording.recording_id
    if recording.audio is None:
        raise AnnotationError(f"{name}: its audio is not known; name it with --audio")
    remove_leftovers(path_below(output, f"{name}_").parent)
    fault = audio_fault(recording.audio, recording.record)
    if fault is not None and not recording.audio_named:
        raise AnnotationError(fault)
    if fault is not None:
        notes.append(f"{name}: {recording.audio} is another file than was processed; make sure it is the same sound")
    with open_recording(recording.audio, settings.channel) as audio:
        duration = audio.n_samples // SAMPLES_PER_MS
        chosen = choose(recording, duration, settings)
        if len(chosen) < settings.clips:
            notes.append(f"{name}: {len(chosen)} of {settings.clips} clips ({_why_fewer(duration, settings)})")
        return [
            _write_clip(recording, audio, start, output, settings)
            | {"method": settings.method, "seed": settings.seed, "worth": "" if worth is None else f"{worth:.4f}"}
            for start, worth in chosen
        ]


def _write_clip(
    recording: AnnotatedRecording, audio: Recording, onset: int, output: Path, settings: ClipSettings
) -> dict[str, Any]:
    """Write the sound and the annotation file of one clip; return its row of the table."""
    offset = onset + settings.length_ms
    first = max(onset - settings.context_ms, 0)
    last = min(offset + settings.context_ms, audio.n_samples // SAMPLES_PER_MS)
    clip = f"{recording.recording_id}_{onset:08d}_{offset:08d}"
    sound = path_below(output, clip, ".wav")
    samples = audio.read(ms_to_samples(first), ms_to_samples(last))
    if len(samples) < ms_to_samples(offset - first):
        raise AnnotationError(f"{recording.audio}: ends before {offset} ms, where its header says there is more")
    _write_sound(sound, samples)
    kind = WRITTEN[settings.format]
    annotation = path_below(output, clip, kind.suffix)
    known = Segments.empty() if settings.blank else recording.segments
    segments = within(known, ms_to_samples(first), ms_to_samples(last))
    voices = lay_out(segments, recording.recording_id, settings.naming, recording.columns).tiers
    tiers = (Tier("code", (Piece(onset - first, offset - first, TO_DO),)), *voices)
    kind.write_tiers(annotation, tiers, WrittenRecording(clip, segments, len(samples), sound, settings.naming))
    return {
        "clip": annotation.relative_to(output).as_posix(),
        "recording_id": recording.recording_id,
        "recording_filename": f"{recording.recording_id}{Path(str(recording.audio)).suffix}",
        "segment_onset": onset,
        "segment_offset": offset,
        "audio_onset": first,
        "annotation_sha256": file_sha256(annotation),
    }


def _write_sound(path: Path, samples: NDArray[np.float32]) -> None:
    """Write 16 kHz, mono, 16 bits, with the standard library, whose errors distinguish a full disk from others."""
    with atomic_path(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(to_pcm16(samples).tobytes())


def _scores(recording: AnnotatedRecording) -> NDArray[np.float16]:
    if recording.scores is None:
        raise AnnotationError(
            f"{recording.recording_id}: no frame scores were kept, or they are damaged; low-confidence clips need the "
            "output folder of 'babyhubert segment' (run it again)"
        )
    try:
        scores: NDArray[np.float16] = open_frames(recording.scores)
    except (OSError, ValueError, EOFError) as error:
        raise AnnotationError(f"{recording.scores}: damaged frame scores ({error}); run 'segment' again") from error
    return scores


def _why_fewer(duration_ms: int, settings: ClipSettings) -> str:
    room = duration_ms // settings.length_ms
    if room < settings.clips:
        return f"{duration_ms / 1000:.1f} s have no room for more of {settings.length_ms / 1000:g} s"
    if settings.method == "high-volubility" and settings.voice in (ANY_VOICE, *VOICE_TYPES):
        return f"no more {settings.voice} speech"
    return "what is left between those chosen is shorter, or worth nothing"


def _about(source: Source, settings: ClipSettings) -> dict[str, Any]:
    return {
        "command": "sample",
        "babyhubert": __version__,
        "source": str(source.path),
        "model": source.about().get("model"),
        "settings": {key: str(value) if key == "channel" else value for key, value in vars(settings).items()},
    }


def _format_table(rows: Sequence[Mapping[str, Any]]) -> str:
    return csv_text([COLUMNS, *([row.get(name, "") for name in COLUMNS] for row in rows)])
