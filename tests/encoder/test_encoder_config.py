"""Sizes, parameter counts, and the exchange with transformers' `config.json`."""

from __future__ import annotations

import pytest
import torch

from babyhubert.encoder.config import SIZES, HubertConfig
from babyhubert.encoder.hubert import HubertEncoder
from babyhubert.encoder.pretraining_head import PretrainingHead
from babyhubert.errors import ConfigError


def test_published_parameter_counts():
    with torch.device("meta"):
        encoder = HubertEncoder(HubertConfig.of_size("base"))
        head = PretrainingHead(768, classes=500)
    assert encoder.parameter_count == 94_370_944
    assert encoder.parameter_count + sum(p.numel() for p in head.parameters()) == 94_696_576
    assert len(encoder.state_dict()) + len(head.state_dict()) == 214


@pytest.mark.parametrize(
    ("size", "low", "high"), [("nano", 1e6, 2e6), ("mini", 4e6, 5e6), ("small", 15e6, 25e6), ("large", 315e6, 316e6)]
)
def test_sizes(size, low, high):
    with torch.device("meta"):
        assert low <= HubertEncoder(SIZES[size]).parameter_count <= high


@pytest.mark.parametrize("size", SIZES)
def test_transformers_config_and_back(size):
    config = SIZES[size]
    assert HubertConfig.from_transformers(config.to_transformers()) == config
    assert config.size_name == size
    assert config.with_changes(layer_drop=0.2).size_name == size


def test_missing_keys_take_the_defaults_of_transformers():
    from transformers import HubertConfig as Theirs

    assert HubertConfig.from_transformers({}) == HubertConfig.from_transformers(Theirs().to_dict())


def test_large_is_the_large_of_transformers():
    from transformers import HubertConfig as Theirs
    from transformers import HubertModel

    with torch.device("meta"):
        theirs = HubertModel(Theirs(**SIZES["large"].to_transformers())).state_dict()
        ours = HubertEncoder(SIZES["large"]).state_dict()
    assert {name: tensor.shape for name, tensor in theirs.items()} == {n: tensor.shape for n, tensor in ours.items()}


@pytest.mark.parametrize(
    ("setting", "value"),
    [("model_type", "sew"), ("hidden_act", "relu"), ("feat_proj_layer_norm", False), ("conv_pos_batch_norm", True)],
)
def test_unsupported_settings_are_named(setting, value):
    with pytest.raises(ConfigError, match=setting):
        HubertConfig.from_transformers({setting: value})


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"conv_stride": (5, 2, 2, 2, 2, 2, 1)}, "frame grid"),
        ({"conv_dim": (8,) * 6}, "one value per convolution"),
        ({"heads": 7}, "heads"),
        ({"layer_drop": 1.0}, "layer_drop"),
        ({"feature_norm": "batch"}, "feature_norm"),
        ({"widht": 3}, "widht"),
    ],
)
def test_impossible_settings_are_named(changes, word):
    with pytest.raises(ConfigError, match=word):
        HubertConfig().with_changes(**changes)


def test_unknown_size():
    with pytest.raises(ConfigError, match="nano, mini, small, base, large"):
        HubertConfig.of_size("huge")
