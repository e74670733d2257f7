"""What a page holds, read back from the file as the browser does."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    (content,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(content)


def unpack_integers(text: str) -> list[int]:
    values, value, shift = [], 0, 0
    for byte in base64.b64decode(text):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append(-(value + 1) // 2 if value & 1 else value // 2)
            value = shift = 0
    return values


def unpack_bytes(text: str) -> list[int]:
    return list(base64.b64decode(text))


def rows_of(detail: dict[str, Any]) -> list[tuple[int, int, str]]:
    """Segments of a recording in samples, in the order of files."""
    rows = []
    for label, lane in detail["lanes"].items():
        steps = unpack_integers(lane["spans"])
        assert len(steps) == 2 * lane["count"]
        place = 0
        for gap, length in zip(steps[::2], steps[1::2], strict=True):
            start = place + gap
            place = start + length
            rows.append((start * 16, place * 16, label))
    return sorted(rows)
