"""Commands run in shards, by hand or by a queue, and merged: the same files as one run over everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from babyhubert.runs.folder import RunFolder
from babyhubert.runs.shard import Shard
from commands import command, contents, write_sounds


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> Path:
    folder = write_sounds(tmp_path_factory.mktemp("audio"), [f"sub/{name}.wav" for name in "abcde"], seconds=1)
    (folder / "broken.wav").write_bytes(b"")
    (folder / "text.wav").write_bytes(b"not audio\n")
    return folder


def shards(run: tuple, out: Path, *numbers: int, of: int = 3) -> None:
    for number in numbers:
        result = command(*run, "-o", out, "--shard", f"{number}/{of}")
        assert f"shard {number}/{of}: " in result.out, result.err
        assert f"when all {of} shards are done: babyhubert merge {out}" in result.out


@pytest.mark.parametrize("verb", ["segment", "embed", "pooled"])
def test_merged_shards_are_the_undisturbed_run(small_model, audio, tmp_path, verb):
    if verb == "pooled":
        rows = "".join(f"sub/{name},0.2,0.5,KCHI\nsub/{name},0.1,0.3,FEM\n" for name in "edcba")
        (tmp_path / "s.csv").write_text("uid,start_time_s,duration_s,label\n" + rows, encoding="utf-8")
        run = ("embed", audio, "--model", small_model, "--segments", tmp_path / "s.csv")
    else:
        run = (verb, audio, "--model", small_model)
    assert command(*run, "-o", tmp_path / "whole").code == 1
    shards(run, tmp_path / "out", 3, 1, 2)
    for _ in range(2):
        merged = command("merge", tmp_path / "out")
        assert merged.code == 1, merged.err
        assert "3 of 3 shards merged, 5 recordings done, 2 failed" in merged.out
        assert contents(tmp_path / "out") == contents(tmp_path / "whole")
        told = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("out", "whole")]
        for record in told:
            for key in ("began", "ended"):
                del record[key]
            for recording in record["recordings"]:
                del recording["seconds"], recording["times_real_time"]
        assert told[0] == told[1]


def test_shards_of_a_corpus(audio, tmp_path):
    assert command("corpus", "scan", audio, "-o", tmp_path / "whole").code == 1
    assert command("corpus", "regions", tmp_path / "whole", "--source", "whole").code == 0
    for number in (1, 2):
        command("corpus", "scan", audio, "-o", tmp_path / "out", "--shard", f"{number}/2")
    assert command("merge", tmp_path / "out").code == 1
    for number in (1, 2):
        command("corpus", "regions", tmp_path / "out", "--source", "whole", "--shard", f"{number}/2")
    assert command("merge", tmp_path / "out").code == 1  # the scan's failures are still failures
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").glob("[!.]*.*")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("[!.]*.*")} == whole


def test_unfinished_shards_are_named_and_nothing_is_written(small_model, audio, tmp_path):
    run = ("segment", audio, "--model", small_model)
    shards(run, tmp_path / "out", 1, 3)
    status = command("status", tmp_path / "out")
    assert status.code == 1
    assert "shard 2/3  not started" in status.out
    counts = json.loads(command("status", tmp_path / "out", "--json").out)
    assert counts["done"] + counts["failed"] + counts["left"] == 7
    assert counts["left"] > 0
    refused = command("merge", tmp_path / "out")
    assert refused.code == 2
    assert "1 of 3 shards of 'segment' are not finished (2/3 not started)" in refused.error
    assert not (tmp_path / "out" / "rttm.csv").exists()
    assert command("merge", tmp_path / "out", "--unfinished").code == 1
    assert (tmp_path / "out" / "rttm.csv").exists()


def test_shards_that_do_not_belong_together(small_model, audio, tmp_path):
    run = ("segment", audio, "--model", small_model)
    shards(run, tmp_path / "out", 1, of=2)
    command(*run, "-o", tmp_path / "out", "--shard", "2/2", "--min-on", 0.5)
    assert "shard 2/2 of 'segment' ran with other settings" in command("merge", tmp_path / "out").error
    command("segment", audio / "sub", "--model", small_model, "-o", tmp_path / "out", "--shard", "2/2")
    assert "shard 2/2 of 'segment' was given other recordings" in command("merge", tmp_path / "out").error


def test_who_may_be_in_a_folder_at_once(small_model, audio, tmp_path):
    run = ("segment", audio, "--model", small_model, "-o", tmp_path / "out")
    with RunFolder(tmp_path / "out", "segment", Shard(2, 1)) as folder:
        assert RunFolder(folder.output, "segment", Shard(2, 1)).is_held()
        shards(run[:-2], tmp_path / "out", 2, of=2)
        assert "another run is writing here" in command(*run, "--shard", "1/2").error
        assert "shard 1/2 is writing here" in command(*run).error
        assert "shard 1/2 is writing here" in command(*run, "--shard", "1/3").error
        assert "not finished" in command("merge", tmp_path / "out").error
    with RunFolder(tmp_path / "out", "embed"):
        assert "another run is writing here" in command(*run, "--shard", "1/2").error
    assert command(*run).code == 1


def test_nothing_to_tell_or_merge(small_model, audio, tmp_path):
    assert "no run was started here" in command("status", tmp_path).error
    assert "no run was started here" in command("merge", tmp_path).error
    assert command("segment", audio / "sub", "--model", small_model, "-o", tmp_path / "out").code == 0
    assert "nothing to merge" in command("merge", tmp_path / "out").error
    whole = command("status", tmp_path / "out")
    assert whole.code == 0
    assert whole.out.startswith("segment: finished\n")
