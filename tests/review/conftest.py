"""Lets these tests import what measures are tested with: output folders written by hand."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "measures"))
