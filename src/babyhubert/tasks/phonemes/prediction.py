"""Phonemes of the key child's utterances, with times and confidences."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.segments import Segments
from babyhubert.audio.channels import Channel
from babyhubert.audio.waveforms import AudioInput, AudioProgress
from babyhubert.encoder.flavours.babar import BLANK
from babyhubert.errors import CheckpointError, ConfigError
from babyhubert.inference.utterance_predictor import Prediction, UtterancePredictor
from babyhubert.material.windows import UtteranceWindow
from babyhubert.phonology.ctc import Symbols, beam_search, greedy, log_softmax
from babyhubert.phonology.inventory import is_between, is_mark
from babyhubert.tasks.phonemes.windows import phoneme_window
from babyhubert.timebase import FRAME_HOP

SOUNDLESS = "soundless"
"""Key of a task in ``task.json``, of models converted with their tokenizer: labels of outputs that are no sounds."""


class TimedPhoneme(NamedTuple):
    """A phoneme with the frames that CTC assigned to it.

    Attributes:
        phoneme: IPA.
        start: First sample of its first frame's cell, in the recording.
        end: Sample after its last frame's cell. CTC marks the moment of recognition, often one frame; time between two
            phonemes belongs to neither.
        confidence: Mean probability over its frames, 0 to 1; the least of a phone's and its marks', where a model has
            outputs for marks.
    """

    phoneme: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, eq=False)
class PhonemeRecogniser(UtterancePredictor[Symbols]):
    """A phoneme model for inference. Call it with a recording and its segments.

    Example:
        >>> phonemes = babyhubert.load_model(task="phonemes")
        >>> phonemes("day1.wav", segments).columns["phonemes"]

    Attributes:
        beam: Prefixes kept by the beam search; 0 decodes greedily, as published.
    """

    beam: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels.count(BLANK) != 1:
            raise CheckpointError(f"{self.loaded.name}: the labels of its phoneme head do not hold one {BLANK}")
        if self.beam < 0:
            raise ConfigError(f"a beam of {self.beam}: 0 (greedy) or more")

    def settings(self) -> dict[str, Any]:
        """All settings that affect a result, for records."""
        return {**super().settings(), "decoder": "greedy" if not self.beam else f"beam {self.beam}"}

    def published_window(self, onset: int, offset: int, recording: int, context: int) -> UtteranceWindow:
        """See :func:`phoneme_window`."""
        return phoneme_window(onset, offset, recording, context)

    def predict(self, frames: Sequence[NDArray[np.float32]]) -> list[Symbols]:
        """Phonemes of utterances from the logits of their frames."""
        blank = self.labels.index(BLANK)
        scores = [log_softmax(each) for each in frames]
        found = beam_search(scores, blank, self.beam) if self.beam else [greedy(each, blank) for each in scores]
        if self._converted is None:
            return found
        soundless = [
            index
            for index, label in enumerate(self.labels)
            if label != BLANK and (label in self._converted or is_between(label))
        ]
        return [symbols.without(soundless) for symbols in found]

    @property
    def _converted(self) -> Collection[str] | None:
        """Outputs without a sound of a model with a tokenizer's outputs; None for a model with an inventory."""
        named: Collection[str] | None = self.loaded.card.get(self.task, {}).get(SOUNDLESS)
        return named

    def __call__(
        self,
        audio: AudioInput,
        segments: Segments,
        sampling_rate: int | None = None,
        *,
        channel: Channel = "mean",
        progress: AudioProgress | None = None,
    ) -> Segments:
        """The key child's segments with columns ``phonemes`` (IPA with spaces between) and ``timed``.

        ``timed`` holds a tuple of :class:`TimedPhoneme` per segment.

        Args:
            audio: A file of any readable format; or samples of shape (n,) or (channels, n), as a NumPy array, a torch
                tensor or lists: floating point in [-1, 1], or int16, int32 or uint8, which are scaled.
            segments: Segments of the recording, as a voice-type model or an annotation gives them.
            sampling_rate: Rate of the samples, Hz; other rates than 16 000 are resampled. Left out for a file.
            channel: ``"mean"`` of all channels, ``"first"``, ``"loudest"``, or a channel's index from 0.
            progress: Called after each block that was read, with the seconds done and those in all.

        Raises:
            AudioError: the file cannot be read, or the samples are no audio.
            AnnotationError: a segment lies past the end of the recording.
        """
        results = self.results(audio, segments, sampling_rate, channel=channel, progress=progress)
        return self.annotated(segments, results)

    def annotated(self, segments: Segments, results: Mapping[int, Prediction[Symbols]]) -> Segments:
        """The segments with a prediction, with columns ``phonemes`` and ``timed``."""
        rows = np.array(sorted(results), dtype=np.int64)
        timed, spoken = np.empty(len(rows), dtype=object), np.empty(len(rows), dtype=object)
        for place, row in enumerate(rows.tolist()):
            timed[place] = self._timed(results[row])
            spoken[place] = " ".join(phoneme.phoneme for phoneme in timed[place])
        columns = {"phonemes": spoken, "timed": timed}
        return Segments(segments.start[rows], segments.end[rows], segments.label[rows], columns)

    def _timed(self, predictions: Prediction[Symbols]) -> tuple[TimedPhoneme, ...]:
        """Symbols with their times.

        An output of a tokenizer that is a mark alone (length, nasality) is joined to the phone before it.
        """
        symbols = predictions.result
        parts = (symbols.ids, symbols.first, symbols.stop, symbols.confidence)
        found: list[TimedPhoneme] = []
        for index, first, stop, confidence in zip(*(part.tolist() for part in parts), strict=True):
            start, end = (predictions.origin + frame * FRAME_HOP for frame in (first, stop))
            label = self.labels[index]
            if found and self._converted is not None and is_mark(label):
                last = found[-1]
                found[-1] = TimedPhoneme(last.phoneme + label, last.start, end, min(last.confidence, confidence))
            else:
                found.append(TimedPhoneme(label, start, end, confidence))
        return tuple(found)
