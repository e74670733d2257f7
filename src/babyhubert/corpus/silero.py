"""Speech probabilities from silero-vad, a generic detector, for recordings of any length.

It was made for adult speech: on child-centred recordings a generic detector misses about two thirds of the key
child's speech at its usual threshold of 0.5, which is why a low one is the default of ``corpus regions``.

The network processes 32 ms at a time and carries a state. To run several streams at once, a recording is read in
blocks of 16 minutes, each cut into 16 stretches that run side by side, each preceded by 4 s of sound to initialise the
state. A recording of up to a minute is one stream, and gets exactly the network's own probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from babyhubert.annotation.intervals import Intervals
from babyhubert.audio.recording import Recording
from babyhubert.errors import MissingExtraError
from babyhubert.timebase import SAMPLE_RATE

STEP = 512
"""Samples per step of the network."""

_STREAMS = 16
_STRETCH = 60 * SAMPLE_RATE // STEP * STEP
_WARM_UP = 4 * SAMPLE_RATE // STEP * STEP


class SileroDetector:
    """Speech detector: call it with an open recording for float32 probabilities, one for every 512 samples.

    Raises:
        MissingExtraError: silero-vad is not installed.
    """

    def __init__(self) -> None:
        self._network = _load()

    def __call__(self, recording: Recording, heard: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """Probabilities of the steps of a recording, shape (ceil(n / 512),).

        Args:
            recording: An open recording.
            heard: Called repeatedly with the number of further samples processed.
        """
        found: list[NDArray[np.float32]] = []
        before: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        for block in recording.blocks(_STREAMS * _STRETCH):
            if not found and len(block.samples) > _STRETCH:
                before = np.zeros(_WARM_UP, dtype=np.float32)
            audio = np.concatenate([before, block.samples])
            found.append(self._block(audio, len(before)))
            before = audio[-_WARM_UP:]
            if heard is not None:
                heard(len(block.samples))
        return np.concatenate(found) if found else np.zeros(0, dtype=np.float32)

    @torch.inference_mode()
    def _block(self, audio: NDArray[np.float32], warm_up: int) -> NDArray[np.float32]:
        """Probabilities after the first ``warm_up`` samples."""
        steps = -(-(len(audio) - warm_up) // STEP)
        stretch = min(steps * STEP, _STRETCH)
        stretches = -(-steps * STEP // stretch)
        padded = np.zeros(warm_up + stretches * stretch, dtype=np.float32)
        padded[: len(audio)] = audio
        views = [padded[index * stretch : (index + 1) * stretch + warm_up] for index in range(stretches)]
        streams = torch.from_numpy(np.stack(views)).unflatten(1, (-1, STEP))
        self._network.reset_states()
        heard = [self._network(streams[:, index], SAMPLE_RATE).squeeze(1) for index in range(streams.shape[1])]
        probabilities: NDArray[np.float32] = torch.stack(heard, dim=1)[:, warm_up // STEP :].flatten().float().numpy()
        return probabilities[:steps]


def speech_runs(probabilities: NDArray[np.float32], enter: float, stay: float) -> Intervals:
    """Regions of speech: probabilities stay above ``stay``, and exceed ``enter`` at least once.

    Args:
        probabilities: One for every 512 samples, shape (T,).
        enter: Threshold that starts a region.
        stay: Lower threshold that continues it, so that quiet beginnings and ends of words belong to it.

    Returns:
        Start and end samples; the last end may lie up to 511 samples after the recording's end.
    """
    edges = np.diff(np.concatenate(([False], probabilities > stay, [False])).astype(np.int8))
    first, stop = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    entered = np.concatenate(([0], np.cumsum(probabilities > enter)))
    keep = entered[stop] > entered[first]
    return first[keep] * STEP, stop[keep] * STEP


def package_file() -> Path:
    """Path of the network's file, which identifies the detector.

    Raises:
        MissingExtraError: silero-vad is not installed.
    """
    return Path(_module().__file__).parent / "data" / "silero_vad.jit"


def _load() -> Any:
    return _module().load_silero_vad(onnx=False)


def _module() -> Any:
    try:
        import silero_vad
    except ImportError:
        raise MissingExtraError("the silero detector", "pretrain") from None
    return silero_vad
