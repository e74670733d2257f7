"""Every recording once, under a name that survives RTTM and any disk."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from babyhubert.audio.discovery import discover
from babyhubert.audio.names import rttm_uri
from babyhubert.errors import AudioError

links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def ids(*inputs: Path | str) -> list[str]:
    return [file.recording_id for file in discover(inputs)]


def test_folders_are_searched_and_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "b.WAV", "a.mp3", "sub/day.1.wav", "sub/deeper/é à.m4a", "notes.txt", "sub/x.rttm")
    assert ids(tmp_path) == ["a", "b", "sub/day.1", "sub/deeper/é à"]
    assert ids(str(tmp_path / "sub")) == ["day.1", "deeper/é à"]


def test_hidden_things_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "._a.wav", ".hidden.wav", ".git/annex/x.wav", "sub/.cache/y.wav")
    assert ids(tmp_path) == ["a"]


def test_a_given_folder_may_itself_be_hidden(tmp_path: Path) -> None:
    touch(tmp_path, ".data/a.wav")
    assert ids(tmp_path / ".data") == ["a"]


def test_files_are_called_by_their_stem_in_the_order_given(tmp_path: Path) -> None:
    touch(tmp_path, "z.1.wav", "sub/a.flac", "odd.bin")
    assert ids(tmp_path / "z.1.wav", tmp_path / "sub" / "a.flac", tmp_path / "odd.bin") == ["z.1", "a", "odd"]


def test_mentioned_twice_counts_once(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.wav")
    assert ids(tmp_path, tmp_path / "sub" / "a.wav", tmp_path / "sub", tmp_path) == ["sub/a"]


@links
def test_links(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.wav")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "b.wav").symlink_to(tmp_path / "real" / "a.wav")
    (tmp_path / "real" / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    assert ids(tmp_path / "real") == ["a", "gone"]


@links
def test_equal_contents_in_git_annex_stay_two_recordings(tmp_path: Path) -> None:
    touch(tmp_path, ".git/annex/objects/key.wav")
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).symlink_to(tmp_path / ".git" / "annex" / "objects" / "key.wav")
    assert ids(tmp_path) == ["a", "b"]
    assert ids(tmp_path, tmp_path / "a.wav") == ["a", "b"]


def test_equal_names_below_one_folder_are_fine(tmp_path: Path) -> None:
    touch(tmp_path, "one/day.wav", "two/day.wav")
    assert ids(tmp_path) == ["one/day", "two/day"]


def test_equal_ids_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "one/day.wav", "two/day.wav", "three/x.wav", "three/x.mp3")
    with pytest.raises(
        AudioError, match=r"one.day\.wav and .*two.day\.wav would both be called 'day': give the folder"
    ):
        discover([tmp_path / "one", tmp_path / "two"])
    with pytest.raises(AudioError, match="rename one"):
        discover([tmp_path / "three"])


@pytest.mark.parametrize(("one", "two"), [("Day.wav", "day.mp3"), ("my day.wav", "my_day.wav"), ("É.wav", "é.mp3")])
def test_ids_that_other_disks_or_rttm_would_confuse(tmp_path: Path, one: str, two: str) -> None:
    touch(tmp_path, one, two)
    with pytest.raises(AudioError, match="differ only in case or white space"):
        discover([tmp_path])


def test_rttm_uri() -> None:
    assert rttm_uri("sub/my day\t1.x") == "sub/my_day_1.x"
    assert rttm_uri("a\u00a0b") == "a_b"


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"gone does not exist"):
        discover([tmp_path / "gone"])
    touch(tmp_path, "notes.txt")
    with pytest.raises(AudioError, match="holds no audio files"):
        discover([tmp_path])
    assert discover([]) == []
