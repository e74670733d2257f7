"""Models that the page offers, and the time that an analysis will take with them on this machine."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.encoder.loading import shipped_models
from babyhubert.inference.speed import SPEEDS, Speed
from babyhubert.tasks.loading import load_model
from babyhubert.tasks.voice_type.prediction import SHIPPED_MODEL, VoiceTypeClassifier
from babyhubert.timebase import SAMPLE_RATE

RELEASED = "coml/VTC-2"
_SHORTEST_TRIAL_S = 30
_LEAST_SECONDS = 0.5
_MOST_TRIALS = 4


def offered() -> list[dict[str, str]]:
    """Models with their names for ``--model`` and a sentence; the first is the default."""
    default = {
        "name": "",
        "text": f"{SHIPPED_MODEL.name}: small, comes with the package, to try things out. Not for research.",
    }
    released = {
        "name": RELEASED,
        "text": f"{RELEASED}: the released model. Accept its terms on huggingface.co first; it is downloaded once.",
    }
    others = [name for name in shipped_models() if name != SHIPPED_MODEL.name]
    return [default, released, *({"name": name, "text": f"{name}: small, of the package."} for name in others)]


class SpeedTrials:
    """Measured speed of models on this machine; each is measured once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Speed], float] = {}
        self._lock = threading.Lock()

    def times_real_time(self, model: str) -> dict[str, float | None]:
        """Speed of each mode; None for a model that would have to be downloaded first.

        Raises:
            BabyHubertError: the model cannot be opened.
        """
        if model and model not in shipped_models() and not Path(model).expanduser().exists():
            return dict.fromkeys(SPEEDS)
        with self._lock:
            for speed in SPEEDS:
                if (model, speed) not in self._found:
                    self._found[model, speed] = _measure(model, speed)
        return {speed: self._found[model, speed] for speed in SPEEDS}


def _measure(model: str, speed: Speed) -> float:
    """Seconds of audio a second, of noise with the model's own windows; without reading files."""
    loaded: Any = load_model(model or None, speed=speed)
    if not isinstance(loaded, VoiceTypeClassifier):
        return 0.0
    noise = np.random.default_rng(0).normal(0, 0.05, SAMPLE_RATE * _SHORTEST_TRIAL_S).astype(np.float32)
    loaded(noise[: SAMPLE_RATE * 4], sampling_rate=SAMPLE_RATE)  # the first call prepares kernels
    heard = 0
    began = time.perf_counter()
    for _ in range(_MOST_TRIALS):
        loaded(noise, sampling_rate=SAMPLE_RATE)
        heard += _SHORTEST_TRIAL_S
        if time.perf_counter() - began > _LEAST_SECONDS:
            break
    return heard / (time.perf_counter() - began)
