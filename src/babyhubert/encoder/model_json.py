"""Reading the JSON files of a model folder: bounded, strict, and with an error that names the file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from babyhubert.errors import CheckpointError

_MOST_BYTES = 4_000_000
"""Limit for one file. A model card of this package has some 10 kB, the configuration of a model of thousands of words
1 MB.
"""


def is_there(file: Path) -> bool:
    """Tell whether an optional file exists.

    Raises:
        CheckpointError: something other than a regular file has its name.
    """
    if file.exists() and not file.is_file():
        raise CheckpointError(f"{file}: not a regular file")
    return file.is_file()


def read_json(file: Path, most_bytes: int = _MOST_BYTES) -> dict[str, Any]:
    """Read a JSON object. NaN and infinities, which JSON does not have and older programs write, become None.

    Raises:
        CheckpointError: the file does not exist, is too large, is not JSON, or holds something other than an object.
    """
    try:
        if not is_there(file):
            raise CheckpointError(f"{file}: no such file")
        size = file.stat().st_size
        if size > most_bytes:
            raise CheckpointError(f"{file}: {size:,} bytes; at most {most_bytes:,} are read")
        content = json.loads(file.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read as JSON ({error})") from error
    except RecursionError as error:
        raise CheckpointError(f"{file}: cannot be read as JSON (nested too deeply)") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file}: holds no JSON object")
    return content


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None
