"""BabyHuBERT: who speaks when, to whom, which phonemes, and representations, in child-centred daylong recordings.

Example:
    >>> import babyhubert
    >>> model = babyhubert.load_model()  # a small model of the package; or "coml/VTC-2", or a folder
    >>> segments = model("day1.wav")  # or model(samples, sampling_rate=44_100)
    >>> segments
    Segments: 3, from 0:00:02 to 0:00:09 (FEM 1, KCHI 2)
       start_s  end_s  label
    0    2.100  3.480  KCHI
    1    3.700  5.020  FEM
    2    8.220  8.940  KCHI
    >>> segments.to_pandas()
    >>> babyhubert.embed("day1.wav", layers=[2, 4])

Times are samples at 16 kHz in arrays, and seconds in what is printed and in data frames. Errors are subclasses of
``babyhubert.BabyHubertError``; progress and details go to the logger ``babyhubert``. The command line (``babyhubert
--help``) does the same for folders of recordings. Importing the package is fast: torch is loaded only when a name that
needs it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babyhubert.annotation.segments import Segments
    from babyhubert.audio.waveforms import load_audio
    from babyhubert.encoder.loading import load_encoder
    from babyhubert.errors import BabyHubertError
    from babyhubert.tasks.loading import load_model
    from babyhubert.tasks.representations import embed
    from babyhubert.tasks.saving import save_model
    from babyhubert.version import __version__

_LAZY = {
    "BabyHubertError": "babyhubert.errors",
    "Segments": "babyhubert.annotation.segments",
    "__version__": "babyhubert.version",
    "embed": "babyhubert.tasks.representations",
    "load_audio": "babyhubert.audio.waveforms",
    "load_encoder": "babyhubert.encoder.loading",
    "load_model": "babyhubert.tasks.loading",
    "save_model": "babyhubert.tasks.saving",
}

__all__ = [
    "BabyHubertError",
    "Segments",
    "__version__",
    "embed",
    "load_audio",
    "load_encoder",
    "load_model",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'babyhubert' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
