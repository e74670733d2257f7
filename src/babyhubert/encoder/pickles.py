"""Reading torch pickles without running code of theirs.

A pickle may name any function and have it called. `torch.load(weights_only=True)` refuses everything but tensors and
plain containers, but real checkpoints also carry settings as objects of the library that trained them. Those few
classes are replaced, while reading, by an inert stand-in that stores their attributes and calls nothing, so that their
packages need not be installed. Anything else is refused.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from babyhubert.encoder.storages import check_legacy, check_zipped
from babyhubert.errors import CheckpointError
from babyhubert.files import atomic_path

_SETTINGS_PACKAGES = {"omegaconf", "segma", "fairseq", "lightning", "lightning_fabric", "pytorch_lightning", "numpy"}
_SETTINGS_CLASSES = {
    "argparse.Namespace",
    "typing.Any",
    "collections.defaultdict",
    "_codecs.encode",
    *(f"builtins.{name}" for name in ("dict", "list", "int", "str", "float", "bool")),
    *("dict", "list", "int", "str", "float", "bool"),
    *(f"pathlib.{kind}Path" for kind in ("Posix", "Windows", "PurePosix", "PureWindows", "")),
    *(f"pathlib._local.{kind}Path" for kind in ("Posix", "Windows", "PurePosix", "PureWindows", "")),
}
_DEEPEST = 50
_LFS_POINTER = b"version https://git-lfs"
_REFUSED = ("unsupported global", "blocked", "can only create new object", "can only build", "reduce for")


def write_pickle(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file as `torch.save` does, under a temporary name until it is complete.

    Raises:
        OutputError: the disk is full, or the file cannot be written.
    """
    with atomic_path(path, durable=True) as temporary, temporary.open("wb", buffering=0) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # torch's "enforce fail", while it cleans up after a write that failed
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


class _StandIn(dict[str, Any]):
    """Stand-in for a settings object: stores its attributes and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _StandIn:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.update(state)


def refuse_pointer(path: Path) -> None:
    """Raise a CheckpointError if the file does not exist, is empty, or is only the git-lfs pointer to one."""
    if not path.is_file():
        raise CheckpointError(f"{path}: not a regular file; name a file that holds the weights")
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    if start == _LFS_POINTER:
        raise CheckpointError(
            f"{path}: this is a git-lfs pointer, not the weights; run 'git lfs pull' in its repository, or download "
            "the file itself"
        )
    if not start:
        raise CheckpointError(f"{path}: the file is empty; copy or download it again")


def read_pickle(path: Path) -> Any:
    """Read the content of a file that torch saved: tensors (memory-mapped if possible, on the CPU), dicts, numbers.

    Raises:
        CheckpointError: the file would run code, is cut short, or is not a checkpoint.
    """
    refuse_pointer(path)
    zipped = zipfile.is_zipfile(path)
    try:
        (check_zipped if zipped else check_legacy)(path)
        with torch.serialization.safe_globals(_stand_ins(path) if zipped else []):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped or None)
    except pickle.UnpicklingError as error:
        reason = str(error).lower()
        if any(phrase in reason for phrase in _REFUSED):
            raise _unsafe(path, zipped) from error
        raise _damaged(path) from error
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file may make the readers of pickles and zip files raise anything
        raise _damaged(path) from error


def plain(value: Any, within: tuple[int, ...] = ()) -> Any:
    """Return a JSON-able copy of settings read from a pickle.

    Tensors and unknown objects become None, and so do values that contain themselves (omegaconf's nodes refer to their
    parent) or lie deeper than any real setting.
    """
    if id(value) in within or len(within) > _DEEPEST:
        return None
    inside = (*within, id(value))
    if isinstance(value, dict):
        return {str(key): plain(item, inside) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, inside) for item in value]
    return value if isinstance(value, str | int | float | bool) else None


def _foreign_names(path: Path) -> list[str]:
    return torch.serialization.get_unsafe_globals_in_checkpoint(path)


def _stand_ins(path: Path) -> list[Any]:
    return [(_StandIn, name) for name in _foreign_names(path) if _is_settings(name)]


def _is_settings(name: str) -> bool:
    return name in _SETTINGS_CLASSES or name.split(".")[0] in _SETTINGS_PACKAGES


def _unsafe(path: Path, zipped: bool) -> CheckpointError:
    names = [name for name in _foreign_names(path) if not _is_settings(name)] if zipped else []
    asks = f" (it asks for {', '.join(names[:3])})" if names else ""
    return CheckpointError(
        f"{path}: refused, because opening it could run code{asks}; ask for a safetensors copy, or, only if you trust "
        "where it comes from, re-save its tensors alone: "
        "torch.save({'state_dict': torch.load(FILE, weights_only=False)['state_dict']}, 'safe.ckpt')"
    )


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: not a torch checkpoint, or cut short; copy or download it again")
