"""Lets these tests import the helpers of the measures' tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "measures"))
