"""Runs over recordings: what a run that is broken off leaves, and how many engines a run makes."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from task_models import write_task_model

from babyhubert.audio.discovery import discover
from babyhubert.audio.preflight import check_recordings
from babyhubert.corpus.inventory import INVENTORY, read_inventory, scan
from babyhubert.corpus.regions import REGIONS, RegionSettings, find_regions
from babyhubert.inference import batching
from babyhubert.inference.windows import WindowPlan
from babyhubert.runs.folder import RunFolder
from babyhubert.tasks.embedding import open_embed_run
from babyhubert.tasks.voice_type.outputs import open_segment_run
from babyhubert.tasks.voice_type.prediction import VoiceTypeSettings
from commands import command, write_small_model, write_sounds


class Interrupted:
    """Distributes like a process that is interrupted after so many recordings."""

    def __init__(self, recordings: int) -> None:
        self.recordings = recordings

    def run(self, job, recordings: Sequence, progress) -> None:
        job.process([planned.file for planned in recordings[: self.recordings]], progress)
        if len(recordings) > self.recordings:
            raise KeyboardInterrupt


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A model, and three recordings."""
    folder = tmp_path_factory.mktemp("material")
    audio = write_sounds(folder / "audio", ["a.wav", "b.wav", "c.wav"], seconds=2)
    return SimpleNamespace(audio=audio, model=write_small_model(folder / "model"))


def embed(material, output: Path, segments: Path | None = None):
    plan = WindowPlan.from_overlap(20.0, 0.2)
    return open_embed_run(output, str(material.model), layers=(3,), plan=plan, segments=segments, device="cpu")


def segment(material, output: Path):
    return open_segment_run(output, str(material.model), partial(VoiceTypeSettings.for_speed, "exact"), device="cpu")


@pytest.mark.parametrize("make", [embed, segment])
def test_a_run_that_is_broken_off_writes_its_tables(material, tmp_path, make):
    run = make(material, tmp_path / "out")
    checked = check_recordings(discover([material.audio]), tmp_path / "out", 0)
    with pytest.raises(KeyboardInterrupt), run.folder:
        run.execute(checked, distribution=Interrupted(2))
    recorded = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert [each["recording_id"] for each in recorded["recordings"]] == ["a", "b"]
    assert recorded["failures"] == rows(tmp_path / "out" / "failures.csv") == []
    with run.folder:
        summary = run.execute(checked)
    assert (summary.done, summary.skipped) == (1, 2)


def test_vectors_of_segments_are_joined_when_broken_off(material, tmp_path):
    table = tmp_path / "segments.csv"
    lines = [f"{name},{start},0.5,FEM\n" for name in "abc" for start in (0.2, 1.2)]
    table.write_text("uid,start_time_s,duration_s,label\n" + "".join(lines), encoding="utf-8")
    run = embed(material, tmp_path / "out", table)
    checked = check_recordings(discover([material.audio]), tmp_path / "out", 0)
    with pytest.raises(KeyboardInterrupt), run.folder:
        run.execute(checked, distribution=Interrupted(2))
    assert [row["recording_id"] for row in rows(tmp_path / "out" / "segments.csv")] == ["a", "a", "b", "b"]
    assert [each.name for each in (tmp_path / "out").glob("layer*.npy")] == ["layer3.npy"]
    with run.folder:
        assert run.execute(checked).skipped == 2
    assert len(rows(tmp_path / "out" / "segments.csv")) == 6


def test_steps_of_a_corpus_write_no_table_that_lacks_recordings(material, tmp_path):
    checked = check_recordings(discover([material.audio]), tmp_path, 0)
    with pytest.raises(KeyboardInterrupt):
        scan(checked, tmp_path, distribution=Interrupted(2))
    assert not (tmp_path / INVENTORY).exists()
    assert scan(checked, tmp_path).recordings == 3
    with pytest.raises(KeyboardInterrupt):
        find_regions(tmp_path, RegionSettings(source="whole"), distribution=Interrupted(1))
    assert not (tmp_path / REGIONS).exists()
    assert find_regions(tmp_path, RegionSettings(source="whole")).recordings == 3
    assert len(read_inventory(tmp_path)) == 3


def test_a_damaged_record_of_a_scan_is_not_believed(material, tmp_path):
    checked = check_recordings(discover([material.audio]), tmp_path, 0)
    scan(checked, tmp_path)
    before = (tmp_path / INVENTORY).read_bytes()
    path = RunFolder(tmp_path, "scan").record_path("b")
    path.write_text(path.read_text(encoding="utf-8").replace('"samples": ', '"samples": 9'), encoding="utf-8")
    scan(checked, tmp_path)
    assert (tmp_path / INVENTORY).read_bytes() == before


def test_a_scan_whose_record_is_lost_says_so(material, tmp_path):
    class Losing:
        def run(self, job, recordings, progress) -> None:
            job.process([planned.file for planned in recordings], progress)
            RunFolder(tmp_path, "scan").record_path("b").unlink()

    checked = check_recordings(discover([material.audio]), tmp_path, 0)
    summary = scan(checked, tmp_path, distribution=Losing())
    assert (summary.recordings, summary.exit_code) == (2, 1)
    ((path, error),) = summary.failures
    assert path == material.audio / "b.wav"
    assert "b.json: damaged or gone; run 'babyhubert corpus scan' on that recording again" in error
    assert [row["path"] for row in rows(tmp_path / "failures.csv")] == [str(path)]


@pytest.mark.parametrize("models", ["one", "three"])
def test_analyze_makes_one_engine_a_model_whatever_the_number_of_recordings(material, tmp_path, monkeypatch, models):
    pools = []

    class CountedPool(batching.ThreadPoolExecutor):
        def __init__(self, *arguments, **options):
            pools.append(self)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(batching, "ThreadPoolExecutor", CountedPool)
    tasks = ("voice_type", "addressee", "phonemes")
    if models == "one":
        given = ["--model", write_task_model(tmp_path / "model", tasks)]
    else:
        given = [
            argument
            for task in tasks
            for argument in (f"--{task.replace('_', '-')}", write_task_model(tmp_path / task, [task]))
        ]
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        result = command("analyze", material.audio, "-o", tmp_path / "out", "--device", "cpu", "--no-report", *given)
    finally:
        torch.set_num_threads(threads)
    assert result.code == 0, result.err
    assert 1 <= len(pools) <= (1 if models == "one" else 3)
