"""Weights split over several files, as transformers saves large models: an index names the file of each tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from babyhubert.encoder.model_json import read_json
from babyhubert.errors import CheckpointError
from babyhubert.hashing import file_sha256

INDEX_SUFFIX = ".index.json"
_MOST_INDEX_BYTES = 16_000_000
_MOST_FILES = 1_000


def is_index(file: Path) -> bool:
    """Tell whether a weights file is the index of several."""
    return file.name.endswith(INDEX_SUFFIX)


def read_sharded(index: Path, read: Callable[[Path], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Read the tensors of all files of an index.

    Args:
        index: Path such as `model.safetensors.index.json`.
        read: Reads one file.

    Raises:
        CheckpointError: the index is malformed, a file is missing, or one holds other tensors than the index says.
    """
    tensors: dict[str, Tensor] = {}
    for file, names in _files_of(index).items():
        found = read(file)
        missing = sorted(names - found.keys())
        if missing:
            raise CheckpointError(f"{index}: {missing[0]} is said to be in {file.name}, which does not have it")
        surplus = sorted(found.keys() - names)
        if surplus:
            raise CheckpointError(f"{file}: holds {surplus[0]}, of which {index.name} knows nothing here")
        tensors |= found
    return tensors


def sharded_sha256(index: Path) -> str:
    """SHA-256 over the index and all its files, in hexadecimal."""
    digests = [f"{file.name} {file_sha256(file)}" for file in (index, *_files_of(index))]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _files_of(index: Path) -> dict[Path, set[str]]:
    """Names of tensors by the file they are in, which lies beside the index."""
    places = read_json(index, _MOST_INDEX_BYTES).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{index}: no table 'weight_map' that says which tensor is in which file")
    found: dict[Path, set[str]] = {}
    for tensor, name in places.items():
        if not isinstance(name, str) or not name or name != Path(name).name or "\\" in name or "\0" in name:
            raise CheckpointError(f"{index}: {tensor} is said to be in {name!r}, which is no file beside the index")
        found.setdefault(index.parent / name, set()).add(tensor)
    if len(found) > _MOST_FILES:
        raise CheckpointError(f"{index}: names {len(found)} files; at most {_MOST_FILES} are read")
    for file in found:
        if not file.is_file():
            raise CheckpointError(f"{file}: not here, though {index.name} says that it holds weights; download it")
    return dict(sorted(found.items()))
