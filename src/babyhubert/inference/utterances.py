"""Frames of utterances, cut from a recording that is streamed.

There are two kinds of windows for an utterance. In *grid* mode, windows have fixed positions in the recording and are
encoded once whatever they contain, and each utterance takes its frames: results depend on the recording and not on the
other utterances. In *published* mode, each utterance has a window of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from babyhubert.annotation.raster import frame_spans
from babyhubert.errors import AnnotationError, ComputationError
from babyhubert.inference.engine import Failed, Finished, Frames, require_finite
from babyhubert.material.windows import UtteranceWindow
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD, format_seconds, frame_count

Rule = Callable[[int, int, int], UtteranceWindow]
"""Onset, offset, length of the recording (samples) -> the published window of an utterance."""

_ENDLESS = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Utterances:
    """Stretches of one recording to predict.

    Attributes:
        start: First samples, int64, shape (S,).
        end: Samples after the last, int64, shape (S,).
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def longest(self) -> int:
        """Samples of the longest; 0 if there is none."""
        return int((self.end - self.start).max(initial=0))

    def frames(self, samples: int | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First frame of each on the recording's grid and the frame after its last; at least one frame each.

        Args:
            samples: Length of the recording; None if only decoding can tell. An utterance that begins after the last
                frame and before the end takes the last frame.
        """
        frames = _ENDLESS if samples is None else max(frame_count(samples), 1)
        first, stop = frame_spans(self.start, self.end, frames)
        first = np.minimum(first, frames - 1)
        return first, np.maximum(stop, first + 1)

    def check(self, samples: int) -> None:
        """Check that a recording of this length contains them.

        Raises:
            AnnotationError: one begins past its end, or it is too short to give a frame.
        """
        late = np.flatnonzero(self.start >= samples)
        if len(late):
            start = format_seconds(int(self.start[late[0]]))
            raise AnnotationError(
                f"a segment at {start} s begins past the recording's end ({format_seconds(samples)} s): is this the "
                "recording it was made for?"
            )
        if len(self) and samples < FRAME_RECEPTIVE_FIELD:
            raise AnnotationError(
                f"the recording is {samples} samples long: shorter than one frame of the model (25 ms)"
            )


class GridUtterances:
    """Cuts utterances out of the frames of a recording, as these arrive. It holds only incomplete utterances.

    Args:
        utterances: The utterances.
        samples: Length of the recording if it is known.
    """

    def __init__(self, utterances: Utterances, samples: int | None) -> None:
        self._utterances = utterances
        self._first, self._stop = utterances.frames(samples)
        self._parts: dict[int, list[NDArray[np.float32]]] = {}
        self._given = np.zeros(len(utterances), dtype=bool)

    def wanted(self, first: int, stop: int) -> bool:
        """True if any utterance contains one of these frames."""
        return bool(np.any((self._first < stop) & (self._stop > first)))

    def add(self, first: int, values: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Add frames, (T, C), from frame ``first``; return the utterances they complete: index and (t, C)."""
        stop = first + len(values)
        for index in np.flatnonzero((self._first < stop) & (self._stop > first)).tolist():
            part = values[max(self._first[index] - first, 0) : self._stop[index] - first]
            self._parts.setdefault(index, []).append(part.copy())
            if self._stop[index] <= stop:
                yield self._complete(index)

    def finish(self, samples: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """End the recording after the given number of samples; return the utterances that reach past its last frame.

        Raises:
            AnnotationError: an utterance lies past the end.
        """
        self._utterances.check(samples)
        for index in sorted(self._parts):
            yield self._complete(index)
        if not self._given.all():
            start = format_seconds(int(self._utterances.start[np.flatnonzero(~self._given)[0]]))
            raise AnnotationError(f"a segment at {start} s begins after the last frame that could be read")

    def origins(self, samples: int) -> NDArray[np.int64]:
        """First sample of each utterance's first frame, in a recording of the given length."""
        return self._first * FRAME_HOP

    def _complete(self, index: int) -> tuple[int, NDArray[np.float32]]:
        self._given[index] = True
        return index, np.concatenate(self._parts.pop(index))


class OwnWindows:
    """A window of its own for each utterance of a recording, cut from a stream whose length need not be known.

    Args:
        utterances: The utterances.
        rule: The published rule.
        context: Length of its windows, samples.
    """

    def __init__(self, utterances: Utterances, rule: Rule, context: int) -> None:
        self._utterances = utterances
        self._rule = rule
        self._context = max(context, FRAME_RECEPTIVE_FIELD)

    def cut(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[tuple[int, UtteranceWindow, NDArray[np.float32]]]:
        """Yield the index of each utterance, its window, and the window's samples, by the window's end.

        Memory holds a window and a block. Utterances that :meth:`Utterances.check` refuses get no window.
        """
        inside = [self._window(index, _ENDLESS >> 1) for index in range(len(self._utterances))]
        order = sorted(range(len(inside)), key=lambda index: (inside[index].stop, index))
        needed = np.minimum.accumulate([inside[index].start for index in reversed(order)])[::-1]
        held, held_from, place = np.empty(0, dtype=np.float32), 0, 0
        for block in blocks:
            held = np.concatenate((held, block))
            reached = held_from + len(held)
            while place < len(order) and inside[order[place]].stop <= reached:
                window = inside[order[place]]
                yield order[place], window, held[window.start - held_from : window.stop - held_from]
                place += 1
            keep = reached - self._context  # a window that the end pushes back begins here at the earliest
            if place < len(order):
                keep = min(keep, int(needed[place]))
            if keep > held_from:
                held, held_from = held[keep - held_from :].copy(), keep
        samples = held_from + len(held)
        for index in order[place:]:
            if self._utterances.start[index] < samples and samples >= FRAME_RECEPTIVE_FIELD:
                window = self._window(index, samples)
                yield index, window, held[window.start - held_from : window.stop - held_from]

    def check(self, samples: int) -> None:
        """See :meth:`Utterances.check`."""
        self._utterances.check(samples)

    def origins(self, samples: int) -> NDArray[np.int64]:
        """First sample of each utterance's first frame, in a recording of the given length."""
        windows = [self._window(index, samples) for index in range(len(self._utterances))]
        return np.array([w.start + w.first_frame * FRAME_HOP for w in windows], dtype=np.int64)

    def _window(self, index: int, samples: int) -> UtteranceWindow:
        return self._rule(int(self._utterances.start[index]), int(self._utterances.end[index]), samples)


@dataclass(frozen=True)
class OwnWindowEngine:
    """Runs every utterance in its own window: the result of the published tools for a batch of one.

    Attributes:
        each: The model: waveforms (1, n) of any lengths -> frame outputs (1, T(n), ...) of each.
        windows: Windows by recording.
        model: Source of the model, for messages.
        at_once: Maximum number of windows of a recording in one call.
    """

    each: Callable[[Sequence[Tensor]], Sequence[Tensor]]
    windows: Mapping[Hashable, OwnWindows]
    model: str = "given"
    at_once: Mapping[Hashable, int] = field(default_factory=dict)

    def run(
        self, recordings: Iterable[tuple[Hashable, Iterable[NDArray[np.float32]]]]
    ) -> Iterator[Frames | Finished | Failed]:
        """Events of recordings; in :class:`Frames`, ``first`` is the utterance's index and ``values`` its frames."""
        for key, blocks in recordings:
            samples = 0

            def counted(blocks: Iterable[NDArray[np.float32]] = blocks) -> Iterator[NDArray[np.float32]]:
                nonlocal samples
                for block in blocks:
                    samples += len(block)
                    yield block

            windows, at_once = self.windows[key].cut(counted()), self.at_once.get(key, 1)
            together, error = _next_ones(windows, at_once)
            while together:
                outputs = self.each([torch.from_numpy(audio[None].copy()) for _, _, audio in together])
                try:
                    found = [self._own_frames(key, *each) for each in zip(together, outputs, strict=True)]
                except ComputationError as not_finite:
                    error = not_finite
                    break
                yield from found
                if error is not None:
                    break
                together, error = _next_ones(windows, at_once)
            yield Finished(key, samples) if error is None else Failed(key, error)

    def _own_frames(
        self, key: Hashable, asked: tuple[int, UtteranceWindow, NDArray[np.float32]], outputs: Tensor
    ) -> Frames:
        index, window, _ = asked
        values = outputs[0, window.first_frame : window.stop_frame].float().cpu().numpy()
        require_finite(values, self.model, key, window.start)
        return Frames(key, index, values)


Found = TypeVar("Found")


def _next_ones(source: Iterator[Found], most: int) -> tuple[list[Found], Exception | None]:
    """The next items, and the exception that ended the source, if any: other recordings continue."""
    found: list[Found] = []
    try:
        found.extend(islice(source, most))
    except Exception as error:
        return found, error
    return found, None
