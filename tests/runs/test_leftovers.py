"""What killed runs leave half-written goes with the next run; what belongs to others stays."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest
from filelock import FileLock

from babyhubert.files import atomic_path, is_temporary, remove_leftovers, temporary_beside
from babyhubert.runs.folder import RESULT_FOLDERS
from babyhubert.shipped import SHIPPED_MODELS
from commands import command, write_sounds


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("audio"), ["sub/a.wav", "b.wav"], seconds=1)


def leave(*places: Path) -> list[Path]:
    """Temporary files as a killed run leaves them."""
    left = [temporary_beside(place) for place in places]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    return left


def existing(paths: list[Path]) -> list[Path]:
    return [path for path in paths if path.exists()]


def test_files_of_others_stay(small_model, audio, tmp_path, monkeypatch):
    """Also those of another run of ours that is at work in a folder below."""
    monkeypatch.chdir(tmp_path)
    theirs = [
        *(Path("thesis") / name for name in (".partial-draft.tex", ".partial-0123abcd-a.csv", "a.partial")),
        *(Path(name) for name in (".partial-draft.tex", ".babyhubert-partial-draft", ".babyhubert-partial-01234567x")),
    ]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("important", encoding="utf-8")
    theirs += leave(Path("thesis/other-run/rttm/a.rttm"), Path("thesis/a.csv"))
    ours = leave(
        Path("rttm.csv"), Path("rttm/sub/a.rttm"), Path(".babyhubert/segment/scores/a.npy"), Path("report/a.html")
    )
    assert command("segment", audio, "--model", small_model, "-o", ".").code == 0
    assert existing(theirs) == theirs
    assert existing(ours) == []


def test_names_of_links_are_removed_and_not_what_they_mean(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "a").write_text("important", encoding="utf-8")
    link = temporary_beside(tmp_path / "out" / "rttm")
    link.parent.mkdir()
    link.symlink_to(tmp_path / "precious")
    left = temporary_beside(tmp_path / "out" / "model")
    (left / "weights").mkdir(parents=True)
    remove_leftovers(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert (tmp_path / "precious" / "a").read_text(encoding="utf-8") == "important"


def test_temporary_names(tmp_path):
    for name in ("a.TextGrid", "a.b.npy", "x" * 250, "x" * 200 + "." + "y" * 50, "a"):
        with atomic_path(tmp_path / name) as temporary:
            assert is_temporary(temporary)
            assert temporary.parent == tmp_path
            assert temporary.suffix == (Path(name).suffix if len(name) < 20 else "")
            temporary.write_text(name, encoding="utf-8")
        assert (tmp_path / name).read_text(encoding="utf-8") == name
    assert not any(map(is_temporary, tmp_path.iterdir()))
    for name in (
        "rttm.csv",
        ".babyhubert",
        ".babyhubert-partial-",
        ".partial-0123abcd",
        ".babyhubert-partial-0123456g",
    ):
        assert not is_temporary(Path(name))


def test_recordings_with_the_longest_names(small_model, tmp_path):
    write_sounds(tmp_path / "audio", ["x" * 250 + ".wav", "y" * 251 + ".wav"], seconds=1)
    done = command("segment", tmp_path / "audio", "--model", small_model, "-o", tmp_path / "out")
    assert done.code == 1, done.err
    assert (tmp_path / "out" / "rttm" / ("x" * 250 + ".rttm")).is_file()
    assert "it is too long" in (tmp_path / "out" / "failures.csv").read_text(encoding="utf-8")


def test_of_killed_shards(small_model, audio, tmp_path):
    """Removed by the next shard where no other run is at work: what looks left over may be that one's."""
    out = tmp_path / "out"
    run = ("segment", audio, "--model", small_model, "-o", out)
    assert "shard 1/2" in command(*run, "--shard", "1/2").out
    places = [out / name for name in ("rttm.csv", "rttm/sub/a.rttm", ".babyhubert/segment/scores/a.npy")]
    for other in ("parts/segment/1-of-2.lock", "parts/embed/1-of-3.lock"):
        left = leave(*places)
        lock = out / ".babyhubert" / other
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            assert "shard 2/2" in command(*run, "--shard", "2/2").out
        assert existing(left) == left
    assert "shard 2/2" in command(*run, "--shard", "2/2").out
    assert existing(left) == []
    left = leave(*places)
    assert command("merge", out).code == 0
    assert existing(left) == []


def test_of_a_killed_report(small_model, audio, tmp_path):
    out = tmp_path / "out"
    run = ("segment", audio, "--model", small_model, "-o", out)
    assert command(*run).code == 0
    assert command("report", out).code == 0
    places = [
        out / "report" / "a.html",
        out / "report" / "sub" / "a.html",
        out / ".babyhubert/report/levels/sub/a.npz",
    ]
    left = leave(*places)
    assert command("report", out).code == 0
    assert existing(left) == []
    left = leave(*places, out / "report.html")
    with FileLock(out / ".babyhubert" / "report" / "lock"):
        assert "another report is being written here" in command("report", out).error
        assert command(*run).code == 0
        assert existing(left) == left
    assert command(*run).code == 0
    assert existing(left) == []


def test_every_folder_that_commands_write_into_is_known(audio, tmp_path):
    out = tmp_path / "out"
    tasks = SHIPPED_MODELS / "playroom"
    for run in (
        ("segment", audio, "--save-probs", "--keep-raw", "--model", tasks),
        ("addressee", audio, "--model", tasks),
        ("phonemes", audio, "--model", tasks, "--syllables"),
        ("embed", audio, "--model", tasks),
    ):
        done = command(*run, "-o", out)
        assert done.code == 0, done.err
    folders = [path.name for path in out.iterdir() if path.is_dir() and path.name != ".babyhubert"]
    assert len(folders) == 9
    assert [name for name in folders if not any(fnmatch.fnmatch(name, one) for one in RESULT_FOLDERS)] == []
