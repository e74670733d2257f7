"""Weighted means of models: exact numbers, heads that only some have, and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_encoders import TINY, fresh

from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.combination import Part, combine
from babyhubert.encoder.flavours.layout import Head
from babyhubert.encoder.loading import load_checkpoint
from babyhubert.encoder.model_folder import save_model_folder
from babyhubert.errors import CheckpointError, ConfigError, OutputError

VOICES = ("KCHI", "OCH")


def frames_head(seed: int, labels: tuple[str, ...] = VOICES) -> Head:
    random = torch.Generator().manual_seed(seed)
    rows = len(labels)
    return Head(
        labels,
        {"weight": torch.randn(rows, 128, generator=random), "bias": torch.randn(rows, generator=random)},
        "frames",
    )


def save(folder: Path, seed: int, config=TINY, **heads: Head) -> str:
    encoder = {name: tensor.clone() for name, tensor in fresh(config, seed).state_dict().items()}
    card = {"licence": f"terms {seed}", "lineage": [f"start {seed}"], "thresholds": {"f1": {"KCHI": 0.5, "OCH": 0.5}}}
    save_model_folder(folder, Checkpoint("transformers", config, encoder, heads=heads), card)
    return str(folder)


def weights_of(folder) -> dict[str, torch.Tensor]:
    checkpoint = load_checkpoint(folder)
    heads = {f"{name}.{key}": t for name, head in checkpoint.heads.items() for key, t in head.tensors.items()}
    return {**checkpoint.encoder, **heads}


def test_the_mean_of_two_models_is_half_their_sum_in_every_weight(tmp_path):
    first = save(tmp_path / "a", 1, voice_type=frames_head(1))
    second = save(tmp_path / "b", 2, voice_type=frames_head(2))
    combine([Part(first, 0.5), Part(second, 0.5)], tmp_path / "mean")
    a, b, mean = weights_of(first), weights_of(second), weights_of(tmp_path / "mean")
    assert mean.keys() == a.keys()
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, (a[name] + b[name]) / 2, rtol=1e-6, atol=1e-7)


@settings(max_examples=10, deadline=None)
@given(st.floats(-2, 2))
def test_what_a_model_learnt_since_a_start_is_added(tmp_path_factory, share):
    folder = tmp_path_factory.mktemp("models")
    model, learnt, start = (save(folder / name, seed) for name, seed in (("m", 1), ("l", 2), ("s", 3)))
    combine([Part(model, 1.0), Part(learnt, share), Part(start, -share)], folder / "sum")
    m, tuned, s, found = weights_of(model), weights_of(learnt), weights_of(start), weights_of(folder / "sum")
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, m[name] + share * (tuned[name] - s[name]), rtol=1e-5, atol=1e-5)


def test_a_head_of_the_first_model_alone_stays_as_it_is(tmp_path):
    first = save(tmp_path / "a", 1, voice_type=frames_head(1), laughter=frames_head(7, ("laugh",)))
    second = save(tmp_path / "b", 2, voice_type=frames_head(2))
    start = save(tmp_path / "c", 3, voice_type=frames_head(3))
    combine([Part(first, 1.0), Part(second, 1.0), Part(start, -1.0)], tmp_path / "sum")
    found = load_checkpoint(tmp_path / "sum")
    assert torch.equal(found.heads["laughter"].tensors["weight"], frames_head(7, ("laugh",)).tensors["weight"])
    assert found.heads["laughter"].labels == ("laugh",)


def test_thresholds_are_left_out_and_the_lineage_names_every_part(tmp_path):
    first, second = save(tmp_path / "a", 1, voice_type=frames_head(1)), save(tmp_path / "b", 2)
    both = save(tmp_path / "c", 3, voice_type=frames_head(3))
    combine([Part(first, 1.25), Part(both, -0.25)], tmp_path / "sum")
    card = load_checkpoint(tmp_path / "sum").metadata["task"]
    assert "thresholds" not in card
    assert card["licence"] == "terms 1"
    assert card["lineage"][0] == "start 1"
    assert f"+1.25 x {first} (SHA-256 " in card["lineage"][1]
    assert f"-0.25 x {both} (SHA-256 " in card["lineage"][1]
    assert second not in card["lineage"][1]


def test_models_that_have_no_mean_are_refused(tmp_path):
    first = save(tmp_path / "a", 1, voice_type=frames_head(1))
    plain = save(tmp_path / "plain", 2)
    wide = save(tmp_path / "wide", 1, TINY.with_changes(feed_forward=64))
    other = save(tmp_path / "other", 1, voice_type=frames_head(1, ("KCHI", "FEM")))
    cases = [
        ([Part(first, 1.0)], ConfigError, "at least two"),
        ([Part(first, 1.0), Part(first, 1.0)], ConfigError, "add up to 2"),
        ([Part(first, 0.5), Part(wide, 0.5)], CheckpointError, "another shape"),
        ([Part(first, 0.5), Part(other, 0.5)], CheckpointError, "other classes of voice type"),
        ([Part(plain, 0.5), Part(first, 0.5)], CheckpointError, f"name {first} first"),
        ([Part(first, 0.5), Part(plain, 0.5)], ConfigError, "with a head for voice type add up to 0.5"),
    ]
    for parts, error, words in cases:
        with pytest.raises(error, match=words):
            combine(parts, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_replaced_only_on_request(tmp_path):
    first, second = save(tmp_path / "a", 1), save(tmp_path / "b", 2)
    parts = [Part(first, 0.5), Part(second, 0.5)]
    combine(parts, tmp_path / "out")
    with pytest.raises(OutputError, match="exists already"):
        combine(parts, tmp_path / "out")
    combine([Part(first, 1.5), Part(second, -0.5)], tmp_path / "out", overwrite=True)
    a, b, found = weights_of(first), weights_of(second), weights_of(tmp_path / "out")
    name = "encoder.layers.0.attention.q_proj.weight"
    torch.testing.assert_close(found[name], 1.5 * a[name] - 0.5 * b[name])
