"""What all tests share: helpers of several rooms, and a model so small that seconds of audio take milliseconds."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

settings.register_profile("untimed", deadline=None)  # how long an example takes says nothing on a busy machine
settings.load_profile("untimed")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # on tensors this small, threads only wait for one another
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs, and all below, without it
sys.path += [
    str(Path(__file__).parent / folder) for folder in ("audio", "encoder", "inference")
]  # helpers that several rooms use


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a voice-type head whose four outputs go up and down with the sound. Do not write to it."""
    from commands import write_small_model

    return write_small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser of the module, not of the session: while it is open, nothing else can run an event loop."""
    from pages import browser

    with browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Real speech to test on: the folder that BABYHUBERT_CORPORA names, or ``shared/corpora`` beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "corpora"
    folder = Path(os.environ.get("BABYHUBERT_CORPORA", beside))
    if not (folder / "playroom" / "segments.csv").is_file():
        pytest.skip(f"no real recordings at {folder}; set BABYHUBERT_CORPORA to test on them")
    return folder
