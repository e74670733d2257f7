"""Base of the models that predict one result per utterance: their windows, and how they are run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from babyhubert.annotation.columns import COLUMNS, Column, column_of_task
from babyhubert.annotation.segments import Segments
from babyhubert.audio.channels import Channel
from babyhubert.audio.waveforms import AudioInput, AudioProgress, open_audio
from babyhubert.encoder.context import Pooling, WindowSettings
from babyhubert.errors import ConfigError
from babyhubert.inference.batching import WindowThreads, build_engine, windows_at_once
from babyhubert.inference.engine import Engine, Failed, Finished, Frames, FrameSource
from babyhubert.inference.task_model import FrameOutputs, LoadedModel, plan_of
from babyhubert.inference.utterances import GridUtterances, OwnWindowEngine, OwnWindows, Utterances
from babyhubert.inference.windows import WindowPlan
from babyhubert.material.windows import LONGEST_PUBLISHED, UtteranceWindow, windows_with_context
from babyhubert.timebase import FRAME_RECEPTIVE_FIELD, seconds_to_samples

Result = TypeVar("Result")

PUBLISHED_VOICES = {column.task: column.voices for column in COLUMNS if column.task}
"""Voices that the published tasks apply to: adults, and the key child."""


@dataclass(frozen=True)
class Prediction(Generic[Result]):
    """Prediction for one utterance, and the sample of the recording at which its first frame begins."""

    result: Result
    origin: int


WindowChoice = Literal["grid", "published", "alone"]


def choose_windows(window_settings: WindowSettings, *, published: bool = False) -> WindowChoice:
    """Choose the windows of utterances: published if requested or pooled so, alone for models trained so, else the
    grid.
    """
    if published or window_settings.pooling == "published":
        return "published"
    return "alone" if window_settings.context_s == 0 else "grid"


def plan_utterances(
    loaded: LoadedModel,
    task: str,
    *,
    published: bool = False,
    window_s: float | None = None,
    overlap: float | None = None,
    pooling: Pooling | None = None,
) -> tuple[LoadedModel, WindowPlan, WindowChoice]:
    """Apply the user's options to a model; return it, the windows of the grid, and the kind of windows in use.

    Args:
        loaded: The network.
        task: Name of the head.
        published: Windows and rules of the published tool.
        window_s: Length of windows; None: the model's own.
        overlap: Fraction that windows share; None: that of the speed mode, or the model's own.
        pooling: Frames that decide an addressee; None: the published tool's if its rules are requested, else the
            model's own.

    Raises:
        ConfigError: impossible windows, or an overlap for windows that do not overlap.
    """
    plan = plan_of(loaded.window_settings[task], loaded.speed, window_s, overlap)
    changes: dict[str, Any] = {} if window_s is None else {"context_s": window_s}
    if pooling is not None or published:
        changes["pooling"] = pooling or "published"
    window_settings = replace(loaded.window_settings[task], **changes)
    choice = choose_windows(window_settings, published=published)
    if overlap is not None and choice != "grid":
        raise ConfigError(
            f"an overlap of {overlap:g}: here each utterance has a window of its own; leave it out", option="--overlap"
        )
    return replace(loaded, window_settings={**loaded.window_settings, task: window_settings}), plan, choice


def alone(onset: int, offset: int, samples: int) -> UtteranceWindow:
    """The window of an utterance without context, as training has it."""
    found = windows_with_context(np.array([onset]), np.array([offset]), np.array([samples]), 0)
    parts = (found.start, found.stop, found.first_frame, found.stop_frame)
    return UtteranceWindow(*(int(part[0]) for part in parts))


def only_task(loaded: LoadedModel) -> str:
    """The task of a network with one head."""
    (task,) = loaded.network.tasks
    return task


@dataclass(frozen=True, eq=False)
class UtterancePredictor(ABC, Generic[Result]):
    """A model that predicts one result per utterance.

    Attributes:
        loaded: The network.
        plan: Windows over the recording.
        windows: ``grid``; ``published``: each utterance in a window of its own, by the published rules, one at a time;
            ``alone``: each utterance without context, for models trained so.
        batch_size: Windows in one call; None chooses from the device and the model.
        task: Name of the head; empty: the network's only one.
    """

    loaded: LoadedModel
    plan: WindowPlan
    windows: WindowChoice = "grid"
    batch_size: int | None = None
    task: str = field(default="", kw_only=True)

    @abstractmethod
    def published_window(self, onset: int, offset: int, recording: int, context: int) -> UtteranceWindow:
        """The published window of an utterance."""

    @abstractmethod
    def predict(self, frames: Sequence[NDArray[np.float32]]) -> list[Result]:
        """Predict results of utterances from the outputs of their frames, (t, C) each."""

    def __post_init__(self) -> None:
        if not self.task:
            object.__setattr__(self, "task", only_task(self.loaded))

    @classmethod
    def of(cls, loaded: LoadedModel, task: str | None = None) -> Self:
        """Build the model with the windows of a head; without a name, of its only one."""
        task = task or only_task(loaded)
        return cls(*plan_utterances(loaded, task), task=task)

    @property
    def voices(self) -> tuple[str, ...]:
        """Labels of the segments that the model applies to; empty: all."""
        settings = self.loaded.card.get(self.task, {})
        return tuple(settings.get("voices", PUBLISHED_VOICES.get(self.task, ())))

    @property
    def filled_column(self) -> Column:
        """The column of a segments table that it fills.

        Raises:
            ConfigError: what the model says of it cannot be.
        """
        kind = self.loaded.network.head(self.task).kind
        if kind == "frames":
            raise ConfigError(f"{self.loaded.name}: the head {self.task} is of frames; run 'babyhubert segment'")
        return column_of_task(self.task, kind, self.labels, self.loaded.card.get(self.task, {}))

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy with other windows, rules or batch size."""
        return replace(self, **changes)

    @property
    def labels(self) -> tuple[str, ...]:
        """Meaning of its outputs, in order."""
        return self.loaded.network.head(self.task).labels

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self.loaded.device

    def settings(self) -> dict[str, Any]:
        """All settings that affect a result, for records."""
        window_settings = self.loaded.window_settings[self.task]
        windows = self.plan.describe() if self.windows == "grid" else {"context_s": window_settings.context_s}
        return {
            "model_sha256": self.loaded.hash,
            "model_settings": self.loaded.settings_hash,
            "windows": self.windows,
            **windows,
            "normalise": window_settings.normalise,
            "precision": self.loaded.precision,
        }

    def asked(self, segments: Segments) -> NDArray[np.int64]:
        """Rows of a table to predict; in published mode without utterances over 30 s."""
        chosen = self.has_input_voice(segments)
        if self.windows == "published":
            chosen &= segments.end - segments.start <= LONGEST_PUBLISHED
        return np.flatnonzero(chosen)

    def has_input_voice(self, segments: Segments) -> NDArray[np.bool_]:
        """Rows of a table with a voice that the model applies to, bool (S,)."""
        if not self.voices:
            return np.ones(len(segments), dtype=bool)
        return np.isin(segments.label.astype(str), self.voices)

    def collector(self, utterances: Utterances, samples: int | None) -> Collector:
        """Collector that turns the frames of :meth:`source` into utterances."""
        if self.windows == "grid":
            return GridUtterances(utterances, samples)
        return OwnFrames(self.utterance_windows(utterances))

    def utterance_windows(self, utterances: Utterances) -> OwnWindows:
        """Window of each utterance, if each has its own."""
        if self.windows == "alone":
            return OwnWindows(utterances, alone, 0)
        context = seconds_to_samples(self.loaded.window_settings[self.task].context_s)
        return OwnWindows(utterances, partial(self.published_window, context=context), context)

    def source(self, utterances: Mapping[str, Utterances], lengths: Mapping[str, int | None]) -> FrameSource:
        """Frame source whose events the collector takes.

        Args:
            utterances: By recording.
            lengths: Samples of each recording, None if only decoding can tell.
        """
        if self.windows != "grid":
            return self._own_window_engine(utterances)
        asked = {name: GridUtterances(each, lengths[name]) for name, each in utterances.items()}

        def wanted(key: Hashable, first: int, stop: int) -> bool:
            return asked[str(key)].wanted(first, stop)

        return replace(self._grid_engine, wanted=wanted)

    def __getstate__(self) -> dict[str, Any]:
        own = {each.name for each in fields(self)}
        return {name: value for name, value in vars(self).items() if name in own}  # threads cannot be copied

    @cached_property
    def _outputs(self) -> FrameOutputs:
        normalise = self.loaded.window_settings[self.task].normalise
        return FrameOutputs(self.loaded.network, (self.task,), normalise=normalise)

    @cached_property
    def _grid_engine(self) -> Engine:
        encoder, precision = self.loaded.network.encoder, self.loaded.precision
        return build_engine(self._outputs, encoder, precision, self.plan, self.batch_size, model=self.loaded.name)

    @cached_property
    def _threads(self) -> WindowThreads:
        """Threads for windows of utterances on a CPU; how many work at once is chosen for each recording."""
        return WindowThreads(self._outputs, torch.get_num_threads())

    def _own_window_engine(self, utterances: Mapping[str, Utterances]) -> OwnWindowEngine:
        windows: dict[Hashable, OwnWindows] = {name: self.utterance_windows(each) for name, each in utterances.items()}
        if self.device.type != "cpu":
            return OwnWindowEngine(lambda ones: [self._outputs(one) for one in ones], windows, self.loaded.name)
        context = seconds_to_samples(self.loaded.window_settings[self.task].context_s)
        at_once: dict[Hashable, int] = {
            name: windows_at_once(max(each.longest, context, FRAME_RECEPTIVE_FIELD))
            for name, each in utterances.items()
        }
        return OwnWindowEngine(self._threads.each, windows, self.loaded.name, at_once)

    def results(
        self,
        audio: AudioInput,
        segments: Segments,
        sampling_rate: int | None = None,
        *,
        channel: Channel = "mean",
        progress: AudioProgress | None = None,
    ) -> dict[int, Prediction[Result]]:
        """Predict results by row of ``segments``, for the rows that the model applies to.

        Args:
            audio: A file, or samples of shape (n,) or (channels, n).
            segments: Segments of the recording with their voices.
            sampling_rate: Rate of the samples, Hz. Left out for a file.
            channel: ``"mean"`` of all channels, ``"first"``, ``"loudest"``, or a channel's index from 0.
            progress: Called after each block that was read, with the seconds done and those in all.

        Raises:
            AudioError: the file cannot be read, or the samples are no audio.
            AnnotationError: a segment lies past the end of the recording.
        """
        rows = self.asked(segments)
        utterances = Utterances(segments.start[rows], segments.end[rows])
        with open_audio(audio, sampling_rate, channel=channel, progress=progress) as opened:
            samples = opened.n_samples if opened.exact else None
            return self._run(rows, utterances, opened.blocks, samples)

    def _run(
        self,
        rows: NDArray[np.int64],
        utterances: Utterances,
        blocks: Iterable[NDArray[np.float32]],
        samples: int | None,
    ) -> dict[int, Prediction[Result]]:
        prediction_collector = PredictionCollector(self, self.collector(utterances, samples))
        for event in self.source({"recording": utterances}, {"recording": samples}).run([("recording", blocks)]):
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Frames):
                prediction_collector.add(event.first, event.values)
            elif isinstance(event, Finished):
                prediction_collector.finish(event.samples)
        return {int(rows[index]): predictions for index, predictions in prediction_collector.predictions.items()}


