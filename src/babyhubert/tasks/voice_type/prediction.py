"""Voice types of one recording: a model with its windows, thresholds and post-processing rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from babyhubert.annotation.segments import Segments
from babyhubert.audio.channels import Channel
from babyhubert.audio.waveforms import AudioInput, AudioProgress, open_audio
from babyhubert.encoder.canonical import Head
from babyhubert.encoder.context import PUBLISHED_WINDOW_SETTINGS, WindowSettings
from babyhubert.encoder.multitask import TASK, VoiceTypeModel
from babyhubert.encoder.precision import Precision
from babyhubert.inference.batching import build_engine
from babyhubert.inference.confidence import SegmentCalibration, parse_confidence, with_confidence
from babyhubert.inference.engine import Engine, Failed, Frames
from babyhubert.inference.post_processing import MinimumDurations, active_runs, decide
from babyhubert.inference.speed import SPEEDS, Speed
from babyhubert.inference.stitching import Blend
from babyhubert.inference.task_model import LoadedModel, TaskChoice, load_task_model, normalised_waveforms, plan_of
from babyhubert.inference.thresholds import Thresholds, misses_nothing, select_thresholds
from babyhubert.inference.windows import WindowPlan
from babyhubert.shipped import SMALL_MODEL

SHIPPED_MODEL_NAME = f"{SMALL_MODEL.name} (shipped)"

SCORE_DTYPE = np.float16
"""Probabilities are rounded to this before thresholds are applied, so that stored and fresh scores give the same
segments.
"""


@dataclass(frozen=True)
class VoiceTypeSettings:
    """Settings that affect a result besides the model.

    Attributes:
        plan: Windows over the recording.
        blend: Method of joining overlapping windows.
        thresholds: A set's name (such as ``f1``) or a TOML file; see `select_thresholds`.
        minimum: Shortest segments and gaps, in samples.
        simultaneous: Probability that a class needs beside a likelier one, 0 for its threshold alone, as published;
            None: that of the model, see `VoiceTypeClassifier.simultaneous`.
    """

    plan: WindowPlan = field(default_factory=lambda: WindowPlan.from_overlap(4.0, 0.75))
    blend: Blend = "mean"
    thresholds: str = "f1"
    minimum: MinimumDurations = field(default_factory=MinimumDurations)
    simultaneous: float | None = None

    @classmethod
    def for_speed(
        cls,
        speed: Speed,
        *,
        window_s: float | None = None,
        overlap: float | None = None,
        blend: Blend | None = None,
        thresholds: str = "f1",
        minimum: MinimumDurations | None = None,
        simultaneous: float | None = None,
        window_settings: WindowSettings = PUBLISHED_WINDOW_SETTINGS["frames"],
    ) -> VoiceTypeSettings:
        """Settings of a speed mode for a model; options override the mode, which overrides the model."""
        own: Blend = "crop" if window_settings.shared else SPEEDS[speed].blend
        plan = plan_of(window_settings, speed, window_s, overlap)
        return cls(plan, blend or own, thresholds, minimum or MinimumDurations(), simultaneous)


@dataclass(frozen=True, eq=False)
class VoiceTypeClassifier:
    """A voice-type model for inference. Call it with a path or with samples.

    Example:
        >>> model = babyhubert.load_model()
        >>> segments = model("day1.wav")
        >>> segments = model(samples, sampling_rate=44_100)

    Attributes:
        model: The network, in evaluation mode, on its device.
        name: Its source.
        hash: SHA-256 of its weights file.
        settings: Windows, thresholds, clean-up.
        batch_size: Windows in one call; None chooses from the device and the model.
        card: The model folder's ``task.json`` (lineage, licence, tuned thresholds).
        window_settings: Window settings of the model.
        speed: The mode it was loaded in.
        precision: Precision of its encoder.
        settings_hash: Hash of the settings that its folder stores beside the weights.
        unused_heads: The other heads of its file.
    """

    model: VoiceTypeModel
    name: str
    hash: str
    settings: VoiceTypeSettings = VoiceTypeSettings()
    batch_size: int | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    speed: Speed = "exact"
    precision: Precision = "exact"
    window_settings: WindowSettings = PUBLISHED_WINDOW_SETTINGS["frames"]
    settings_hash: str = ""
    unused_heads: Mapping[str, Head] = field(default_factory=dict)

    @classmethod
    def of(cls, loaded: LoadedModel) -> VoiceTypeClassifier:
        """Build a model with its own windows."""
        assert isinstance(loaded.network, VoiceTypeModel)
        window_settings = loaded.window_settings[loaded.network.frames_task]
        return cls(
            loaded.network,
            loaded.name,
            loaded.hash,
            VoiceTypeSettings.for_speed(loaded.speed, window_settings=window_settings),
            card=loaded.card,
            speed=loaded.speed,
            precision=loaded.precision,
            window_settings=window_settings,
            settings_hash=loaded.settings_hash,
            unused_heads=loaded.unused_heads,
        )

    def __call__(
        self,
        audio: AudioInput,
        sampling_rate: int | None = None,
        *,
        channel: Channel = "mean",
        progress: AudioProgress | None = None,
    ) -> Segments:
        """Find the segments of a recording.

        Args:
            audio: A file of any readable format; or samples of shape (n,) or (channels, n), as a NumPy array, a torch
                tensor or lists: floating point in [-1, 1], or int16, int32 or uint8, which are scaled.
            sampling_rate: Rate of the samples, Hz; other rates than 16 000 are resampled. Left out for a file.
            channel: ``"mean"`` of all channels, ``"first"``, ``"loudest"``, or a channel's index from 0.
            progress: Called after each block that was read, with the seconds done and those in all.

        Raises:
            AudioError: the file cannot be read, or the samples are no audio (their shape or type, or NaN).
            ConfigError: the thresholds do not fit the model.

        Returns:
            Its segments, with a column ``confidence`` (:mod:`babyhubert.inference.confidence`).
        """
        scores = self.scores(audio, sampling_rate, channel=channel, progress=progress)
        return with_confidence(self.decide(scores), scores, self.labels, self.confidence)

    def scores(
        self,
        audio: AudioInput,
        sampling_rate: int | None = None,
        *,
        channel: Channel = "mean",
        progress: AudioProgress | None = None,
    ) -> NDArray[np.float16]:
        """Probabilities of every class in every frame: float16, shape (T(n), C). Arguments as in a call."""
        with open_audio(audio, sampling_rate, channel=channel, progress=progress) as opened:
            parts = list(self.frames(opened.blocks))
        empty = np.empty((0, len(self.labels)), dtype=SCORE_DTYPE)
        return np.concatenate([empty, *(part.astype(SCORE_DTYPE) for part in parts)])

    def decide(self, scores: NDArray[np.floating], *, clean: bool = True) -> Segments:
        """Convert probabilities, shape (T, C), to segments. Without ``clean``, the raw runs above the thresholds."""
        minimum, simultaneous = self.settings.minimum, self.simultaneous
        if not clean:
            return Segments.from_intervals(active_runs(scores, self.thresholds, simultaneous=simultaneous))
        return decide(scores, self.thresholds, minimum, simultaneous)

    def with_settings(self, settings: VoiceTypeSettings) -> VoiceTypeClassifier:
        """Return the same model with other windows, thresholds or rules."""
        return replace(self, settings=settings)

    def with_batch_size(self, batch_size: int) -> VoiceTypeClassifier:
        """Return the same model with another number of windows in one call."""
        return replace(self, batch_size=batch_size)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of score columns."""
        return self.model.labels

    @property
    def thresholds(self) -> dict[str, float]:
        """Thresholds by class, in the order of :attr:`labels`."""
        sets: Mapping[str, Thresholds] = self.card.get("thresholds", {})
        return select_thresholds(self.settings.thresholds, self.labels, sets)

    @property
    def simultaneous(self) -> float:
        """Probability that a class needs beside a likelier one: that of the settings, else of the model folder.

        0, none but its threshold, where neither has one, and with thresholds that are there to miss nothing.
        """
        if self.settings.simultaneous is not None:
            return self.settings.simultaneous
        return 0.0 if misses_nothing(self.settings.thresholds) else float(self.card.get("simultaneous", 0.0))

    @property
    def confidence(self) -> SegmentCalibration | None:
        """Meaning of segments' scores that the model folder brings; None: it brings none.

        Raises:
            ConfigError: what its ``task.json`` holds is none, or of other classes.
        """
        record = self.card.get("confidence")
        return None if record is None else parse_confidence(record, self.labels, f"{self.name}, task.json")

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self.model.device

    def engine(self) -> Engine:
        """Engine for this model's windows."""
        return self._engine

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_engine"}  # threads cannot be copied

    @cached_property
    def _engine(self) -> Engine:
        model, settings, normalise = self.model, self.settings, self.window_settings.normalise

        def probabilities(waveforms: Tensor) -> Tensor:
            return model.probabilities(normalised_waveforms(waveforms) if normalise else waveforms)

        encoder, plan, size = model.encoder, settings.plan, self.batch_size
        return build_engine(probabilities, encoder, self.precision, plan, size, settings.blend, model=self.name)

    def frames(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Probabilities of a recording given in blocks, as they arrive: float32, (T, C) each, not yet rounded."""
        for event in self.engine().run([("recording", blocks)]):
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Frames):
                yield event.values


def load_model(
    source: str | Path | None = None, *, task: str | None = None, device: str = "auto", speed: Speed = "exact"
) -> VoiceTypeClassifier:
    """Load a voice-type model for inference.

    Args:
        source: A model folder, a checkpoint file of any published layout, or a hub repository ``owner/name``. None
            takes playroom, the small model of the package.
        task: Head of the kind ``frames``; None: voice type, else the only one of this kind.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        speed: ``exact``, ``balanced`` or ``fast``: see docs/speed.md for the accuracy of each.

    Raises:
        CheckpointError: no such model, or it has no voice-type head.
        ModelAccessError: the repository is gated or cannot be reached.
    """
    loaded = load_task_model(source or SMALL_MODEL, TaskChoice("frames", task, TASK), device=device, speed=speed)
    name = loaded.name if source is not None else SHIPPED_MODEL_NAME
    return VoiceTypeClassifier.of(replace(loaded, name=name))
