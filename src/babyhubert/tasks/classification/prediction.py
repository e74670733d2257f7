"""Classes of the utterances of a recording: the addressee, or any other classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.segments import Segments
from babyhubert.audio.channels import Channel
from babyhubert.audio.waveforms import AudioInput, AudioProgress
from babyhubert.encoder.context import Pooling
from babyhubert.inference.utterance_predictor import Prediction, UtterancePredictor
from babyhubert.material.windows import UtteranceWindow
from babyhubert.phonology.ctc import log_softmax
from babyhubert.tasks.classification.windows import centred_window

PUBLISHED_UNRUN = {"addressee": "Other"}
"""Class of utterances that the published tool skips (over 30 s); empty for other tasks."""


@dataclass(frozen=True, eq=False)
class UtteranceClassifier(UtterancePredictor[NDArray[np.float64]]):
    """A classification model for inference. Call it with a recording and its segments.

    Example:
        >>> addressee = babyhubert.load_model(task="addressee")
        >>> addressee("day1.wav", segments).columns["addressee"]
    """

    @property
    def column(self) -> str:
        """Column of the tables it writes."""
        return self.filled_column.name

    @property
    def pooling(self) -> Pooling:
        """Frames whose mean decides."""
        return self.loaded.window_settings[self.task].pooling

    def settings(self) -> dict[str, Any]:
        """All settings that affect a result, for records."""
        return {**super().settings(), "pooling": self.pooling}

    def published_window(self, onset: int, offset: int, recording: int, context: int) -> UtteranceWindow:
        """See :func:`centred_window`."""
        return centred_window(onset, offset, recording, context, self.pooling)

    def predict(self, frames: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float64]]:
        """Probabilities of the classes, (C,) each: the softmax of the mean of the frames' logits."""
        return [np.exp(log_softmax(each.mean(axis=0, dtype=np.float64))) for each in frames]

    def __call__(
        self,
        audio: AudioInput,
        segments: Segments,
        sampling_rate: int | None = None,
        *,
        channel: Channel = "mean",
        progress: AudioProgress | None = None,
    ) -> Segments:
        """The same segments with the task's column (empty for other voices) and ``p_<class>`` (NaN for these).

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

    def annotated(self, segments: Segments, results: Mapping[int, Prediction[NDArray[np.float64]]]) -> Segments:
        """Segments with the task's column and ``p_<class>``, from probabilities by row."""
        probabilities = np.full((len(segments), len(self.labels)), np.nan)
        classes = np.full(len(segments), "", dtype=object)
        classes[self.has_input_voice(segments)] = PUBLISHED_UNRUN.get(self.task, "")
        for row, predictions in results.items():
            probabilities[row] = predictions.result
            classes[row] = self.labels[int(predictions.result.argmax())]
        columns = {f"p_{label}": probabilities[:, k] for k, label in enumerate(self.labels)}
        return Segments(
            segments.start, segments.end, segments.label, {**segments.columns, self.column: classes, **columns}
        )
