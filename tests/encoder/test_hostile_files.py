"""Files that are missing, incomplete, damaged or malicious end in one sentence that says so, and in nothing else."""

from __future__ import annotations

import argparse
import errno
import json
import os
import pathlib
import sys
import types

import published_layouts as published
import pytest
import safetensors.torch
import torch

from babyhubert.encoder.checkpoints import read_checkpoint, write_checkpoint
from babyhubert.encoder.loading import load_encoder
from babyhubert.errors import CheckpointError, OutputError


def refused(path, *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("layout", published.FILES)
def test_missing_tensors_are_named(layout, tmp_path):
    content = published.FILES[layout]()
    tensors = published.tensors_of(content)
    keys = [key for key in tensors if key != "layer_weights"]
    for key in keys if layout == "torchaudio" else keys[::5]:
        kept = {name: value for name, value in tensors.items() if name != key}
        torch.save(
            {**content, "state_dict": kept} if "state_dict" in content else {"model": kept}, tmp_path / "f.ckpt"
        )
        with pytest.raises(CheckpointError, match=r"missing|wrong shape|fit no HuBERT") as caught:
            read_checkpoint(tmp_path / "f.ckpt")
        if "missing:" in str(caught.value):
            assert f"1 tensor missing: {key}" in str(caught.value)


@pytest.mark.parametrize("layout", published.FILES)
def test_unexpected_tensor_is_named(layout, tmp_path):
    content = published.FILES[layout]()
    extra = "model.surprise" if layout in ("torchaudio", "vtc-2.1", "babar") else "surprise"
    published.tensors_of(content)[extra] = torch.zeros(2)
    torch.save(content, tmp_path / "f.ckpt")
    refused(tmp_path / "f.ckpt", f"1 unexpected tensor: {extra}")


def test_wrong_shapes_are_named(tmp_path):
    content = published.babyhubert()
    key = "model.wav2vec2.encoder.transformer.layers.1.attention.k_proj.weight"
    content["state_dict"][key] = torch.zeros(128, 127)
    torch.save(content, tmp_path / "f.ckpt")
    refused(tmp_path / "f.ckpt", "1 tensor of the wrong shape", f"{key} is (128, 127), not (128, 128)")
    content = published.vtc_2_1()
    content["state_dict"]["model.task_heads.linear_head_MAL.weight"] = torch.zeros(2, 128)
    torch.save(content, tmp_path / "f.ckpt")
    refused(tmp_path / "f.ckpt", "heads.voice_type.weight is (5, 128), not (4, 128)")


def test_head_of_one_label_is_named_when_half_of_it_is_missing(tmp_path):
    content = published.vtc_2_0()
    del content["state_dict"]["task_heads.linear_head_OCH.bias"]
    torch.save(content, tmp_path / "f.ckpt")
    refused(tmp_path / "f.ckpt", "1 tensor missing: task_heads.linear_head_OCH.bias")


class Payload:
    """Creates a file when it is unpickled without care."""

    def __init__(self, target: str, function=os.system) -> None:
        self.call = function, (f"touch {target}" if function is os.system else target,)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("function", [os.system, os.mkdir, exec, pathlib.Path.touch])
def test_malicious_pickle_does_not_run(zipped, function, tmp_path):
    target = tmp_path / "owned"
    argument = f"open({str(target)!r}, 'w')" if function is exec else str(target)
    content = published.babyhubert() | {"hyper_parameters": {"x": Payload(argument, function)}}
    torch.save(content, tmp_path / "f.ckpt", _use_new_zipfile_serialization=zipped)
    refused(tmp_path / "f.ckpt", "could run code", "safetensors")
    assert not target.exists()


def test_settings_objects_of_training_libraries_are_read_without_the_library(tmp_path, monkeypatch):
    for name in ("omegaconf", "omegaconf.dictconfig"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    config_class = type("DictConfig", (), {"__module__": "omegaconf.dictconfig"})
    sys.modules["omegaconf.dictconfig"].DictConfig = config_class
    config = config_class()
    config.lr = 0.1
    settings = {"config": config, "arguments": argparse.Namespace(seed=3), "path": pathlib.Path("a/b")}
    torch.save(published.addressee() | {"hyper_parameters": settings}, tmp_path / "f.ckpt")
    monkeypatch.delitem(sys.modules, "omegaconf.dictconfig")
    monkeypatch.delitem(sys.modules, "omegaconf")
    checkpoint = read_checkpoint(tmp_path / "f.ckpt")
    assert checkpoint.metadata["hyper_parameters"]["config"] == {"lr": 0.1}
    assert checkpoint.metadata["hyper_parameters"]["arguments"] == {"seed": 3}


def test_settings_that_contain_themselves_are_cut_where_they_repeat(tmp_path):
    settings = {"lr": 0.1, "shared": [1], "again": None}
    settings["again"] = settings["shared"]
    settings["model"] = {"parent": settings, "layers": [3]}
    deep = inner = []
    for _ in range(300):
        inner.append([])
        inner = inner[0]
    torch.save(published.addressee() | {"hyper_parameters": {**settings, "deep": deep}}, tmp_path / "f.ckpt")
    read = read_checkpoint(tmp_path / "f.ckpt").metadata["hyper_parameters"]
    assert read["lr"] == 0.1
    assert read["again"] == read["shared"] == [1]
    assert read["model"]["layers"] == [3]
    assert read["model"]["parent"]["model"] is None
    assert json.dumps(read["deep"]).count("[") < 100


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated_pickle(share, tmp_path):
    whole = published.write("babar", tmp_path / "whole.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: int(len(whole) * share)])
    refused(tmp_path / "cut.ckpt", "cut short")


def test_damaged_files(tmp_path):
    folder = published.transformers_folder(tmp_path / "m")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(folder, "cut short")
    (tmp_path / "notes.txt").write_text("not a checkpoint at all")
    refused(tmp_path / "notes.txt", "not a torch checkpoint")
    (tmp_path / "empty.ckpt").touch()
    refused(tmp_path / "empty.ckpt", "empty")


def test_lfs_pointer(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 378847015\n"
    (tmp_path / "best.ckpt").write_text(pointer)
    refused(tmp_path / "best.ckpt", "git-lfs pointer", "git lfs pull")
    folder = published.transformers_folder(tmp_path / "m")
    (folder / "model.safetensors").write_text(pointer)
    refused(folder, "git-lfs pointer")


def test_missing_paths(tmp_path):
    refused(tmp_path / "nowhere.ckpt", "no such file or folder")
    refused(tmp_path, "holds no checkpoint")
    with pytest.raises(CheckpointError, match=r"nowhere\.ckpt: no such file"):
        load_encoder(str(tmp_path / "nowhere.ckpt"))


def test_unknown_layout_lists_keys(tmp_path):
    torch.save({"state_dict": {"resnet.conv1.weight": torch.zeros(2)}}, tmp_path / "f.ckpt")
    refused(tmp_path / "f.ckpt", "unknown layout", "resnet.conv1.weight", "vtc-2.1")
    torch.save({"weights": 3}, tmp_path / "f.ckpt")
    refused(tmp_path / "f.ckpt", "unknown layout", "weights")
    torch.save({0: torch.zeros(2)}, tmp_path / "f.ckpt")
    refused(tmp_path / "f.ckpt", "unknown layout")
    torch.save([1, 2], tmp_path / "f.ckpt")
    refused(tmp_path / "f.ckpt", "holds a list")


def test_a_tensor_without_dimensions_fits_nothing(tmp_path):
    content = published.babyhubert()
    content["state_dict"]["model.wav2vec2.encoder.feature_projection.projection.weight"] = torch.zeros(())
    torch.save(content, tmp_path / "f.ckpt")
    refused(tmp_path / "f.ckpt", "fit no HuBERT encoder")


def test_malformed_configuration_beside_the_tensors(tmp_path):
    for ours in ({}, {"config": None}, {"config": {"hidden_size": "wide"}}, 3):
        torch.save(published.babyhubert() | {"babyhubert": ours}, tmp_path / "f.ckpt")
        refused(tmp_path / "f.ckpt", "configuration under 'babyhubert' is malformed")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_a_diverged_training_are_refused(value, tmp_path):
    content = published.vtc_2_1()
    key = "model.encoder.encoder.transformer.layers.1.layer_norm.bias"
    content["state_dict"][key][3] = value
    torch.save(content, tmp_path / "f.ckpt")
    refused(tmp_path / "f.ckpt", f"1 tensor not finite (the training failed): {key}")
    content = published.vtc_2_1()
    content["state_dict"]["model.task_heads.linear_head_MAL.bias"][0] = value
    torch.save(content, tmp_path / "f.ckpt")
    refused(tmp_path / "f.ckpt", "1 tensor not finite", "heads.voice_type.bias")


def test_model_folder_is_read_strictly(tmp_path):
    folder = published.transformers_folder(tmp_path / "m")
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    last = "encoder.layers.1.final_layer_norm.bias"
    safetensors.torch.save_file({k: v for k, v in tensors.items() if k != last}, folder / "model.safetensors")
    refused(folder, f"1 tensor missing: {last}")
    safetensors.torch.save_file(
        tensors | {"heads.voice_type.weight": torch.zeros(4, 128)}, folder / "model.safetensors"
    )
    refused(folder, "voice_type", "task.json")
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(published.transformers_config() | {"model_type": "sew"}))
    refused(folder, "sew")
    (folder / "config.json").write_text("{")
    refused(folder, "JSON")


def test_folders_without_or_with_split_weights(tmp_path):
    folder = published.transformers_folder(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    refused(folder, "holds no checkpoint")
    (folder / "model.safetensors.index.json").write_text("{}")
    refused(folder, "weight_map")


def test_heads_of_a_model_folder_are_complete_and_described(tmp_path):
    folder = tmp_path / "model"
    write_checkpoint(read_checkpoint(published.write("babar", tmp_path / "b.ckpt")), folder, "transformers")
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    task = (folder / "task.json").read_text()
    bias = tensors.pop("heads.phonemes.0.bias")
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    refused(folder, "1 tensor missing: heads.phonemes.0.bias")
    safetensors.torch.save_file(tensors | {"heads.phonemes.0.bias": bias}, folder / "model.safetensors")
    (folder / "task.json").write_text(json.dumps({"format": 1, "heads": {"phonemes": {}}}))
    refused(folder, "phonemes head has no labels")
    (folder / "task.json").write_text(json.dumps({"format": 1, "heads": {"phonemes": {"labels": ["a", "b"]}}}))
    refused(folder, "heads.phonemes.3.weight is (58, 64), not (2, 64)")
    (folder / "task.json").write_text(task.replace('"format": 1', '"format": 2'))
    refused(folder, "format 2 is not known")


def test_half_of_the_pretraining_parameters_is_not_enough(tmp_path):
    folder = tmp_path / "model"
    write_checkpoint(read_checkpoint(published.write("torchaudio", tmp_path / "t.ckpt")), folder, "transformers")
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    del tensors["pretraining.final_proj.bias"]
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    refused(folder, "1 tensor missing: pretraining.final_proj.bias")


def test_failed_write_leaves_the_old_folder(tmp_path, monkeypatch):
    checkpoint = read_checkpoint(published.write("babar", tmp_path / "b.ckpt"))
    write_checkpoint(checkpoint, tmp_path / "model", "transformers")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_checkpoint(checkpoint, tmp_path / "model", "transformers")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.ckpt", "model"]
    assert read_checkpoint(tmp_path / "model").heads
