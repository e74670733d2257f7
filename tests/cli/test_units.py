"""``babyhubert units`` as a user runs it, on a small HuBERT and on MFCC."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from babyhubert.corpus.shards import Labels, Pack
from commands import command

sys.path.append(str(Path(__file__).parents[1] / "units"))
from packs import write_pack

FIT = ("--clusters", "8", "--n-init", "2", "--batch-size", "100")


@pytest.fixture(scope="module")
def pack_folder(tmp_path_factory):
    return write_pack(tmp_path_factory.mktemp("units") / "pack")


def fit(pack_folder, out, teacher="mfcc", *more):
    return command("units", "fit", pack_folder, "-o", out, "--teacher", teacher, "--device", "cpu", *FIT, *more)


def test_fit_assign_report(pack_folder, small_model, tmp_path):
    result = fit(pack_folder, tmp_path / "kmeans", f"{small_model}:2")
    assert result.code == 0, result.err
    assert "8 units from 207 of 207 frames, explaining" in result.out
    result = command(
        "units", "assign", pack_folder, "--kmeans", tmp_path / "kmeans", "-o", tmp_path / "labels", "--device", "cpu"
    )
    assert result.code == 0, result.err
    labels = Labels.open(tmp_path / "labels", Pack.open(pack_folder))
    assert labels.clusters == 8
    assert labels.facts["teacher"]["layer"] == 2
    assert f"{labels.pack.frames.sum()} frames labelled with 8 units" in result.out
    (tmp_path / "phones.csv").write_text("utterance_id,phones\nr1,a b c\nr3,c b\n")
    result = command(
        "units", "report", pack_folder, tmp_path / "labels", "-o", tmp_path / "report",
        "--transcripts", tmp_path / "phones.csv", "--aligner", "gaussian",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "PNMI" in result.out
    assert "units used" in result.out
    assert json.loads((tmp_path / "report" / "report.json").read_text())["phone_timing"] == "gaussian"
    with (tmp_path / "report" / "alignment.csv").open(encoding="utf-8", newline="") as file:
        said = [row["phone"] for row in csv.DictReader(file) if row["recording_id"] == "r1" and row["phone"] != "sil"]
    assert said == ["a", "b", "c"]
    again = command(
        "units", "report", pack_folder, tmp_path / "labels", "-o", tmp_path / "again",
        "--alignment", tmp_path / "report" / "alignment.csv",
    )  # fmt: skip
    assert again.code == 0, again.err
    first, second = (json.loads((tmp_path / n / "report.json").read_text()) for n in ("report", "again"))
    assert first["agreement"] == second["agreement"]


def test_the_same_command_again_keeps_what_is_done(pack_folder, tmp_path):
    first = fit(pack_folder, tmp_path / "kmeans")
    before = (tmp_path / "kmeans" / "kmeans.safetensors").stat().st_mtime_ns
    again = fit(pack_folder, tmp_path / "kmeans")
    assert (first.code, again.code) == (0, 0)
    assert first.out == again.out
    assert (tmp_path / "kmeans" / "kmeans.safetensors").stat().st_mtime_ns == before
    assign = ("units", "assign", pack_folder, "--kmeans", tmp_path / "kmeans", "-o", tmp_path / "labels")
    assert command(*assign).code == 0
    assert "3 shards computed in an earlier run" in command(*assign).err


def test_processes_share_the_work(pack_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    outs = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", rank)
        outs.append(fit(pack_folder, tmp_path / "kmeans").out)
    assert "this process has done its shards" in outs[0]
    assert "8 units from" in outs[1]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--clusters", "500"), "207 frames in the training split, fewer than 500 clusters"),
        (("--clusters", "1"), "'clusters' = 1"),
        (("--memory-gb", "0"), "'memory_gb' = 0.0"),
        (("--precision", "int8"), "'precision' = 'int8'"),
        (("--teacher", "mfcc:2"), "mfcc has no layers"),
        (("--teacher", "nowhere/here/there:2"), "no such file or folder"),
        (("--device", "tpu9"), "device 'tpu9'"),
    ],
)
def test_impossible_options_are_one_line(pack_folder, tmp_path, more, words):
    result = fit(pack_folder, tmp_path / "out", "mfcc", *more)
    assert result.code == 2
    assert words in result.error
    assert not (tmp_path / "out" / "kmeans.json").exists()


def test_wrong_folders_are_one_line(pack_folder, tmp_path):
    assert "pack.json: missing" in fit(tmp_path, tmp_path / "out").error
    result = command("units", "assign", pack_folder, "--kmeans", tmp_path, "-o", tmp_path / "labels")
    assert "kmeans.json: missing or not finished; 'babyhubert units fit'" in result.error
    result = command("units", "report", pack_folder, tmp_path, "-o", tmp_path / "report")
    assert "labels.json: missing or not finished; 'babyhubert units assign'" in result.error
    cut = write_pack(tmp_path / "cut")
    shard = cut / "shards" / "00001.i16"
    shard.write_bytes(shard.read_bytes()[:-100])
    assert "cut short" in fit(cut, tmp_path / "out").error


def test_abx_without_fastabx_is_one_line(pack_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastabx", None)
    fit(pack_folder, tmp_path / "kmeans")
    command("units", "assign", pack_folder, "--kmeans", tmp_path / "kmeans", "-o", tmp_path / "labels")
    result = command(
        "units", "report", pack_folder, tmp_path / "labels", "-o", tmp_path / "report", "--abx", tmp_path / "x.item"
    )
    assert result.code == 2
    assert "needs Python 3.12" in result.error
