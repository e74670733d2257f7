"""``babyhubert models``: what is there, what is downloaded, on which terms, how fast."""

import json
import shutil

import pytest
from task_models import write_task_model

from babyhubert.compute.device import resolve_device
from babyhubert.encoder.loading import load_checkpoint
from babyhubert.inference.throughput import pass_of
from babyhubert.shipped import SHIPPED_MODELS, shipped_models
from babyhubert.tasks.catalogue import catalogue, find_model
from commands import SMALL, command


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub, and a function that puts a model folder there."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.utils._cache_manager.HF_HUB_CACHE", str(folder))

    def put(name: str, source) -> None:
        place = folder / f"models--{name.replace('/', '--')}"
        shutil.copytree(source, place / "snapshots" / ("0" * 40))
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text("0" * 40)

    return put


def records(*arguments: object) -> dict[str, dict]:
    done = command("models", "--json", *arguments)
    assert done.code == 0, done.err
    return {record["name"]: record for record in map(json.loads, done.out.splitlines())}


def test_models_of_the_package_are_described_as_their_files_are(cache):
    found = records("--no-measure")
    assert {name for name, each in found.items() if each["origin"] == "package"} == set(shipped_models())
    for name in shipped_models():
        checkpoint = load_checkpoint(SHIPPED_MODELS / name)
        assert found[name]["parameters"] == checkpoint.parameter_count
        assert found[name]["tasks"] == sorted(checkpoint.heads)
        assert found[name]["terms"] == checkpoint.metadata["task"]["licence"]
        assert found[name]["times_real_time"] is None


def test_released_models_are_there_before_they_are_downloaded(cache, tmp_path):
    assert "coml/VTC-2" in command("models", "--no-measure").out
    assert "not downloaded" in command("models", "coml/VTC-2", "--no-measure").out
    assert "no surveillance" in command("models", "coml/VTC-2", "--no-measure").out
    cache("coml/VTC-2", write_task_model(tmp_path / "vtc", ["voice_type"]))
    found = records("--no-measure")["coml/VTC-2"]
    assert found["origin"] == "released"
    assert found["folder"].endswith("0" * 40)
    assert "no surveillance" in found["terms"]


def test_other_models_of_the_cache_are_found_if_they_can_be_used(cache, tmp_path):
    cache("lab/own", write_task_model(tmp_path / "own", ["addressee", "voice_type"]))
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert/config.json").write_text('{"model_type": "bert"}')
    cache("other/bert", tmp_path / "bert")
    found = records("--no-measure")
    assert found["lab/own"]["tasks"] == ["addressee", "voice_type"]
    assert found["lab/own"]["terms"] == "none"
    assert "other/bert" not in found


def test_speeds_are_measured(cache, tmp_path):
    cache("lab/own", write_task_model(tmp_path / "own", ["voice_type"]))
    config, settings = find_model("lab/own").shape()
    assert config == SMALL
    exact = pass_of(config, settings, "exact", resolve_device("cpu"))
    fast = pass_of(config, settings, "fast", resolve_device("cpu"))
    assert exact.plan.hop == 16_000  # as VTC: a window of 4 s every second
    assert fast.plan.hop == 48_000
    assert exact.times_real_time() > 1
    assert records("lab/own", "--device", "cpu")["lab/own"]["times_real_time"] > 1
    assert " x real time" in command("models", "lab/own", "--device", "cpu").out


def test_nothing_is_downloaded_or_read(cache, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    monkeypatch.setattr("safetensors.torch.load_file", refuse)
    assert len(catalogue()) == len(shipped_models()) + 3


def test_a_name_of_none_is_refused(cache):
    done = command("models", "coml/VTC-3")
    assert done.code == 2
    assert "coml/VTC-3: no such model here; there are playroom" in done.error
