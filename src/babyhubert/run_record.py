"""What every run over recordings says of itself when it ends."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import babyhubert


@dataclass(frozen=True)
class RunSummary:
    """How a run ended: recordings done in this run, those that were complete before, and those that failed."""

    done: int
    skipped: int
    failures: Sequence[tuple[Path, str]]

    @property
    def exit_code(self) -> int:
        """0: every recording is done; 1: some failed; 2: none is done."""
        return exit_code(self.done + self.skipped, len(self.failures))


def exit_code(done: int, failed: int) -> int:
    """0: every recording is done; 1: some failed; 2: none is done, and some failed."""
    if not failed:
        return 0
    return 1 if done else 2


def software_versions() -> dict[str, str]:
    """Versions that decide a result."""
    return {
        "babyhubert": babyhubert.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": f"{sys.platform} {platform.machine()}",
    }
