"""Every published layout is read exactly, and what we write is exactly the published layout."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import published_layouts as published
import pytest
import torch
from torch import Tensor

from babyhubert.encoder.checkpoints import read_checkpoint, weights_file, write_checkpoint
from babyhubert.encoder.conversion import convert_checkpoint
from babyhubert.encoder.flavours import FLAVOURS
from babyhubert.encoder.flavours.babar import LABELS as PHONEMES
from babyhubert.encoder.loading import build_encoder, load_encoder
from babyhubert.errors import CheckpointError, OutputError

HEADS = {"vtc-2.0": "voice_type", "vtc-2.1": "voice_type", "addressee": "addressee", "babar": "phonemes"}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("layout", published.FILES)
def test_published_file_is_read_exactly(layout, tmp_path):
    checkpoint = read_checkpoint(published.write(layout, tmp_path / "file.ckpt"))
    assert checkpoint.flavour == layout
    assert same(checkpoint.encoder, published.encoder_tensors())
    assert (checkpoint.config.hidden_size, checkpoint.config.layers, checkpoint.config.heads) == (128, 2, 2)
    assert list(checkpoint.heads) == ([HEADS[layout]] if layout in HEADS else [])
    if layout in ("torchaudio", "fairseq"):
        kept = {name: value for name, value in checkpoint.pretraining.items() if not name.startswith("special")}
        assert same(kept, published.pretraining_tensors())
    else:
        assert checkpoint.pretraining == {}


@pytest.mark.parametrize("layout", ["vtc-2.0", "vtc-2.1"])
def test_voice_type_rows_follow_their_names(layout, tmp_path):
    head = read_checkpoint(published.write(layout, tmp_path / "file.ckpt")).heads["voice_type"]
    assert head.labels == ("KCHI", "OCH", "MAL", "FEM")
    for row, label in enumerate(head.labels):
        weight, bias = published.voice_rows()[label]
        assert torch.equal(head.tensors["weight"][row], weight[0])
        assert torch.equal(head.tensors["bias"][row : row + 1], bias)


def test_addressee_and_phoneme_heads(tmp_path):
    addressee = read_checkpoint(published.write("addressee", tmp_path / "a.ckpt")).heads["addressee"]
    assert addressee.labels == ("ADS", "KCDS", "Other")
    assert torch.equal(addressee.tensors["weight"], published.drawn(3, 128, seed=3000))
    babar = read_checkpoint(published.write("babar", tmp_path / "b.ckpt"))
    assert babar.heads["phonemes"].labels == PHONEMES
    assert {name: tuple(t.shape) for name, t in babar.heads["phonemes"].tensors.items()} == {
        "0.weight": (64, 128),
        "0.bias": (64,),
        "3.weight": (58, 64),
        "3.bias": (58,),
    }
    assert babar.metadata["hyper_parameters"]["network_param"]["freeze"] is True


def test_published_phoneme_order():
    at = {0: "a", 11: "n", 26: "õ", 30: "œ", 31: "œ̃", 36: "ɑ̃", 43: "\u0261", 50: "ʁ", 56: "θ", 57: "<blank>"}
    assert len(PHONEMES) == len(set(PHONEMES)) == 58
    assert all(PHONEMES[index] == symbol for index, symbol in at.items())


def test_rows_of_fairseq_labels(tmp_path):
    pretraining = read_checkpoint(published.write("fairseq", tmp_path / "f.pt")).pretraining
    rows = published.fairseq()["model"]["label_embs_concat"]
    assert torch.equal(pretraining["special_label_embeddings"], rows[:4])
    assert torch.equal(pretraining["label_embeddings"], rows[4:])


@pytest.mark.parametrize(
    ("content", "flavour"),
    [
        (published.babyhubert(prefix="model.module."), "torchaudio"),
        (published.babyhubert(prefix=""), "torchaudio"),
        (published.babyhubert(prefix="module.")["state_dict"], "torchaudio"),
        (published.torchaudio_encoder(), "torchaudio"),
        (published.s3prl(), "fairseq"),
    ],
    ids=["DDP inside Lightning", "no prefix", "bare DDP state dict", "bare encoder", "s3prl"],
)
def test_wrapped_and_bare_variants(content, flavour, tmp_path):
    torch.save(content, tmp_path / "file.pt")
    checkpoint = read_checkpoint(tmp_path / "file.pt")
    assert checkpoint.flavour == flavour
    assert same(checkpoint.encoder, published.encoder_tensors())


@pytest.mark.parametrize("prefix", ["", "hubert."])
@pytest.mark.parametrize("old", [False, True])
def test_transformers_folders(prefix, old, tmp_path):
    checkpoint = read_checkpoint(published.transformers_folder(tmp_path / "m", prefix, old))
    assert checkpoint.flavour == "transformers"
    assert same(checkpoint.encoder, published.encoder_tensors())


def test_what_transformers_saves_is_read(tmp_path):
    from transformers import HubertConfig, HubertForCTC, HubertModel

    settings = HubertConfig(**published.transformers_config() | {"mask_time_prob": 0.05}, vocab_size=9)
    for model in (HubertModel(settings), HubertForCTC(settings)):
        model.save_pretrained(tmp_path / "m")
        checkpoint = read_checkpoint(tmp_path / "m")
        names = {name.removeprefix("hubert."): tensor for name, tensor in model.state_dict().items()}
        assert same(checkpoint.encoder, {name: names[name] for name in checkpoint.encoder})
        assert torch.equal(checkpoint.pretraining["mask_embedding"], names["masked_spec_embed"])
        ctc = checkpoint.heads.get("ctc")
        assert (ctc is not None) == ("lm_head.weight" in names)
        if ctc is not None:
            assert len(ctc.labels) == 9
            assert torch.equal(ctc.tensors["weight"], names["lm_head.weight"])


@pytest.mark.parametrize("layout", published.FILES)
def test_written_file_has_exactly_the_published_content(layout, tmp_path):
    original = published.FILES[layout]()
    checkpoint = read_checkpoint(published.write(layout, tmp_path / "original.ckpt"))
    write_checkpoint(checkpoint, tmp_path / "copy.ckpt", layout)
    copy = torch.load(tmp_path / "copy.ckpt", weights_only=True)
    assert same(published.tensors_of(copy), published.tensors_of(original))
    for key in ("epoch", "global_step", "hyper_parameters"):
        if key in original:
            assert copy[key] == original[key]


@pytest.mark.parametrize("layout", published.FILES)
def test_through_a_model_folder_and_back(layout, tmp_path):
    original = published.write(layout, tmp_path / "original.ckpt")
    there = convert_checkpoint(original, tmp_path / "folder", "transformers")
    assert there.left_out == ()
    assert there.verified == sum(tensor.numel() > 0 for tensor in _all_tensors(there.source))
    convert_checkpoint(tmp_path / "folder", tmp_path / "back.ckpt", layout)
    back = torch.load(tmp_path / "back.ckpt", weights_only=True)
    assert same(published.tensors_of(back), published.tensors_of(published.FILES[layout]()))


def _all_tensors(checkpoint) -> list[Tensor]:
    heads = [tensor for head in checkpoint.heads.values() for tensor in head.tensors.values()]
    return [*checkpoint.encoder.values(), *checkpoint.pretraining.values(), *heads]


@pytest.mark.parametrize("source", published.FILES)
@pytest.mark.parametrize("target", FLAVOURS)
def test_every_conversion_keeps_everything_or_says_what_it_cannot(source, target, tmp_path):
    original = published.write(source, tmp_path / "original.ckpt")
    held = {"torchaudio": "pretraining", "fairseq": "pretraining", **HEADS, "transformers": "everything"}
    if target == "transformers" or held[source] == held[target]:
        assert convert_checkpoint(original, tmp_path / "out", target).verified > 0
        return
    with pytest.raises(CheckpointError, match=r"needs .* does not have"):
        convert_checkpoint(original, tmp_path / "out", target, allow_loss=True)
    assert not (tmp_path / "out").exists()


def test_loss_must_be_allowed(tmp_path):
    torchaudio = read_checkpoint(published.write("torchaudio", tmp_path / "t.ckpt"))
    voices = read_checkpoint(published.write("vtc-2.1", tmp_path / "v.ckpt"))
    torchaudio.heads.update(voices.heads)
    write_checkpoint(torchaudio, tmp_path / "both", "transformers")
    with pytest.raises(CheckpointError, match=r"voice_type head.*allow the loss"):
        convert_checkpoint(tmp_path / "both", tmp_path / "out.ckpt", "torchaudio")
    result = convert_checkpoint(tmp_path / "both", tmp_path / "out.ckpt", "torchaudio", allow_loss=True)
    assert result.left_out == ("the voice_type head",)


@pytest.mark.parametrize("layout", ["addressee", "babar"])
def test_rows_in_another_order_are_not_written_where_labels_are_not_stored(layout, tmp_path):
    checkpoint = read_checkpoint(published.write(layout, tmp_path / "original.ckpt"))
    head = checkpoint.heads[HEADS[layout]]
    checkpoint.heads[HEADS[layout]] = replace(head, labels=head.labels[::-1])
    with pytest.raises(CheckpointError, match="does not store labels"):
        write_checkpoint(checkpoint, tmp_path / "copy.ckpt", layout)
    assert not (tmp_path / "copy.ckpt").exists()


def test_settings_that_shapes_do_not_show_survive(tmp_path):
    checkpoint = read_checkpoint(published.write("torchaudio", tmp_path / "t.ckpt"))
    config = checkpoint.config.with_changes(heads=4, layer_drop=0.2)
    changed = type(checkpoint)("torchaudio", config, checkpoint.encoder, checkpoint.pretraining)
    write_checkpoint(changed, tmp_path / "copy.ckpt", "torchaudio")
    assert read_checkpoint(tmp_path / "copy.ckpt").config == config


def test_an_existing_destination_is_kept(tmp_path):
    original = published.write("babar", tmp_path / "b.ckpt")
    with pytest.raises(OutputError, match="overwrite it"):
        convert_checkpoint(original, original, "babar")
    assert convert_checkpoint(original, original, "babar", overwrite=True).verified > 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError, match="not a model folder"):
        convert_checkpoint(original, tmp_path / "mine", "transformers", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_nothing_temporary_stays(tmp_path):
    original = published.write("babar", tmp_path / "b.ckpt")
    for _ in range(2):
        convert_checkpoint(original, tmp_path / "folder", "transformers", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.ckpt", "folder"]


@pytest.mark.parametrize("layout", ["vtc-2.0", "babar"])
def test_transformers_loads_our_folder_with_identical_hidden_states(layout, tmp_path):
    from transformers import AutoFeatureExtractor, AutoModel

    original = published.write(layout, tmp_path / "original.ckpt")
    convert_checkpoint(original, tmp_path / "folder", "transformers")
    theirs, report = AutoModel.from_pretrained(tmp_path / "folder", output_loading_info=True)
    assert not report["missing_keys"]
    assert all(key.startswith("heads.") for key in report["unexpected_keys"])
    ours = load_encoder(original)
    waveform = published.drawn(8000, seed=1)
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path / "folder")
    inputs = extractor(waveform.numpy(), sampling_rate=16_000, return_tensors="pt")
    assert list(inputs) == ["input_values"]
    assert torch.equal(inputs.input_values[0], waveform)
    with torch.inference_mode():
        expected = theirs(**inputs, output_hidden_states=True).hidden_states
        got = ours(waveform[None], layers=[0, 1, 2]).hidden
    for layer in range(3):
        torch.testing.assert_close(got[layer], expected[layer], atol=2e-6, rtol=0)


def test_task_file_describes_the_heads(tmp_path):
    original = published.write("vtc-2.1", tmp_path / "v.ckpt")
    checkpoint = read_checkpoint(original)
    checkpoint.metadata["task"] = {"window_s": 4.0}
    write_checkpoint(checkpoint, tmp_path / "folder", "transformers")
    task = json.loads((tmp_path / "folder" / "task.json").read_text())
    assert task["heads"] == {"voice_type": {"kind": "frames", "labels": ["KCHI", "OCH", "MAL", "FEM"]}}
    assert task["format"] == 1
    assert read_checkpoint(tmp_path / "folder").metadata["task"] == {"window_s": 4.0}
    assert read_checkpoint(tmp_path / "folder").metadata["global_step"] == 400_000


def test_hub_snapshot_with_one_checkpoint(tmp_path):
    (tmp_path / "VTC-2" / "model").mkdir(parents=True)
    (tmp_path / "VTC-2" / "model" / "config.toml").write_text("")
    file = published.write("vtc-2.1", tmp_path / "VTC-2" / "model" / "best.ckpt")
    assert weights_file(tmp_path / "VTC-2") == file
    assert read_checkpoint(tmp_path / "VTC-2").flavour == "vtc-2.1"
    published.write("vtc-2.1", tmp_path / "VTC-2" / "model" / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"2 checkpoints.*best\.ckpt.*name one"):
        read_checkpoint(tmp_path / "VTC-2")


def test_built_encoder_owns_its_weights(tmp_path):
    checkpoint = read_checkpoint(published.write("babar", tmp_path / "b.ckpt"))
    encoder = build_encoder(checkpoint)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.zero_()
    assert same(checkpoint.encoder, published.encoder_tensors())
    assert not encoder.training
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_half_the_space_for_eleven_bits_of_each_weight(tmp_path):
    source = published.write("babar", tmp_path / "b.ckpt")
    convert_checkpoint(source, tmp_path / "whole", "transformers")
    convert_checkpoint(source, tmp_path / "half", "transformers", half=True)
    whole, half = (read_checkpoint(tmp_path / name) for name in ("whole", "half"))
    sizes = [weights_file(tmp_path / name).stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.52 * sizes[0]
    for one, two in ((whole.encoder, half.encoder), (whole.heads["phonemes"].tensors, half.heads["phonemes"].tensors)):
        for name, tensor in one.items():
            torch.testing.assert_close(two[name].float(), tensor, rtol=2**-11, atol=1e-7)
    waveforms = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (1, 8000)).astype(np.float32))
    expected, found = (build_encoder(checkpoint)(waveforms).last for checkpoint in (whole, half))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)
    huge = replace(whole, encoder={**whole.encoder, "feature_projection.projection.bias": torch.full((128,), 1e6)})
    write_checkpoint(huge, tmp_path / "huge", "transformers")
    with pytest.raises(CheckpointError, match=r"feature_projection\.projection\.bias has weights beyond 65504"):
        convert_checkpoint(tmp_path / "huge", tmp_path / "no", "transformers", half=True)


def as_babar_opens_it(file, vocabulary):
    """What BabAR's module does with a checkpoint, but for the size of its encoder."""
    from transformers import HubertConfig, HubertModel, Wav2Vec2PhonemeCTCTokenizer

    content = torch.load(file, weights_only=True)
    settings = content["hyper_parameters"]
    assert isinstance(settings["optim_param"], dict)
    network = SimpleNamespace(**settings["network_param"])
    network.vocab_file = str(vocabulary)
    tokenizer = Wav2Vec2PhonemeCTCTokenizer(
        vocab_file=network.vocab_file,
        eos_token=network.eos_token,
        bos_token=network.bos_token,
        unk_token=network.unk_token,
        pad_token=network.pad_token,
        word_delimiter_token=network.word_delimiter_token,
        do_phonemize=False,
    )
    assert network.network_name == "BabyHubert"
    assert tokenizer.encoder[network.word_delimiter_token] == 57
    config = HubertConfig(**published.transformers_config(), apply_spec_augment=False)
    width = config.hidden_size
    head = [torch.nn.Linear(width, width // 2), torch.nn.ReLU(), torch.nn.Dropout(0.1)]
    model = torch.nn.Module()
    model.encoder = HubertModel(config)
    model.phoneme_head = torch.nn.Sequential(*head, torch.nn.Linear(width // 2, tokenizer.vocab_size))
    model.load_state_dict({key.removeprefix("model."): value for key, value in content["state_dict"].items()})


@pytest.mark.parametrize(
    "given",
    [{}, {"network_param": {"freeze": True}}, {"config": {"lr": 1}}, {"network_param": 3, "optim_param": None}],
)
def test_babar_opens_what_is_written_for_it_whatever_the_source_brought(given, tmp_path):
    original = torch.load(published.write("babar", tmp_path / "b.ckpt"), weights_only=True)
    original["hyper_parameters"] = given
    torch.save(original, tmp_path / "b.ckpt")
    vocabulary = tmp_path / "vocab.json"
    vocabulary.write_text(json.dumps({label: row for row, label in enumerate(PHONEMES)}), encoding="utf-8")
    convert_checkpoint(tmp_path / "b.ckpt", tmp_path / "folder", "transformers")
    convert_checkpoint(tmp_path / "folder", tmp_path / "out.ckpt", "babar")
    as_babar_opens_it(tmp_path / "out.ckpt", vocabulary)
    written = torch.load(tmp_path / "out.ckpt", weights_only=True)["hyper_parameters"]
    assert written["network_param"]["vocab_file"] == "weights/vocab-phoneme-tinyvox.json"
    if given == {"network_param": {"freeze": True}}:
        assert written["network_param"]["freeze"] is True


def test_hyper_parameters_that_came_along_win(tmp_path):
    checkpoint = read_checkpoint(published.write("babar", tmp_path / "b.ckpt"))
    own = {"network_param": {"network_name": "BabyHubert", "vocab_file": "mine.json"}, "optim_param": {"lr": 1e-5}}
    checkpoint.metadata["hyper_parameters"] = own
    write_checkpoint(checkpoint, tmp_path / "out.ckpt", "babar")
    written = torch.load(tmp_path / "out.ckpt", weights_only=True)["hyper_parameters"]
    assert (written["network_param"]["vocab_file"], written["optim_param"]) == ("mine.json", {"lr": 1e-5})
    assert written["network_param"]["pad_token"] == "<blank>"


@pytest.mark.parametrize("layout", ["torchaudio", "vtc-2.0", "vtc-2.1", "addressee", "babar"])
def test_lightning_finds_no_loops_to_restore(layout, tmp_path):
    """Its loops take their own entries from this key and fail on an empty one; without the key they begin anew."""
    source = published.write(layout, tmp_path / "a.ckpt")
    convert_checkpoint(source, tmp_path / "out.ckpt", layout)
    assert "loops" not in torch.load(tmp_path / "out.ckpt", weights_only=True)


def test_what_a_published_reader_cannot_open_or_takes_otherwise_is_told(tmp_path):
    source = published.write("addressee", tmp_path / "a.ckpt")
    (size,) = convert_checkpoint(source, tmp_path / "copy.ckpt", "addressee").notes
    assert "builds a base encoder only" in size
    checkpoint = read_checkpoint(source)
    checkpoint.metadata["task"] = {"addressee": {"context_s": 10.0, "pooling": "utterance"}}
    write_checkpoint(checkpoint, tmp_path / "folder", "transformers")
    notes = convert_checkpoint(tmp_path / "folder", tmp_path / "ours.ckpt", "addressee").notes
    assert "takes addressee.pooling to be 'published'; this model's task.json says 'utterance'" in notes[1]
    assert convert_checkpoint(source, tmp_path / "f.pt", "transformers").notes == ()


def test_fairseq_files_hold_what_s3prls_own_loader_needs(tmp_path):
    """It takes these four entries, plain dicts, builds a model of the settings, and loads the weights strictly."""
    convert_checkpoint(published.write("torchaudio", tmp_path / "t.ckpt"), tmp_path / "f.pt", "fairseq")
    content = torch.load(tmp_path / "f.pt", weights_only=True)
    model, task, weights = (content[key] for key in ("model_cfg", "task_cfg", "model_weight"))
    assert type(model) is type(task) is dict
    assert (task["normalize"], task["sample_rate"], model["label_rate"]) == (False, 16_000, 50.0)
    (symbols,) = content["dictionaries_symbols"]
    assert symbols[:5] == ["<s>", "<pad>", "</s>", "<unk>", "0"]
    assert weights["label_embs_concat"].shape == (len(symbols), model["final_dim"])
    convolutions = ast.literal_eval(model["conv_feature_layers"])
    assert [kernel for _, kernel, _ in convolutions] == list(published.KERNELS)
    assert np.prod([stride for _, _, stride in convolutions]) == 320
    width, inner = model["encoder_embed_dim"], model["encoder_ffn_embed_dim"]
    assert weights["post_extract_proj.weight"].shape == (width, convolutions[-1][0])
    assert weights["encoder.layers.0.fc1.weight"].shape == (inner, width)
    assert f"encoder.layers.{model['encoder_layers'] - 1}.fc1.weight" in weights
    assert f"encoder.layers.{model['encoder_layers']}.fc1.weight" not in weights
    assert weights["encoder.pos_conv.0.weight_v"].shape[1:] == (width // model["conv_pos_groups"], model["conv_pos"])
    assert same(weights, content["model"])
    assert (tmp_path / "f.pt").stat().st_size < 1.2 * (tmp_path / "t.ckpt").stat().st_size, "weights are stored once"


@pytest.mark.skipif(find_spec("s3prl") is None, reason="s3prl is not installed")
def test_s3prls_own_loader_gives_the_same_features(tmp_path):
    from s3prl.upstream.hubert.convert import load_converted_model

    convert_checkpoint(published.write("torchaudio", tmp_path / "t.ckpt"), tmp_path / "f.pt", "fairseq")
    theirs, _ = load_converted_model(str(tmp_path / "f.pt"))
    sound = published.drawn(1, 16_000, seed=0)
    with torch.inference_mode():
        expected, _ = theirs.eval().extract_features(sound, padding_mask=torch.zeros(1, 16_000, dtype=torch.bool))
        assert torch.allclose(load_encoder(tmp_path / "f.pt")(sound).last, expected, atol=1e-5)
