"""Transfer of a batch to the device and of its results back, overlapped with the caller's work.

With a CUDA device, windows are gathered in page-locked memory, and the copy to the device, the model and the copy back
are queued; the caller gathers the next batch meanwhile and requests the results later. Page-locked blocks come from
torch's pool and return to it once their copy is done, so a few blocks serve a whole run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Fetch = Callable[[], NDArray[np.float32]]


def batches_ahead(device: torch.device) -> int:
    """Number of batches to keep in progress while the next is gathered."""
    return 2 if device.type == "cuda" else 0


def send(windows: Sequence[NDArray[np.float32]], compute: Callable[[Tensor], Tensor], *, page_locked: bool) -> Fetch:
    """Start a batch.

    Args:
        windows: Waveforms of one length, float32, shape (n,) each.
        compute: Waveforms (B, n) on the host -> frame outputs (B, T(n), ...), on any device and in any dtype.
        page_locked: Gather in page-locked memory, from which CUDA copies without waiting.

    Returns:
        Function that waits for the results and returns them: float32, (B, T(n), ...).
    """
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
