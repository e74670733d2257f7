"""Training of voice types: windows of annotated recordings, binary cross-entropy, macro F1 over frames.

Training windows are always drawn anew, as published: recordings in proportion to their annotated time, at any
position. Validation uses every annotated frame of every recording once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from babyhubert.annotation.intervals import complement, intersect
from babyhubert.annotation.raster import RasterRule, segments_to_frames
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.config import Config
from babyhubert.encoder.heads import HEAD_DROPOUT, VOICE_TYPE, FrameHead, TaskHead
from babyhubert.errors import AnnotationError
from babyhubert.material.audio_store import AudioStore
from babyhubert.material.augmentation import (
    Augmentation,
    AugmentationSettings,
    Probability,
    Range,
    mix_scenes,
    source_samples,
    warp,
    within,
)
from babyhubert.material.batch import Batch
from babyhubert.material.lone_voices import LoneVoices, LoneVoicesSettings
from babyhubert.material.made_up_sounds import NonSpeech, NonSpeechSettings
from babyhubert.material.settings import DataSettings, DataSource, SkippedMaterial, SourceRecording, Sources
from babyhubert.material.sources import (
    EXCLUDED_SPEAKER,
    excluded_speakers,
    hold_out,
    is_by,
    read_sources,
    relabeller,
)
from babyhubert.material.threshold_counts import GRID, LEVELS, above, best_point, count_levels
from babyhubert.tasks.interface import Validation, identity_of, without_validation
from babyhubert.tasks.voice_type.teacher import Teacher, TeacherSettings
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD, SAMPLE_RATE, frame_count, seconds_to_samples

PUBLISHED_WINDOW_S = 4.0
_FOR_EVER = 2**62


class MixSettings(Config):
    """Mix of two scenes in one window, to train on overlap; the labels of both are joined.

    Attributes:
        probability: Fraction of windows.
        level_db: Range of the level of the second scene against its own, dB.
    """

    probability: Probability = 0.3
    level_db: Range = (-6.0, 3.0)


class VoiceTypeSettings(Config):
    """``[voice_type]``.

    Attributes:
        kind: ``frames``.
        data: Annotated recordings.
        labels: Classes, the order of the outputs.
        label_map: Mapping of other labels; ``""`` skips their segments.
        label_rule: ``cell``: a frame is on if its 20 ms are; ``published``: if any of the 25 ms of its input is.
        window_s: Length of a training window.
        shortest_window_s: If given, each batch has a random window length between this and ``window_s`` (every octave
            equally often), with more windows if they are shorter: short clips are then predicted like the same sound
            within a day.
        inference_window_s: Length of the windows of validation and inference; None: the same. If the first layer
            normalises over the window, near and far speakers are easier to distinguish in a longer one.
        in_quiet: True to place a recording shorter than an inference window in the middle of one, with faint noise
            around it, so that it is predicted like the same sound within a day.
        batch_size: Windows of one process in one batch.
        dropout: Fraction of features dropped before the outputs.
        balanced_share: Fraction of windows drawn by class, each class equally often, instead of anywhere in the
            recordings: rare classes occur more often.
        positive_weights: Factor on the loss of a class in frames in which it speaks.
        overlap_weight: Factor on the loss of frames in which several classes speak: they are few, and hard.
        mix: Two scenes in one window.
        nobody: Windows without speech.
        alone: Windows in which a recorded voice sounds alone, such as a cry.
        teacher: Another model whose probabilities are part of the targets.
        augmentation: Changes of training windows.
        loss_weight: Weight of this task's loss in a training of several tasks.
    """

    kind: Literal["frames"] = "frames"
    data: DataSettings
    labels: Sequence[str] = VOICE_TYPES
    label_map: Mapping[str, str] = Field(default_factory=dict)
    label_rule: RasterRule = "cell"
    window_s: Annotated[float, Field(ge=0.1)] = PUBLISHED_WINDOW_S
    shortest_window_s: Annotated[float, Field(ge=0.1)] | None = None
    inference_window_s: Annotated[float, Field(ge=0.1)] | None = None
    in_quiet: bool = False
    batch_size: Annotated[int, Field(ge=1)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = HEAD_DROPOUT
    balanced_share: Probability = 0.0
    positive_weights: Mapping[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    overlap_weight: Annotated[float, Field(gt=0)] = 1.0
    mix: MixSettings | None = None
    nobody: NonSpeechSettings | None = None
    alone: LoneVoicesSettings | None = None
    teacher: TeacherSettings | None = None
    augmentation: AugmentationSettings = AugmentationSettings()
    loss_weight: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _windows_ascend(self) -> Self:
        if self.shortest_window_s is not None and self.shortest_window_s > self.window_s:
            raise ValueError(
                f"shortest_window_s is {self.shortest_window_s:g}: at most window_s, which is {self.window_s:g}"
            )
        return self


class FramesSettings(VoiceTypeSettings):
    """``[task.NAME]`` with ``kind = "frames"``: as ``[voice_type]``, with classes of its own."""

    labels: Annotated[Sequence[str], Field(min_length=1)]


@dataclass(frozen=True, eq=False)
class LabelledScenes:
    """Recordings with reference labels of their frames.

    Attributes:
        store: Their audio.
        targets: By recording, multi-hot uint8, (T, C).
        annotated: By recording, mask of annotated frames, bool (T,); None: all.
        stretches: Frames to draw from, by class, and all annotated ones under -1: recording, first and past-the-last
            frame, int64, (S, 3).
        times: By recording, number of copies of its frames in the random draw, int64.
    """

    store: AudioStore
    targets: tuple[NDArray[np.uint8], ...]
    annotated: tuple[NDArray[np.bool_] | None, ...]
    stretches: Mapping[int, NDArray[np.int64]]
    times: NDArray[np.int64]

    @property
    def frames(self) -> int:
        """Number of annotated frames."""
        return _frames(self.stretches[-1])

    @property
    def frames_with_copies(self) -> int:
        """Number of annotated frames, counted with their copies."""
        return int(self._reach(self.stretches[-1])[-1])

    def truth(self, recording: int, frames: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Targets (N, C) and annotation mask (N,) of some frames; frames outside the recording are not annotated."""
        there = (frames >= 0) & (frames < len(self.targets[recording]))
        safe = np.where(there, frames, 0)
        mask = self.annotated[recording]
        valid = there if mask is None else there & mask[safe]
        if not len(self.targets[recording]):
            return np.zeros((len(frames), self.targets[recording].shape[1]), dtype=np.float32), there
        return self.targets[recording][safe].astype(np.float32), valid

    def draw(self, kind: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw a frame for each entry of ``kind`` (a class, or -1 for all annotated ones): recordings and frames,
        (N,).
        """
        recordings, frames = np.empty_like(kind), np.empty_like(kind)
        places = rng.random(len(kind))
        for value in np.unique(kind):
            rows = np.flatnonzero(kind == value)
            spans = self.stretches[int(value)]
            reach = self._reach(spans)
            at = np.minimum((places[rows] * reach[-1]).astype(np.int64), reach[-1] - 1)
            span = np.searchsorted(reach, at, side="right")
            recordings[rows] = spans[span, 0]
            frames[rows] = spans[span, 2] + (at - reach[span]) // self.times[spans[span, 0]]
        return recordings, frames

    def _reach(self, spans: NDArray[np.int64]) -> NDArray[np.int64]:
        """Frames up to the end of each stretch, copies included."""
        return np.cumsum((spans[:, 2] - spans[:, 1]) * self.times[spans[:, 0]])


class VoiceTypeTask:
    """Implements :class:`~babyhubert.tasks.interface.Task`.

    Args:
        settings: Settings of the task.
        train: Training recordings.
        validation: Validation recordings.
        seed: Seed of the windows.
        augmentation: Changes of training windows.
        non_speech: Windows without speech, and background sounds; None: neither.
        alone: Windows with a lone voice; None: there are none.
        teacher: Model whose probabilities are part of the targets; None: the annotation alone.
        name: Name of the task.
        seed_stream: Number of its random draws among those of other tasks.
    """

    def __init__(
        self,
        settings: VoiceTypeSettings,
        train: LabelledScenes,
        validation: LabelledScenes,
        seed: int,
        augmentation: Augmentation,
        non_speech: NonSpeech | None = None,
        alone: LoneVoices | None = None,
        teacher: Teacher | None = None,
        *,
        name: str = VOICE_TYPE,
        seed_stream: int = 1,
    ) -> None:
        self.name, self._seed_stream = name, seed_stream
        self.settings, self.train, self.validation, self.seed = settings, train, validation, seed
        self.labels = tuple(settings.labels)
        self.augmentation, self.non_speech, self.alone, self.teacher = augmentation, non_speech, alone, teacher
        self.replayable = settings.shortest_window_s is None
        self.window = seconds_to_samples(settings.window_s)
        self._inference_window_s = settings.inference_window_s or settings.window_s
        self._positive_weights = torch.tensor([settings.positive_weights.get(label, 1.0) for label in self.labels])

    @classmethod
    def prepare(
        cls,
        settings: VoiceTypeSettings,
        cache: Path,
        seed: int,
        left_out: SkippedMaterial,
        *,
        name: str = VOICE_TYPE,
        seed_stream: int = 1,
    ) -> VoiceTypeTask:
        """Read and decode the material.

        Raises:
            AnnotationError: malformed, an unknown label, or a class that never occurs in training.
            AudioError: a recording cannot be read.
        """
        unknown = set(settings.positive_weights) - set(settings.labels)
        if unknown:
            raise AnnotationError(f"{name}.positive_weights: no class {sorted(unknown)[0]!r}")
        train, validation = _split(settings.data, name, left_out)
        scenes = load_scenes(train, settings, cache, left_out, name)
        for k, label in enumerate(settings.labels):
            if not len(scenes.stretches[k]):
                raise AnnotationError(
                    f"no {label} in the training material: nothing about it can be learnt; take it out of "
                    f"{name}.labels, or map another label to it ({name}.label_map)"
                )
        held = load_scenes(validation, settings, cache, left_out, name)
        if not any(len(held.stretches[k]) for k in range(len(settings.labels))):
            raise AnnotationError("no speech in the validation material: it cannot compare weights")
        non_speech = None if settings.nobody is None else NonSpeech.prepare(settings.nobody, cache)
        augmentation = Augmentation.prepare(settings.augmentation, cache)
        alone = None
        if settings.alone is not None:
            alone = LoneVoices.prepare(settings.alone, settings.labels, cache, non_speech)
        teacher = None if settings.teacher is None else Teacher(settings.teacher, name, settings.labels)
        return cls(
            settings, scenes, held, seed, augmentation, non_speech, alone, teacher, name=name, seed_stream=seed_stream
        )

    @property
    def batches_an_epoch(self) -> int:
        """Number of batches that hold as much audio as the material with its copies."""
        windows = -(-self.train.frames_with_copies * FRAME_HOP // self.window)
        return max(1, -(-windows // self.settings.batch_size))

    @property
    def seconds(self) -> float:
        """Seconds of annotated training audio."""
        return self.train.frames * FRAME_HOP / SAMPLE_RATE

    @property
    def summary(self) -> str:
        """One line about the material."""
        shares = ", ".join(
            f"{label} {100 * _frames(self.train.stretches[k]) / self.train.frames:.1f}%"
            for k, label in enumerate(self.labels)
        )
        return (
            f"{len(self.train.targets)} recordings, {self.seconds / 3600:.2f} h annotated ({shares}); "
            f"{len(self.validation.targets)} for validation"
            f"{without_validation(self.labels, [len(self.validation.stretches[k]) for k in range(len(self.labels))])}"
        )

    @property
    def identity(self) -> str:
        """Hash of the material."""
        return identity_of(
            *(self.train.stretches[k] for k in sorted(self.train.stretches)),
            *(self.validation.stretches[k] for k in sorted(self.validation.stretches)),
            self.train.store.bounds,
            self.validation.store.bounds,
            self.train.times,
        )

    def new_head(self, width: int, mixed_layers: int | None) -> FrameHead:
        """Build a head: one linear output per class."""
        return FrameHead(self.labels, width, self.settings.dropout, mixed_layers)

    def batch(self, number: int) -> Batch:
        """Draw the windows of this number."""
        settings, rng = self.settings, np.random.default_rng([self.seed, self._seed_stream, number])
        count, window = self._shape(rng)
        waveforms, lengths, targets, valid = self._windows(count, window, rng)
        if settings.mix is not None:
            rows = np.flatnonzero(rng.random(len(waveforms)) < settings.mix.probability)
            others, other_lengths, other_targets, other_valid = self._windows(len(rows), window, rng)
            waveforms = mix_scenes(waveforms, others, within(settings.mix.level_db, len(rows), rng), rows)
            lengths[rows] = np.minimum(lengths[rows], other_lengths)
            targets[rows] = np.maximum(targets[rows], other_targets)
            valid[rows] &= other_valid
            waveforms *= np.arange(window) < lengths[:, None]
        taught = np.ones((len(waveforms), 1, 1), dtype=np.float32)
        if self.non_speech is not None:
            waveforms = self.non_speech.behind(waveforms, rng) * (np.arange(window) < lengths[:, None])
            rows = np.flatnonzero(rng.random(len(waveforms)) < self.non_speech.settings.probability)
            waveforms[rows] = self.non_speech.windows(len(rows), window, rng)
            lengths[rows], targets[rows], valid[rows] = window, 0, True
            taught[rows] = 0
        if self.alone is not None:
            rows = np.flatnonzero(rng.random(len(waveforms)) < self.alone.settings.probability)
            waveforms[rows], targets[rows], valid[rows] = self.alone.windows(len(rows), window, self.labels, rng)
            lengths[rows], taught[rows] = window, 0
        changed = self.augmentation(waveforms, lengths, rng)
        return _batch(changed, lengths, targets, valid, None if self.teacher is None else taught)

    def _shape(self, rng: np.random.Generator) -> tuple[int, int]:
        """Number and length of windows, so that every batch holds the same amount of audio."""
        shortest = self.settings.shortest_window_s
        if shortest is None:
            return self.settings.batch_size, self.window
        octaves = rng.random() * np.log2(self.settings.window_s / shortest)
        window = seconds_to_samples(float(shortest * 2**octaves)) // FRAME_HOP * FRAME_HOP
        window = min(max(window, FRAME_RECEPTIVE_FIELD), self.window)
        return max(round(self.settings.batch_size * self.window / window), 1), window

    def validation_batches(self, rank: int, world: int) -> Iterator[Batch]:
        """Batches that contain every annotated frame once: adjacent windows, the last one moved back to the
        recording's end.
        """
        plan = [window for window in self._validation_windows() if window[3].any()]
        plan.sort(key=lambda window: window[2])
        pending: list[tuple[int, int, int, NDArray[np.bool_]]] = []
        batches = []
        for window in plan:
            if pending and (window[2] != pending[0][2] or len(pending) == self.settings.batch_size):
                batches.append(pending)
                pending = []
            pending.append(window)
        batches += [pending] if pending else []
        for windows in batches[rank::world]:
            samples = windows[0][2]
            audio = [self.validation.store.read(r, f * FRAME_HOP, f * FRAME_HOP + samples) for r, f, _, _ in windows]
            truths = [self.validation.truth(r, f + np.arange(len(scored))) for r, f, _, scored in windows]
            yield _batch(
                np.stack(audio),
                np.full(len(windows), samples),
                np.stack([targets for targets, _ in truths]),
                np.stack([scored for *_, scored in windows]),
            )

    def _validation_windows(self) -> Iterator[tuple[int, int, int, NDArray[np.bool_]]]:
        """Recording, first frame, samples, and mask of the scored frames."""
        window = seconds_to_samples(self._inference_window_s)
        step = frame_count(window)
        for recording, length in enumerate(self.validation.store.lengths.tolist()):
            frames = frame_count(length)
            for begin in range(0, frames, step):
                if frames <= step:
                    first, samples = 0, length if frames < step else window
                else:
                    first, samples = min(begin, frames - step), window
                own = first + np.arange(frame_count(samples))
                yield recording, first, samples, self.validation.truth(recording, own)[1] & (own >= begin)

    def loss(self, head: TaskHead, features: Tensor, batch: Batch) -> Tensor:
        """Sum over annotated frames of the (weighted) binary cross-entropies of all classes."""
        logits = head(features).float()
        if self._positive_weights.device != logits.device:  # once: a graph could not replay the copy
            self._positive_weights = self._positive_weights.to(logits.device)
        targets = labels = batch.targets["labels"]
        if self.teacher is not None:
            targets = self.teacher.targets(batch.waveforms, batch.lengths, labels, batch.targets["taught"])
        losses = F.binary_cross_entropy_with_logits(
            logits, targets, reduction="none", pos_weight=self._positive_weights
        )
        weights = batch.targets["annotated"]
        if self.settings.overlap_weight != 1.0:
            overlapped = labels.sum(dim=-1) > 1
            weights = torch.where(overlapped, self.settings.overlap_weight * weights, weights)
        return torch.einsum("btc,bt->", losses, weights)

    def tally(self, head: TaskHead, features: Tensor, batch: Batch) -> NDArray[np.float64]:
        """Loss, frames, and histograms of scores: of all frames, and of positives where voices overlap."""
        logits = head(features).float()
        targets, scored = batch.targets["labels"], batch.targets["annotated"] > 0
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=-1)[scored].sum()
        scores = torch.sigmoid(logits)[scored].cpu().numpy()
        positive = targets[scored].cpu().numpy() > 0
        overlapped = positive & (positive.sum(axis=1, keepdims=True) > 1)
        counts = count_levels(scores, positive)
        both = count_levels(scores, overlapped)[:, 1]
        return np.concatenate([[loss.item(), len(scores)], counts.ravel(), both.ravel()])

    def conclude(self, tally: NDArray[np.float64]) -> Validation:
        """Thresholds with the best F1, and the scores at them."""
        classes = len(self.labels)
        counts = tally[2 : 2 + classes * 2 * LEVELS].reshape(classes, 2, LEVELS)
        both = tally[2 + classes * 2 * LEVELS :].reshape(classes, LEVELS)
        points = [best_point(counts[k]) for k in range(classes)]
        chosen = [int(np.searchsorted(GRID, point.threshold)) for point in points]
        caught = sum(above(both[k])[chosen[k]] for k in range(classes))
        f1 = np.array([point.f1 for point in points])
        macro = float(np.nanmean(f1)) if not np.isnan(f1).all() else 0.0
        figures = {"macro_f1": macro}
        for label, point in zip(self.labels, points, strict=True):
            figures |= {
                f"f1_{label}": point.f1,
                f"precision_{label}": point.precision,
                f"recall_{label}": point.recall,
            }
        if both.sum():
            figures["overlap_recall"] = float(caught / both.sum())
        thresholds = {label: point.threshold for label, point in zip(self.labels, points, strict=True)}
        return Validation(macro, float(tally[0] / max(tally[1], 1)), figures, {"thresholds": {"f1": thresholds}})

    def card(self) -> dict[str, Any]:
        """Window of inference, label rule, and teacher."""
        quiet = {"in_quiet": True} if self.settings.in_quiet else {}
        teacher = {} if self.teacher is None else {"teacher": self.teacher.origin}
        return {"context_s": self._inference_window_s, "label_rule": self.settings.label_rule, **quiet, **teacher}

    def _windows(
        self, count: int, window: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
        """Waveforms (count, window), lengths, targets (count, T, C), and annotation mask (count, T)."""
        scenes, frames = self.train, frame_count(window)
        balanced = rng.random(count) < self.settings.balanced_share
        kind = np.where(balanced, rng.integers(len(self.labels), size=count), -1)
        recordings, inside = scenes.draw(kind, rng)
        offsets = rng.random(count)
        warps = self.augmentation.warps(count, rng)
        waveforms = np.zeros((count, window), dtype=np.float32)
        lengths = np.full(count, window, dtype=np.int64)
        targets = np.zeros((count, frames, len(self.labels)), dtype=np.float32)
        valid = np.zeros((count, frames), dtype=bool)
        drawn = (kind, recordings, inside, offsets, warps.tempo, warps.pitch)
        for row, (kind_of, recording, frame, offset, tempo, pitch) in enumerate(
            zip(*(values.tolist() for values in drawn), strict=True)
        ):
            needed = source_samples(window, tempo)
            length = int(scenes.store.lengths[recording])
            latest = max((length - needed) // FRAME_HOP, 0)
            if kind_of == -1 and scenes.annotated[recording] is None:
                first = int(offset * (latest + 1))
            else:  # anywhere around the drawn frame
                first = min(max(frame - int(offset * frame_count(needed)), 0), latest)
            start = first * FRAME_HOP
            there = min(needed, length - start)
            if there < needed:  # a recording shorter than the window
                lengths[row] = min(max(round(there / tempo), FRAME_RECEPTIVE_FIELD), window)
            audio = scenes.store.read(recording, start, start + needed)
            waveforms[row] = warp(audio, window, pitch)
            own = first + ((np.arange(frames) + 0.5) * tempo).astype(np.int64)
            targets[row], valid[row] = scenes.truth(recording, own)
            valid[row, frame_count(int(lengths[row])) :] = False
        return waveforms, lengths, targets, valid


def load_scenes(
    recordings: Sequence[SourceRecording],
    settings: VoiceTypeSettings,
    cache: Path,
    left_out: SkippedMaterial,
    task: str = VOICE_TYPE,
) -> LabelledScenes:
    """Audio and frame targets of annotated recordings; those shorter than a frame are reported as skipped.

    Raises:
        AnnotationError: a label is unknown, or nothing was annotated.
        AudioError: a recording cannot be read.
    """
    relabel = relabeller(settings.labels, settings.label_map, task)
    store = AudioStore.build([recording.file for recording in recordings], cache)
    targets, masks = [], []
    stretches: dict[int, list[tuple[int, int, int]]] = {k: [] for k in range(-1, len(settings.labels))}
    for number, recording in enumerate(recordings):
        frames = frame_count(int(store.lengths[number]))
        if not frames:
            left_out.add(f"shorter than a frame ({FRAME_RECEPTIVE_FIELD} samples)", str(recording.file.path))
        segments = _segments(recording, relabel, int(store.lengths[number]))
        own = frame_targets(segments, settings.labels, 0, frames, settings.label_rule).astype(np.uint8)
        mask = None
        if recording.annotated is not None:
            mask = segments_to_frames(*recording.annotated, frames)
        targets.append(own)
        masks.append(mask)
        stretches[-1] += _spans(number, np.ones(frames, dtype=bool) if mask is None else mask)
        for k in range(len(settings.labels)):
            stretches[k] += _spans(number, (own[:, k] > 0) & (True if mask is None else mask))
    if not stretches[-1]:
        raise AnnotationError(f"nothing of these {len(recordings)} recordings is annotated (see the UEM files)")
    arrays = {k: np.array(spans, dtype=np.int64).reshape(-1, 3) for k, spans in stretches.items()}
    times = np.array([recording.times for recording in recordings], dtype=np.int64)
    return LabelledScenes(store, tuple(targets), tuple(masks), arrays, times)


def _split(
    data: DataSettings, task: str, left_out: SkippedMaterial
) -> tuple[list[SourceRecording], list[SourceRecording]]:
    """Recordings for training and for validation; those held out for a later test are reported as skipped."""
    train = _recordings(data.train, left_out)
    if data.validation is not None:
        validation = _recordings(data.validation, left_out)
        both = {recording.file.path for recording in train} & {recording.file.path for recording in validation}
        if both:
            raise AnnotationError(f"{sorted(both)[0]}: is in training and in validation material")
        held, test = frozenset[str](), hold_out(_groups(train), 0.0, data.test_share, data.split_seed)[1]
    else:
        if not data.validation_share:
            raise AnnotationError(
                f"no validation material: give {task}.data.validation or {task}.data.validation_share"
            )
        held, test = hold_out(_groups(train), data.validation_share, data.test_share, data.split_seed)
        validation = [r for r, group in zip(train, _groups(train), strict=True) if group in held]
    for recording, group in zip(train, _groups(train), strict=True):
        if group in test:
            left_out.add("held out for a test", recording.file.recording_id)
    return [r for r, group in zip(train, _groups(train), strict=True) if group not in held | test], validation


def _recordings(sources: Sources, left_out: SkippedMaterial) -> list[SourceRecording]:
    """Recordings; stretches with excluded speakers count as not annotated."""
    found = read_sources(sources, left_out)
    absent = excluded_speakers(source for source, _ in found)
    for source, recording in found:
        _refuse_several_groups(source, recording)
    return [
        _without(recording, absent[source.without_speakers], left_out) if source.without_speakers else recording
        for source, recording in found
    ]


def _refuse_several_groups(source: DataSource, recording: SourceRecording) -> None:
    if source.group_column is None:
        return
    groups = sorted({row.fields[source.group_column] for row in recording.rows})
    if len(groups) > 1:
        raise AnnotationError(
            f"{recording.file.path}: rows of several {source.group_column} ({groups[0]}, {groups[1]}); voice type "
            "learns whole recordings, so this column cannot say which to keep together"
        )


def _without(recording: SourceRecording, speakers: frozenset[str], left_out: SkippedMaterial) -> SourceRecording:
    kept = tuple(row for row in recording.rows if not is_by(row, speakers))
    theirs = [row for row in recording.rows if is_by(row, speakers)]
    if not theirs:
        return recording
    for row in theirs:
        left_out.add(EXCLUDED_SPEAKER, row.where)
    start = np.array([row.start for row in theirs], dtype=np.int64)
    end = np.array([_FOR_EVER if row.end is None else row.end for row in theirs], dtype=np.int64)
    others = complement(start, end, _FOR_EVER)
    annotated = others if recording.annotated is None else intersect(others, recording.annotated)
    return replace(recording, rows=kept, annotated=annotated)


def _groups(recordings: Sequence[SourceRecording]) -> list[str]:
    return [recording.group or recording.file.recording_id for recording in recordings]


def _segments(recording: SourceRecording, relabel: Any, length: int) -> Segments:
    rows = []
    for row in recording.rows:
        label = relabel(row.fields.get("label") or row.fields.get("speaker_type", ""), row.where)
        end = length if row.end is None else row.end
        if row.start > length:
            raise AnnotationError(
                f"{row.where}: begins {row.start / SAMPLE_RATE:.3f} s into a recording of "
                f"{length / SAMPLE_RATE:.3f} s ({recording.file.path})"
            )
        if label is not None:
            rows.append((row.start, max(row.start, min(end, length)), label))
    return Segments.from_rows(rows)


def _spans(number: int, active: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    edges = np.diff(np.concatenate(([False], active, [False])).astype(np.int8))
    begins, ends = np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist()
    return [(number, begin, end) for begin, end in zip(begins, ends, strict=True)]


def _frames(spans: NDArray[np.int64]) -> int:
    return int((spans[:, 2] - spans[:, 1]).sum())


def _batch(
    waveforms: NDArray[np.float32],
    lengths: NDArray[np.int64],
    targets: NDArray,
    valid: NDArray[np.bool_],
    taught: NDArray[np.float32] | None = None,
) -> Batch:
    whole = bool((lengths == waveforms.shape[1]).all())
    return Batch(
        torch.from_numpy(waveforms),
        None if whole else torch.from_numpy(lengths),
        {
            "labels": torch.from_numpy(targets.astype(np.float32)),
            "annotated": torch.from_numpy(valid.astype(np.float32)),
            **({} if taught is None else {"taught": torch.from_numpy(taught)}),
        },
        float(valid.sum()),
        float(lengths.sum()) / SAMPLE_RATE,
    )


def frame_targets(
    segments: Segments, labels: Sequence[str], first_frame: int, n_frames: int, rule: RasterRule = "cell"
) -> NDArray[np.float32]:
    """Multi-hot targets of frames ``first_frame .. first_frame + n_frames`` of a recording, shape (n_frames, C)."""
    stop = first_frame + n_frames
    columns = [segments_to_frames(*segments.intervals(label), stop, rule)[first_frame:] for label in labels]
    return np.stack(columns, axis=-1).astype(np.float32)
