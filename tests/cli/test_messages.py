"""``--quiet``, ``--verbose`` and ``--debug``, anywhere on the command line of any command."""

import logging

import pytest

from commands import command, write_sounds


@pytest.fixture
def sounds(tmp_path):
    folder = write_sounds(tmp_path / "audio", ["a.wav", "b.wav"])
    (folder / "broken.wav").write_bytes(b"RIFFxxxx")
    return folder


@pytest.mark.parametrize("place", [0, 1, 6])
def test_a_quiet_command_prints_failures_alone(sounds, small_model, tmp_path, place):
    words = ["segment", sounds, "-o", tmp_path / "out", "--model", small_model]
    done = command(*words[:place], "--quiet", *words[place:])
    assert done.code == 1
    assert done.out == ""
    assert done.err.splitlines() == [line for line in done.err.splitlines() if line.startswith("cannot read: ")]
    assert "broken.wav" in done.err
    assert (tmp_path / "out/rttm.csv").is_file()
    told = command(*words)  # and the next command in this process is as before
    assert "2 kept from before" in told.out


def test_a_quiet_command_prints_what_it_is_asked_for(sounds, small_model, tmp_path):
    assert command("segment", sounds, "-o", tmp_path / "out", "--model", small_model, "--quiet").code == 1
    assert command("status", tmp_path / "out", "--quiet").out == command("status", tmp_path / "out").out
    scores = ("evaluate", "voice-type", "--reference", tmp_path / "out", "--predictions", tmp_path / "out")
    shown = command(*scores, "-o", tmp_path / "scores", "--quiet")
    assert "KCHI" in shown.out
    assert "written:" not in shown.out
    assert command("measures", tmp_path / "out", "--quiet").out == ""
    assert command("export", tmp_path / "out", "--to", "eaf", "--quiet").out == ""
    assert command("convert", small_model, tmp_path / "copy", "--quiet").out == ""


def test_errors_are_printed_by_quiet_commands(tmp_path):
    assert "does not exist" in command("segment", tmp_path / "none", "-o", tmp_path / "out", "--quiet").error


def test_a_verbose_command_tells_of_models_windows_and_files(sounds, small_model, tmp_path):
    done = command("segment", sounds, "-o", tmp_path / "out", "--model", small_model, "--verbose")
    assert f"model {small_model}: heads voice_type, speed exact" in done.err
    assert "windows of 4 s, one every 1 s" in done.err
    assert "a.wav: WAV PCM_16, 16000 Hz, channel mean of 1, 0:00:05" in done.err
    assert "babyhubert.runs.streaming: a: 5.0 s of audio in" in done.err
    silent = command("segment", sounds, "-o", tmp_path / "other", "--model", small_model)
    assert "babyhubert.runs" not in silent.err
    assert logging.getLogger("babyhubert").handlers == []


def test_quiet_and_verbose_contradict_each_other(sounds, tmp_path):
    assert "contradict" in command("segment", sounds, "-o", tmp_path / "out", "--verbose", "--quiet").error


def test_debug_shows_the_traceback(tmp_path):
    done = command("segment", tmp_path / "none", "-o", tmp_path / "out", "--debug")
    assert "Traceback" in done.err
    assert done.code == 2
