"""Units are made of packed material: a pack for all tests that only read it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from babyhubert.corpus.shards import Pack

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Three shards, nine segments, one of them held out and one too short. Do not write to it."""
    from packs import open_pack

    return open_pack(tmp_path_factory.mktemp("packs") / "pack")
