"""Check that the optional packages of a recipe are installed, before its first step.

A scan of daylong recordings takes hours, and a missing package would otherwise be noticed after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from babyhubert.errors import MissingExtraError
from babyhubert.pretraining.settings import TrainingSettings
from babyhubert.units.teachers import TeacherName


def check_packages(regions: str, teachers: Iterable[str], trainings: Iterable[TrainingSettings]) -> None:
    """Raise one error that names every missing package.

    Args:
        regions: Source of the speech regions.
        teachers: Name of each teacher that is not a model of the recipe itself.
        trainings: Settings of each iteration's training.

    Raises:
        MissingExtraError: a package of the ``pretrain`` extra is missing.
    """
    needed = _needed(regions, {TeacherName.parse(teacher).kind for teacher in teachers}, trainings)
    missing = [package for module, package in needed if find_spec(module) is None]
    if missing:
        raise MissingExtraError(f"the recipe uses {', '.join(missing)}, not installed, and", "pretrain")


def _needed(regions: str, kinds: set[str], trainings: Iterable[TrainingSettings]) -> Iterator[tuple[str, str]]:
    """Module and name of each optional package that the steps import."""
    yield "pyarrow", "pyarrow"
    yield "sklearn", "scikit-learn"
    if regions == "silero":
        yield "silero_vad", "silero-vad"
    if "mfcc" in kinds:
        yield "kaldi_native_fbank", "kaldi-native-fbank"
    if "wavlm" in kinds:
        yield "transformers", "transformers"
    if any(training.machine.tensorboard for training in trainings):
        yield "tensorboardX", "tensorboardX"
