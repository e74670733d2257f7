"""The engine that runs any model over long recordings: windows in batches, frames in order.

Recordings are given as streams of blocks; frames of each are returned as a stream of events. Windows are collected by
length (nothing is padded with zeros, because the padding would enter the first layer's normalisation; a plan may ask
for faint noise around a recording shorter than a window) until a batch is full.
The number of recordings that are read side by side, so that a batch may hold windows of several, depends on the
device: an accelerator is faster than one decoder, and short recordings would leave it idle. On a CPU it gains nothing,
and one recording at a time makes every result, to the bit, independent of the other recordings.

With a CUDA device, windows are gathered in page-locked memory, and the copy to the device, the model and the copy back
are queued; the next batch is gathered meanwhile and the results are requested later. Page-locked blocks come from
torch's pool and return to it once their copy is done, so a few blocks serve a whole run.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from babyhubert.errors import ComputationError
from babyhubert.inference.stitching import Blend, Stitcher
from babyhubert.inference.surroundings import frames_before, surrounded
from babyhubert.inference.windows import Window, WindowPlan, with_cores
from babyhubert.timebase import FRAME_HOP, format_seconds, frame_count

Compute = Callable[[Tensor], Tensor]
"""Waveforms, float32, shape (B, n) -> frame outputs, shape (B, T(n), ...), on any device and in any dtype."""

Fetch = Callable[[], NDArray[np.float32]]
"""Waits for the results of a batch and returns them."""


def batches_ahead(device: torch.device) -> int:
    """Number of batches to keep in progress while the next is gathered."""
    return 2 if device.type == "cuda" else 0


@dataclass(frozen=True)
class Frames:
    """The next finished frames of a recording: float32, shape (T, ...), row 0 is frame ``first``."""

    key: Hashable
    first: int
    values: NDArray[np.float32]


@dataclass(frozen=True)
class Finished:
    """End of a recording; ``samples`` is its decoded length."""

    key: Hashable
    samples: int


@dataclass(frozen=True)
class Failed:
    """Failure of a recording; no further events of it follow. The other recordings continue."""

    key: Hashable
    error: Exception


def require_finite(values: NDArray[np.float32], model: str, key: Hashable, start: int) -> None:
    """Refuse outputs that are not finite: compared with a threshold, NaN would count as silence.

    Args:
        values: Frame outputs of a window.
        model: Source of the model.
        key: The recording.
        start: First sample of the window.

    Raises:
        ComputationError: a value is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise ComputationError(
            f"{key}: the model {model} gives values that are not finite (NaN or infinity) in the window at "
            f"{format_seconds(start)} s; its weights or settings are damaged, or the samples there are far beyond "
            "full scale: use another model, or look at the recording"
        )


@dataclass
class _Run:
    """State of a recording: its windows in order, those computed, and the frames being joined."""

    key: Hashable
    stitcher: Stitcher
    waiting: deque[int] = field(default_factory=deque)  # starts of windows not yet stitched, in order
    results: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    samples: int | None = None  # set when the last window has been cut
    own: slice | None = None  # frames of the recording in a window that has noise around it
    error: Exception | None = None
    closed: bool = False


@dataclass
class _Traffic:
    """Windows that wait for a full batch, by length; and batches on the device, oldest first."""

    buckets: OrderedDict[int, list[tuple[_Run, Window]]] = field(default_factory=OrderedDict)
    under_way: deque[tuple[list[tuple[_Run, Window]], Fetch]] = field(default_factory=deque)


