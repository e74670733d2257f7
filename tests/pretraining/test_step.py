"""One optimisation step against an independent, plain implementation: the published loss built as it is published."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.pretraining_head import PretrainingHead
from babyhubert.pretraining.batches import Batch
from babyhubert.pretraining.masking import MaskSettings, span_mask
from babyhubert.pretraining.model import LossWeights, MaskedPrediction
from babyhubert.pretraining.settings import OptimiserSettings
from babyhubert.training.optimiser import build_optimiser
from babyhubert.training.schedules import warm_up_then_decay

transformers = pytest.importorskip("transformers")
CLASSES = 50


def without_dropout(**changes):
    names = ("hidden_dropout", "attention_dropout", "projection_dropout", "layer_drop")
    return HubertConfig.of_size("nano").with_changes(**dict.fromkeys(names, 0.0), **changes)


def a_batch(rows=3, samples=32_080, seed=0):
    rng = np.random.default_rng(seed)
    frames = (samples - 400) // 320 + 1
    mask = span_mask(rows, frames, MaskSettings(), rng)
    pcm = rng.integers(-8000, 8000, (rows, samples)).astype(np.int16)
    return Batch.of(pcm, rng.integers(0, CLASSES, (rows, frames)), mask)


def a_model(config=None, seed=0, **weights):
    generator = torch.Generator().manual_seed(seed)
    config = config or without_dropout()
    return MaskedPrediction.fresh(config, CLASSES, generator, weights=LossWeights(**weights)).train()


class Published(torch.nn.Module):
    """transformers' encoder under the published head: true class first, its double masked, summed losses."""

    def __init__(self, model):
        super().__init__()
        config = transformers.HubertConfig(
            **model.encoder.config.to_transformers() | {"mask_time_prob": 0.05, "apply_spec_augment": True}
        )
        self.hubert = transformers.HubertModel(config)
        self.hubert.load_state_dict({**model.encoder.state_dict(), "masked_spec_embed": model.head.mask_embedding})
        self.final_proj = copy.deepcopy(model.head.final_proj)
        self.label_embeddings = torch.nn.Parameter(model.head.label_embeddings.detach().clone())

    def logits(self, frames, units):
        projected = self.final_proj(frames)
        positives = self.label_embeddings[units]
        candidates = torch.cat([positives[None], self.label_embeddings[:, None].expand(-1, len(frames), -1)])
        logits = torch.cosine_similarity(projected[None], candidates, dim=-1) / 0.1
        same = (positives[None] == candidates[1:]).all(-1)
        logits[1:][same] = float("-inf")
        return logits.T

    def forward(self, batch):
        waveforms = batch.pcm.float() / 32_768
        features = self.hubert.feature_extractor(waveforms)
        features.register_hook(lambda gradient: gradient * 0.1)
        penalty = features.float().pow(2).mean()
        hidden = self.hubert.feature_projection(features.transpose(1, 2))
        hidden = torch.where(batch.mask[..., None], self.hubert.masked_spec_embed, hidden)
        frames = self.hubert.encoder(hidden).last_hidden_state
        masked = self.logits(frames[batch.mask], batch.units[batch.mask])
        truth = torch.zeros(len(masked), dtype=torch.int64)
        cross_entropy = F.cross_entropy(masked, truth, reduction="sum")
        return cross_entropy + 10 * penalty * len(masked)


NAMES = {"head.mask_embedding": "hubert.masked_spec_embed", "head.label_embeddings": "label_embeddings"}


def published_name(name):
    return NAMES.get(name, name.replace("encoder.", "hubert.", 1).replace("head.final_proj", "final_proj"))


def test_loss_and_gradients_are_the_published_ones():
    model, batch = a_model(), a_batch()
    reference = Published(model)
    ours, theirs = model(batch).loss, reference(batch)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    (ours / batch.masked).backward()
    (theirs / batch.masked).backward()
    expected = dict(reference.named_parameters())
    for name, parameter in model.named_parameters():
        gradient = expected[published_name(name)].grad
        assert torch.allclose(parameter.grad, gradient, rtol=1e-3, atol=2e-6), name


