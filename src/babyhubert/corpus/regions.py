"""Search for possible speech in every recording of an inventory.

Sources: existing annotations, a voice-type model, silero-vad, or none at all (complete recordings, for clips that are
entirely speech). A threshold that is too high loses the children first, so defaults favour recall: a region with noise
costs some pre-training time, while speech outside all regions is never used. Recordings are independent; one that
fails is reported, and a run that was stopped continues.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from babyhubert.annotation.intervals import Intervals, close_gaps, total
from babyhubert.annotation.preparation_lists import vad_meaning
from babyhubert.annotation.raster import frames_to_segments
from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.segments import Segments
from babyhubert.audio.channels import parse_channel
from babyhubert.audio.discovery import RecordingFile
from babyhubert.audio.names import RecordingNames
from babyhubert.audio.prefetch import prefetch
from babyhubert.audio.recording import Recording, open_recording
from babyhubert.config import Config
from babyhubert.corpus.inventory import INVENTORY, SCAN, InventoryRow, read_inventory
from babyhubert.corpus.silero import SileroDetector, package_file, speech_runs
from babyhubert.corpus.spans import END_TOLERANCE, write_spans
from babyhubert.corpus.summary import StepSummary, write_summary
from babyhubert.errors import ConfigError, CorpusError, UnsafeNameError
from babyhubert.hashing import file_sha256, fingerprint
from babyhubert.progress import NoProgress, RunProgress
from babyhubert.runs.distribution import IN_PROCESS, Distribution
from babyhubert.runs.folder import RunFolder, reading_warnings, write_failures
from babyhubert.runs.journal import Outcome
from babyhubert.runs.kept import without_damaged
from babyhubert.runs.pipeline import OneByOneRun
from babyhubert.runs.plan import plan_run
from babyhubert.runs.shard import Shard
from babyhubert.runs.streaming import BLOCK_SAMPLES
from babyhubert.timebase import samples_to_hours, seconds_to_samples

REGIONS = "regions.parquet"

FAILURES = "regions-failures.csv"

Detector = Callable[[InventoryRow, Callable[[int], None]], Intervals]
"""Regions of a recording; also calls a function each time a number of further samples has been processed."""

_VERSION = 2
_FEW = 3


class RegionSettings(Config):
    """``[regions]``.

    Attributes:
        source: ``whole``, ``annotations``, ``model`` or ``silero``.
        path: The annotations (RTTM, CSV or LENA .its; a file, or a folder of them), or the voice-type model (without
            it: the small one that comes with the package).
        labels: Labels of annotations, or classes of the model, that count as speech; none: all.
        threshold: Probability above which there is speech (model and silero). A region of silero goes on while the
            probability stays above half of it.
        pad_s: Seconds added on both sides of every region.
        device: Device of the model.
    """

    source: Literal["whole", "annotations", "model", "silero"] = "whole"
    path: str | None = None
    labels: list[str] | None = None
    threshold: float = Field(default=0.2, gt=0, lt=1)
    pad_s: float = Field(default=0.1, ge=0)
    device: str = "auto"


class RegionRun(OneByOneRun):
    """Finds regions in recordings of an inventory, each into its record.

    Args:
        folder: Folder of the corpus.
        settings: Settings of the search.

    Raises:
        ConfigError: settings that contradict each other.
        CorpusError: no inventory; annotations and recordings have no id in common.
    """

    tables_when_broken_off = False  # regions that lack recordings would be taken for those of the whole corpus

    def __init__(self, folder: RunFolder, settings: RegionSettings) -> None:
        super().__init__(folder)
        self.rows = read_inventory(folder.output)
        self._by_id = {row.recording_id: row for row in self.rows}
        self._settings = settings
        self._detect, self._source, self._notes = _detector(settings, self.rows)

    def settings(self) -> dict[str, Any]:
        """Everything that decides a result, the recording aside."""
        settings = json.loads(self._settings.model_dump_json(exclude={"device"}))
        content = {"settings": settings, "source": self._source}
        return {**content, "channel": self.rows[0].channel, "version": _VERSION}

    @property
    def identity(self) -> str:
        """Hash of the settings; results outlive versions of the package."""
        return fingerprint(self.settings())

    def audio_identity(self, file: RecordingFile) -> Mapping[str, Any]:
        """Identity of the recording that was scanned; its file is looked at when it is read."""
        return self._by_id[file.recording_id].identity

    def about(self) -> dict[str, Any]:
        """Content of the tables besides recordings."""
        return {"settings": json.loads(self._settings.model_dump_json(exclude={"device"})), "notes": self._notes}

    def outputs(self, recording_id: str) -> list[Path]:
        """No files: the record holds the regions."""
        return []

    def process_one(self, file: RecordingFile, progress: RunProgress) -> None:
        """Find the regions of a recording."""
        row = self._by_id[file.recording_id]
        self.folder.forget(row.recording_id)
        row.require_unchanged()
        start, end = self._padded(row, self._detect(row, partial(progress.advance, row.recording_id)))
        record = {"result": self.identity, "audio": row.identity, "start": start.tolist(), "end": end.tolist()}
        self.folder.complete(row.recording_id, record)

    def write_tables(self, outcome: Outcome) -> Outcome:
        """``regions.parquet``, ``regions.json`` and ``regions-failures.csv``."""
        return write_tables(self.folder, self.about(), outcome)

    def _padded(self, row: InventoryRow, found: Intervals) -> Intervals:
        start, end = found
        pad = seconds_to_samples(self._settings.pad_s) if self._settings.source != "whole" else 0
        return close_gaps(np.clip(start - pad, 0, row.samples), np.clip(end + pad, 0, row.samples))


def open_region_run(corpus: Path, settings: RegionSettings) -> RegionRun:
    """Open the run in a worker process, without a lock."""
    return RegionRun(RunFolder(corpus, "regions"), settings)


def find_regions(
    corpus: Path,
    settings: RegionSettings,
    *,
    force: bool = False,
    progress: RunProgress | None = None,
    distribution: Distribution = IN_PROCESS,
    part: Shard | None = None,
) -> StepSummary:
    """Find regions in every recording of the inventory.

    Writes ``regions.parquet``, ``regions.json`` and ``regions-failures.csv``. Of several channels, the one that was
    scanned is used. With ``part``, only that shard is done, and none of these files is written (`merge` does).

    Raises:
        ConfigError: settings that contradict each other.
        CorpusError: no inventory; annotations and recordings have no id in common.
        OutputError: another run is writing to this folder.
    """
    run = RegionRun(RunFolder(corpus, "regions", part), settings)
    with run.folder:
        plan = plan_run(part, *_usable(run.folder, run.rows))
        outcome = run.execute_plan(plan, progress or NoProgress(), force=force, distribution=distribution)
        return _summary(run.folder, run.about(), outcome)


def _usable(
    folder: RunFolder, rows: Sequence[InventoryRow]
) -> tuple[list[tuple[RecordingFile, int]], list[tuple[RecordingFile, str]]]:
    """Recordings with their lengths; and recordings whose id cannot name a record, each with the reason."""
    good, bad = [], []
    for row in rows:
        file = RecordingFile(row.recording_id, row.path)
        try:
            folder.record_path(row.recording_id)
            good.append((file, row.samples))
        except UnsafeNameError as error:
            bad.append((file, f"{folder.output / INVENTORY}: {error}"))
    return good, bad


def write_tables(folder: RunFolder, about: Mapping[str, Any], outcome: Outcome) -> Outcome:
    """Write the regions of all recordings, ``regions.json`` and ``regions-failures.csv``.

    Args:
        folder: The folder, locked by the caller.
        about: Result of `RegionRun.about`.
        outcome: Outcome of the run.

    Returns:
        The outcome, recordings whose record is damaged among the failures.
    """
    outcome = without_damaged(folder, outcome, command="corpus regions")
    summary = _summary(folder, about, outcome)
    write_failures(folder.output / FAILURES, outcome.failures)
    write_spans(folder.output / REGIONS, _regions(folder, outcome))
    write_summary(folder.output / "regions.json", about["settings"], summary)
    return outcome


def _summary(folder: RunFolder, about: Mapping[str, Any], outcome: Outcome) -> StepSummary:
    regions = _regions(folder, outcome)
    failed = {path for path, _ in outcome.failures}
    given = {file.path for file in outcome.complete} | failed
    hours_in = samples_to_hours(sum(row.samples for row in read_inventory(folder.output) if row.path in given))
    hours_out = samples_to_hours(sum(total(*found) for found in regions.values()))
    facts = {
        "regions": sum(len(start) for start, _ in regions.values()),
        "recordings without any": sum(not len(start) for start, _ in regions.values()),
        **about["notes"],
    }
    warnings = reading_warnings(folder.output, [SCAN], outcome.complete)
    return StepSummary(len(regions), outcome.failures, hours_in, hours_out, facts, warnings)


def _regions(folder: RunFolder, outcome: Outcome) -> dict[str, Intervals]:
    records = {file.recording_id: folder.record(file.recording_id) for file in outcome.complete}
    return {
        name: (np.array(record["start"], dtype=np.int64), np.array(record["end"], dtype=np.int64))
        for name, record in records.items()
        if record is not None
    }


def _detector(settings: RegionSettings, rows: list[InventoryRow]) -> tuple[Detector, str, dict[str, Any]]:
    """Function that finds regions, its identity, and figures for the summary."""
    if settings.source == "whole":
        return lambda row, _: (np.array([0]), np.array([row.samples])), "whole", {}
    if settings.source == "annotations":
        return _annotated(settings, rows)
    if settings.source == "model":
        return (*_model(settings), {})
    return (*_silero(settings), {})


def _annotated(settings: RegionSettings, rows: list[InventoryRow]) -> tuple[Detector, str, dict[str, Any]]:
    if settings.path is None:
        raise ConfigError("regions from annotations need to know where they are (--path, or regions.path)")
    given = read_annotations(Path(settings.path))
    known = RecordingNames(((row.recording_id, row.recording_id) for row in rows), "fewer")
    named = known.find_each(filter(known.find, given), settings.path, CorpusError)
    annotations = {recording_id: given[name] for name, recording_id in named.items()}
    if not annotations:
        raise CorpusError(
            f"{settings.path}: annotates none of the {len(rows)} recordings of the inventory, such as "
            f"'{rows[0].recording_id}'; names must agree"
        )
    meaning = vad_meaning(Path(settings.path))
    notes: dict[str, Any] = {
        "recordings not annotated": _told([row.recording_id for row in rows if row.recording_id not in annotations]),
        "annotated, but not in the inventory": _told([name for name in given if name not in named]),
        **_chosen_labels(settings, annotations),
        **({} if meaning is None else {"second column of the detector's table read as": meaning}),
    }
    lengths = {row.recording_id: row.samples for row in rows}
    notes["annotations that end behind their recording, and are cut there"] = sum(
        int((found.end > lengths[name] + END_TOLERANCE).sum()) for name, found in annotations.items()
    )

    def regions_of(row: InventoryRow, _: Callable[[int], None]) -> Intervals:
        if row.recording_id not in annotations:
            raise CorpusError(f"{row.path}: not annotated in {settings.path} (an empty file there says 'no speech')")
        found = annotations[row.recording_id]
        if settings.labels is not None:
            found = found.where(np.isin(found.label.astype(str), settings.labels))
        behind = int((found.start >= row.samples).sum())
        if 2 * behind > len(found):
            raise CorpusError(
                f"{row.path}: {behind} of its {len(found)} annotations lie behind its end; are their times in another "
                "unit, or of another recording?"
            )
        return found.intervals()

    return regions_of, _hash(annotations), notes


def _chosen_labels(settings: RegionSettings, annotations: Mapping[str, Segments]) -> dict[str, str]:
    """Requested labels that no annotation has.

    Raises:
        ConfigError: no annotation has any of them.
    """
    there = sorted(set().union(*(set(found.label) for found in annotations.values())))
    absent = [label for label in settings.labels or () if label not in there]
    if settings.labels is not None and there and len(absent) == len(settings.labels):
        raise ConfigError(
            f"regions.labels: {settings.path} has no label {', '.join(absent)}; there are {', '.join(there)}"
        )
    return {"labels that no annotation carries": _told(absent)} if absent else {}


def _told(names: Sequence[str]) -> str:
    """Number of names, and the first of them."""
    return f"{len(names)}" + (f" ({', '.join(names[:_FEW])}{', ...' if len(names) > _FEW else ''})" if names else "")


def _hash(annotations: Mapping[str, Segments]) -> str:
    content = hashlib.sha256()
    for name, found in sorted(annotations.items()):
        content.update(json.dumps([name, len(found), list(found.label)]).encode())
        content.update(found.start.tobytes() + found.end.tobytes())
    return content.hexdigest()[:16]


def _model(settings: RegionSettings) -> tuple[Detector, str]:
    from babyhubert.tasks.voice_type.prediction import SCORE_DTYPE, load_model

    classifier = load_model(settings.path, device=settings.device)
    unknown = set(settings.labels or ()) - set(classifier.labels)
    if unknown:
        raise ConfigError(f"regions.labels: the model has no class {', '.join(sorted(unknown))}")
    columns = [i for i, label in enumerate(classifier.labels) if settings.labels is None or label in settings.labels]

    def regions_of(row: InventoryRow, heard: Callable[[int], None]) -> Intervals:
        with open_recording(row.path, parse_channel(row.channel)) as recording:
            speech = [
                np.any(scores[:, columns].astype(SCORE_DTYPE) > settings.threshold, axis=1)
                for scores in classifier.frames(_heard(recording, heard))
            ]
        return frames_to_segments(np.concatenate([np.zeros(0, dtype=bool), *speech]))

    return regions_of, classifier.hash


def _heard(recording: Recording, heard: Callable[[int], None]) -> Iterator[NDArray[np.float32]]:
    """Samples of a recording, decoded ahead."""
    for block in prefetch(recording.blocks(BLOCK_SAMPLES)):
        heard(len(block.samples))
        yield block.samples


def _silero(settings: RegionSettings) -> tuple[Detector, str]:
    detector = SileroDetector()

    def regions_of(row: InventoryRow, heard: Callable[[int], None]) -> Intervals:
        with open_recording(row.path, parse_channel(row.channel)) as recording:
            return speech_runs(detector(recording, heard), settings.threshold, settings.threshold / 2)

    return regions_of, file_sha256(package_file())
