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

from babyhubert.annotation.columns import write_columns
from babyhubert.annotation.formats import WRITTEN, WrittenRecording
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import CsvTable
from babyhubert.annotation.tiers import Piece, Tier, lay_out
from babyhubert.audio.pcm import to_pcm16
from babyhubert.audio.recording import Recording, open_recording
from babyhubert.errors import AnnotationError, BabyHubertError, DiskFullError, OutputError
from babyhubert.exchange.chosen_clips import ClipSettings, chosen_clips, draw_strata, why_fewer
from babyhubert.exchange.recordings import AnnotatedRecording, Failure, Source
from babyhubert.exchange.strata import Draw
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
    *("method", "seed", "worth", "stratum", "inclusion", "annotation_sha256"),
)
"""``recording_filename``, ``segment_onset``, ``segment_offset`` (ms) are also written by ChildProject's samplers.

``inclusion`` is the probability that a moment is in a clip, of recordings (``random``, ``periodic``) or of the strata
in ``sample.json`` (``stratified``).
"""

TO_DO = "annotate"
"""Text on the tier ``code`` over the stretch to annotate. Any other text there (such as ``done``) changes the file,
and so marks a clip that needs no correction, perhaps a silent one, as annotated.
"""

UNFINISHED = "unfinished"
"""Text there while a person corrects the clip in the page of ``babyhubert review``."""

DONE = "done"
"""Text there when it is annotated from end to end."""


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
    about = read_json(output / SAMPLE_FILE)
    own = {name: value for name, value in about.items() if name in earlier} if isinstance(about, dict) else None
    if own != earlier or not all(_is_untouched(output, row) for row in rows):
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
    drawn = draw_strata(source, settings) if settings.method == "stratified" else None
    for recording in source.recordings():
        material.add(recording)
        if isinstance(recording, Failure):
            summary.failures.append(recording)
            continue
        try:
            written = _cut(recording, output, settings, drawn, summary.notes)
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
        strata = {} if drawn is None else drawn.as_record()
        write_json(output / SAMPLE_FILE, _about(source, settings) | material.as_record() | strata)
        write_text(output / CLIPS_TABLE, _format_table(rows))
    return summary


def within(segments: Segments, start: int, stop: int) -> Segments:
    """Segments in ``[start, stop)``, cut at its ends, with times relative to it; columns are kept."""
    keep = (segments.start < stop) & (segments.end > start)
    part = segments.where(keep)
    return Segments(
        np.clip(part.start, start, stop) - start, np.clip(part.end, start, stop) - start, part.label, part.columns
    )


def _cut(
    recording: AnnotatedRecording, output: Path, settings: ClipSettings, drawn: Draw | None, notes: list[str]
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
        chosen = chosen_clips(recording, duration, settings, drawn)
        if len(chosen) < settings.clips and drawn is None:
            notes.append(f"{name}: {len(chosen)} of {settings.clips} clips ({why_fewer(duration, settings)})")
        about = {"method": settings.method, "seed": settings.seed}
        return [_write_clip(recording, audio, start, output, settings) | about | how for start, how in chosen]


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
