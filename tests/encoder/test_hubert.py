"""The encoder against transformers' HubertModel with the same weights, and against its own promises."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_encoders import TINY, TINY_LARGE, fresh, generator, noise, training_encoder
from torch import Tensor

from babyhubert.encoder.config import SIZES, HubertConfig
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.pretraining_head import PretrainingHead
from babyhubert.timebase import frame_count

TOLERANCE = 2e-5
_TWINS: dict[HubertConfig, tuple] = {}


@torch.inference_mode(False)
def twins(config: HubertConfig) -> tuple:
    """Our encoder and transformers' with the same weights."""
    if config not in _TWINS:
        from transformers import HubertConfig as Theirs
        from transformers import HubertModel

        ours = fresh(config)
        theirs = HubertModel(Theirs(**config.to_transformers())).eval()
        theirs.load_state_dict(ours.state_dict(), strict=True)
        _TWINS[config] = ours, theirs
    return _TWINS[config]


@torch.inference_mode()
def assert_equal_hidden_states(
    config: HubertConfig, waveforms: Tensor, lengths: Tensor | None = None, tolerance: float = TOLERANCE
) -> None:
    ours, theirs = twins(config)
    mask = None if lengths is None else (torch.arange(waveforms.shape[1]) < lengths[:, None]).long()
    expected = theirs(waveforms, attention_mask=mask, output_hidden_states=True)
    got = ours(waveforms, layers=range(config.layers + 1), lengths=lengths)
    assert set(got.hidden) == set(range(config.layers + 1))
    for layer, hidden in got.hidden.items():
        assert (hidden - expected.hidden_states[layer]).abs().max() <= tolerance, f"layer {layer}"
    assert (got.last - expected.last_hidden_state).abs().max() <= tolerance


@pytest.mark.parametrize("samples", [400, 401, 719, 720, 16_000, 40_123])
def test_base_equals_transformers(samples):
    assert_equal_hidden_states(SIZES["base"], noise(1, samples))


@settings(max_examples=5, deadline=None)
@example(samples=640_000, seed=0)
@example(samples=719, seed=0)
@given(samples=st.integers(400, 160_000), seed=st.integers(0, 1000))
def test_nano_equals_transformers_at_any_length(samples, seed):
    assert_equal_hidden_states(SIZES["nano"], noise(1, samples, seed))


@settings(max_examples=6, deadline=None)
@given(samples=st.integers(400, 32_000), batch=st.integers(1, 3))
def test_pre_norm_with_layer_norm_features_equals_transformers(samples, batch):
    assert_equal_hidden_states(TINY_LARGE, noise(batch, samples))


@pytest.mark.parametrize("config", [TINY, TINY_LARGE], ids=["group norm", "layer norm"])
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(400, 20_000), min_size=1, max_size=4))
def test_padded_batches_equal_transformers(config, lengths):
    waveforms = noise(len(lengths), max(lengths) + 700)
    for row, length in enumerate(lengths):
        waveforms[row, length:] = 0
    assert_equal_hidden_states(config, waveforms, torch.tensor(lengths))


def test_odd_positional_kernel_equals_transformers():
    assert_equal_hidden_states(TINY.with_changes(position_kernel=63), noise(1, 8000))


@settings(max_examples=15, deadline=None)
@given(samples=st.integers(400, 6000))
def test_frames_are_those_of_the_grid(samples):
    assert twins(TINY)[0](noise(1, samples)).last.shape == (1, frame_count(samples), TINY.hidden_size)


def test_valid_frames_of_each_length():
    lengths = torch.tensor([400, 719, 720, 16_000])
    assert twins(TINY)[0](noise(4, 16_000), lengths=lengths).frames.tolist() == [
        frame_count(n) for n in lengths.tolist()
    ]


def test_stopping_early_changes_nothing():
    encoder, waveforms = twins(SIZES["nano"])[0], noise(2, 8000)
    whole = encoder(waveforms, layers=range(5))
    for layer in range(5):
        early = encoder(waveforms, layers=[layer])
        assert torch.equal(early.last, early.hidden[layer])
        assert torch.equal(early.last, whole.hidden[layer])
    assert torch.equal(encoder(waveforms).last, whole.last)


def test_blocks_above_the_highest_layer_do_not_run():
    encoder = fresh(TINY)
    with torch.no_grad():
        encoder.encoder.layers[2].feed_forward.output_dense.bias.fill_(torch.nan)
    assert encoder(noise(1, 4000), layers=[2]).last.isfinite().all()
    assert not encoder(noise(1, 4000)).last.isfinite().all()