@dataclass(frozen=True)
class Engine:
    """Runs a frame model over recordings.

    Attributes:
        compute: The model: a batch of equally long waveforms to frame outputs.
        plan: The windows.
        batch_size: Most windows in one call of ``compute``.
        blend: Method of joining overlapping windows.
        at_once: Recordings read side by side. With 1, no batch holds windows of two.
        wanted: If given, ``wanted(key, first, stop)`` tells whether any of these frames is needed; windows without a
            needed frame are not computed, and their frames are not returned.
        ahead: Batches that may be in progress on a CUDA device while the next is gathered.
        model: Source of the model, for messages.
    """

    compute: Compute
    plan: WindowPlan
    batch_size: int = 8
    blend: Blend = "mean"
    at_once: int = 1
    wanted: Callable[[Hashable, int, int], bool] | None = None
    ahead: int = 0
    model: str = "given"

    def run(
        self, recordings: Iterable[tuple[Hashable, Iterable[NDArray[np.float32]]]]
    ) -> Iterator[Frames | Finished | Failed]:
        """Stream frames of recordings.

        Args:
            recordings: Pairs of a key and the recording's consecutive blocks, float32, shape (n,), 16 kHz. An error
                while reading them fails only that recording.

        Yields:
            For each recording, :class:`Frames` in order (with gaps where no frame was needed), then one
            :class:`Finished` or :class:`Failed`. Events of recordings that are read side by side interleave.
        """
        traffic = _Traffic()
        buckets = traffic.buckets
        for run, window in self._drawn(recordings):
            if window is None:
                if self.at_once == 1:
                    yield from self._flush_all(traffic)
                yield from self._deliver(run)
                continue
            bucket = buckets.setdefault(len(window.samples), [])
            bucket.append((run, window))
            if len(bucket) == self.batch_size:
                yield from self._flush(traffic, len(window.samples))
            elif sum(map(len, buckets.values())) > 2 * self.batch_size:
                yield from self._flush(traffic, next(iter(buckets)))
        yield from self._flush_all(traffic)

    def _drawn(
        self, recordings: Iterable[tuple[Hashable, Iterable[NDArray[np.float32]]]]
    ) -> Iterator[tuple[_Run, Window | None]]:
        """Yield windows of ``at_once`` recordings in turns; after a recording's last, None."""
        waiting = iter(recordings)
        active: deque[tuple[_Run, Iterator[Window]]] = deque()
        while True:
            for key, blocks in islice(waiting, self.at_once - len(active)):
                run = _Run(key, Stitcher(self.blend))
                active.append((run, self._windows(run, blocks)))
            if not active:
                return
            run, windows = active.popleft()
            window = next(windows, None)
            if window is not None:
                active.append((run, windows))
            yield run, window

    def _windows(self, run: _Run, blocks: Iterable[NDArray[np.float32]]) -> Iterator[Window]:
        samples = 0

        def counted() -> Iterator[NDArray[np.float32]]:
            nonlocal samples
            for block in blocks:
                samples += len(block)
                yield block

        try:
            for window in self._needed(run.key, self.plan.cut(counted())):
                if run.closed:
                    return
                run.waiting.append(window.start)
                yield self._in_quiet(run, window)
            run.samples = samples
        except Exception as error:  # whatever a decoder raises, the other recordings go on
            run.error = error

    def _in_quiet(self, run: _Run, window: Window) -> Window:
        """The window, or one of full length around it if the plan says so and the recording is shorter."""
        samples = len(window.samples)
        if not self.plan.in_quiet or samples >= self.plan.length:
            return window
        first = frames_before(samples, self.plan.length)
        run.own = slice(first, first + frame_count(samples))
        return Window(window.start, surrounded(window.samples, self.plan.length))

    def _needed(self, key: Hashable, windows: Iterable[Window]) -> Iterator[Window]:
        if self.wanted is None:
            yield from windows
        elif self.blend == "crop":
            yield from (window for window, first, stop in with_cores(windows) if self.wanted(key, first, stop))
        else:
            for window in windows:
                first = window.start // FRAME_HOP
                if self.wanted(key, first, first + frame_count(len(window.samples))):
                    yield window

    def _flush_all(self, traffic: _Traffic) -> Iterator[Frames | Finished | Failed]:
        while traffic.buckets:
            yield from self._flush(traffic, next(iter(traffic.buckets)))
        yield from self._land(traffic, 0)

    def _flush(self, traffic: _Traffic, length: int) -> Iterator[Frames | Finished | Failed]:
        bucket = traffic.buckets.pop(length)
        fetch = _send([window.samples for _, window in bucket], self.compute, page_locked=self.ahead > 0)
        traffic.under_way.append((bucket, fetch))
        yield from self._land(traffic, self.ahead)

    def _land(self, traffic: _Traffic, leave: int) -> Iterator[Frames | Finished | Failed]:
        while len(traffic.under_way) > leave:
            bucket, fetch = traffic.under_way.popleft()
            for (run, window), values in zip(bucket, fetch(), strict=True):
                self._take(run, window.start, values)
            for run in {id(run): run for run, _ in bucket}.values():
                yield from self._deliver(run)

    def _take(self, run: _Run, start: int, values: NDArray[np.float32]) -> None:
        """Store a window's outputs; the recording fails if they are not finite."""
        if run.closed or isinstance(run.error, ComputationError):
            return
        values = values if run.own is None else values[run.own]
        try:
            require_finite(values, self.model, run.key, start)
        except ComputationError as error:
            run.error = error
            run.waiting.clear()
            run.results.clear()
        else:
            run.results[start] = values

    def _deliver(self, run: _Run) -> Iterator[Frames | Finished | Failed]:
        while run.waiting and run.waiting[0] in run.results:
            start = run.waiting.popleft()
            first = start // FRAME_HOP
            if first > run.stitcher.reached:  # windows before this one were skipped
                yield from self._hand_out(run, None)
                run.stitcher.skip_to(first)
            run.stitcher.add(first, run.results.pop(start))
            # A later window starts at the next hop, or is the tail, which starts no earlier than this one.
            yield from self._hand_out(run, first)
        if run.waiting or run.closed:
            return
        run.closed = run.error is not None or run.samples is not None
        if run.error is not None:
            yield Failed(run.key, run.error)
        elif run.samples is not None:
            yield from self._hand_out(run, None)
            yield Finished(run.key, run.samples)

    def _hand_out(self, run: _Run, before: int | None) -> Iterator[Frames]:
        first = run.stitcher.first
        values = run.stitcher.take(before)
        if len(values):
            yield Frames(run.key, first, values)


class FrameSource(Protocol):
    """Interface of objects that turn recordings into frames: :class:`Engine`, and others with the same events."""

    def run(
        self, recordings: Iterable[tuple[Hashable, Iterable[NDArray[np.float32]]]]
    ) -> Iterator[Frames | Finished | Failed]:
        """See :meth:`Engine.run`."""


def _send(windows: Sequence[NDArray[np.float32]], compute: Compute, *, page_locked: bool) -> Fetch:
    """Start a batch of waveforms of one length; in page-locked memory, CUDA copies without waiting."""
    waveforms = torch.empty((len(windows), len(windows[0])), pin_memory=page_locked and torch.cuda.is_available())
    np.stack(windows, out=waveforms.numpy())
    outputs = compute(waveforms).detach().float()
    if not outputs.is_cuda:
        return outputs.cpu().numpy
    return _copy_back(outputs)


def _copy_back(outputs: Tensor) -> Fetch:
    host = torch.empty(outputs.shape, pin_memory=True)
    host.copy_(outputs, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record(torch.cuda.current_stream(outputs.device))

    def fetch() -> NDArray[np.float32]:
        arrived.synchronize()
        return host.numpy()

    return fetch
