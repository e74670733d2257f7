"""Recordings given to workers: the same files as one process, whatever dies."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import batch_jobs
import pytest

from babyhubert.audio.discovery import RecordingFile
from babyhubert.config import read_config
from babyhubert.errors import ConfigError, DiskFullError, MissingExtraError
from babyhubert.progress import NoProgress
from babyhubert.runs.dask_workers import DaskWorkers
from babyhubert.runs.execution import Execution
from babyhubert.runs.journal import Planned
from babyhubert.runs.pools import DEATHS, ClusterPool, SlurmSettings, slurm_options, worker_environment
from commands import command, contents, spoken, write_sounds

distributed = pytest.importorskip("distributed", reason="needs the 'cluster' extra")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


class Account(NoProgress):
    """What a run said."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str | None]] = []
        self.notes: list[str] = []
        self.heard = 0

    def advance(self, recording_id: str, samples: int) -> None:
        self.heard += samples

    def done(self, recording_id: str, error: str | None) -> None:
        self.ended.append((recording_id, error))

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A cluster that runs already, with two workers that are started again when they die."""
    options = {"dashboard_address": None, "silence_logs": 60, "memory_limit": None}
    with distributed.LocalCluster(2, threads_per_worker=1, scheduler_kwargs={"allowed_failures": 2}, **options) as c:
        yield c.scheduler_address


def shared_out(scheduler: str, output: Path, names: list[str], make=batch_jobs.make) -> Account:
    output.mkdir()
    account = Account()
    planned = [Planned(i, RecordingFile(name, Path(f"{name}.wav")), i) for i, name in enumerate(names)]
    DaskWorkers(ClusterPool(scheduler), partial(make, output)).run(batch_jobs.make(output), planned, account)
    return account


def test_a_dead_worker_costs_no_recording_and_a_deadly_recording_only_itself(scheduler, tmp_path):
    good = [f"good{number}" for number in range(6)]
    account = shared_out(scheduler, tmp_path / "out", [*good, "kills", "dies", "broken", "raises"])
    ended = dict(account.ended)
    assert len(account.ended) == len(ended) == 10
    assert {name for name, error in ended.items() if error is None} == {*good, "dies"}
    assert ended["broken"] == "broken.wav: broken"
    assert ended["raises"] == "raises.wav: RuntimeError: what nobody foresaw"
    assert "kills.wav: every worker that processed it died" in (ended["kills"] or "")
    tries = (tmp_path / "out" / "kills.tries").read_text().count("\n")
    assert DEATHS <= tries <= DEATHS * DEATHS  # more than DEATHS only where the word that it began was lost
    assert any("dies.wav: the worker that processed it died; another tries again (2 of 3)" in n for n in account.notes)
    assert account.heard == 10 * 8


def test_a_full_disk_stops_all(scheduler, tmp_path):
    with pytest.raises(DiskFullError, match=r"full\.wav: the disk is full"):
        shared_out(scheduler, tmp_path / "out", ["a", "b", "full"])


@pytest.mark.parametrize(
    ("make", "words"), [(batch_jobs.cannot_make, "no model"), (batch_jobs.make_other, "its results would differ")]
)
def test_workers_that_cannot_do_it_are_told_once(scheduler, tmp_path, make, words):
    with pytest.raises(ConfigError, match=words):
        shared_out(scheduler, tmp_path / "out", ["a", "b", "c"], make)


def test_a_running_cluster_gives_the_files_of_one_process(scheduler, small_model, tmp_path, monkeypatch):
    audio = write_sounds(tmp_path / "audio", [f"{name}.wav" for name in "abcd"], seconds=2)
    (audio / "broken.wav").write_bytes(b"not audio\n")
    monkeypatch.chdir(tmp_path)  # relative paths mean the same files in a worker
    for verb in ("segment", "embed"):
        run = (verb, "audio", "--model", small_model, "--device", "cpu")
        assert command(*run, "-o", f"{verb}-one").code == 1
        many = command(*run, "-o", f"{verb}-many", "--scheduler", scheduler)
        assert many.code == 1, many.err
        assert contents(tmp_path / f"{verb}-one") == contents(tmp_path / f"{verb}-many")
    assert len(spoken(tmp_path / "segment-one")) > 1


def test_own_workers_give_the_files_of_one_process(small_model, tmp_path):
    audio = write_sounds(tmp_path / "audio", [f"{name}.wav" for name in "abcd"], seconds=2)
    assert command("corpus", "scan", audio, "-o", tmp_path / "one").code == 0
    many = command("corpus", "scan", audio, "-o", tmp_path / "many", "--workers", 2)
    assert many.code == 0, many.err
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workers", 0), "--workers 0: 1 or more"),
        (("--workers", 2, "--shard", "1/2"), "--workers and --shard exclude each other"),
        (("--workers", 2, "--scheduler", "tcp://a:1"), "--workers and --scheduler exclude each other"),
        (("--shard", "3/2"), "--shard 3/2: write it as I/N"),
        (("--scheduler", "node1"), "--scheduler node1: an address such as"),
        (("--slurm", "nowhere.toml"), "nowhere.toml: cannot be read"),
    ],
)
def test_options_that_contradict_leave_nothing(small_model, tmp_path, options, words):
    audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=1)
    for verb in ("segment", "embed"):
        result = command(verb, audio, "-o", tmp_path / "out", "--model", small_model, *options)
        assert result.code == 2
        assert words in result.error
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_does_not_answer(small_model, tmp_path, monkeypatch):
    monkeypatch.setattr("babyhubert.runs.pools._ANSWER_SECONDS", 1)
    audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=1)
    run = ("segment", audio, "-o", tmp_path / "out", "--model", small_model, "--scheduler", "tcp://127.0.0.1:9")
    assert "no Dask scheduler answers there" in command(*run).error


def test_without_dask_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"\.\[cluster\]"):
        Execution.from_options("cpu", workers=2)
    assert Execution.from_options("cpu", workers=1).pool is None


def test_each_worker_has_its_share_of_cores_and_one_gpu():
    environments = [worker_environment(number, 3, ["0", "2"]) for number in range(3)]
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in environments] == ["0", "2", "0"]
    assert environments[0]["OMP_NUM_THREADS"] == "3"
    assert "CUDA_VISIBLE_DEVICES" not in worker_environment(0, 1, [])


def test_the_template_of_slurm_becomes_a_job_script():
    jobqueue = pytest.importorskip("dask_jobqueue")
    settings = read_config(Path(__file__).parents[2] / "configs" / "slurm.toml", SlurmSettings)
    with jobqueue.SLURMCluster(**slurm_options(settings), scheduler_options={"dashboard": False}) as cluster:
        script = cluster.job_script()
    for line in ("#SBATCH --cpus-per-task=8", "#SBATCH -p gpu", "#SBATCH --gres=gpu:1", "#SBATCH -t 08:00:00"):
        assert line in script
    assert "--nthreads 1" in script
