"""Voice types and representations on a CUDA device, against the CPU. Skipped where there is none."""

import numpy as np
import pytest
import torch

from commands import command, write_sounds

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

TOLERANCE = {"exact": 2e-2, "balanced": 5e-2, "fast": 5e-2}  # TF32 convolutions, bfloat16


def probabilities(folder):
    return {path.stem: np.load(path).astype(np.float64) for path in (folder / "probs").glob("*.npy")}


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """More recordings than are drawn at once, of all lengths, one of them not audio."""
    folder = tmp_path_factory.mktemp("gpu")
    write_sounds(folder, [f"{name}.wav" for name in "abcdefghijklmnop"], seconds=9.3)
    (folder / "broken.wav").write_bytes(b"RIFF, then nothing")
    return folder


@pytest.mark.parametrize("speed", TOLERANCE)
def test_scores_are_those_of_the_cpu(speed, audio, small_model, tmp_path):
    found = {}
    for device in ("cpu", "cuda"):
        options = ("--model", small_model, "--device", device, "--speed", speed, "--save-probs")
        result = command("segment", audio, "-o", tmp_path / device, *options)
        assert result.code == 1
        assert "broken.wav" in result.err
        found[device] = probabilities(tmp_path / device)
    assert found["cuda"].keys() == found["cpu"].keys()
    assert len(found["cuda"]) == 16
    for name, values in found["cuda"].items():
        np.testing.assert_allclose(values, found["cpu"][name], atol=TOLERANCE[speed], err_msg=name)


def test_embeddings_are_those_of_the_cpu(audio, small_model, tmp_path):
    found = {}
    for device in ("cpu", "cuda"):
        options = ("--model", small_model, "--device", device, "--layers", "0,1")
        assert command("embed", audio, "-o", tmp_path / device, *options).code == 1
        found[device] = {path.name: np.load(path) for path in (tmp_path / device).rglob("*.npy")}
    assert found["cuda"].keys() == found["cpu"].keys()
    assert found["cuda"]
    for name, values in found["cuda"].items():
        expected = found["cpu"][name].astype(np.float64)
        assert np.linalg.norm(values - expected) < 1e-2 * np.linalg.norm(expected), name
