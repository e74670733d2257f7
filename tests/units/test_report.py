"""The report: usage against plain loops, files, and ABX through fastabx."""

from __future__ import annotations

import itertools
import json
import sys
import types

import numpy as np
import pytest
from packs import open_pack
from test_phones import _labels

from babyhubert.corpus.shards import Labels, Pack
from babyhubert.errors import AnnotationError, ConfigError, CorpusError
from babyhubert.units import report as report_module
from babyhubert.units.abx import COLUMNS, abx_errors
from babyhubert.units.phones import Alignment
from babyhubert.units.report import ReportSettings, measure_usage, report


@pytest.fixture(scope="module")
def labels(pack: Pack, tmp_path_factory) -> Labels:
    return _labels(pack, tmp_path_factory.mktemp("labels"))


@pytest.mark.parametrize("frames_at_once", [1, 60, 10**6])
def test_usage_is_that_of_a_plain_loop(labels: Labels, monkeypatch, frames_at_once):
    monkeypatch.setattr(report_module, "_FRAMES_AT_ONCE", frames_at_once)
    usage = measure_usage(labels)
    every = [labels.units(row).tolist() for row in range(len(labels.pack))]
    runs = sorted(len(list(run)) for units in every for _, run in itertools.groupby(units))
    flat = np.concatenate(every)
    assert usage.counts.tolist() == [int((flat == unit).sum()) for unit in range(labels.clusters)]
    assert [n for length, n in enumerate(usage.runs) for _ in range(n) for n in [length]] == runs
    assert usage.mean_run == pytest.approx(np.mean(runs))
    assert usage.median_run == runs[(len(runs) - 1) // 2]
    shares = usage.counts[usage.counts > 0] / len(flat)
    assert usage.perplexity == pytest.approx(np.prod(shares**-shares))
    assert usage.largest_share == shares.max()


def test_report_of_units_and_phones(labels: Labels, tmp_path):
    pack = labels.pack
    Alignment.from_spans(
        (f"r{row}", int(pack.start[row]) + 3_200 * i, int(pack.start[row]) + 3_200 * (i + 1), ("sil", "a", "b")[i])
        for row in range(len(pack))
        for i in range(3)
    ).write(tmp_path / "alignment.csv")
    found = report(labels, tmp_path / "out", ReportSettings(alignment=str(tmp_path / "alignment.csv")))
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["agreement"]["frames"] > content["agreement_without_silence"]["frames"] > 0
    assert 0 < content["agreement"]["pnmi"] < 1
    assert content["used"] + len(content["dead"]) == 10
    assert sum(content["counts"]) == content["frames"] == pack.frames.sum()
    assert content["phone_timing"] == "given"
    assert (tmp_path / "out" / "units.png").read_bytes().startswith(b"\x89PNG")
    assert found.together is not None
    assert not (tmp_path / "out" / "alignment.csv").exists()


def test_dead_units_are_listed(pack: Pack, labels: Labels, tmp_path):
    (tmp_path / "shards").mkdir()
    for shard in pack.shards:
        (labels.shard(shard.number) % 3).astype("<u2").tofile(tmp_path / "shards" / shard.labels_name)
    (tmp_path / "labels.json").write_text(json.dumps(dict(labels.facts) | {"clusters": 5}))
    few = Labels.open(tmp_path, pack)
    assert measure_usage(few).dead.tolist() == [3, 4]
    (tmp_path / "labels.json").write_text(json.dumps(dict(labels.facts) | {"clusters": 2}))
    with pytest.raises(CorpusError, match="unit 2 of 2"):
        measure_usage(Labels.open(tmp_path, pack))


def test_one_kind_of_phones_at_a_time(labels: Labels, tmp_path):
    with pytest.raises(ConfigError, match="give one of them"):
        report(labels, tmp_path, ReportSettings(alignment="a.csv", transcripts="b.csv"))


def test_no_frames_at_all(tmp_path):
    pack = open_pack(tmp_path / "pack", lengths=((300,),), held_out=())
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "00000.u16").touch()
    (tmp_path / "labels.json").write_text(json.dumps({"format": 1, "pack": pack.fingerprint, "clusters": 4}))
    with pytest.raises(CorpusError, match="no frames"):
        measure_usage(Labels.open(tmp_path, pack))


@pytest.fixture
def items(tmp_path, pack: Pack):
    """Two items inside r3, which begins at 0.3 s, and one inside r5; one too early, one too short, one of nowhere."""
    lines = [" ".join(COLUMNS)]
    for name, onset, offset, speaker in [
        ("r3", 0.3, 0.4, "s1"), ("r3", 0.52, 0.6, "s2"), ("r3", 0.1, 0.3, "s1"), ("r3", 0.30, 0.301, "s1"),
        ("x/r5", 0.51, 0.56, "s2"), ("nowhere", 0.3, 0.4, "s1"),
    ]:  # fmt: skip
        lines.append(f"{name} {onset} {offset} a b c {speaker}")
    (tmp_path / "x.item").write_text("\n".join(lines) + "\n")
    return tmp_path / "x.item"


def test_abx_hands_fastabx_what_it_wants(labels: Labels, items, monkeypatch):
    calls = []

    class Dataset:
        @classmethod
        def from_item_and_units(cls, item, units, frequency):
            lines = item.read_text().splitlines()
            sounds = [json.loads(line) for line in units.read_text().splitlines()]
            calls.append((lines, {sound["audio"]: sound["units"] for sound in sounds}, frequency))

    class Score:
        def __init__(self, task, distance):
            assert distance == "identical"
            self.across = task["across"]

        def collapse(self, levels):
            assert levels == [("next-phone", "prev-phone"), "speaker"]
            return 0.25 if self.across else 0.125

    module = types.ModuleType("fastabx")
    module.Dataset, module.Score = Dataset, Score
    module.Task = lambda dataset, *, on, by, across, subsampler: {"on": on, "by": by, "across": across}
    module.Subsampler = lambda size, speakers, seed: None
    monkeypatch.setitem(sys.modules, "fastabx", module)
    found = abx_errors(labels, items)
    assert (found.within_speaker, found.across_speaker, found.items, found.left_out) == (0.125, 0.25, 3, 3)
    lines, sounds, frequency = calls[0]
    assert frequency == 50
    assert lines[0].split() == list(COLUMNS)
    assert [line.split()[1:3] for line in lines[1:]] == [["0.3", "0.4"], ["0.52", "0.6"], ["0.51", "0.56"]]
    begin = int(labels.pack.start[5]) // 320
    units = sounds[lines[3].split()[0]]
    assert units[begin:] == labels.units(5).tolist()
    assert units[:begin] == [-1] * begin


def test_abx_without_fastabx_says_what_is_needed(labels: Labels, items, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastabx", None)
    with pytest.raises(ConfigError, match=r"--abx needs fastabx, which needs Python 3\.12 or later \(this is 3"):
        report(labels, tmp_path / "out", ReportSettings(abx=str(items)))


def test_bad_item_files(labels: Labels, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastabx", types.ModuleType("fastabx"))
    path = tmp_path / "x.item"
    path.write_text("#file onset\nr1 0\n")
    with pytest.raises(AnnotationError, match="no ABX items; the first line must be '#file onset offset"):
        abx_errors(labels, path)
    path.write_text(" ".join(COLUMNS) + "\nr1 0 x a b c s\n")
    with pytest.raises(AnnotationError, match="line 2: onset and offset"):
        abx_errors(labels, path)
    path.write_text(" ".join(COLUMNS) + "\nr1 900 901 a b c s\n")
    with pytest.raises(CorpusError, match="no item is completely"):
        abx_errors(labels, path)
