"""Run of `quality` over recordings: one pass over the audio of each, its result in its record.

Input: audio files, or the recordings of an output folder of `segment`, whose detected voices are then used. Output:
``quality.csv``, ``quality.json`` and ``quality.uem`` in the output folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.channels import Channel, parse_channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.identity import identity_before, require_same
from babyhubert.audio.recording import open_recording
from babyhubert.errors import AudioError
from babyhubert.hashing import fingerprint
from babyhubert.measures.results import RunResults, read_results
from babyhubert.progress import RunProgress
from babyhubert.quality.limits import LIMITS
from babyhubert.quality.minutes import MINUTE, STEP, MinuteChecks
from babyhubert.quality.samples import SampleChecks
from babyhubert.quality.tables import write_tables
from babyhubert.quality.verdict import Assessment, Measured, assess
from babyhubert.runs.folder import RunFolder
from babyhubert.runs.journal import Outcome
from babyhubert.runs.pipeline import OneByOneRun
from babyhubert.runs.provenance import segments_fingerprint
from babyhubert.runs.shard import Shard
from babyhubert.timebase import SAMPLE_RATE

QUALITY = "quality"
"""Command, and name of its files."""

_VERSION = 1
_DECIMALS = 2


class QualityRun(OneByOneRun):
    """Measures recordings, each into its record.

    Args:
        folder: The output folder.
        channel: Choice among several channels; not used with results, which name theirs.
        results: Results of `segment` over the same recordings; None: without voices.
        announced: Durations according to the metadata, seconds, by recording.
    """

    def __init__(
        self,
        folder: RunFolder,
        channel: Channel = "mean",
        results: RunResults | None = None,
        announced: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(folder)
        self._channel = channel
        self._results = results
        self._announced = announced or {}

    def settings(self) -> dict[str, Any]:
        """All settings that affect a result."""
        return {
            "channel": str(self._channel),
            "voices": self._results is not None,
            "limits": asdict(LIMITS),
            "version": _VERSION,
        }

    @property
    def identity(self) -> str:
        """Hash of the settings; results outlive versions of the package, because they cost a pass over all audio."""
        return fingerprint(self.settings())

    def result(self, file: RecordingFile) -> str:
        """Hash of the settings, the announced duration and the voices of a recording."""
        content = {**self.settings(), "announced": self._announced.get(file.recording_id)}
        if self._results is not None:
            segments = self._results.read(file.recording_id).segments
            content["segments"] = segments_fingerprint(segments)
        return fingerprint(content)

    def about(self) -> dict[str, Any]:
        """Content of the tables besides the records."""
        return {"settings": self.settings()}

    def outputs(self, recording_id: str) -> list[Path]:
        """No files: the record holds all that was measured."""
        return []

    def process_one(self, file: RecordingFile, progress: RunProgress) -> None:
        """Measure a recording."""
        self.folder.forget(file.recording_id)
        channel, voices = self._channel, None
        if self._results is not None:
            found = self._results.read(file.recording_id)
            fault = found.audio_fault()
            if fault is not None:
                raise AudioError(fault)
            channel = parse_channel(str(found.record.get("channel") or "mean"))
            voices = _voiced_steps(found.segments.start, found.segments.end, found.samples)
        record = _measure(file, channel, voices, self._announced.get(file.recording_id), progress)
        self.folder.complete(file.recording_id, {**record, "result": self.result(file)})

    def write_tables(self, outcome: Outcome) -> Outcome:
        """``quality.csv``, ``quality.json`` and ``quality.uem``."""
        return write_tables(self.folder, self.about(), outcome)


def open_quality_run(
    output: Path,
    channel: Channel = "mean",
    results: Path | None = None,
    announced: Mapping[str, float] | None = None,
    *,
    device: str = "cpu",
    part: Shard | None = None,
) -> QualityRun:
    """Open a run.

    Args:
        output: Folder of the results.
        channel: Choice among several channels.
        results: Output folder of `segment` whose voices are used; None: without.
        announced: Durations according to the metadata, seconds, by recording.
        device: Not used: there is no model.
        part: The shard; None: all recordings.

    Raises:
        OutputError: ``results`` is not such a folder.
    """
    del device
    opened = None if results is None else read_results(results)
    return QualityRun(RunFolder(output, QUALITY, part), channel, opened, announced)


def measure_recording(
    path: Path,
    channel: Channel = "mean",
    voices: NDArray[np.bool_] | None = None,
    announced_s: float | None = None,
) -> Assessment:
    """Assess one recording, without a folder.

    Args:
        path: The file.
        channel: Choice among several channels.
        voices: True for the steps of 0.1 s with a voice; None: by level.
        announced_s: Duration according to the metadata, seconds; None: unknown.

    Raises:
        AudioError: it cannot be read.
    """
    return _assess(path, channel, voices, announced_s, lambda _: None)[0]


def _measure(
    file: RecordingFile,
    channel: Channel,
    voices: NDArray[np.bool_] | None,
    announced_s: float | None,
    progress: RunProgress,
) -> dict[str, Any]:
    identity = identity_before(file.path)
    assessment, checks, about = _assess(
        file.path, channel, voices, announced_s, lambda count: progress.advance(file.recording_id, count)
    )
    require_same(file.path, identity)
    stretches = {
        kind: [[int(start), int(end)] for start, end in zip(*found, strict=True)]
        for kind, found in assessment.stretches.items()
    }
    return {
        "path": str(file.path),
        "absolute_path": str(file.path.absolute()),
        "audio": identity,
        **about,
        "figures": assessment.figures,
        "findings": [asdict(finding) for finding in assessment.findings],
        "stretches": stretches,
        "minutes": {
            name: [round(value, _DECIMALS) for value in getattr(checks.values, name)]
            for name in ("level", "floor", "speech", "noise", "active")
        },
    }


def _assess(
    path: Path, channel: Channel, voices: NDArray[np.bool_] | None, announced_s: float | None, advance: Any
) -> tuple[Assessment, MinuteChecks, dict[str, Any]]:
    minutes, samples = MinuteChecks(LIMITS, voices), 0
    with open_recording(path, channel) as recording:
        seconds = SampleChecks(recording.info.sample_rate, recording.channel)
        for block in recording.blocks(MINUTE, observer=seconds):
            minutes.add(block.samples)
            samples += len(block.samples)
            advance(len(block.samples))
        about = {
            "duration_s": samples / SAMPLE_RATE,
            "sample_rate": recording.info.sample_rate,
            "channels": recording.info.channels,
            "channel": str(recording.channel),
            "warnings": list(recording.warnings),
        }
    measured = Measured(samples, seconds.finish(), minutes, voices is not None, announced_s)
    return assess(measured, LIMITS), minutes, about


def _voiced_steps(start: NDArray[np.int64], end: NDArray[np.int64], samples: int) -> NDArray[np.bool_]:
    """Steps of 0.1 s that lie within segments for more than half."""
    edges = np.zeros(samples // STEP + 2, dtype=np.int64)
    first, last = (start + STEP // 2) // STEP, (end + STEP // 2) // STEP
    np.add.at(edges, np.minimum(first, len(edges) - 1), 1)
    np.add.at(edges, np.minimum(last, len(edges) - 1), -1)
    return np.cumsum(edges)[:-1] > 0
