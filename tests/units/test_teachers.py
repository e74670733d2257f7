"""Teachers: names, the layer that is meant, evaluation mode, the frame grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from packs import LENGTHS, StandIn, spectrum
from small_encoders import TINY, TINY_LARGE, fresh, noise

from babyhubert.compute.processes import RankInfo
from babyhubert.corpus.shards import Pack
from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.errors import CheckpointError, ConfigError, CorpusError
from babyhubert.units.batches import equal_length_batches, samples_in, shards_of, teach
from babyhubert.units.teachers import HubertTeacher, MfccTeacher, TeacherName, WavLMTeacher, load_teacher


def hubert_folder(folder, config=TINY, seed=0):
    save_model_folder(folder, Checkpoint("transformers", config, fresh(config, seed).state_dict(), {}, {}, {}))
    return folder


def wavlm_model(stable: bool = False):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.WavLMConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=48, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, do_stable_layer_norm=stable,
        feat_extract_norm="layer" if stable else "group", hidden_dropout=0.3, attention_dropout=0.3, layerdrop=0.5,
    )  # fmt: skip
    return transformers.WavLMModel(config).eval()


@pytest.fixture(scope="module")
def wavlm_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wavlm") / "model"
    wavlm_model().save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("text", "kind", "source", "layer"),
    [
        ("mfcc", "mfcc", "", 0),
        ("wavlm-base-plus:6", "wavlm", "microsoft/wavlm-base-plus", 6),
        ("wavlm:some/where:0", "wavlm", "some/where", 0),
        ("coml/BabyHuBERT:7", "hubert", "coml/BabyHuBERT", 7),
        (r"C:\models\mine:12", "hubert", r"C:\models\mine", 12),
    ],
)
def test_names(text, kind, source, layer):
    assert TeacherName.parse(text) == TeacherName(text, kind, source, layer)


@pytest.mark.parametrize("text", ["", "hubert", "mfcc:3", "a/b:", ":4", "a/b:-1", "a/b:x", r"C:\models", "a/b:²"])
def test_impossible_names_are_one_line(text):
    with pytest.raises(ConfigError, match="teacher '") as caught:
        TeacherName.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", [TINY, TINY_LARGE])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_hubert_layers_are_hidden_states(config, layer, tmp_path):
    encoder = fresh(config)
    teacher = load_teacher(f"{hubert_folder(tmp_path / 'model', config)}:{layer}", "cpu")
    waveforms = noise(2, 5_000)
    with torch.no_grad():
        every = encoder(waveforms, layers=range(config.layers + 1)).hidden
    torch.testing.assert_close(teacher.features(waveforms), every[layer])
    assert teacher.identity["layer"] == layer
    assert len(teacher.identity["weights"]) == 64


@pytest.mark.parametrize("stable", [False, True])
def test_wavlm_layers_are_hidden_states_and_blocks_above_are_gone(stable):
    waveforms = noise(2, 5_000)
    with torch.no_grad():
        states = wavlm_model(stable)(waveforms, output_hidden_states=True).hidden_states
    for layer in range(5):
        model = wavlm_model(stable)
        teacher = WavLMTeacher(model, layer, "w", "hash")
        torch.testing.assert_close(teacher.features(waveforms), states[layer])
        assert len(model.encoder.layers) == max(layer, 1)


def test_wavlm_from_a_folder(wavlm_folder):
    teacher = load_teacher(f"wavlm:{wavlm_folder}:2", "cpu")
    with torch.no_grad():
        wanted = wavlm_model()(noise(1, 3_000), output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(teacher.features(noise(1, 3_000)), wanted)
    assert teacher.identity["kind"] == "wavlm"
    assert teacher.dim == 32


def test_wrong_models_and_layers_are_named(wavlm_folder, tmp_path):
    folder = hubert_folder(tmp_path / "hubert")
    with pytest.raises(ConfigError, match="no layer 9; this model has layers 0 to 3"):
        load_teacher(f"{folder}:9", "cpu")
    with pytest.raises(ConfigError, match="no layer 5"):
        load_teacher(f"wavlm:{wavlm_folder}:5", "cpu")
    with pytest.raises(CheckpointError, match="holds a hubert model, not WavLM"):
        load_teacher(f"wavlm:{folder}:2", "cpu")
    with pytest.raises(CheckpointError, match="no such file or folder"):
        load_teacher(f"{tmp_path}/absent/model:2", "cpu")
    with pytest.raises(ConfigError, match="bfloat16 runs on CUDA only"):
        load_teacher(f"{folder}:2", "cpu", "bfloat16")


def test_wavlm_without_all_weights_is_refused(wavlm_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((wavlm_folder / "config.json").read_bytes())
    tensors = load_file(wavlm_folder / "model.safetensors")
    del tensors["encoder.layers.1.attention.k_proj.weight"]
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks 1 tensors"):
        load_teacher(f"wavlm:{broken}:2", "cpu")


def test_a_teacher_in_training_mode_is_put_into_evaluation_mode():
    encoder = fresh(TINY).train()
    teacher = HubertTeacher(encoder, 2, "h", "hash")
    encoder.train()
    waveforms = noise(1, 4_000)
    first, second = teacher.features(waveforms), teacher.features(waveforms)
    assert torch.equal(first, second)
    assert not first.requires_grad
    wavlm = wavlm_model().train()
    teacher = WavLMTeacher(wavlm, 3, "w", "hash")
    wavlm.train()
    assert torch.equal(teacher.features(waveforms), teacher.features(waveforms))


def test_another_number_of_frames_is_an_error():
    teacher = StandIn(lambda waveforms: torch.zeros(len(waveforms), 99, 8), 8, "hop-160")
    with pytest.raises(CorpusError, match="teacher hop-160: 99 frames of width 8 for 16000 samples instead of 49"):
        teacher.features(torch.zeros(1, 16_000))


def test_batches_hold_equal_lengths_and_every_row_once(pack: Pack):
    rows = np.arange(len(pack))
    batches = list(equal_length_batches(pack, rows, seconds=2.0))
    assert all(len(set(pack.samples[batch])) == 1 for batch in batches)
    assert sorted(np.concatenate(batches)) == [row for row in rows if pack.samples[row] >= 400]
    assert max(len(batch) for batch in batches) == 2
    assert max(len(batch) for batch in equal_length_batches(pack, rows, seconds=0.0)) == 1


def test_a_batch_changes_no_feature(pack: Pack):
    teacher = HubertTeacher(fresh(TINY), 2, "h", "hash")
    rows = np.arange(len(pack))
    alone = {int(f.rows[0]): f.features[0] for f in teach(pack, rows, teacher, 0.0)}
    together = {int(r): f.features[i] for f in teach(pack, rows, teacher, 60.0) for i, r in enumerate(f.rows)}
    assert alone.keys() == together.keys()
    for row in alone:
        torch.testing.assert_close(alone[row], together[row], atol=2e-5, rtol=1e-4)


def test_features_that_are_not_finite_name_the_segment(pack: Pack):
    def sick(waveforms):
        features = spectrum(waveforms)
        if waveforms.shape[1] == 8_000:
            features[0, 3, 2] = torch.nan
        return features

    with pytest.raises(CorpusError, match=r"recording r4, 0\.400 to 0\.900 s are not finite"):
        list(teach(pack, np.arange(len(pack)), StandIn(sick, 8), 60.0))


def test_mfcc_teacher_hears_samples_as_stored(pack: Pack):
    from babyhubert.audio.mfcc import mfcc

    teacher = MfccTeacher()
    features = teacher.features(torch.from_numpy(pack.audio(0))[None])[0]
    np.testing.assert_array_equal(features.numpy(), mfcc(pack.audio(0)))


def test_shards_are_shared_out_by_size(pack: Pack):
    places = [RankInfo(rank, 2, rank) for rank in range(2)]
    shares = [shards_of(pack, place) for place in places]
    assert sorted(shares[0] + shares[1]) == [0, 1, 2]
    assert shares[0] == [0]
    assert samples_in(pack, shares[1]) == sum(map(sum, LENGTHS[1:]))
    assert shards_of(pack, RankInfo(4, 5)) == []
