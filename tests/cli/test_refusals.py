"""What cannot be done ends with exit code 2 and one line that names the file or value, before any work."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from small_encoders import fresh

from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.inference import task_model
from commands import command, write_sounds


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("audio"), ["a.wav"], seconds=1)


def refused(result, *words: str) -> None:
    assert result.code == 2, result.out + result.err
    for word in words:
        assert word in result.error


@pytest.mark.parametrize("verb", ["segment", "embed"])
class TestInputs:
    def test_missing_path(self, small_model, tmp_path, verb):
        result = command(verb, tmp_path / "nowhere", "-o", tmp_path / "out", "--model", small_model)
        refused(result, f"{tmp_path / 'nowhere'} does not exist")
        assert not (tmp_path / "out").exists()

    def test_one_missing_path_among_good_ones(self, small_model, audio, tmp_path, verb):
        result = command(verb, audio, tmp_path / "day.wav", "-o", tmp_path / "out", "--model", small_model)
        refused(result, "day.wav does not exist")
        assert not (tmp_path / "out").exists()

    def test_empty_folder(self, small_model, tmp_path, verb):
        (tmp_path / "empty").mkdir()
        result = command(verb, tmp_path / "empty", "-o", tmp_path / "out", "--model", small_model)
        refused(result, str(tmp_path / "empty"), "no audio files", ".wav")
        assert not (tmp_path / "out").exists()

    def test_nothing_given(self, tmp_path, verb):
        assert command(verb, "-o", tmp_path / "out").code == 2

    def test_no_output_given(self, audio, verb):
        result = command(verb, audio)
        assert result.code == 2
        assert "--output" in result.err


def test_a_missing_recording_is_refused_before_the_model_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(task_model, "load_checkpoint", lambda *_: pytest.fail("the model was loaded first"))
    refused(command("segment", tmp_path / "nowhere", "-o", tmp_path / "out"), f"{tmp_path / 'nowhere'} does not exist")


SETTINGS = [
    ("segment", ("--overlap", "1"), "overlap 1.0 must be at least 0 and below 1"),
    ("segment", ("--overlap", "nan"), "overlap nan"),
    ("segment", ("--window", "0.01"), "window of 0.01 s holds no frame"),
    ("segment", ("--window", "nan"), "window of nan s"),
    ("segment", ("--window", "inf"), "window of inf s"),
    ("segment", ("--min-on", "-1"), "--min-on -1.0"),
    ("segment", ("--min-off", "nan"), "--min-off nan"),
    ("segment", ("--blend", "max"), "--blend max: one of mean, taper"),
    ("segment", ("--channel", "left"), "channel 'left' is unknown"),
    ("segment", ("--device", "tpu9"), "device 'tpu9'"),
    ("segment", ("--thresholds", "f2"), "thresholds 'f2'"),
    ("embed", ("--layers", "4"), "layer 4: this encoder has layers 0 to 3"),
    ("embed", ("--layers", "-1"), "layer -1: this encoder has layers 0 to 3"),
    ("embed", ("--layers", "last"), "--layers last"),
    ("embed", ("--layers", "1,,2"), "--layers 1,,2"),
    ("embed", ("--pool", "max"), "--pool max: one of mean"),
    ("embed", ("--dtype", "int8"), "--dtype int8: one of float32, float16"),
    ("embed", ("--segments", "nowhere.csv"), "nowhere.csv"),
]


@pytest.mark.parametrize(("verb", "options", "message"), SETTINGS)
def test_impossible_settings_are_named_and_leave_nothing(small_model, audio, tmp_path, verb, options, message):
    result = command(verb, audio, "-o", tmp_path / "out", "--model", small_model, *options)
    refused(result, message)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["segment", "analyze"])
def test_a_published_set_for_a_model_with_sets_of_its_own(audio, tmp_path, verb):
    result = command(verb, audio, "-o", tmp_path / "out", "--thresholds", "no-errors")  # of playroom
    refused(result, "'no-errors'", "'high-recall' that the model brings", "babyhubert tune voice-type")
    assert not (tmp_path / "out" / "rttm").exists()


def test_thresholds_that_name_an_unknown_class(small_model, audio, tmp_path):
    (tmp_path / "my.toml").write_text("[KCHI]\nlower_bound = 0.5\n[CHI]\nlower_bound = 0.5\n", encoding="utf-8")
    options = ("--model", small_model, "--thresholds", tmp_path / "my.toml")
    result = command("segment", audio, "-o", tmp_path / "out", *options)
    refused(result, "my.toml", "'CHI'", "KCHI, OCH, MAL, FEM")
    assert not (tmp_path / "out").exists()


def test_a_threshold_that_is_no_number_is_refused(small_model, audio, tmp_path):
    text = "".join(f"[{label}]\nlower_bound = nan\n" for label in ("KCHI", "OCH", "MAL", "FEM"))
    (tmp_path / "my.toml").write_text(text, encoding="utf-8")
    options = ("--model", small_model, "--thresholds", tmp_path / "my.toml")
    refused(command("segment", audio, "-o", tmp_path / "out", *options), "nan", "KCHI")


class TestModels:
    def test_missing_model(self, audio, tmp_path):
        result = command("segment", audio, "-o", tmp_path / "out", "--model", tmp_path / "nowhere")
        refused(result, f"{tmp_path / 'nowhere'}: no such file or folder")
        assert not (tmp_path / "out").exists()

    def test_missing_tensor(self, small_model, audio, tmp_path):
        model = shutil.copytree(small_model, tmp_path / "model")
        tensors = safetensors.torch.load_file(model / "model.safetensors")
        del tensors["encoder.layers.1.attention.k_proj.bias"]
        safetensors.torch.save_file(tensors, model / "model.safetensors")
        result = command("segment", audio, "-o", tmp_path / "out", "--model", model)
        refused(result, str(model), "1 tensor missing: encoder.layers.1.attention.k_proj.bias")
        assert not (tmp_path / "out").exists()

    def test_encoder_without_a_voice_type_head(self, audio, tmp_path):
        config = HubertConfig(conv_dim=(4,) * 7, hidden_size=32, layers=1, heads=2, feed_forward=16)
        weights = dict(fresh(config).state_dict())
        save_model_folder(tmp_path / "encoder", Checkpoint("transformers", config, weights, {}, {}, {}))
        result = command("segment", audio, "-o", tmp_path / "out", "--model", tmp_path / "encoder")
        refused(result, str(tmp_path / "encoder"), "no voice type head", "'embed' works")
        assert command("embed", audio, "-o", tmp_path / "vectors", "--model", tmp_path / "encoder").code == 0

    @pytest.mark.parametrize("verb", ["segment", "embed"])
    def test_malicious_checkpoint_is_refused_and_does_not_run(self, audio, tmp_path, verb):
        class Payload:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "owned"),)

        torch.save({"state_dict": {"x": torch.zeros(2)}, "payload": Payload()}, tmp_path / "best.ckpt")
        result = command(verb, audio, "-o", tmp_path / "out", "--model", tmp_path / "best.ckpt")
        refused(result, str(tmp_path / "best.ckpt"), "could run code")
        assert not (tmp_path / "owned").exists()
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["segment", "embed"])
class TestOutputs:
    def test_output_is_a_file(self, small_model, audio, tmp_path, verb):
        (tmp_path / "out").write_text("mine", encoding="utf-8")
        for output in (tmp_path / "out", tmp_path / "out" / "below"):
            refused(command(verb, audio, "-o", output, "--model", small_model), str(output), "is a file")
        assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"

    def test_a_file_where_results_go_is_told_before_the_model_runs(self, small_model, audio, tmp_path, verb):
        place = tmp_path / "out" / ("csv" if verb == "segment" else "layer3")
        place.parent.mkdir()
        place.touch()
        result = command(verb, audio, "-o", tmp_path / "out", "--model", small_model)
        refused(result, str(place), "a file stands where a folder is needed")

    def test_a_folder_in_use_is_refused_until_it_is_free(self, small_model, audio, tmp_path, verb):
        from babyhubert.runs.folder import RunFolder

        run = (verb, audio, "-o", tmp_path / "out", "--model", small_model)
        with RunFolder(tmp_path / "out", "embed" if verb == "segment" else "segment"):
            refused(command(*run), str(tmp_path / "out"), "another run is writing here")
        assert command(*run).code == 0


def test_one_output_that_cannot_be_written_is_one_failure(small_model, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["a.wav", "b.wav", "c.wav"], seconds=1)
    (tmp_path / "out" / "csv" / "b.csv").mkdir(parents=True)
    run = ("segment", audio, "-o", tmp_path / "out", "--model", small_model)
    for options in ((), ("--thresholds", "high-precision")):  # from the model, then from kept scores
        result = command(*run, *options)
        assert result.code == 1, result.err
        failures = (tmp_path / "out" / "failures.csv").read_text(encoding="utf-8").splitlines()
        assert len(failures) == 2
        assert failures[1].startswith(f"{audio / 'b.wav'},")
        assert str(tmp_path / "out" / "csv" / "b.csv") in failures[1]
        done = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["recordings"]
        assert [recording["recording_id"] for recording in done] == ["a", "c"]
        assert not list((tmp_path / "out").rglob(".babyhubert-partial-*"))


def disk_that_fills(monkeypatch, output: Path, files: int) -> None:
    """After so many files below ``output``, every further one is written to a device that is full."""
    original = Path.open
    opened: list[Path] = []

    def open_(self, mode="r", *arguments, **options):
        if "w" in mode and output in self.parents:
            opened.append(self)
            if len(opened) > files:
                original(self, mode, *arguments, **options).close()
                return original(Path("/dev/full"), mode, *arguments, **options)
        return original(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    ("verb", "files"), [("segment", n) for n in (0, 2, 3, 4, 6, 12, 15)] + [("embed", n) for n in (0, 1, 3, 6, 7)]
)
def test_a_full_disk_stops_the_run_and_it_can_be_continued(small_model, tmp_path, verb, files):
    audio = write_sounds(tmp_path / "audio", [f"{name}.wav" for name in "abc"], seconds=1)
    run = (verb, audio, "--model", small_model)
    with pytest.MonkeyPatch.context() as patch:
        disk_that_fills(patch, tmp_path / "out", files)
        refused(command(*run, "-o", tmp_path / "out"), "the disk is full", "run the same command again")
    made = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and "lock" not in path.name]
    assert all(path.stat().st_size for path in made), "a half-written file has its name"
    assert command(*run, "-o", tmp_path / "out").code == 0
    assert command(*run, "-o", tmp_path / "fresh").code == 0
    pattern = "rttm*" if verb == "segment" else "layer3/*"
    fresh_files = sorted((tmp_path / "fresh").glob(pattern))
    assert fresh_files
    for path in fresh_files:
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "out" / path.relative_to(tmp_path / "fresh")).read_bytes()
    assert not list((tmp_path / "out").rglob(".babyhubert-partial-*"))


def test_too_little_room_is_known_before_the_work(small_model, audio, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    result = command("embed", audio, "-o", tmp_path / "out", "--model", small_model)
    refused(result, str(tmp_path / "out"), "free some space")
    assert not (tmp_path / "out").exists()