@dataclass(eq=False)
class OwnFrames:
    """Collector of the events of an :class:`OwnWindowEngine`: each event is one utterance."""

    windows: OwnWindows

    def add(self, first: int, values: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Add the frames of one utterance."""
        yield first, values

    def finish(self, samples: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """End of the recording: no utterance is pending.

        Raises:
            AnnotationError: an utterance lies past the end.
        """
        self.windows.check(samples)
        yield from ()

    def origins(self, samples: int) -> NDArray[np.int64]:
        """First sample of each utterance's first frame, in a recording of the given length."""
        return self.windows.origins(samples)


Collector = GridUtterances | OwnFrames


@dataclass(eq=False)
class PredictionCollector(Generic[Result]):
    """Accumulator of frames that predicts results for some utterances at a time.

    Attributes:
        predictions: Predictions by utterance; complete at the end.
    """

    model: UtterancePredictor[Result]
    collector: Collector
    predictions: dict[int, Prediction[Result]] = field(default_factory=dict)
    _results: dict[int, Result] = field(default_factory=dict)
    _waiting: list[tuple[int, NDArray[np.float32]]] = field(default_factory=list)

    at_once: ClassVar[int] = 64

    def add(self, first: int, values: NDArray[np.float32]) -> None:
        """Add frames from the model's source."""
        self._take(self.collector.add(first, values))

    def finish(self, samples: int) -> None:
        """End the recording after the given number of samples.

        Raises:
            AnnotationError: an utterance lies past its end.
        """
        self._take(self.collector.finish(samples))
        self._predict_some()
        origins = self.collector.origins(samples).tolist()
        self.predictions = {
            index: Prediction(result, origins[index]) for index, result in sorted(self._results.items())
        }

    def _take(self, utterances: Iterable[tuple[int, NDArray[np.float32]]]) -> None:
        for each in utterances:
            self._waiting.append(each)
            if len(self._waiting) == self.at_once:
                self._predict_some()

    def _predict_some(self) -> None:
        if self._waiting:
            indices, frames = zip(*self._waiting, strict=True)
            self._results |= dict(zip(indices, self.model.predict(frames), strict=True))
            self._waiting = []
