"""Models that the page offers, and the time that an analysis will take with them on this machine."""

from __future__ import annotations

import threading

from babyhubert.compute.device import resolve_device
from babyhubert.inference.speed import SPEEDS, Speed
from babyhubert.inference.throughput import pass_of
from babyhubert.shipped import SMALL_MODEL
from babyhubert.tasks.catalogue import CatalogueModel, catalogue
from babyhubert.tasks.voice_type.prediction import TASK


def offered() -> list[dict[str, str]]:
    """Models for voice types: names for ``--model`` and a sentence; the default, with an empty name, is first."""
    models = [model for model in catalogue() if TASK in model.tasks]
    default = [model for model in models if model.name == SMALL_MODEL.name]
    ordered = [*default, *(model for model in models if model.origin != "package"), *models]
    return [{"name": "" if each in default else each.name, "text": _sentence(each)} for each in dict.fromkeys(ordered)]


def _sentence(model: CatalogueModel) -> str:
    if model.origin == "package":
        return f"{model.name}: small, comes with the package, to try things out. Not for research."
    state = "" if model.folder is not None else " Accept its terms on its page first; it is downloaded once."
    return f"{model.name}: {model.description or 'in the cache of this machine.'}{state}"


class SpeedTrials:
    """Measured speed of models on this machine; each is measured once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Speed], float] = {}
        self._lock = threading.Lock()

    def times_real_time(self, name: str) -> dict[str, float | None]:
        """Seconds of recording a second of computing, by mode; None for a model that is not on this machine."""
        wanted = name or SMALL_MODEL.name
        model = next((each for each in catalogue() if each.name == wanted), None)
        shape = None if model is None else model.shape()
        if shape is None:
            return dict.fromkeys(SPEEDS)
        with self._lock:
            for speed in SPEEDS:
                if (wanted, speed) not in self._found:
                    self._found[wanted, speed] = pass_of(*shape, speed, resolve_device("auto")).times_real_time()
        return {speed: self._found[wanted, speed] for speed in SPEEDS}
