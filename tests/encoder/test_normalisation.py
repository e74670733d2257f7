"""Models that were trained on waveforms of zero mean and unit variance get them so, wherever they run."""

from __future__ import annotations

import argparse
import json
import sys
import types
from pathlib import Path

import numpy as np
import published_layouts as published
import pytest
import soundfile
import torch
from transformers import HubertConfig as TheirConfig
from transformers import HubertModel, Wav2Vec2FeatureExtractor, WavLMConfig, WavLMModel

from babyhubert.encoder.checkpoints import read_checkpoint
from babyhubert.encoder.conversion import convert_checkpoint
from babyhubert.encoder.loading import load_encoder
from babyhubert.encoder.matrix_form import use_matrix_form
from babyhubert.errors import CheckpointError
from babyhubert.units.teachers import load_teacher
from commands import command

RATE = 16000
KINDS = ("group", "layer")


def write_theirs(folder: Path, kind: str, do_normalize: bool = True) -> HubertModel:
    """A small model as transformers writes it, whose convolutions' biases make the level of its input count."""
    torch.manual_seed(0)
    config = TheirConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        conv_dim=(32,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        feat_extract_norm=kind,
        do_stable_layer_norm=kind == "layer",
        conv_bias=True,
    )
    model = HubertModel(config).eval()
    for name, parameter in model.named_parameters():
        if name.startswith("feature_extractor") and name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=do_normalize).save_pretrained(folder)
    return model


@pytest.fixture(scope="module", params=KINDS)
def theirs(request, tmp_path_factory) -> tuple[Path, HubertModel, Wav2Vec2FeatureExtractor]:
    folder = tmp_path_factory.mktemp(request.param) / "model"
    model = write_theirs(folder, request.param)
    return folder, model, Wav2Vec2FeatureExtractor.from_pretrained(folder)


def sound(samples: int, level: float = 0.02, offset: float = 0.01, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal(samples)
    return (level * drawn + offset).astype(np.float32)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)


def their_states(model, extractor, samples: np.ndarray) -> np.ndarray:
    given = extractor(samples, sampling_rate=RATE, return_tensors="pt").input_values
    with torch.no_grad():
        return model(given, output_hidden_states=True).hidden_states[1][0].numpy()


@pytest.mark.parametrize("level", [0.2, 1e-4, 0.0])
def test_embed_equals_their_feature_extractor_and_model_in_each_window(level, theirs, tmp_path):
    folder, model, extractor = theirs
    samples = np.concatenate([sound(10 * RATE, level), sound(6 * RATE, 5 * level, -0.02, seed=1)])
    soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
    options = ("--model", folder, "--layers", "1", "--window", "10", "--overlap", "0")
    assert command("embed", tmp_path / "x.wav", "-o", tmp_path / "out", *options).code == 0
    got = np.load(tmp_path / "out" / "layer1" / "x.npy")
    hop = 499 * 320  # frames of windows tile
    want = [their_states(model, extractor, part) for part in (samples[: 10 * RATE], samples[hop:])]
    np.testing.assert_allclose(got, np.concatenate(want), atol=2e-4)
    assert cosines(got, np.concatenate(want)).min() > 1 - 1e-6
    assert json.loads((tmp_path / "out" / "run.json").read_text())["settings"]["normalise"] is True


def test_level_and_offset_do_not_count(theirs):
    encoder = load_encoder(theirs[0])
    one = torch.from_numpy(sound(RATE, 0.3, 0.0))[None]
    with torch.no_grad():
        plain, moved = encoder(one).last, encoder(one * 0.05 + 0.1).last
        bare = load_encoder(theirs[0])
        bare.config = bare.config.with_changes(normalise=False)
        assert (bare(one).last - bare(one * 0.05).last).abs().max() > 0.01
    torch.testing.assert_close(plain, moved, atol=1e-3, rtol=1e-3)


def test_the_form_for_inference_normalises_as_well(theirs):
    encoder, waveforms = load_encoder(theirs[0]), torch.from_numpy(sound(2 * RATE))[None]
    with torch.no_grad():
        plain = encoder(waveforms, layers={0, 2}).hidden
        products = use_matrix_form(encoder, torch.float32)(waveforms, layers={0, 2}).hidden
    for layer in plain:
        torch.testing.assert_close(plain[layer], products[layer], atol=2e-4, rtol=1e-3)


