"""``--dry-run``: files, hours, time and space of a run; nothing is computed, written or downloaded."""

import re
from types import SimpleNamespace

import pytest
import soundfile
from making import RATE
from task_models import write_task_model
from torch import Tensor

from babyhubert import load_model
from babyhubert.inference.throughput import EncoderPass
from commands import command, contents, write_sounds


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # and what a command sets is taken back


@pytest.fixture
def sounds(tmp_path):
    folder = write_sounds(tmp_path / "audio", ["a.wav", "b.wav", "sub/c.wav"], 30.0)
    (folder / "broken.wav").write_bytes(b"RIFFxxxx")
    return folder


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return write_task_model(tmp_path_factory.mktemp("models") / "tasks", ["voice_type", "addressee", "phonemes"])


def lines(text: str) -> dict[str, int]:
    """Number of recordings by what is to be done with them."""
    found = re.findall(r"^ +(\d+) .*?(?:of audio)? +([a-z][^\n]*)$", text, re.MULTILINE)
    return {words.removeprefix("of audio").strip(): int(count) for count, words in found}


def test_a_run_that_was_not_begun(sounds, small_model, tmp_path, monkeypatch):
    monkeypatch.setattr(EncoderPass, "times_real_time", lambda _: 30.37 * 2)  # 91.11 s of audio
    done = command("segment", sounds, "-o", tmp_path / "out", "--model", small_model, "--dry-run")
    assert done.code == 0, done.err
    assert not (tmp_path / "out").exists()
    assert lines(done.out) == {"to do": 3, "cannot be read": 1}
    assert "0:01:31 of audio  to do" in done.out
    assert "time: about 0:00:02 on this machine (cpu, 61 x real time, measured just now)" in done.out
    assert re.search(r"space: at most 46 kB in .*out \(\d.* GB free\)", done.out)  # 500 bytes a second
    assert "broken.wav" in done.err


def test_a_run_that_was_begun(sounds, small_model, tmp_path):
    words = ["-o", tmp_path / "out", "--model", small_model]
    assert command("segment", sounds / "a.wav", *words).code == 0
    before = contents(tmp_path / "out")
    assert lines(command("segment", sounds / "a.wav", *words, "--dry-run").out) == {"complete already": 1}
    again = command("segment", sounds / "a.wav", *words, "--dry-run", "--thresholds", "high-precision")
    assert lines(again.out) == {"to make again from stored results, in seconds": 1}
    assert "time:" not in again.out
    assert lines(command("segment", sounds / "a.wav", *words, "--dry-run", "--force").out) == {"to do": 1}
    assert contents(tmp_path / "out") == before


def test_the_speed_is_the_model_s(sounds, small_model, tmp_path):
    done = command("segment", sounds, "-o", tmp_path / "out", "--model", small_model, "--dry-run")
    assert int(re.search(r"(\d+) x real time, measured", done.out)[1]) > 1


@pytest.mark.parametrize("verb", ["analyze", "addressee", "phonemes", "embed"])
def test_every_command_tells(verb, sounds, tasks, tmp_path):
    done = command(verb, sounds, "-o", tmp_path / "out", "--model", tasks, "--dry-run")
    assert done.code == 0, done.err
    assert not (tmp_path / "out").exists()
    told = "to do, after their segments have been found (not counted in the time)"
    assert lines(done.out) == {told if verb in ("addressee", "phonemes") else "to do": 3, "cannot be read": 1}
    assert "time: about" in done.out


def test_only_recordings_with_segments_are_counted(sounds, tasks, tmp_path):
    (tmp_path / "a.rttm").write_text("SPEAKER a 1 1.0 2.0 <NA> <NA> FEM <NA> <NA>\n")
    done = command("embed", sounds, "-o", tmp_path / "out", "--segments", tmp_path / "a.rttm", "--dry-run")
    assert lines(done.out)["to do"] == 1
    assert lines(done.out)["without segments, left out"] == 2


def test_a_model_that_is_not_here_is_not_downloaded(sounds, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    for verb in ("segment", "analyze"):
        done = command(verb, sounds, "-o", tmp_path / "out", "--model", "coml/VTC-2", "--dry-run")
        assert done.code == 2
        assert "it was not downloaded before" in done.out + done.err
    assert not (tmp_path / "cache").exists() or not any((tmp_path / "cache").rglob("*.safetensors"))


def test_a_measured_speed_is_the_recording_s_length_over_the_time_it_takes(tasks, monkeypatch):
    """On a clock that moves by a second for every 50 seconds that the encoder hears."""
    model = load_model(tasks, task="voice-type", device="cpu")
    plan, encoder, heard = model.settings.plan, model.model.encoder, 0.0

    def hear(_, waveforms: tuple[Tensor]) -> None:
        nonlocal heard
        heard += waveforms[0].numel() / RATE

    clock = SimpleNamespace(perf_counter=lambda: heard / 50)
    monkeypatch.setattr("babyhubert.inference.throughput.time", clock)
    with encoder.register_forward_pre_hook(hear):
        speed = EncoderPass(encoder, model.precision, plan).times_real_time()
    assert heard > 0
    assert speed == pytest.approx(50 * plan.hop / plan.length)


def test_a_disk_without_room_is_told(sounds, small_model, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=10))
    done = command("segment", sounds, "-o", tmp_path / "out", "--model", small_model, "--dry-run")
    assert "free some space" in done.error
    assert soundfile.info(sounds / "a.wav").frames
