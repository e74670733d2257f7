"""Mutated model folders and checkpoints: read, or refused in one line; never half-read, never slow, never run."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import published_layouts as published
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from making import RATE, babble
from mutations import mutated, mutation_settings, survives

from babyhubert.encoder.checkpoints import read_checkpoint, write_checkpoint
from babyhubert.tasks.loading import load_model
from commands import SMALL, write_small_model

SOUND = babble(RATE, RATE, seed=0)
JSON_FILES = ("config.json", "task.json", "preprocessor_config.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture(scope="module")
def originals(folder) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (*JSON_FILES, "model.safetensors")}


def replaced(folder: Path, originals: dict[str, bytes], name: str, content: bytes) -> None:
    for other, original in originals.items():
        (folder / other).write_bytes(content if other == name else original)


def used(folder: Path) -> None:
    """Read a model and ask it about a second of sound."""
    segments = load_model(folder, task="voice-type", device="cpu")(SOUND, RATE)
    assert np.all(segments.end > segments.start)


@pytest.mark.parametrize("name", JSON_FILES)
@settings(mutation_settings, max_examples=100)
@given(data=st.data())
def test_settings_of_a_model_folder(name, data, folder, originals):
    replaced(folder, originals, name, data.draw(mutated(originals[name], text=True)))
    survives(lambda: used(folder))


@settings(mutation_settings, max_examples=100)
@given(data=st.data())
def test_weights_of_a_model_folder(data, folder, originals):
    name, whole = "model.safetensors", originals["model.safetensors"]
    header = 8 + int.from_bytes(whole[:8], "little")
    if data.draw(st.booleans()):  # where the names, types and shapes are
        content = data.draw(mutated(whole[:header], text=True)) + whole[header:]
    else:
        content = data.draw(mutated(whole))
    replaced(folder, originals, name, content)
    survives(lambda: used(folder))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, bytes]:
    """Small checkpoints of every single-file layout, in both of torch's formats."""
    place = tmp_path_factory.mktemp("checkpoints")
    own = read_checkpoint(write_small_model(place / "m"))
    assert own.config == SMALL
    found: dict[str, bytes] = {}
    for layout in ("vtc-2.0", "vtc-2.1"):
        write_checkpoint(own, place / layout, layout)
        found[layout] = (place / layout).read_bytes()
    for layout in published.FILES:
        found.setdefault(layout, published.write(layout, place / f"{layout}.ckpt").read_bytes())
    older = io.BytesIO()
    torch.save(torch.load(place / "vtc-2.1", weights_only=True), older, _use_new_zipfile_serialization=False)
    return {**found, "older": older.getvalue()}


LAYOUTS = (*dict.fromkeys(("vtc-2.0", "vtc-2.1", *published.FILES)), "older")


def with_pickle(archive: bytes, change) -> bytes:
    """A checkpoint whose pickle is changed and whose zip file is whole."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            content = old.read(entry.filename)
            new.writestr(entry.filename, change(content) if entry.filename.endswith("data.pkl") else content)
    return target.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", LAYOUTS)
@settings(mutation_settings, max_examples=40)
@given(data=st.data())
def test_checkpoints(layout, data, checkpoints, tmp_path_factory):
    whole = checkpoints[layout]
    path = tmp_path_factory.getbasetemp() / "mutated.ckpt"
    if layout != "older" and data.draw(st.booleans()):
        content = with_pickle(whole, lambda pickled: data.draw(mutated(pickled, text=True)))
    elif layout == "older":
        head = min(len(whole), 40_000)
        content = data.draw(mutated(whole[:head], text=True)) + whole[head:]
    else:
        content = data.draw(mutated(whole))
    path.write_bytes(content)
    survives(lambda: read_checkpoint(path))


@settings(mutation_settings, max_examples=100)
@given(data=st.data())
def test_an_index_of_weights(data, folder, originals):
    """Weights in one file with an index, as if split."""
    place = folder.parent / "indexed"
    place.mkdir(exist_ok=True)
    for name in JSON_FILES:
        (place / name).write_bytes(originals[name])
    (place / "part.safetensors").write_bytes(originals["model.safetensors"])
    names = "".join(f'"{name}": "part.safetensors",\n' for name in ("encoder.layer_norm.bias", "x"))
    index = ('{"metadata": {"total_size": 12}, "weight_map": {' + names.rstrip(",\n") + "}}").encode()
    (place / "model.safetensors.index.json").write_bytes(data.draw(mutated(index, text=True)))
    survives(lambda: read_checkpoint(place))
