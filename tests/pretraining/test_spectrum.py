"""The mel spectrum as a second thing to predict."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.pretraining.model import LossWeights, MaskedPrediction
from babyhubert.pretraining.spectrum import BANDS, SpectrumHead, mel_bank
from babyhubert.timebase import SAMPLE_RATE, frame_count


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32))


def mel(hertz):
    return 1127 * math.log1p(hertz / 700)


@pytest.mark.parametrize("hertz", [200.0, 700.0, 3000.0, 7000.0])
def test_a_tone_is_loudest_in_the_band_around_it(hertz):
    time = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    levels = SpectrumHead(8).spectrum(0.3 * torch.sin(2 * math.pi * hertz * time)[None])
    step = (mel(SAMPLE_RATE / 2) - mel(20)) / (BANDS + 1)
    expected = (mel(hertz) - mel(20)) / step - 1
    assert (levels.argmax(-1) - expected).abs().max() <= 1


def test_bands_cover_what_lies_between_the_lowest_and_highest_centre():
    covered = mel_bank().sum(dim=1)
    assert covered[8:240].min() == pytest.approx(1, abs=1e-4)
    assert covered[8:240].max() == pytest.approx(1, abs=1e-4)


def test_a_row_does_not_tell_how_loud_it_was():
    head, waveforms = SpectrumHead(8), noise(2, 16_000)
    levels = head.spectrum(waveforms)
    assert levels.shape == (2, frame_count(16_000), BANDS)
    assert levels.mean(dim=(1, 2)).abs().max() < 1e-5
    assert levels.std(dim=(1, 2)) == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(head.spectrum(5 * waveforms), levels, atol=2e-3, rtol=0)


def test_digital_silence_is_flat():
    assert SpectrumHead(8).spectrum(torch.zeros(1, 8000)).abs().max() < 1e-3


def test_it_costs_one_when_nothing_is_known_and_leaves_the_convolutions_alone():
    features = noise(2, frame_count(16_000), 8).requires_grad_()
    error = SpectrumHead(8)(features, noise(2, 16_000))
    error.backward()
    assert error.item() == pytest.approx(1, abs=1e-3)
    assert not features.grad.any()


def test_convolutions_learn_it():
    generator = torch.Generator().manual_seed(0)
    config = HubertConfig.of_size("nano").with_changes(feature_grad_scale=1.0)
    encoder = initialise(HubertEncoder(config), generator)
    head = SpectrumHead(config.conv_dim[-1])
    parameters = [*encoder.feature_extractor.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=2e-3)
    tilt = torch.linspace(0, 1, 16_000)
    low = torch.nn.functional.avg_pool1d(noise(2, 16_008)[:, None], 9, 1)[:, 0]
    waveforms = tilt * noise(2, 16_000, seed=1) + 3 * (1 - tilt) * low
    errors = []
    for _ in range(25):
        error = head(encoder.feature_extractor(waveforms), waveforms)
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[-1] < 0.8


def test_it_is_no_part_of_what_is_published_unless_asked_for():
    model = MaskedPrediction.fresh(HubertConfig.of_size("nano"), 10, torch.Generator())
    assert model.spectrum is None
    asked = MaskedPrediction.fresh(
        HubertConfig.of_size("nano"), 10, torch.Generator(), weights=LossWeights(spectrum=1)
    )
    assert set(asked.to_checkpoint().encoder) == set(model.to_checkpoint().encoder)
    assert set(asked.to_checkpoint().pretraining) == set(model.to_checkpoint().pretraining)