def test_one_step_of_the_optimiser_is_that_of_a_plain_one():
    model, batch = a_model(), a_batch()
    plain = copy.deepcopy(model)
    settings = OptimiserSettings()
    ours = build_optimiser(model, settings)
    model(batch).loss.div(batch.masked).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
    ours.step()
    plain(batch).loss.div(batch.masked).backward()
    norm = torch.sqrt(sum(parameter.grad.square().sum() for parameter in plain.parameters()))
    for (name, parameter), updated in zip(plain.named_parameters(), model.parameters(), strict=True):
        gradient = parameter.grad * min(1.0, 10.0 / (norm + 1e-6))
        step = (0.1 * gradient / 0.1) / ((0.02 * gradient.square() / 0.02).sqrt() + 1e-6)
        expected = parameter * (1 - 5e-4 * 0.01) - 5e-4 * step
        assert torch.allclose(updated, expected, atol=2e-6), name


def test_parameter_count_is_the_published_one():
    with torch.device("meta"):
        model = MaskedPrediction.fresh(HubertConfig.of_size("base"), 500, torch.Generator("cpu"))
    assert sum(parameter.numel() for parameter in model.parameters()) == 94_696_576


def test_every_parameter_gets_a_gradient_with_layer_drop():
    model = a_model(without_dropout().with_changes(layer_drop=0.9))
    model(a_batch()).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_gradient_into_the_convolutions_is_scaled():
    gradients = []
    for scale in (1.0, 0.1):
        model = a_model(without_dropout(feature_grad_scale=scale))
        model(a_batch()).loss.backward()
        gradients.append(model.encoder.feature_extractor.conv_layers[0].conv.weight.grad)
    assert torch.allclose(0.1 * gradients[0], gradients[1], rtol=1e-3, atol=1e-5)


def test_weight_of_unmasked_frames():
    model, batch = a_model(), a_batch()
    published = model(batch).loss
    model.weights = LossWeights(unmasked=0.5, penalty=0.0)
    outcome = model(batch)
    frames = model.encoder(batch.pcm.float() / 32_768, mask=batch.mask, mask_embedding=model.head.mask_embedding).last
    each = F.cross_entropy(model.head.logits(frames).flatten(0, 1), batch.units.flatten(), reduction="none")
    masked = batch.mask.flatten()
    assert outcome.loss.item() == pytest.approx((each[masked].sum() + 0.5 * each[~masked].sum()).item(), rel=1e-5)
    plain = each[masked].sum() + 10 * outcome.penalty * batch.masked
    assert published.item() == pytest.approx(plain.item(), rel=1e-5)


def test_weight_of_the_spectrum():
    model, batch = a_model(spectrum=3.0), a_batch()
    outcome = model(batch)
    without = a_model()(batch)
    assert without.spectrum == 0
    assert outcome.spectrum.item() == pytest.approx(1, abs=1e-3)
    assert outcome.loss.item() == pytest.approx(
        without.loss.item() + 3 * outcome.spectrum.item() * batch.masked, rel=1e-5
    )


@pytest.mark.parametrize(("embeddings", "alike"), [("published", 0.75), ("centred", 0.0)])
def test_how_unit_embeddings_begin(embeddings, alike):
    head = PretrainingHead(8, 200).initialise(torch.Generator().manual_seed(0), embeddings)
    directions = F.normalize(head.label_embeddings, dim=-1)
    others = (directions @ directions.T)[~torch.eye(200, dtype=torch.bool)]
    assert others.mean().item() == pytest.approx(alike, abs=0.02)


def test_accuracies_count_what_they_say():
    model, batch = a_model(), a_batch()
    outcome = model(batch, True)
    with torch.no_grad():
        frames = model.encoder(
            batch.pcm.float() / 32_768, mask=batch.mask, mask_embedding=model.head.mask_embedding
        ).last
        right = model.head.logits(frames).argmax(-1) == batch.units
    assert outcome.correct == right[batch.mask].sum()
    assert outcome.unmasked_correct == right[~batch.mask].sum()
    assert outcome.predicted.sum() == pytest.approx(batch.masked, rel=1e-4)


@pytest.mark.parametrize(
    ("step", "rate"), [(1, 5e-4 / 32_000), (16_000, 2.5e-4), (32_000, 5e-4), (216_000, 2.5e-4), (400_000, 0.0)]
)
def test_published_schedule(step, rate):
    assert warm_up_then_decay(step, 5e-4, 32_000, 400_000) == pytest.approx(rate)
