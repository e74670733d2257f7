"""Checks before hours of computing begin.

The headers of all recordings are read, the length of the job is added up, and the output's disk is checked for space
and write permission. Input: the recordings, the output folder, the bytes on disk for a second of audio. Output: a
:class:`PreflightReport`; bad recordings are listed, not raised, so that one of them does not stop the others.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.recording import RecordingInfo, probe
from babyhubert.errors import AudioError, BabyHubertError, OutputError
from babyhubert.files import require_safe_name
from babyhubert.timebase import SAMPLE_RATE


@dataclass(frozen=True)
class PreflightReport:
    """Recordings that can be processed, and those that cannot.

    Attributes:
        good: Recordings with their headers.
        bad: Recordings that cannot be read, each with a one-line reason.
        warnings: One line each, beginning with the recording's path.
        total_samples: 16 kHz samples of all good recordings.
    """

    good: list[tuple[RecordingFile, RecordingInfo]]
    bad: list[tuple[RecordingFile, str]]
    warnings: tuple[str, ...]
    total_samples: int


def check_recordings(files: Sequence[RecordingFile], output: Path, bytes_per_second: float) -> PreflightReport:
    """Probe every recording and check that the results fit on the output's disk.

    Args:
        files: Recordings.
        output: Folder of the results; need not exist yet.
        bytes_per_second: Bytes on disk of the results of one second of audio.

    Raises:
        OutputError: the output cannot be written, or its disk is too full.
    """
    parent = _nearest_folder(Path(output))
    _require_writable(parent, Path(output))
    good: list[tuple[RecordingFile, RecordingInfo]] = []
    bad: list[tuple[RecordingFile, str]] = []
    for file in files:
        try:
            _require_text(file)
            info = probe(file.path)
            require_safe_name(file.recording_id, ".rttm")
            good.append((file, info))
        except (BabyHubertError, OSError) as error:
            bad.append((file, " ".join(str(error).split())))
    total = sum(info.n_samples for _, info in good)
    _require_space(parent, Path(output), total / SAMPLE_RATE * bytes_per_second)
    warnings = tuple(f"{file.path}: {line}" for file, info in good for line in info.warnings)
    return PreflightReport(good, bad, warnings, total)


def _require_text(file: RecordingFile) -> None:
    """Refuse file names that are not text (bytes of old disks): a table could not name such a recording."""
    try:
        f"{file.recording_id}{file.path}".encode()
    except UnicodeEncodeError:
        raise AudioError(f"{file.path}: the name is not valid UTF-8; rename the file or its folder") from None


def _nearest_folder(output: Path) -> Path:
    """The output or its nearest parent that exists, which must be a folder."""
    for candidate in (output, *output.absolute().parents):
        if candidate.is_dir():
            return candidate
        if candidate.exists() or candidate.is_symlink():
            raise OutputError(f"{output} cannot be a folder: {candidate} is a file; choose another output")
    raise OutputError(f"{output} lies on a disk that does not exist: choose another output")


def _require_writable(parent: Path, output: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{output} cannot be written ({parent}: {reason}): choose another output") from None


def _require_space(parent: Path, output: Path, needed: float) -> None:
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise OutputError(
            f"{output} needs about {_gigabytes(needed)} but its disk has {_gigabytes(free)} free: "
            "free some space or choose another output"
        )


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
