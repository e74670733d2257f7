"""The quality command as a user runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from making import RATE, babble

from babyhubert.annotation.uem import read_uem
from babyhubert.quality.tables import COLUMNS
from babyhubert.simulation.scene import SceneConfig, simulate_scene
from babyhubert.simulation.voices import SyntheticVoices
from commands import command


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "quality.csv").open(encoding="utf-8", newline="") as file:
        return {row["recording_id"]: row for row in csv.DictReader(file)}


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A good recording, a clipped one, and a file that is no recording."""
    folder = tmp_path / "audio"
    (folder / "sub").mkdir(parents=True)
    sound = simulate_scene(SceneConfig(minutes=0.5), SyntheticVoices(), np.random.default_rng(3), 0).render().waveform
    sound = sound[: 20 * RATE] / np.abs(sound[: 20 * RATE]).max() * 0.5
    soundfile.write(folder / "good.wav", sound, RATE)
    sound[: 5 * RATE] = np.clip(50 * sound[: 5 * RATE], -0.6, 0.6)
    soundfile.write(folder / "sub/clipped.wav", sound, RATE)
    return folder


def test_verdicts_tables_and_exit_codes(sounds, tmp_path):
    output = tmp_path / "out"
    done = command("quality", sounds, "-o", output)
    assert done.code == 1
    assert "good: good, 0:00:20 of 0:00:20 usable" in done.out
    assert "sub/clipped: fault" in done.out
    assert "lower the recorder's gain" in done.out
    assert "2 recordings, 1 with faults, 0 failed" in done.out
    table = rows(output)
    assert list(next(iter(table.values()))) == list(COLUMNS)
    assert table["good"]["verdict"] == "good"
    assert table["sub/clipped"]["faults"] == "clipped"
    assert float(table["sub/clipped"]["clipped_share"]) == pytest.approx(5 / 20, abs=0.06)
    told = json.loads((output / "quality.json").read_text(encoding="utf-8"))
    stretches = {one["recording_id"]: one["stretches_s"] for one in told["recordings"]}
    bad = np.array(stretches["sub/clipped"]["clipped"])
    assert bad.max() <= 5
    assert (bad[:, 1] - bad[:, 0]).sum() >= 4
    usable = read_uem(output / "quality.uem")["sub/clipped"]
    assert ((usable[1] - usable[0]).sum() / RATE + (bad[:, 1] - bad[:, 0]).sum()) == pytest.approx(20)
    only_good = command("quality", sounds / "good.wav", "-o", tmp_path / "good")
    assert only_good.code == 0


def test_the_same_command_continues_and_one_bad_recording_stops_nothing(sounds, tmp_path):
    output = tmp_path / "out"
    (sounds / "broken.wav").write_bytes(b"RIFF")
    first = command("quality", sounds, "-o", output)
    assert first.code == 1
    assert "broken.wav" in first.err
    before = (output / "quality.csv").read_bytes()
    record = output / ".babyhubert/quality/records/good.json"
    stamp = record.stat().st_mtime_ns
    second = command("quality", sounds, "-o", output)
    assert "good: good" in second.out
    assert record.stat().st_mtime_ns == stamp
    assert (output / "quality.csv").read_bytes() == before
    assert "broken.wav" in (output / "failures.csv").read_text(encoding="utf-8")


def test_shards_merge_to_the_same_tables(sounds, tmp_path):
    command("quality", sounds, "-o", tmp_path / "one")
    for shard in ("1/2", "2/2"):
        command("quality", sounds, "-o", tmp_path / "two", "--shard", shard)
    merged = command("merge", tmp_path / "two")
    assert merged.code == 0, merged.err
    for name in ("quality.csv", "quality.uem"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_run_gives_the_voices(sounds, tmp_path, small_model):
    output = tmp_path / "run"
    assert command("segment", sounds, "-o", output, "--model", small_model, "--device", "cpu").code == 0
    done = command("quality", output)
    assert done.code in (0, 1)
    assert set(rows(output)) == {"good", "sub/clipped"}
    told = json.loads((output / "quality.json").read_text(encoding="utf-8"))
    assert told["settings"]["voices"] is True
    soundfile.write(sounds / "good.wav", babble(9 * RATE, RATE, seed=9), RATE)
    again = command("quality", output)
    assert "was replaced or changed" in again.err


def test_durations_of_the_metadata_are_compared(sounds, tmp_path):
    table = tmp_path / "recordings.csv"
    table.write_text("recording_filename,duration\ngood.wav,40000\n", encoding="utf-8")
    done = command("quality", sounds / "good.wav", "-o", tmp_path / "out", "--recordings", table)
    assert done.code == 1
    assert "the metadata says 0:00:40 (factor 0.500)" in done.out
    assert rows(tmp_path / "out")["good"]["faults"] == "duration"


def test_refusals_name_the_remedy(sounds, tmp_path):
    assert "-o: a folder for the results" in command("quality", sounds).error
    table = tmp_path / "recordings.csv"
    table.write_text("recording_filename,duration\ngood.wav,soon\n", encoding="utf-8")
    assert "'soon'" in command("quality", sounds, "-o", tmp_path / "out", "--recordings", table).error