def test_neighbours_of_equal_length_do_not_matter():
    encoder, waveforms = twins(TINY)[0], noise(4, 9000)
    waveforms[2] *= 100
    together = encoder(waveforms).last
    for row in range(4):
        torch.testing.assert_close(encoder(waveforms[row : row + 1]).last[0], together[row], atol=1e-5, rtol=1e-5)


def test_full_lengths_build_no_mask(monkeypatch):
    encoder, waveforms = twins(TINY)[0], noise(2, 4000)
    masks = []
    attention = torch.nn.functional.scaled_dot_product_attention

    def watched(*arguments, attn_mask=None, **keywords):
        masks.append(attn_mask)
        return attention(*arguments, attn_mask=attn_mask, **keywords)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    full = encoder(waveforms, lengths=torch.tensor([4000, 4000]))
    assert masks == [None] * 3
    assert torch.equal(full.last, encoder(waveforms).last)
    encoder(waveforms, lengths=torch.tensor([4000, 3000]))
    assert masks[-1].shape == (2, 1, 1, frame_count(4000))


def test_mask_replaces_frames():
    encoder, embedding = twins(TINY)[0], torch.randn(TINY.hidden_size)
    mask = torch.zeros(1, frame_count(8000), dtype=torch.bool)
    plain = encoder(noise(1, 8000)).last
    assert torch.equal(plain, encoder(noise(1, 8000), mask=mask, mask_embedding=embedding).last)
    everything = encoder(noise(1, 8000, seed=5), mask=~mask, mask_embedding=embedding).last
    assert torch.equal(everything, encoder(noise(1, 8000, seed=6), mask=~mask, mask_embedding=embedding).last)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"waveforms": torch.zeros(1, 399)}, "400"),
        ({"waveforms": torch.zeros(16_000)}, "batch, samples"),
        ({"layers": [13]}, "13"),
        ({"layers": [-1]}, "-1"),
        ({"lengths": torch.tensor([399, 800])}, "399"),
        ({"lengths": torch.tensor([800, 801])}, "801"),
        ({"lengths": torch.tensor([800])}, "shape"),
        ({"mask": torch.zeros(2, 2, dtype=torch.bool)}, "together"),
    ],
)
def test_impossible_arguments_are_named(arguments, word):
    with pytest.raises(ValueError, match=word):
        twins(TINY)[0](arguments.pop("waveforms", noise(2, 800)), **arguments)


def gradients(encoder: HubertEncoder) -> dict[str, Tensor]:
    output = encoder(noise(2, 6000))
    (output.last.square().mean() + output.features.square().mean()).backward()
    return {name: parameter.grad for name, parameter in encoder.named_parameters()}


@pytest.mark.parametrize("pre_norm", [False, True])
def test_gradient_reaches_every_parameter_even_when_layers_drop(pre_norm):
    encoder = training_encoder(layer_drop=0.9, pre_norm=pre_norm)
    assert all(gradient is not None for gradient in gradients(encoder).values())
    encoder = training_encoder(pre_norm=pre_norm)
    zero = [name for name, gradient in gradients(encoder).items() if not gradient.any() and "k_proj.bias" not in name]
    assert zero == []


def test_feature_gradient_is_scaled_and_the_value_is_not():
    whole, scaled = training_encoder(feature_grad_scale=1.0), training_encoder(feature_grad_scale=0.1)
    assert torch.equal(whole(noise(1, 6000)).last, scaled(noise(1, 6000)).last)
    expected, got = gradients(whole), gradients(scaled)
    for name, gradient in got.items():
        factor = 0.1 if name.startswith("feature_extractor.") else 1.0
        torch.testing.assert_close(gradient, expected[name] * factor, atol=1e-7, rtol=1e-4)


def test_gradient_checkpointing_gives_the_same_gradients():
    plain, saving = training_encoder(), training_encoder()
    saving.gradient_checkpointing = True
    expected = gradients(plain)
    for name, gradient in gradients(saving).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-7, rtol=1e-4)


def test_gradients_equal_transformers():
    ours, theirs = copy.deepcopy(twins(TINY.with_changes(feature_grad_scale=1.0)))
    ours(noise(2, 5000)).last.square().mean().backward()
    theirs(noise(2, 5000)).last_hidden_state.square().mean().backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, atol=1e-6, rtol=1e-3)


