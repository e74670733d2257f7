"""Labels of every frame of a pack, which masked prediction learns to predict.

Both splits are labelled, a shard at a time, while features are still in memory: only uint16 labels are ever written.
Each shard's labels have a record beside them (``shards/00000.json``), so an interrupted run continues and any number
of processes share the shards; ``labels.json`` is written last, by the process that finds all of them complete.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from babyhubert.compute.processes import RankInfo
from babyhubert.config import Config
from babyhubert.corpus.shards import LABELS_FORMAT, Labels, Pack, Shard
from babyhubert.errors import CorpusError, OutputError
from babyhubert.files import remove_leftovers, write_json
from babyhubert.hashing import fingerprint
from babyhubert.progress import NoProgress, RunProgress
from babyhubert.units.batches import samples_in, shards_of, teach
from babyhubert.units.kmeans import KMeans, assign_units
from babyhubert.units.parts import STATE_FOLDER, Parts, alone
from babyhubert.units.teachers import Precision, Teacher, load_teacher
from babyhubert.version import __version__

_FACTS = "labels.json"


class AssignSettings(Config):
    """Settings of labelling.

    Attributes:
        teacher: Its name; the one recorded with the k-means if None. Needed if that was a path that no longer exists.
        precision: Precision of the teacher; the one recorded with the k-means if None.
        device: Device of the teacher and the distances.
        batch_seconds: Most audio in one call of the teacher.
    """

    teacher: str | None = None
    precision: Precision | None = None
    device: str = "auto"
    batch_seconds: Annotated[float, Field(gt=0)] = 60.0


def assign(
    pack: Pack,
    kmeans: KMeans,
    output: Path,
    settings: AssignSettings | None = None,
    *,
    teacher: Teacher | None = None,
    place: RankInfo | None = None,
    progress: RunProgress | None = None,
    replace: bool = False,
) -> Labels | None:
    """Label every frame of a pack.

    Args:
        pack: The material; it may be another one than the k-means was learned from.
        kmeans: The units.
        output: Folder for the labels; a run that stopped in it is continued.
        settings: Settings of labelling.
        teacher: Instead of the one that settings or k-means name.
        place: Rank of this process; from the launcher's environment if None.
        progress: Called with the progress.
        replace: Replace stored labels of another pack or k-means.

    Returns:
        The labels, also if they existed before; None in a process that leaves the last step to another.

    Raises:
        CorpusError: the k-means belongs to another teacher, features are not finite, the pack is damaged.
        ConfigError: an impossible teacher or device.
        OutputError: the folder holds other labels, or cannot be written.
    """
    settings, place, output = settings or AssignSettings(), place or RankInfo.from_environment(), Path(output)
    if teacher is None:
        precision = settings.precision or kmeans.teacher_precision
        teacher = load_teacher(settings.teacher or kmeans.teacher_name, settings.device, precision, place)
    kmeans.require_teacher(teacher)
    work = {"teacher": teacher.identity, "kmeans": kmeans.sha256, "pack": pack.fingerprint}
    parts = Parts(output / "shards", ".u16", fingerprint(work))
    _make_room(output, parts.fingerprint, replace)
    if place.world == 1:
        remove_leftovers(output, "shards", STATE_FOLDER)
    _label_shards(pack, kmeans, teacher, parts, settings.batch_seconds, place, progress or NoProgress())
    with alone(output):
        if parts.missing([shard.number for shard in pack.shards]):
            return None
        facts = _facts(pack, kmeans, teacher, parts)
        if _read(output / _FACTS) != facts:
            write_json(output / _FACTS, facts)
    return Labels.open(output, pack)


def _make_room(output: Path, own: str, replace: bool) -> None:
    """Refuse the ``labels.json`` of other labels in the folder, or remove it."""
    path = output / _FACTS
    if not path.exists():
        return
    found = _read(path)
    if isinstance(found, dict) and found.get("fingerprint") == own:
        return
    if not replace:
        raise OutputError(
            f"{path}: labels of another pack, teacher or k-means; choose another folder or give --replace"
        )
    path.unlink(missing_ok=True)


def _label_shards(
    pack: Pack,
    kmeans: KMeans,
    teacher: Teacher,
    parts: Parts,
    batch_seconds: float,
    place: RankInfo,
    progress: RunProgress,
) -> None:
    mine = shards_of(pack, place)
    missing = parts.missing(mine)
    progress.start(len(missing), samples_in(pack, missing), len(mine) - len(missing))
    centres = torch.from_numpy(kmeans.centres).to(teacher.device)
    for shard in (shard for shard in pack.shards if shard.number in set(missing)):
        rows = _rows_of(pack, shard)
        labels = np.empty(shard.frames, dtype="<u2")
        for batch, features in teach(pack, rows, teacher, batch_seconds):
            units = assign_units(features.flatten(0, 1), centres).view(features.shape[:2]).cpu().numpy()
            for begin, row in zip(pack.frame_offset[batch].tolist(), units, strict=True):
                labels[begin : begin + len(row)] = row
            progress.advance(f"{shard.number:05d}", int(pack.samples[batch].sum()))
        parts.write(shard.number, labels, {"frames": shard.frames})
        progress.done(f"{shard.number:05d}", None)


def _rows_of(pack: Pack, shard: Shard) -> NDArray[np.int64]:
    """Rows of a shard; checks that their frames fill its label file without gap or overlap."""
    rows = pack.rows_of(shard.number)
    ends = np.cumsum(pack.frames[rows])
    filled = int(ends[-1]) if len(rows) else 0
    if filled != shard.frames or not np.array_equal(pack.frame_offset[rows], ends - pack.frames[rows]):
        raise CorpusError(
            f"{pack.folder}: index.parquet and pack.json disagree on the frames of shard {shard.number}; run "
            "'babyhubert corpus pack' again"
        )
    return rows


def _facts(pack: Pack, kmeans: KMeans, teacher: Teacher, parts: Parts) -> dict[str, Any]:
    records = {shard.number: parts.record(shard.number) or {} for shard in pack.shards}
    return {
        "format": LABELS_FORMAT,
        "pack": pack.fingerprint,
        "clusters": kmeans.clusters,
        "teacher": {"name": teacher.name, **teacher.identity},
        "kmeans": kmeans.sha256,
        "frames": int(pack.frames.sum()),
        "fingerprint": parts.fingerprint,
        "shards": [{"number": n, "frames": r["frames"], "sha256": r["sha256"]} for n, r in records.items()],
        "versions": {"babyhubert": __version__, "torch": torch.__version__, "numpy": np.__version__},
    }


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
