"""Snapshots and checkpoints on a disk that is full: one clear error, and nothing half-written stays."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from small_encoders import fresh

from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.encoder.multitask import VoiceTypeModel
from babyhubert.encoder.pickles import write_pickle
from babyhubert.errors import DiskFullError, OutputError, ReadingWarning
from babyhubert.files import atomic_path
from babyhubert.training.snapshots import newest_snapshot, save_snapshot
from commands import SMALL


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


def test_weights_that_do_not_fit_on_the_disk(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(DiskFullError, match="m: the disk is full; free some space"):
        save_model_folder(tmp_path / "m", VoiceTypeModel(fresh(SMALL, 0)).to_checkpoint())
    with pytest.raises(DiskFullError, match="the disk is full"), atomic_path(tmp_path / "x") as temporary:
        safetensors.torch.save_file({}, temporary)
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_that_claims_more_than_it_holds_is_passed_over_at_once(tmp_path):
    save_snapshot(tmp_path, 3, {"weights": torch.arange(5), "step": 3})
    save_snapshot(tmp_path, 4, {"weights": torch.zeros(1).expand(10**9, 10**6), "step": 4})
    whole = save_snapshot(tmp_path, 5, {"weights": torch.arange(4000.0), "step": 5})
    with zipfile.ZipFile(whole) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(whole, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data[: len(data) // 2] if name.endswith("/data/0") else data)
    with pytest.warns(ReadingWarning, match=r"step-00000005\.pt: damaged, an earlier one is used"):
        found = newest_snapshot(tmp_path)
    assert found is not None
    assert found[0] in (3, 4)
