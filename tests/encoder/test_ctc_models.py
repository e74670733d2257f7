"""CTC models of transformers, as it writes them with their processors: the same logits and the same transcriptions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers

from babyhubert.annotation.segments import Segments
from babyhubert.encoder.attention import position_buckets
from babyhubert.encoder.checkpoints import read_checkpoint
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.conversion import convert_checkpoint
from babyhubert.encoder.loading import load_encoder
from babyhubert.errors import CheckpointError, ConfigError
from babyhubert.tasks.loading import load_model

TOKENS = ["|", *"abdeiklmnoptsu", "ʃ", "ŋ", "tʃ", "aɪ", "ː", "\u0303", "[UNK]", "[PAD]"]
SMALL = {
    "conv_dim": [16] * 7,
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": len(TOKENS),
    "pad_token_id": len(TOKENS) - 1,
    "num_feat_extract_layers": 7,
}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
NEAR = {"num_buckets": 32, "max_bucket_distance": 40}  # distances of a second of audio fall into all buckets
KINDS = {
    "hubert base": ("Hubert", {}),
    "hubert large": ("Hubert", LARGE),
    "wav2vec2 base": ("Wav2Vec2", {}),
    "wav2vec2 large": ("Wav2Vec2", LARGE),
    "wavlm base": ("WavLM", NEAR),
    "wavlm large": ("WavLM", {**NEAR, **LARGE}),
}


def written(folder, kind="hubert base", *, processor=True, pickled=False, normalise=None, **more):
    """A small model with drawn weights in the files that transformers writes; returns the model and its processor."""
    family, settings = KINDS[kind]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**{**SMALL, **settings, **more})
    model = getattr(transformers, f"{family}ForCTC")(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.04 if "conv_layers" in name else 0.2
            parameter.add_(torch.randn_like(parameter) * spread)
        model.lm_head.bias.zero_()
    model.save_pretrained(folder)
    if pickled:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    (folder.parent / "vocab.json").write_text(json.dumps({token: row for row, token in enumerate(TOKENS)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(
        folder.parent / "vocab.json", unk_token="[UNK]", pad_token="[PAD]", word_delimiter_token="|"
    )
    extractor = transformers.Wav2Vec2FeatureExtractor(
        do_normalize=bool(settings.get("feat_extract_norm")) if normalise is None else normalise
    )
    both = transformers.Wav2Vec2Processor(extractor, tokenizer)
    if processor:
        both.save_pretrained(folder)
    return model, both


def sound(seed: int, samples: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    bursts = np.repeat(rng.uniform(0, 0.5, samples // 800 + 1), 800)[:samples]
    return (rng.standard_normal(samples) * bursts + 0.05).astype(np.float32)


@torch.no_grad()
def logits_of(model, processor, waveform) -> torch.Tensor:
    return model(processor(waveform, sampling_rate=16_000, return_tensors="pt").input_values).logits[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalise", [False, True])
def test_logits_and_transcriptions_are_those_of_transformers(kind, normalise, tmp_path):
    model, processor = written(tmp_path / "theirs", kind, normalise=normalise)
    convert_checkpoint(tmp_path / "theirs", tmp_path / "ours", "transformers")
    ours = load_model(tmp_path / "ours", task="phonemes", device="cpu")
    network = ours.loaded.network
    for seed, samples in enumerate((24_000, 9_777, 400)):
        waveform = sound(seed, samples)
        theirs = logits_of(model, processor, waveform)
        with torch.inference_mode():
            features = network.features(torch.from_numpy(waveform[None]))["phonemes"]
            found = network.head("phonemes")(features)[0]
        assert (found - theirs).abs().max() <= 1e-5 * max(1.0, float(theirs.abs().max()))

        segments = Segments(np.array([0]), np.array([samples]), np.array(["KCHI"], dtype=object))
        spoken = ours(waveform, segments).columns["phonemes"][0]
        # not skip_special_tokens=True, which drops the blanks before repeats are joined
        text = processor.tokenizer.decode(theirs.argmax(-1)).replace("[UNK]", "")
        assert spoken.replace(" ", "") == text.replace(" ", "")
        assert len(text) > 3 or samples < 24_000


def test_padded_batches_are_those_of_transformers(tmp_path):
    for kind in ("wavlm large", "wav2vec2 large"):
        model, processor = written(tmp_path / "theirs", kind)
        encoder = load_encoder(tmp_path / "theirs")
        waveforms = [sound(1, 16_000), sound(2, 9_000)]
        given = processor(
            waveforms, sampling_rate=16_000, padding=True, return_tensors="pt", return_attention_mask=True
        )
        lengths = torch.tensor([16_000, 9_000])
        with torch.no_grad():
            theirs = model(**given).logits
            padded = torch.zeros(2, 16_000)
            for row, waveform in zip(padded, waveforms, strict=True):
                row[: len(waveform)] = torch.from_numpy(waveform)
            features = encoder(padded, lengths=lengths)
            ours = torch.nn.functional.linear(features.last, model.lm_head.weight, model.lm_head.bias)
        for row, frames in enumerate(features.frames.tolist()):
            assert torch.allclose(ours[row, :frames], theirs[row, :frames], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_auto_model_opens_the_converted_folder(kind, tmp_path):
    model, _ = written(tmp_path / "theirs", kind, pickled=True)
    convert_checkpoint(tmp_path / "theirs", tmp_path / "ours", "transformers")
    opened = transformers.AutoModel.from_pretrained(tmp_path / "ours").eval()
    waveform = torch.from_numpy(sound(0, 16_000)[None])
    with torch.no_grad():
        expected = model.base_model(waveform).last_hidden_state
        assert torch.allclose(opened(waveform).last_hidden_state, expected, atol=1e-5)
    assert read_checkpoint(tmp_path / "ours").config == read_checkpoint(tmp_path / "theirs").config


def test_marks_join_the_phone_before_and_special_tokens_are_no_sounds(tmp_path):
    model, _ = written(tmp_path / "theirs")
    path = ["[UNK]", "ʃ", "|", "ʃ", "ː", "[PAD]", "ː", "a", "\u0303", "aɪ", "aɪ", "|", "\u0303"]
    convert_checkpoint(tmp_path / "theirs", tmp_path / "ours", "transformers")
    ours = load_model(tmp_path / "ours", task="phonemes", device="cpu")
    assert ours.labels[-1] == "<blank>"
    scores = np.full((len(path), len(TOKENS)), -9.0, dtype=np.float32)
    scores[np.arange(len(path)), [TOKENS.index(token) for token in path]] = 9.0
    for model in (ours, ours.with_changes(beam=4)):
        (symbols,) = model.predict([scores])
        assert [TOKENS[row] for row in symbols.ids] == ["ʃ", "ʃ", "ː", "ː", "a", "\u0303", "aɪ", "\u0303"]
        timed = model._timed(type("P", (), {"result": symbols, "origin": 3200}))
        assert [each.phoneme for each in timed] == ["ʃ", "ʃːː", "a\u0303", "aɪ\u0303"]
        assert [(each.start, each.end) for each in timed[:2]] == [(3520, 3840), (4160, 5440)]


def test_buckets_of_positions():
    buckets = position_buckets(torch.arange(-900, 901), 320, 800)
    by_offset = dict(zip(range(-900, 901), buckets.tolist(), strict=True))
    assert [by_offset[k] for k in (0, -1, -79, 1, 79)] == [0, 1, 79, 161, 239]
    assert by_offset[-80] == 80
    assert by_offset[-800] == by_offset[-900] == 159
    assert by_offset[800] == 319
    assert all(by_offset[k] <= by_offset[k + 1] for k in range(1, 900))


def test_tokens_added_by_the_tokenizer(tmp_path):
    """Special tokens beyond the outputs, as many published models have them, and a blank named in a table."""
    written(tmp_path / "theirs")
    config = json.loads((tmp_path / "theirs/tokenizer_config.json").read_text())
    decoder = {str(len(TOKENS) + k): {"content": name, "special": True} for k, name in enumerate(("<s>", "</s>"))}
    config |= {"added_tokens_decoder": decoder, "pad_token": {"content": "[PAD]", "lstrip": False}}
    (tmp_path / "theirs/tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "theirs/added_tokens.json").write_text(json.dumps({"<s>": len(TOKENS), "</s>": len(TOKENS) + 1}))
    head = read_checkpoint(tmp_path / "theirs").heads["phonemes"]
    assert head.labels == (*TOKENS[:-1], "<blank>")


def edited(folder, name, **changes):
    file = folder / name
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | changes))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "vocab.json").unlink(), r"theirs: no vocab\.json beside this CTC model"),
        (lambda f: (f / "vocab.json").write_text("{"), r"vocab\.json: cannot be read as JSON"),
        (
            lambda f: edited(f, "vocab.json", ə=len(TOKENS)),
            r"vocab\.json: .*23 outputs .*1 token beyond them, such as ə",
        ),
        (
            lambda f: (f / "vocab.json").write_text(json.dumps({"[PAD]": len(TOKENS) - 1, "a": 0})),
            r"vocab\.json: .*no token for 18 of them, such as output 1",
        ),
        (lambda f: edited(f, "vocab.json", a=2), r"vocab\.json: several tokens have the output 2: a, b"),
        (lambda f: edited(f, "vocab.json", a="x"), r"vocab\.json: the output of 'a' is 'x'"),
        (lambda f: (f / "vocab.json").write_text('{"eng": {"a": 0}}'), r"one vocabulary per language \(eng\)"),
        (
            lambda f: edited(f, "config.json", pad_token_id=0),
            r"blank is output 22 \(\[PAD\]\) .* output 0 for",
        ),
        (lambda f: edited(f, "tokenizer_config.json", pad_token="<none>"), r"no output is the padding token '<none>'"),
        (
            lambda f: edited(f, "config.json", add_adapter=True),
            r"config\.json: add_adapter is True: conv",
        ),
        (
            lambda f: edited(f, "config.json", adapter_attn_dim=16),
            r"adapter_attn_dim is 16: adapters inside",
        ),
        (
            lambda f: edited(f, "config.json", model_type="wav2vec2-bert"),
            r"model_type is 'wav2vec2-bert': only 'hubert', 'wav2vec2', 'wavlm' are supported",
        ),
        (lambda f: edited(f, "config.json", model_type="wavlm"), r"tensors? missing: .*gru_rel_pos_const"),
    ],
)
def test_bad_models_are_one_clear_line(spoil, message, tmp_path):
    written(tmp_path / "theirs")
    spoil(tmp_path / "theirs")
    with pytest.raises(CheckpointError, match=message):
        convert_checkpoint(tmp_path / "theirs", tmp_path / "ours", "transformers")
    assert not (tmp_path / "ours").exists()


def test_without_vocabulary_the_encoder_alone(tmp_path):
    written(tmp_path / "theirs", processor=False)
    done = convert_checkpoint(tmp_path / "theirs", tmp_path / "ours", "transformers", allow_loss=True)
    assert done.left_out == ("the ctc head",)
    assert not read_checkpoint(tmp_path / "ours").heads


def test_wavlm_has_no_place_in_other_layouts(tmp_path):
    written(tmp_path / "theirs", "wavlm base")
    for layout in ("torchaudio", "fairseq", "babar"):
        with pytest.raises(CheckpointError, match="write 'transformers'"):
            convert_checkpoint(tmp_path / "theirs", tmp_path / "ours.ckpt", layout, allow_loss=True)


def test_relative_positions_are_trained_with_the_rest(tmp_path):
    written(tmp_path / "theirs", "wavlm base")
    encoder = load_encoder(tmp_path / "theirs").train()
    encoder.gradient_checkpointing = True
    encoder(torch.from_numpy(sound(0, 8_000)[None])).last.square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert encoder.encoder.layers[0].attention.rel_attn_embed.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("changes", [{"relative_buckets": 30}, {"relative_buckets": -4}, {"relative_distance": 80}])
def test_impossible_relative_positions(changes):
    with pytest.raises(ConfigError, match=r"relative_"):
        HubertConfig(**{"relative_buckets": 320, **changes})