def test_padding_is_normalised_as_theirs(tmp_path):
    """Statistics are those of the samples before padding, and padding is zero after it."""
    model = write_theirs(tmp_path / "m", "layer")
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    parts = [sound(12000, 0.3, 0.2), sound(16000, seed=1)]
    given = extractor(parts, sampling_rate=RATE, padding=True, return_tensors="pt")
    padded = torch.zeros(2, 16000)
    for row, part in zip(padded, parts, strict=True):
        row[: len(part)] = torch.from_numpy(part)
    padded[0, 12000:] = 0.7  # whatever stands there
    with torch.no_grad():
        want = model(given.input_values, attention_mask=given.attention_mask).last_hidden_state
        got = load_encoder(tmp_path / "m")(padded, lengths=torch.tensor([12000, 16000])).last
    for row, frames in enumerate((37, 49)):
        torch.testing.assert_close(got[row, :frames], want[row, :frames], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_convert_keeps_it_in_both_directions(kind, tmp_path):
    write_theirs(tmp_path / "theirs", kind)
    ended = command("convert", tmp_path / "theirs", tmp_path / "ours")
    assert ended.code == 0
    assert "verified equal" in ended.out
    assert Wav2Vec2FeatureExtractor.from_pretrained(tmp_path / "ours").do_normalize is True
    assert read_checkpoint(tmp_path / "ours").config.normalise
    command("convert", write_and_name(tmp_path / "plain", kind), tmp_path / "plain-copy")
    assert not read_checkpoint(tmp_path / "plain-copy").config.normalise
    assert Wav2Vec2FeatureExtractor.from_pretrained(tmp_path / "plain-copy").do_normalize is False


def write_and_name(folder: Path, kind: str) -> Path:
    write_theirs(folder, kind, do_normalize=False)
    return folder


def test_fairseq_is_read_and_written_with_it(tmp_path):
    content = published.fairseq()
    torch.save(content | {"cfg": {"task": {"_name": "hubert_pretraining", "normalize": True}}}, tmp_path / "f.pt")
    assert read_checkpoint(tmp_path / "f.pt").config.normalise
    convert_checkpoint(tmp_path / "f.pt", tmp_path / "folder", "transformers")
    assert read_checkpoint(tmp_path / "folder").config.normalise
    convert_checkpoint(tmp_path / "folder", tmp_path / "back.pt", "fairseq")
    written = torch.load(tmp_path / "back.pt", weights_only=True)
    assert written["cfg"]["task"]["normalize"] is True
    del written["babyhubert"]
    torch.save(written, tmp_path / "alone.pt")
    assert read_checkpoint(tmp_path / "alone.pt").config.normalise


@pytest.mark.parametrize("told", [True, False])
def test_older_files_and_s3prl_say_it_elsewhere(told, tmp_path, monkeypatch):
    torch.save(published.fairseq() | {"args": argparse.Namespace(normalize=told)}, tmp_path / "old.pt")
    assert read_checkpoint(tmp_path / "old.pt").config.normalise is told
    torch.save(published.s3prl() | {"task_cfg": {"normalize": told}}, tmp_path / "s3prl.pt")
    assert read_checkpoint(tmp_path / "s3prl.pt").config.normalise is told
    for name in ("omegaconf", "omegaconf.nodes"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    node = type("Node", (), {"__module__": "omegaconf.nodes"})
    sys.modules["omegaconf.nodes"].Node = node
    leaf, table, root = node(), node(), node()
    leaf._val = told
    table._content = {"normalize": leaf}
    root._content = {"task": table}
    torch.save(published.fairseq() | {"cfg": root}, tmp_path / "nodes.pt")
    monkeypatch.delitem(sys.modules, "omegaconf.nodes")
    assert read_checkpoint(tmp_path / "nodes.pt").config.normalise is told


def test_layouts_that_cannot_say_it_refuse_it(tmp_path):
    torch.save(published.fairseq() | {"cfg": {"task": {"normalize": True}}}, tmp_path / "f.pt")
    with pytest.raises(CheckpointError, match="no room for the normalisation of waveforms"):
        convert_checkpoint(tmp_path / "f.pt", tmp_path / "t.ckpt", "torchaudio")
    result = convert_checkpoint(tmp_path / "f.pt", tmp_path / "t.ckpt", "torchaudio", allow_loss=True)
    assert any("do_normalize" in lost for lost in result.left_out)


@pytest.mark.parametrize("layout", published.FILES)
def test_published_models_take_waveforms_as_they_are(layout, tmp_path):
    assert not read_checkpoint(published.write(layout, tmp_path / "f.ckpt")).config.normalise


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"do_normalize": "no"}, "do_normalize is 'no'"),
        ({"do_normalize": 1}, "do_normalize is 1"),
        ({"do_normalize": None}, "do_normalize is None"),
        ({"sampling_rate": 8000}, "sampling_rate is 8000"),
        ({"feature_size": 80}, "feature_size is 80"),
    ],
)
def test_what_is_done_to_waveforms_otherwise_is_refused(settings, word, tmp_path):
    folder = published.transformers_folder(tmp_path / "m")
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=word) as caught:
        read_checkpoint(folder)
    assert str(file) in str(caught.value)


def test_where_it_is_said(tmp_path):
    folder = published.transformers_folder(tmp_path / "m")
    (folder / "preprocessor_config.json").unlink(missing_ok=True)
    assert not read_checkpoint(folder).config.normalise
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": {"do_normalize": True}}))
    assert read_checkpoint(folder).config.normalise
    (folder / "preprocessor_config.json").write_text("{}")  # transformers normalises where nothing is said
    assert read_checkpoint(folder).config.normalise
    (folder / "preprocessor_config.json").write_text('{"do_normalize": false}')
    assert not read_checkpoint(folder).config.normalise


def test_teachers_of_units_normalise_and_say_so(theirs, tmp_path):
    folder, model, extractor = theirs
    teacher = load_teacher(f"{folder}:1", "cpu")
    samples = sound(RATE)
    got = teacher.features(torch.from_numpy(samples)[None])[0].numpy()
    np.testing.assert_allclose(got, their_states(model, extractor, samples), atol=2e-4)
    assert teacher.identity["normalise"] is True
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    wavlm = WavLMModel(
        WavLMConfig(**shape, conv_dim=(16,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4)
    ).eval()
    wavlm.save_pretrained(tmp_path / "w")
    extractor.save_pretrained(tmp_path / "w")
    teacher = load_teacher(f"wavlm:{tmp_path / 'w'}:1", "cpu")
    got = teacher.features(torch.from_numpy(samples)[None])[0].numpy()
    np.testing.assert_allclose(got, their_states(wavlm, extractor, samples), atol=2e-4)
    assert teacher.identity["normalise"] is True
