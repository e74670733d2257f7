"""The complete recipe: from a folder of recordings to the encoder of the last iteration.

scan -> regions -> segments -> pack, then for each iteration units -> labels -> report -> training. Every step is
recorded in ``recipe.json`` with a fingerprint of its settings and inputs. A step whose fingerprint is stored there is
not run again, one that was stopped continues, and one whose settings changed since is an error: results of weeks are
never replaced silently.

Output::

    corpus/                    inventory, regions, segments, pack
    iteration-1/units          k-means          iteration-1/labels    a unit for every frame
    iteration-1/report         unit quality     iteration-1/run       the training run, and its model
    iteration-2/...
    model/                     the result
    recipe.json                what was made from what
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from babyhubert.audio.channels import parse_channel
from babyhubert.audio.discovery import discover
from babyhubert.audio.preflight import check_recordings
from babyhubert.compute.group import ProcessGroup
from babyhubert.config import Config
from babyhubert.corpus.inventory import INVENTORY, StepSummary, scan
from babyhubert.corpus.lengths import SEGMENTS, cut_segments
from babyhubert.corpus.pack import PACK, PackSettings, pack_segments
from babyhubert.corpus.regions import REGIONS, RegionSettings, find_regions
from babyhubert.corpus.segments import SegmentSettings
from babyhubert.corpus.shards import Labels, Pack
from babyhubert.corpus.summary import summary_lines
from babyhubert.encoder.loading import model_hash
from babyhubert.errors import ConfigError, CorpusError
from babyhubert.files import make_folder, temporary_beside, write_json
from babyhubert.hashing import file_sha256, fingerprint
from babyhubert.pretraining.requirements import check_packages
from babyhubert.pretraining.run import PretrainingResult, pretrain
from babyhubert.pretraining.settings import TrainingSettings
from babyhubert.runs.record import software_versions
from babyhubert.units.assign import AssignSettings, assign
from babyhubert.units.kmeans import FitSettings, KMeans, fit_units
from babyhubert.units.report import ReportSettings, report

PREVIOUS_MODEL = "previous"
"""As ``encoder.start``: the model of the iteration before. As a teacher, ``previous:7`` is its layer 7."""

_PREVIOUS_LAYER = f"{PREVIOUS_MODEL}:"

Say = Callable[[str], None]


class AudioSettings(Config):
    """``[audio]``: recordings, relative to the working directory; files or folders.

    Attributes:
        paths: Paths of recordings.
        channel: Choice among several channels.
    """

    paths: list[str] = Field(min_length=1)
    channel: str = "mean"


class IterationSettings(Config):
    """``[[iterations]]``.

    Attributes:
        units: Teacher and k-means; ``previous:7`` is layer 7 of the iteration before.
        training: The run, as in ``babyhubert pretrain``; without ``[data]``. ``encoder.start = "previous"`` continues
            from the model of the previous iteration; without a start, the encoder is drawn anew, as published.
    """

    units: FitSettings
    training: TrainingSettings = TrainingSettings()


class Recipe(Config):
    """The file that ``babyhubert recipe`` reads."""

    device: str = "auto"
    audio: AudioSettings
    regions: RegionSettings = RegionSettings()
    segments: SegmentSettings = SegmentSettings()
    pack: PackSettings = PackSettings()
    report: ReportSettings = ReportSettings()
    iterations: list[IterationSettings] = Field(min_length=1)


@dataclass(frozen=True)
class RecipeResult:
    """Result of a recipe: the model when it is finished, and the last training run."""

    model: Path | None
    last: PretrainingResult | None

    @property
    def finished(self) -> bool:
        """True if all steps are done."""
        return self.model is not None


class _Journal:
    """Record of steps and their inputs, in ``recipe.json``."""

    def __init__(self, path: Path, group: ProcessGroup, say: Say) -> None:
        self._path, self._group, self._say = path, group, say
        try:
            self._steps: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["steps"]
        except FileNotFoundError:
            self._steps = {}
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"{path}: cannot be read ({error}); delete it, finished steps are found again"
            ) from error

    def step(self, name: str, made_from: Any, run: Callable[[], object], made: Callable[[], str | None]) -> str:
        """Run a step unless it is done.

        Args:
            name: Name of the step.
            made_from: Settings and inputs, as JSON values.
            run: Runs the step, in every process.
            made: Identity of the stored result, None if there is none.

        Raises:
            ConfigError: it was done from other inputs.
            CorpusError: no result.
        """
        key = fingerprint(made_from)
        known = self._steps.get(name)
        if known is not None and known["key"] != key:
            raise ConfigError(
                f"{self._path}: '{name}' was made with other settings or from other inputs; take another output, "
                f"or delete '{name}' and the steps after it there, with their results, to make them again"
            )
        if known is not None and made() == known["result"]:
            self._say(f"{name}: done before")
            return str(known["result"])
        self._say(f"{name}: begun")
        began = time.monotonic()
        run()
        self._group.wait()
        result = made()
        if result is None:
            raise CorpusError(f"{name}: ended without a result; the lines above say why")
        seconds = round(time.monotonic() - began, 1)
        self._steps[name] = {"key": key, "result": result, "seconds": seconds, "software": software_versions()}
        if self._group.place.first:
            write_json(self._path, {"steps": self._steps})
        self._group.wait()
        self._say(f"{name}: done in {seconds:.0f} s")
        return result


def train_by_recipe(recipe: Recipe, output: Path, group: ProcessGroup, say: Say = print) -> RecipeResult:
    """Run a recipe, or continue it.

    Args:
        recipe: The recipe.
        output: Folder of all results.
        group: The processes of the job; each calls this.
        say: Called with lines of text, in the first process.

    Raises:
        MissingExtraError: a package that a step needs is not installed; nothing has been done then.
        ConfigError, CorpusError, TrainingError, OutputError: as of the steps.
    """
    say = group.rank_zero_print(say)
    others = [each.units.teacher for each in recipe.iterations if not each.units.teacher.startswith(_PREVIOUS_LAYER)]
    check_packages(recipe.regions.source, others, [each.training for each in recipe.iterations])
    group.first_only(lambda: make_folder(output))
    journal = _Journal(output / "recipe.json", group, say)
    corpus = output / "corpus"
    packed = _corpus_steps(recipe, corpus, journal, group, say)
    pack = Pack.open(corpus / PACK)
    last: PretrainingResult | None = None
    model: Path | None = None
    lineage: list[str] = []
    for number, iteration in enumerate(recipe.iterations, start=1):
        folder = output / f"iteration-{number}"
        units = _with_teacher(iteration.units, model, recipe.device)
        labels, made = _unit_steps(number, units, pack, packed, folder, journal, group)
        _report_step(recipe.report, number, labels, made, folder, journal, group)
        origin = f"{units.clusters} k-means clusters of {iteration.units.teacher}"
        lineage = [*lineage, f"units of iteration {number}: {origin}"]
        training = _with_start(iteration.training, model)
        last = _training_step(number, training, labels, folder, journal, group, say, lineage)
        if last is not None and not last.finished:
            return RecipeResult(None, last)
        model = folder / "run" / "model"
    assert model is not None
    group.first_only(lambda: _put_model(model, output / "model"))
    return RecipeResult(output / "model", last)


def _corpus_steps(recipe: Recipe, corpus: Path, journal: _Journal, group: ProcessGroup, say: Say) -> str:
    """Run the steps from recordings to a pack; return its fingerprint."""
    group.first_only(lambda: _scan(recipe.audio, corpus, say))
    inventory = file_sha256(corpus / INVENTORY)
    regions_from = [json.loads(recipe.regions.model_dump_json(exclude={"device"})), inventory]
    device = {"device": recipe.device}
    regions = journal.step(
        "regions",
        regions_from,
        lambda: _first(group, say, "regions", lambda: find_regions(corpus, recipe.regions.model_copy(update=device))),
        lambda: _file(corpus / REGIONS),
    )
    segments = journal.step(
        "segments",
        [recipe.segments.model_dump(), regions],
        lambda: _first(group, say, "segments", lambda: cut_segments(corpus, recipe.segments)),
        lambda: _file(corpus / SEGMENTS),
    )
    return journal.step(
        "pack",
        [recipe.pack.model_dump(), segments],
        lambda: _pack(corpus, recipe, group, say),
        lambda: _fingerprint_of_pack(corpus / PACK),
    )


def _scan(audio: AudioSettings, corpus: Path, say: Say) -> None:
    """Scan again: unchanged files cost one look each."""
    checked = check_recordings(discover([Path(path) for path in audio.paths], tell_apart=True), corpus, 0)
    summary = scan(checked, corpus, channel=parse_channel(audio.channel))
    _tell(say, "scan", summary)
    if not summary.recordings:
        raise CorpusError(f"{corpus}: no recording can be used; failures.csv there says why")


def _pack(corpus: Path, recipe: Recipe, group: ProcessGroup, say: Say) -> None:
    _, summary = pack_segments(corpus, recipe.pack, place=group.place)
    if summary.hours_out:
        _tell(say, "pack", summary)


def _unit_steps(
    number: int, settings: FitSettings, pack: Pack, packed: str, folder: Path, journal: _Journal, group: ProcessGroup
) -> tuple[Labels, str]:
    """Make k-means and labels of an iteration; return the identity of the labels."""
    content = settings.model_dump(exclude={"device", "memory_gb", "batch_seconds"})
    kmeans = journal.step(
        f"units {number}",
        [content, packed],
        lambda: fit_units(pack, folder / "units", settings, place=group.place),
        lambda: _kmeans_of(folder / "units"),
    )
    chosen = AssignSettings(
        teacher=settings.teacher,
        precision=settings.precision,
        device=settings.device,
        batch_seconds=settings.batch_seconds,
    )
    made = journal.step(
        f"labels {number}",
        [kmeans, packed],
        lambda: assign(pack, KMeans.load(folder / "units"), folder / "labels", chosen, place=group.place),
        lambda: _labels_of(folder / "labels", pack),
    )
    return Labels.open(folder / "labels", pack), made


def _report_step(
    settings: ReportSettings,
    number: int,
    labels: Labels,
    made: str,
    folder: Path,
    journal: _Journal,
    group: ProcessGroup,
) -> None:
    where = folder / "report"
    journal.step(
        f"report {number}",
        [settings.model_dump(mode="json"), made],
        lambda: group.first_only(lambda: report(labels, where, settings)),
        lambda: _file(where / "report.json"),
    )


def _training_step(
    number: int,
    settings: TrainingSettings,
    labels: Labels,
    folder: Path,
    journal: _Journal,
    group: ProcessGroup,
    say: Say,
    lineage: list[str],
) -> PretrainingResult | None:
    """Train; None if it was done before."""
    results: list[PretrainingResult] = []

    def train() -> None:
        result = pretrain(labels, settings, folder / "run", group, say, {"lineage": lineage})
        results.append(result)
        if not result.finished:
            raise _StoppedError

    try:
        journal.step(
            f"training {number}",
            [settings.fingerprint, labels.facts["fingerprint"]],
            train,
            lambda: _model_of(folder / "run" / "model"),
        )
    except _StoppedError:
        return results[0]
    return results[0] if results else None


class _StoppedError(Exception):
    """The training was stopped on request, and saved."""


def _with_teacher(units: FitSettings, model: Path | None, device: str) -> FitSettings:
    changes: dict[str, Any] = {"device": device}
    if units.teacher.startswith(_PREVIOUS_LAYER):
        if model is None:
            raise ConfigError(f"iterations.units.teacher = {units.teacher!r}: there is no iteration before the first")
        changes["teacher"] = f"{model}:{units.teacher.removeprefix(_PREVIOUS_LAYER)}"
    return units.model_copy(update=changes)


def _with_start(training: TrainingSettings, model: Path | None) -> TrainingSettings:
    if training.encoder.start != PREVIOUS_MODEL:
        return training
    if model is None:
        raise ConfigError('iterations.training.encoder.start = "previous": there is no iteration before the first')
    encoder = training.encoder.model_copy(update={"start": str(model)})
    return training.model_copy(update={"encoder": encoder})


def _first(group: ProcessGroup, say: Say, name: str, action: Callable[[], StepSummary]) -> None:
    summary = group.first_only(action)
    if summary is not None:
        _tell(say, name, summary)


def _tell(say: Say, name: str, summary: StepSummary) -> None:
    for _, error in summary.failures:
        say(f"{name}: failed: {error}")
    for line in summary_lines(f"{name}:", summary):
        say(line)


def _file(path: Path) -> str | None:
    return file_sha256(path) if path.is_file() else None


def _fingerprint_of_pack(folder: Path) -> str | None:
    return Pack.open(folder).fingerprint if (folder / "pack.json").is_file() else None


def _kmeans_of(folder: Path) -> str | None:
    return KMeans.load(folder).sha256 if (folder / "kmeans.json").is_file() else None


def _labels_of(folder: Path, pack: Pack) -> str | None:
    if not (folder / "labels.json").is_file():
        return None
    return str(Labels.open(folder, pack).facts["fingerprint"])


def _model_of(folder: Path) -> str | None:
    return model_hash(folder) if (folder / "config.json").is_file() else None


def _put_model(source: Path, target: Path) -> None:
    """Copy the last iteration's model to the output folder."""
    if _model_of(target) == _model_of(source):
        return
    temporary = temporary_beside(target)
    shutil.copytree(source, temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
