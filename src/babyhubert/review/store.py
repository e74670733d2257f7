"""Clips of a folder as a person corrects them: read, and written back at once, in the files that ``sample`` wrote.

A file is written only if it still has the content that was read; so what ELAN or Praat saved meanwhile is never
overwritten. With a name, a person works on copies below ``annotators/<name>/``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from babyhubert.annotation.codes import TIER_NAMINGS, TierNaming
from babyhubert.annotation.columns import Column, columns_beside
from babyhubert.annotation.formats import WrittenRecording, format_of
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.audio.recording import probe
from babyhubert.errors import AnnotationError, BabyHubertError, OutputError
from babyhubert.exchange.clips import SAMPLE_FILE, UNFINISHED, read_json
from babyhubert.exchange.collect import Clip, annotation_file, read_clips
from babyhubert.files import atomic_path, make_folder
from babyhubert.hashing import file_sha256
from babyhubert.review.document import ClipTiers, Document, check_segments
from babyhubert.runs.folder import STATE_FOLDER
from babyhubert.timebase import SAMPLES_PER_MS

UNTOUCHED = "untouched"
STARTED = "started"
DONE_STATE = "done"
DAMAGED = "damaged"
_LOCK_S = 10.0


class ChangedElsewhereError(BabyHubertError):
    """Another program changed the clip's file since it was read."""


@dataclass(frozen=True)
class OpenedClip:
    """A clip as it is on the disk.

    Attributes:
        clip: Its row of ``clips.csv``.
        document: Its annotations.
        version: Hash of the file's content; empty where a person has no file of their own yet.
        stretch: First and last millisecond to annotate, in the clip.
        length_ms: Length of its sound.
        voices: Labels of its lanes.
        read_only: Reason why it cannot be written; empty if it can.
        notice: What the person must know; empty if nothing.
    """

    clip: Clip
    document: Document
    version: str
    stretch: tuple[int, int]
    length_ms: int
    voices: tuple[str, ...]
    read_only: str = ""
    notice: str = ""


