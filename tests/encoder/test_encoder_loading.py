"""Names become encoders: local paths first, then the hub, with errors that say what to do."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import published_layouts as published
import pytest
import torch
from huggingface_hub import errors

from babyhubert.encoder.loading import load_checkpoint, load_encoder, model_hash, resolve_model
from babyhubert.errors import CheckpointError, ModelAccessError
from babyhubert.shipped import SHIPPED_MODELS


def hub_error(kind: type[Exception]) -> Exception:
    response = SimpleNamespace(headers={}, status_code=403, request=None)
    return kind("refused\nby the hub", response=response)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.GatedRepoError, ["gated", "https://huggingface.co/coml/VTC-2", "accept the terms", "hf auth login"]),
        (errors.RepositoryNotFoundError, ["no such path here", "https://huggingface.co/coml/VTC-2", "hf auth login"]),
        (errors.RevisionNotFoundError, ["no revision 'v9'"]),
        (errors.HfHubHTTPError, ["cannot be reached", "folder's path"]),
    ],
)
def test_hub_refusals_are_one_sentence(error, words, monkeypatch):
    def refuse(*_, **__):
        raise hub_error(error)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ModelAccessError) as caught:
        resolve_model("coml/VTC-2", revision="v9")
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words)


def test_a_broken_download_is_one_sentence(monkeypatch):
    class RemoteProtocolError(Exception):
        """As the HTTP library's: no OSError, no error of huggingface_hub."""

    def refuse(*_, **__):
        raise RemoteProtocolError("peer closed connection\n(received 10 bytes)")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(
        ModelAccessError, match=r"did not finish \(RemoteProtocolError: peer closed .*10 bytes\)\); try"
    ):
        resolve_model("coml/VTC-2")


@pytest.mark.parametrize("name", ["coml/a--b", "coml/x..y", "coml/x.", "coml/x.git", "coml/" + "a" * 100])
def test_impossible_hub_names_are_one_sentence(name):
    with pytest.raises(CheckpointError, match="no possible name"):
        resolve_model(name)


def test_no_network(monkeypatch):
    def refuse(*_, **__):
        raise errors.LocalEntryNotFoundError("nothing here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ModelAccessError, match="not downloaded before"):
        resolve_model("coml/BabyHuBERT", offline=True)


def test_download_is_restricted_and_passed_through(monkeypatch, tmp_path):
    asked = {}

    def download(repository, **options):
        asked.update(options, repository=repository)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    published.write("addressee", tmp_path / "best.ckpt")
    assert resolve_model("coml/addressee", revision="main", offline=True) == tmp_path
    assert asked["repository"] == "coml/addressee"
    assert asked["revision"] == "main"
    assert asked["local_files_only"] is True
    assert "*.py" not in asked["allow_patterns"]
    assert load_checkpoint("coml/addressee").flavour == "addressee"


@pytest.mark.parametrize("revision", ["v2.0.1", "0123abcd", "refs/pr/3", "feat/x_1"])
def test_a_revision_stands_behind_the_name(revision, monkeypatch, tmp_path):
    asked = []

    def download(repository, **options):
        asked.append((repository, options["revision"]))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    published.write("vtc-2.0", tmp_path / "best.ckpt")
    assert load_checkpoint(f"coml/VTC-2@{revision}").flavour == "vtc-2.0"
    assert resolve_model("coml/VTC-2") == tmp_path
    assert asked == [("coml/VTC-2", revision), ("coml/VTC-2", None)]


@pytest.mark.parametrize(
    "name",
    [
        "coml/best.ckpt@main",
        "coml/VTC-2@",
        "coml/VTC-2@a b",
        "coml/VTC-2@-x",
        "coml@main",
        "./nowhere",
        "models/best.ckpt",
        "a/b/c",
        "nowhere",
        Path("coml/VTC-2"),
        Path("playroom"),
        "/tmp/x/y",
    ],
)
def test_what_looks_like_a_path_is_never_downloaded(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("downloaded"))
    with pytest.raises(CheckpointError, match="no such file or folder"):
        resolve_model(name)


def test_a_local_folder_comes_before_the_hub(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("downloaded"))
    published.transformers_folder(tmp_path / "coml" / "BabyHuBERT")
    assert resolve_model("coml/BabyHuBERT") == Path("coml/BabyHuBERT")


def test_a_folder_of_recordings_does_not_hide_a_model_of_the_package(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "playroom").mkdir()
    assert resolve_model("playroom") == SHIPPED_MODELS / "playroom"
    (tmp_path / "playroom").rmdir()
    published.transformers_folder(tmp_path / "playroom")
    assert resolve_model("playroom") == Path("playroom")


def test_loaded_encoder_is_ready_for_inference(tmp_path):
    encoder = load_encoder(published.transformers_folder(tmp_path / "m"), dtype=torch.float64)
    assert not encoder.training
    assert encoder.encoder.pos_conv_embed.conv.folded.dtype == torch.float64
    assert encoder(torch.randn(1, 4000, dtype=torch.float64)).last.dtype == torch.float64
    assert encoder.train().encoder.pos_conv_embed.conv.folded is None


def test_hash_is_of_the_weights(tmp_path):
    folder = published.transformers_folder(tmp_path / "m")
    expected = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert model_hash(folder) == model_hash(folder / "model.safetensors") == expected


def test_the_package_does_not_import_transformers():
    code = (
        "import sys, babyhubert.encoder.loading, babyhubert.encoder.conversion, babyhubert.encoder.pretraining_head; "
        "assert not {'transformers', 'torchaudio', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
