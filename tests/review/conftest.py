"""What these tests share: output folders written by hand and clips drawn from them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "measures"))


@pytest.fixture
def clips(tmp_path) -> Path:
    from driving import CLIPS_HERE, SECONDS, draw_clips

    return draw_clips(tmp_path, SECONDS, CLIPS_HERE)
