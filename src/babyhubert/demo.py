"""The demonstration: simulate, fine-tune, segment, evaluate, embed, on a small scale. No downloads are needed.

It shows that everything runs on this machine. The scores are on synthetic voices and say nothing about real
recordings.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from babyhubert.annotation.reading import read_annotations
from babyhubert.audio.discovery import discover
from babyhubert.audio.preflight import check_recordings
from babyhubert.compute.group import ProcessGroup
from babyhubert.config import build_config
from babyhubert.encoder.heads import VOICE_TYPE
from babyhubert.evaluation.detection import DetectionReport, compare
from babyhubert.evaluation.presentation import write_report
from babyhubert.progress import RunProgress
from babyhubert.runs.folder import RunFolder
from babyhubert.shipped import SMALL_MODEL
from babyhubert.simulation.writer import write_scenes
from babyhubert.tasks.embedding import Embedder, EmbedRun, EmbedSettings
from babyhubert.tasks.voice_type.outputs import SegmentRun
from babyhubert.tasks.voice_type.prediction import load_model
from babyhubert.training.finetuning import finetune
from babyhubert.training.settings import FinetuningSettings

TRAINING_SCENES = 4
VALIDATION_SCENES = 2
TEST_SCENES = 2
_TRAINING_MINUTES = 4.0
_TEST_MINUTES = 2.0
_BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class DemoResult:
    """Paths of the results, and scores of the small model of the package on scenes that are not in its training."""

    output: Path
    report: DetectionReport
    files: dict[str, Path]


def run_demo(
    output: Path, *, seed: int = 0, progress: RunProgress | None = None, say: Callable[[str], None] = print
) -> DemoResult:
    """Run the demonstration into a folder.

    Args:
        output: Folder to fill; run again, it continues where it was.
        seed: Seed of the scenes and the training.
        progress: Called with the progress of segmenting.
        say: Called with lines of text.

    Raises:
        OutputError: the folder cannot be written or has other content.
        KeyboardInterrupt: the training was asked to stop; the same call continues it.
    """
    scenes, model = output / "scenes", output / "model"
    train, validation, test = scenes / "train", scenes / "validation", scenes / "test"
    say(
        f"1/5 simulating {TRAINING_SCENES} + {VALIDATION_SCENES} + {TEST_SCENES} child-centred scenes with known truth"
    )
    _simulate(train, TRAINING_SCENES, _TRAINING_MINUTES, seed, "train")
    _simulate(test, TEST_SCENES, _TEST_MINUTES, seed + 1, "test")
    _simulate(validation, VALIDATION_SCENES, _TEST_MINUTES, seed + 2, "validation")
    if (model / "task.json").is_file():
        say("2/5 the voice-type model is there from an earlier run")
    else:
        say("2/5 fine-tuning the small encoder that comes with the package on them (two minutes or so)")
        settings = demo_training(train, validation, seed)
        with ProcessGroup.join(settings.machine.device) as group:
            result = finetune(settings, (VOICE_TYPE,), model, group, lambda line: say(f"    {line}"))
        if not result.finished:  # it was asked to stop, and saved where it is
            raise KeyboardInterrupt
    say("3/5 who speaks when in the test scenes")
    segment(test / "audio", output / "segments", model, progress)
    say("4/5 scoring against the truth")
    report = compare(read_annotations(test / "rttm"), read_annotations(output / "segments" / "rttm"))
    intervals = report.bootstrap(np.random.default_rng(_BOOTSTRAP_SEED))
    write_report(output / "evaluation", report, intervals, {"reference": str(test / "rttm"), "seed": _BOOTSTRAP_SEED})
    say("5/5 representations of the test scenes")
    layer = embed(test / "audio", output / "embeddings", model)
    files = {
        "scenes with their truth": output / "scenes",
        "the model": model,
        "segments (RTTM, CSV)": output / "segments",
        "scores": output / "evaluation" / "evaluation.json",
        "representations": output / "embeddings" / f"layer{layer}",
    }
    return DemoResult(output, report, files)


def demo_training(train: Path, validation: Path, seed: int) -> FinetuningSettings:
    """The demonstration's training settings (``demo.toml`` in this package) on given folders."""
    content = tomllib.loads(resources.files("babyhubert").joinpath("demo.toml").read_text(encoding="utf-8"))
    content["voice_type"]["data"] |= {"train": str(train), "validation": str(validation)}
    content["model"] |= {"encoder": str(SMALL_MODEL)}
    content["train"] |= {"seed": seed}
    return build_config(content, FinetuningSettings, "demo.toml")


def segment(audio: Path, output: Path, model: Path, progress: RunProgress | None) -> None:
    """Segment a folder of recordings with a model folder."""
    checked = check_recordings(discover([audio]), output, bytes_per_second=500)
    with RunFolder(output, "segment") as folder:
        SegmentRun(folder, load_model(model, device="cpu")).execute(checked, progress)


def embed(audio: Path, output: Path, model: Path) -> int:
    """Write the last layer of a folder of recordings; its number."""
    embedder = Embedder.load(model, device="cpu")
    layer = embedder.encoder.config.layers
    checked = check_recordings(discover([audio]), output, bytes_per_second=50_000)
    with RunFolder(output, "embed") as folder:
        EmbedRun(folder, embedder, EmbedSettings((layer,))).execute(checked)
    return layer


def _simulate(folder: Path, recordings: int, minutes: float, seed: int, prefix: str) -> None:
    if not (folder / "recordings.csv").is_file():
        write_scenes(folder, recordings=recordings, minutes=minutes, seed=seed, prefix=prefix)
