"""A run over a part of what was run before: ids stay, nothing is counted twice, no failure is forgotten."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import soundfile
from making import RATE, babble

from commands import command, write_sounds


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    folder = write_sounds(tmp_path / "audio", ["child 1/day.wav", "child 2/fine.wav"], seconds=2)
    (folder / "child 2" / "broken.wav").write_text("no sound", encoding="utf-8")
    (folder / "child 2" / "lost.wav").write_text("no sound either", encoding="utf-8")
    return folder


def failures(output: Path) -> list[str]:
    with (output / "failures.csv").open(encoding="utf-8", newline="") as stream:
        return [Path(row["path"]).name for row in csv.DictReader(stream)]


def ids(output: Path) -> list[str]:
    run = json.loads((output / "run.json").read_text(encoding="utf-8"))
    return [record["recording_id"] for record in run["recordings"]]


def status(output: Path) -> dict:
    return json.loads(command("status", output, "--json").out.splitlines()[0])


def counts(output: Path) -> tuple[int, int, int]:
    state = status(output)
    return state["done"], state["failed"], state["left"]


@pytest.mark.parametrize("given", ["child 2/broken.wav", "child 2"])
def test_a_repaired_recording_takes_its_place(audio, small_model, tmp_path, given):
    run = ("-o", tmp_path / "out", "--model", small_model)
    assert command("segment", audio, *run).code == 1
    assert failures(tmp_path / "out") == ["broken.wav", "lost.wav"]
    assert counts(tmp_path / "out") == (2, 2, 0)
    soundfile.write(audio / "child 2" / "broken.wav", babble(2 * RATE, RATE, seed=9), RATE)
    again = command("segment", audio / given, *run)
    assert again.code == (0 if given.endswith(".wav") else 1), again.err
    assert ids(tmp_path / "out") == ["child 1/day", "child 2/broken", "child 2/fine"]
    assert failures(tmp_path / "out") == ["lost.wav"]
    assert counts(tmp_path / "out") == (3, 1, 0)
    assert (tmp_path / "out" / "csv" / "child 2" / "broken.csv").is_file()
    assert ("1 recording of earlier runs failed and not given now" in again.err) == given.endswith(".wav")
    shutil.rmtree(audio / "child 2")
    (audio / "child 2").mkdir()
    assert command("segment", audio, *run).code == 0
    assert failures(tmp_path / "out") == []


def test_from_the_folder_itself(audio, small_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = ("-o", tmp_path / "out", "--model", small_model)
    command("segment", "audio", *run)
    soundfile.write(audio / "child 2" / "broken.wav", babble(2 * RATE, RATE, seed=9), RATE)
    monkeypatch.chdir(audio / "child 2")
    assert command("segment", "broken.wav", *run).code == 0
    assert ids(tmp_path / "out") == ["child 1/day", "child 2/broken", "child 2/fine"]
    assert failures(tmp_path / "out") == ["lost.wav"]


def test_recordings_that_a_stopped_run_left_stay_left(audio, small_model, tmp_path):
    run = ("-o", tmp_path / "out", "--model", small_model)
    command("segment", audio, *run)
    journal = tmp_path / "out" / ".babyhubert" / "segment" / "run.jsonl"
    header = json.loads(journal.read_text(encoding="utf-8").splitlines()[0])
    journal.write_text(json.dumps(header) + "\n", encoding="utf-8")  # as after a kill before the first was done
    (tmp_path / "out" / ".babyhubert" / "segment" / "records" / "child 1" / "day.json").unlink()
    assert command("segment", audio / "child 2" / "fine.wav", *run).code == 0
    assert counts(tmp_path / "out") == (1, 2, 1)
    assert status(tmp_path / "out")["parts"][0]["condition"] == "stopped"
    assert command("segment", audio, *run).code == 1
    assert counts(tmp_path / "out") == (2, 2, 0)


def test_after_analyze(audio, small_model, tmp_path):
    run = ("-o", tmp_path / "out", "--model", small_model)
    command("analyze", audio, *run, "--no-report")
    soundfile.write(audio / "child 2" / "broken.wav", babble(2 * RATE, RATE, seed=9), RATE)
    assert command("segment", audio / "child 2" / "broken.wav", *run).code == 0
    assert ids(tmp_path / "out") == ["child 1/day", "child 2/broken", "child 2/fine"]
    assert failures(tmp_path / "out") == ["lost.wav"]


def test_two_files_of_one_stem_are_both_done(small_model, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["day1.wav", "day1.flac", "day2.wav"], seconds=2)
    run = ("-o", tmp_path / "out", "--model", small_model)
    done = command("segment", audio, *run)
    assert done.code == 0, done.err
    assert ids(tmp_path / "out") == ["day1_flac", "day1_wav", "day2"]
    assert "day1.flac is 'day1_flac', day1.wav is 'day1_wav'" in done.err
    assert command("measures", tmp_path / "out").code == 0
    (audio / "day1.wav").unlink()
    assert "0 recordings done, 2 kept" in command("segment", audio, *run).out


def test_a_second_file_of_a_stem_leaves_the_first_its_id(small_model, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["day1.wav"], seconds=2)
    run = ("-o", tmp_path / "out", "--model", small_model)
    command("segment", audio, *run)
    soundfile.write(audio / "day1.flac", babble(2 * RATE, RATE, seed=9), RATE)
    assert "1 recording done, 1 kept" in command("segment", audio, *run).out
    assert ids(tmp_path / "out") == ["day1", "day1_flac"]


def test_audio_is_found_from_another_folder(audio, small_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command("segment", "audio/child 1", "-o", "out", "--model", small_model)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert command("report", tmp_path / "out").code == 0
    assert "No levels or sounds" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
