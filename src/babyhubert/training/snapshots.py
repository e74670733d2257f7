"""Snapshots of a run on disk, written atomically; old ones are deleted.

A snapshot is one ``step-<number>.pt`` of tensors and plain values, read back with ``weights_only=True``. It is a ZIP
archive with a checksum for each tensor; torch does not check these, so they are compared here first.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from babyhubert.encoder.pickles import write_pickle
from babyhubert.encoder.storages import check_zipped
from babyhubert.errors import ReadingWarning, TrainingError

_NAME = re.compile(r"step-(\d+)\.pt")


def snapshot_path(folder: Path, step: int) -> Path:
    """Path of the snapshot of a step."""
    return folder / f"step-{step:08d}.pt"


def snapshots(folder: Path) -> dict[int, Path]:
    """Snapshots of a folder by step, ascending."""
    found = {int(match[1]): path for path in folder.glob("step-*.pt") if (match := _NAME.fullmatch(path.name))}
    return dict(sorted(found.items()))


def save_snapshot(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write a snapshot under a temporary name, then rename it."""
    path = snapshot_path(folder, step)
    write_pickle(path, dict(state))
    return path


def newest_snapshot(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """The latest snapshot that can be read, on the CPU, with its step; None if there is none.

    A damaged one is skipped with a warning, since an earlier one continues the run as well.

    Raises:
        TrainingError: there are snapshots and none can be read.
    """
    found = snapshots(folder)
    for step in sorted(found, reverse=True):
        try:
            return step, _read(found[step], step)
        except Exception as error:  # torch raises many kinds for damaged files
            warnings.warn(f"{found[step]}: damaged, an earlier one is used ({error})", ReadingWarning, stacklevel=2)
    if found:
        raise TrainingError(f"{folder}: none of its {len(found)} snapshots can be read; delete them to start again")
    return None


def _read(path: Path, step: int) -> dict[str, Any]:
    """Read an intact snapshot, or raise the reason why it is not."""
    check_zipped(path)
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} holds something else than was written")
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or state.get("step", step) != step:
        raise ValueError(f"it does not hold the state of step {step}")
    return state


def prune_snapshots(folder: Path, keep: int, keep_every: int | None = None) -> None:
    """Delete all but the ``keep`` newest snapshots and those at multiples of ``keep_every`` steps."""
    steps = list(snapshots(folder))
    for step in steps[: max(len(steps) - keep, 0)]:
        if keep_every is None or step % keep_every:
            with suppress(OSError):
                snapshot_path(folder, step).unlink()