def test_frozen_features_get_no_gradient():
    encoder = training_encoder().freeze_features()
    encoder(noise(1, 4000)).last.sum().backward()
    assert all(parameter.grad is None for parameter in encoder.feature_extractor.parameters())
    assert encoder.feature_projection.projection.weight.grad is not None


def test_layer_drop_only_in_training_and_without_collected_layers():
    encoder = training_encoder(layer_drop=0.9)
    reference = copy.deepcopy(encoder).eval()(noise(1, 4000), layers=[0, 3])
    assert torch.equal(encoder(noise(1, 4000), layers=[3]).last, reference.last)
    torch.manual_seed(3)
    dropped = [encoder(noise(1, 4000)).last for _ in range(20)]
    assert any(torch.equal(last, reference.hidden[0]) for last in dropped)


def test_folding_changes_no_value_and_no_copy():
    encoder, waveforms = fresh(TINY), noise(1, 4000)
    before, names = encoder(waveforms).last, list(encoder.state_dict())
    twin = copy.deepcopy(encoder).fold_weight_norm()
    assert torch.equal(twin(waveforms).last, before)
    assert torch.equal(encoder(waveforms).last, before)
    assert list(twin.state_dict()) == names
    with torch.no_grad():
        for model in (twin, encoder):
            model.encoder.pos_conv_embed.conv.factors.original0.mul_(2)
    assert torch.equal(twin(waveforms).last, before)
    assert torch.equal(twin.train().eval()(waveforms).last, encoder(waveforms).last)
    folded = fresh(TINY, seed=9).fold_weight_norm()
    folded.load_state_dict(encoder.state_dict())
    assert torch.equal(folded(waveforms).last, encoder(waveforms).last)


def test_output_holds_what_the_convolutions_gave():
    encoder = twins(TINY)[0]
    torch.testing.assert_close(encoder(noise(2, 4000)).features, encoder.feature_extractor(noise(2, 4000)))


def test_inference_leaves_the_waveform_alone():
    waveforms = noise(1, 4000)
    with torch.inference_mode():
        twins(TINY)[0](waveforms)
    assert torch.equal(waveforms, noise(1, 4000))


def test_initialisation_is_the_generators_alone():
    torch.manual_seed(1)
    one = initialise(HubertEncoder(TINY), generator(7)).state_dict()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    two = HubertEncoder(TINY)
    after_construction = torch.get_rng_state()
    two = initialise(two, generator(7)).state_dict()
    assert torch.equal(torch.get_rng_state(), after_construction)
    assert not torch.equal(state, after_construction)
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = initialise(HubertEncoder(TINY), generator(8)).state_dict()
    assert not torch.equal(
        one["encoder.layers.0.attention.q_proj.weight"], other["encoder.layers.0.attention.q_proj.weight"]
    )


def test_initial_distributions():
    state = initialise(HubertEncoder(SIZES["nano"]), generator()).state_dict()
    assert state["encoder.layers.0.feed_forward.output_dense.weight"].std() == pytest.approx(0.02, rel=0.02)
    position = "encoder.pos_conv_embed.conv.parametrizations.weight.original"
    assert state[position + "1"].std() == pytest.approx((4 / (192 * 128)) ** 0.5, rel=0.02)
    torch.testing.assert_close(state[position + "0"], state[position + "1"].norm(dim=(0, 1), keepdim=True))
    conv = state["feature_extractor.conv_layers.1.conv.weight"]
    assert conv.std() == pytest.approx((2 / (64 * 3)) ** 0.5, rel=0.03)


def test_compiles_without_a_graph_break():
    encoder = training_encoder(layer_drop=0.1)
    compiled = torch.compile(encoder, backend="eager", fullgraph=True)
    compiled(noise(1, 4000)).last.sum().backward()
    with torch.no_grad():
        got = compiled.eval()(noise(1, 4000)).last
        torch.testing.assert_close(got, encoder.eval()(noise(1, 4000)).last)


def test_logits_are_cosines_over_the_temperature():
    head = PretrainingHead(12, classes=7, projected=5).initialise(generator())
    frames = torch.randn(2, 3, 12)
    expected = (
        torch.nn.functional.cosine_similarity(head.final_proj(frames).unsqueeze(-2), head.label_embeddings, dim=-1)
        / 0.1
    )
    torch.testing.assert_close(head.logits(frames), expected)
    assert head.mask_embedding.min() >= 0
    assert head.label_embeddings.max() < 1
