"""Where speech may be, in every recording of an inventory.

Sources: annotations that exist, a voice-type model, silero-vad, or none at all (whole recordings, for clips that are
nothing but speech). A threshold too high loses the children first: defaults favour recall, because what a region
wrongly holds costs some pre-training on noise, and what it lacks is never seen. Recordings are independent; one that
fails is reported, and a run that was stopped goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from babyhubert.annotation.frames import frames_to_segments
from babyhubert.annotation.intervals import Intervals, close_gaps, total
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.tables import read_annotations
from babyhubert.audio.recording import open_recording
from babyhubert.config import Config
from babyhubert.corpus.inventory import InventoryRow, StepSummary, one_line, read_inventory
from babyhubert.corpus.silero import STEP, SileroDetector
from babyhubert.corpus.spans import write_spans
from babyhubert.errors import ConfigError, CorpusError, DiskFullError
from babyhubert.inference.recordings import NoProgress, RunProgress
from babyhubert.inference.run_folder import RunFolder, fingerprint
from babyhubert.timebase import SAMPLE_RATE, seconds_to_samples

REGIONS = "regions.parquet"

Detector = Callable[[InventoryRow], Intervals]


class RegionSettings(Config):
    """``[regions]``.

    Attributes:
        source: ``whole``, ``annotations``, ``model`` or ``silero``.
        path: The annotations (RTTM, CSV or LENA .its; a file, or a folder of them), or the voice-type model (without
            it: the small one that comes with the package).
        labels: Labels of annotations, or classes of the model, that count as speech; none given: all.
        threshold: Probability above which a frame is speech (model and silero).
        pad_s: Seconds added on both sides of every region.
        device: Where a model runs.
    """

    source: Literal["whole", "annotations", "model", "silero"] = "whole"
    path: str | None = None
    labels: list[str] | None = None
    threshold: float = Field(default=0.2, gt=0, lt=1)
    pad_s: float = Field(default=0.1, ge=0)
    device: str = "auto"


def find_regions(
    corpus: Path, settings: RegionSettings, *, force: bool = False, progress: RunProgress | None = None
) -> StepSummary:
    """Find regions in every recording of the inventory and write ``regions.parquet``.

    Raises:
        ConfigError: settings that contradict each other.
        CorpusError: no inventory; annotations and recordings that have not one id in common.
        OutputError: another run is writing here.
    """
    progress = progress or NoProgress()
    rows = read_inventory(corpus)
    detect, source, notes = _detector(settings, rows)
    key = fingerprint({"settings": json.loads(settings.model_dump_json(exclude={"device"})), "source": source})
    folder = RunFolder(corpus, "regions")
    failures: list[tuple[Path, str]] = []
    regions: dict[str, Intervals] = {}
    with folder:
        known = {row.recording_id: _known(folder, row, key) for row in rows}
        wanted = [row for row in rows if force or known[row.recording_id] is None]
        progress.start(len(wanted), sum(row.samples for row in wanted), len(rows) - len(wanted))
        for row in rows:
            found = None if force else known[row.recording_id]
            if found is None:
                found, error = _detect(detect, row, settings)
                progress.advance(row.recording_id, row.samples)
                progress.done(row.recording_id, error)
                if error is not None:
                    failures.append((row.path, error))
                    folder.forget(row.recording_id)
                    continue
                folder.complete(row.recording_id, _record(row, key, found))
            regions[row.recording_id] = found
        folder.write_failures(failures)
        write_spans(corpus / REGIONS, regions)
    hours_in = sum(row.samples for row in rows) / SAMPLE_RATE / 3600
    hours_out = sum(total(*found) for found in regions.values()) / SAMPLE_RATE / 3600
    facts = {
        "regions": sum(len(start) for start, _ in regions.values()),
        "recordings without any": sum(not len(start) for start, _ in regions.values()),
        **notes,
    }
    return StepSummary(len(regions), failures, hours_in, hours_out, facts)


def _detect(detect: Detector, row: InventoryRow, settings: RegionSettings) -> tuple[Intervals, str | None]:
    nothing = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    try:
        row.require_unchanged()
        start, end = detect(row)
    except DiskFullError:
        raise
    except Exception as error:  # one bad recording never stops the others
        return nothing, one_line(row.path, error)
    pad = seconds_to_samples(settings.pad_s) if settings.source != "whole" else 0
    return close_gaps(np.clip(start - pad, 0, row.samples), np.clip(end + pad, 0, row.samples)), None


def _detector(settings: RegionSettings, rows: list[InventoryRow]) -> tuple[Detector, str, dict[str, int]]:
    """How to find regions, what identifies that, and figures for people."""
    if settings.source == "whole":
        return lambda row: (np.array([0]), np.array([row.samples])), "whole", {}
    if settings.source == "annotations":
        return _annotated(settings, rows)
    if settings.source == "model":
        return (*_model(settings), {})
    return (*_silero(settings), {})


def _annotated(settings: RegionSettings, rows: list[InventoryRow]) -> tuple[Detector, str, dict[str, int]]:
    if settings.path is None:
        raise ConfigError("regions from annotations need to know where they are (--annotations, or regions.path)")
    annotations = _by_recording(read_annotations(Path(settings.path)), rows)
    named = [row for row in rows if row.recording_id in annotations]
    if not named:
        raise CorpusError(
            f"{settings.path}: annotates none of the {len(rows)} recordings of the inventory, such as "
            f"'{rows[0].recording_id}'; names must agree"
        )

    def regions_of(row: InventoryRow) -> Intervals:
        if row.recording_id not in annotations:
            raise CorpusError(f"{row.path}: not annotated in {settings.path} (an empty file there says 'no speech')")
        found = annotations[row.recording_id]
        if settings.labels is not None:
            found = found.where(np.isin(found.label.astype(str), settings.labels))
        if len(found) and int(found.start.min()) > row.samples:
            raise CorpusError(f"{row.path}: all its annotations lie behind its end; are their times in another unit?")
        return found.intervals()

    content = {name: [part.start.tolist(), part.end.tolist(), list(part.label)] for name, part in annotations.items()}
    return regions_of, fingerprint(content), {"recordings not annotated": len(rows) - len(named)}


def _by_recording(annotations: Mapping[str, Segments], rows: list[InventoryRow]) -> dict[str, Segments]:
    """Annotations by recording id; a bare file name stands for a recording in a folder where it is the only one."""
    bare: dict[str, list[str]] = {}
    for row in rows:
        bare.setdefault(row.recording_id.rpartition("/")[2], []).append(row.recording_id)
    ids = {row.recording_id for row in rows}
    found = {}
    for name, segments in annotations.items():
        candidates = bare.get(name.rpartition("/")[2], [])
        found[name if name in ids or len(candidates) != 1 else candidates[0]] = segments
    return found


def _model(settings: RegionSettings) -> tuple[Detector, str]:
    from babyhubert.inference.voice_type import load_model

    classifier = load_model(settings.path, device=settings.device)
    unknown = set(settings.labels or ()) - set(classifier.labels)
    if unknown:
        raise ConfigError(f"regions.labels: the model has no class {', '.join(sorted(unknown))}")
    columns = [i for i, label in enumerate(classifier.labels) if settings.labels is None or label in settings.labels]

    def regions_of(row: InventoryRow) -> Intervals:
        speech = classifier.scores(row.path)[:, columns] > settings.threshold
        return frames_to_segments(np.any(speech, axis=1))

    return regions_of, classifier.hash


def _silero(settings: RegionSettings) -> tuple[Detector, str]:
    from babyhubert.corpus.shards import file_sha256
    from babyhubert.corpus.silero import package_file

    detector = SileroDetector()

    def regions_of(row: InventoryRow) -> Intervals:
        with open_recording(row.path) as recording:
            speech: NDArray[np.bool_] = detector(recording) > settings.threshold
        edges = np.diff(np.concatenate(([False], speech, [False])).astype(np.int8))
        return np.flatnonzero(edges == 1) * STEP, np.flatnonzero(edges == -1) * STEP

    return regions_of, file_sha256(package_file())


def _known(folder: RunFolder, row: InventoryRow, key: str) -> Intervals | None:
    record = folder.record(row.recording_id)
    if record is None or record.get("fingerprint") != key or record.get("identity") != row.identity:
        return None
    return np.array(record["start"], dtype=np.int64), np.array(record["end"], dtype=np.int64)


def _record(row: InventoryRow, key: str, found: Intervals) -> dict[str, object]:
    start, end = found
    return {"fingerprint": key, "identity": row.identity, "start": start.tolist(), "end": end.tolist()}
