"""``babyhubert analyze``: what three commands write, in one go."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
import soundfile
from making import babble
from task_models import write_task_model

from babyhubert.audio.recording import Recording
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.tasks.utterance_outputs import UtteranceSink
from commands import command, contents, write_sounds

TASKS = ("voice_type", "addressee", "phonemes")
MADE_AFTERWARDS = {"measures.csv", "hourly.csv", "measures.json", "report.html"}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    apart = {task: write_task_model(folder / task, [task]) for task in TASKS}
    return {**apart, "all": write_task_model(folder / "all", TASKS)}


def separate(audio, output, voice_type, addressee, phonemes):
    for name, model in (("segment", voice_type), ("addressee", addressee), ("phonemes", phonemes)):
        assert command(name, audio, "-o", output, "--model", model).code == 0
    return contents(output)


@pytest.fixture
def heard(monkeypatch):
    """Windows the encoder is given and recordings that are decoded."""
    counted = Counter()
    encode, blocks = HubertEncoder.forward, Recording.blocks

    def counting_encode(self, waveforms, **options):
        counted["windows"] += len(waveforms)
        return encode(self, waveforms, **options)

    def counting_blocks(self, *arguments):
        counted["decoded"] += 1
        return blocks(self, *arguments)

    monkeypatch.setattr(HubertEncoder, "forward", counting_encode)
    monkeypatch.setattr(Recording, "blocks", counting_blocks)
    return counted


def test_one_model_with_three_heads_in_one_pass(models, tmp_path, heard):
    audio = write_sounds(tmp_path / "audio", ["007.wav", "home/b.wav"], seconds=45)
    model = models["all"]
    result = command("analyze", audio, "-o", tmp_path / "out", "--model", model, "--no-report")
    assert result.code == 0, result.err
    assert "addressee, phonemes in the same pass of the encoder as segment" in result.err
    assert heard == {"windows": 8, "decoded": 2}, "20 s windows every 10 s, once"
    expected = separate(audio, tmp_path / "apart", model, model, model)
    assert contents(tmp_path / "out") == expected
    assert {"rttm_addressee.csv", "phonemes/007.csv", "rttm/home/b.rttm"} <= set(expected)
    assert len(rows(tmp_path / "out/phonemes/007.csv")) > 3
    assert not list((tmp_path / "out").rglob("*.npy.partial*"))
    assert not list((tmp_path / "out/.babyhubert/analyze").rglob("*.npy"))
    heard.clear()
    again = command("analyze", audio, "-o", tmp_path / "apart", "--model", model, "--no-report")
    assert "0 recordings done, 2 kept" in again.out
    assert not heard, "what the commands left is whole"


def test_three_models_over_audio_that_is_decoded_once(models, tmp_path, heard):
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "a.flac", babble(15 * 22_050, 22_050), 22_050)
    options = [option for task in TASKS for option in (f"--{task.replace('_', '-')}", models[task])]
    result = command("analyze", tmp_path / "audio", "-o", tmp_path / "out", *options, "--no-report")
    assert result.code == 0, result.err
    assert "same pass" not in result.err
    assert heard["decoded"] == 1
    assert not list((tmp_path / "out/.babyhubert/analyze").rglob("*.npy"))
    expected = separate(tmp_path / "audio", tmp_path / "apart", *(models[task] for task in TASKS))
    assert contents(tmp_path / "out") == expected


def test_tables_and_report_follow_and_only_models_that_are_given_run(models, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=12)
    options = ("--voice-type", models["voice_type"], "--phonemes", models["phonemes"])
    result = command("analyze", audio, "-o", tmp_path / "out", *options)
    assert result.code == 0, result.err
    made = set(contents(tmp_path / "out"))
    assert made >= MADE_AFTERWARDS
    assert "phonemes/a.csv" in made
    assert "rttm_addressee.csv" not in made
    record = json.loads((tmp_path / "out/run.json").read_text(encoding="utf-8"))
    assert (record["command"], list(record["also"])) == ("segment", ["phonemes"])


def test_a_bad_recording_is_told_once_and_stops_nobody(models, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
    (audio / "empty.wav").touch()
    result = command("analyze", audio, "-o", tmp_path / "out", "--model", models["all"], "--no-report")
    assert result.code == 1
    (failure,) = rows(tmp_path / "out/failures.csv")
    assert failure["path"] == str(audio / "empty.wav")
    assert {row["uid"] for row in rows(tmp_path / "out/rttm_addressee.csv")} == {"a", "b"}


def test_shards_and_their_merge_equal_one_run(models, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav", "c.wav"])
    run = ("analyze", audio, "--model", models["all"], "--no-report")
    command(*run, "-o", tmp_path / "whole")
    for shard in ("1/2", "2/2"):
        assert command(*run, "-o", tmp_path / "shards", "--shard", shard).code == 0
    merged = command("merge", tmp_path / "shards")
    assert merged.code == 0, merged.err
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")


def test_a_run_killed_between_two_models_is_continued_and_leaves_nothing(models, tmp_path, monkeypatch):
    audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
    run = ("analyze", audio, "--model", models["all"], "--no-report")
    command(*run, "-o", tmp_path / "whole")
    left = tmp_path / "out/.babyhubert/analyze/frames/addressee/a.npy"
    with monkeypatch.context() as patch:

        def killed(self, reading):
            raise KeyboardInterrupt

        patch.setattr(UtteranceSink, "finish", killed)
        assert command(*run, "-o", tmp_path / "out").code == 130
    assert (tmp_path / "out/rttm/a.rttm").is_file()
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"what a killed process leaves")
    result = command(*run, "-o", tmp_path / "out")
    assert result.code == 0, result.err
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not list((tmp_path / "out/.babyhubert/analyze").rglob("*.npy"))


def test_other_thresholds_need_no_pass_for_voice_types(models, tmp_path, heard):
    audio = write_sounds(tmp_path / "audio", ["a.wav"], seconds=12)
    run = ("analyze", audio, "--model", models["all"], "--no-report")
    command(*run, "-o", tmp_path / "out")
    heard.clear()
    assert "1 recording done" in command(*run, "-o", tmp_path / "out", "--thresholds", "high-precision").out
    assert heard["decoded"] <= 2, "addressee and phonemes of other segments"
    command(*run, "-o", tmp_path / "fresh", "--thresholds", "high-precision")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_refusals(models, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["a.wav"])
    result = command(
        "analyze", audio, "-o", tmp_path / "out", "--model", models["all"], "--phonemes", models["addressee"]
    )
    assert result.code == 2
    assert "no phonemes head here" in result.error
    result = command(
        "analyze", audio, "-o", tmp_path / "out", "--model", models["addressee"], "--addressee", models["addressee"]
    )
    assert result.code == 2
    assert "no head that is not named otherwise" in result.error
    assert not (tmp_path / "out").exists()
