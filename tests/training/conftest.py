"""What tests of fine-tuning train on."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_encoders import fresh
from tones import SHAPE, write_scenes, write_utterances

from babyhubert.encoder.canonical import Checkpoint
from babyhubert.encoder.model_folder import save_model_folder


@pytest.fixture(scope="session")
def scenes(tmp_path_factory) -> Path:
    """train/ (recordings a and b) and validation/ (c), each with rttm/ and segments.csv; do not write to it."""
    train = write_scenes(tmp_path_factory.mktemp("scenes") / "train", ("a", "b"))
    write_scenes(train.parent / "validation", ("c",))
    return train.parent


@pytest.fixture(scope="session")
def utterances(tmp_path_factory) -> Path:
    """utterances.csv with its recordings; do not write to it."""
    return write_utterances(tmp_path_factory.mktemp("utterances"))


@pytest.fixture(scope="session")
def encoder(tmp_path_factory) -> Path:
    """A model folder of a tiny encoder; do not write to it."""
    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    weights = dict(fresh(SHAPE, 0).state_dict())
    save_model_folder(folder, Checkpoint("transformers", SHAPE, weights, {}, {}, {}), {"licence": "for tests only"})
    return folder
