"""Replayed passes give what plain calls give, whatever came between; skipped where there is no CUDA device."""

import copy

import pytest
import torch
from torch import nn

from babyhubert.training.recorded_gradients import FlatGradients, RecordedGradients


def a_model(device="cpu", seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(7, 33), nn.GELU(), nn.LayerNorm(33), nn.Linear(33, 5)).to(device)


def test_gradients_are_views_of_one_tensor_and_clipped_as_torch_clips():
    model = a_model()
    plain = copy.deepcopy(model)
    gradients = FlatGradients(model.parameters())
    x = torch.randn(4, 7)
    for one in (model, plain):
        one(x).square().sum().backward()
    expected = nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
    assert gradients.clip(0.5).item() == pytest.approx(expected.item(), rel=1e-6)
    for own, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)
        assert own.grad.data_ptr() % 128 == gradients.values.data_ptr() % 128
    gradients.values.zero_()
    assert all(not parameter.grad.any() for parameter in model.parameters())


def test_a_small_gradient_is_not_made_larger():
    gradients = FlatGradients(a_model().parameters())
    gradients.values.fill_(1e-3)
    norm = gradients.clip(100.0)
    assert norm < 100
    assert (gradients.values == 1e-3).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_replayed_passes_are_plain_passes():
    device = torch.device("cuda", torch.cuda.current_device())
    model, drop = a_model(device), nn.Dropout(0.3)
    gradients = FlatGradients(model.parameters())

    def run(x, scale):
        loss = (drop(model(x)).square() * scale).sum()
        loss.backward()
        return (loss.detach(),)

    recorded = RecordedGradients(run, gradients, device)
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    generator = torch.Generator().manual_seed(1)
    for step, rows in enumerate([4, 6, 4, 4, 6, 9, 6, 4, 6]):
        x = torch.randn(rows, 7, generator=generator).to(device)
        scale = torch.full((), 0.1 * (step + 1), device=device)
        torch.manual_seed(step)
        (loss,) = recorded(x, scale)
        torch.cuda.synchronize()
        found = gradients.values.clone()
        gradients.values.zero_()
        torch.manual_seed(step)  # the same dropout
        (expected,) = run(x, scale)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(found, gradients.values)
        optimiser.step()  # weights change under the graph
        gradients.values.zero_()
    assert recorded.graphs == 2  # of 4 and 6 rows; 9 came once


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_recording_in_the_middle_of_an_accumulated_step_keeps_what_was_there():
    device = torch.device("cuda", torch.cuda.current_device())
    model = a_model(device)
    gradients = FlatGradients(model.parameters())

    def run(x):
        loss = model(x).square().sum()
        loss.backward()
        return (loss.detach(),)

    recorded = RecordedGradients(run, gradients, device)
    x = torch.randn(3, 7, device=device)
    for _ in range(3):
        recorded(x)
    found = gradients.values.clone()
    gradients.values.zero_()
    for _ in range(3):
        run(x)
    torch.testing.assert_close(found, gradients.values)