class ClipStore:
    """Clips that ``babyhubert sample`` wrote into a folder.

    Args:
        folder: The folder.
        annotator: Name of the person, who then has files of their own; empty: the clips' own files.
        blank: Show unchanged clips without segments.

    Raises:
        AnnotationError: not such a folder, or no name of a person.
    """

    def __init__(self, folder: Path, annotator: str = "", *, blank: bool = False) -> None:
        self.folder = Path(folder)
        self.annotator = annotator
        self.blank = blank
        self._clips = {clip.name: clip for clip in read_clips(self.folder)}
        if not self._clips:
            raise AnnotationError(f"{self.folder}: holds no clips; draw some with 'babyhubert sample'")
        for clip in self._clips.values():
            annotation_file(clip, annotator)
        self._seen: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """Names of the clips, as in ``clips.csv`` and in its order."""
        return list(self._clips)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Columns that segments may have."""
        return columns_beside(self.folder)

    def state(self, name: str) -> str:
        """One word on a clip: untouched, started, done or damaged."""
        try:
            clip = self._clip(name)
            path, version = self._read_from(clip)
            if version in ("", clip.sha256):
                return UNTOUCHED
            if self._seen.get(name, ("", ""))[0] != version:
                done = self._tiers(clip, path).document().is_done
                self._seen[name] = version, DONE_STATE if done else STARTED
        except BabyHubertError:
            return DAMAGED
        return self._seen[name][1]

    def first_open(self) -> str:
        """The first clip that is not done; the first of all where every one is."""
        for name in self.names:
            if self.state(name) != DONE_STATE:
                return name
        return self.names[0]

    def open(self, name: str) -> OpenedClip:
        """Read a clip.

        Raises:
            AnnotationError: no such clip, or its files cannot be read.
            AudioError: its sound cannot.
        """
        clip = self._clip(name)
        path, version = self._read_from(clip)
        length = probe(self.sound(name)).n_samples // SAMPLES_PER_MS
        tiers = self._tiers(clip, path)
        document, notice = tiers.document(), ""
        if self._is_of_others(clip):
            document = Document()
            notice = "Somebody else corrected this clip without a name, so you begin without segments."
        elif self.blank and self._is_untouched(clip):
            document = replace(document, segments=())
        reason = format_of(path).why_not_rewritten(path) or tiers.why_not_rewritten() or ""
        others = tuple(dict.fromkeys(label for _, label in tiers.voices() if label not in VOICE_TYPES))
        voices = (*VOICE_TYPES, *others)
        return OpenedClip(clip, document, version, tiers.stretch, length, voices, reason, notice)

    def version(self, name: str) -> str:
        """Hash of a clip's file, as in :class:`OpenedClip`."""
        return self._read_from(self._clip(name))[1]

    def sound(self, name: str) -> Path:
        """The sound of a clip."""
        return self._clip(name).file.with_suffix(".wav")

    def write(self, name: str, document: Document, version: str) -> str:
        """Store a clip's annotations; its version then.

        Args:
            name: The clip.
            document: Its annotations.
            version: The version that they were made from.

        Raises:
            ChangedElsewhereError: the file has another version now.
            AnnotationError: the file cannot hold them.
            OutputError: it cannot be written.
        """
        with self._alone():
            opened = self.open(name)
            if opened.version != version:
                raise ChangedElsewhereError(
                    f"{name}: another program changed this clip since it was opened here; nothing was overwritten"
                )
            if opened.read_only:
                raise AnnotationError(f"{name}: correct this clip in the program that wrote it: {opened.read_only}")
            clip = opened.clip
            source, _ = self._read_from(clip)
            tiers = self._tiers(clip, source)
            check_segments(document.segments, opened.length_ms, tiers, name)
            if not document.is_done:
                document = replace(document, status=UNFINISHED)
            path = annotation_file(clip, self.annotator)
            _write(path, source, tiers.with_document(document, self._naming), clip, self.sound(name), opened.length_ms)
            return file_sha256(path)

    @cached_property
    def _naming(self) -> TierNaming:
        about = read_json(self.folder / SAMPLE_FILE)
        settings: Any = about.get("settings") if isinstance(about, dict) else None
        named = settings.get("naming") if isinstance(settings, dict) else None
        return next((naming for naming in TIER_NAMINGS if naming == named), TIER_NAMINGS[0])

    def _clip(self, name: str) -> Clip:
        if name not in self._clips:
            raise AnnotationError(f"{self.folder}: has no clip {name[:200]!r}")
        return self._clips[name]

    def _read_from(self, clip: Clip) -> tuple[Path, str]:
        """The file that holds the annotations now, and its version."""
        own = annotation_file(clip, self.annotator)
        path = own if own.is_file() else clip.file
        try:
            content = file_sha256(path)
        except OSError as error:
            raise AnnotationError(f"{path}: cannot be read ({error.strerror or error}); restore it") from error
        return path, content if path == own else ""

    def _is_untouched(self, clip: Clip) -> bool:
        _, version = self._read_from(clip)
        return version in ("", clip.sha256)

    def _is_of_others(self, clip: Clip) -> bool:
        """True if the file to begin with holds corrections, which another person must not see."""
        path, version = self._read_from(clip)
        return bool(self.annotator) and not version and file_sha256(path) != clip.sha256

    def _tiers(self, clip: Clip, path: Path) -> ClipTiers:
        stretch = (clip.onset - clip.audio_onset, clip.offset - clip.audio_onset)
        return ClipTiers.of(format_of(path).read_tiers(path, clip.recording_id), stretch, self.columns)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold what else writes into the folder by this page, of this process and of others."""
        state = make_folder(self.folder / STATE_FOLDER / "review")
        lock = FileLock(state / "lock", timeout=_LOCK_S)
        try:
            with self._lock, lock:
                yield
        except Timeout:
            raise OutputError(f"{self.folder}: another program holds {state / 'lock'}; try again") from None


def _write(path: Path, source: Path, tiers: tuple[Any, ...], clip: Clip, sound: Path, length_ms: int) -> None:
    recording = WrittenRecording(
        clip.recording_id, Segments.empty(), length_ms * SAMPLES_PER_MS, sound, columns=(), base=source
    )
    with atomic_path(path, durable=True) as temporary:
        format_of(path).write_tiers(temporary, tiers, recording)
