"""``babyhubert corpus``: the four commands as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from babyhubert.corpus.shards import Pack
from commands import command, write_sounds


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    return write_sounds(tmp_path / "recordings", ("a.wav", "site/b.wav", "site/c.flac"), seconds=8.0)


def test_from_recordings_to_a_pack(recordings, tmp_path):
    corpus = tmp_path / "corpus"
    (recordings / "bad.wav").write_bytes(b"no audio at all")
    scanned = command("corpus", "scan", recordings, "-o", corpus)
    assert scanned.code == 1
    assert "bad.wav" in scanned.err
    assert "scanned 3 recordings, 1 failed" in scanned.out
    steps = (("regions", "--source", "whole"), ("segments", "--longest", "5"), ("pack", "--shard-mb", "0.1"))
    for verb, *options in steps:
        done = command("corpus", verb, corpus, *options)
        assert done.code == 0, done.err
    assert "packed 3 recordings, 0 failed" in done.out
    assert "recordings held out: 1" in done.out
    pack = Pack.open(corpus / "pack")
    assert json.loads((corpus / "segments.json").read_text())["segments"] == len(pack) == 6
    assert set(pack.recordings) == {"a", "site/b", "site/c"}
    again = command("corpus", "pack", corpus, "--shard-mb", "0.1")
    assert f"{len(pack.shards)} shards computed in an earlier run" in again.err
    assert command("corpus", "pack", corpus, "--shard-mb", "0.2").error.endswith("will not fit the new one)")


def test_parts_of_a_queue_make_one_pack(recordings, tmp_path):
    corpus = tmp_path / "corpus"
    for verb, *options in (("scan", recordings, "-o"), ("regions", "--source", "whole"), ("segments",)):
        arguments = [*options, corpus] if verb == "scan" else [corpus, *options]
        assert command("corpus", verb, *arguments).code == 0
    first = command("corpus", "pack", corpus, "--shard-mb", "0.2", "--shard", "2/2")
    assert "the one that finishes last writes pack.json" in first.out
    assert not (corpus / "pack" / "pack.json").exists()
    assert "packed 3 recordings" in command("corpus", "pack", corpus, "--shard-mb", "0.2", "--shard", "1/2").out
    Pack.open(corpus / "pack").verify()
    for wrong in ("0/2", "3/2", "2", "x/2"):
        assert "write it as I/N" in command("corpus", "pack", corpus, "--shard", wrong).error


def test_what_is_refused(recordings, tmp_path):
    corpus = tmp_path / "corpus"
    (tmp_path / "empty").mkdir()
    assert "holds no audio files" in command("corpus", "scan", tmp_path / "empty", "-o", corpus).error
    for verb in (("regions", "--source", "whole"), ("segments",), ("pack",)):
        assert "run the step before this one first" in command("corpus", verb[0], corpus, *verb[1:]).error
    command("corpus", "scan", recordings, "-o", corpus)
    assert "'source' = 'guess'" in command("corpus", "regions", corpus, "--source", "guess").error
    assert "--path" in command("corpus", "regions", corpus, "--source", "annotations").error
    assert "shortest_s" in command("corpus", "segments", corpus, "--shortest", "9", "--longest", "5").error


def test_nothing_can_be_read(tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no audio at all")
    assert command("corpus", "scan", tmp_path / "bad.wav", "-o", tmp_path / "corpus").code == 2
    assert "no recording in it" in command("corpus", "regions", tmp_path / "corpus", "--source", "whole").error
