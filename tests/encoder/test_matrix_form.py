"""The matrix form against the plain encoder: same frames, same numbers up to rounding, in any company."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_encoders import TINY, TINY_LARGE, fresh, noise

from babyhubert.encoder import matrix_form
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.matrix_form import use_matrix_form
from babyhubert.encoder.precision import has_byte_products
from babyhubert.inference.speed import SPEEDS
from babyhubert.timebase import frame_count

CONFIGS = {"group": TINY, "layer": TINY_LARGE}
UNUSUAL = TINY.with_changes(
    conv_dim=(8, 12, 16, 8), conv_kernel=(20, 21, 11, 2), conv_stride=(5, 4, 4, 4), position_kernel=9
)
CLOSE = {"atol": 3e-5, "rtol": 3e-5}


def both_forms(encoder, waveforms, dtype, **how):
    with torch.inference_mode():
        plain = encoder(waveforms, **how)
        form = use_matrix_form(encoder, dtype)(waveforms, **how)
    encoder.inference_form = None
    return plain, form


def relative_error(ours, theirs):
    return float((ours - theirs).norm() / theirs.norm())


@settings(deadline=None, max_examples=25)
@given(
    samples=st.integers(400, 9_000),
    rows=st.integers(1, 3),
    kind=st.sampled_from(["group", "layer"]),
    seed=st.integers(0, 99),
)
def test_float32_gives_the_plain_encoder_up_to_rounding(samples, rows, kind, seed):
    encoder = fresh(CONFIGS[kind])
    layers = range(encoder.config.layers + 1)
    plain, form = both_forms(encoder, noise(rows, samples, seed), torch.float32, layers=layers)
    assert form.last.shape == (rows, frame_count(samples), encoder.config.hidden_size)
    torch.testing.assert_close(form.last, plain.last, **CLOSE)
    for layer in layers:
        torch.testing.assert_close(form.hidden[layer], plain.hidden[layer], **CLOSE)


@pytest.mark.parametrize("biased", [False, True])
def test_kernels_of_many_strides_and_an_odd_positional_kernel(biased):
    for samples in (400, 2_001, 5_120, 5_119):
        plain, form = both_forms(fresh(UNUSUAL.with_changes(conv_bias=biased)), noise(2, samples), torch.float32)
        torch.testing.assert_close(form.last, plain.last, **CLOSE)


@pytest.mark.parametrize("kind", ["group", "layer"])
def test_padded_batches_are_masked_alike(kind):
    lengths = torch.tensor([6_000, 3_333, 400])
    plain, form = both_forms(fresh(CONFIGS[kind]), noise(3, 6_000), torch.float32, lengths=lengths)
    assert torch.equal(form.frames, plain.frames)
    torch.testing.assert_close(form.last, plain.last, **CLOSE)


@pytest.mark.parametrize("kind", ["group", "layer"])
def test_bfloat16_is_near(kind):
    plain, form = both_forms(fresh(CONFIGS[kind]), noise(2, 8_000), torch.bfloat16)
    assert form.last.dtype == torch.float32
    assert relative_error(form.last, plain.last) < 0.03


@pytest.mark.parametrize("disturbance", ["offset", "hum"])
def test_bfloat16_hears_a_quiet_voice_beside_something_loud(disturbance):
    time = torch.arange(16_000) / 16_000
    loud = 0.5 if disturbance == "offset" else 0.5 * torch.sin(2 * torch.pi * 50 * time)
    plain, form = both_forms(fresh(TINY), noise(1, 16_000) * 0.01 + loud, torch.bfloat16)
    assert relative_error(form.last, plain.last) < 0.04


@pytest.mark.skipif(not has_byte_products(), reason="this CPU has no byte products (VNNI)")
class TestBytes:
    @pytest.mark.parametrize("kind", ["group", "layer"])
    def test_they_are_near(self, kind):
        plain, form = both_forms(fresh(CONFIGS[kind]), noise(2, 8_000), torch.int8)
        assert form.last.dtype == torch.float32
        assert relative_error(form.last, plain.last) < 0.06

    def test_a_quiet_frame_beside_a_loud_one_keeps_its_digits(self):
        encoder = fresh(TINY)
        product = use_matrix_form(encoder, torch.int8).inference_form.transformers[0].blocks[0].up
        rows = noise(2, TINY.hidden_size) * torch.tensor([[1.0], [1e-4]])
        with torch.inference_mode():
            dense = encoder.encoder.layers[0].feed_forward.intermediate_dense
            expected = torch.nn.functional.gelu(dense(rows))
            together, alone = product(rows), product(rows[1:])
        assert relative_error(together, expected) < 0.02
        torch.testing.assert_close(together[1:], alone, rtol=0, atol=0)
        silent = torch.nn.functional.gelu(dense.bias.detach())
        assert relative_error(together[1] - silent, expected[1] - silent) < 0.05

    def test_silence_is_finite(self):
        _, form = both_forms(fresh(TINY), torch.zeros(1, 4_000), torch.int8)
        assert torch.isfinite(form.last).all()

    def test_copies_give_the_same(self):
        encoder = use_matrix_form(fresh(TINY), torch.int8)
        with torch.inference_mode():
            before = encoder(noise(1, 4_000)).last
            assert torch.equal(copy.deepcopy(encoder)(noise(1, 4_000)).last, before)


def test_bytes_are_refused_where_there_are_no_kernels(monkeypatch):
    monkeypatch.setattr(matrix_form, "can_multiply_bytes", lambda: False)
    with pytest.raises(ValueError, match="quantised"):
        use_matrix_form(fresh(TINY), torch.int8)


def test_silence_and_a_constant_are_finite_and_near():
    for waveforms in (torch.zeros(1, 4_000), torch.full((1, 4_000), 0.7)):
        plain, form = both_forms(fresh(TINY), waveforms, torch.float32)
        torch.testing.assert_close(form.last, plain.last, atol=1e-3, rtol=1e-3)


def test_a_row_does_not_depend_on_the_others():
    encoder = use_matrix_form(fresh(TINY), torch.bfloat16)
    waveforms = noise(4, 5_000)
    with torch.inference_mode():
        together = encoder(waveforms).last
        alone = torch.cat([encoder(row[None]).last for row in waveforms])
    assert relative_error(together, alone) < 0.01


def test_the_form_is_a_cache_that_training_and_other_weights_drop():
    encoder = fresh(TINY)
    names, count = list(encoder.state_dict()), encoder.parameter_count
    use_matrix_form(encoder, torch.float32)
    assert list(encoder.state_dict()) == names
    assert encoder.parameter_count == count
    assert copy.deepcopy(encoder).inference_form is not None
    encoder.load_state_dict(fresh(TINY, seed=5).state_dict())
    assert encoder.inference_form is None
    use_matrix_form(encoder, torch.float32).train()
    assert encoder.inference_form is None
    with pytest.raises(ValueError, match="eval"):
        use_matrix_form(encoder, torch.float32)


def test_masked_prediction_never_runs_in_it():
    encoder = use_matrix_form(fresh(TINY), torch.bfloat16)
    waveforms, mask = noise(1, 4_000), torch.zeros(1, frame_count(4_000), dtype=torch.bool)
    output = encoder(waveforms, mask=mask, mask_embedding=torch.zeros(TINY.hidden_size))
    np.testing.assert_array_equal(output.last.detach(), fresh(TINY)(waveforms).last.detach())


def test_it_compiles_to_one_graph():
    form = use_matrix_form(fresh(TINY.with_changes(layers=1)), torch.float32).inference_form
    explained = torch._dynamo.explain(form)(noise(2, 4_000), frozenset(), None, None)
    assert explained.graph_break_count == 0


@pytest.mark.parametrize("feature_norm", ["group", "layer"])
@pytest.mark.parametrize("conv_bias", [False, True])
@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"position_kernel": 1},
        {"position_kernel": 17, "position_groups": 1},
        {"conv_kernel": (10, 1, 4, 5, 8, 1, 1)},
        {"conv_kernel": (4, 5, 8, 4), "conv_stride": (4, 5, 4, 4), "conv_dim": (8, 7, 5, 6)},
        {"conv_kernel": (400,), "conv_stride": (320,), "conv_dim": (8,)},
        {"norm_eps": 1e-2, "normalise": True},
    ],
)
def test_every_supported_shape_gives_the_numbers_of_the_plain_encoder(feature_norm, conv_bias, pre_norm, changes):
    shape = TINY.with_changes(feature_norm=feature_norm, conv_bias=conv_bias, pre_norm=pre_norm, **changes)
    assert matrix_form.supports(shape) is None
    plain, form = both_forms(fresh(shape), noise(2, 4_001), torch.float32)
    torch.testing.assert_close(form.last, plain.last, **CLOSE)


def test_shapes_it_does_not_know_are_refused_and_run_as_they_are():
    @dataclasses.dataclass(frozen=True, slots=True)
    class Later(HubertConfig):
        position_norm: "bool" = False

    config = Later(**{field.name: getattr(TINY, field.name) for field in dataclasses.fields(TINY)})
    assert matrix_form.supports(config) is None
    encoder = fresh(TINY)
    encoder.config = dataclasses.replace(config, position_norm=True)
    assert "position_norm = True" in str(matrix_form.supports(encoder.config))
    with pytest.raises(ValueError, match="position_norm"):
        use_matrix_form(encoder, torch.float32)
    assert SPEEDS["fast"].prepare(encoder) == "exact"
    assert encoder.inference_form is None
