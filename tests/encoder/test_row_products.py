"""Convolutions as matrix products, with gradients, against torch's convolutions."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_encoders import training_encoder

from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.row_products import grouped_convolution
from babyhubert.encoder.weight_norm import WeightNormConv


def encoder(dtype: torch.dtype = torch.float64, **changes: object) -> HubertEncoder:
    return training_encoder(**changes).to(dtype)


def gradients(model: HubertEncoder, waveforms: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    output = model(waveforms)
    weights = torch.linspace(-1, 1, output.last.numel()).view_as(output.last).to(output.last)
    (output.last * weights).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@settings(max_examples=15)
@given(samples=st.integers(400, 6000), rows=st.integers(1, 3))
def test_outputs_and_all_gradients_are_those_of_convolutions(samples: int, rows: int):
    plain = encoder()
    by_rows = copy.deepcopy(plain)
    by_rows.convolve_by_rows(True)
    waveforms = torch.randn(rows, samples, dtype=torch.float64, generator=torch.Generator().manual_seed(samples)) + 0.1
    torch.testing.assert_close(by_rows(waveforms).last, plain(waveforms).last)
    torch.testing.assert_close(by_rows(waveforms).features, plain(waveforms).features)
    expected = gradients(plain, waveforms)
    largest = max(gradient.abs().max() for gradient in expected.values())
    for name, gradient in gradients(by_rows, waveforms).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-6, atol=1e-9 * float(largest), msg=name)


@given(
    groups=st.sampled_from([1, 2, 4]),
    kernel=st.sampled_from([1, 3, 4, 7, 16, 24, 128]),
    frames=st.integers(1, 40),
)
def test_a_grouped_convolution_and_its_gradients(groups: int, kernel: int, frames: int):
    generator = torch.Generator().manual_seed(kernel)
    x = torch.randn(2, frames, 8, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(8, 8 // groups, kernel, dtype=torch.float64, generator=generator, requires_grad=True)
    expected = F.conv1d(x.transpose(1, 2), weight, padding=kernel // 2, groups=groups)[..., :frames].transpose(1, 2)
    y = grouped_convolution(x, weight, groups)
    torch.testing.assert_close(y, expected)
    direction = torch.randn(y.shape, dtype=torch.float64, generator=generator)
    ours = torch.autograd.grad(y, (x, weight), direction)
    for gradient, wanted in zip(ours, torch.autograd.grad(expected, (x, weight), direction), strict=True):
        torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("width", [128, 192, 256])
def test_relative_positions_in_bfloat16_are_those_of_float32(width: int):
    """Torch's convolution is wrong here for 8 and 12 channels a group, on CPUs with AMX."""
    conv = WeightNormConv(width, 128, 16)
    x = torch.randn(1, 700, width, generator=torch.Generator().manual_seed(width))
    expected = conv(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = conv(x).float()
    assert float((found - expected).norm() / expected.norm()) < 0.01


def test_in_reduced_precision_a_quiet_voice_on_an_offset_is_heard_better_than_by_convolutions():
    exact = encoder(torch.float32)
    waveforms = 0.5 + 0.001 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    expected = exact(waveforms).features.detach()
    errors = {}
    for choice in (False, True):
        exact.convolve_by_rows(choice)
        with torch.autocast("cpu", torch.bfloat16):
            features = exact(waveforms).features.detach().float()
        errors[choice] = float((features - expected).norm() / expected.norm())
    assert errors[True] < 0.02
    assert errors[True] < 0.5 * errors[False]


def test_gradient_checkpointing_gives_the_same_gradients():
    model = encoder()
    model.convolve_by_rows(True)
    waveforms = torch.randn(2, 3000, dtype=torch.float64)
    expected = gradients(model, waveforms)
    model.gradient_checkpointing = True
    torch.testing.assert_close(gradients(model, waveforms), expected)


@pytest.mark.parametrize("changes", [{"feature_norm": "layer"}, {"conv_bias": True}])
def test_models_that_do_not_allow_it_keep_their_front_end(changes: dict[str, object]):
    plain = encoder(**changes)
    by_rows = copy.deepcopy(plain)
    by_rows.convolve_by_rows(True)
    waveforms = torch.randn(1, 3000, dtype=torch.float64)
    assert torch.equal(by_rows.feature_extractor(waveforms), plain.feature_extractor(waveforms))
    torch.testing.assert_close(by_rows(waveforms).last, plain(waveforms).last)


def test_evaluation_hears_what_training_hears():
    plain = encoder(torch.float32).eval()
    by_rows = copy.deepcopy(plain)
    by_rows.convolve_by_rows(True)
    waveforms = torch.randn(1, 3000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(by_rows(waveforms).last, plain(waveforms).last, rtol=1e-4, atol=1e-5)
    trained = copy.deepcopy(by_rows).train()
    assert torch.equal(by_rows(waveforms).last, trained(waveforms).last)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("saving", [False, True])
def test_gradients_under_autocast_are_those_of_float32_up_to_rounding(dtype: torch.dtype, saving: bool):
    model = encoder(torch.float32)
    waveforms = 0.1 * torch.randn(2, 6000, generator=torch.Generator().manual_seed(0))
    expected = gradients(model, waveforms)
    model.convolve_by_rows(True)
    model.gradient_checkpointing = saving
    with torch.autocast("cpu", dtype):
        found = gradients(model, waveforms)
    for name, gradient in found.items():
        if "k_proj.bias" in name:  # zero but for rounding
            continue
        assert gradient.dtype == torch.float32
        assert (gradient - expected[name]).norm() < 0.1 * expected[name].norm(), name


def test_parameters_of_16_bits_work_as_with_convolutions():
    plain = encoder(torch.bfloat16)
    by_rows = copy.deepcopy(plain)
    by_rows.convolve_by_rows(True)
    waveforms = torch.randn(1, 3000, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    found, expected = by_rows(waveforms).last, plain(waveforms).last
    assert found.dtype == torch.bfloat16
    assert (found - expected).float().norm() < 0.05 * expected.float().norm()


def test_the_first_layer_is_in_16_bits_under_autocast():
    """In float32 it would be the slowest part of a step."""
    model = encoder(torch.float32)
    model.convolve_by_rows(True)
    seen: list[torch.Tensor] = []
    with torch.autocast("cpu", torch.bfloat16):
        model.feature_extractor(
            torch.randn(1, 4000, generator=torch.Generator().manual_seed(0)),
            lambda layer, *arguments: seen.append(layer(*arguments)) or seen[-1],
        )
    assert {activation.dtype for activation in seen} == {torch.bfloat16}


@pytest.fixture
def whole_products():
    """Float32 products of full precision, which a training run before it in the same process has given up."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    with torch.backends.cudnn.flags(allow_tf32=False):
        yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compiling takes a minute on a CPU, and is for GPUs")
def test_by_rows_and_compiled_a_gpu_gives_the_gradients_of_a_cpu(whole_products):
    plain = encoder(torch.float32)
    fast = copy.deepcopy(plain).cuda().prepare_training(compiled=True)
    for samples in (3000, 4000):
        waveforms = torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
        expected = gradients(plain, waveforms)
        largest = max(float(gradient.abs().max()) for gradient in expected.values())
        for name, gradient in gradients(fast, waveforms.cuda()).items():
            torch.testing.assert_close(gradient.cpu(), expected[name], rtol=1e-2, atol=1e-4 * largest, msg=name)
    assert set(fast.state_dict()) == set(plain.state_dict())


def test_training_is_by_rows():
    model = encoder().prepare_training()
    assert model.feature_extractor.by_rows
    assert model.encoder.pos_conv_embed.conv.by_rows
