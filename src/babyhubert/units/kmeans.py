"""K-means over a teacher's features: learned from a uniform sample of frames, stored as a small folder.

:func:`fit_units` takes a pack and the name of a teacher, and writes ``OUT/kmeans.safetensors`` (centres) and
``OUT/kmeans.json`` (their origin). Features of the sample are stored shard by shard in ``OUT/.babyhubert/sample``
until then, so an interrupted run continues, and any number of processes (see `training.processes`) share the shards;
the one that finds the sample complete learns the centres.

Published k-means files (``km_model/model_<S>s.pt``) are joblib pickles, which run code when opened. They are not read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import safetensors
import safetensors.numpy
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from babyhubert.compute.processes import RankInfo
from babyhubert.config import Config
from babyhubert.corpus.shards import Pack, read_facts
from babyhubert.errors import ConfigError, CorpusError, MissingExtraError, OutputError
from babyhubert.files import atomic_path, remove_leftovers, write_json
from babyhubert.hashing import file_sha256, fingerprint
from babyhubert.progress import NoProgress, RunProgress
from babyhubert.units.batches import samples_in, shards_of, teach
from babyhubert.units.parts import STATE_FOLDER, Parts, alone
from babyhubert.units.sampling import FrameSample
from babyhubert.units.teachers import Precision, Teacher, load_teacher
from babyhubert.version import __version__

KMEANS_FORMAT = 1
MOST_CLUSTERS = 65_536
"""Limit of the number of units: labels are uint16."""

_CENTRES = "kmeans.safetensors"
_FACTS = "kmeans.json"
_DISTANCES_AT_ONCE = 1 << 24


class FitSettings(Config):
    """Settings of k-means. The defaults are those of the published run, which had no seed.

    Attributes:
        teacher: Its name, see `units.teachers`.
        precision: Precision of the teacher; ``bfloat16`` needs CUDA.
        device: Device of the teacher.
        batch_seconds: Most audio in one call of the teacher.
        frames: Frames k-means learns from, at most.
        memory_gb: Memory for these frames and k-means' own copies, in 10^9 bytes; fewer frames are taken if they do
            not fit. The program itself and the teacher need memory in addition.
        clusters: Number K of units.
        max_iter: Passes over the sample, at most.
        batch_size: Frames in one step of k-means.
        tol: Smallest movement of the centres that counts as one; 0 disables this test.
        max_no_improvement: Steps without a better smoothed inertia after which it ends.
        n_init: Starts (k-means++) that are tried.
        reassignment_ratio: Share of the largest cluster's weight below which a centre is moved elsewhere.
        seed: Seed of the sample and the starts.
    """

    teacher: str
    precision: Precision = "float32"
    device: str = "auto"
    batch_seconds: Annotated[float, Field(gt=0)] = 60.0
    frames: Annotated[int, Field(ge=1)] = 2_000_000
    memory_gb: Annotated[float, Field(gt=0)] = 8.0
    clusters: Annotated[int, Field(ge=2, le=MOST_CLUSTERS)] = 500
    max_iter: Annotated[int, Field(ge=1)] = 100
    batch_size: Annotated[int, Field(ge=1)] = 10_000
    tol: Annotated[float, Field(ge=0)] = 0.0
    max_no_improvement: Annotated[int, Field(ge=1)] = 100
    n_init: Annotated[int, Field(ge=1)] = 20
    reassignment_ratio: Annotated[float, Field(ge=0)] = 0.0
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0

    def capacity(self, dim: int) -> int:
        """Frames of a width that fit into the memory, at most ``frames``.

        K-means itself holds two random subsets of three batches for its starts, their distances to all centres, and
        copies of a batch; each frame costs its features and its key.

        Raises:
            ConfigError: not even one frame a cluster fits.
        """
        subset = max(3 * self.batch_size, 3 * self.clusters)
        working = 4 * (2 * subset * (dim + self.clusters) + 4 * self.batch_size * (dim + self.clusters))
        fitting = int((self.memory_gb * 1e9 - working) // (4 * dim + 8))
        if fitting < self.clusters:
            least = (working + self.clusters * (4 * dim + 8)) / 1e9
            raise ConfigError(
                f"memory_gb = {self.memory_gb:g}: too little for {self.clusters} clusters of width {dim}; "
                f"give at least {least:.2g}, or a smaller batch_size"
            )
        return min(fitting, self.frames)


@dataclass(frozen=True, eq=False)
class KMeans:
    """Learned centres.

    Attributes:
        folder: Their folder.
        centres: Float32, (K, D).
        facts: Content of ``kmeans.json``: teacher, pack, settings, sizes, inertia, versions.
    """

    folder: Path
    centres: NDArray[np.float32]
    facts: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path | str) -> KMeans:
        """Read a k-means folder.

        Raises:
            CorpusError: missing, damaged, or a pickled k-means.
        """
        folder = Path(folder)
        if folder.is_file():
            raise CorpusError(
                f"{folder}: a file, not a folder of 'babyhubert units fit'; pickled k-means models run code when "
                "opened and are not read: fit again"
            )
        facts = read_facts(folder / _FACTS, KMEANS_FORMAT, "babyhubert units fit")
        path = folder / _CENTRES
        try:
            centres = safetensors.numpy.load_file(path)["centres"]
            intact = file_sha256(path) == facts["sha256"]
        except (OSError, KeyError, ValueError, safetensors.SafetensorError):
            intact = False
        if not intact:
            raise CorpusError(f"{path}: missing or damaged; run 'babyhubert units fit' again")
        return cls(folder, centres, facts)

    @property
    def clusters(self) -> int:
        """Number of units."""
        return len(self.centres)

    @property
    def sha256(self) -> str:
        """Hash of the file of centres."""
        return str(self.facts["sha256"])

    @property
    def teacher_name(self) -> str:
        """Name of the teacher they were learned with."""
        return str(self.facts["teacher"]["name"])

    @property
    def teacher_precision(self) -> Precision:
        """Precision of that teacher."""
        return "bfloat16" if self.facts["teacher"].get("precision") == "bfloat16" else "float32"

    def require_teacher(self, teacher: Teacher) -> None:
        """Check that a teacher gives the features from which these centres were learned.

        Raises:
            CorpusError: another model, layer, precision or width.
        """
        learned = {key: value for key, value in self.facts["teacher"].items() if key != "name"}
        if learned != teacher.identity:
            keys = sorted(set(learned) | set(teacher.identity))
            differing = [
                f"{key} {_short(learned.get(key))} instead of {_short(teacher.identity.get(key))}"
                for key in keys
                if learned.get(key) != teacher.identity.get(key)
            ]
            raise CorpusError(
                f"{self.folder}: this k-means was learned with another teacher ({self.teacher_name}) than "
                f"{teacher.name}: {', '.join(differing)}; use that teacher, or fit again"
            )
        if self.centres.shape[1] != teacher.dim:
            raise CorpusError(
                f"{self.folder}: centres of width {self.centres.shape[1]}, but teacher {teacher.name} gives "
                f"{teacher.dim}; fit again"
            )


def assign_units(features: Tensor, centres: Tensor) -> Tensor:
    """Nearest centre of each frame by squared distance, as one matrix product per block of frames.

    Args:
        features: (N, D).
        centres: (K, D), same device.

    Returns:
        Int64, (N,). Of equally near centres the first.
    """
    features, centres = features.float(), centres.float()
    squares = centres.square().sum(dim=1)
    block = max(1, _DISTANCES_AT_ONCE // len(centres))
    found = [torch.addmm(squares, part, centres.T, alpha=-2.0).argmin(dim=1) for part in features.split(block)]
    return torch.cat(found)


def fit_units(
    pack: Pack,
    output: Path,
    settings: FitSettings,
    *,
    teacher: Teacher | None = None,
    place: RankInfo | None = None,
    progress: RunProgress | None = None,
    replace: bool = False,
) -> KMeans | None:
    """Learn units from the training split of a pack.

    Args:
        pack: The material.
        output: Folder for the k-means; a run that stopped in it is continued.
        settings: Settings of k-means.
        teacher: Teacher to use instead of the one in the settings.
        place: Rank of this process; from the launcher's environment if None.
        progress: Called with the progress.
        replace: Replace a stored k-means of other material or settings.

    Returns:
        The k-means, also if it existed before; None in a process that leaves the last step to another.

    Raises:
        CorpusError: fewer frames than clusters, features that are not finite or off the frame grid.
        ConfigError: an impossible teacher, device or setting.
        OutputError: the folder holds another k-means, or cannot be written.
        MissingExtraError: scikit-learn, or what the teacher needs, is not installed.
    """
    _sklearn()
    place = place or RankInfo.from_environment()
    total = int(pack.frames[~pack.validation].sum())
    if total < settings.clusters:
        raise CorpusError(
            f"{pack.folder}: {total} frames in the training split, fewer than {settings.clusters} clusters; "
            "use fewer clusters or more audio"
        )
    teacher = teacher or load_teacher(settings.teacher, settings.device, settings.precision, place)
    size = settings.capacity(teacher.dim)
    if min(size, total) < settings.clusters:
        raise ConfigError(f"frames = {size}: fewer than {settings.clusters} clusters; use more frames")
    fit = _Fit(pack, Path(output), settings, teacher, min(size, total))
    if fit.finished(replace):
        return KMeans.load(output)
    if place.world == 1:
        remove_leftovers(Path(output), STATE_FOLDER)
    fit.collect(place, progress or NoProgress())
    with alone(Path(output)):
        if fit.finished(replace):
            return KMeans.load(output)
        if fit.parts.missing([shard.number for shard in pack.shards]):
            return None
        fit.learn()
    return KMeans.load(output)


class _Fit:
    """One fit: the sample's parts, then the centres."""

    def __init__(self, pack: Pack, output: Path, settings: FitSettings, teacher: Teacher, size: int) -> None:
        self.pack, self.output, self.settings, self.teacher, self.size = pack, output, settings, teacher, size
        sampled = {"teacher": teacher.identity, "pack": pack.fingerprint, "frames": size, "seed": settings.seed}
        self.parts = Parts(output / STATE_FOLDER / "sample", ".f32", fingerprint(sampled))
        self.fingerprint = fingerprint({**sampled, "kmeans": self._learning()})

    def finished(self, replace: bool) -> bool:
        """True if exactly this k-means is stored in the folder.

        Raises:
            OutputError: another one is stored there, and it must not be replaced.
        """
        path = self.output / _FACTS
        try:
            found = json.loads(path.read_text(encoding="utf-8")).get("fingerprint")
        except FileNotFoundError:
            return False
        except (OSError, ValueError, AttributeError):
            found = None
        if found == self.fingerprint:
            return True
        if not replace:
            raise OutputError(
                f"{path}: a k-means of other material, another teacher or other settings; choose another folder or "
                "give --replace"
            )
        return False

    def collect(self, place: RankInfo, progress: RunProgress) -> None:
        """Make those parts of the sample that are assigned to this process and missing."""
        mine = shards_of(self.pack, place)
        missing = self.parts.missing(mine)
        progress.start(len(missing), samples_in(self.pack, missing), len(mine) - len(missing))
        sample = FrameSample.draw(self.pack, self.size, self.settings.seed) if missing else None
        for number in missing:
            assert sample is not None
            self.parts.write(number, self._sampled_features(sample, number, progress))
            progress.done(f"{number:05d}", None)

    def _sampled_features(self, sample: FrameSample, number: int, progress: RunProgress) -> NDArray:
        """Features of a shard's chosen frames in the order of the index, float32 (frames, D)."""
        chosen = sample.chosen_in_shard(number)
        rows = np.array(list(chosen), dtype=np.int64)
        counts = np.array([len(frames) for frames in chosen.values()], dtype=np.int64)
        begin = dict(zip(chosen, (np.cumsum(counts) - counts).tolist(), strict=True))
        result = np.empty((int(counts.sum()), self.teacher.dim), dtype="<f4")
        unheard = int(self.pack.samples[self.pack.shard == number].sum() - self.pack.samples[rows].sum())
        progress.advance(f"{number:05d}", unheard)
        for batch, features in teach(self.pack, rows, self.teacher, self.settings.batch_seconds):
            for row, frames in zip(batch.tolist(), features, strict=True):
                wanted = torch.from_numpy(chosen[row]).to(frames.device)
                result[begin[row] : begin[row] + len(wanted)] = frames[wanted].cpu().numpy()
            progress.advance(f"{number:05d}", int(self.pack.samples[batch].sum()))
        return result

    def learn(self) -> None:
        """Assemble the sample, learn the centres, and write both files, ``kmeans.json`` last."""
        features = self._merged()
        model = (
            _sklearn()
            .MiniBatchKMeans(
                n_clusters=self.settings.clusters,
                init="k-means++",
                compute_labels=False,
                random_state=self.settings.seed,
                verbose=0,
                **self._learning(omit=("clusters", "seed")),
            )
            .fit(features)
        )
        centres = np.ascontiguousarray(model.cluster_centers_, dtype=np.float32)
        inertia, variance = _inertia(features, centres)
        (self.output / _FACTS).unlink(missing_ok=True)
        with atomic_path(self.output / _CENTRES) as temporary:
            safetensors.numpy.save_file({"centres": centres}, temporary)
        shutil.copymode(self.parts.path(self.pack.shards[0].number).with_suffix(".json"), self.output / _CENTRES)
        write_json(self.output / _FACTS, self._facts(inertia, variance, int(model.n_steps_)))
        shutil.rmtree(self.parts.folder, ignore_errors=True)

    def _merged(self) -> NDArray[np.float32]:
        dim = self.teacher.dim
        features = np.empty((self.size, dim), dtype=np.float32)
        begin = 0
        for shard in self.pack.shards:
            end = begin + self.parts.path(shard.number).stat().st_size // (4 * dim)
            self.parts.read_into(shard.number, features[begin:end])
            begin = end
        if begin != self.size:
            raise CorpusError(f"{self.parts.folder}: {begin} frames instead of {self.size}; delete it and run again")
        return features

    def _learning(self, omit: tuple[str, ...] = ()) -> dict[str, Any]:
        names = ("clusters", "max_iter", "batch_size", "tol", "max_no_improvement", "n_init", "reassignment_ratio")
        return {name: getattr(self.settings, name) for name in (*names, "seed") if name not in omit}

    def _facts(self, inertia: float, variance: float, steps: int) -> dict[str, Any]:
        return {
            "format": KMEANS_FORMAT,
            "clusters": self.settings.clusters,
            "dim": self.teacher.dim,
            "teacher": {"name": self.teacher.name, **self.teacher.identity},
            "pack": self.pack.fingerprint,
            "settings": self._learning(),
            "frames_seen": int(self.pack.frames[~self.pack.validation].sum()),
            "frames_sampled": self.size,
            "steps": steps,
            "inertia": inertia,
            "variance": variance,
            "sha256": file_sha256(self.output / _CENTRES),
            "fingerprint": self.fingerprint,
            "versions": {
                "babyhubert": __version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "scikit-learn": _sklearn_version(),
            },
        }


def _inertia(features: NDArray[np.float32], centres: NDArray[np.float32]) -> tuple[float, float]:
    """Mean squared distance to the nearest centre, and to the mean of all."""
    near = torch.from_numpy(centres)
    mean = torch.from_numpy(features.mean(axis=0, dtype=np.float64)).float()
    inertia = variance = 0.0
    for part in torch.from_numpy(features).split(10_000):
        inertia += float((part - near[assign_units(part, near)]).square().sum(dtype=torch.float64))
        variance += float((part - mean).square().sum(dtype=torch.float64))
    return inertia / len(features), variance / len(features)


def _short(value: Any) -> str:
    return str(value)[:12]


def _sklearn() -> Any:
    try:
        import sklearn.cluster
    except ImportError:
        raise MissingExtraError("k-means", "pretrain") from None
    return sklearn.cluster


def _sklearn_version() -> str:
    import sklearn

    return str(sklearn.__version__)
