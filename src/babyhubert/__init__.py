"""BabyHuBERT: speech representations and voice types from child-centred daylong recordings.

Importing the package is fast: torch is loaded only when a name that needs it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from babyhubert.version import __version__

if TYPE_CHECKING:
    from babyhubert.annotation.segments import Segments
    from babyhubert.encoder.loading import load_encoder
    from babyhubert.tasks.loading import load_model

_LAZY = {
    "load_encoder": "babyhubert.encoder.loading",
    "load_model": "babyhubert.tasks.loading",
    "Segments": "babyhubert.annotation.segments",
}

__all__ = ["Segments", "__version__", "load_encoder", "load_model"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'babyhubert' has no attribute {name!r}")
