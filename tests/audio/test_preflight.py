"""Bad recordings, full disks and closed folders are known before the work begins."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile
from making import RATE, noise, sparse_wav

from babyhubert.audio.discovery import discover
from babyhubert.audio.preflight import check_recordings
from babyhubert.errors import OutputError


def test_good_and_bad_are_told_apart(tmp_path: Path) -> None:
    audio = tmp_path / "audio"
    audio.mkdir()
    soundfile.write(audio / "a.wav", noise(RATE), RATE)
    soundfile.write(audio / "b.wav", noise(8000 * 3), 8000)
    (audio / "c.wav").write_text("not audio\n")
    (audio / "d.wav").touch()
    report = check_recordings(discover([audio]), tmp_path / "new" / "out", bytes_per_second=400)
    assert [file.recording_id for file, _ in report.good] == ["a", "b"]
    assert [file.recording_id for file, _ in report.bad] == ["c", "d"]
    assert all("\n" not in line and file.path.name in line for file, line in report.bad)
    assert report.total_samples == 4 * RATE
    assert report.warnings == (f"{audio / 'b.wav'}: 8 kHz: nothing above 4 kHz reaches the model",)
    assert not (tmp_path / "new").exists()


def test_too_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sparse_wav(tmp_path / "day.wav", 16 * 3600 * RATE, {})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20_000_000))
    with pytest.raises(OutputError, match=r"out needs about 23\.0 MB but its disk has 20\.0 MB free: free some space"):
        check_recordings(discover([path]), tmp_path / "out", bytes_per_second=400)
    assert check_recordings(discover([path]), tmp_path / "out", bytes_per_second=300).total_samples


def test_output_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="is a file; choose another"):
            check_recordings([], output, 1)


def test_output_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OutputError, match=r"cannot be written .*permission denied"):
        check_recordings([], tmp_path / "out", 1)
