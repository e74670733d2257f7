"""Batching of windows for the model, arranged to keep a CPU or GPU busy.

On a CPU each call has one window, in one thread per core, and each thread computes its products alone. Cores then
never wait for each other within a layer, activations of a window stay in its core's cache, and a window's result is
the same, to the bit, in any batch and on any number of cores.

On a CUDA device in matrix form, batches of full size are recorded once as a CUDA graph and replayed, because some
hundred kernels per batch, each of microseconds, would otherwise wait for Python to start them. The graph holds the
same kernels, so results equal those of the plain call. Batches of other sizes (the ends of recordings) are plain
calls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from babyhubert.compute.cuda_graph import record_graph
from babyhubert.compute.device import activation_bytes, decoders, windows_per_batch
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.precision import Precision
from babyhubert.inference.engine import Engine, batches_ahead
from babyhubert.inference.stitching import Blend
from babyhubert.inference.windows import WindowPlan
from babyhubert.timebase import samples_to_seconds

Compute = Callable[[Tensor], Tensor]

_LOG = logging.getLogger(__name__)

_WINDOWS_A_THREAD = 4
"""Windows of one batch for each thread: threads wait for the slowest once per batch, not once per window."""
_MOST_BYTES_AT_ONCE = 4_000_000_000
_MOST_CHANNELS = 512  # of the first convolution, in every published size


def windows_per_call(device: torch.device, window_samples: int, first_convolution_channels: int) -> int:
    """Default number of windows in one batch."""
    if device.type == "cpu":
        return _WINDOWS_A_THREAD * windows_at_once(window_samples)
    return windows_per_batch(window_samples, first_convolution_channels)


def windows_at_once(window_samples: int) -> int:
    """Windows that a CPU processes side by side: one for each of torch's threads, as long as they fit into 4 GB."""
    fitting = _MOST_BYTES_AT_ONCE // activation_bytes(window_samples, _MOST_CHANNELS)
    return max(1, min(torch.get_num_threads(), fitting))


def build_engine(
    compute: Compute,
    encoder: HubertEncoder,
    precision: Precision,
    plan: WindowPlan,
    batch_size: int | None,
    blend: Blend = "crop",
    wanted: Callable[[Hashable, int, int], bool] | None = None,
    *,
    model: str,
) -> Engine:
    """Build the engine for a model's windows, arranged for the model's device.

    Args:
        compute: Waveforms (B, n) -> frame outputs.
        encoder: Encoder that ``compute`` runs.
        precision: Precision of the encoder.
        plan: The windows.
        batch_size: Windows in one call; None: chosen for the device.
        blend: Method of joining overlapping windows.
        wanted: See :class:`Engine`.
        model: Source of the model, for messages.
    """
    device = next(encoder.parameters()).device
    size = batch_size or windows_per_call(device, plan.length, encoder.config.conv_dim[0])
    call = arranged(compute, device, precision, (size, plan.length))
    seconds = samples_to_seconds(plan.length), samples_to_seconds(plan.hop)
    _LOG.info("windows of %g s, one every %g s, %d in a batch, %s", *seconds, size, blend)
    return Engine(call, plan, size, blend, recordings_at_once(device), wanted, batches_ahead(device), model)


def recordings_at_once(device: torch.device) -> int:
    """Number of recordings to decode side by side so that the device stays busy.

    A CPU needs one. An H100 runs the base size at 22,000 x real time, while a core decodes flac at 5,000 x and mp3 at
    500 x.
    """
    if device.type == "cpu":
        return 1
    return max(2, decoders()) if device.type == "cuda" else 2


def arranged(compute: Compute, device: torch.device, precision: Precision, full: tuple[int, int]) -> Compute:
    """A model's function, arranged for the device.

    Args:
        compute: Waveforms (B, n) -> frame outputs.
        device: Device of the model.
        precision: Precision of its encoder; ``exact`` is not recorded as a graph.
        full: Windows and samples of a full batch.
    """
    if device.type == "cpu":
        return WindowThreads(compute, windows_at_once(full[1]))
    if device.type == "cuda" and precision != "exact":
        return RecordedBatch(compute, device, full)
    return compute


class WindowThreads:
    """Runs the windows of a batch one by one, in threads.

    Args:
        compute: Waveforms (1, n) -> frame outputs (1, T(n), ...).
        threads: Number of threads.
    """

    def __init__(self, compute: Compute, threads: int) -> None:
        self._compute = compute
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Waveforms (B, n) -> frame outputs (B, T(n), ...)."""
        return torch.cat(self.each(waveforms.split(1)))

    def each(self, windows: Sequence[Tensor]) -> list[Tensor]:
        """Waveforms (1, n), of any lengths -> frame outputs (1, T(n), ...) of each."""
        if torch.get_num_threads() == 1:
            return [self._compute(window) for window in windows]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "windows", initializer=_alone)
        return list(self._pool.map(self._compute, windows))


def _alone() -> None:
    """Restrict products of this thread to this thread (OpenMP stores the number per thread)."""
    torch.set_num_threads(1)


class RecordedBatch:
    """Replays one CUDA graph for every full batch.

    Args:
        compute: Waveforms (B, n) on any device -> frame outputs on the device.
        device: A CUDA device.
        full: Windows and samples of the batches that are replayed.
    """

    def __init__(self, compute: Compute, device: torch.device, full: tuple[int, int]) -> None:
        self._compute = compute
        self._device = device
        self._full = full
        self._graph: torch.cuda.CUDAGraph | None = None
        self._input: Tensor | None = None
        self._output: Tensor | None = None

    @torch.inference_mode()
    def __call__(self, waveforms: Tensor) -> Tensor:
        """Waveforms (B, n) -> frame outputs (B, T(n), ...), queued on the device's current stream."""
        if tuple(waveforms.shape) != self._full:
            return self._compute(waveforms)
        if self._graph is None:
            self._record()
        assert self._graph is not None
        assert self._input is not None
        assert self._output is not None
        self._input.copy_(waveforms, non_blocking=True)
        self._graph.replay()
        return self._output.clone()  # the next replay writes there again

    def _record(self) -> None:
        self._input = torch.zeros(self._full, device=self._device)
        given = self._input
        self._graph, self._output = record_graph(lambda: self._compute(given), torch.cuda.Stream(self._device))
