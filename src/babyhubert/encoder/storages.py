"""Comparison of the sizes that a torch pickle claims with its file, before torch reads any of it.

A pickle states for each storage how many numbers it has; torch maps or allocates that many, whatever the file holds. A
storage that is cut short would be filled with its neighbour's numbers; one that claims a petabyte would allocate it.
So the pickle is run once with every class and function replaced by an inert object, and only the claims are recorded.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from babyhubert.errors import CheckpointError

_ITEM_BYTES = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
    "UntypedStorage": 1,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
    "QInt8Storage": 1,
    "QUInt8Storage": 1,
    "QInt32Storage": 4,
    "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1,
}
_MOST_PICKLE_BYTES = 16_000_000
"""Limit for names, shapes and settings beside the numbers. Published files have some 100 kB."""


class _Inert(dict[Any, Any]):
    """Inert stand-in for any object of a pickle."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __call__(self, *_: Any, **__: Any) -> _Inert:
        return _Inert()

    def __setitem__(self, *_: Any) -> None:
        """Store nothing: keys may not be hashable."""

    def __setstate__(self, _: Any) -> None:
        """Store nothing."""

    def append(self, _: Any) -> None:
        """Store nothing."""

    def extend(self, _: Any) -> None:
        """Store nothing."""

    def add(self, _: Any) -> None:
        """Store nothing."""


class _Claims(pickle.Unpickler):
    """Record of the storages that a pickle claims: key -> bytes."""

    def __init__(self, file: BinaryIO, where: Path) -> None:
        super().__init__(file, encoding="utf-8")
        self._where = where
        self.storages: dict[str, int] = {}

    def find_class(self, _module: str, name: str) -> Any:
        return type(name, (_Inert,), {})

    def persistent_load(self, claim: Any) -> Any:
        if not isinstance(claim, tuple) or not claim or claim[0] not in ("storage", b"storage"):
            return _Inert()
        kind, key, numbers = claim[1], claim[2], claim[4]
        item = _ITEM_BYTES.get(getattr(kind, "__name__", ""), 1)
        if not isinstance(key, str) or not isinstance(numbers, int) or numbers < 0:
            raise CheckpointError(f"{self._where}: not a torch checkpoint, or damaged; copy or download it again")
        self.storages[key] = max(self.storages.get(key, 0), item * numbers)
        return _Inert()


def check_zipped(path: Path) -> None:
    """Compare the claims of a checkpoint in torch's zip format with its entries.

    Raises:
        CheckpointError: an entry is compressed, doubled or of another size than the tensors in it.
        pickle.UnpicklingError, ValueError and others: it is no such file.
    """
    with zipfile.ZipFile(path) as archive:
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise CheckpointError(
                    f"{path}: {entry.filename} in it is compressed, which torch never does; save it with torch.save"
                )
            if entry.filename in entries:
                raise CheckpointError(f"{path}: holds {entry.filename} twice; download it again")
            entries[entry.filename] = entry
        _check_total(path, sum(entry.file_size for entry in entries.values()))
        pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise CheckpointError(f"{path}: not a torch checkpoint (a zip file without data.pkl)")
        if entries[pickles[0]].file_size > _MOST_PICKLE_BYTES:
            raise CheckpointError(
                f"{path}: {entries[pickles[0]].file_size:,} bytes of settings beside the tensors, more than any "
                "checkpoint needs; save its tensors alone"
            )
        with archive.open(pickles[0]) as file:
            claims = _claims(file, path)
        folder = pickles[0].removesuffix("data.pkl") + "data/"
        sizes = {name.removeprefix(folder): entry.file_size for name, entry in entries.items()}
    _compare(claims, sizes, path)


def check_legacy(path: Path) -> None:
    """Compare the claims of a checkpoint in torch's older format with the size of the file.

    Raises:
        CheckpointError: it claims more than it can hold.
        pickle.UnpicklingError, ValueError and others: it is no such file.
    """
    with path.open("rb") as file:
        claims: Mapping[str, int] = {}
        for _ in range(4):  # magic number, version, system, content
            claims = _claims(file, path)
    _check_total(path, sum(claims.values()))


def _claims(file: Any, path: Path) -> Mapping[str, int]:
    reader = _Claims(file, path)
    reader.load()
    return reader.storages


def _check_total(path: Path, claimed: int) -> None:
    if claimed > path.stat().st_size:
        raise CheckpointError(
            f"{path}: claims {claimed:,} bytes of tensors in a file of {path.stat().st_size:,}; cut short or damaged: "
            "copy or download it again"
        )


def _compare(claims: Mapping[str, int], sizes: Mapping[str, int], path: Path) -> None:
    for key, claimed in claims.items():
        found = sizes.get(key)
        if found != claimed:
            holds = "is not there" if found is None else f"holds {found:,}"
            raise CheckpointError(
                f"{path}: its tensors need {claimed:,} bytes of entry data/{key}, which {holds}; damaged: copy or "
                "download it again"
            )
