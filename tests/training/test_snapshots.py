"""Snapshots and checkpoints on a disk that is full: one clear error, and nothing half-written stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from babyhubert.encoder.pickles import write_pickle
from babyhubert.errors import DiskFullError, OutputError
from babyhubert.training.snapshots import newest_snapshot, save_snapshot


@pytest.fixture
def full_disk(monkeypatch):
    """Temporary files are on a device that is always full."""
    if not Path("/dev/full").exists():
        pytest.skip("no device here that is always full")

    def beside(path: Path) -> Path:
        temporary = path.with_name(".temporary")
        temporary.symlink_to("/dev/full")
        return temporary

    monkeypatch.setattr("babyhubert.files.temporary_beside", beside)


@pytest.mark.parametrize("size", [1, 10_000_000])
def test_a_full_disk_at_a_snapshot(tmp_path, full_disk, size):
    with pytest.raises(DiskFullError, match=r"step-00000003\.pt: the disk is full; free some space") as caught:
        save_snapshot(tmp_path, 3, {"weights": torch.zeros(size)})
    assert "enforce fail" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_earlier_snapshot_stays(tmp_path, request):
    save_snapshot(tmp_path, 3, {"weights": torch.arange(5)})
    request.getfixturevalue("full_disk")
    with pytest.raises(DiskFullError):
        save_snapshot(tmp_path, 3, {"weights": torch.zeros(5)})
    assert newest_snapshot(tmp_path)[1]["weights"].tolist() == [0, 1, 2, 3, 4]


def test_a_file_that_may_not_grow(tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"a\.ckpt: cannot be written \(File too large\)"):
            write_pickle(tmp_path / "a.ckpt", {"weights": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_read(tmp_path):
    write_pickle(tmp_path / "a.ckpt", {"weights": torch.arange(10_000), "name": "x"})
    found = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert found["name"] == "x"
    assert torch.equal(found["weights"], torch.arange(10_000))
