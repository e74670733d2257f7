"""Folders and files that cannot be read, or have names that are no text, are told and stop nothing else."""

from __future__ import annotations

import csv
import ctypes
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from babyhubert.audio.discovery import discover
from babyhubert.errors import AnnotationError
from babyhubert.files import files_below
from commands import command, contents, write_sounds

OVERRIDE = 0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@pytest.fixture
def audio(tmp_path) -> Path:
    return write_sounds(tmp_path / "audio", ["a.wav", "open/b.wav", "closed/c.wav", "listed/d.wav"], seconds=1)


@contextmanager
def permissions_count() -> Iterator[None]:
    """Take from root, for whom no folder is closed, the right to pass over permissions."""
    if os.name == "nt":
        pytest.skip("permissions are those of POSIX")
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
    kept, changed = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    if not hasattr(libc, "capget") or libc.capget(header, kept) != 0:
        pytest.skip("root is not bound by permissions here")
    ctypes.memmove(changed, kept, ctypes.sizeof(kept))
    changed[0] &= ~OVERRIDE
    if libc.capset(header, changed) != 0:
        pytest.skip("root is not bound by permissions here")
    try:
        yield
    finally:
        libc.capset(header, kept)


def test_closed_folders_and_what_is_in_them(audio, small_model, tmp_path):
    behind = audio / "hidden"
    behind.mkdir()
    (behind / "e.wav").write_bytes((audio / "a.wav").read_bytes())
    modes = {"closed": 0o300, "listed": 0o644, "hidden": 0}
    out = tmp_path / "out"
    for name, mode in modes.items():
        (audio / name).chmod(mode)
    try:
        with permissions_count():
            done = command("segment", behind / "e.wav", audio, behind, "--model", small_model, "-o", out)
    finally:
        for name in modes:
            (audio / name).chmod(0o755)
    assert done.code == 1, done.err
    assert "2 recordings done, 0 kept from before, 4 failed" in done.out, done.err
    rows = list(csv.DictReader(io.StringIO((out / "failures.csv").read_text(encoding="utf-8"))))
    assert {Path(row["path"]).relative_to(audio).as_posix() for row in rows} == {
        *("closed", "listed/d.wav", "hidden", "hidden/e.wav")
    }
    assert [row["error"] for row in rows if "may not be read by this user" not in row["error"]] == []
    assert {path for path in contents(out) if path.startswith("rttm/")} == {"rttm/a.rttm", "rttm/open/b.rttm"}


def test_names_that_are_no_text(audio, small_model, tmp_path):
    """Of a folder, given or below, and of a file."""
    strange = os.fsdecode(b"in\xff")
    try:
        (audio / strange).mkdir()
    except OSError:
        pytest.skip("this file system has no such names")
    for path in (audio / strange / "x.wav", audio / f"{strange}.wav"):
        path.write_bytes((audio / "a.wav").read_bytes())
    for number, given in enumerate(([audio], [audio, audio / strange], [audio / strange / "x.wav", audio / "a.wav"])):
        for verb in ("segment", "embed"):
            out = tmp_path / f"{verb}{number}"
            done = command(verb, *given, "--model", small_model, "-o", out)
            assert done.code == 1, done.err
            assert "the name is not valid UTF-8; rename the file or its folder" in done.err
            assert "1 failed" in done.out if number == 2 else "2 failed" in done.out
        assert command("corpus", "scan", *given, "-o", tmp_path / f"corpus{number}").code == 1


def test_a_closed_folder_takes_no_name_from_a_recording(audio, monkeypatch):
    """A folder that cannot be read beside a recording of the same name."""
    (audio / "closed.wav").write_bytes((audio / "a.wav").read_bytes())
    scandir = os.scandir

    def guarded(path="."):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = {file.recording_id: file.path.name for file in discover([audio])}
    assert found == {"a": "a.wav", "closed": "closed.wav", "closed/": "closed", "listed/d": "d.wav", "open/b": "b.wav"}


def test_closed_folders_of_other_material(tmp_path):
    """Scores, tables of phonemes, UEM files and transcripts are read from folders too: none of theirs is missed."""
    for name in ("b/x.csv", "a/y.CSV", "a/z.txt", "closed/w.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("", encoding="utf-8")
    found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, ".csv")]
    assert found == ["a/y.CSV", "b/x.csv", "closed/w.csv"]
    assert files_below(tmp_path / "absent", ".csv") == []
    (tmp_path / "closed").chmod(0)
    try:
        with permissions_count():
            with pytest.raises(AnnotationError, match=r"closed: this folder cannot be read \(Permission denied\)"):
                files_below(tmp_path, ".csv")
            done = command("evaluate", "phonemes", "--reference", tmp_path, "--predictions", tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o755)
    assert done.code == 2
    assert "this folder cannot be read" in done.error
