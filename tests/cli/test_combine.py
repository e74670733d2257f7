"""``babyhubert combine``: the mean of two models of the package's shape, and weights that are no mean."""

from __future__ import annotations

import torch

from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.config import HubertConfig
from babyhubert.encoder.hubert import HubertEncoder, initialise
from babyhubert.encoder.loading import load_checkpoint
from babyhubert.encoder.model_folder import save_model_folder
from commands import command

SHAPE = HubertConfig(conv_dim=(8,) * 7, hidden_size=128, layers=1, heads=2, feed_forward=32)
WEIGHT = "encoder.layers.0.attention.q_proj.weight"


def save(folder, seed):
    encoder = initialise(HubertEncoder(SHAPE), torch.Generator().manual_seed(seed))
    save_model_folder(folder, Checkpoint("transformers", SHAPE, dict(encoder.state_dict())))
    return load_checkpoint(folder).encoder[WEIGHT]


def test_the_command_writes_the_mean_and_names_what_is_in_it(tmp_path):
    first, second = save(tmp_path / "a", 1), save(tmp_path / "b", 2)
    done = command("combine", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "mean")
    assert done.code == 0
    assert "mean of 2 models" in done.out
    torch.testing.assert_close(load_checkpoint(tmp_path / "mean").encoder[WEIGHT], (first + second) / 2)


def test_weights_that_are_no_mean_are_refused_in_one_line(tmp_path):
    save(tmp_path / "a", 1), save(tmp_path / "b", 2)
    for weights, words in (("0.5", "1 for 2 models"), ("a,b", "numbers separated by commas"), ("1,1", "add up to 2")):
        refused = command("combine", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out", "--weights", weights)
        assert refused.code == 2
        assert words in refused.error
        assert not (tmp_path / "out").exists()
