"""What all tests share: helpers of several rooms, and a model so small that seconds of audio take milliseconds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # on tensors this small, threads only wait for one another
sys.path += [str(Path(__file__).parent / folder) for folder in ("audio", "encoder")]  # helpers that several rooms use


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a voice-type head whose four outputs go up and down with the sound. Do not write to it."""
    from commands import write_small_model

    return write_small_model(tmp_path_factory.mktemp("models") / "small")
