"""Identification of settings and files: short hashes of JSON values, checksums of files."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def fingerprint(content: Any) -> str:
    """Short stable hash of JSON values, independent of the order of their keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_SAMPLED_BYTES = 1 << 16


def sampled_sha256(path: Path) -> str:
    """SHA-256 of the length, head, middle and tail of a file: distinguishes recordings of gigabytes at no cost."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        content = hashlib.sha256(str(length).encode())
        for start in (0, (length - _SAMPLED_BYTES) // 2, length - _SAMPLED_BYTES):
            file.seek(max(start, 0))
            content.update(file.read(_SAMPLED_BYTES))
    return content.hexdigest()
