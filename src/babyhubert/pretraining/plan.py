"""Cost of a recipe before it is run: disk, memory, and accelerator hours.

A multiply-add counts as two operations; norms and activations are not counted. The speed is that of a published run:
400,000 steps of 175 s per GPU on 16 H100 took about 10 hours (minimal_hubert), 1,944 hours of audio per GPU hour for
the base size. Other sizes are scaled by operations alone, which underestimates the time of small ones; measure your
own speed and give it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from babyhubert.audio.discovery import discover
from babyhubert.audio.recording import probe
from babyhubert.encoder.config import HubertConfig
from babyhubert.errors import BabyHubertError
from babyhubert.pretraining.recipe import Recipe
from babyhubert.timebase import SAMPLE_RATE, samples_to_hours

PUBLISHED_PACE = 400_000 * 175 * 16 / 3600 / (10 * 16)
"""Hours of audio per H100 hour, base size, training."""

SEGMENT_SHARE = 0.2
"""Training segments as a fraction of daylong recordings, about."""

_GB = 1e9
_SNAPSHOT_BYTES = 12
"""Bytes for each parameter: its value and AdamW's two moments, float32."""

_INDEX_BYTES = 60
_MEAN_SEGMENT_S = 6.0


def operations_per_second(config: HubertConfig, window_s: float = 10.0) -> float:
    """Floating point operations of the forward pass for a second of audio, in windows of ``window_s``."""
    rate, channels, total = float(SAMPLE_RATE), 1, 0.0
    for width, kernel, stride in zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True):
        rate /= stride
        total += 2 * channels * width * kernel * rate
        channels = width
    dim = config.hidden_size
    total += 2 * channels * dim * rate
    total += 2 * dim * dim / config.position_groups * config.position_kernel * rate
    total += config.layers * rate * (8 * dim * dim + 4 * dim * config.feed_forward)
    return total + config.layers * rate * 4 * dim * window_s * rate


@dataclass(frozen=True)
class Cost:
    """Cost of a recipe for a number of hours of training segments.

    Attributes:
        hours: Hours of training segments.
        disk_gb: Shards, labels of all iterations, snapshots.
        memory_gb: The largest process, without the model: k-means.
        passes: Passes over the material in each iteration.
        accelerator_hours: Labels and training of all iterations.
        days: The same on a number of accelerators.
    """

    hours: float
    disk_gb: float
    memory_gb: float
    passes: float
    accelerator_hours: float
    days: float


def plan(recipe: Recipe, hours: float, accelerators: int = 1, pace: float | None = None) -> Cost:
    """Cost of a recipe.

    Args:
        recipe: The recipe.
        hours: Hours of training segments, not of recordings.
        accelerators: Number of GPUs.
        pace: Hours of audio per GPU hour in training; None: the published one, scaled by size.
    """
    base = operations_per_second(HubertConfig.of_size("base"))
    seconds = hours * 3600
    disk = seconds * SAMPLE_RATE * 2 + seconds / _MEAN_SEGMENT_S * _INDEX_BYTES
    memory = passes = busy = 0.0
    for iteration in recipe.iterations:
        training = iteration.training
        config = HubertConfig.of_size(training.encoder.size)
        machine, optimiser = training.machine, training.optimiser
        parameters = _parameters(config)
        kept = machine.keep + (optimiser.steps // machine.keep_every if machine.keep_every else 0)
        disk += seconds * 50 * 2 + kept * parameters * _SNAPSHOT_BYTES + parameters * 4
        memory = max(memory, iteration.units.memory_gb + seconds / _MEAN_SEGMENT_S * _INDEX_BYTES / _GB)
        heard = optimiser.steps * optimiser.accumulate * training.batches.seconds * accelerators / 3600
        own_pace = pace or PUBLISHED_PACE * base / operations_per_second(config)
        forward_pace = 3 * PUBLISHED_PACE
        busy += heard / own_pace + (0 if iteration.units.teacher == "mfcc" else 2 * hours / forward_pace)
        passes = heard / max(hours, 1e-9)
    return Cost(hours, disk / _GB, memory, passes, busy, busy / accelerators / 24)


@dataclass(frozen=True)
class GivenAudio:
    """Recordings that a recipe names, as their headers tell.

    Attributes:
        recordings: Number of those that can be read.
        hours: Of recordings.
        unreadable: Number of those that cannot be read.
    """

    recordings: int
    hours: float
    unreadable: int

    @property
    def segment_hours(self) -> float:
        """Hours of training segments to expect."""
        return self.hours * SEGMENT_SHARE


def given_audio(recipe: Recipe) -> GivenAudio:
    """Count the recordings of a recipe.

    Raises:
        AudioError: a path does not exist, or a folder holds no audio.
    """
    hours, unreadable, files = 0.0, 0, discover([Path(path) for path in recipe.audio.paths], tell_apart=True)
    for file in files:
        try:
            hours += samples_to_hours(probe(file.path).n_samples)
        except (BabyHubertError, OSError):
            unreadable += 1
    return GivenAudio(len(files) - unreadable, hours, unreadable)


def explanation(accelerators: int, pace: float | None) -> list[str]:
    """Lines that explain the columns of the table."""
    machine = "1 GPU" if accelerators == 1 else f"{accelerators} GPUs"
    speed = (
        f"{pace:g} hours of audio per GPU hour (--pace)"
        if pace
        else "the published speed of an H100, scaled by the size of the model; give your own as --pace"
    )
    return [
        f"hours       of training segments: about {SEGMENT_SHARE:.0%} of the hours of daylong recordings",
        "disk        shards, labels and snapshots of all iterations, in GB",
        "memory      of the largest process, the k-means, without the model, in GB",
        "passes      number of times that the last iteration sees the material",
        f"GPU hours   labels and training of all iterations, at {speed}",
        f"days        the same on {machine} (--accelerators)",
    ]


def plan_table(recipe: Recipe, hours: list[float], accelerators: int, pace: float | None) -> list[str]:
    """Lines of a table, a row for each number of hours."""
    lines = [f"{'hours':>9}  {'disk, GB':>9}  {'memory, GB':>10}  {'passes':>8}  {'GPU hours':>9}  {'days':>7}"]
    for amount in hours:
        cost = plan(recipe, amount, accelerators, pace)
        told = f"{amount:,.0f}" if amount >= 10 else f"{amount:.2f}"
        lines.append(
            f"{told:>9}  {cost.disk_gb:>9,.1f}  {cost.memory_gb:>10,.1f}  {cost.passes:>8,.1f}  "
            f"{cost.accelerator_hours:>9,.1f}  {cost.days:>7,.2f}"
        )
    return lines


def _parameters(config: HubertConfig) -> int:
    import torch

    from babyhubert.encoder.hubert import HubertEncoder

    with torch.device("meta"):
        return HubertEncoder(config).parameter_count
