"""What a checkpoint claims is compared with what it holds before memory is asked for; unusable tensors are named."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import published_layouts as published
import pytest
import safetensors.torch
import torch

from babyhubert.encoder.checkpoints import read_checkpoint
from babyhubert.encoder.config import SIZES, HubertConfig
from babyhubert.encoder.loading import load_encoder, model_hash
from babyhubert.errors import CheckpointError, ConfigError

KEY = "model.wav2vec2.encoder.transformer.layers.1.attention.k_proj.weight"


def refused(path: Path, *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def quantised() -> torch.Tensor:
    return torch.quantize_per_tensor(torch.zeros(128, 128), 0.1, 0, torch.qint8)


STRANGE = {
    "sparse": lambda: torch.zeros(128, 128).to_sparse(),
    "sparse ": lambda: torch.zeros(128, 128).to_sparse_csr(),
    "quantised": quantised,
    "meta": lambda: torch.zeros(128, 128, device="meta"),
    "nested": lambda: torch.nested.nested_tensor([torch.zeros(128), torch.zeros(128)]),
    "bool": lambda: torch.zeros(128, 128, dtype=torch.bool),
    "int64": lambda: torch.zeros(128, 128, dtype=torch.int64),
    "uint8": lambda: torch.zeros(128, 128, dtype=torch.uint8),
    "complex64": lambda: torch.zeros(128, 128, dtype=torch.complex64),
    "float8_e4m3fn": lambda: torch.zeros(128, 128, dtype=torch.float8_e4m3fn),
    "float8_e5m2": lambda: torch.zeros(128, 128, dtype=torch.float8_e5m2),
    "claims": lambda: torch.zeros(1).expand(128, 128),
    "claims ": lambda: torch.zeros(1).expand(10**9, 10**6),
}


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_no_weights_are_named(kind, zipped, tmp_path):
    content = published.babyhubert()
    content["state_dict"][KEY] = STRANGE[kind]()
    try:
        torch.save(content, tmp_path / "f.ckpt", _use_new_zipfile_serialization=zipped)
    except (RuntimeError, AttributeError, TypeError):
        pytest.skip("torch does not save such tensors")
    refused(tmp_path / "f.ckpt", str(tmp_path / "f.ckpt"))
    if zipped and kind not in ("nested", "sparse ", "quantised", "meta"):  # torch itself may refuse these
        refused(tmp_path / "f.ckpt", KEY, kind.strip())


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.int8, torch.complex64, torch.float8_e4m3fn])
def test_the_same_in_safetensors(dtype, tmp_path):
    folder = published.transformers_folder(tmp_path / "m")
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    name = "encoder.layers.1.final_layer_norm.bias"
    tensors[name] = tensors[name].to(dtype)
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    refused(folder, name, str(dtype).removeprefix("torch."), "no weights")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_width_of_weights_is_read(dtype, tmp_path):
    content = published.babyhubert()
    content["state_dict"] = {name: tensor.to(dtype) for name, tensor in content["state_dict"].items()}
    torch.save(content, tmp_path / "f.ckpt")
    assert all(tensor.dtype == dtype for tensor in read_checkpoint(tmp_path / "f.ckpt").encoder.values())


def rewritten(source: Path, target: Path, change, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for entry in old.infolist():
            content = change(entry.filename, old.read(entry.filename))
            if content is not None:
                new.writestr(entry.filename, content)
    return target


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, 1.5])
@pytest.mark.parametrize("entry", ["/data/5", "/data/0"])
def test_an_entry_of_another_size_is_damage(share, entry, tmp_path):
    """Otherwise its tensor would be filled with what follows in the file."""
    whole = published.write("vtc-2.1", tmp_path / "good.ckpt")

    def cut(name: str, content: bytes) -> bytes:
        return (content * 2)[: int(len(content) * share)] if name.endswith(entry) else content

    refused(rewritten(whole, tmp_path / "bad.ckpt", cut), "bad.ckpt", f"entry {entry[1:]}", "damaged")


def test_a_missing_entry_is_damage(tmp_path):
    whole = published.write("vtc-2.1", tmp_path / "good.ckpt")
    target = rewritten(whole, tmp_path / "bad.ckpt", lambda name, c: None if name.endswith("/data/3") else c)
    refused(target, "data/3, which is not there")


def test_compressed_entries_are_refused(tmp_path):
    whole = published.write("vtc-2.1", tmp_path / "good.ckpt")
    target = rewritten(whole, tmp_path / "bad.ckpt", lambda _, content: content, zipfile.ZIP_DEFLATED)
    refused(target, "compressed")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_storage_of_petabytes_is_not_asked_for(zipped, tmp_path):
    torch.save(published.babyhubert(), tmp_path / "f.ckpt", _use_new_zipfile_serialization=zipped)
    content = bytearray((tmp_path / "f.ckpt").read_bytes())
    size = (128 * 128).to_bytes(2, "little")
    place = content.index(b"cpu")
    at = next(m.start() for m in re.finditer(rb"[JM]" + re.escape(size), bytes(content)) if m.start() > place)
    if zipped:
        content[at + 1 : at + 3] = b"\xff\xff"
    else:
        content[at : at + 3] = b"\x8a\x07" + (10**15).to_bytes(7, "little")
    (tmp_path / "f.ckpt").write_bytes(content)
    refused(tmp_path / "f.ckpt", "f.ckpt")


def test_tied_tensors_are_read_and_a_thousand_views_of_one_are_not(tmp_path):
    content = published.babyhubert()
    state = content["state_dict"]
    state[KEY] = state[KEY.replace("k_proj", "q_proj")]
    torch.save(content, tmp_path / "tied.ckpt")
    assert read_checkpoint(tmp_path / "tied.ckpt").parameter_count
    one = torch.zeros(500, 500)
    torch.save({"state_dict": state | {f"model.{number}": one for number in range(1000)}}, tmp_path / "f.ckpt")
    refused(tmp_path / "f.ckpt", "share")


@pytest.mark.parametrize("name", ["f.ckpt", "m/config.json", "m/task.json", "m/preprocessor_config.json"])
def test_only_regular_files_are_opened(name, tmp_path):
    published.transformers_folder(tmp_path / "m")
    target = tmp_path / name
    target.unlink(missing_ok=True)
    os.mkfifo(target)
    refused(target if name == "f.ckpt" else tmp_path / "m", str(tmp_path))
    target.unlink()
    target.symlink_to("/dev/zero")
    refused(target if name == "f.ckpt" else tmp_path / "m", str(tmp_path))


SETTINGS = (
    ("num_hidden_layers", 10_000_000),
    ("num_hidden_layers", 3),
    ("num_hidden_layers", 0),
    ("num_hidden_layers", -1),
    ("num_hidden_layers", True),
    ("num_hidden_layers", 2.0),
    ("num_hidden_layers", "2"),
    ("num_hidden_layers", None),
    ("hidden_size", 10**18),
    ("hidden_size", [128]),
    ("intermediate_size", 10**12),
    ("num_conv_pos_embeddings", -16),
    ("num_conv_pos_embedding_groups", 0),
    ("num_attention_heads", 0),
    ("conv_dim", "512"),
    ("conv_dim", [32] * 10_000),
    ("conv_dim", [32, 32, 32, 32, 32, 32, 0]),
    ("conv_kernel", [10, 3, 3, 3, 3, 2, 2.0]),
    ("conv_stride", {"0": 5}),
    ("conv_bias", "no"),
    ("conv_bias", 0),
    ("do_stable_layer_norm", "no"),
    ("do_stable_layer_norm", 0),
    ("do_stable_layer_norm", None),
    ("feat_extract_norm", True),
    ("feat_extract_norm", "batch"),
    ("feat_proj_layer_norm", "yes"),
    ("feat_proj_layer_norm", 1),
    ("conv_pos_batch_norm", True),
    ("conv_pos_batch_norm", 0),
    ("layer_norm_eps", -1.0),
    ("layer_norm_eps", 0),
    ("layer_norm_eps", float("nan")),
    ("layer_norm_eps", float("inf")),
    ("layer_norm_eps", "1e-5"),
    ("hidden_dropout", -0.1),
    ("hidden_dropout", 1.0),
    ("layerdrop", True),
    ("feature_grad_scale", float("nan")),
    ("feature_grad_scale", -1),
    ("model_type", 3),
    ("babyhubert_source", 3),
)


@pytest.mark.parametrize(("setting", "value"), SETTINGS)
def test_settings_of_a_wrong_type_or_size_are_named(setting, value, tmp_path):
    folder = published.transformers_folder(tmp_path / "m")
    (folder / "config.json").write_text(json.dumps(published.transformers_config() | {setting: value}))
    refused(folder, str(folder), "blocks" if value == 3 and setting == "num_hidden_layers" else setting)


@pytest.mark.parametrize(
    ("name", "value"), [("hidden_size", 2.0), ("normalise", "no"), ("pre_norm", 1), ("layers", 10**7)]
)
def test_sizes_of_ones_own_are_checked_alike(name, value):
    with pytest.raises(ConfigError, match=name):
        SIZES["nano"].with_changes(**{name: value})


def test_every_published_size_is_within_bounds():
    HubertConfig(hidden_size=1280, layers=48, heads=16, feed_forward=5120)  # HuBERT extra large


@pytest.mark.parametrize("kind", ["transformers", "fairseq"])
def test_batch_norm_before_positions_is_named(kind, tmp_path):
    if kind == "transformers":
        folder = published.transformers_folder(tmp_path / "m")
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
        tensors["encoder.pos_conv_embed.batch_norm.running_mean"] = torch.zeros(128)
        safetensors.torch.save_file(tensors, folder / "model.safetensors")
        refused(folder, "conv_pos_batch_norm")
    else:
        content = published.fairseq()
        content["model"]["encoder.pos_conv.0.running_mean"] = torch.zeros(128)
        torch.save(content, tmp_path / "f.pt")
        refused(tmp_path / "f.pt", "conv_pos_batch_norm")


class TestSharded:
    """Weights in several files, with the index that transformers writes."""

    @pytest.fixture(params=[".safetensors", ".bin"])
    def folder(self, request, tmp_path) -> Path:
        folder = published.transformers_folder(tmp_path / "m")
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        stem = "model" if request.param == ".safetensors" else "pytorch_model"
        places = {}
        for number in range(3):
            name = f"{stem}-0000{number + 1}-of-00003{request.param}"
            part = dict(list(tensors.items())[number::3])
            if request.param == ".safetensors":
                safetensors.torch.save_file(part, folder / name, metadata={"format": "pt"})
            else:
                torch.save(part, folder / name)
            places |= dict.fromkeys(part, name)
        index = {"metadata": {"total_size": 0}, "weight_map": places}
        (folder / f"{stem}{request.param}.index.json").write_text(json.dumps(index))
        return folder

    @staticmethod
    def index(folder: Path) -> Path:
        return next(folder.glob("*.index.json"))

    def changed(self, folder: Path, change) -> None:
        file = self.index(folder)
        content = json.loads(file.read_text())
        change(content["weight_map"])
        file.write_text(json.dumps(content))

    def test_gives_the_model_in_one_file(self, folder, tmp_path):
        whole = read_checkpoint(published.transformers_folder(tmp_path / "whole"))
        parts = read_checkpoint(folder)
        assert whole.config == parts.config
        assert all(torch.equal(tensor, parts.encoder[name]) for name, tensor in whole.encoder.items())
        load_encoder(folder)

    def test_every_file_is_in_the_hash(self, folder):
        before = model_hash(folder)
        assert before == model_hash(folder)
        file = next(file for file in folder.iterdir() if "00002" in file.name)
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        assert model_hash(folder) != before

    def test_a_missing_file_is_named(self, folder):
        file = next(file for file in folder.iterdir() if "00002" in file.name)
        file.unlink()
        refused(folder, str(file), "not here")

    @pytest.mark.parametrize("name", ["../m2/x.safetensors", "/etc/passwd", "a\\b", "", 3, None, "..", ".", "a\0b"])
    def test_only_files_beside_the_index(self, name, folder):
        self.changed(folder, lambda places: places.update({next(iter(places)): name}))
        refused(folder, str(folder))

    def test_a_tensor_elsewhere_than_said_is_named(self, folder):
        def swap(places):
            first, second = next(iter(places)), list(places)[-1]
            places[first], places[second] = places[second], places[first]

        self.changed(folder, swap)
        refused(folder, "does not have it")

    def test_a_tensor_the_index_does_not_know_is_named(self, folder):
        self.changed(folder, lambda places: places.pop("encoder.layer_norm.bias"))
        refused(folder, "encoder.layer_norm.bias", "knows nothing")

    def test_a_malformed_index(self, folder):
        for text in ("{}", "[]", "{", '{"weight_map": []}', '{"weight_map": {}}'):
            self.index(folder).write_text(text)
            refused(folder, self.index(folder).name)

    def test_transformers_own(self, tmp_path):
        from transformers import HubertConfig as Theirs
        from transformers import HubertModel

        model = HubertModel(Theirs(**published.transformers_config()))
        model.save_pretrained(tmp_path / "m", max_shard_size="300KB")
        assert list((tmp_path / "m").glob("*.index.json"))
        parts = read_checkpoint(tmp_path / "m")
        for name, tensor in model.state_dict().items():
            if name != "masked_spec_embed":
                assert torch.equal(parts.encoder[name], tensor)


@pytest.mark.parametrize(
    ("card", "word"),
    [
        ({"thresholds": {"f1": {"KCHI": "high"}}}, "thresholds"),
        ({"thresholds": {"f1": {"KCHI": float("nan")}}}, "thresholds"),
        ({"thresholds": {"f1": {"KCHI": 7}}}, "thresholds"),
        ({"thresholds": {"f1": {"KCHI": True}}}, "thresholds"),
        ({"thresholds": ["f1"]}, "thresholds"),
        ({"simultaneous": 7}, "simultaneous"),
        ({"simultaneous": "0.5"}, "simultaneous"),
        ({"simultaneous": True}, "simultaneous"),
        ({"heads": ["phonemes"]}, "heads"),
        ({"heads": {"phonemes": {"labels": "abc"}}}, "labels"),
        ({"heads": {"phonemes": {"labels": [1, 2]}}}, "labels"),
        ({"heads": {"phonemes": {"labels": ["a", "a"]}}}, "twice"),
        ({"lineage": 3}, "lineage"),
        ({"licence": ["x"]}, "licence"),
        ({"description": "x" * 20_000_000}, "bytes"),
    ],
)
def test_cards_of_a_wrong_kind_are_named(card, word, tmp_path):
    from babyhubert.encoder.checkpoints import write_checkpoint

    write_checkpoint(read_checkpoint(published.write("babar", tmp_path / "b.ckpt")), tmp_path / "m", "transformers")
    file = tmp_path / "m" / "task.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | card))
    refused(tmp_path / "m", str(file), word)
    shutil.rmtree(tmp_path / "m")


def test_nested_json_ends_in_one_line(tmp_path):
    folder = published.transformers_folder(tmp_path / "m")
    (folder / "config.json").write_text("[" * 200_000)
    refused(folder, "JSON")
    (folder / "config.json").write_text('{"a":' * 200_000)
    refused(folder, "JSON")
